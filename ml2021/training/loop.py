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
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS, Scores
from ml2021.evaluation.scoring import mean_scores, score_each
from ml2021.formatting import number
from ml2021.signals import StoppedError, stop_signals

MetricsRow = Mapping[str, int | float | None]
"""The cells of a row of metrics.csv, by column."""


def format_losses(progress: Progress, factor: float) -> str:
    """Return the mean losses of the members still in training, for the progress bar."""
    text = f"train {number(_mean(progress.train_loss) * factor)}"
    if progress.validation_loss is not None:
        text += f", validation {number(_mean(progress.validation_loss) * factor)}"
    return text


def _mean(losses: Tensor) -> float:
    """Return the mean of the members' losses (k,), without those that diverged."""
    return float(losses[losses.isfinite()].mean())


def metrics_columns(data: TrainingData) -> list[str]:
    """Return the header of metrics.csv; an ensemble has a column for the members in training."""
    several = data.config.train.members > 1
    columns = ["epoch", "updates", *(["members"] if several else [])]
    columns += ["lr", "train_loss", "validation_loss"]
    if len(data.validation):
        is_class = isinstance(data.preprocessing.target, ClassTarget)
        columns += [f"validation_{name}" for name in (CLASS_METRICS if is_class else REAL_METRICS)]
    return columns


def metrics_row(data: TrainingData, progress: Progress, lr: float, factor: float) -> MetricsRow:
    """Return the epoch's row of metrics.csv, losses and scores in the units of the data.

    Those of an ensemble are the means over the members still in training.
    """
    row = {
        **_position(progress, lr),
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
    """Return `metrics_row` of each packed run as if it were alone, None for one that diverged.

    lrs: the learning rate of each (k,). The runs share everything but the optimizer's numbers.
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
            **_position(progress, lrs[member]),
            "members": 1,
            "train_loss": train[member] * factor,
            "validation_loss": None,
        }
        if validation is not None:
            row["validation_loss"] = validation[member] * factor
            row |= {f"validation_{name}": value for name, value in next(scores).items()}
        rows.append(row)
    return rows


def _position(progress: Progress, lr: float) -> dict[str, int | float | None]:
    """Return the first cells of an epoch's row."""
    return {"epoch": progress.epoch, "updates": progress.updates, "lr": lr * progress.lr_factor}


def _validation_scores(data: TrainingData, progress: Progress, fine: Tensor) -> list[Scores]:
    """Return the validation scores of the members (k,) that did not diverge."""
    assert progress.validation_outputs is not None
    outputs = progress.validation_outputs[fine].cpu().numpy()
    return score_each(data.preprocessing, data.validation, outputs)


class Saver:
    """Calls `write` about every `seconds` while a run is trained."""

    def __init__(self, write: Callable[[], None], seconds: float) -> None:
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
    steps: Iterable[MemberProgress],
    *,
    epochs: int,
    done: float,
    saver: Saver,
    console: Console,
    end_epoch: Callable[[MemberProgress], None],
    losses: Callable[[MemberProgress], str],
    resume: str,
) -> None:
    """Iterate over the steps of training; `done` of `epochs` epochs were trained before.

    `end_epoch` is called for each step that ends an epoch, `losses` for the text of the progress
    bar. Saves when the saver says so, and at the end. Raises RunInterruptedError after a signal,
    with everything saved; its message ends with `resume`, the command to resume with. StoppedError
    after a signal that came during the last save.
    """
    with stop_signals() as stop_signal, ProgressBar(console, epochs, done) as bar:
        for step in steps:
            progress = step.progress
            if progress.is_epoch_end:
                end_epoch(step)
            done = progress.epoch - 1 + progress.batch / progress.batches
            bar.show(done, losses(step))
            signal_number = stop_signal()
            if saver.is_due() or signal_number is not None:
                saver.save()
            if signal_number is not None:
                raise RunInterruptedError(
                    signal_number,
                    f"interrupted at epoch {done:.1f} of {epochs}; progress is saved. {resume}",
                )
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
