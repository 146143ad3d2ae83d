"""The training loop: progress bar, periodic checkpoints, signals."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ml2021.config.schema import Config
from ml2021.console import Console, ProgressBar
from ml2021.engine.fit import MemberProgress
from ml2021.errors import ResourceError, RunInterruptedError
from ml2021.signals import StoppedError, stop_signals

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


def supervise(
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
