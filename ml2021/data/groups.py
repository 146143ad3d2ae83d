"""Groups of rows that belong together (`data.group_by`), and divisions that keep them whole.

Legend: N rows of the table, S samples, G groups, P parts of a division, C classes, D draws.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.parts import find_parts
from ml2021.data.preprocessing.records import value_text
from ml2021.data.resolve import table_format_of
from ml2021.data.tables import is_number, read_header, read_table
from ml2021.formatting import echo, listed, plural

if TYPE_CHECKING:
    import pandas as pd

Codes = NDArray[np.int64]

_MOST_DRAWS = 30
_MOST_CELLS = 3_000_000  # groups, parts and classes of all draws: a tenth of a second


def group_codes(column: "pd.Series") -> Codes:
    """Return the group of each row (N,): 0, 1, ... by the sorted values, −1 where it is missing."""
    import pandas as pd

    codes, _ = pd.factorize(column, sort=True)
    return codes.astype(np.int64)


def divide_at_random(
    groups: Codes,
    shares: Sequence[float],
    seed: int | Sequence[int],
    classes: NDArray[np.int64] | None = None,
) -> Codes:
    """Return the part of each sample (S,): whole groups, near `shares` (P,) of all and of a class.

    Larger groups come first, in random order among those of about one size. Each goes to the part
    that is furthest behind its share, measured as in the Webster or Sainte-Laguë method for seats
    in a parliament: the one where Σ (rows − wanted)² / wanted grows least, summed over all rows and
    the rows of each class. Of several draws the one with the smallest sum is taken. No part is
    empty if there are at least P groups.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    counts = _counts(numbers, classes)  # (G, 1 + C)
    wanted = np.array(shares)[:, None] / sum(shares) * counts.sum(axis=0)  # (P, 1 + C)
    count = len(counts)
    draws = int(np.clip(_MOST_CELLS // (count * wanted.size), 1, _MOST_DRAWS))
    random = np.random.default_rng(seed)
    octave = np.floor(np.log2(counts[:, 0]))
    order = np.stack([np.lexsort((random.random(count), -octave)) for _ in range(draws)])
    held = np.zeros((draws, *wanted.shape))
    parts = np.zeros((draws, count), np.int64)
    every = np.arange(draws)
    for place in range(count):
        placed = order[:, place]
        added = counts[placed][:, None]  # (D, 1, 1 + C)
        growth = (added * (2 * held + added) / wanted).sum(axis=2)  # but for a constant; (D, P)
        is_empty = held[:, :, 0] == 0
        # the last groups are for the parts that have none
        growth[~is_empty & (is_empty.sum(axis=1) >= count - place)[:, None]] = np.inf
        chosen = growth.argmin(axis=1)
        parts[every, placed] = chosen
        held[every, chosen] += added[:, 0]
    nearest = (np.square(held - wanted) / wanted).sum(axis=(1, 2)).argmin()
    divided: Codes = parts[nearest][numbers]
    return divided


def divide_in_order(groups: Codes, shares: Sequence[float]) -> Codes:
    """Return the part of each sample (S,): the first groups, by their codes, are in the first part.

    The cuts between groups are the nearest to `shares` (P,). No part is empty if there are at
    least P groups.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    ends = np.cumsum(np.bincount(numbers))
    edges = np.cumsum(shares)[:-1] / sum(shares) * ends[-1]
    cuts = [0]  # the first group of each part
    for part, edge in enumerate(edges, 1):
        first, last = cuts[-1] + 1, len(ends) - (len(shares) - part)
        cuts.append(first + int(np.abs(ends[first - 1 : last] - edge).argmin()))
    return np.searchsorted(cuts, numbers, side="right") - 1


def note_on_groups(
    column: "pd.Series", parts: Mapping[str, NDArray[np.int64]], *, in_folds: bool
) -> str:
    """Return a note on how many whole groups are in the rows of each part."""
    counts = {name: column.iloc[rows].nunique() for name, rows in parts.items() if len(rows)}
    groups = plural(sum(counts.values()), "group")
    if in_folds:
        return f"{echo(column.name)}: {groups}, none divided between folds"
    places = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return f"{echo(column.name)}: {groups}, none divided ({places})"


def note_on_both(column: "pd.Series", others: "pd.Series") -> list[str]:
    """Return a note on groups of the training file that also occur in the test file, if any.

    `others` holds the test file's groups as text.
    """
    known = set(others.dropna().unique())
    if is_number(column):
        known = {value for text in known if (value := _number(text)) is not None}
    both = [value for value in column.dropna().unique().tolist() if value in known]
    if not both:
        return []
    what = plural(len(both), "group of data.test_path is", "groups of data.test_path are")
    names = listed([value_text(value) for value in both], 3)
    return [f"{echo(column.name)}: {what} also in data.path: {names}"]


def _number(text: str) -> int | float | None:
    """Return the number that is written, an integer exactly; None for other texts."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _counts(numbers: Codes, classes: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Return the samples of each group, and of each class in it (G, 1 + C)."""
    rows = np.bincount(numbers)[:, None].astype(np.float64)
    if classes is None:
        return rows
    _, labels = np.unique(classes, return_inverse=True)
    width = int(labels.max()) + 1
    cells = np.bincount(numbers * width + labels, minlength=len(rows) * width)
    return np.hstack([rows, cells.reshape(len(rows), width)])


def notes_on_groups(
    data: schema.Data, column: "pd.Series", rows: Mapping[str, NDArray[np.int64]]
) -> list[str]:
    """Return notes on the groups (N,) of each part, and on those in data.test_path, too."""
    assert data.group_by is not None
    if data.lags:
        cut = f"at the same {echo(data.order_by)}" if data.order_by else "before its last rows"
        return [f"{echo(data.group_by)}: {column.nunique():,} series, each split {cut}"]
    is_kfold = isinstance(data.split, schema.KFoldSplit)
    notes = [note_on_groups(column, rows, in_folds=is_kfold)]
    if data.test_path is not None:
        path, format = find_parts(data.test_path), table_format_of(data)
        if data.group_by in read_header(path, format).names:
            names = [data.group_by]
            test = read_table(path, format, columns=names, types=dict.fromkeys(names, "text"))
            notes += note_on_both(column, test.frame[data.group_by])
    return notes
