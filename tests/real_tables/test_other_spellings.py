"""Categories and classes of another file that are spelled otherwise than in training."""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.commands import read_rows, refusal, run, run_well, write_rows

SMALL = "model: {type: linear}\ntrain: {epochs: 3}\ndevice: cpu\n"
WORDS = {
    "smoker": ["yes", "no"],
    "flag": ["True", "False"],
    "town": ["Zürich", "Genève", "Bern"],
    "income": ["<=50K", ">50K", "50K"],
    "grade": ["01", "02", "a"],
}


def table(rows: int) -> dict[str, Sequence[object]]:
    random = np.random.default_rng(0)
    columns = {name: random.permutation(np.resize(words, rows)) for name, words in WORDS.items()}
    x = random.normal(size=rows).round(2)
    code = np.resize([0, 1], rows)
    return {"x": x, **columns, "code": code, "y": (x + (columns["smoker"] == "yes")).round(2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run for each of three targets, all trained on `train.csv`."""
    folder = tmp_path_factory.mktemp("spellings")
    write_rows(folder / "train.csv", table(80))
    for target, kind in (("y", "auto"), ("income", "auto"), ("code", "classification")):
        keys = f"target: {target}, features: [x, smoker, flag, town, grade]"
        (folder / "a.yaml").write_text(f"data: {{path: train.csv, {keys}}}\ntask: {kind}\n{SMALL}")
        run_well(folder, "train", "--quiet", "--config", "a.yaml", "--run-dir", target)
    return folder


def put(folder: Path, rows: int, **words: Sequence[object]) -> None:
    """Write `new.csv`, with these words in place of those of each column."""
    changed = dict(table(80))
    for name, others in words.items():
        old = [str(value) for value in WORDS.get(name, [0, 1])]
        changed[name] = [others[old.index(str(value))] for value in changed[name]]
    write_rows(folder / "new.csv", {name: values[:rows] for name, values in changed.items()})


@pytest.mark.parametrize(
    ("column", "others"),
    [
        ("smoker", ["1", "0"]),
        ("smoker", ["TRUE", "FALSE"]),
        ("smoker", [" yes", " no"]),
        ("smoker", ["Yes", "No"]),
        ("flag", ["TRUE", "FALSE"]),
        ("flag", ["1", "0"]),
        ("flag", ["1.0", "0.0"]),
        ("town", ["ZÜRICH", "GENÈVE", "BERN"]),
        ("town", ["Zürich\xa0", "Genève\xa0", "Bern\xa0"]),
        ("grade", ["1", "2.0", "A"]),
    ],
)
def test_another_spelling_is_refused_with_both(
    folder: Path, column: str, others: list[str]
) -> None:
    put(folder, 5, **{column: others})
    code, line = refusal(folder, "predict", "new.csv", "--run", "y")
    assert code == 3
    here, _, there = line.partition("in training")
    assert column in here
    assert all(word in there for word in WORDS[column])
    assert any(word.replace("\xa0", "\\xa0") in here for word in others)


@pytest.mark.parametrize(
    ("target", "others"),
    [
        ("income", ["<=50K.", ">50K.", "50K."]),
        ("income", [" <=50k", " >50k", " 50k"]),
        ("code", ["No", "Yes"]),
        ("code", ["FALSE", "TRUE"]),
    ],
)
def test_classes_of_another_spelling_are_not_scored(
    folder: Path, target: str, others: list[str]
) -> None:
    put(folder, 5, **{target: others})
    code, line = refusal(folder, "evaluate", "new.csv", "--run", target, "--json")
    assert code == 3
    assert all(word.strip() in line for word in others)
    assert "in training" in line
    run_well(folder, "predict", "new.csv", "--run", target, "--output", "-")


def test_a_test_file_of_another_spelling_is_refused(folder: Path) -> None:
    put(folder, 5, income=["<=50K.", ">50K.", "50K."])
    (folder / "test.yaml").write_text(
        f"data: {{path: train.csv, test_path: new.csv, target: income}}\n{SMALL}"
    )
    code, line = refusal(folder, "train", "--config", "test.yaml")
    assert code == 3
    assert "<=50K." in line


def test_new_values_are_counted_and_named(folder: Path) -> None:
    towns = ["Basel"] * 9 + ["Chur"] * 5 + ["Olten", "Olten", "Thun", "Visp", "Wil"]
    rows = dict(table(19)) | {"town": towns}
    write_rows(folder / "new.csv", rows)
    said = run_well(folder, "predict", "new.csv", "--run", "y", "--output", "-").stderr
    (line,) = [line for line in said.splitlines() if "not seen" in line]
    assert all(text in line for text in ("town 19", "Basel × 9", "Chur × 5", "Olten × 2"))
    assert "Thun" not in line

    rows = dict(table(20)) | {"town": [*towns, "Bern"]}
    write_rows(folder / "new.csv", rows)
    assert run(folder, "predict", "new.csv", "--run", "y", "--output", "-").code == 0
    rows = dict(table(20)) | {"town": [*towns, "Zug"]}
    write_rows(folder / "new.csv", rows)
    code, line = refusal(folder, "predict", "new.csv", "--run", "y", "--output", "-")
    assert code == 3
    assert "Basel" in line
    assert "Bern" in line


def test_new_classes_are_counted_and_named(folder: Path) -> None:
    rows = dict(table(19)) | {"income": ["50M"] * 12 + ["60M"] * 7}
    write_rows(folder / "new.csv", rows)
    done = run_well(folder, "evaluate", "new.csv", "--run", "income")
    assert "50M × 12, 60M × 7" in done.stderr


def test_one_known_value_is_enough_however_late(folder: Path) -> None:
    towns = ["Basel"] * 3000 + ["Bern"]
    write_rows(folder / "new.csv", dict(table(3001)) | {"town": towns})
    assert run(folder, "predict", "new.csv", "--run", "y", "--output", "-").code == 0


def test_missing_values_are_no_other_spelling(folder: Path) -> None:
    write_rows(folder / "new.csv", dict(table(30)) | {"town": [""] * 30, "code": [""] * 30})
    assert run(folder, "predict", "new.csv", "--run", "y", "--output", "-").code == 0


def test_words_and_numbers_where_training_had_numbers(folder: Path) -> None:
    write_rows(folder / "new.csv", dict(table(4)) | {"code": ["0", "1", "yes", "no"]})
    outcome = run(folder, "evaluate", "new.csv", "--run", "code")
    assert outcome.code == 3
    assert "new.csv:4" in outcome.stderr


def test_composed_and_decomposed_values_are_the_same(folder: Path) -> None:
    put(folder, 60)
    expected = run_well(folder, "predict", "new.csv", "--run", "y", "--output", "-")
    path = folder / "new.csv"
    path.write_text(unicodedata.normalize("NFD", path.read_text()))
    assert len(read_rows(path)) == 60
    found = run_well(folder, "predict", "new.csv", "--run", "y", "--output", "-")
    assert found == expected
    scored = run_well(folder, "evaluate", "new.csv", "--run", "y", "--json")
    assert json.loads(scored.stdout)["rows"] == 60
