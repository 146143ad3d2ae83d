"""Columns of dates: their parts are features, in training and in any later table."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from ml2021.data.load import TrainingData
from ml2021.data.new_table import read_new_table
from ml2021.data.preprocessing.records import CategoryFeature, NumberFeature
from ml2021.data.resolve import table_format_of
from ml2021.errors import DataError
from tests.commands import read_rows, refusal, run_well
from tests.tables import Cell, load, write_csv

ROWS = 600
DAYS = np.datetime64("2019-01-01") + np.random.default_rng(0).integers(0, 900, ROWS)


def write(path: Path, dates: list[Cell], days: np.ndarray = DAYS) -> Path:
    """Write a table whose y rises by 10 a year and by 5 in June."""
    years = days.astype("datetime64[Y]").astype(int) + 1970
    months = days.astype("datetime64[M]").astype(int) % 12 + 1
    noise = np.random.default_rng(1).normal(size=len(days)).round(2)
    y = (10.0 * (years - 2019) + 5 * (months == 6)).tolist()
    return write_csv(path, {"x": noise.tolist(), "sold": dates, "y": y})


def iso(days: np.ndarray = DAYS) -> list[Cell]:
    return [str(day) for day in days]


def written(pattern: str) -> list[Cell]:
    return [day.strftime(pattern) for day in DAYS.astype(object)]


def of(data: TrainingData, name: str) -> NumberFeature | CategoryFeature:
    (feature,) = [f for f in data.preprocessing.features if f.name == name]
    return feature


def test_a_date_is_its_year_month_and_weekday(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv", iso()), "  target: y")
    assert [f.name for f in data.preprocessing.features] == [
        "x",
        "sold year",
        "sold month",
        "sold weekday",
    ]
    month, weekday = of(data, "sold month"), of(data, "sold weekday")
    assert isinstance(month, CategoryFeature)
    assert isinstance(weekday, CategoryFeature)
    assert (month.categories, weekday.categories) == (tuple(range(1, 13)), tuple(range(1, 8)))
    year = of(data, "sold year")
    assert isinstance(year, NumberFeature)
    assert (year.minimum, year.maximum) == (2019, 2021)
    assert "sold" not in data.unused
    sources = data.preprocessing.sources
    assert set(sources) == {"x", "sold", "y"}


@pytest.mark.parametrize(
    "pattern", ["%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d 00:00"]
)
def test_dates_may_be_written_otherwise(tmp_path: Path, pattern: str) -> None:
    plain = load(write(tmp_path / "iso.csv", iso()), "  target: y")
    other = load(write(tmp_path / "t.csv", written(pattern)), "  target: y")
    assert other.preprocessing.inputs == plain.preprocessing.inputs
    np.testing.assert_array_equal(other.train.inputs, plain.train.inputs)


@pytest.mark.parametrize(
    ("dates", "why"),
    [
        (["03/04/2021", "05/06/2021", "12/11/2020"], "03/04/2021, whose day and month"),
        (["13/04/2021", "04/13/2021"], "day first and with the month first"),
        (["3/31/21", "4/30/21"], "years of two digits"),
        (["18.00.00", "19.00.00"], "times without a date; write plain numbers, such as 68400, or"),
        (["18.07.13", "19.05.11"], "times without a date, or years of two digits; write dates"),
        (["01:07:13", "00:00:59"], "write plain numbers, such as 4033, or dates"),
        (["2021-01-01"] * 30 + ["2021-02-30"], "'2021-02-30' is none"),
        (["2021-01-01", "01/02/2021"], "several forms"),
    ],
)
def test_dates_that_cannot_be_read_are_left_out_with_the_form_that_can(
    tmp_path: Path, dates: list[Cell], why: str
) -> None:
    columns: dict[str, list[Cell]] = {
        "x": list(range(62)),
        "sold": (dates * 62)[:62],
        "y": [i % 7 for i in range(62)],
    }
    data = load(write_csv(tmp_path / "t.csv", columns), "  target: y")
    assert data.preprocessing.inputs == ("x",)
    (note,) = [note for note in data.notes if "sold" in note]
    assert why in note
    assert "like 2021-03-31" in note


def test_a_column_may_be_declared_to_hold_dates(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [*iso()[:300], *["unknown"] * 300])
    lines = ("  target: y", "  types: {sold: date}")
    assert any("dates, but 'unknown' is none" in note for note in load(path, *lines).notes)
    data = load(path, *lines, "  missing: ['', unknown]")
    assert data.preprocessing.dates[0].name == "sold"


def test_parts_are_chosen_and_an_empty_list_leaves_dates_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", iso())
    data = load(path, "  target: y", "  dates: [elapsed, day]")
    elapsed = of(data, "sold elapsed")
    assert isinstance(elapsed, NumberFeature)
    first = DAYS[data.train.places].min()
    assert (elapsed.minimum, elapsed.maximum) == (
        0,
        int((DAYS[data.train.places].max() - first).astype(int)),
    )
    day = of(data, "sold day")
    assert isinstance(day, NumberFeature)
    assert (day.minimum, day.maximum) == (1, 31)
    without = load(path, "  target: y", "  dates: []")
    assert without.preprocessing.inputs == ("x",)
    assert "sold" in without.unused


def test_hours_are_those_of_the_clock(tmp_path: Path) -> None:
    stamps: list[Cell] = [f"2021-03-{i % 28 + 1:02}T{i % 3 + 9:02}:30:00+02:00" for i in range(60)]
    columns: dict[str, list[Cell]] = {
        "x": list(range(60)),
        "at": stamps,
        "y": [i % 3 for i in range(60)],
    }
    data = load(write_csv(tmp_path / "t.csv", columns), "  target: y", "  dates: [hour]")
    hour = of(data, "at hour")
    assert isinstance(hour, CategoryFeature)
    assert hour.categories == (9, 10, 11)


def test_effects_of_year_and_month_are_learned_and_hold_for_later_dates(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", iso())
    later = np.datetime64("2021-06-20") + np.arange(40)
    new = write(tmp_path / "new.csv", [*iso(later)[:-1], None], later)
    lines = (
        "data: {path: t.csv, target: y, split: {test: 0.1}}\nmodel: linear\ntrain: {epochs: 25}\n"
    )
    (tmp_path / "c.yaml").write_text(lines + "optimizer: {type: adam, lr: 0.05}\n")
    run_well(tmp_path, "train", "--quiet", "--config", "c.yaml", "--run-dir", "run")
    said = run_well(tmp_path, "predict", new, "--run", "run", "--output", "p.csv", "--id", "sold")
    rows = read_rows(tmp_path / "p.csv")
    assert [row["sold"] for row in rows] == [*map(str, later[:-1]), ""]
    for row in rows[:-1]:
        assert abs(float(row["y"]) - (25 if "-06-" in row["sold"] else 20)) < 1
    assert "(categories: encoded as none): sold 1" in said.stderr
    # Written otherwise, a date cannot be told: it is never guessed.
    write(tmp_path / "new.csv", ["20.06.2021"] * 40, later)
    code, line = refusal(tmp_path, "predict", new, "--run", "run", "--output", "q.csv")
    assert code == 3
    assert "'20.06.2021'" in line


def test_missing_dates_of_the_training_rows_are_flagged(tmp_path: Path) -> None:
    dates = iso()
    dates[::5] = [None] * len(dates[::5])
    data = load(write(tmp_path / "t.csv", dates), "  target: y")
    assert "sold year is missing" in data.preprocessing.inputs
    missing = data.train.inputs[np.isin(data.train.places % 5, [0])]
    months = [i for i, name in enumerate(data.preprocessing.inputs) if "month" in name]
    assert not missing[:, months].any()


def test_folds_keep_the_parts(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", iso())
    data = load(path, "  target: y", "  split: {method: kfold, folds: 3}")
    assert data.folds is not None
    fold = data.folds.load(0)
    assert fold.preprocessing.inputs == data.preprocessing.inputs
    assert fold.train.inputs.shape[1] == data.train.inputs.shape[1]


def test_a_part_that_is_a_column_already_is_not_made(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", iso())
    text = path.read_text().replace("x,sold,y", "sold year,sold,y", 1)
    path.write_text(text)
    data = load(path, "  target: y")
    assert [f.name for f in data.preprocessing.features] == [
        "sold year",
        "sold month",
        "sold weekday",
    ]
    assert any("sold year: already a column" in note for note in data.notes)


def test_odd_text_in_a_later_table_is_refused(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv", iso()), "  target: y")
    path = write(tmp_path / "new.csv", [*iso()[:-1], "tomorrow"])
    with pytest.raises(DataError, match="'tomorrow' is not a date"):
        read_new_table(data.preprocessing, path, table_format_of(data.config.data), "predicted")


@pytest.mark.parametrize("step", ["D", "M"])
def test_a_forecast_goes_on_with_the_next_dates(tmp_path: Path, step: Literal["D", "M"]) -> None:
    days = (np.datetime64("2015-01", step) + np.arange(120)).astype("datetime64[D]")
    values: list[Cell] = [100.0 * (i % (7 if step == "D" else 12)) for i in range(120)]
    write_csv(tmp_path / "t.csv", {"day": iso(days), "y": values})
    keys = "path: t.csv, target: y, lags: 1, order_by: day, features: [day]"
    (tmp_path / "c.yaml").write_text(
        f"data: {{{keys}, dates: [month, weekday]}}\nmodel: linear\n"
        "optimizer: {type: adam, lr: 0.05}\n"
    )
    run_well(tmp_path, "train", "--quiet", "--config", "c.yaml", "--run-dir", "run")
    ahead = ("predict", "t.csv", "--run", "run", "--ahead", 14, "--id", "day", "--output", "p.csv")
    run_well(tmp_path, *ahead)
    rows = read_rows(tmp_path / "p.csv")[-14:]
    expected = [100 * (i % (7 if step == "D" else 12)) for i in range(120, 134)]
    assert [round(float(row["y"]) / 100) * 100 for row in rows] == expected
    write_csv(tmp_path / "t.csv", {"day": [*iso(days)[:-1], "2099-01-01"], "y": values})
    code, line = refusal(tmp_path, *ahead)
    assert code == 3
    assert "cannot know day" in line
