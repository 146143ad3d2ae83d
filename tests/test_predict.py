"""`predict`: a row out for each row in, under the names of the file, and all of them or none."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml2021.commands.prediction_csv import _numbers, to_csv
from ml2021.runs.model import TrainedModel, load_model
from tests import commands
from tests.commands import contents, parse_rows, read_rows, refusal, run_well, write_rows

SERIES = "path: series.csv, target: views, exclude: [date, weekday], lags: 7"
SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\n"
CONFIGS = {
    "number": f"data: {{path: train.csv, target: y, exclude: [id, kind, p*]}}\n{SMALL}",
    "classes": f"data: {{path: train.csv, target: kind, exclude: [id, y, p*]}}\n{SMALL}",
    "pixels": f'data: {{path: train.csv, target: "p*", exclude: [id, y, kind]}}\n{SMALL}',
    "series": f"data: {{{SERIES}}}\n{SMALL}",
    "ordered": f"data: {{{SERIES}, order_by: date}}\n{SMALL}",
    "week": f"data: {{{SERIES}, horizon: 3}}\n{SMALL}",
    "known": f"data: {{path: series.csv, target: views, features: [weekday], lags: 7}}\n{SMALL}",
}
LAGS = 7


def series(rows: int) -> dict[str, list[object]]:
    columns = commands.series(rows)
    return {**columns, "weekday": [row % 7 for row in range(rows)]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds a run of each config, under its name."""
    folder = tmp_path_factory.mktemp("runs")
    write_rows(folder / "train.csv", commands.table(120))
    write_rows(folder / "series.csv", series(80))
    return commands.train_runs(folder, CONFIGS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "new.csv", commands.table(30, seed=1))
    write_rows(tmp_path / "series.csv", series(40))
    return tmp_path


def predicted(folder: Path, run: Path, *arguments: object) -> str:
    """Return the predictions that a command writes to stdout."""
    return run_well(folder, "predict", "--run", run, "--output", "-", *arguments).stdout


def column(text: str, name: str) -> list[str]:
    return [row[name] for row in parse_rows(text)]


def model_of(run: Path) -> TrainedModel:
    return load_model(run / "checkpoints" / "best.safetensors")


# What is written, and where.


def test_rows_keep_their_number_and_order(runs: Path, folder: Path) -> None:
    text = predicted(folder, runs / "number", "new.csv", "--id", "id", "--id", "colour")
    assert text.splitlines()[0] == "id,colour,y"
    assert column(text, "id") == column((folder / "new.csv").read_text(), "id")
    assert column(text, "colour") == column((folder / "new.csv").read_text(), "colour")
    backwards = {name: cells[::-1] for name, cells in commands.table(30, seed=1).items()}
    write_rows(folder / "backwards.csv", backwards)
    other = predicted(folder, runs / "number", "backwards.csv", "--id", "id")
    assert column(other, "id") == column(text, "id")[::-1]
    assert np.array(column(other, "y"), float) == pytest.approx(
        np.array(column(text, "y")[::-1], float), rel=1e-5
    )


def test_predictions_are_those_of_the_model(runs: Path, folder: Path) -> None:
    model = model_of(runs / "number")
    rows = read_rows(folder / "new.csv")
    inputs = np.ones((len(rows), 6), np.float32)
    a, b, colour = model.preprocessing.features
    assert (a.kind, b.kind, colour.kind) == ("number", "number", "category")
    for index, feature in enumerate((a, b)):
        assert feature.kind == "number"
        values = np.array([row[feature.name] for row in rows], float)
        inputs[:, index] = (values - feature.mean) / feature.scale
    for index, name in enumerate(("blue", "green", "red")):
        inputs[:, 2 + index] = [row["colour"] == name for row in rows]
    expected = model.predict(inputs)[:, 0]
    text = predicted(folder, runs / "number", "new.csv")
    assert np.array(column(text, "y"), float) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["number", "classes", "pixels"])
def test_only_the_features_matter_in_any_order(runs: Path, folder: Path, name: str) -> None:
    columns = commands.table(30, seed=1)
    first = predicted(folder, runs / name, "new.csv")
    extra: dict[str, list[object]] = {**columns, "x": ["=cmd"] * 30}
    for names in (list(columns)[::-1], ["a", "b", "colour"], ["x", *columns]):
        write_rows(folder / "other.csv", {name: extra[name] for name in names})
        assert predicted(folder, runs / name, "other.csv") == first


@pytest.mark.parametrize("name", ["number", "classes", "pixels"])
def test_rows_one_by_one_give_what_all_give(runs: Path, folder: Path, name: str) -> None:
    columns = commands.table(5, seed=1)
    write_rows(folder / "five.csv", columns)
    together = parse_rows(predicted(folder, runs / name, "five.csv"))
    for row, expected in enumerate(together):
        write_rows(
            folder / "one.csv", {key: cells[row : row + 1] for key, cells in columns.items()}
        )
        (alone,) = parse_rows(predicted(folder, runs / name, "one.csv"))
        if name == "classes":
            assert alone.pop("kind") == expected.pop("kind")
        assert [float(v) for v in alone.values()] == pytest.approx(
            [float(v) for v in expected.values()], rel=1e-5, abs=1e-6
        )


def test_classes_come_with_their_probabilities(runs: Path, folder: Path) -> None:
    rows = parse_rows(predicted(folder, runs / "classes", "new.csv"))
    names = ["high", "low", "middle"]
    probability = {name: f"kind_probability_{name}" for name in names}
    assert list(rows[0]) == ["kind", *probability.values()]
    for row in rows:
        values = {name: float(row[probability[name]]) for name in names}
        assert sum(values.values()) == pytest.approx(1, abs=1e-6)
        assert row["kind"] == max(values, key=lambda name: values[name])
    assert len({row["kind"] for row in rows}) > 1


def test_a_structured_output_has_a_column_for_each_target(runs: Path, folder: Path) -> None:
    rows = parse_rows(predicted(folder, runs / "pixels", "new.csv"))
    assert list(rows[0]) == [f"p{pixel}" for pixel in range(6)]
    assert len(rows) == 30


def test_notes_count_missing_unseen_and_outlying_values(runs: Path, folder: Path) -> None:
    columns = commands.table(30)
    columns["a"][:2] = [1e4, ""]
    columns["colour"][:3] = ["purple"] * 3
    write_rows(folder / "odd.csv", columns)
    outcome = run_well(folder, "predict", "odd.csv", "--run", runs / "number")
    assert outcome.stdout == ""
    notes = outcome.stderr.splitlines()[3:]
    assert [note.rpartition(": ")[2] for note in notes] == ["a 1", "colour 3 (purple × 3)", "a 1"]


def test_the_default_output_is_never_overwritten(runs: Path, folder: Path) -> None:
    run_well(folder, "predict", "new.csv", "--run", runs / "number")
    code, line = refused(folder, runs / "classes", "new.csv")
    assert (code, line.partition(": ")[0]) == (2, f"{folder}/new.predictions.csv")


def test_a_named_output_is_replaced_whole(runs: Path, folder: Path) -> None:
    (folder / "out.csv").write_text("old\n")
    (folder / "link.csv").symlink_to("out.csv")
    with (folder / "out.csv").open() as old:
        run_well(folder, "predict", "new.csv", "--run", runs / "number", "--output", "link.csv")
        assert old.read() == "old\n"  # whoever has the old file open still reads that one
    assert (folder / "link.csv").is_symlink()
    assert len(read_rows(folder / "out.csv")) == 30
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_pipe_is_written_into(runs: Path, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    run_well(folder, "predict", "new.csv", "--run", runs / "number", "--output", "pipe")
    received = os.read(reader, 1 << 16).decode()
    os.close(reader)
    assert received == predicted(folder, runs / "number", "new.csv")
    assert (folder / "pipe").is_fifo()


def test_several_csvs_go_into_a_folder(runs: Path, folder: Path) -> None:
    write_rows(folder / "second.csv", commands.table(7, seed=2))
    both = ("predict", "new.csv", "second.csv", "--run", runs / "number")
    run_well(folder, *both, "--output", "deep/out")
    assert len(read_rows(folder / "deep/out/new.predictions.csv")) == 30
    assert len(read_rows(folder / "deep/out/second.predictions.csv")) == 7
    run_well(folder, *both)
    assert len(read_rows(folder / "second.predictions.csv")) == 7
    run_well(folder, "predict", "new.csv", "--run", runs / "classes", "--output", "deep")
    assert "kind" in read_rows(folder / "deep/new.predictions.csv")[0]


# Refusals.


def refused(folder: Path, run: Path, *arguments: object) -> tuple[int, str]:
    before = contents(folder), sorted(folder.rglob("*"))
    outcome = refusal(folder, "predict", "--run", run, *arguments)
    assert (contents(folder), sorted(folder.rglob("*"))) == before
    return outcome


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["no.csv"], 3, "{folder}/no.csv: "),
        (["new.csv", "new.csv"], 2, "two inputs "),
        (["new.csv", "series.csv", "--output", "-"], 2, "--output -: "),
        (["new.csv", "series.csv", "--output", "new.csv"], 2, "--output new.csv: is a file; "),
        (["new.csv", "--output", "no/out.csv"], 5, "{folder}/no/out.csv: "),
        (["new.csv", "--id", "idd"], 2, "--id: no column 'idd' in new.csv; "),
        (["new.csv", "--id", "y"], 2, "--id y: "),
        (["new.csv", "--ahead", "2"], 2, "--ahead: "),
    ],
)
def test_invalid_arguments(
    runs: Path, folder: Path, arguments: list[str], code: int, line: str
) -> None:
    found, message = refused(folder, runs / "number", *arguments)
    assert found == code
    assert message.startswith(line.format(folder=folder)), message


# Series.


def by_hand(model: TrainedModel, values: list[float], steps: int) -> list[float]:
    """Forecast one value after the other, each from the ones before it."""
    history = model.preprocessing.history
    assert history is not None
    known = list(values)
    for _ in range(steps):
        inputs = np.ones((1, LAGS + 1), np.float32)
        latest_first = np.array(known[-LAGS:][::-1])
        inputs[0, :LAGS] = (latest_first - history.mean) / history.scale
        known.append(float(model.predict(inputs)[0, 0]))
    return known[len(values) :]


def values_of(rows: int) -> list[float]:
    return [float(str(value)) for value in commands.series(rows)["views"]]


def numbers(cells: list[str]) -> NDArray[np.float64]:
    return np.array(cells, float)


def test_every_row_with_a_history_is_predicted_from_it(runs: Path, folder: Path) -> None:
    outcome = run_well(folder, "predict", "series.csv", "--run", runs / "series")
    assert outcome.stderr.endswith("history of 7, left empty: 7\n")
    cells = column((folder / "series.predictions.csv").read_text(), "views")
    assert cells[:LAGS] == [""] * LAGS
    model, values = model_of(runs / "series"), values_of(40)
    expected = [by_hand(model, values[:row], 1)[0] for row in range(LAGS, 40)]
    assert numbers(cells[LAGS:]) == pytest.approx(np.array(expected), rel=1e-5)


def test_rows_after_the_last_one_are_forecast_from_the_forecasts(runs: Path, folder: Path) -> None:
    arguments = ("predict", "series.csv", "--run", runs / "series", "--ahead", "5", "--id", "date")
    outcome = run_well(folder, *arguments, "--output", "-")
    assert outcome.stderr.endswith(": 5\n")  # rows forecast
    rows = parse_rows(outcome.stdout)
    assert [row["date"] for row in rows[-6:]] == [f"2021-02-{day:02d}" for day in range(9, 15)]
    expected = by_hand(model_of(runs / "series"), values_of(40), 5)
    assert numbers([row["views"] for row in rows[-5:]]) == pytest.approx(expected, rel=1e-5)


def test_trailing_rows_without_a_target_are_forecast(runs: Path, folder: Path) -> None:
    columns = series(40)
    columns["views"][-4:] = [""] * 4
    write_rows(folder / "open.csv", columns)
    expected = by_hand(model_of(runs / "series"), values_of(36), 6)
    for ahead in (0, 2):
        text = predicted(folder, runs / "series", "open.csv", "--ahead", ahead)
        cells = numbers(column(text, "views")[36:])
        assert cells == pytest.approx(np.array(expected[: 4 + ahead]), rel=1e-5)


def test_a_gap_leaves_the_rows_after_it_empty(runs: Path, folder: Path) -> None:
    columns = series(40)
    columns["views"][20] = ""
    write_rows(folder / "gap.csv", columns)
    cells = column(predicted(folder, runs / "series", "gap.csv"), "views")
    empty = [row for row, cell in enumerate(cells) if cell == ""]
    assert empty == [*range(7), *range(21, 28)]


def test_a_horizon_has_a_column_for_each_step(runs: Path, folder: Path) -> None:
    rows = parse_rows(predicted(folder, runs / "week", "series.csv", "--ahead", "1"))
    assert list(rows[0]) == ["views+1", "views+2", "views+3"]
    assert len(rows) == 41
    expected = by_hand(model_of(runs / "week"), values_of(40), 1)
    assert float(rows[-1]["views+1"]) == pytest.approx(expected[0], rel=1e-5)


def test_a_series_is_ordered_by_its_column_and_written_as_it_stood(
    runs: Path, folder: Path
) -> None:
    columns = series(40)
    write_rows(folder / "moved.csv", {name: c[5:] + c[:5] for name, c in columns.items()})
    arguments = ("--id", "date", "--ahead", "2")
    straight = parse_rows(predicted(folder, runs / "ordered", "series.csv", *arguments))
    turned = parse_rows(predicted(folder, runs / "ordered", "moved.csv", *arguments))
    assert turned[:40] == straight[5:40] + straight[:5]
    assert turned[40:] == straight[40:]
    assert [row["date"] for row in turned[40:]] == ["2021-02-10", "2021-02-11"]


def test_unevenly_spaced_dates_are_not_continued(runs: Path, folder: Path) -> None:
    columns = series(40)
    days = np.datetime64("2018-01-01") + np.arange(40) ** 2
    columns["date"] = [str(day) for day in days]
    write_rows(folder / "uneven.csv", columns)
    text = predicted(folder, runs / "series", "uneven.csv", "--id", "date", "--ahead", "2")
    assert column(text, "date")[-3:] == ["2022-03-02", "", ""]


def test_a_future_feature_must_be_given(runs: Path, folder: Path) -> None:
    code, line = refused(folder, runs / "known", "series.csv", "--ahead", "2")
    assert code == 3
    assert line.startswith("series.csv: --ahead cannot know weekday ")
    columns = series(40)
    columns["views"][-2:] = [""] * 2
    write_rows(folder / "open.csv", columns)
    cells = column(predicted(folder, runs / "known", "open.csv"), "views")
    assert all(cells[LAGS:])


def test_text_is_quoted_where_a_csv_needs_it(runs: Path, folder: Path) -> None:
    columns = commands.table(3)
    columns["id"] = ['a,"b"', "two\nlines", "=cmd"]
    write_rows(folder / "odd.csv", columns)
    text = predicted(folder, runs / "number", "odd.csv", "--id", "id")
    assert column(text, "id") == columns["id"]
    assert len(list(csv.reader(text.splitlines(keepends=True)))) == 4


@given(
    st.lists(
        st.lists(st.text("ab1,\"\r\n ' ", max_size=3), min_size=3, max_size=3),
        min_size=1,
        max_size=3,
    )
)
def test_the_fast_path_writes_what_the_csv_module_writes(columns: list[list[str]]) -> None:
    named = {f"c{index}": column for index, column in enumerate(columns)}
    rows = [[*named], *map(list, zip(*columns, strict=True))]
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\n").writerows(rows)
    text = to_csv(named)
    # of Python 3.11 it leaves \r bare, at which readers end a line
    assert "\r" in text or text == expected.getvalue()
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_numbers_have_their_digits_however_many_there_are() -> None:
    values = np.random.default_rng(0).standard_normal(2500) * 10.0 ** np.linspace(-300, 300, 2500)
    values[3::7] = np.nan
    expected = ["" if np.isnan(value) else f"{value:.9g}" for value in values]
    assert _numbers(values) == expected
    assert _numbers(values[:0]) == []
