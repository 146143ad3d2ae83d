"""Messages: what training can know is said by training, not by `predict` for ever."""

from pathlib import Path

import numpy as np
import pytest

from ml2021.data.output_names import output_names
from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from tests import commands
from tests.commands import refusal, run_well, write_rows

SMALL = "model: {type: relu_stack, widths: [4]}\ntrain: {epochs: 1}\ndevice: cpu\n"


def train(folder: Path, data: str, columns: dict[str, list[object]], *options: str) -> str:
    """Train on these columns, and return what stands on stderr."""
    write_rows(folder / "t.csv", columns)
    (folder / "c.yaml").write_text(f"data: {{path: t.csv, {data}}}\n{SMALL}")
    return run_well(folder, "train", "--config", "c.yaml", *options).stderr


# E6: names that two columns of the predictions would have.

PAIRS: dict[str, list[object]] = {
    "y": [*range(30)],
    "y_std": [*range(30)],
    "a": [row % 7 for row in range(30)],
}
MEMBERS = ("--set", "train.members=2", "--set", "train.spread=true")


def test_targets_that_predictions_would_name_alike_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.csv", PAIRS)
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.csv, target: [y, y_std]}}\n{SMALL}")
    code, line = refusal(tmp_path, "train", "--config", "c.yaml", *MEMBERS)
    assert code == 2
    assert "y_std" in line
    assert not (tmp_path / "runs").exists()
    run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r")
    run_well(tmp_path, "predict", "t.csv", "--run", "r")
    write_rows(tmp_path / "t.csv", {**PAIRS, "=y": PAIRS["a"], "'=y": PAIRS["a"]})
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.csv, target: ['=y', \"'=y\"]}}\n{SMALL}")
    run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "quoted")
    text = run_well(tmp_path, "predict", "t.csv", "--run", "quoted", "--output", "-").stdout
    assert text.splitlines()[0] == "'=y,''=y"


def test_targets_in_the_way_of_intervals_are_noted(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {**PAIRS, "y_low": PAIRS["y_std"]}
    said = train(tmp_path, "target: [y, y_low]", columns, "--run-dir", "r")
    assert "y_low is also the name of one end of the intervals" in said
    run_well(tmp_path, "predict", "t.csv", "--run", "r")
    assert "intervals of a target" not in train(tmp_path, "target: [y, y_std]", columns)


def test_the_names_are_those_that_predict_writes(tmp_path: Path) -> None:
    table = commands.table(60)
    train(tmp_path, "target: kind, features: [a, b]", table, *MEMBERS, "--run-dir", "k")
    text = run_well(tmp_path, "predict", "t.csv", "--run", "k", "--output", "-").stdout
    classes = ClassTarget(
        name="kind", label="kind", storage="text", classes=("high", "low", "middle")
    )
    assert text.splitlines()[0] == ",".join(output_names(classes, spread=True))
    numbers = RealTargets(names=("y",), labels=("y",), means=(0.0,), scales=(1.0,))
    assert output_names(numbers, spread=True, interval=True) == ["y", "y_std", "y_low", "y_high"]


# E9: rows that are in several parts.


def parts(copies: int) -> dict[str, list[object]]:
    """Return 60 distinct rows to train on, and 20 to test on, of which some are copies."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 80)).round(6)
    kinds = [["x", "y", ""][row % 3] for row in range(80)]
    y = (a - b).round(6)
    for row in range(copies):
        a[60 + row], b[60 + row], y[60 + row], kinds[60 + row] = a[row], b[row], y[row], kinds[row]
    part = ["train"] * 60 + ["test"] * 20
    return {"a": a.tolist(), "b": b.tolist(), "kind": [*kinds], "part": [*part], "y": y.tolist()}


BY_COLUMN = "target: y, split: {method: column, column: part}"
NOTE = "are the same as rows of another"


@pytest.mark.parametrize("copies", [0, 1, 7])
def test_repeated_rows_are_counted(tmp_path: Path, copies: int) -> None:
    said = train(tmp_path, BY_COLUMN, parts(copies))
    assert said.count(NOTE) == (copies > 0)
    assert not copies or f"{copies} of 20 test rows {NOTE} part" in said


def test_rows_that_differ_in_one_cell_are_not_repeated(tmp_path: Path) -> None:
    """In a feature, the target, or whether a cell is missing; what is not used does not count."""
    columns = parts(6)
    columns["a"][60] = columns["a"][60] + 1e-6  # type: ignore[operator]
    columns["y"][61] = columns["y"][61] + 1e-6  # type: ignore[operator]
    columns["kind"][62] = "" if columns["kind"][62] else "x"
    columns["id"] = [f"row {row}" for row in range(80)]
    said = train(tmp_path, f"{BY_COLUMN}, exclude: [id]", columns)
    assert f"3 of 20 test rows {NOTE}" in said


def test_repeated_rows_of_another_file_and_of_folds_are_counted(tmp_path: Path) -> None:
    columns = parts(5)
    test = {name: cells[60:] for name, cells in columns.items() if name != "part"}
    write_rows(tmp_path / "test.csv", test)
    first = {name: cells[:60] for name, cells in columns.items() if name != "part"}
    said = train(
        tmp_path, "target: y, test_path: test.csv, split: {method: random, validation: 0.1}", first
    )
    assert f"5 of 20 test rows {NOTE} part" in said
    both = {name: [*cells, *cells] for name, cells in first.items()}
    said = train(tmp_path, "target: y, split: {method: kfold, folds: 3}", both)
    (line,) = (line for line in said.splitlines() if NOTE in line)
    assert f"of 120 held-out rows {NOTE} fold" in line
    assert 60 < int(line.strip(" -").split(" ")[0]) <= 120  # few pairs are in one fold


def test_windows_of_a_series_are_no_repeated_rows(tmp_path: Path) -> None:
    assert NOTE not in train(tmp_path, "target: y, lags: 3", {"y": [0, 1, 2, 3, 4] * 20})
