"""data.numbers: auto chooses by held-out training rows, once, and the run keeps the choice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml2021.config import schema
from ml2021.config.loading import load_config
from ml2021.training.numbers import choose_numbers
from tests.commands import read_rows, run_well
from tests.tables import load, write_csv

ROWS = 400
Maker = Callable[[np.random.Generator, int], dict[str, list[float]]]


def bent(random: np.random.Generator, rows: int) -> dict[str, list[float]]:
    """Return a target that jumps where x does: pieces find it at once."""
    x = random.uniform(0, 10, rows).round(3)
    y = np.sin(4 * x) + (x > 5) + random.normal(size=rows) / 20
    return {"x": x.tolist(), "y": y.tolist()}


def straight(random: np.random.Generator, rows: int) -> dict[str, list[float]]:
    """Return a target that is linear in many columns: pieces only add noise."""
    x = random.normal(size=(rows, 12)).round(3)
    y = x @ random.normal(size=12) + random.normal(size=rows)
    return {**{f"c{i}": x[:, i].tolist() for i in range(12)}, "y": y.tolist()}


@pytest.mark.parametrize(("make", "chosen"), [(bent, "piecewise"), (straight, "standardise")])
def test_the_better_encoding_is_chosen(tmp_path: Path, make: Maker, chosen: str) -> None:
    path = write_csv(tmp_path / "t.csv", make(np.random.default_rng(0), ROWS))
    data = load(path, "  target: y", "  numbers: auto")
    found = choose_numbers(data)
    assert found.config.data.numbers.type == chosen
    assert "data.numbers: auto" in found.notes[-1]
    plain = load(path, "  target: y", f"  numbers: {chosen}")
    assert found.preprocessing == plain.preprocessing
    assert np.array_equal(found.train.inputs, plain.train.inputs)
    assert found.config.data == plain.config.data
    assert choose_numbers(found) is found


def test_neither_validation_nor_test_rows_are_looked_at(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", bent(np.random.default_rng(0), ROWS))
    data = load(path, "  target: y", "  numbers: auto")
    spoiled = [replace(each, targets=each.values + 1e6) for each in (data.validation, data.test)]
    other = choose_numbers(replace(data, validation=spoiled[0], test=spoiled[1]))
    assert other.notes == choose_numbers(data).notes


def test_a_table_without_pieces_is_standardised_without_a_trial(tmp_path: Path) -> None:
    columns = {"c": ["p", "q"] * 30, "y": np.arange(60.0).tolist()}
    data = choose_numbers(
        load(write_csv(tmp_path / "t.csv", columns), "  target: y", "  numbers: auto")
    )
    assert isinstance(data.config.data.numbers, schema.Standardise)
    assert not any("data.numbers" in note for note in data.notes)


@pytest.mark.parametrize(("rows", "is_tried"), [(39, False), (40, True)])
def test_too_few_rows_to_tell_are_standardised_without_a_trial(
    tmp_path: Path, rows: int, is_tried: bool
) -> None:
    path = write_csv(tmp_path / "t.csv", bent(np.random.default_rng(0), rows))
    data = load(path, "  target: y", "  numbers: auto", "  split: {validation: 0, test: 0}")
    found = choose_numbers(data)
    assert ("in a trial on held-out" in found.notes[-1]) is is_tried
    assert is_tried or found.config.data.numbers == schema.Standardise()
    assert is_tried or "at least 40 training rows, and there are 39" in found.notes[-1]


def test_a_run_keeps_the_choice_and_a_resume_holds_to_it(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", bent(np.random.default_rng(0), ROWS))
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y, numbers: auto}\npreset: fast\n"
        "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\n"
    )
    assert (
        "data.numbers: auto"
        in run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r").stderr
    )
    assert (
        load_config(tmp_path / "r" / "config.resolved.yaml").config.data.numbers.type == "piecewise"
    )
    (tmp_path / "r" / "summary.json").unlink()
    run_well(tmp_path, "train", "--resume", "r")
    run_well(tmp_path, "evaluate", "--run", "r")


def test_a_sweep_decides_once_for_all_its_runs(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", bent(np.random.default_rng(0), ROWS))
    (tmp_path / "s.yaml").write_text(
        "data: {path: t.csv, target: y}\npreset: default\n"
        "train: {epochs: 2}\n"
        "sweep: {grid: {seed: [0, 1], model: [{type: relu_stack, widths: [4]}, linear]}}\n"
    )
    run_well(tmp_path, "sweep", "--config", "s.yaml", "--run-dir", "s", "--jobs", "2")
    rows = read_rows(tmp_path / "s" / "sweep.csv")
    sizes = {(row["model"].startswith("linear"), row["parameters"]) for row in rows}
    # one network a run, in pieces for the stack alone: x and 16 pieces to 4 units, and x to 1
    assert sizes == {(False, str(18 * 4 + 5)), (True, "2")}
