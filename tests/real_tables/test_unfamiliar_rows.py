"""Validation and test rows with values that training has not seen: counted, and looked at first."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.commands import run_well
from tests.tables import Cell, load, write_csv

ROWS = 200


def table(path: Path) -> Path:
    random = np.random.default_rng(0)
    t = np.arange(ROWS)
    x = random.normal(size=ROWS).round(3)
    y = 50 + 0.3 * t + 5 * x + np.maximum(0, t - 140) ** 2 * 0.05
    kind: list[Cell] = ["new" if row >= 150 else "ab"[row % 2] for row in range(ROWS)]
    columns: dict[str, Sequence[Cell]] = {
        "t": t.tolist(),
        "x": x.tolist(),
        "kind": kind,
        "y": y.round(3).tolist(),
    }
    return write_csv(path, columns)


def test_they_are_counted_for_validation_and_test_rows(tmp_path: Path) -> None:
    split = "  split: {method: sequential, validation: 0.1, test: 0.3}"
    data = load(table(tmp_path / "t.csv"), "  target: y", split)
    for name, rows, new in (("validation", 20, 0), ("test", 60, 50)):
        (outside,) = [n for n in data.notes if n.startswith(f"{name} rows with values outside")]
        assert f"t {rows}" in outside
        assert f"of {rows}" in outside
        unseen = [n for n in data.notes if n.startswith(f"{name} rows with categories not seen")]
        assert len(unseen) == (new > 0)
        assert all(f"kind {new}" in note for note in unseen)


@pytest.mark.parametrize("method", ["sequential", "random"])
def test_they_explain_a_gap_before_overfitting_does(tmp_path: Path, method: str) -> None:
    table(tmp_path / "t.csv")
    (tmp_path / "c.yaml").write_text(
        f"data: {{path: t.csv, target: y, split: {{method: {method}, test: 0.3}}}}\n"
        "preset: fast\ntrain: {epochs: 60}\noptimizer: {lr: 0.01}\n"
    )
    outcome = run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "run")
    (found,) = [line for line in outcome.stderr.splitlines() if "training rows and" in line][:1]
    assert found.startswith("Mismatch: ") == (method == "sequential")
    assert ("of t outside the training range" in found) == (method == "sequential")
