"""From a config and a CSV to the rows that the engine sees, held to loops over the file's cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ml2021.config import schema
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    NumberFeature,
    RealTargets,
)
from ml2021.data.samples import Samples
from ml2021.errors import ConfigError, DataError, Ml2021Error
from tests.tables import Cell, load, write_csv

Columns = Mapping[str, Sequence[Cell]]


def notes_of(data: TrainingData) -> tuple[str, ...]:
    """Return the notes, but not those on single values outside the training range."""
    return tuple(note for note in data.notes if " rows with values outside " not in note)


def wave(rows: int) -> list[float]:
    """Return numbers of which no two are equal, in no order."""
    return [((i * 37) % 101) + i / 1000 for i in range(rows)]


def table(rows: int = 50) -> dict[str, list[Cell]]:
    values = wave(rows)
    return {
        "a": [round(v * v % 19, 3) for v in values],
        "b": [["x", "y", "z"][i % 3] for i in range(rows)],
        "y": [*values],
    }


def series(rows: int = 60) -> dict[str, list[Cell]]:
    days = (f"2021-{i // 28 + 1:02}-{i % 28 + 1:02}" for i in range(rows))
    return {"day": [*days], "y": [*wave(rows)]}


def load_table(folder: Path, columns: Columns, *lines: str) -> TrainingData:
    return load(write_csv(folder / "t.csv", columns), *lines)


def assert_refused(
    error: type[Ml2021Error], facts: str, folder: Path, columns: Columns, *lines: str
) -> None:
    """Check that loading is refused in one line that contains these facts, split at `|`."""
    with pytest.raises(error) as caught:
        load_table(folder, columns, *lines)
    (line,) = caught.value.lines
    for fact in facts.split(" | "):
        assert fact in line


def samples_of(data: TrainingData) -> dict[str, tuple[list[int], Samples]]:
    """Return the rows and the samples of each split."""
    return {name: (data.split.rows[name].tolist(), each) for name, each in data.splits.items()}


def rows_in_use(data: TrainingData) -> list[int]:
    return sorted(row for rows, _ in samples_of(data).values() for row in rows)


def real(data: TrainingData) -> RealTargets:
    target = data.preprocessing.target
    assert isinstance(target, RealTargets)
    return target


def test_two_keys_are_enough(tmp_path: Path) -> None:
    columns = table()
    data = load_table(tmp_path, columns, "  target: y")
    config = data.config
    assert isinstance(config.data.split, schema.FractionSplit)
    assert (config.task, config.data.split.method, config.loss) == (
        "regression",
        "random",
        schema.Mse(),
    )
    assert data.split.sizes() == {"train": 35, "validation": 5, "test": 10}
    assert data.preprocessing.inputs == ("a", "b=x", "b=y", "b=z")
    assert notes_of(data) == ()
    assert data.data_path == tmp_path / "t.csv"
    a, y = np.array(columns["a"], float), np.array(columns["y"], float)
    train = data.split.train
    for rows, each in samples_of(data).values():
        assert each.previous is None
        assert each.values[:, 0].tolist() == y[rows].tolist()
        expected = (a[rows] - a[train].mean()) / a[train].std()
        assert np.allclose(each.inputs[:, 0], expected, atol=1e-6)
        assert each.inputs[:, 1:4].argmax(axis=1).tolist() == [row % 3 for row in rows]
        assert each.inputs[:, 1:].sum(axis=1).tolist() == [2] * len(rows)
    assert real(data).means[0] == pytest.approx(y[train].mean(), rel=1e-14)
    assert real(data).scales[0] == pytest.approx(y[train].std(), rel=1e-14)


def test_nothing_is_learned_from_validation_and_test_rows(tmp_path: Path) -> None:
    columns = table()
    data = load_table(tmp_path, columns, "  target: y")
    train = set(data.split.train.tolist())
    changed: dict[str, list[Cell]] = {
        "a": [v if i in train else 1e6 for i, v in enumerate(columns["a"])],
        "b": [v if i in train else "new" for i, v in enumerate(columns["b"])],
        "y": [v if i in train else -1e6 for i, v in enumerate(columns["y"])],
    }
    again = load_table(tmp_path, changed, "  target: y")
    assert again.preprocessing == data.preprocessing
    assert again.train.inputs.tobytes() == data.train.inputs.tobytes()
    unseen, outside = again.test.notes
    assert ": b 10 (new" in unseen
    assert outside.endswith(": a 10")


def test_the_split_is_the_same_for_another_seed_and_model(tmp_path: Path) -> None:
    columns = table()
    splits = [
        load_table(tmp_path, columns, "  target: y", *lines).split.test.tolist()
        for lines in ([], ["seed: 7", "model: linear", "loss: mae"], ["  split: {seed: 1}"])
    ]
    assert splits[0] == splits[1] != splits[2]


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    columns = table()
    columns["y"] = [None if i % 10 == 3 else v for i, v in enumerate(columns["y"])]
    data = load_table(tmp_path, columns, "  target: y")
    assert rows_in_use(data) == [i for i in range(50) if i % 10 != 3]
    assert notes_of(data) == ("5 rows excluded: no target",)


def test_classes_are_stratified_and_encoded(tmp_path: Path) -> None:
    columns = table()
    columns["y"] = [f"{'10' if i % 5 else '9'}" for i in range(50)]
    data = load_table(tmp_path, columns, "  target: y")
    target = data.preprocessing.target
    assert isinstance(target, ClassTarget)
    assert isinstance(data.config.data.split, schema.FractionSplit)
    assert data.config.data.split.method == "stratified"
    assert (data.config.task, data.config.loss) == ("classification", schema.CrossEntropy())
    assert target.labels == ("9", "10")
    for rows, each in samples_of(data).values():
        assert each.classes.tolist() == [int(row % 5 > 0) for row in rows]
        assert np.bincount(each.classes, minlength=2)[0] == len(rows) / 5


def test_lags_by_hand(tmp_path: Path) -> None:
    columns = series()
    values = wave(60)
    data = load_table(tmp_path, columns, "  target: y", "  lags: 7", "  split: {test: 0.25}")
    assert notes_of(data) == (
        "excluded: day (dates or times; see data.dates)",
        "7 rows excluded: too close to the ends for 7 lags",
    )
    split = data.split
    assert split.train.tolist() == list(range(7, 42))
    assert split.validation.tolist() == list(range(42, 47))
    assert split.test.tolist() == list(range(47, 60))
    history = data.preprocessing.history
    assert history is not None
    trained = np.array(values[7:42])
    assert history.mean == pytest.approx(trained.mean(), rel=1e-14)
    assert history.scale == pytest.approx(trained.std(), rel=1e-14)
    assert (real(data).means, real(data).scales) == ((history.mean,), (history.scale,))
    for rows, each in samples_of(data).values():
        assert each.inputs.shape == (len(rows), 8)
        for row, inputs in zip(rows, each.inputs, strict=True):
            previous = np.array([values[row - step] for step in range(1, 8)])
            expected = ((previous - history.mean) / history.scale).astype(np.float32)
            assert inputs.tolist() == [*expected.tolist(), 1]
        assert each.values[:, 0].tolist() == [values[row] for row in rows]
        assert each.previous is not None
        assert each.previous.tolist() == [values[row - 1] for row in rows]
    assert data.preprocessing.inputs == tuple(f"y−{lag}" for lag in range(1, 8))


def test_the_future_does_not_reach_the_scale_of_a_series(tmp_path: Path) -> None:
    columns = series()
    lines = ("  target: y", "  lags: 2")
    data = load_table(tmp_path, columns, *lines)
    first = data.split.validation[0]
    columns["y"] = [v if i < first else 1e5 + i for i, v in enumerate(columns["y"])]
    assert load_table(tmp_path, columns, *lines).preprocessing == data.preprocessing


def test_gaps_in_a_series_are_left_out_and_counted(tmp_path: Path) -> None:
    columns = series()
    columns["y"][20] = None
    columns["y"][59] = None
    data = load_table(tmp_path, columns, "  target: y", "  lags: 3")
    assert rows_in_use(data) == [i for i in range(3, 59) if i not in (20, 21, 22, 23)]
    assert [note.split()[0] for note in notes_of(data)[1:]] == ["3", "5"]


def test_order_by_sorts_before_anything_else(tmp_path: Path) -> None:
    columns = series()
    columns["x"] = [v * 2 % 13 for v in wave(60)]
    lines = ("  target: y", "  lags: 4", "  order_by: day")
    data = load_table(tmp_path, columns, *lines)
    order = np.random.default_rng(2).permutation(60)
    mixed = {name: [cells[i] for i in order] for name, cells in columns.items()}
    again = load_table(tmp_path, mixed, *lines)
    assert again.preprocessing == data.preprocessing
    for (rows, each), (other_rows, other) in zip(
        samples_of(data).values(), samples_of(again).values(), strict=True
    ):
        assert rows == other_rows
        assert each.inputs.tobytes() == other.inputs.tobytes()
        assert each.targets.tobytes() == other.targets.tobytes()
    assert data.train.inputs.shape[1] == 1 + 4 + 1


def test_order_by_without_lags_keeps_rows_together(tmp_path: Path) -> None:
    columns = table()
    columns["when"] = [(i * 7) % 50 for i in range(50)]
    columns["a"] = [2.0 * float(v or 0) for v in columns["y"]]
    lines = ("  target: y", "  order_by: when", "  split: sequential")
    data = load_table(tmp_path, columns, *lines)
    by_time = sorted(range(50), key=lambda i: (i * 7) % 50)
    assert data.test.values[:, 0].tolist() == [columns["y"][i] for i in by_time[-10:]]
    target, (a, *_) = real(data), data.preprocessing.features
    assert isinstance(a, NumberFeature)
    restored = data.test.inputs[:, 0] * a.scale + a.mean
    assert np.allclose(restored, 2 * data.test.values[:, 0], rtol=1e-5)
    assert a.mean == pytest.approx(2 * target.means[0])


def test_rows_know_their_place_in_the_file_and_what_orders_them(tmp_path: Path) -> None:
    columns: Columns = {**series(20), "note": [f"free text {i}" for i in range(20)]}
    backwards = {name: cells[::-1] for name, cells in columns.items()}
    data = load_table(
        tmp_path, backwards, "  target: y", "  order_by: day", "  lags: 2", "  exclude: [note]"
    )
    for _, samples in samples_of(data).values():
        assert samples.order is not None
        assert samples.values[:, 0].tolist() == [backwards["y"][i] for i in samples.places]
        assert samples.order.tolist() == [backwards["day"][i] for i in samples.places]
    assert data.unused == ("note",)
    assert load_table(tmp_path, backwards, "  target: y").train.order is None


def test_equal_times_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    columns = series(40)
    columns["day"] = [f"2021-01-{2 - i // 20:02}" for i in range(40)]
    data = load_table(tmp_path, columns, "  target: y", "  lags: 1", "  order_by: day")
    values = wave(40)
    in_order = values[20:] + values[:20]
    assert data.test.values[:, 0].tolist() == in_order[-8:]


def test_order_by_with_missing_values_is_refused(tmp_path: Path) -> None:
    columns = series()
    columns["day"][5] = None
    for days in (columns["day"], [None if i == 5 else i for i in range(60)]):
        columns["day"] = [*days]
        lines = ("  target: y", "  lags: 2", "  order_by: day")
        assert_refused(DataError, "'day' | missing in 1 row;", tmp_path, columns, *lines)


def test_horizon_by_hand(tmp_path: Path) -> None:
    values = wave(60)
    data = load_table(
        tmp_path, series(), "  target: y", "  lags: 2", "  horizon: 3", "  exclude: [day]"
    )
    assert data.config.task == data.preprocessing.task == "structured"
    # 56 rows have two values before and two after them; 6 validate, 11 test; at each seam two
    # rows reach over.
    assert data.split.train.tolist() == list(range(2, 39))
    assert data.split.validation.tolist() == list(range(41, 45))
    assert data.split.test.tolist() == list(range(47, 58))
    assert [note.split()[0] for note in notes_of(data)] == ["4", "4"]
    target = real(data)
    assert (target.names, target.labels) == (("y",) * 3, ("y+1", "y+2", "y+3"))
    assert len(set(target.means)) == len(set(target.scales)) == 1
    for rows, each in samples_of(data).values():
        assert each.values.tolist() == [values[row : row + 3] for row in rows]
    trained = {row + step for row in data.split.train.tolist() for step in range(3)}
    scored = {int(row) for row in data.split.validation} | {*data.split.test.tolist()}
    assert not trained & scored


def test_a_structured_output_shares_a_scale_by_its_shape(tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {"a": [*wave(50)]}
    for j in range(6):
        columns[f"p{j}"] = [v * (j + 1) for v in wave(50)[::-1]]
    plain = load_table(tmp_path, columns, '  target: "p*"')
    shaped = load_table(tmp_path, columns, '  target: "p*"', "  target_shape: [2, 3]")
    assert plain.config.task == shaped.config.task == "structured"
    assert len(set(real(plain).scales)) == 6
    assert len(set(real(shaped).scales)) == 1
    assert real(shaped).scales[0] == pytest.approx(
        np.sqrt(np.mean(np.square(real(plain).scales))), rel=1e-12
    )
    assert real(shaped).means == real(plain).means
    assert (real(shaped).shape, real(plain).shape) == ((2, 3), None)
    row = int(shaped.split.test[0])
    assert shaped.test.values[0].tolist() == pytest.approx(
        [float(columns[f"p{j}"][row] or 0) for j in range(6)]
    )


def test_a_row_that_lacks_one_of_several_targets_is_left_out(tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {"p": [*wave(30)], "q": [*wave(30)], "a": [*wave(30)[::-1]]}
    columns["p"][4] = columns["q"][7] = columns["q"][4] = None
    data = load_table(tmp_path, columns, "  target: [q, p]")
    assert rows_in_use(data) == [i for i in range(30) if i not in (4, 7)]
    assert notes_of(data) == ("2 rows excluded: no target",)


def test_targets_keep_the_order_of_the_config(tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {"p": [*wave(30)], "a": [*wave(30)[::-1]]}
    columns["q"] = [-float(v or 0) for v in columns["p"]]
    data = load_table(tmp_path, columns, "  target: [q, p]")
    assert real(data).names == ("q", "p")
    assert (data.test.values[:, 0] == -data.test.values[:, 1]).all()


@pytest.mark.parametrize(
    ("lines", "facts"),
    [
        (["  target: [a, y]", "  target_shape: [2, 3]"], "c.yaml:4:17: 2 x 3 | 2 targets"),
        (['  target: "?"', "  lags: 2", "  features: []"], "c.yaml:3:11: data.lags | not 3"),
        (["  target: [a, y]", "task: regression"], "c.yaml:4:7: regression | not 2"),
        (
            ["  target: y", "  lags: 2", "  horizon: 3", "task: regression"],
            "c.yaml:6:7: regression | not 3",
        ),
        (["  target: y", "  split: {method: stratified}"], "c.yaml:4:19: stratified"),
        (["  target: y", "loss: cross_entropy"], "c.yaml:4:7: cross_entropy | mse"),
        (["  target: b", "loss:", "  type: huber"], "c.yaml:5:3: huber | use cross_entropy"),
        (["  target: b", "  lags: 3"], "c.yaml:4:9: | task: regression"),
        (["  target: b", "  lags: 3", "  horizon: 2"], "c.yaml:4:9: | task: structured"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(
    tmp_path: Path, lines: list[str], facts: str
) -> None:
    assert_refused(ConfigError, facts, tmp_path, table(), *lines)


def test_every_wrong_column_is_named_at_once_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_table(
            tmp_path,
            {**table(), "date": ["2021-01-01"] * 50},
            "  target: Y",
            "  features: [a, bb, zz*]",
            "  exclude:",
            "    - dates",
            "  order_by: Date",
            "  split: {method: column, column: qqq}",
        )
    places = ["3:11: no", "6:7: no", "4:17: no", "4:21: no", "7:13: no", "8:35: no"]
    names = ["'Y'", "'dates'", "'bb'", "'zz*'", "'Date'", "'qqq'"]
    for line, place, name in zip(caught.value.lines, places, names, strict=True):
        assert line.startswith(f"c.yaml:{place}")
        assert name in line


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    short, gap = table(5), series(12)
    short["y"] = [None, None, None, None, 1.5]
    gap["y"][8] = None
    cases: list[tuple[str, Columns, str]] = [
        ("1 of 1 row can", table(1), ""),
        ("1 of 5 rows | no target: 4", short, ""),
        ("0 of 50 rows | no target: 50", table() | {"y": [None] * 50}, ""),
        ("0 of 5 rows | 7 lags: 5", series(5), "  lags: 7"),
        ("1 of 12 rows | 7 lags: 7 | gap in the history or target: 4", gap, "  lags: 7"),
    ]
    for facts, columns, line in cases:
        assert_refused(DataError, facts, tmp_path, columns, "  target: y", line)


def test_a_fraction_of_few_rows_is_refused(tmp_path: Path) -> None:
    facts = "data.split.validation: 0.1 of 4 rows"
    assert_refused(DataError, facts, tmp_path, table(4), "  target: y")
    data = load_table(tmp_path, table(4), "  target: y", "  split: {validation: 0.0, test: 0.0}")
    assert data.split.sizes() == {"train": 4, "validation": 0, "test": 0}
    assert data.test.inputs.shape == (0, data.train.inputs.shape[1])


def test_a_class_that_training_never_saw_is_none(tmp_path: Path) -> None:
    columns = table()
    columns["y"] = ["new" if i >= 45 else ["u", "v"][i % 2] for i in range(50)]
    data = load_table(tmp_path, columns, "  target: y", "  split: sequential")
    assert data.test.classes.tolist() == [int(i % 2) for i in range(40, 45)] + [-1] * 5


def test_a_constant_target_trains_with_a_note(tmp_path: Path) -> None:
    data = load_table(tmp_path, {**table(), "y": [2.5] * 50}, "  target: y")
    assert (real(data).means, real(data).scales) == ((2.5,), (1.0,))
    (note,) = notes_of(data)
    assert "y is constant" in note


def test_a_separate_file_to_test_on(tmp_path: Path) -> None:
    other = table(8)
    other["y"][2] = None
    turned = {name: other[name] for name in ("y", "b", "a")}
    path = write_csv(tmp_path / "other.csv", turned)
    alone = load_table(tmp_path, table(), "  target: y", "  split: {test: 0.0}")
    data = load_table(tmp_path, table(), "  target: y", f"  test_path: {path}")
    assert data.preprocessing == alone.preprocessing
    assert data.train.inputs.tobytes() == alone.train.inputs.tobytes()
    assert data.split.sizes() == {"train": 45, "validation": 5, "test": 7}
    assert data.test.values[:, 0].tolist() == [v for v in other["y"] if v is not None]
    repeated, excluded = notes_of(data)
    assert repeated.startswith("7 of 7 test rows are the same")
    assert excluded == "1 row excluded: no target in data.test_path"
    first = data.preprocessing.features[0]
    assert isinstance(first, NumberFeature)
    a = np.array([v for i, v in enumerate(other["a"]) if i != 2], np.float64)
    assert np.allclose(data.test.inputs[:, 0], (a - first.mean) / first.scale, atol=1e-6)


def test_a_test_file_that_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[Columns, Columns, str, str]] = [
        (table(), {**table(5), "y": [None] * 5}, "", "target;"),
        (series(), {"y": [1.5, 2.5, 3.5]}, "  lags: 3", "target or history"),
        (table(), {"a": [1], "b": ["x"]}, "", "column 'y' is missing"),
    ]
    for columns, other, line, fact in cases:
        path = write_csv(tmp_path / "other.csv", other)
        lines = ("  target: y", f"  test_path: {path}", line)
        assert_refused(DataError, f"{path}: | {fact}", tmp_path, columns, *lines)


def test_a_split_by_labels(tmp_path: Path) -> None:
    columns = table()
    names = ["train", "train", "validation", "test", None]
    columns["use"] = [names[i % 5] for i in range(50)]
    lines = ("  target: y", "  split: {method: column, column: use}")
    data = load_table(tmp_path, columns, *lines)
    assert data.split.train.tolist() == [i for i in range(50) if i % 5 < 2]
    assert data.split.validation.tolist() == [i for i in range(50) if i % 5 == 2]
    assert data.split.test.tolist() == [i for i in range(50) if i % 5 == 3]
    assert notes_of(data) == ("10 rows excluded: no value in use",)
    assert data.preprocessing.inputs == ("a", "b=x", "b=y", "b=z")
    columns["use"] = [i % 2 for i in range(50)]
    assert_refused(DataError, "'use' | numbers | validation_from", tmp_path, columns, *lines)


def test_a_split_by_date_of_a_series_out_of_order(tmp_path: Path) -> None:
    columns = {name: cells[::-1] for name, cells in series().items()}
    data = load_table(
        tmp_path,
        columns,
        "  target: y",
        "  lags: 2",
        "  order_by: day",
        "  split: {method: column, column: day, validation_from: 2021-02-01, "
        "test_from: 2021-02-11}",
    )
    assert data.split.train.tolist() == list(range(2, 28))
    assert data.split.validation.tolist() == list(range(28, 38))
    assert data.split.test.tolist() == list(range(38, 60))
    assert data.test.values[:, 0].tolist() == wave(60)[38:]


def test_two_valued_columns_with_gaps_and_words_for_nothing(tmp_path: Path) -> None:
    columns = table()
    columns["flag"] = [None if i % 5 == 0 else i % 2 for i in range(50)]
    columns["bool"] = [str(i % 3 == 0) for i in range(50)]
    columns["count"] = [None if i % 4 == 0 else i * i for i in range(50)]
    data = load_table(tmp_path, columns, "  target: y", "  split: {validation: 0.0, test: 0.0}")
    _, _, flag, boolean, count = data.preprocessing.features
    assert isinstance(flag, NumberFeature)
    assert isinstance(boolean, CategoryFeature)
    assert isinstance(count, NumberFeature)
    assert boolean.categories == ("False", "True")
    assert flag.has_indicator
    assert count.has_indicator
    for row, inputs in enumerate(data.train.inputs[:, 4:].tolist()):
        assert inputs[1] == int(row % 5 == 0)
        assert inputs[1] or (inputs[0] > 0) == (row % 2 == 1)
        assert inputs[2:4] == [int(row % 3 != 0), int(row % 3 == 0)]
        assert inputs[5:] == [int(row % 4 == 0), 1]


def test_an_empty_text_is_a_category_where_it_is_not_listed_as_missing(tmp_path: Path) -> None:
    columns = table()
    columns["b"] = ["" if i % 2 else "x" for i in range(50)]
    by_default = load_table(tmp_path, columns, "  target: y").preprocessing.inputs
    assert by_default == ("a", "b=x")
    listed = load_table(tmp_path, columns, "  target: y", "  missing: [NA]").preprocessing.inputs
    assert listed == ("a", "b=", "b=x")


def test_unnamed_columns_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{a},{a * a + 0.5}\n" for a in wave(30)))
    data = load(path, "  header: false", "  target: 1")
    assert data.preprocessing.inputs == ("0",)
    assert real(data).labels == ("1",)


@pytest.mark.parametrize(
    ("days", "order_by", "expected"),
    [
        (range(40), True, None),
        (range(40), False, None),
        ([*range(20), *range(23, 43)], True, "1 irregular step of 39"),
        ([day // 2 for day in range(40)], True, "20 repeated values"),
        ([*range(20, 40), *range(20)], False, "not sorted by day"),
    ],
)
def test_a_series_that_is_none_is_noted(
    tmp_path: Path, days: Sequence[int], order_by: bool, expected: str | None
) -> None:
    dates = [str(np.datetime64("2021-01-01") + day) for day in days]
    lines = ["  target: y", "  lags: 3", *(["  order_by: day"] if order_by else [])]
    notes = load_table(tmp_path, {"day": dates, "y": wave(40)}, *lines).notes
    found = [note for note in notes if "day" in note and "excluded" not in note]
    assert len(found) == (expected is not None)
    assert all(expected in note for note in found if expected)


def test_a_column_that_is_numbers_for_the_most_part_is_refused(tmp_path: Path) -> None:
    columns = table()
    columns["hp"] = ["unknown" if i % 4 == 0 else i % 9 for i in range(50)]
    facts = "'hp' | 'unknown' (13 cells) | data.missing"
    assert_refused(DataError, facts, tmp_path, columns, "  target: y")


def test_a_text_with_nearly_a_class_per_row_is_no_target(tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {**table(), "code": [f"C{i}" for i in range(50)]}
    facts = "'code' | 50 distinct texts | data.target"
    assert_refused(DataError, facts, tmp_path, columns, "  target: code")


def test_rows_of_a_class_without_a_training_row(tmp_path: Path) -> None:
    """Those that would validate have no loss and are left out; those that test count as wrong."""
    use = ["train"] * 30 + ["validation"] * 10 + ["test"] * 10
    kind: list[Cell] = [["p", "q"][i % 2] for i in range(50)]
    kind[35], kind[36], kind[45] = "r", "r", "r"
    columns: dict[str, list[Cell]] = {**table(), "use": [*use], "kind": kind}
    data = load_table(tmp_path, columns, "  target: kind", "  split: {method: column, column: use}")
    assert len(data.validation) == len(data.split.validation) == 8
    assert data.test.classes.tolist().count(-1) == 1
    unseen, left_out = notes_of(data)
    assert unseen.startswith("1 test row of a class without training rows")
    assert left_out == "2 rows excluded: validation rows of a class without training rows"


def test_names_that_occur_several_times_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{i},{i * i % 7},{i * 3 % 11}" for i in range(30)]
    path.write_text("\n".join(["x,x,y", *rows]) + "\n")
    notes = load(path, "  target: y").notes
    assert notes[0].endswith("x.0, x.1")
