"""A file to predict or score that is written otherwise than the training file."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.commands import read_rows, refusal, run_well, write_rows

SMALL = "model: {type: relu_stack, widths: [4]}\ntrain: {epochs: 3}\ndevice: cpu\n"
NAME = "größe"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run, trained on `train.csv` with semicolons, and `plain.csv`."""
    folder = tmp_path_factory.mktemp("format")
    x = np.random.default_rng(0).normal(size=60).round(2)
    write_rows(folder / "comma.csv", {NAME: x.tolist(), "y": (2 * x).round(2).tolist()})
    text = (folder / "comma.csv").read_text()
    (folder / "train.csv").write_text(text.replace(",", ";"))
    (folder / "a.yaml").write_text(f"data: {{path: train.csv, target: y, separator: ;}}\n{SMALL}")
    run_well(folder, "train", "--quiet", "--config", "a.yaml", "--run-dir", "run")
    run_well(folder, "predict", "train.csv", "--run", "run", "--output", "expected.csv")
    return folder


def predict(folder: Path, *options: str) -> list[dict[str, str]]:
    run_well(folder, "predict", *options, "--run", "run", "--output", "out.csv")
    return read_rows(folder / "out.csv")


def test_the_remedy_of_predict_is_what_it_takes(folder: Path) -> None:
    code, line = refusal(folder, "predict", "comma.csv", "--run", "run")
    remedy = "--set 'data.separator=\",\"'"
    assert code == 3
    assert line.endswith(f"use {remedy}")
    assert predict(folder, "comma.csv", "--set", 'data.separator=","') == read_rows(
        folder / "expected.csv"
    )


def test_evaluate_takes_it_too(folder: Path) -> None:
    code, line = refusal(folder, "evaluate", "comma.csv", "--run", "run", "--json")
    assert code == 3
    assert "--set" in line
    scores = [
        json.loads(run_well(folder, "evaluate", *args, "--run", "run", "--json").stdout)["scores"]
        for args in (("train.csv",), ("comma.csv", "--set", 'data.separator=","'))
    ]
    assert scores[0] == scores[1]


def test_train_is_told_of_the_key(folder: Path) -> None:
    code, line = refusal(folder, "train", "--config", "a.yaml", "--set", "data.path=comma.csv")
    assert code == 3
    assert line.endswith('set data.separator: ","')


def test_other_marks_encodings_and_missing_values(folder: Path) -> None:
    expected = read_rows(folder / "expected.csv")
    text = (folder / "train.csv").read_text()
    (folder / "latin.csv").write_text(text, encoding="latin-1")
    assert predict(folder, "latin.csv", "--set", "data.encoding=latin-1") == expected
    (folder / "marks.csv").write_text(text.replace(".", ","))
    assert predict(folder, "marks.csv", "--set", 'data.decimal=","') == expected
    (folder / "gaps.csv").write_text(f"{NAME};y\n?;1\n")
    (folder / "empty.csv").write_text(f"{NAME};y\n;1\n")
    missing = predict(folder, "gaps.csv", "--set", "data.missing=['?']")
    assert missing == predict(folder, "empty.csv")


def test_two_accented_letters_in_a_row_are_not_taken_for_chinese(folder: Path) -> None:
    (folder / "latin.csv").write_text((folder / "train.csv").read_text(), encoding="latin-1")
    _, line = refusal(folder, "predict", "latin.csv", "--run", "run")
    assert "Latin-1" in line
    assert line.endswith("--set data.encoding=latin-1")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_only_the_format_can_be_set(folder: Path, command: str) -> None:
    code, line = refusal(folder, command, "comma.csv", "--run", "run", "--set", "data.target=x")
    assert code == 2
    assert all(f"data.{key}" in line for key in ("separator", "decimal", "encoding", "missing"))


def test_the_rows_of_the_run_itself_are_written_as_they_were(folder: Path) -> None:
    code, _ = refusal(folder, "evaluate", "--run", "run", "--set", "data.separator=,")
    assert code == 2
