"""Terminal output: messages and the progress bar on stderr, results on stdout."""

import contextlib
import os
import sys
import time
from typing import TextIO

from ml2021.errors import ResourceError

BAR_SECONDS = 0.1
"""Seconds between two redraws of the bar; an epoch can take a hundredth of that."""
LINE_SECONDS = 10.0
"""Seconds between two progress lines where stderr is not a terminal."""


def write_result(text: str) -> None:
    """Write a command's result to stdout. Raises ResourceError if that fails."""
    try:
        _write(sys.stdout, text)
    except OSError as error:
        raise ResourceError(f"stdout: cannot be written ({error.strerror})") from None


def write_message(line: str) -> None:
    """Write a line to stderr, ignoring failures: there is nowhere to report them."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, line + "\n")


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed by the parent process
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The reader has exited, as in `| head`: discard the rest of the output too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Console:
    """Prints messages to stderr, unless `quiet`. Errors are raised, not printed here.

    verbose: whether the commands say more than most people want to know.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.bar: ProgressBar | None = None

    def say(self, *lines: str) -> None:
        """Print messages, a line each."""
        if not self.quiet:
            if self.bar is not None:
                self.bar.clear()
            for line in lines:
                write_message(line)


class ProgressBar:
    """Progress over epochs or other units: a bar on a terminal, occasional lines elsewhere.

    Messages of its console appear above the bar.
    """

    def __init__(self, console: Console, total: int, done: float, unit: str = "epoch") -> None:
        self._console = console
        self._total = total
        self._unit = unit
        self._shown_at = time.monotonic()
        self._bar = None
        if is_terminal(sys.stderr) and not console.quiet:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                initial=done,
                bar_format=self._format(done),
                ncols=_width(),
                leave=False,
            )

    def _format(self, done: float) -> str:
        """Return the format of tqdm's bar: whole units, though the bar itself moves in between."""
        count = f"{int(done):,}/{self._total:,} {self._unit}s"
        return f"{{l_bar}}{{bar}}| {count} [{{elapsed}}<{{remaining}}{{postfix}}]"

    def __enter__(self) -> "ProgressBar":
        self._console.bar = self
        return self

    def __exit__(self, *exception: object) -> None:
        self._console.bar = None
        if self._bar is not None:
            self._bar.close()
            self.clear()

    def clear(self) -> None:
        """Erase the bar's line, and the ^C that the terminal shows behind it."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                _write(sys.stderr, "\r\x1b[K")

    def show(self, done: float, losses: str) -> None:
        """Show how many units are done and the current losses, unless shown just before."""
        if time.monotonic() - self._shown_at < (LINE_SECONDS if self._bar is None else BAR_SECONDS):
            return
        self._shown_at = time.monotonic()
        if self._bar is not None:
            self._bar.n = done
            self._bar.ncols = _width()
            self._bar.bar_format = self._format(done)
            self._bar.set_postfix_str(losses)
        else:
            self._console.say(f"{self._unit} {int(done):,} of {self._total:,}: {losses}")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _width() -> int:
    """Return how many columns of the terminal a bar may fill; ^C has room behind it."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns - 3
    except (OSError, ValueError):
        return 77
