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
    """Prints messages to stderr, unless `quiet`. Errors are raised, not printed here."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, *lines: str) -> None:
        """Print messages, a line each."""
        if not self.quiet:
            for line in lines:
                write_message(line)


class ProgressBar:
    """Progress over epochs or other units: a bar on a terminal, occasional lines elsewhere."""

    def __init__(self, console: Console, total: int, done: float, unit: str = "epoch") -> None:
        self._console = console
        self._total = total
        self._unit = unit
        self._shown_at = time.monotonic()
        self._bar = None
        if sys.stderr is not None and sys.stderr.isatty() and not console.quiet:
            from tqdm import tqdm

            count = f"{{n:.1f}}/{{total}} {unit}s"
            form = f"{{l_bar}}{{bar}}| {count} [{{elapsed}}<{{remaining}}{{postfix}}]"
            self._bar = tqdm(total=total, initial=done, bar_format=form, leave=False)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, line: str) -> None:
        """Print a message above the bar."""
        if self._bar is not None:
            self._bar.clear()
        self._console.say(line)

    def show(self, done: float, losses: str) -> None:
        """Show how many units are done and the current losses, unless shown just before."""
        if time.monotonic() - self._shown_at < (LINE_SECONDS if self._bar is None else BAR_SECONDS):
            return
        self._shown_at = time.monotonic()
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_postfix_str(losses)
        else:
            self._console.say(f"{self._unit} {round(done, 1):g} of {self._total}: {losses}")
