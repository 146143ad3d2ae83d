"""Rows that are in several parts of a table: training then knows the answer to rows that score it.

Two rows are the same where all features in use and the targets are. Hashes of 64 bits find them in
linear time. Legend: N rows of a table, S rows of its parts.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import has_large
from ml2021.data.preprocessing.records import Preprocessing
from ml2021.data.splits import Split
from ml2021.data.tables import Rows
from ml2021.disk import empty, taken
from ml2021.formatting import listed, plural

if TYPE_CHECKING:
    import pandas as pd

Hashes = NDArray[np.uint64]
_ROWS_AT_ONCE = 1 << 20
_MOST_COMPARED = 10_000_000
"""Of more hashes those in a range are compared at a time: what finds them is large, too."""
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
    for name, (first, second) in zip(names, factors, strict=True):
        values = frame[name].to_numpy()
        codes = own = None
        if values.dtype == np.object_:
            codes, distinct = pd.factorize(values)
            texts = np.array([str(text) for text in distinct], np.object_)
            own = np.append(pd.util.hash_array(texts, categorize=False), np.uint64(0))
        is_large = values.dtype.kind in "iu" and has_large(values)
        for start in range(0, len(values), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            if codes is not None and own is not None:
                bits = own[codes[some]]
            else:
                bits = (values[some].astype(np.float64) + 0.0).view(np.uint64)  # -0 is 0
                bits[np.isnan(values[some])] = 1
                if is_large:
                    bits += values[some].astype(np.uint64)  # floats would round them
            # Only the high bits of small whole numbers differ, and a product carries low bits up
            # alone.
            bits = (bits ^ (bits >> np.uint64(32))) * first
            hashes[some] += (bits ^ (bits >> np.uint64(29))) * second
    return hashes


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

    counts = dict.fromkeys(parts, 0)
    ranges = 1 << (sum(map(len, parts.values())) // _MOST_COMPARED).bit_length()
    for number in range(ranges):
        earlier: list[Hashes] = []
        for name, hashes in parts.items():
            # the remainder, as the low bits differ as well as the high ones
            own = hashes if ranges == 1 else hashes[hashes % np.uint64(ranges) == number]
            if earlier:
                counts[name] += int(pd.Series(own).isin(np.concatenate(earlier)).sum())
            earlier.append(own)
    return {name: (count, len(parts[name])) for name, count in counts.items() if count}


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
