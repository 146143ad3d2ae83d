"""SIGINT, SIGTERM and SIGHUP: a command ends at once, a training once it has saved.

A handler of Python's runs between two steps of the interpreter, and a product of large matrices is
one step. So a thread watches too: it ends the process at a SIGINT that follows another signal, and
once `GRACE_SECONDS` after a SIGTERM or SIGHUP are over. A terminal that closes may send two of
those, so the second changes nothing. What is saved stays as it was: files are replaced whole.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE_SECONDS = 8.0
"""How long after a SIGTERM a training may take to save; service managers often kill after 10."""

_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(BaseException):
    """A signal asked the command to end. No Exception, so that nothing takes it for a failure."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

    @property
    def name(self) -> str:
        """What the signal is called."""
        return signal.Signals(self.signal_number).name


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise StoppedError at the first signal, wherever the command is; a SIGINT after it kills."""

    def stop(signal_number: int) -> None:
        raise StoppedError(signal_number)

    with _watch_thread(), _handled(stop):
        yield


@contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Note the first signal instead of ending; a SIGINT after it kills."""
    caught: list[int] = []
    with _handled(caught.append):
        yield lambda: caught[0] if caught else None


@contextmanager
def _handled(act: Callable[[int], None]) -> Iterator[None]:
    """Let `act` have the first signal."""

    def handle(signal_number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_DFL if each == signal.SIGINT else _pass_over)
        act(signal_number)

    # What is ignored already stays so: SIGHUP under nohup, SIGINT in the background of a script.
    watched = [each for each in _WATCHED if signal.getsignal(each) != signal.SIG_IGN]
    previous = {each: signal.getsignal(each) for each in watched}
    try:
        for each in watched:
            signal.signal(each, handle)
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _pass_over(signal_number: int, frame: FrameType | None) -> None:
    """Do nothing; `SIG_IGN` would hide the signal from the thread too."""


@contextmanager
def _watch_thread() -> Iterator[None]:
    """Have a thread look at the signals that come in, also while the interpreter is busy."""
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    before = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(receiver,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(sender)
        thread.join(timeout=1)  # it ends with the pipe, but where it counts down


def _watch(receiver: int) -> None:
    stopping = counting = False
    with suppress(OSError):  # a pipe of ours that fails: there is nothing to lose, nobody to tell
        while received := os.read(receiver, 1):
            number = received[0]
            if number == signal.SIGINT and stopping:
                os._exit(128 + number)
            if number != signal.SIGINT and not counting:
                threading.Thread(target=_count_down, args=(number,), daemon=True).start()
                counting = True
            stopping = True
        os.close(receiver)


def _count_down(signal_number: int) -> None:
    time.sleep(GRACE_SECONDS)
    with suppress(OSError):
        os.write(2, b"stopped in the middle of a long step; what was saved before it stands\n")
    os._exit(128 + signal_number)
