"""Tables with many columns or classes: time and memory grow no faster than the table."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from ml2021.data.new_table import read_new_table
from ml2021.data.resolve import table_format_of
from tests.tables import load, write_csv

ROWS = 60


def wide_table(path: Path, columns: int) -> Path:
    """Write a table of that many columns of each kind, and a target."""
    random = np.random.default_rng(0)
    table: dict[str, list[str | int | float | None]] = {}
    for index in range(columns):
        numbers = random.standard_normal(ROWS).round(4).tolist()
        table[f"number_{index}"] = numbers
        table[f"gaps_{index}"] = [
            None if row % 7 == index % 7 else numbers[row] for row in range(ROWS)
        ]
        table[f"count_{index}"] = random.integers(0, 5, ROWS).tolist()
        table[f"text_{index}"] = random.choice(["red", "green", "blue"], ROWS).tolist()
        table[f"constant_{index}"] = [1] * ROWS
    table["y"] = random.standard_normal(ROWS).round(4).tolist()
    return write_csv(path, table)


def calls_of(function: Callable[[], object]) -> int:
    """Return how many calls of Python and C functions a call makes: time without a clock."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("settings", [(), ("  numbers: auto",), ("  order_by: number_0",)])
def test_loading_takes_as_many_calls_for_each_column(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    def work(columns: int) -> tuple[int, int]:
        path = wide_table(tmp_path / f"{columns}.csv", columns)
        found = []
        training = calls_of(lambda: found.append(load(path, "  target: y", *settings)))
        (data,) = found
        form = table_format_of(data.config.data)
        new = read_new_table(data.preprocessing, path, form, "scored")
        return training, calls_of(lambda: new.table.samples(np.arange(ROWS)))

    for few, many in zip(work(10), work(40), strict=True):
        assert many < 4.15 * few
