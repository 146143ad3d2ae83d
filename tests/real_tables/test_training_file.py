"""Scores on rows that were trained on, of folds, and of columns with missing values."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ml2021
from tests.commands import read_rows, run_well, text_of, write_rows

SMALL = "model: {type: linear}\ntrain: {epochs: 3}\ndevice: cpu\n"
KEYS = "path: train.csv, target: y"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run and a run with folds, on 90 rows, 9 of them without x2."""
    folder = tmp_path_factory.mktemp("training_file")
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 2)).round(3)
    gaps = ["" if row % 10 == 0 else value for row, value in enumerate(x[:, 1])]
    columns = {"x1": x[:, 0], "x2": gaps, "y": (x.sum(axis=1) + 0.1).round(3)}
    write_rows(folder / "train.csv", columns)
    write_rows(folder / "new.csv", {name: random.normal(size=30).tolist() for name in columns})
    for name, split in (("run", "{}"), ("folds", "{method: kfold, folds: 3}")):
        (folder / f"{name}.yaml").write_text(f"data: {{{KEYS}, split: {split}}}\n{SMALL}")
        arguments = ("train", "--config", f"{name}.yaml", "--run-dir", name)
        said = run_well(folder, *arguments, with_report=name == "folds").stderr
        (folder / f"{name}.txt").write_text(said)
    return folder


def notes(folder: Path, csv: str, run: str = "run") -> str:
    return run_well(folder, "evaluate", csv, "--run", run).stderr


def test_the_training_file_is_recognised(folder: Path) -> None:
    assert "this is the training file; only 18 of its 90 rows" in notes(folder, "train.csv")
    assert "this is the training file" in notes(folder, "train.csv", "folds")
    predicted = run_well(folder, "predict", "train.csv", "--run", "run", "--output", "-")
    assert "training file" in predicted.stderr
    assert "training file" not in notes(folder, "new.csv")
    for run in ("run", "folds"):
        scored = run_well(folder, "evaluate", "train.csv", "--run", run).stdout
        assert "Training rows are among these" in scored.splitlines()[-1]
    assert "Training" not in run_well(folder, "evaluate", "new.csv", "--run", "run").stdout
    assert "Training" not in run_well(folder, "evaluate", "--run", "run").stdout


def test_the_file_of_the_data_frame_that_was_trained_on_is_recognised(folder: Path) -> None:
    frame = pd.read_csv(folder / "train.csv")
    config = {"data": {"target": "y"}, "model": "linear", "train": {"epochs": 3}, "device": "cpu"}
    ml2021.train(config, frame, folder / "framed")
    scored = run_well(folder, "evaluate", "train.csv", "--run", "framed")
    assert "trained on; only 18 of its 90 rows were held out" in scored.stderr
    assert "Training rows are among these" in scored.stdout
    json_of = run_well(folder, "evaluate", "train.csv", "--run", "framed", "--json").stdout
    assert json.loads(json_of)["training_rows"] is True
    scored = run_well(folder, "evaluate", "new.csv", "--run", "framed")
    assert "trained on" not in scored.stderr
    assert "Training" not in scored.stdout


def test_rows_of_the_training_file_are_recognised(folder: Path) -> None:
    rows = read_rows(folder / "train.csv")
    mixed = [*rows[:40], *read_rows(folder / "new.csv")]
    write_rows(folder / "mixed.csv", {name: [row[name] for row in mixed] for name in rows[0]})
    said = notes(folder, "mixed.csv")
    (found,) = re.findall(r"were not held out: (\d+) of 70", said)
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert 40 - summary["split"]["test"] <= int(found) <= 40

    (folder / "train.csv").rename(folder / "elsewhere.csv")
    try:
        assert "held out" not in notes(folder, "mixed.csv")
    finally:
        (folder / "elsewhere.csv").rename(folder / "train.csv")


def test_rows_that_are_alike_by_chance_are_not_taken_for_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, rows in (("train", 200), ("new", 60)):
        flags = random.integers(0, 2, (rows, 2))
        a, b = flags.T.tolist()
        write_rows(tmp_path / f"{name}.csv", {"a": a, "b": b, "y": a})
    (tmp_path / "a.yaml").write_text(f"data: {{{KEYS}}}\n{SMALL}")
    run_well(tmp_path, "train", "--quiet", "--config", "a.yaml", "--run-dir", "run")
    assert "held out" not in notes(tmp_path, "new.csv")


def test_folds_have_one_score(folder: Path) -> None:
    said = (folder / "folds.txt").read_text()
    (with_error,) = re.findall(r"^network +([\d.,]+) ±", said, re.MULTILINE)
    (alone,) = re.findall(r"^held-out +([\d.,]+) ", said, re.MULTILINE)
    assert with_error == alone
    report = text_of(folder / "folds" / "report.html")
    assert "90 in 3 folds, each row held out once" in report
    assert "90 train, 90 held-out" not in report


def test_how_many_values_are_missing_is_said(folder: Path) -> None:
    assert re.search(r"missing .*: x2 \(9\)", (folder / "folds.txt").read_text())
    report = text_of(folder / "folds" / "report.html")
    assert re.search(r"9 missing, filled with -?[\d.]+, and a flag column", report)
