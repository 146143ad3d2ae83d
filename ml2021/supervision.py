"""Training under supervision: shown as it goes, saved in time, and stopped by a signal."""

from collections.abc import Callable, Iterable

from ml2021.console import Console, ProgressBar
from ml2021.engine.members import MemberProgress
from ml2021.errors import RunInterruptedError
from ml2021.saving import Saver
from ml2021.signals import StoppedError, stop_signals


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
