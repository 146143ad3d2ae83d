"""Text for messages: numbers, score tables, lists of names, plurals, "did you mean"."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

Scores = Mapping[str, float | None]
WORD_LIMIT = 100
"""Words longer than this, in characters, are not typos and get no suggestion."""
CHOICE_LIMIT = 5_000
"""With more choices than this, suggest only one that differs in case, spaces or punctuation:
comparing a word with 100,000 others takes a minute."""


def closest(
    wrong: str, choices: Iterable[str], synonyms: Mapping[str, str] = {}, *, cutoff: float = 0.6
) -> str | None:
    """Return the choice that `wrong` probably means, or None.

    Ignores case, spaces and punctuation. `synonyms` maps other words to choices; those that are
    not in `choices` are ignored. cutoff: how alike a typo must be, from 0 to 1 (the same).
    """
    if len(wrong) > WORD_LIMIT:
        return None
    known: dict[str, str] = {}
    for choice in choices:
        known.setdefault(_fold(choice), choice)
    word = _fold(wrong)
    if word in known:
        return known[word]
    for synonym, choice in synonyms.items():
        if _fold(synonym) == word and known.get(_fold(choice)) == choice:
            return choice
    if len(known) > CHOICE_LIMIT or cutoff >= 1:
        return None
    near = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return known[near[0]] if near else None


def suggest(wrong: str, choices: Iterable[str], synonyms: Mapping[str, str] = {}) -> str:
    """Return `; did you mean 'x'?` for the closest choice, or "" if none is close."""
    choice = closest(wrong, choices, synonyms)
    return "" if choice is None else f"; did you mean '{choice}'?"


@lru_cache(maxsize=10_000)
def _fold(text: str) -> str:
    """Drop case, spaces and punctuation, so that `Learning rate` equals `learning_rate`."""
    return "".join(c for c in text.casefold() if c.isalnum()) or text


ECHO_LIMIT = 80
"""The most characters of a user's text that a message repeats."""
PATH_LIMIT = 2 * ECHO_LIMIT
"""The most characters of a path, which is often an absolute one, that an error repeats."""


def printable(text: str) -> str:
    """Return text with control characters and other unprintable ones escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def echo(value: object) -> str:
    """Return a user's text or value for a message: escaped, at most `ECHO_LIMIT` characters."""
    return shortened(printable(str(value)))


def visible(name: object) -> str:
    """Return a name for a list: escaped, and quoted where its ends would not be seen."""
    text = echo(name)
    return f"'{text}'" if text != text.strip() or not text else text


def shortened(text: str) -> str:
    """Return at most `ECHO_LIMIT` characters of a text."""
    return text if len(text) <= ECHO_LIMIT else text[: ECHO_LIMIT - 1] + "…"


def shortened_path(text: str) -> str:
    """Return text of at most `PATH_LIMIT` characters, without its middle if it is longer."""
    ends = (PATH_LIMIT - 1) // 2
    return text if len(text) <= PATH_LIMIT else f"{text[:ends]}…{text[-ends:]}"


def message(line: str) -> str:
    """Return an error, `where: what; what to do`, for a terminal: escaped, its `where` shortened.

    Any other word that is longer than a path can be is shortened, too.
    """
    text = printable(line)
    where = text.partition(": ")[0] if ": " in text else ""
    if "; " in where:  # a sentence, whose remedy has a colon
        where = ""
    rest = _LONGER_THAN_PATHS.sub(lambda match: shortened_path(match[0]), text[len(where) :])
    return shortened_path(where) + rest


_LONGER_THAN_PATHS = re.compile(r"\S{4097,}")
_HEADINGS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
    "balanced_accuracy": "balanced",
    "f1": "F1",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "auroc": "AUROC",
}

HIGHER_IS_BETTER = {"r2", "accuracy", "balanced_accuracy", "macro_f1", "auroc"}
_SHARES = HIGHER_IS_BETTER | {"precision", "recall", "f1"}
"""Metrics of which 1 is the most, so that the fifth decimal says nothing."""


def number(value: float | None) -> str:
    """Format with four significant digits, without an exponent if that is readable."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if not math.isfinite(value):  # inf, nan
        return str(value)
    scientific = f"{value:.3e}"
    exponent = int(scientific.partition("e")[2])
    return f"{value:,.{max(0, 3 - exponent)}f}" if -4 <= exponent < 7 else scientific


UNGROUPED = 10_000
"""The values of a column have commas from here on, as years have none: 2,010 is 2010."""


def tick(value: float) -> str:
    """Format a round number, such as that of a tick: no more digits than it has."""
    text = f"{value:,.10g}" if 1e-4 <= abs(value) < 1e7 or value == 0 else f"{value:.3g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def score_text(metric: str, value: float | None, error: float | None = None) -> str:
    """Format a score as `number` does, one of at most 1 with at most four decimals.

    Followed by ± and its standard error or deviation, if there is one.
    """
    if metric in _SHARES and value is not None and 0 < abs(value) < 0.1:
        text = f"{round(value, 4) + 0.0:.4f}"  # + 0.0: −0 is 0
    else:
        text = number(value)
    if error is None:
        return text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {number(error) if 'e' in text else f'{error:,.{decimals}f}'}"


def best_cells(rows: Iterable[Scores]) -> frozenset[tuple[int, int]]:
    """Return the (row, column) of the best score of each metric in a table of `score_cells`.

    Of scores that look equal, all are the best.
    """
    found = set()
    table = [*rows]
    keys = [key for key in table[0] if any(scores[key] is not None for scores in table)]
    for column, key in enumerate(keys, 1):
        known = [value for scores in table if (value := scores[key]) is not None]
        best = score_text(key, max(known) if key in _SHARES else min(known))
        found |= {(row, column) for row, s in enumerate(table) if score_text(key, s[key]) == best}
    return frozenset(found)


def score_table(
    title: str,
    rows: Mapping[str, Scores],
    errors: Mapping[str, Scores] | None = None,
    *,
    keep_names: bool = False,
) -> list[str]:
    """Return the lines of a table with the cells of `score_cells`."""
    return align(score_cells(title, rows, errors, keep_names=keep_names))


def score_cells(
    title: str,
    rows: Mapping[str, Scores],
    errors: Mapping[str, Scores] | None = None,
    *,
    keep_names: bool = False,
) -> list[list[str]]:
    """Return headings and a row of cells for each name; metrics that all lack are left out.

    `errors` are the standard errors of the scores, shown after ±. Underscores in names become
    spaces unless `keep_names` is set, as for names of columns and classes.
    """
    metrics = next(iter(rows.values()))
    keys = [key for key in metrics if any(r[key] is not None for r in rows.values())]
    cells = [[title, *map(heading, keys)]]
    for name, scores in rows.items():
        own = errors[name] if errors else dict.fromkeys(keys)
        texts = (score_text(key, scores[key], own[key]) for key in keys)
        cells.append([echo(name if keep_names else name.replace("_", " ")), *texts])
    return cells


def heading(key: str) -> str:
    """Return a metric's name as shown to people."""
    return _HEADINGS.get(key, key)


def align(cells: Sequence[Sequence[str]]) -> list[str]:
    """Format rows of cells as lines, the first column left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        padded = map(str.rjust, others, widths[1:])
        lines.append("  ".join([first.ljust(widths[0]), *padded]).rstrip())
    return lines


def interval(low: float, high: float) -> str:
    """Return "-0.021 to +0.040": two digits of the larger end, as many decimals of the other.

    An end that would then be zero has one digit, since its sign says which side of zero it is on.
    """
    largest = max(abs(low), abs(high))
    exponent = int(f"{largest:.1e}".partition("e")[2])
    if not -4 <= exponent < 7:
        return f"{low:+.1e} to {high:+.1e}"
    return " to ".join(_signed(end, 1 - exponent) for end in (low, high))


def _signed(value: float, digits: int) -> str:
    """Format with a sign, rounded to so many decimals, or to tens or hundreds if below zero."""
    rounded = round(value, digits)
    if rounded == 0 and value != 0:
        digits = -int(f"{value:.0e}".partition("e")[2])
        rounded = round(value, digits)
        if digits > 6:
            return f"{value:+.0e}"
    return f"{rounded:+,.{max(0, digits)}f}" if rounded else "0"


def bulleted(lines: Iterable[str]) -> list[str]:
    """Return the lines as bullet points."""
    return [f"  - {line}" for line in lines]


def listed(names: Iterable[object], limit: int = 6) -> str:
    """Return "a, b and 3 more": at most `limit` names, each as `visible` shows it."""
    texts = [visible(name) for name in names]
    shown = ", ".join(texts[:limit])
    return shown if len(texts) <= limit else f"{shown} and {len(texts) - limit:,} more"


def duration(seconds: float) -> str:
    """Return a time as people say it: 3 ms, 0.4 s, 12 s, 5 min, 2.5 h."""
    if seconds < 0.1:
        return f"{max(seconds * 1000, 0.1):.{int(seconds < 0.001)}f} ms"
    if seconds < 90:
        return f"{seconds:.{int(seconds < 9.5)}f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:,.1f} h"


def memory_size(size: int) -> str:
    """Return a number of bytes as people say it: 12 MB, 3.4 GB."""
    if size < 10**9:
        return f"{max(1, round(size / 10**6)):,} MB"
    return f"{size / 10**9:,.1f} GB"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return "1 row" or "1,200 rows"; `nouns` is the plural if it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
