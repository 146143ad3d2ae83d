"""The training loop: progress bar, metrics of each epoch, periodic checkpoints, signals."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ml2021.config.schema import Config
from ml2021.console import Console, ProgressBar
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.engine.fit import MemberProgress, Progress, fit_members
from ml2021.errors import ResourceError, RunInterruptedError
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS, Scores
from ml2021.evaluation.scoring import LossUnit, loss_unit, mean_scores, score_each
from ml2021.formatting import duration, heading, number
from ml2021.runs.directory import RunDirectory
from ml2021.signals import StoppedError, stop_signals

if TYPE_CHECKING:
    from ml2021.training.trainer import Trainer

LONG = 30.0
"""Seconds of training from which on the user is told how long it will take."""
TOLD_AFTER = 2.0
"""Seconds of training by which that is known."""
MetricsRow = Mapping[str, int | float | None]
"""The cells of a row of metrics.csv, by column."""


def _losses(progress: Progress, unit: LossUnit) -> str:
    """Return the mean losses of the members still in training, for the progress bar.

    Of a squared error it is the root, as in the tables.
    """
    is_squared = unit.name.startswith("mse")

    def shown(losses: Tensor) -> str:
        mean = _mean(losses) * unit.factor
        return number(math.sqrt(mean) if is_squared else mean)

    name = unit.name.replace("mse", heading("rmse"), 1) if is_squared else unit.name
    text = f"{name} train {shown(progress.train_loss)}"
    if progress.validation_loss is not None:
        text += f", validation {shown(progress.validation_loss)}"
    return text


def _mean(losses: Tensor) -> float:
    """Return the mean of the members' losses (k,), without those that diverged."""
    return float(losses[losses.isfinite()].mean())


def metrics_columns(data: TrainingData) -> list[str]:
    """Return the header of metrics.csv; an ensemble has a column for the members in training.

    The norm of the gradient is for TensorBoard.
    """
    columns = ["epoch", "updates"]
    if data.config.train.members > 1:
        columns.append("members")
    columns.append("lr")
    if data.config.train.tensorboard:
        columns.append("gradient_norm")
    columns += ["train_loss", "validation_loss"]
    if len(data.validation):
        is_class = isinstance(data.preprocessing.target, ClassTarget)
        columns += [f"validation_{name}" for name in (CLASS_METRICS if is_class else REAL_METRICS)]
    return columns


def metrics_row(data: TrainingData, progress: Progress, lr: float, factor: float) -> MetricsRow:
    """Return the epoch's row of metrics.csv, losses and scores in the units of the data.

    Those of an ensemble are the means over the members still in training.
    """
    losses: list[float | None] = [_mean(progress.train_loss) * factor, None]
    norm = None
    if data.config.train.tensorboard:
        norms = _gradient_norms(progress)
        norm = _mean(norms) if bool(norms.isfinite().any()) else None
    scores: Scores = {}
    if progress.validation_loss is not None:
        losses[1] = _mean(progress.validation_loss) * factor
        fine = progress.validation_loss.isfinite()
        scores = mean_scores(_validation_scores(data, progress, fine))
    return _row(progress, lr, len(progress.train_loss), norm, losses, scores)


def member_rows(
    data: TrainingData, progress: Progress, lrs: Sequence[float], factor: float
) -> list[MetricsRow | None]:
    """Return `metrics_row` of each packed run as if it were alone, None for one that diverged.

    lrs: the learning rate of each (k,). The runs share everything but the optimizer's numbers.
    """
    fine = progress.train_loss.isfinite()
    validation: list[float | None] = [None] * len(fine)
    norms = list(validation)
    if data.config.train.tensorboard:
        norms = [
            norm if math.isfinite(norm) else None for norm in _gradient_norms(progress).tolist()
        ]
    scores: Iterator[Scores] = repeat({})
    if progress.validation_loss is not None:
        validation = (progress.validation_loss * factor).tolist()
        fine = fine & progress.validation_loss.isfinite()
        scores = iter(_validation_scores(data, progress, fine))
    train = (progress.train_loss * factor).tolist()
    return [
        _row(progress, lr, 1, norm, losses, next(scores)) if is_fine else None
        for is_fine, lr, norm, *losses in zip(
            fine.tolist(), lrs, norms, train, validation, strict=True
        )
    ]


def _row(
    progress: Progress,
    lr: float,
    members: int,
    gradient_norm: float | None,
    losses: Sequence[float | None],
    scores: Scores,
) -> MetricsRow:
    train, validation = losses
    return {
        "epoch": progress.epoch,
        "updates": progress.updates,
        "members": members,
        "lr": lr * progress.lr_factor,
        "gradient_norm": gradient_norm,
        "train_loss": train,
        "validation_loss": validation,
        **{f"validation_{name}": value for name, value in scores.items()},
    }


def _gradient_norms(progress: Progress) -> Tensor:
    """Return the norm (k,) float64 of each member's gradient, that of the epoch's last update."""
    assert progress.gradient is not None
    norms: Tensor = torch.linalg.vector_norm(progress.gradient, dim=1, dtype=torch.float64)
    return norms


def _validation_scores(data: TrainingData, progress: Progress, fine: Tensor) -> list[Scores]:
    """Return the validation scores of the members (k,) that did not diverge."""
    assert progress.validation_outputs is not None
    outputs = progress.validation_outputs[fine].cpu().numpy()
    return score_each(data.preprocessing, data.validation, outputs)


class Saver:
    """Calls `write` about every `seconds` while a run is trained."""

    def __init__(self, run: RunDirectory, write: Callable[[], None], seconds: float) -> None:
        self.run = run
        self._write = write
        self._seconds = seconds
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last save was that long ago."""
        return time.monotonic() - self._last >= self._seconds

    def save(self) -> None:
        """Write. Raises ResourceError when the disk refuses; the previous save stays intact."""
        self._last = time.monotonic()
        self._write()


def run_loop(
    trainer: "Trainer",
    console: Console,
    *,
    saver: Saver | None,
    end_epoch: Callable[[MemberProgress], None],
    label: str = "",
) -> None:
    """Train to the end, with a progress bar whose text begins with `label`.

    `end_epoch` is called for each step that ends an epoch. Saves when the saver says so, and at the
    end; None: nothing is saved, and no signal is looked for. Raises DivergenceError;
    RunInterruptedError after a signal, with everything saved; or StoppedError after a signal that
    came during the last save.
    """
    data, hparams, state = trainer.data, trainer.hparams, trainer.state
    unit = loss_unit(data.config, data.preprocessing)
    epochs = hparams.epochs if hparams.last_epoch is None else hparams.last_epoch
    done = state.epoch + state.batch / hparams.batches(len(trainer.train))
    rows = trainer.train, trainer.validation
    steps = fit_members(trainer.network, hparams, state, *rows, trainer.score, ranks=trainer.ranks)
    begun, before, is_told = time.monotonic(), done, False
    with stop_signals() as stop_signal, ProgressBar(console, epochs, done) as bar:
        for step in steps:
            progress = step.progress
            if progress.is_epoch_end:
                end_epoch(step)
            done = progress.epoch - 1 + progress.batch / progress.batches
            elapsed = time.monotonic() - begun
            if not is_told and elapsed >= TOLD_AFTER:
                is_told = True
                expected = elapsed / (done - before) * (epochs - before)
                if expected > LONG:
                    console.say(
                        f"{label}at most about {duration(expected)} for {epochs - before:g} epochs"
                    )
            bar.show(done, f"{label}{_losses(progress, unit)}")
            if saver is None:
                continue
            signal_number = stop_signal()
            if saver.is_due() or signal_number is not None:
                saver.save()
            if signal_number is not None:
                raise RunInterruptedError(
                    signal_number,
                    f"interrupted at epoch {int(done)} of {epochs}; progress is saved. "
                    f"Resume with: ml2021 train --resume {saver.run.path}",
                )
        if saver is not None:
            saver.save()
    if (late := stop_signal()) is not None:  # no sooner: one might come after the look
        raise StoppedError(late)


@contextmanager
def memory_errors(config: Config) -> Iterator[None]:
    """Turn out-of-memory errors, of the host or of a GPU, into ResourceError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch raises either, and its own on a GPU
        if isinstance(error, RuntimeError) and not any(
            text in str(error) for text in ("out of memory", "can't allocate memory")
        ):
            raise
        raise ResourceError(
            f"out of memory with train.batch_size {config.train.batch_size} and model "
            f"{config.model.model_dump()}; make one of them smaller"
        ) from None
