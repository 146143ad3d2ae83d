"""Rows that belong together: visits of a patient, with `data.group_by`."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ml2021.data.row_notes import notes_on_entities
from tests.commands import refusal, run_well, write_rows

CONFIG = """data: {path: visits.csv, target: ill, exclude: [patient]}
train: {epochs: 15}
optimizer: {type: adamw, lr: 0.02}
"""
TRAIN = ("train", "--config", "v.yaml", "--set")
GROUPED = (*TRAIN, "data.group_by=patient")


def visits(patients: Sequence[int], first: int = 0) -> dict[str, list[object]]:
    """Return six visits of each patient, whose labels are drawn at random for each patient."""
    random = np.random.default_rng([first, len(patients)])
    names = ["patient", "ill", *(f"f{i}" for i in range(6))]
    columns: dict[str, list[object]] = {name: [] for name in names}
    for patient in patients:
        ill, means = int(random.random() < 0.5), random.normal(size=6)
        for _ in range(6):
            columns["patient"].append(f"P{patient:03d}")
            columns["ill"].append(ill)
            for i, value in enumerate(means + 0.05 * random.normal(size=6)):
                columns[f"f{i}"].append(round(float(value), 3))
    return columns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "visits.csv", visits(range(60)))
    (tmp_path / "v.yaml").write_text(CONFIG)
    return tmp_path


def accuracy(folder: Path, *keys: str) -> float:
    run = max((folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    value = json.loads((run / "summary.json").read_text())
    for key in keys:
        value = value[key]
    assert isinstance(value, float)
    return value


def test_a_patient_is_in_one_part(folder: Path) -> None:
    run_well(folder, *TRAIN, "data.split.seed=1")
    assert accuracy(folder, "scores", "test", "scores", "accuracy") > 0.9  # known by heart
    done = run_well(folder, *GROUPED)
    assert "patient: 60 groups, none divided (42 train, 6 validation, 12 test)" in done.stderr
    assert accuracy(folder, "scores", "test", "scores", "accuracy") < 0.8


def test_a_patient_is_in_one_fold(folder: Path) -> None:
    done = run_well(folder, *GROUPED, "--set", "data.split={method: kfold, folds: 5}")
    assert "patient: 60 groups, none divided between folds" in done.stderr
    assert accuracy(folder, "cross_validation", "scores", "accuracy") < 0.8


def test_patients_of_both_files_are_noted(folder: Path) -> None:
    test = visits(range(58, 70))
    write_rows(folder / "test.csv", test)
    both = (*GROUPED, "--set", "data.test_path=test.csv")
    assert "patient: 2 groups of data.test_path are also in data.path: P058, P059" in (
        run_well(folder, *both).stderr
    )
    del test["patient"]  # a test file needs no group
    write_rows(folder / "test.csv", test)
    assert "also in data.path" not in run_well(folder, *both).stderr


def test_rows_without_a_group_are_excluded(folder: Path) -> None:
    rows = visits(range(60))
    rows["patient"][5:8] = [""] * 3
    write_rows(folder / "visits.csv", rows)
    assert "3 rows excluded: no value in patient" in run_well(folder, *GROUPED).stderr


def test_a_column_that_divides_a_patient_is_refused(folder: Path) -> None:
    rows = visits(range(60))
    rows["part"] = [*["train"] * 300, *["test"] * 60]
    rows["day"] = [*range(360)]
    write_rows(folder / "visits.csv", rows)
    labels = (*GROUPED, "--set", "data.split={method: column, column: part}")
    days = (*GROUPED, "--set", "data.split={method: column, column: day, test_from: %d}")
    run_well(folder, *labels)
    run_well(folder, *days[:-1], days[-1] % 306)
    code, line = refusal(folder, *days[:-1], days[-1] % 310)
    assert code == 3
    assert "'P051'" in line
    rows["part"][307] = "train"
    write_rows(folder / "visits.csv", rows)
    code, line = refusal(folder, *labels)
    assert code == 3
    assert "'P051'" in line


def test_a_measurement_that_is_mostly_0_is_no_entity() -> None:
    import pandas as pd

    patients = pd.DataFrame({"p": [row // 4 for row in range(400)]})
    patients["y"] = patients["p"] % 2
    assert notes_on_entities(patients, ["p"], "y")
    rare = pd.DataFrame({"p": [0] * 300 + [*range(1, 101)], "y": [0] * 300 + [1] * 100})
    assert not notes_on_entities(rare, ["p"], "y")
