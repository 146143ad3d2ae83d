"""Inputs that are the same in all training rows: nothing determines their weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ml2021.data.load import TrainingData
from ml2021.inspection.features import images
from ml2021.runs.directory import RunDirectory
from tests.commands import read_rows, refusal, run_well
from tests.tables import Cell, load, write_csv

ROWS = 120
SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3, early_stopping: null}\n"


def columns(**more: Sequence[Cell]) -> dict[str, Sequence[Cell]]:
    x = np.random.default_rng(0).normal(size=ROWS).round(3)
    return {"x": x.tolist(), **more, "y": (5 * x + 2).round(3).tolist()}


def late(before: Cell, after: Sequence[Cell]) -> list[Cell]:
    """Return `before` in the first 90 rows, then `after` repeated."""
    return [before] * 90 + [after[row % len(after)] for row in range(30)]


CONSTANT: dict[str, Sequence[Cell]] = {
    "number": late(0, [40, 50]),
    "text": late("none", ["summer", "winter"]),
    "empty": late(None, [418, 430]),
    "empty text": late(None, ["a", "b"]),
    "known in part": [None, *late(3, [900, 3, 5])[1:]],
}


def loaded(path: Path, table: dict[str, Sequence[Cell]], *lines: str) -> TrainingData:
    split = "  split: {method: sequential, validation: 0.1, test: 0.25}"
    return load(write_csv(path, table), "  target: y", split, *lines)


def test_no_prediction_depends_on_them(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", columns(**CONSTANT))
    (tmp_path / "c.yaml").write_text(
        f"data: {{path: t.csv, target: y, split: {{method: sequential, test: 0.25}}}}\n{SMALL}"
    )
    run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "run")
    # In the first file as in training, in the second as later, in the third only what is needed.
    tables: list[dict[str, Sequence[Cell]]] = [
        {name: [cells[at]] for name, cells in CONSTANT.items()} for at in (1, 90)
    ]
    tables.append({"known in part": [1e30]})
    outputs = []
    for table in tables:
        write_csv(tmp_path / "new.csv", {"x": [0.5], **table})
        outcome = run_well(tmp_path, "predict", "new.csv", "--run", "run", "--output", "p.csv")
        outputs.append(read_rows(tmp_path / "p.csv"))
        assert ("does not use: number, text, " in outcome.stderr) == ("number" in table)
    assert outputs == [outputs[0]] * 3


@pytest.mark.parametrize("kind", [kind for kind in CONSTANT if kind != "known in part"])
def test_it_scores_as_if_it_was_excluded(tmp_path: Path, kind: str) -> None:
    with_column = loaded(tmp_path / "t.csv", columns(c=CONSTANT[kind]))
    without = loaded(tmp_path / "t.csv", columns(c=CONSTANT[kind]), "  exclude: [c]")
    for split, samples in without.splits.items():
        assert with_column.splits[split].inputs.tobytes() == samples.inputs.tobytes()
    (note,) = [note for note in with_column.notes if note.startswith("excluded: c ")]
    assert "training rows" in note
    assert "c" in with_column.unused


def test_folds_keep_their_inputs_and_feed_constant_ones_as_0(tmp_path: Path) -> None:
    """Rare values, each in one fold, so that the others' training rows may lack them."""
    flag: list[Cell] = [None if row == 11 else row % 10 for row in range(ROWS)]
    text: list[Cell] = ["odd" if row == 5 else "even" if row % 2 else "zero" for row in range(ROWS)]
    table = write_csv(tmp_path / "t.csv", columns(flag=flag, text=text))
    data = load(table, "  target: y", "  split: {method: kfold, folds: 5}")
    names = data.preprocessing.inputs
    assert {"flag is missing", "text=odd"} < set(names)
    assert data.folds is not None
    zeroed = set()
    for index in range(len(data.folds)):
        fold = data.folds.load(index)
        constant = np.ptp(fold.train.inputs[:, :-1], axis=0) == 0
        zeroed |= {names[place] for place in np.flatnonzero(constant)}
        for samples in (fold.train, fold.validation, fold.held_out):
            assert samples.inputs.shape[1] == len(names) + 1
            assert not samples.inputs[:, :-1][:, constant].any()
        again = data.folds.held_out(index)[1]
        assert again.inputs.tobytes() == fold.held_out.inputs.tobytes()
    assert zeroed == {"flag is missing", "text=odd"}


def test_a_lag_that_is_constant_is_left_out(tmp_path: Path) -> None:
    """A series that begins to move late: what lies far back is one value for all training rows."""
    y: list[Cell] = [*([0] * 10), *(row % 4 + row % 3 for row in range(1, 9))]
    data = load(
        write_csv(tmp_path / "t.csv", {"t": list(range(len(y))), "y": y}),
        "  target: y",
        "  features: []",
        "  lags: 6",
        "  split: {method: sequential, validation: 0.17, test: 0.25}",
    )
    history = data.preprocessing.history
    assert history is not None
    assert (history.lags, history.used) == (6, (1, 2))
    assert data.preprocessing.inputs == ("y−1", "y−2")
    assert data.train.inputs[:, 0].tolist() != data.train.inputs[:, 1].tolist()
    assert any(note.startswith("excluded: y−3, y−4, y−5, y−6 ") for note in data.notes)
    assert np.ptp(data.train.inputs[:, :-1], axis=0).all()


def test_without_any_input_left_it_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", {"c": [4] * ROWS, "y": list(range(ROWS))})
    (tmp_path / "c.yaml").write_text("data: {path: t.csv, target: y}\n")
    code, line = refusal(tmp_path, "train", "--quiet", "--config", "c.yaml")
    assert code == 3
    assert "constant" in line
    assert not RunDirectory(tmp_path / "runs").path.exists()


def test_constant_pixels_keep_their_places_in_images(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, size=(ROWS, 16))
    pixels[:, [0, 1, 6, 15]] = [0, 5, 9, 255]
    table: dict[str, Sequence[Cell]] = {f"pixel_{i}": pixels[:, i].tolist() for i in range(16)}
    path = write_csv(tmp_path / "t.csv", {**table, "y": list(range(ROWS))})
    data = load(path, "  target: y")
    assert len(data.preprocessing.inputs) == 12
    shown = images(data.preprocessing, data.train.inputs)
    expected = pixels[data.split.train].reshape(-1, 4, 4)
    assert np.abs(shown - expected).max() < 1e-3
