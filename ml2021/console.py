"""What a person sees while a command works: lines, a progress bar, and tables of scores.

All of it goes to stderr but for results that a program reads, which `write_result` puts on stdout.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from ml2021.errors import ResourceError

if TYPE_CHECKING:
    from ml2021.metrics import Scores

BAR_SECONDS = 0.1
"""How often the bar on a terminal is drawn again: an epoch can take a hundredth of that."""
LINE_SECONDS = 10.0
"""Off a terminal there is no bar, but a line at most this often."""

_HEADINGS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "auroc": "AUROC",
}
HIGHER_IS_BETTER = {"r2", "accuracy", "balanced_accuracy", "macro_f1", "auroc"}


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


def number(value: float | None) -> str:
    """Return four significant digits, without an exponent where that is readable."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    scientific = f"{value:.3e}"
    exponent = int(scientific.partition("e")[2])
    return f"{value:,.{max(0, 3 - exponent)}f}" if -4 <= exponent < 7 else scientific


def score_table(
    title: str, rows: Mapping[str, "Scores"], errors: Mapping[str, "Scores"] | None = None
) -> list[str]:
    """Return a table with a line for each name; columns that are undefined for all are left out.

    `errors` stand behind the scores, after ±.
    """
    keys = [
        key for key in next(iter(rows.values())) if any(r[key] is not None for r in rows.values())
    ]
    body = [
        [
            name.replace("_", " "),
            *(number_with_error(r[key], errors[name][key] if errors else None) for key in keys),
        ]
        for name, r in rows.items()
    ]
    return align([[title, *map(heading, keys)], *body])


def heading(key: str) -> str:
    """Return a score's name as people read it."""
    return _HEADINGS.get(key, key)


def number_with_error(value: float | None, error: float | None) -> str:
    """Return a number, and where there is one its error to as many decimals, after ±."""
    text = number(value)
    if error is None:
        return text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {number(error) if 'e' in text else f'{error:,.{decimals}f}'}"


def align(cells: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of cells, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def verdict(key: str, network: "Scores", trivial: Mapping[str, "Scores"]) -> str:
    """Say in a sentence whether the network beats every trivial answer by the score `key`."""
    sign = -1 if key in HIGHER_IS_BETTER else 1
    known = {name: s[key] for name, s in trivial.items() if s[key] is not None}
    own = network[key]
    heading = _HEADINGS[key]
    if own is None or not known:
        return f"{heading} is undefined on these rows: they do not tell whether the network is good"
    best = min(known, key=lambda name: sign * (known[name] or 0.0))
    name, value = best.replace("_", " "), known[best]
    assert value is not None
    compared = f"{heading} {number(own)} against {number(value)} of {name}"
    if sign * own < sign * value:
        return f"The network beats every trivial answer: {compared}."
    return f"The network does NOT beat the trivial answers: {compared}."


def bulleted(lines: Iterable[str]) -> list[str]:
    """Return the lines as a list under a heading."""
    return [f"  - {line}" for line in lines]
