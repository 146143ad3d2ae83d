"""What is learned from training rows, how it is applied, and files that are not the training file.

The expected numbers are worked out by hand or with Python's `statistics` and `fractions`.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from ml2021.data.column_types import FeatureColumn
from ml2021.data.csv.headers import TableFormat
from ml2021.data.load import TrainingData
from ml2021.data.new_table import read_new_table
from ml2021.data.preprocessing import fit as fitting
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    History,
    NumberFeature,
    Preprocessing,
    RealTargets,
    Source,
    value_text,
)
from ml2021.data.preprocessing.transform import Encoded, encode_classes, encode_inputs
from ml2021.data.samples import FittedTable
from ml2021.errors import ConfigError, DataError
from tests.tables import Cell, frame_of, load, write_csv

Columns = Mapping[str, Sequence[Cell]]
Feature = NumberFeature | CategoryFeature
TARGET = RealTargets(names=("y",), labels=("y",), means=(0.0,), scales=(1.0,))


def fit(
    columns: Columns, rows: Sequence[int], group: str | None = None, **kinds: str
) -> tuple[list[Feature], list[str]]:
    features = [
        FeatureColumn(name, "category")
        if kinds.get(name) == "category"
        else FeatureColumn(name, "number", group)
        for name in columns
    ]
    return fitting.fit_features(frame_of(columns), features, np.array(rows))


def number(columns: Columns, rows: Sequence[int]) -> NumberFeature:
    (feature,), _ = fit(columns, rows)
    assert isinstance(feature, NumberFeature)
    return feature


def category(cells: Sequence[Cell], rows: Sequence[int]) -> CategoryFeature:
    (feature,), _ = fit({"c": cells}, rows, c="category")
    assert isinstance(feature, CategoryFeature)
    return feature


def encode(features: Sequence[Feature], columns: Columns) -> Encoded:
    preprocessing = Preprocessing(
        task="regression", features=tuple(features), history=None, target=TARGET, sources={}
    )
    frame = frame_of(columns)
    return encode_inputs(preprocessing, frame, np.arange(len(frame)))


def test_statistics_of_a_number_by_hand() -> None:
    feature = number({"x": [1.0, 99.0, 2.0, None, 6.0]}, [0, 2, 3, 4])
    assert feature == NumberFeature(
        name="x",
        mean=3.0,
        scale=math.sqrt((4 + 1 + 9) / 3),
        fill=2.0,
        has_indicator=True,
        minimum=1.0,
        maximum=6.0,
    )


def test_other_rows_than_training_rows_teach_nothing() -> None:
    columns: dict[str, list[Cell]] = {"x": [1.5, 2, 3, 4], "c": ["a", "b", "a", "b"]}
    changed: dict[str, list[Cell]] = {"x": [1.5, 2, 1e9, None], "c": ["a", "b", "z", None]}
    before, after = fit(columns, [0, 1], c="category"), fit(changed, [0, 1], c="category")
    assert before == after
    assert fit(changed, [0, 1, 2], c="category") != before
    grouped = fit({"p0": [1, 2, 3], "p1": [4, 6, 8]}, [0, 1], group="p")
    assert grouped == fit({"p0": [1, 2, 250], "p1": [4, 6, None]}, [0, 1], group="p")


def test_a_large_mean_with_a_tiny_variance() -> None:
    cells = [1e9 + step / 1024 for step in (0, 1, 2, 3, 5)]
    columns: Columns = {"x": cells}
    feature = number(columns, range(5))
    exact = [Fraction(cell) for cell in cells]
    assert feature.mean == float(statistics.fmean(exact))
    assert feature.scale == pytest.approx(statistics.pstdev(exact), rel=1e-6)
    inputs = encode([feature], columns).inputs[:, 0]
    assert float(inputs.std()) == pytest.approx(1, abs=1e-5)
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("value", [0.1, 7, 1e9 + 0.1])
def test_a_constant_column_has_scale_1_and_a_note(value: float) -> None:
    columns: Columns = {"x": [value, value, value, 5], "z": [1, 2, 3, 4]}
    (feature, _), notes = fit(columns, [0, 1, 2])
    assert isinstance(feature, NumberFeature)
    assert (feature.mean, feature.scale) == (value, 1.0)
    assert notes == ["constant in the training rows: x"]


def test_a_column_without_training_values() -> None:
    (feature,), notes = fit({"x": [None, None, 5.0]}, [0, 1])
    assert feature == NumberFeature(
        name="x", mean=0.0, scale=1.0, fill=0.0, has_indicator=True, minimum=0.0, maximum=0.0
    )
    assert notes == ["constant in the training rows: x"]
    assert number({"x": [None, 5.0]}, [0]).has_indicator


def test_whole_numbers_that_float32_cannot_hold_get_a_note() -> None:
    _, notes = fit({"id": [0, 2**24 + 1], "ok": [0, 2**24], "part": [0.5, 2.0**30]}, [0, 1])
    assert notes == ["id: whole numbers this far apart lose digits in float32"]


def test_a_missing_number_is_the_median_and_flagged_where_training_had_any() -> None:
    flagged = number({"x": [1, 2, None, 30, 40]}, range(5))
    plain = number({"x": [1, 2, 16, 30, 40]}, range(5))
    assert (flagged.fill, plain.fill) == (16.0, 16.0)
    assert flagged.inputs == ("x", "x is missing")
    assert plain.inputs == ("x",)
    encoded = encode([flagged], {"x": [None, 30]})
    filled = np.float32((16.0 - flagged.mean) / flagged.scale)
    assert encoded.inputs[0].tolist() == [filled, 1, 1]
    assert encoded.inputs[1, 1:].tolist() == [0, 1]
    encoded = encode([plain], {"x": [None, None, 30]})
    assert encoded.inputs.shape == (3, 2)
    assert encoded.inputs[0, 0] == np.float32((16.0 - plain.mean) / plain.scale)
    assert encoded.missing == {"x": 2}
    assert encoded.notes() == ["missing values filled (a category: none of them): x 2"]


def test_values_outside_the_training_range_are_counted() -> None:
    feature = number({"x": [1, 2, 3]}, range(3))
    encoded = encode([feature], {"x": [0.9, 1, 3, 3.1, 50, None]})
    assert encoded.outside == {"x": 3}
    assert "values outside the range of the training rows: x 3" in encoded.notes()


def test_categories_of_text_are_sorted_and_come_from_training_rows() -> None:
    feature = category(["b", "a", None, "B", "", "c"], [0, 1, 2, 3, 4])
    assert feature == CategoryFeature(name="c", storage="text", categories=("", "B", "a", "b"))
    assert feature.inputs == ("c=", "c=B", "c=a", "c=b")


def test_categories_of_numbers_are_sorted_as_numbers() -> None:
    feature = category([10, 9, None, 10, 2.5], range(5))
    assert feature == CategoryFeature(name="c", storage="number", categories=(2.5, 9.0, 10.0))
    assert feature.inputs == ("c=2.5", "c=9", "c=10")


def test_one_hot_by_hand() -> None:
    text = CategoryFeature(name="t", storage="text", categories=("no", "yes"))
    numbers = CategoryFeature(name="n", storage="number", categories=(0.0, 1.0))
    encoded = encode(
        [text, numbers], {"t": ["yes", "no", "maybe", None, "YES"], "n": [1, 0, 2, None, 1.0]}
    )
    assert encoded.inputs.tolist() == [
        [0, 1, 0, 1, 1],
        [1, 0, 1, 0, 1],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1],
    ]
    assert encoded.missing == {"t": 1, "n": 1}
    assert encoded.unseen == {"t": 2, "n": 1}
    assert encoded.notes() == [
        "missing values filled (a category: none of them): t 1, n 1",
        "categories never seen in training, encoded as none: t 2, n 1",
    ]


def test_a_category_without_training_values_is_no_input() -> None:
    feature = category([None, None, "a"], [0, 1])
    assert feature.inputs == ()
    x = number({"x": [1, 3]}, [0, 1])
    encoded = encode([x, feature], {"x": [1, 3], "c": ["a", None]})
    assert encoded.inputs.tolist() == [[-1, 1], [1, 1]]
    assert (encoded.missing, encoded.unseen) == ({"c": 1}, {"c": 1})


def test_inputs_are_float32_with_a_last_column_of_ones_and_in_the_order_of_features() -> None:
    columns: dict[str, list[Cell]] = {"x": [1, 3], "c": ["u", "v"], "z": [None, 8]}
    features, _ = fit(columns, [0, 1], c="category")
    encoded = encode(features, columns)
    assert encoded.inputs.dtype == np.float32
    assert encoded.inputs.tolist() == [[-1, 1, 0, 0, 1, 1], [1, 0, 1, 0, 0, 1]]


def test_rows_are_encoded_one_by_one_as_together() -> None:
    columns: dict[str, list[Cell]] = {"x": [1, 3, None, 7.5], "c": ["u", "v", None, "w"]}
    features, _ = fit(columns, [0, 1, 2], c="category")
    preprocessing = Preprocessing(
        task="regression", features=tuple(features), history=None, target=TARGET, sources={}
    )
    frame = frame_of(columns)
    together = encode_inputs(preprocessing, frame, np.array([3, 0, 2, 1])).inputs
    for place, row in enumerate([3, 0, 2, 1]):
        alone = encode_inputs(preprocessing, frame, np.array([row])).inputs
        assert alone.tobytes() == together[place : place + 1].tobytes()


def test_pixels_share_one_scale_and_keep_their_means() -> None:
    columns: dict[str, list[Cell]] = {"p0": [0, 2], "p1": [10, 24], "p2": [5, 5], "p3": [None, 4]}
    features, notes = fit(columns, [0, 1], group="p")
    scale = math.sqrt((1 + 49 + 0 + 0) / 4)
    numbers = [f for f in features if isinstance(f, NumberFeature)]
    assert [f.scale for f in numbers] == [scale] * 4
    assert [f.mean for f in numbers] == [1.0, 17.0, 5.0, 4.0]
    assert notes == []  # a border that is always black is nothing to warn of


def test_a_group_without_a_stem_is_not_everything_else() -> None:
    frame = frame_of({"0": [0, 2], "1": [0, 4], "weight": [0, 2000]})
    features = [
        FeatureColumn("0", "number", ""),
        FeatureColumn("1", "number", ""),
        FeatureColumn("weight", "number"),
    ]
    fitted, _ = fitting.fit_features(frame, features, np.arange(2))
    scales = [f.scale for f in fitted if isinstance(f, NumberFeature)]
    assert scales == [math.sqrt(2.5), math.sqrt(2.5), 1000.0]


def test_black_pixels_have_scale_1() -> None:
    features, _ = fit({"p0": [0, 0, 9], "p1": [0, 0, 9]}, [0, 1], group="p")
    assert [f.scale for f in features if isinstance(f, NumberFeature)] == [1.0, 1.0]


def targets(
    values: Sequence[Sequence[float]], shape: Sequence[int] | None = None
) -> tuple[RealTargets, list[str]]:
    array = np.array(values, np.float64)
    names = [f"t{j}" for j in range(array.shape[1])]
    return fitting.fit_real_targets(array, names, names, shape, one_scale=shape is not None)


def test_each_target_has_its_own_scale_unless_there_is_a_shape() -> None:
    values = [[0.0, 10.0, 3.0], [2.0, 24.0, 3.0]]
    own, notes = targets(values)
    assert (own.means, own.scales, own.common_scale) == ((1.0, 17.0, 3.0), (1.0, 7.0, 1.0), None)
    assert notes == []
    shared, _ = targets(values, [3])
    scale = math.sqrt((1 + 49) / 3)
    assert (shared.means, shared.shape) == ((1.0, 17.0, 3.0), (3,))
    assert shared.common_scale == pytest.approx(scale, rel=1e-15)
    assert shared.width == 3


@pytest.mark.parametrize("shape", [None, [1]])
def test_a_constant_target_has_scale_1_and_a_note(shape: list[int] | None) -> None:
    fitted, notes = targets([[0.3], [0.3], [0.3]], shape)
    assert (fitted.means, fitted.scales) == ((0.3,), (1.0,))
    assert notes == ["the target is constant in the training rows; R2 is undefined: t0"]


@given(
    st.lists(
        st.tuples(st.floats(-1e9, 1e9), st.floats(-1e-3, 1e-3), st.integers(0, 1)),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_restoring_is_the_inverse_of_standardising(
    values: list[tuple[float, float, int]], one_scale: bool
) -> None:
    array = np.array(values, np.float64)
    fitted, _ = targets(array.tolist(), [3] if one_scale else None)
    standardised = fitted.standardise(array)
    assert standardised.shape == array.shape
    largest = np.abs(array).max(axis=0)
    assert (np.abs(fitted.restore(standardised) - array) <= 1e-14 * largest + 1e-300).all()
    if not one_scale:
        spread = array.std(axis=0)
        varied = spread > 1e-9 * largest + 1e-150  # squares of less lose their digits
        assert np.allclose(standardised.mean(axis=0)[varied], 0, atol=1e-6)
        assert np.allclose(standardised.std(axis=0)[varied], 1, atol=1e-6)


def classes_of(cells: Sequence[Cell]) -> ClassTarget:
    return fitting.fit_class_target(frame_of({"y.0": cells})["y.0"], "y.0", "y")


def test_classes_are_sorted_as_numbers_or_as_text() -> None:
    numbers = classes_of([10, 9, 100, 9])
    assert numbers == ClassTarget(
        name="y.0", label="y", storage="number", classes=(9.0, 10.0, 100.0)
    )
    assert (numbers.labels, numbers.width) == (("9", "10", "100"), 3)
    text = classes_of(["10", "9", "100", "b"])
    assert (text.labels, text.storage) == (("10", "100", "9", "b"), "text")


def test_a_class_is_its_place_and_an_unseen_one_none() -> None:
    column = frame_of({"y": [100, 9, 7, None, 10.0]})["y"]
    assert encode_classes(classes_of([10, 9, 100]), column).tolist() == [2, 0, -1, -1, 1]
    words = frame_of({"y": ["b", "a", None, "c"]})["y"]
    indices = encode_classes(classes_of(["a", "b"]), words)
    assert indices.tolist() == [1, 0, -1, -1]
    assert indices.dtype == np.int64


@pytest.mark.parametrize(("cells", "label"), [([0, 0], "0"), (["spam", "spam"], "spam")])
def test_a_single_class_is_refused_by_name(cells: list[Cell], label: str) -> None:
    with pytest.raises(DataError) as caught:
        classes_of(cells)
    assert str(caught.value) == (
        f"column 'y': every training row is of the class '{label}'; classification needs two"
    )


def test_whole_numbers_that_float64_merges_are_no_classes() -> None:
    with pytest.raises(DataError) as caught:
        classes_of([2**53, 2**53 + 1, 5])
    assert str(caught.value) == (
        "column 'y.0': whole numbers above 2^53 cannot be told apart as categories; "
        "put a letter before them, so that they are text"
    )
    assert classes_of([2**60, 2**61]).labels == (str(2**60), str(2**61))


def test_value_text_is_what_people_read() -> None:
    assert [value_text(v) for v in ("a", 3.0, -2.0, 0.5, 1e20, -0.0)] == [
        "a",
        "3",
        "-2",
        "0.5",
        "100000000000000000000",
        "0",
    ]


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SCALES = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
FEATURES = st.one_of(
    st.builds(
        NumberFeature,
        kind=st.just("number"),
        name=TEXTS,
        mean=NUMBERS,
        scale=SCALES,
        fill=NUMBERS,
        has_indicator=st.booleans(),
        minimum=NUMBERS,
        maximum=NUMBERS,
    ),
    st.builds(
        CategoryFeature,
        kind=st.just("category"),
        name=TEXTS,
        storage=st.just("text"),
        categories=st.lists(TEXTS, max_size=3).map(tuple),
    ),
    st.builds(
        CategoryFeature,
        kind=st.just("category"),
        name=TEXTS,
        storage=st.just("number"),
        categories=st.lists(NUMBERS, min_size=1, max_size=3).map(tuple),
    ),
)
REAL = st.builds(
    RealTargets,
    kind=st.just("real"),
    names=st.tuples(TEXTS),
    labels=st.tuples(TEXTS),
    means=st.tuples(NUMBERS),
    scales=st.tuples(SCALES),
    shape=st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
CLASSES = st.builds(
    ClassTarget,
    kind=st.just("classes"),
    name=TEXTS,
    label=TEXTS,
    storage=st.just("number"),
    classes=st.lists(NUMBERS, min_size=1).map(tuple),
)
HISTORY = st.builds(
    History,
    lags=st.integers(1, 99),
    horizon=st.integers(1, 9),
    mean=NUMBERS,
    scale=SCALES,
    order_by=st.none() | TEXTS,
)


@given(
    st.builds(
        Preprocessing,
        task=st.sampled_from(["regression", "classification", "structured"]),
        features=st.lists(FEATURES, min_size=1, max_size=3)
        .map(tuple)
        .filter(lambda features: any(feature.inputs for feature in features)),
        history=st.none() | HISTORY,
        target=REAL | CLASSES,
        sources=st.dictionaries(TEXTS, st.builds(Source, raw=TEXTS, occurrence=st.integers(0, 9))),
    )
)
def test_what_was_learned_survives_json(preprocessing: Preprocessing) -> None:
    assert Preprocessing.model_validate_json(preprocessing.model_dump_json()) == preprocessing


def test_outputs_and_inputs_that_do_not_fit_are_refused() -> None:
    plain = Preprocessing(
        task="regression",
        features=(number({"x": [1, 2]}, range(2)),),
        history=None,
        target=TARGET,
        sources={},
    ).model_dump(mode="json")
    empty: dict[str, list[object]] = {"means": [], "scales": [], "names": [], "labels": []}
    wrong: list[dict[str, object]] = [
        {"features": []},
        {"target": {**plain["target"], "means": [0.0, 1.0]}},
        {"target": {**plain["target"], **empty}},
    ]
    for changed in wrong:
        with pytest.raises(ValidationError):
            Preprocessing.model_validate_json(json.dumps({**plain, **changed}))


def test_a_checkpoint_with_an_impossible_scale_is_refused() -> None:
    feature = number({"x": [1, 2]}, range(2))
    for wrong in (0.0, -1.0, "1"):
        text = json.dumps({**feature.model_dump(), "scale": wrong})
        with pytest.raises(ValidationError):
            NumberFeature.model_validate_json(text)


# Files that are not the training file


def survey(rows: int = 30) -> dict[str, list[Cell]]:
    """Return a table with numbers, gaps, a category of text and one of numbers."""
    generator = np.random.default_rng(3)
    x = [round(float(v), 3) for v in generator.normal(5, 2, rows)]
    return {
        "x": [None if i % 7 == 0 else x[i] for i in range(rows)],
        "word": [["red", "green", "blue"][i % 3] for i in range(rows)],
        "flag": [i // 3 % 2 for i in range(rows)],
        "y": [round(3 * x[i] + i % 3, 3) for i in range(rows)],
    }


@pytest.fixture
def trained(tmp_path: Path) -> TrainingData:
    return load(write_csv(tmp_path / "train.csv", survey()), "  target: y")


def matched(
    data: TrainingData, path: Path, purpose: str = "predicted", carried: tuple[str, ...] = ()
) -> tuple[FittedTable, NDArray[np.float32]]:
    table = read_new_table(
        data.preprocessing,
        path,
        TableFormat(),
        "scored" if purpose == "scored" else "predicted",
        carried,
    ).table
    rows = np.arange(len(table.frame))
    return table, encode_inputs(data.preprocessing, table.frame, rows, table.series).inputs


def test_columns_are_matched_by_name_whatever_their_order(
    trained: TrainingData, tmp_path: Path
) -> None:
    columns = survey()
    _, inputs = matched(trained, write_csv(tmp_path / "same.csv", columns))
    turned: dict[str, list[Cell]] = {"extra": ["?"] * 30}
    turned |= {name: columns[name] for name in ("y", "flag", "x", "word")}
    _, again = matched(trained, write_csv(tmp_path / "turned.csv", turned))
    assert again.tobytes() == inputs.tobytes()
    assert inputs[trained.split.train].tobytes() == trained.train.inputs.tobytes()


def test_prediction_needs_no_target_and_scoring_does(trained: TrainingData, tmp_path: Path) -> None:
    columns = survey()
    del columns["y"]
    path = write_csv(tmp_path / "new.csv", columns)
    _, inputs = matched(trained, path)
    assert len(inputs) == 30
    with pytest.raises(DataError) as caught:
        matched(trained, path, "scored")
    assert str(caught.value) == f"{path}: column 'y' is missing"


def test_rows_without_a_target_are_not_scored(trained: TrainingData, tmp_path: Path) -> None:
    columns = survey()
    columns["y"] = [None if i in (0, 4) else cell for i, cell in enumerate(columns["y"])]
    table, _ = matched(trained, write_csv(tmp_path / "new.csv", columns), "scored")
    rows = table.scorable_rows()
    assert rows.tolist() == [i for i in range(30) if i not in (0, 4)]
    assert table.samples(rows).values[:, 0].tolist() == [c for c in columns["y"] if c is not None]


def test_missing_columns_are_all_named_with_a_hint(trained: TrainingData, tmp_path: Path) -> None:
    columns = survey()
    path = write_csv(tmp_path / "new.csv", {"X ": columns["x"], "flagg": columns["flag"]})
    with pytest.raises(DataError) as caught:
        matched(trained, path)
    assert caught.value.lines == (
        f"{path}: column 'x' is missing; did you mean 'X '?",
        f"{path}: column 'word' is missing",
        f"{path}: column 'flag' is missing; did you mean 'flagg'?",
    )


def test_kinds_are_those_of_training(trained: TrainingData, tmp_path: Path) -> None:
    # On their own, `word` would be numbers here, and `flag` numbers of three values.
    path = write_csv(tmp_path / "new.csv", {"x": [1, 2], "word": ["1", "red"], "flag": [1, 7]})
    preprocessing = trained.preprocessing
    table, inputs = matched(trained, path)
    assert preprocessing.inputs == (
        "x",
        "x is missing",
        "word=blue",
        "word=green",
        "word=red",
        "flag=0",
        "flag=1",
    )
    assert inputs[:, 2:].tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 0, 0, 1]]
    encoded = encode_inputs(preprocessing, table.frame, np.arange(2))
    assert encoded.unseen == {"word": 1, "flag": 1}
    wrong = write_csv(tmp_path / "wrong.csv", {"x": ["a", "b"], "word": ["1", "2"], "flag": [1, 0]})
    with pytest.raises(DataError) as caught:
        matched(trained, wrong)
    assert "column 'x': 'a' is not a number" in caught.value.lines[0]


def test_an_all_missing_column_is_filled(trained: TrainingData, tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {"x": [None], "word": [None], "flag": [None]}
    _, inputs = matched(trained, write_csv(tmp_path / "new.csv", columns))
    (feature, *_) = trained.preprocessing.features
    assert isinstance(feature, NumberFeature)
    filled = np.float32((feature.fill - feature.mean) / feature.scale)
    assert inputs.tolist() == [[filled, 1, 0, 0, 0, 0, 0, 1]]


def test_a_carried_column_that_is_also_an_input_is_both(
    trained: TrainingData, tmp_path: Path
) -> None:
    name = next(f.name for f in trained.preprocessing.features if isinstance(f, NumberFeature))
    columns: dict[str, list[Cell]] = {key: cells[:3] for key, cells in survey().items()}
    columns[name] = ["1.50", "2e0", "03"]
    path = write_csv(tmp_path / "new.csv", columns)
    found = read_new_table(trained.preprocessing, path, TableFormat(), "predicted", (name,))
    assert found.carried[name].tolist() == ["1.50", "2e0", "03"]
    assert found.table.frame[name].tolist() == [1.5, 2.0, 3.0]


def test_carried_columns_come_back_as_they_stand(trained: TrainingData, tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {name: cells[:3] for name, cells in survey().items()}
    columns["id"] = ["007", "1e3", ""]
    path = write_csv(tmp_path / "new.csv", columns)
    kept = read_new_table(trained.preprocessing, path, TableFormat(), "predicted", ("id",)).carried
    assert kept["id"].tolist()[:2] == ["007", "1e3"]
    with pytest.raises(ConfigError) as caught:
        matched(trained, path, carried=("Id",))
    assert str(caught.value) == "--id: no column 'Id' in new.csv; did you mean 'id'?"


def repeated(rows: int, copies: int) -> tuple[str, list[list[float]]]:
    """Return a header of a, y, a, y, ... and rows in which every cell is another number."""
    header = ",".join(["a", "y"] * copies)
    generator = np.random.default_rng(5)
    return header, generator.normal(size=(rows, 2 * copies)).round(4).tolist()


def write_rows(path: Path, header: str, rows: list[list[float]]) -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_repeated_names_are_matched_by_which_of_the_name_they_are(tmp_path: Path) -> None:
    # As in the course's homework: the target is the third of its name, and the file to predict
    # has only the first two.
    header, rows = repeated(30, 3)
    data = load(write_rows(tmp_path / "train.csv", header, rows), "  target: y.2")
    names = [feature.name for feature in data.preprocessing.features]
    assert names == ["a.0", "y.0", "a.1", "y.1", "a.2"]
    assert data.preprocessing.target_columns == ("y.2",)
    assert isinstance(data.preprocessing.target, RealTargets)
    assert data.preprocessing.target.labels == ("y",)
    whole, inputs = matched(data, tmp_path / "train.csv", "scored")
    assert whole.scorable_rows().tolist() == list(range(30))
    short = write_rows(tmp_path / "test.csv", header[:-2], [row[:-1] for row in rows])
    _, again = matched(data, short)
    assert again.tobytes() == inputs.tobytes()
    # The columns of one name in another order are other columns.
    swapped = [[row[2], row[1], row[0], *row[3:-1]] for row in rows]
    _, other = matched(data, write_rows(tmp_path / "swapped.csv", header[:-2], swapped))
    assert other.tobytes() != inputs.tobytes()
    with pytest.raises(DataError) as caught:
        matched(data, short, "scored")
    assert str(caught.value) == f"{short}: column 'y.2' is missing; 'y' occurs 2 times there"


def test_a_name_that_is_repeated_no_more_is_still_found(tmp_path: Path) -> None:
    header, rows = repeated(30, 2)
    data = load(write_rows(tmp_path / "train.csv", header, rows), "  target: y.1")
    _, inputs = matched(data, tmp_path / "train.csv")
    # y.0 is the only y here, and so has its bare name.
    short = write_rows(tmp_path / "test.csv", header[:-2], [row[:-1] for row in rows])
    _, again = matched(data, short)
    assert again.tobytes() == inputs.tobytes()


def test_a_series_shorter_than_its_history_has_no_rows(tmp_path: Path) -> None:
    values: list[Cell] = [i * i % 17 + 0.5 for i in range(40)]
    data = load(write_csv(tmp_path / "t.csv", {"y": values}), "  target: y", "  lags: 7")
    short = write_csv(tmp_path / "short.csv", {"y": values[:5]})
    table = read_new_table(data.preprocessing, short, TableFormat(), "predicted").table
    rows = table.scorable_rows()
    assert len(rows) == 0
    assert table.samples(rows).inputs.shape == (0, 8)


def test_a_file_is_put_in_the_order_of_its_series(tmp_path: Path) -> None:
    values: list[Cell] = [i * i % 17 + 0.5 for i in range(40)]
    days: list[Cell] = [f"2021-{i // 28 + 1:02}-{i % 28 + 1:02}" for i in range(40)]
    path = write_csv(tmp_path / "t.csv", {"day": days, "y": values})
    data = load(path, "  target: y", "  lags: 3", "  order_by: day")
    order = np.random.default_rng(0).permutation(40)
    mixed = {"day": [days[i] for i in order], "y": [values[i] for i in order]}
    shuffled = write_csv(tmp_path / "mixed.csv", mixed)
    found = read_new_table(data.preprocessing, shuffled, TableFormat(), "predicted", ("day",))
    table, kept = found.table, found.carried
    assert table.frame["y"].tolist() == values
    assert table.frame["y"].to_numpy()[table.file_order].tolist() == mixed["y"]
    assert kept["day"].tolist() == mixed["day"]
    without = write_csv(tmp_path / "without.csv", {"y": values})
    with pytest.raises(DataError) as caught:
        read_new_table(data.preprocessing, without, TableFormat(), "predicted")
    assert str(caught.value) == f"{without}: column 'day' is missing"
