"""Cells and files of Parquet that no table holds: kinds of the cases 31, 42 and 43."""

import importlib.util
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tests.catalogue.case import Case, Step, put

TRAIN = "train --quiet --config c.yaml"
REST = "convert it, or leave it out"


def parquet(make: Callable[[Any], Any]) -> Step:
    """Write a Parquet file whose column x is what `make` makes with pyarrow."""

    def step(folder: Path) -> None:
        pa = import_module("pyarrow")
        column = make(pa)
        rows = list(range(len(column)))
        table = pa.table({"a": rows, "x": column, "y": [row % 7 for row in rows]})
        import_module("pyarrow.parquet").write_table(table, folder / "t.parquet")
        put("c.yaml", "data: {path: t.parquet, target: y}\n")(folder)

    return step


def no_pyarrow() -> str:
    """Say why this machine cannot show it."""
    return "" if importlib.util.find_spec("pyarrow") else "needs pyarrow"


def refused(number: int, name: str, make: Callable[[Any], Any], line: str) -> Case:
    """Return the row of a column x that is refused."""
    return Case(
        numbers=(number,),
        name=name,
        given=(parquet(make),),
        command=TRAIN,
        code=3,
        lines=(f"t.parquet: {line}",),
        needs=no_pyarrow,
    )


def broken_text(pa: Any) -> Any:
    """Return texts, the second of which is not UTF-8."""
    ends = pa.py_buffer(bytes(np.array([0, 1, 2, 3], "i4")))
    return pa.Array.from_buffers(pa.string(), 3, [None, ends, pa.py_buffer(b"a\xffb")])


def moments(kind: str, far: int, pa: Any) -> Any:
    """Return three moments, the second `far` from 1970."""
    return pa.array([0, far, 1], pa.type_for_alias(kind))


CASES = [
    Case(
        numbers=(31,),
        name="what only begins as a Parquet file",
        given=(
            put("t.parquet", b"PAR1" + bytes(30)),
            put("c.yaml", "data: {path: t.parquet, target: y}\n"),
        ),
        command=TRAIN,
        code=3,
        lines=("t.parquet: not a Parquet file: {any}; check the file",),
        needs=no_pyarrow,
    ),
    refused(
        42,
        "Parquet text that is not UTF-8",
        broken_text,
        f"column 'x' holds text that is not UTF-8 in row 2; {REST}",
    ),
    *(
        refused(
            43,
            f"a Parquet {kind} beyond the year 9999",
            partial(moments, kind, far),
            f"column 'x' holds a date in row 2 that is not within the years 1 to 9999; {REST}",
        )
        for kind, far in [
            ("date32", 2**31 - 1),
            ("date64", 86_400_000 * 10**7),
            ("timestamp[us]", 2**62),
            ("timestamp[s]", -(2**40)),
        ]
    ),
    refused(
        43,
        "a Parquet moment in an unknown zone",
        lambda pa: pa.array([0, 1, 2], pa.timestamp("ms", "Nowhere/Land")),
        f"column 'x' holds a timestamp[ms, tz=Nowhere/Land] in row 1 that cannot be read "
        f"({{any}}); {REST}",
    ),
    refused(
        43,
        "bytes in Parquet",
        lambda pa: pa.array([b"a", b"b"]),
        f"column 'x' holds binary, neither numbers nor text; {REST}",
    ),
    refused(
        43,
        "lists in Parquet",
        lambda pa: pa.array([[1], [2]]),
        f"column 'x' holds list<element: int64>, neither numbers nor text; {REST}",
    ),
]
