"""What is learned from training rows, how it is applied, and files that are not the training file.

The expected numbers are worked out by hand or with Python's `statistics` and `fractions`.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from ml2021.data.column_types import FeatureColumn
from ml2021.data.csv.scan import TableFormat
from ml2021.data.load import TrainingData
from ml2021.data.new_table import NewTable, read_new_table
from ml2021.data.preprocessing.fit import fit_class_target, fit_features, fit_real_targets
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    History,
    NumberFeature,
    Preprocessing,
    RealTargets,
    value_text,
)
from ml2021.data.preprocessing.transform import Encoded, encode_classes, encode_inputs
from ml2021.errors import ConfigError, DataError
from tests.tables import Cell, frame_of, load, sources_of, write_csv

Columns = Mapping[str, Sequence[Cell]]
Feature = NumberFeature | CategoryFeature
SERIES: list[Cell] = [i * i % 17 + 0.5 for i in range(40)]
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
    fitted = fit_features(frame_of(columns), features, np.array(rows))
    return fitted.features, fitted.notes


def number(columns: Columns, rows: Sequence[int]) -> NumberFeature:
    (feature,), _ = fit(columns, rows)
    assert isinstance(feature, NumberFeature)
    return feature


def category(cells: Sequence[Cell], rows: Sequence[int]) -> CategoryFeature:
    (feature,), _ = fit({"c": cells}, rows, c="category")
    assert isinstance(feature, CategoryFeature)
    return feature


def encode(features: Sequence[Feature], columns: Columns) -> Encoded:
    frame = frame_of(columns)
    return encode_inputs(preprocessing_of(features), frame, np.arange(len(frame)))


def preprocessing_of(features: Sequence[Feature]) -> Preprocessing:
    return Preprocessing(
        task="regression",
        features=tuple(features),
        history=None,
        target=TARGET,
        sources=sources_of(*dict.fromkeys(feature.name for feature in features), *TARGET.names),
        width=len(features) + len(TARGET.names),
        numbered=False,
    )


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
        missing=1,
    )


def test_other_rows_than_training_rows_teach_nothing() -> None:
    columns: dict[str, list[Cell]] = {"x": [1.5, 2, 3, 4], "c": ["a", "b", "a", "b"]}
    changed: dict[str, list[Cell]] = {"x": [1.5, 2, 1e9, None], "c": ["a", "b", "z", None]}
    before, after = fit(columns, [0, 1], c="category"), fit(changed, [0, 1], c="category")
    assert before == after
    assert fit(changed, [0, 1, 2], c="category") != before
    grouped = fit({"p0": [1, 2, 3], "p1": [4, 6, 8]}, [0, 1], group="p")
    assert grouped == fit({"p0": [1, 2, 250], "p1": [4, 6, None]}, [0, 1], group="p")


def test_long_columns_have_the_deviations_that_numpy_computes() -> None:
    count = 160_001
    values = np.random.default_rng(0).normal(1e3, 2, (count, 8))
    values[::7] = np.nan
    known = np.ascontiguousarray(values[~np.isnan(values[:, 0])].T)
    frame = frame_of({f"x{place}": column.tolist() for place, column in enumerate(values.T)})
    columns = [FeatureColumn(str(name), "number") for name in frame]
    found = fit_features(frame, columns, np.arange(count)).features
    for feature, own in zip(found, known, strict=True):
        assert isinstance(feature, NumberFeature)
        assert feature.mean == own.mean()
        assert feature.scale == np.sqrt(np.square(own - own.mean()).mean())
        assert feature.fill == np.median(own)
    assert np.array_equal(frame.to_numpy(), values, equal_nan=True)


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
def test_a_constant_column_is_left_out_with_a_note(value: float) -> None:
    columns: Columns = {"x": [value, value, value, 5], "z": [1, 2, 3, 4]}
    (feature,), notes = fit(columns, [0, 1, 2])
    assert feature.name == "z"
    assert [note.startswith("excluded: x (") for note in notes] == [True]


def test_one_value_late_in_a_long_column_is_enough() -> None:
    columns: Columns = {"x": [7] * 1999 + [8], "z": [None, 7] * 1000}
    (x, z), _ = fit(columns, range(2000))
    assert (x.inputs, z.inputs) == (("x",), ("z is missing",))
    assert encode([z], {"z": [None, 7, 900]}).inputs.tolist() == [[1, 1], [0, 1], [0, 1]]
    assert fit(columns, range(1999))[0][0].name == "z"


def test_a_column_without_training_values_is_left_out_with_a_note() -> None:
    features, notes = fit({"x": [None, None, 5.0], "c": [None, None, "a"]}, [0, 1], c="category")
    assert features == []
    assert [note.startswith("excluded: x, c (") for note in notes] == [True]


def test_whole_numbers_that_float32_cannot_hold_get_a_note() -> None:
    _, notes = fit({"id": [0, 2**24 + 1], "ok": [0, 2**24], "share": [0.5, 2.0**30]}, [0, 1])
    assert [note.startswith("id: ") for note in notes] == [True]


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
    assert encoded.odd.missing == {"x": 2}


def test_values_outside_the_training_range_are_counted() -> None:
    feature = number({"x": [1, 2, 3]}, range(3))
    encoded = encode([feature], {"x": [0.9, 1, 3, 3.1, 50, None]})
    assert encoded.odd.outside == {"x": 3}
    assert [
        note.rpartition(": ")[2] for note in encoded.odd.notes(preprocessing_of([feature]))
    ] == ["x 1", "x 3"]


@pytest.mark.parametrize(
    ("cells", "storage", "inputs"),
    [
        (["b", "a", None, "B", "", "c"], "text", ("c=", "c=B", "c=a", "c=b")),
        ([10, 9, None, 10, 2.5, 7], "number", ("c=2.5", "c=9", "c=10")),
    ],
)
def test_categories_are_sorted_and_come_from_training_rows(
    cells: list[Cell], storage: str, inputs: tuple[str, ...]
) -> None:
    feature = category(cells, range(5))
    assert (feature.storage, feature.inputs) == (storage, inputs)


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
    assert encoded.odd.missing == {"t": 1, "n": 1}
    assert encoded.odd.unseen == {"t": 2, "n": 1}
    assert [
        note.rpartition(": ")[2] for note in encoded.odd.notes(preprocessing_of([text, numbers]))
    ] == ["t 1, n 1", "t 2 (maybe × 1, YES × 1), n 1 (2 × 1)"]


def test_a_single_category_is_an_input_only_if_values_are_missing() -> None:
    assert category(["a", None, "a"], range(3)).inputs == ("c=a",)
    features, notes = fit({"c": ["a", "a", "b"]}, [0, 1], c="category")
    assert (features, [note.startswith("excluded: c (") for note in notes]) == ([], [True])


def test_inputs_are_float32_with_a_last_column_of_ones_and_in_the_order_of_features() -> None:
    columns: dict[str, list[Cell]] = {"x": [1, 3], "c": ["u", "v"], "z": [None, 8, 8]}
    features, _ = fit(columns, [0, 1], c="category")
    encoded = encode(features, {name: cells[:2] for name, cells in columns.items()})
    assert encoded.inputs.dtype == np.float32
    assert encoded.inputs.tolist() == [[-1, 1, 0, 1, 1], [1, 0, 1, 0, 1]]


def test_rows_are_encoded_one_by_one_as_together() -> None:
    columns: dict[str, list[Cell]] = {"x": [1, 3, None, 7.5], "c": ["u", "v", None, "w"]}
    features, _ = fit(columns, [0, 1, 2], c="category")
    preprocessing, frame = preprocessing_of(features), frame_of(columns)
    together = encode_inputs(preprocessing, frame, np.array([3, 0, 2, 1])).inputs
    for place, row in enumerate([3, 0, 2, 1]):
        alone = encode_inputs(preprocessing, frame, np.array([row])).inputs
        assert alone.tobytes() == together[place : place + 1].tobytes()


def test_pixels_share_one_scale_and_keep_their_means() -> None:
    columns: dict[str, list[Cell]] = {"p0": [0, 2], "p1": [10, 24], "p2": [5, 5], "p3": [None, 4]}
    features, notes = fit(columns, [0, 1], group="p")
    numbers = [f for f in features if isinstance(f, NumberFeature)]
    assert [f.scale for f in numbers] == [math.sqrt((1 + 49 + 0 + 0) / 4)] * 3
    assert [f.mean for f in numbers] == [1.0, 17.0, 4.0]
    assert [f.inputs for f in numbers] == [("p0",), ("p1",), ("p3 is missing",)]
    assert [note.partition(":")[0] for note in notes] == ["excluded", "p3"]


def test_a_group_without_a_stem_is_not_everything_else() -> None:
    frame = frame_of({"0": [0, 2], "1": [0, 4], "weight": [0, 2000]})
    groups = {"0": "", "1": "", "weight": None}
    features = [FeatureColumn(name, "number", group) for name, group in groups.items()]
    fitted = fit_features(frame, features, np.arange(2)).features
    scales = [f.scale for f in fitted if isinstance(f, NumberFeature)]
    assert scales == [math.sqrt(2.5), math.sqrt(2.5), 1000.0]


def targets(
    values: Sequence[Sequence[float]], shape: Sequence[int] | None = None
) -> tuple[RealTargets, list[str]]:
    array = np.array(values, np.float64)
    names = [f"t{j}" for j in range(array.shape[1])]
    return fit_real_targets(array, names, names, shape, one_scale=shape is not None)


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
    assert ["target t0" in note for note in notes] == [True]


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
    return fit_class_target(frame_of({"y.0": cells})["y.0"], "y.0", "y")


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
    with pytest.raises(DataError, match=f"^column 'y': .* '{label}'"):
        classes_of(cells)


def test_whole_numbers_that_float64_merges_are_no_classes() -> None:
    with pytest.raises(DataError, match=r"^column 'y\.0': .* 2\^53"):
        classes_of([2**53, 2**53 + 1, 5])
    assert classes_of([2**60, 2**61]).labels == (str(2**60), str(2**61))


def test_value_text_is_what_people_read() -> None:
    texts = [value_text(v) for v in ("a", 3.0, -2.0, 0.5, 1e20, -0.0)]
    assert texts == ["a", "3", "-2", "0.5", "100000000000000000000", "0"]


def tuples(cells: st.SearchStrategy[Any], fewest: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(cells, min_size=fewest, max_size=3, unique=True).map(tuple)


NUMBERS = st.floats(-1e39, 1e39)
SCALES = st.floats(1e-163, 1e39)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
STEPS = st.integers(1, 99)
BOUNDS = dict.fromkeys(("mean", "fill", "minimum", "maximum"), NUMBERS)
TEXT, NUMBER = st.just("text"), st.just("number")
FEATURES = st.one_of(
    st.builds(
        NumberFeature,
        name=TEXTS,
        scale=SCALES,
        has_value=st.just(value=True),
        has_indicator=st.booleans(),
        **BOUNDS,
    ),
    st.builds(CategoryFeature, name=TEXTS, storage=TEXT, categories=tuples(TEXTS, 1)),
    st.builds(CategoryFeature, name=TEXTS, storage=NUMBER, categories=tuples(NUMBERS, 1)),
)
REAL = st.builds(
    RealTargets,
    names=st.just(("target",)),
    labels=st.tuples(TEXTS),
    means=st.tuples(NUMBERS),
    scales=st.tuples(SCALES),
    shape=st.none() | st.just((1, 1)),
)
CLASSES = st.builds(
    ClassTarget, name=st.just("target"), label=TEXTS, storage=NUMBER, classes=tuples(NUMBERS, 2)
)
HISTORY = st.builds(
    History,
    lags=st.integers(99, 200),
    used=st.sets(STEPS, min_size=1).map(sorted).map(tuple),
    horizon=st.just(1),
    mean=NUMBERS,
    scale=SCALES,
    order_by=st.none() | TEXTS,
    group_by=st.none() | TEXTS,
    gap_limit=STEPS,
)


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing:
    features = draw(st.lists(FEATURES, min_size=1, max_size=3, unique_by=lambda each: each.name))
    target = draw(REAL | CLASSES)
    is_class = isinstance(target, ClassTarget)
    history = None if is_class else draw(st.none() | HISTORY)
    ordering = (history.order_by, history.group_by) if history else ()
    names = [*(each.name for each in features), "target", *(n for n in ordering if n is not None)]
    return Preprocessing(
        task="classification" if is_class else draw(st.sampled_from(["regression", "structured"])),
        features=tuple(features),
        history=history,
        target=target,
        sources=sources_of(*dict.fromkeys(names)),
        width=draw(st.integers(len(names), 99)),
        numbered=draw(st.booleans()),
    )


@given(preprocessings())
def test_what_was_learned_survives_json(preprocessing: Preprocessing) -> None:
    assert Preprocessing.model_validate_json(preprocessing.model_dump_json()) == preprocessing


def test_outputs_and_inputs_that_do_not_fit_are_refused() -> None:
    plain = preprocessing_of([number({"x": [1, 2]}, range(2))]).model_dump(mode="json")
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
    return load(
        write_csv(tmp_path / "train.csv", survey()), "  target: y", "  types: {flag: category}"
    )


def read(
    data: TrainingData, path: Path, purpose: Literal["scored", "predicted"] = "predicted", *ids: str
) -> NewTable:
    return read_new_table(data.preprocessing, path, TableFormat(), purpose, ids)


def inputs_of(data: TrainingData, path: Path) -> NDArray[np.float32]:
    """Return the inputs of a file to predict."""
    table = read(data, path).table
    rows = np.arange(len(table.frame))
    return encode_inputs(data.preprocessing, table.frame, rows, table.series).inputs


def test_columns_are_matched_by_name_whatever_their_order(
    trained: TrainingData, tmp_path: Path
) -> None:
    columns = survey()
    inputs = inputs_of(trained, write_csv(tmp_path / "same.csv", columns))
    turned: dict[str, list[Cell]] = {"extra": ["?"] * 30}
    turned |= {name: columns[name] for name in ("flag", "x", "word")}  # predicting needs no y
    path = write_csv(tmp_path / "turned.csv", turned)
    assert inputs_of(trained, path).tobytes() == inputs.tobytes()
    assert inputs[trained.split.train].tobytes() == trained.train.inputs.tobytes()
    with pytest.raises(DataError, match="column 'y' is missing"):
        read(trained, path, "scored")


def test_rows_without_a_target_are_not_scored(trained: TrainingData, tmp_path: Path) -> None:
    columns = survey()
    columns["y"] = [None if i in (0, 4) else cell for i, cell in enumerate(columns["y"])]
    table = read(trained, write_csv(tmp_path / "new.csv", columns), "scored").table
    rows = table.scorable_rows()
    assert rows.tolist() == [i for i in range(30) if i not in (0, 4)]
    assert table.samples(rows).values[:, 0].tolist() == [c for c in columns["y"] if c is not None]


def test_missing_columns_are_all_named_with_a_hint(trained: TrainingData, tmp_path: Path) -> None:
    columns = survey()
    path = write_csv(tmp_path / "new.csv", {"X ": columns["x"], "flagg": columns["flag"]})
    with pytest.raises(DataError) as caught:
        read(trained, path)
    for line, name, hint in zip(
        caught.value.lines, ("x", "word", "flag"), ("'X '?", "missing", "'flagg'?"), strict=True
    ):
        assert line.startswith(f"{path}: column '{name}'")
        assert line.endswith(hint)


def test_column_types_are_those_of_training(trained: TrainingData, tmp_path: Path) -> None:
    # On their own, `word` would be numbers here, and `flag` numbers of three values.
    path = write_csv(tmp_path / "new.csv", {"x": [1, 2], "word": ["1", "red"], "flag": [1, 7]})
    words = ("word=blue", "word=green", "word=red")
    assert trained.preprocessing.inputs == ("x", "x is missing", *words, "flag=0", "flag=1")
    encoded = encode_inputs(trained.preprocessing, read(trained, path).table.frame, np.arange(2))
    assert encoded.inputs[:, 2:].tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 0, 0, 1]]
    assert encoded.odd.unseen == {"word": 1, "flag": 1}
    wrong = write_csv(tmp_path / "wrong.csv", {"x": ["a", "b"], "word": ["1", "2"], "flag": [1, 0]})
    with pytest.raises(DataError, match="column 'x': 'a'"):
        read(trained, wrong)


def test_an_all_missing_column_is_filled(trained: TrainingData, tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {"x": [None], "word": [None], "flag": [None]}
    inputs = inputs_of(trained, write_csv(tmp_path / "new.csv", columns))
    (feature, *_) = trained.preprocessing.features
    assert isinstance(feature, NumberFeature)
    filled = np.float32((feature.fill - feature.mean) / feature.scale)
    assert inputs.tolist() == [[filled, 1, 0, 0, 0, 0, 0, 1]]


def test_carried_columns_come_back_as_they_stand(trained: TrainingData, tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {name: cells[:3] for name, cells in survey().items()}
    columns |= {"id": ["007", "1e3", ""], "x": ["1.50", "2e0", "03"]}
    path = write_csv(tmp_path / "new.csv", columns)
    found = read(trained, path, "predicted", "id")
    assert found.carried["id"].tolist()[:2] == ["007", "1e3"]
    found = read(trained, path, "predicted", "x")  # an input too
    assert found.carried["x"].tolist() == columns["x"]
    assert found.table.frame["x"].tolist() == [1.5, 2.0, 3.0]
    with pytest.raises(ConfigError, match=r"--id: .* 'Id'"):
        read(trained, path, "predicted", "Id")


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
    inputs = inputs_of(data, tmp_path / "train.csv")
    short = write_rows(tmp_path / "test.csv", header[:-2], [row[:-1] for row in rows])
    assert inputs_of(data, short).tobytes() == inputs.tobytes()
    # The columns of one name in another order are other columns.
    swapped = [[row[2], row[1], row[0], *row[3:-1]] for row in rows]
    other = inputs_of(data, write_rows(tmp_path / "swapped.csv", header[:-2], swapped))
    assert other.tobytes() != inputs.tobytes()
    with pytest.raises(DataError, match=r"column 'y\.2' is missing; .* 2 times"):
        read(data, short, "scored")


def test_a_name_that_is_repeated_no_more_is_still_found(tmp_path: Path) -> None:
    header, rows = repeated(30, 2)
    data = load(write_rows(tmp_path / "train.csv", header, rows), "  target: y.1")
    inputs = inputs_of(data, tmp_path / "train.csv")
    # y.0 is the only y here, and so has its bare name.
    short = write_rows(tmp_path / "test.csv", header[:-2], [row[:-1] for row in rows])
    assert inputs_of(data, short).tobytes() == inputs.tobytes()


def test_a_series_shorter_than_its_history_has_no_rows(tmp_path: Path) -> None:
    data = load(write_csv(tmp_path / "t.csv", {"y": SERIES}), "  target: y", "  lags: 7")
    table = read(data, write_csv(tmp_path / "short.csv", {"y": SERIES[:5]})).table
    rows = table.scorable_rows()
    assert len(rows) == 0
    assert table.samples(rows).inputs.shape == (0, 8)


def test_a_file_is_put_in_the_order_of_its_series(tmp_path: Path) -> None:
    days: list[Cell] = [f"2021-{i // 28 + 1:02}-{i % 28 + 1:02}" for i in range(40)]
    path = write_csv(tmp_path / "t.csv", {"day": days, "y": SERIES})
    data = load(path, "  target: y", "  lags: 3", "  order_by: day")
    order = np.random.default_rng(0).permutation(40)
    mixed = {"day": [days[i] for i in order], "y": [SERIES[i] for i in order]}
    found = read(data, write_csv(tmp_path / "mixed.csv", mixed), "predicted", "day")
    assert found.table.frame["y"].tolist() == SERIES
    assert found.table.frame["y"].to_numpy()[found.table.file_order].tolist() == mixed["y"]
    assert found.carried["day"].tolist() == mixed["day"]
    with pytest.raises(DataError, match="column 'day' is missing"):
        read(data, write_csv(tmp_path / "without.csv", {"y": SERIES}))
