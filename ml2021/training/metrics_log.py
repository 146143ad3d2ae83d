"""What is said of an epoch: a line of metrics.csv, and the losses beside the progress bar.

Legend: k members in training, N rows, T outputs or classes.
"""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from ml2021.config.schema import Config
from ml2021.data.load import LoadedProblem
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing
from ml2021.engine.fit import Progress
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import mean_scores, score_each
from ml2021.formatting import number

MetricsRow = Mapping[str, int | float | None]
"""The cells of a line of metrics.csv, by column."""

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


def metrics_row(problem: LoadedProblem, progress: Progress, lr: float, factor: float) -> MetricsRow:
    """Return the epoch's line of metrics.csv, losses and scores in the units of the data.

    Those of several members are the means of the ones that are in training.
    """
    row = {
        **_where(progress, lr),
        "members": len(progress.train_loss),
        "train_loss": _mean(progress.train_loss) * factor,
        "validation_loss": None,
    }
    if progress.validation_loss is not None:
        row["validation_loss"] = _mean(progress.validation_loss) * factor
        scores = _validation_scores(problem, progress, progress.validation_loss.isfinite())
        row |= {f"validation_{name}": value for name, value in mean_scores(scores).items()}
    return row


def member_rows(
    problem: LoadedProblem, progress: Progress, lrs: Sequence[float], factor: float
) -> list[MetricsRow | None]:
    """Return `metrics_row` of each member as if it were alone, None for one that has diverged.

    lrs: the learning rate of each (k,). The members share the problem but for their numbers.
    """
    train = progress.train_loss.tolist()
    validation = None if progress.validation_loss is None else progress.validation_loss.tolist()
    fine = progress.train_loss.isfinite()
    scores: Iterator[Scores] = iter(())
    if progress.validation_loss is not None:
        fine = fine & progress.validation_loss.isfinite()
        scores = iter(_validation_scores(problem, progress, fine))
    rows: list[MetricsRow | None] = []
    for member, is_fine in enumerate(fine.tolist()):
        if not is_fine:
            rows.append(None)
            continue
        row = {
            **_where(progress, lrs[member]),
            "members": 1,
            "train_loss": train[member] * factor,
            "validation_loss": None,
        }
        if validation is not None:
            row["validation_loss"] = validation[member] * factor
            row |= {f"validation_{name}": value for name, value in next(scores).items()}
        rows.append(row)
    return rows


def _where(progress: Progress, lr: float) -> dict[str, int | float | None]:
    """Return what an epoch's line begins with."""
    return {
        "epoch": progress.epoch,
        "updates": progress.updates,
        "lr": lr * progress.lr_factor,
    }


def _validation_scores(problem: LoadedProblem, progress: Progress, fine: Tensor) -> list[Scores]:
    """Return the scores on validation rows of the members (k,) that are fine."""
    assert progress.validation_outputs is not None
    outputs = progress.validation_outputs[fine].cpu().numpy()
    return score_each(problem.preprocessing, problem.validation, outputs)
