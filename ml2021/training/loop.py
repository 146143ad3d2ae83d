"""The training loop: progress bar, metrics of each epoch, periodic checkpoints, signals."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor

from ml2021.config.schema import Config
from ml2021.console import Console, ProgressBar
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.engine.fit import MemberProgress, Progress
from ml2021.errors import ResourceError, RunInterruptedError
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import mean_scores, score_each
from ml2021.formatting import number
from ml2021.signals import StoppedError, stop_signals

MetricsRow = Mapping[str, int | float | None]
"""The cells of a line of metrics.csv, by column."""

_CLASS_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc")

_REAL_SCORES = ("mae", "rmse", "r2")


def format_losses(progress: Progress, factor: float) -> str:
    """Return the mean losses of the members that are in training, for a progress bar."""
    text = f"train {number(_mean(progress.train_loss) * factor)}"
    if progress.validation_loss is not None:
        text += f", validation {number(_mean(progress.validation_loss) * factor)}"
    return text


def _mean(losses: Tensor) -> float:
    """Return the mean of the members' losses (k,), without those that have diverged."""
    return float(losses[losses.isfinite()].mean())


def metrics_columns(data: TrainingData) -> list[str]:
    """Return the header of metrics.csv; of several members it says how many are in training."""
    several = data.config.train.members > 1
    columns = ["epoch", "updates", *(["members"] if several else [])]
    columns += ["lr", "train_loss", "validation_loss"]
    if len(data.validation):
        is_class = isinstance(data.preprocessing.target, ClassTarget)
        columns += [f"validation_{name}" for name in (_CLASS_SCORES if is_class else _REAL_SCORES)]
    return columns


def metrics_row(data: TrainingData, progress: Progress, lr: float, factor: float) -> MetricsRow:
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
        scores = _validation_scores(data, progress, progress.validation_loss.isfinite())
        row |= {f"validation_{name}": value for name, value in mean_scores(scores).items()}
    return row


def member_rows(
    data: TrainingData, progress: Progress, lrs: Sequence[float], factor: float
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
        scores = iter(_validation_scores(data, progress, fine))
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


def _validation_scores(data: TrainingData, progress: Progress, fine: Tensor) -> list[Scores]:
    """Return the scores on validation rows of the members (k,) that are fine."""
    assert progress.validation_outputs is not None
    outputs = progress.validation_outputs[fine].cpu().numpy()
    return score_each(data.preprocessing, data.validation, outputs)


SPARE_SHARE = 0.02
"""What is left of an interval, for a step or a save that takes longer than those before."""


class Saver:
    """Calls `write` while a run is trained, so that no more than `seconds` can ever be lost."""

    def __init__(self, write: Callable[[], None], seconds: float) -> None:
        self._write = write
        self._seconds = seconds
        self._captured = self._asked = time.monotonic()
        self._step = self._took = 0.0

    def is_due(self) -> bool:
        """Whether the next time that this is asked would be too late.

        That is after a step as long as those before, and when a save then takes what the last took,
        with some time to spare.
        """
        now = time.monotonic()
        self._step = max(now - self._asked, 0.9 * self._step)  # a slow one is forgotten in time
        self._asked = now
        latest = self._captured + (1 - SPARE_SHARE) * self._seconds
        return now + self._step + self._took >= latest

    def save(self) -> None:
        """Write. Raises ResourceError when the disk refuses; what was written before stands."""
        self._captured = time.monotonic()
        self._write()
        self._asked = time.monotonic()
        self._took = self._asked - self._captured


def run_loop(
    steps: Iterable[MemberProgress],
    *,
    epochs: int,
    done: float,
    saver: Saver,
    console: Console,
    end_epoch: Callable[[MemberProgress], None],
    losses: Callable[[MemberProgress], str],
    how_to_go_on: str,
) -> None:
    """Go through the steps of training, of which `done` epochs of `epochs` were there before.

    `end_epoch` is called for each step that ends an epoch, `losses` for what the progress bar says.
    Saves when the saver says so, and at the end. Raises RunInterruptedError after a signal, saved;
    `how_to_go_on` ends its message. StoppedError after one that came while it saved for the last
    time.
    """
    with stop_signals() as stop_signal, ProgressBar(console, epochs, done) as bar:
        for step in steps:
            progress = step.progress
            if progress.is_epoch_end:
                end_epoch(step)
            done = progress.epoch - 1 + progress.batch / progress.batches
            bar.show(done, losses(step))
            number_of_signal = stop_signal()
            if saver.is_due() or number_of_signal is not None:
                saver.save()
            if number_of_signal is not None:
                raise RunInterruptedError(
                    number_of_signal,
                    f"stopped at epoch {done:.1f} of {epochs} and saved; {how_to_go_on}",
                )
        saver.save()
    if (late := stop_signal()) is not None:  # no sooner: one might come after the look
        raise StoppedError(late)


@contextmanager
def memory_errors(config: Config) -> Iterator[None]:
    """Turn running out of memory, on the host or on a GPU, into a line that says what to do."""
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
