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
from ml2021.formatting import listed, plural

if TYPE_CHECKING:
    import pandas as pd

Hashes = NDArray[np.uint64]
_SEED = 20_211  # of the factors, odd numbers of 64 bits


def row_hashes(frame: "pd.DataFrame", preprocessing: Preprocessing) -> Hashes:
    """Return a hash (N,) of the features and targets of each row; missing values are alike."""
    import pandas as pd

    names = [feature.name for feature in preprocessing.features]
    names += dict.fromkeys(preprocessing.target_columns)
    random = np.random.default_rng(_SEED)
    factors = random.integers(0, 1 << 63, (len(names), 2), dtype=np.uint64) * np.uint64(2) + 1
    hashes = np.zeros(len(frame), np.uint64)
    for name, (first, second) in zip(names, factors, strict=True):
        values = frame[name].to_numpy()
        if values.dtype == np.object_:
            codes, distinct = pd.factorize(values)
            texts = np.array([str(text) for text in distinct], np.object_)
            bits = np.append(pd.util.hash_array(texts, categorize=False), np.uint64(0))[codes]
        else:
            bits = (values.astype(np.float64) + 0.0).view(np.uint64)  # -0 is 0
            bits[np.isnan(values)] = 1
            if values.dtype.kind in "iu" and has_large(values):
                bits += values.astype(np.uint64)  # floats would round them
        # Only the high bits of small whole numbers differ, and a product carries low bits up alone.
        bits = (bits ^ (bits >> np.uint64(32))) * first
        hashes += (bits ^ (bits >> np.uint64(29))) * second
    return hashes


def notes_on_repeated(
    hashes: Hashes, split: Split, folds: Sequence[Split], test: Hashes | None
) -> list[str]:
    """Return a note on rows that repeat in another part, if any.

    hashes: (N,) of the table. folds: their splits in a cross-validation. test: (S,) of the rows of
    data.test_path, if given.
    """
    parts = {name: hashes[rows] for name, rows in split.rows.items() if len(rows)}
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

    found = {}
    earlier: list[Hashes] = []
    for name, hashes in parts.items():
        if earlier and (count := int(pd.Series(hashes).isin(np.concatenate(earlier)).sum())):
            found[name] = (count, len(hashes))
        earlier.append(hashes)
    return found


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
