"""Categories: too many of them, identifiers, unseen ones, and labels that may mean the same."""

from pathlib import Path

import numpy as np
import pytest

from ml2021.config.loading import load_config_text
from ml2021.data.column_types import FeatureColumn
from ml2021.data.csv.writings import looks_missing
from ml2021.data.labels import notes_on_labels, why_identifiers
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.fit import fit_features
from ml2021.data.preprocessing.records import CategoryFeature
from ml2021.data.preprocessing.reuse import incompatibilities
from ml2021.data.preprocessing.transform import encode_inputs
from ml2021.errors import ConfigError
from ml2021.inspection.features import column_text, columns_of
from tests.commands import run_well
from tests.tables import Cell, frame_of, load, write_csv

ROWS = 400


def cities(rows: int = ROWS) -> list[Cell]:
    """Return c0 in half of the rows, c1 in a quarter, and so on: a few frequent, many rare."""
    return [f"c{int(np.log2(rows / (rows - row)))}" for row in range(rows)]


def trained(path: Path, city: list[Cell], *lines: str) -> TrainingData:
    """Return training data in which every city has an effect of its own."""
    effect = {name: len(set(city[:index])) for index, name in reversed([*enumerate(city)])}
    x = np.random.default_rng(0).normal(size=len(city)).round(3).tolist()
    y: list[Cell] = [effect[name] + value for name, value in zip(city, x, strict=True)]
    return load(write_csv(path, {"x": x, "city": city, "y": y}), "  target: y", *lines)


def category_of(data: TrainingData) -> CategoryFeature:
    (feature,) = [f for f in data.preprocessing.features if isinstance(f, CategoryFeature)]
    return feature


def test_the_rarer_categories_share_one_input() -> None:
    cells: list[Cell] = [*"bbbaaaddceef", None]
    columns = [FeatureColumn("c", "category")]
    (feature,) = fit_features(frame_of({"c": cells}), columns, np.arange(13), 4).features
    assert isinstance(feature, CategoryFeature)
    # d and e occur equally often: the first by name is kept.
    assert (feature.categories, feature.rarer) == (("a", "b", "d"), ("c", "e", "f"))
    assert feature.inputs == ("c=a", "c=b", "c=d", "c=(other)")
    shuffled = frame_of({"c": cells[::-1]})
    assert fit_features(shuffled, columns, np.arange(13), 4).features == [feature]
    (whole,) = fit_features(frame_of({"c": cells}), columns, np.arange(13), 6).features
    assert whole.inputs == tuple(f"c={value}" for value in "abcdef")


def test_only_training_rows_are_counted(tmp_path: Path) -> None:
    city: list[Cell] = [*("a" * 90 + "b" * 50 + "c" * 60 + "d" * 100)]
    lines = ("  max_categories: 2", "  split: {method: sequential, validation: 0, test: 0.4}")
    feature = category_of(trained(tmp_path / "t.csv", city, *lines))
    assert (feature.categories, feature.rarer) == (("a",), ("b", "c"))


def test_an_unseen_category_is_other_or_none(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "t.csv",
        {"x": list(range(ROWS)), "city": cities(), "y": [i % 7 for i in range(ROWS)]},
    )
    new: dict[str, list[Cell]] = {"x": [1, 2, 3, 4], "city": ["c0", "nowhere", "c7", None]}
    write_csv(tmp_path / "new.csv", new)
    predictions = {}
    for most, word in ((3, "other"), (100, "none")):
        config = f"data: {{path: t.csv, target: y, max_categories: {most}}}\ntrain: {{epochs: 3}}"
        (tmp_path / f"{word}.yaml").write_text(config)
        run_well(tmp_path, "train", "--quiet", "--config", f"{word}.yaml", "--run-dir", word)
        said = run_well(tmp_path, "predict", "new.csv", "--run", word, "--output", "-")
        assert f"not seen in training, encoded as {word}: city 1" in said.stderr
        predictions[word] = said.stdout
    same: dict[str, list[Cell]] = {"x": [1, 2, 3, 4], "city": ["c0", "c7", "nowhere", None]}
    write_csv(tmp_path / "new.csv", same)
    for word, is_same in (("other", True), ("none", False)):
        said = run_well(tmp_path, "predict", "new.csv", "--run", word, "--output", "-")
        assert (said.stdout == predictions[word]) is is_same


def test_rarer_and_unseen_categories_are_other_and_missing_ones_none(tmp_path: Path) -> None:
    data = trained(tmp_path / "t.csv", cities(), "  max_categories: 3")
    frame = frame_of({"x": [0.0] * 4, "city": ["c0", "c5", "nowhere", None]})
    encoded = encode_inputs(data.preprocessing, frame, np.arange(4))
    assert encoded.inputs[:, 1:4].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert (encoded.odd.unseen_as_other, encoded.odd.unseen) == ({"city": 1}, {})
    assert encoded.odd.missing == {"city": 1}


def test_other_is_named_wherever_a_column_is_shown(tmp_path: Path) -> None:
    data = trained(tmp_path / "t.csv", cities(), "  max_categories: 3")
    column = columns_of(data.preprocessing)[1]
    assert column.categories == ("c0", "c1", "(other)")
    assert column_text(column, np.array([0, 0, 0, 1, 1], np.float32)) == "(other)"
    assert data.preprocessing.inputs == ("x", "city=c0", "city=c1", "city=(other)")


def test_parameters_are_reused_where_the_other_run_has_an_input_for_new_categories(
    tmp_path: Path,
) -> None:
    few, many = cities(ROWS // 2), cities()
    fitted = {
        (len(city), most): trained(
            tmp_path / f"{len(city)}-{most}.csv",
            city,
            f"  max_categories: {most}",
            "  split: {method: sequential, validation: 0, test: 0}",
        ).preprocessing
        for city in (few, many)
        for most in (3, 100)
    }
    with_other, without = fitted[ROWS // 2, 3], fitted[ROWS // 2, 100]
    for own in (fitted[ROWS, 3], fitted[ROWS, 100]):
        assert incompatibilities(own, with_other) == []
        (problem,) = incompatibilities(own, without)
        assert "categories that it did not have there: 'c8'" in problem
    assert incompatibilities(with_other, without) == []


@pytest.mark.parametrize("rows", [400, 100_000])
@pytest.mark.parametrize("share", [0.6, 0.4, 1.5])
def test_identifiers_are_no_feature(rows: int, share: float) -> None:
    drawn = np.random.default_rng(14).integers(0, int(rows * share), rows)
    assert why_identifiers(frame_of({"id": [f"C{i:06d}" for i in drawn]})["id"], 100)


def test_names_of_which_many_repeat_stay_categories() -> None:
    random = np.random.default_rng(0)
    zipf = np.minimum(random.zipf(1.5, 2_000), 10**9)
    states = random.integers(0, 50, 400)
    for values in (zipf, states):
        assert why_identifiers(frame_of({"n": [f"n{i}" for i in values]})["n"], 100) is None


def test_a_column_of_identifiers_is_left_out_with_a_note(tmp_path: Path) -> None:
    random = np.random.default_rng(14)
    customers: list[Cell] = [f"C{i:04d}" for i in random.integers(0, 240, ROWS)]
    amounts, spent = random.normal(size=(2, ROWS)).round(2).tolist()
    columns: dict[str, list[Cell]] = {"customer": customers, "amount": amounts, "spend": spent}
    data = load(write_csv(tmp_path / "t.csv", columns), "  target: spend")
    assert data.preprocessing.inputs == ("amount",)
    (note,) = [note for note in data.notes if "customer" in note]
    assert "hardly any value repeats" in note
    (path,) = tmp_path.iterdir()
    whole = load(path, "  target: spend", "  types: {customer: category}")
    assert len(category_of(whole).inputs) == 100


@pytest.mark.parametrize(
    ("labels", "named", "alone"),
    [
        (["Yes", "Yes ", "yes", "No"], ["'Yes'", "'Yes '", "'yes'"], "No"),
        (["New York", "NEW\u00a0YORK", "Berlin"], ["'New York'", r"'NEW\xa0YORK'"], "Berlin"),
        (["caf\u00e9", "cafe\u0301", "bar"], [r"'caf\xe9'", r"'cafe\u0301'"], "bar"),
        (["Stra\u00dfe", "STRASSE", "Weg"], ["'Straße'", "'STRASSE'"], "Weg"),
        (["\ufeffred", "red", "blue"], [r"'\ufeffred'", "'red'"], "blue"),
    ],
)
def test_labels_that_differ_only_in_writing_are_named(
    labels: list[str], named: list[str], alone: str
) -> None:
    (note,) = notes_on_labels("churn", labels, "classes")
    assert note.startswith("churn: ")
    assert all(label in note for label in named)
    assert alone not in note.replace("Unicode", "")


def test_labels_that_look_missing_are_named() -> None:
    missing = [
        "NULL",
        "?",
        "#N/A",
        "nan",
        "-",
        "n/a",
        "<NA>",
        "none",
        " ",
        "--",
        "#VALUE!",
        "(null)",
    ]
    assert all(map(looks_missing, missing))
    assert not any(map(looks_missing, ["no", "unknown", "a-b", "N", "0", "?!", "Nancy", ""]))
    (note,) = notes_on_labels("churn", ["yes", "?", "no", "NULL"], "classes")
    assert "'?', 'NULL'" in note
    assert "data.missing" in note
    assert notes_on_labels("churn", ["yes", "no"], "classes") == []


def test_labels_of_the_target_and_of_features_are_looked_at(tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {
        "city": ["Rome", "rome", "Oslo", "?"] * 20,
        "x": list(range(80)),
        "churn": ["yes", "no", "yes ", "no", "NULL"] * 16,
    }
    data = load(write_csv(tmp_path / "t.csv", columns), "  target: churn")
    notes = "\n".join(data.notes)
    for text in ("'Rome', 'rome'", "'yes', 'yes '", "'?'", "'NULL'"):
        assert text in notes
    as_missing = load(tmp_path / "t.csv", "  target: churn", "  missing: ['', '?', 'NULL']")
    assert "'?'" not in "\n".join(as_missing.notes)


def test_other_takes_an_input_of_its_own() -> None:
    text = "data: {path: a.csv, target: y, max_categories: 1}"
    with pytest.raises(ConfigError, match=r"max_categories"):
        load_config_text(text, "c.yaml")
