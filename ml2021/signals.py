"""SIGINT, SIGTERM and SIGHUP: a command stops at once, training stops after saving.

Python runs a signal handler only between two bytecode instructions, and a product of large matrices
is one instruction. So a thread watches too: it ends the process on a SIGINT that follows another
signal, and `GRACE_SECONDS` after a SIGTERM or SIGHUP. A closing terminal may send two of those, so
the second changes nothing. Saved files stay valid: they are replaced atomically.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE_SECONDS = 8.0
"""Seconds to save after a SIGTERM; service managers often kill after 10."""
_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_commands: list[None] = []  # one while the command line handles signals


class StoppedError(BaseException):
    """A signal stopped the command. Not an Exception, so that no handler takes it for a failure."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise StoppedError on the first signal; a SIGINT after it kills the process."""

    def stop(signal_number: int) -> None:
        raise StoppedError(signal_number)

    with _watch_thread(), _handled(stop):
        _commands.append(None)
        try:
            yield
        finally:
            _commands.pop()


@contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Yield a function that returns the first signal received, if any; a SIGINT after it kills.

    Only within `stoppable`: in a program that is not ours, signals do what it wants them to do.
    """
    caught: list[int] = []
    if not _commands:
        yield lambda: None
        return
    with _handled(caught.append):
        yield lambda: caught[0] if caught else None


@contextmanager
def _handled(act: Callable[[int], None]) -> Iterator[None]:
    """Call `act` with the first signal."""

    def handle(signal_number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_DFL if each == signal.SIGINT else _ignore)
        act(signal_number)

    # Signals that are already ignored stay so: SIGHUP under nohup, SIGINT in a background job.
    watched = [each for each in _WATCHED if signal.getsignal(each) != signal.SIG_IGN]
    previous = {each: signal.getsignal(each) for each in watched}
    try:
        for each in watched:
            signal.signal(each, handle)
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _ignore(signal_number: int, frame: FrameType | None) -> None:
    """Do nothing; with `SIG_IGN` the thread would not see the signal either."""


@contextmanager
def _watch_thread() -> Iterator[None]:
    """Watch for signals in a thread, also while the interpreter is busy."""
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
        thread.join(timeout=1)  # it ends when the pipe closes


def _watch(receiver: int) -> None:
    stopping = counting = False
    with suppress(OSError):  # our own pipe failed: nothing to save, nowhere to report
        while received := os.read(receiver, 1):
            number = received[0]
            if number not in _WATCHED:  # a library's own, such as SIGALRM
                continue
            if number == signal.SIGINT and stopping:
                os._exit(128 + number)
            if number != signal.SIGINT and not counting:
                threading.Thread(target=_exit_after_grace, args=(number,), daemon=True).start()
                counting = True
            stopping = True
        os.close(receiver)


def _exit_after_grace(signal_number: int) -> None:
    time.sleep(GRACE_SECONDS)
    with suppress(OSError):
        os.write(2, b"stopped in the middle of a long step; the last save is intact\n")
    os._exit(128 + signal_number)
