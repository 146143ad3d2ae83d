"""Rows that are in several parts of a table: training then knows the answer to rows that score it.

Two rows are the same where all features in use and the targets are. Hashes of 64 bits find them in
linear time. Legend: N rows of a table, S rows of its parts.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import has_large
from ml2021.data.preprocessing.records import Preprocessing
from ml2021.data.splits import Split
from ml2021.data.tables import Rows
from ml2021.disk import empty, taken
from ml2021.files import map_in_threads
from ml2021.formatting import listed, plural

if TYPE_CHECKING:
    import pandas as pd

Hashes = NDArray[np.uint64]
_ROWS_AT_ONCE = 1 << 16
_MOST_COMPARED = 4_000_000
"""Of more hashes a thread compares those in a range at a time: what finds them is large, too."""
_SEED = 20_211  # of the factors, odd numbers of 64 bits


def row_hashes(frame: "pd.DataFrame", preprocessing: Preprocessing) -> Hashes:
    """Return a hash (N,) of the features and targets of each row; missing values are alike."""
    import pandas as pd

    names = [feature.name for feature in preprocessing.features]
    names += dict.fromkeys(preprocessing.target_columns)
    random = np.random.default_rng(_SEED)
    factors = random.integers(0, 1 << 63, (len(names), 2), dtype=np.uint64) * np.uint64(2) + 1
    hashes = empty(len(frame), np.uint64)
    hashes[...] = 0
    numbers: list[_Hashed] = []
    for name, (first, second) in zip(names, factors, strict=True):
        values = frame[name].to_numpy()
        if values.dtype != np.object_:
            is_large = values.dtype.kind in "iu" and has_large(values)
            numbers.append(_Hashed(values, None, is_large, first, second))
            continue
        codes, distinct = pd.factorize(values)
        texts = np.array([str(text) for text in distinct], np.object_)
        own = np.append(pd.util.hash_array(texts, categorize=False), np.uint64(0))
        _add_hashes(hashes, [_Hashed(codes, own, False, first, second)])
    _add_hashes(hashes, numbers)
    return hashes


class _Hashed(NamedTuple):
    """A column (N,) of numbers, or of codes of texts whose hashes are given, and its factors."""

    values: NDArray[Any]
    of_codes: Hashes | None
    is_large: bool
    first: np.uint64
    second: np.uint64


def _add_hashes(hashes: Hashes, columns: Sequence[_Hashed]) -> None:
    """Add the hashes of these columns, some rows at a time."""

    def add(start: int) -> None:
        some = slice(start, start + _ROWS_AT_ONCE)
        for values, of_codes, is_large, first, second in columns:
            own = values[some]
            if of_codes is not None:
                bits = of_codes[own]
            else:
                bits = (own.astype(np.float64) + 0.0).view(np.uint64)  # -0 is 0
                bits[np.isnan(own)] = 1
                if is_large:
                    bits += own.astype(np.uint64)  # floats would round them
            # Only the high bits of small whole numbers differ, and a product carries low bits up
            # alone.
            bits = (bits ^ (bits >> np.uint64(32))) * first
            hashes[some] += (bits ^ (bits >> np.uint64(29))) * second

    for _ in map_in_threads(add, range(0, len(hashes), _ROWS_AT_ONCE)):
        pass


def notes_on_repeated(
    hashes: Hashes, split: Split, folds: Sequence[Split], test: Hashes | None
) -> list[str]:
    """Return a note on rows that repeat in another part, if any.

    hashes: (N,) of the table. folds: their splits in a cross-validation. test: (S,) of the rows of
    data.test_path, if given.
    """
    parts = {name: taken(hashes, rows) for name, rows in split.rows.items() if len(rows)}
    parts |= {} if test is None else {"test": test}
    found = _repeated_in_folds(hashes, folds) | _repeated_in_parts(parts)
    if not found:
        return []
    counts = (f"{n:,} of {plural(total, f'{name} row')}" for name, (n, total) in found.items())
    where = "fold" if folds else "part"
    return [
        f"{listed(counts)} are the same as rows of another {where}, in every feature in use and "
        "the target; if they are copies, scores are too good: remove them"
    ]


def _repeated_in_parts(parts: Mapping[str, Hashes]) -> dict[str, tuple[int, int]]:
    """Return of each part how many rows an earlier part has, too, and how many rows there are."""
    import pandas as pd

    ranges = 1 << (sum(map(len, parts.values())) // _MOST_COMPARED).bit_length()

    def count(number: int) -> list[int]:
        counts: list[int] = []
        earlier: list[Hashes] = []
        for hashes in parts.values():
            # the remainder, as the low bits differ as well as the high ones
            own = hashes if ranges == 1 else hashes[hashes % np.uint64(ranges) == number]
            counts.append(int(pd.Series(own).isin(np.concatenate(earlier)).sum()) if earlier else 0)
            earlier.append(own)
        return counts

    counts = np.sum([*map_in_threads(count, range(ranges))], axis=0).tolist()
    found = zip(parts.items(), counts, strict=True)
    return {name: (n, len(hashes)) for (name, hashes), n in found if n}


def _repeated_in_folds(hashes: Hashes, folds: Sequence[Split]) -> dict[str, tuple[int, int]]:
    """Return how many rows another fold has, too, and how many rows the folds hold out."""
    import pandas as pd

    if not folds:
        return {}
    rows: Rows = np.concatenate([fold.test for fold in folds])
    numbers = np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds])
    codes, distinct = pd.factorize(hashes[rows])
    first = np.empty(len(distinct), np.int64)
    first[codes[::-1]] = numbers[::-1]  # the last write is of the first row
    is_divided = np.bincount(codes, numbers != first[codes]) > 0
    count = int(is_divided[codes].sum())
    return {"held-out": (count, len(rows))} if count else {}
