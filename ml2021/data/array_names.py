"""What arrays are called as columns of a table, and their labels as its classes.

Legend: C classes.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml2021.config.schema import Data
from ml2021.data.csv.cells import INTEGERS_END, CellRules


def class_names(
    classes: NDArray[Any], missing: Sequence[str | float] | None
) -> list[int] | list[str]:
    """Return what the classes (C,) are called in a table: integers if they are, or else texts.

    These are their places where two texts would be alike, or one be missing: `missing` is that of
    the config, None its default.
    """
    labels = classes.tolist()
    names: list[int] | list[str] = [str(label) for label in labels]
    if classes.dtype.kind in "iuf" and np.abs(classes.astype(np.float64)).max() < INTEGERS_END:
        names = [int(label) for label in labels]  # float64 tells them apart
    rules = CellRules(".", Data.model_fields["missing"].default if missing is None else missing)
    if len({*names}) < len(names) or any(rules.is_missing(str(name)) for name in names):
        return [*range(len(names))]
    return names


def column_name(array: Any, place: int = 0) -> str | None:
    """Return the name of a column of a Series or DataFrame; None if it is no text, or of others."""
    columns = getattr(array, "columns", None)
    name = getattr(array, "name", None) if columns is None else columns[place]
    return name if isinstance(name, str) and name else None


def target_names(array: Any, count: int, taken: Collection[str]) -> list[str]:
    """Return names for the columns of y, its own or y, y0, ..., which are none of `taken`.

    And none that a column of predictions would have, so that the model can be saved as a run.
    """
    usual = ["y"] if count == 1 else [f"y{place}" for place in range(count)]
    names = [column_name(array, place) or name for place, name in enumerate(usual)]
    beside = {f"{name}{end}" for name in names for end in ("_std", "_low", "_high")}
    found: list[str] = []
    for name in names:
        found.append(unused_name(name, {*taken, *beside, *found}))
    return found


def unused_name(name: str, names: Collection[str]) -> str:
    """Return the name, with underscores behind it until it is not among the others."""
    while name in names:
        name += "_"
    return name
