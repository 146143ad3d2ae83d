"""What a person sees while a command works: lines, a progress bar, and tables of scores.

All of it goes to stderr but for results that a program reads, which `write_result` puts on stdout.
"""

import contextlib
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from ml2021.errors import ResourceError

if TYPE_CHECKING:
    pass

BAR_SECONDS = 0.1
"""How often the bar on a terminal is drawn again: an epoch can take a hundredth of that."""

LINE_SECONDS = 10.0
"""Off a terminal there is no bar, but a line at most this often."""


def write_result(text: str) -> None:
    """Write what a command was asked for to stdout. Raises ResourceError where that fails."""
    try:
        _write(sys.stdout, text)
    except OSError as error:
        raise ResourceError(f"stdout: cannot be written ({error.strerror})") from None


def write_message(line: str) -> None:
    """Write a line to stderr; where that fails there is nobody to tell."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, line + "\n")


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed before we began
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The reader has gone, as in `| head`: what follows has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Console:
    """Says things on stderr, or with `quiet` nothing: errors are not said, they are raised."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, *lines: str) -> None:
        """Print lines."""
        if not self.quiet:
            for line in lines:
                write_message(line)


class ProgressBar:
    """Progress over epochs or other units: a bar on a terminal, now and then a line elsewhere."""

    def __init__(self, console: Console, total: int, done: float, unit: str = "epoch") -> None:
        self._console = console
        self._total = total
        self._unit = unit
        self._said = time.monotonic()
        self._bar = None
        if sys.stderr is not None and sys.stderr.isatty() and not console.quiet:
            from tqdm import tqdm

            count = f"{{n:.1f}}/{{total}} {unit}s"
            form = f"{{l_bar}}{{bar}}| {count} [{{elapsed}}<{{remaining}}{{postfix}}]"
            self._bar = tqdm(total=total, initial=done, bar_format=form, leave=False)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: float, losses: str) -> None:
        """Show how many units are done, and the losses."""
        if time.monotonic() - self._said < (LINE_SECONDS if self._bar is None else BAR_SECONDS):
            return
        self._said = time.monotonic()
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_postfix_str(losses)
        else:
            self._console.say(f"{self._unit} {round(done, 1):g} of {self._total}: {losses}")
