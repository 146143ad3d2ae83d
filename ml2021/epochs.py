"""What is said of an epoch: a line of metrics.csv, and the losses beside the progress bar.

Legend: k members in training, N rows, T outputs or classes.
"""

from collections.abc import Mapping

from torch import Tensor

from ml2021.config.schema import Config
from ml2021.console import number
from ml2021.data.preprocessing import ClassTarget, Preprocessing
from ml2021.engine.fit import Progress
from ml2021.problem import LoadedProblem
from ml2021.scoring import mean_scores, score, to_predictions

_CLASS_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc")
_REAL_SCORES = ("mae", "rmse", "r2")


def loss_unit(config: Config, preprocessing: Preprocessing) -> tuple[str, float]:
    """Return the loss's name, and the factor from standardised units to those of the data."""
    assert config.loss is not None
    name = config.loss.type
    if isinstance(preprocessing.target, ClassTarget):
        return name, 1.0
    scale = preprocessing.target.common_scale
    if scale is None:
        return f"{name} (standardised)", 1.0
    return name, scale if name == "mae" else scale**2


def say_losses(progress: Progress, factor: float) -> str:
    """Return the mean losses of the members that are in training, for a progress bar."""
    text = f"train {number(_mean(progress.train_loss) * factor)}"
    if progress.validation_loss is not None:
        text += f", validation {number(_mean(progress.validation_loss) * factor)}"
    return text


def _mean(losses: Tensor) -> float:
    """Return the mean of the members' losses (k,), without those that have diverged."""
    return float(losses[losses.isfinite()].mean())


def metrics_columns(problem: LoadedProblem) -> list[str]:
    """Return the header of metrics.csv; of several members it says how many are in training."""
    several = problem.config.train.members > 1
    columns = ["epoch", "updates", *(["members"] if several else [])]
    columns += ["lr", "train_loss", "validation_loss"]
    if len(problem.validation):
        is_class = isinstance(problem.preprocessing.target, ClassTarget)
        columns += [f"validation_{name}" for name in (_CLASS_SCORES if is_class else _REAL_SCORES)]
    return columns


def metrics_row(
    problem: LoadedProblem, progress: Progress, lr: float, factor: float
) -> Mapping[str, int | float | None]:
    """Return the epoch's line of metrics.csv, losses and scores in the units of the data.

    Those of several members are the means of the ones that are in training.
    """
    row: dict[str, int | float | None] = {
        "epoch": progress.epoch,
        "updates": progress.updates,
        "members": len(progress.train_loss),
        "lr": lr * progress.lr_factor,
        "train_loss": _mean(progress.train_loss) * factor,
        "validation_loss": None,
    }
    if progress.validation_loss is not None:
        assert progress.validation_outputs is not None
        row["validation_loss"] = _mean(progress.validation_loss) * factor
        preprocessing = problem.preprocessing
        fine = progress.validation_loss.isfinite()
        scores = mean_scores(
            [
                score(preprocessing, problem.validation, to_predictions(preprocessing, raw))
                for raw in progress.validation_outputs[fine].cpu().numpy()
            ]
        )
        row |= {f"validation_{name}": value for name, value in scores.items()}
    return row
