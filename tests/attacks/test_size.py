"""Tables with many columns or classes: time and memory grow no faster than the table."""

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from ml2021 import memory
from ml2021.data import samples
from ml2021.data.new_table import read_new_table
from ml2021.data.resolve import table_format_of
from tests.commands import run
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


def test_what_does_not_fit_is_refused_before_it_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 600
    columns: dict[str, list[str | int | float | None]] = {
        "k": [f"k{row % 300}" for row in range(rows)],
        "x": [row % 17 for row in range(rows)],
        "y": [row % 23 for row in range(rows)],
    }
    write_csv(tmp_path / "t.csv", columns)
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y, types: {k: category}}\n"
        "preset: fast\nmodel: {widths: [4]}\ntrain: {epochs: 1}\n"
    )
    wide = ["--set", "data.max_categories=1000"]
    monkeypatch.setattr(memory, "free_memory", lambda: 1_500_000)
    encoded = []
    monkeypatch.setattr(samples, "encode_splits", lambda *args: encoded.append(args))
    refused = run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r", *wide)
    assert refused.code == 5
    assert "about 7 MB" in refused.stderr
    assert "only 2 MB are free; reduce data.max_categories" in refused.stderr
    assert not encoded
    assert not (tmp_path / "r").exists()
    monkeypatch.undo()
    assert run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r", *wide).code == 0


def test_limits_of_the_process_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free = memory.free_memory()
    assert free is not None
    limited = {resource.RLIMIT_AS: (1 << 40, -1), resource.RLIMIT_DATA: (-1, -1)}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limited[kind])
    (left,) = memory._of_limits()
    assert 0 < left < 1 << 40

    group = tmp_path / "outer" / "inner"
    group.mkdir(parents=True)
    for folder, most, used in ((group, "max", 10), (group.parent, "5000", 3000)):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 500\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    lines = memory._lines
    monkeypatch.setattr(
        memory, "_lines", lambda path: ["0::/outer/inner"] if path.name == "cgroup" else lines(path)
    )
    assert list(memory._of_groups()) == [5000 - 3000 + 500]
    assert memory.free_memory() == 2500


def test_many_classes_are_summed_up_in_little(tmp_path: Path) -> None:
    classes = [f"c{row // 3}" for row in range(1_200)]
    write_csv(tmp_path / "t.csv", {"x": [row % 50 for row in range(1_200)], "y": classes})
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y}\npreset: fast\nmodel: {widths: [4]}\ntrain: {epochs: 1}\n"
    )
    assert run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r").code == 0
    # A table of all 400 x 400 counts of each split took 6 MB.
    assert (tmp_path / "r" / "summary.json").stat().st_size < 400_000
