"""Terminal output: messages and the progress bar on stderr, results on stdout.

All output of the commands goes through these functions. Names come from tables, paths and runs, so
that whatever is no plain text is escaped here, whoever made the line; what the encoding of the
stream lacks is escaped, too. Tables and JSON for other programs are UTF-8 whatever the locale is.
"""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TextIO

from ml2021.errors import ResourceError
from ml2021.formatting import printable

BAR_SECONDS = 0.1
"""Seconds between two redraws of the bar; an epoch can take a hundredth of that."""
LINE_SECONDS = 10.0
"""Seconds between two progress lines where stderr is not a terminal."""

Colour = Literal["green", "yellow", "red"]
_COLOURS: Mapping[Colour, int] = {"green": 32, "yellow": 33, "red": 31}
VERDICT_COLOURS: Mapping[str, Colour] = {
    "better": "green",
    "too close to tell": "yellow",
    "worse": "red",
}


def write_result(*lines: str, colour: Colour | None = None) -> None:
    """Write a command's result for people to stdout, a line each, on a terminal in colour.

    Raises ResourceError if that fails, as all functions for stdout do.
    """
    _write_stdout("".join(_shown(sys.stdout, line, colour) for line in lines))


def write_path(path: Path) -> None:
    """Write the path that a command made to stdout, as other programs take it.

    Its bytes are those of the file's name, unless a terminal would not show them as they are.
    """
    name = os.fsencode(path)
    if name.decode(errors="surrogateescape").isprintable():
        _write_stdout(name + b"\n")
    else:
        write_result(str(path))


def write_data(text: str | memoryview) -> None:
    """Write a table, or what else other programs read, to stdout as it stands, in UTF-8."""
    _write_stdout(text.encode() if isinstance(text, str) else text)


def write_json(value: object) -> None:
    """Write a value to stdout as one line of JSON, what is not printable escaped."""
    import json

    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    plain = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    _write_stdout(f"{plain}\n".encode())


def write_message(line: str, colour: Colour | None = None) -> None:
    """Write a line to stderr, ignoring failures: there is nowhere to report them."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, _shown(sys.stderr, line, colour))


def _shown(stream: TextIO | None, line: str, colour: Colour | None) -> str:
    """Return a line, escaped; in colour on a terminal, unless NO_COLOR is set."""
    text = printable(line)
    if colour is not None and is_terminal(stream) and not os.environ.get("NO_COLOR"):
        text = f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"
    return f"{text}\n"


def _write_stdout(output: str | bytes | memoryview) -> None:
    try:
        _write(sys.stdout, output)
    except OSError as error:
        raise ResourceError(f"stdout: cannot be written ({error.strerror})") from None


def _write(stream: TextIO | None, output: str | bytes | memoryview) -> None:
    """Write text in the encoding of the stream, or bytes as they are."""
    if stream is None:  # closed by the parent process
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    content = output.encode(encoding, "backslashreplace") if isinstance(output, str) else output
    try:
        if hasattr(stream, "buffer"):
            stream.flush()
            stream.buffer.write(content)
        else:
            stream.write(bytes(content).decode(encoding))
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

    def say(self, *lines: str, colour: Colour | None = None) -> None:
        """Print messages, a line each, on a terminal in colour."""
        if not self.quiet:
            if self.bar is not None:
                self.bar.clear()
            for line in lines:
                write_message(line, colour)


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
        """Show how many units are done and the current losses, if any, unless shown just before."""
        if time.monotonic() - self._shown_at < (LINE_SECONDS if self._bar is None else BAR_SECONDS):
            return
        self._shown_at = time.monotonic()
        if self._bar is not None:
            self._bar.n = done
            self._bar.ncols = _width()
            self._bar.bar_format = self._format(done)
            self._bar.set_postfix_str(losses)
        else:
            count = f"{self._unit} {int(done):,} of {self._total:,}"
            self._console.say(f"{count}: {losses}" if losses else count)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _width() -> int:
    """Return how many columns of the terminal a bar may fill; ^C has room behind it."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return max(20, (columns or 80) - 3)
