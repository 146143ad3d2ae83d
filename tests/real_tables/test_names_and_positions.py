"""Columns of another file: matched by name, whatever its Unicode form, or by position."""

import json
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.commands import read_rows, refusal, run_well

NAMES: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
CONFIG = "data: {{path: {form}.csv, target: énergie, features: ['temp*ture'], order_by: jour}}\n"
SMALL = "model: {type: relu_stack, widths: [4]}\ntrain: {epochs: 3}\ndevice: cpu\n"
RUNS = {
    "first": "target: 0, exclude: [4]",
    "middle": "target: 2, exclude: [0]",
    "several": "target: [1, 3]",
    "split": "target: 3, split: {method: column, column: 4, validation_from: 6, test_from: 8}",
    "series": "target: 2, features: [1], order_by: 0, lags: 2",
}
TARGETS = {"first": [0], "middle": [2], "several": [1, 3], "split": [3], "series": [2]}


def write(path: Path, rows: np.ndarray, columns: list[int], header: str = "") -> Path:
    lines = [",".join(f"{row[i]:g}" for i in columns) for row in rows]
    path.write_text("\n".join([*([header] if header else []), *lines, ""]))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run for each of RUNS, on a table of five columns without a header."""
    folder = tmp_path_factory.mktemp("headerless")
    table = np.random.default_rng(0).normal(size=(60, 5)).round(3)
    table[:, 0], table[:, 4] = np.arange(60), np.arange(60) % 10
    write(folder / "train.csv", table, [*range(5)])
    for name, keys in RUNS.items():
        text = f"data: {{path: train.csv, header: false, {keys}}}\n{SMALL}"
        (folder / f"{name}.yaml").write_text(text)
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
        others = [i for i in range(5) if i not in TARGETS[name]]
        write(folder / f"without_{name}.csv", table, others)
        write(folder / f"fewer_{name}.csv", table, others[1:])
    write(folder / "more.csv", table, [0, 1, 2, 3, 4, 4])
    write(folder / "named.csv", table, [*range(5)], "a,b,c,d,e")
    return folder


def predict(folder: Path, csv: str, run: str, *options: str) -> list[dict[str, str]]:
    run_well(folder, "predict", csv, "--run", run, "--output", "out.csv", *options)
    return read_rows(folder / "out.csv")


@pytest.mark.parametrize("run", ["first", "middle", "several", "split"])
def test_without_the_targets_the_predictions_are_the_same(folder: Path, run: str) -> None:
    assert predict(folder, f"without_{run}.csv", run) == predict(folder, "train.csv", run)


@pytest.mark.parametrize("run", RUNS)
def test_another_number_of_columns_is_refused(folder: Path, run: str) -> None:
    for csv in (f"fewer_{run}.csv", "more.csv"):
        code, line = refusal(folder, "predict", csv, "--run", run)
        assert code == 3
        assert "the training file has 5" in line
        assert all(str(target) in line for target in TARGETS[run])


def test_scores_and_histories_need_the_target(folder: Path) -> None:
    for command, run in (("evaluate", "middle"), ("predict", "series")):
        code, line = refusal(folder, command, f"without_{run}.csv", "--run", run)
        assert code == 3
        assert "is missing" in line
        assert "column 2" in line


def test_a_header_in_one_of_the_files_does_not_change_the_columns(folder: Path) -> None:
    options = ("--set", "data.header=true")
    assert predict(folder, "named.csv", "middle", *options) == predict(
        folder, "train.csv", "middle"
    )
    (folder / "named.yaml").write_text(f"data: {{path: named.csv, target: c}}\n{SMALL}")
    run_well(folder, "train", "--quiet", "--config", "named.yaml", "--run-dir", "named")
    expected = predict(folder, "named.csv", "named")
    for csv in ("train.csv", "without_middle.csv"):
        assert predict(folder, csv, "named", "--set", "data.header=false") == expected
    code, _ = refusal(folder, "predict", "more.csv", "--run", "named", "--set", "data.header=false")
    assert code == 3


def test_composed_and_decomposed_names_are_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = np.column_stack([np.arange(40), random.normal(size=(40, 2)).round(3)])
    header = {form: unicodedata.normalize(form, "jour,température,énergie") for form in NAMES}
    for form in NAMES:
        write(tmp_path / f"{form}.csv", table, [0, 1, 2], header[form])
    expected = None
    for trained, other in zip(NAMES, NAMES[::-1], strict=True):
        config = unicodedata.normalize(other, CONFIG.format(form=trained))
        (tmp_path / "a.yaml").write_text(config + SMALL)
        run_well(tmp_path, "train", "--quiet", "--config", "a.yaml", "--run-dir", trained)
        own = predict(tmp_path, f"{trained}.csv", trained)
        assert predict(tmp_path, f"{other}.csv", trained) == own
        assert expected in (None, own)
        expected = own
        scores = run_well(tmp_path, "evaluate", f"{other}.csv", "--run", trained, "--json")
        assert json.loads(scores.stdout)["rows"] == 40
        carried = unicodedata.normalize(trained, "température")
        assert len(predict(tmp_path, f"{other}.csv", trained, "--id", carried)) == 40
