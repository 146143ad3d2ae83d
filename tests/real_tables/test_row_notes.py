"""Signs of several series, of patients, and of gaps, as notes; months, quarters and years."""

from pathlib import Path

import numpy as np
import pytest

from ml2021.commands.forecast import _next_dates, _next_in_order
from tests.commands import write_rows
from tests.real_tables.test_groups import visits
from tests.real_tables.test_panels import stores
from tests.tables import load, write_csv

DAYS = 40


def notes(path: Path, *lines: str) -> str:
    return "\n".join(load(path, *lines).notes)


@pytest.mark.parametrize("order", ["stacked", "by date", "shuffled"])
@pytest.mark.parametrize("key", ["lags: 7", "lags: 7, order_by: date", "lags: 7, exclude: [store]"])
def test_stores_in_one_series_are_noted(tmp_path: Path, order: str, key: str) -> None:
    columns = stores(days=DAYS)
    rows = np.arange(3 * DAYS)
    if order == "by date":
        rows = rows.reshape(3, DAYS).T.ravel()
    if order == "shuffled":
        rows = np.random.default_rng(0).permutation(rows)
    table = {name: [cells[row] for row in rows] for name, cells in columns.items()}
    path = write_rows(tmp_path / "t.csv", table)
    found = notes(path, "  target: sales", *(f"  {each}" for each in key.split(", ")))
    assert "set data.group_by: store" in found
    assert "data.order_by" not in found
    del table["date"]
    found = notes(write_rows(path, table), "  target: sales", "  lags: 7")
    assert ("set data.group_by: store" in found) == (order == "stacked")


def test_an_hour_beside_its_date_is_no_series(tmp_path: Path) -> None:
    days = np.repeat(np.datetime64("2022-01-01") + np.arange(10), 24).astype(str).tolist()
    table = {"date": days, "hour": [*range(24)] * 10, "v": np.sin(np.arange(240.0)).tolist()}
    found = notes(write_csv(tmp_path / "t.csv", table), "  target: v", "  lags: 3")
    assert "data.group_by: hour" not in found


def test_an_excluded_column_still_orders_the_rows(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "t.csv", stores("A", days=DAYS))
    data = load(
        path, "  target: sales", "  lags: 3", "  order_by: date", "  exclude: [date, store]"
    )
    assert data.test.order is not None
    assert "store" not in data.preprocessing.sources


def test_visits_of_patients_are_noted(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "t.csv", visits(range(60)))
    assert "set data.group_by: patient" in notes(path, "  target: ill")
    assert "set data.group_by: patient" in notes(path, "  target: ill", "  exclude: [patient]")
    grouped = notes(path, "  target: ill", "  group_by: patient")
    assert "set data.group_by" not in grouped


MONTHS = np.datetime64("1950-01") + np.arange(60)


@pytest.mark.parametrize(
    "dates",
    [
        MONTHS.astype("datetime64[D]").astype(str).tolist(),
        ((MONTHS + 1).astype("datetime64[D]") - 1).astype(str).tolist(),
        (np.datetime64("1950-01") + 3 * np.arange(60)).astype("datetime64[D]").astype(str).tolist(),
        (np.datetime64("1950") + np.arange(60)).astype("datetime64[D]").astype(str).tolist(),
        [int(str(month).replace("-", "")) for month in MONTHS],
    ],
    ids=["months", "month ends", "quarters", "years", "numbers"],
)
def test_calendar_steps_are_even(tmp_path: Path, dates: list[str]) -> None:
    table = {"when": dates, "v": np.sin(np.arange(60.0)).tolist()}
    keys = ("  target: v", "  lags: 3", "  order_by: when")
    assert "irregular" not in notes(write_csv(tmp_path / "t.csv", table), *keys)
    gap = {name: [*cells[:30], *cells[31:]] for name, cells in table.items()}
    assert "1 irregular step of 58" in notes(write_csv(tmp_path / "t.csv", gap), *keys)


@pytest.mark.parametrize(
    ("last", "following"),
    [
        (["1961-10-01", "1961-11-01", "1961-12-01"], "1962-01-01"),
        (["196110", "196111", "196112"], "196201"),
        (["2021-03-31", "2021-06-30", "2021-09-30"], "2021-12-31"),
        (["2021-12-31 22:00", "2021-12-31 23:00"], "2022-01-01 00:00"),
        (["2021-12-31T22:00:00Z", "2021-12-31T23:00:00Z"], "2022-01-01T00:00:00Z"),
        (["30/31", "31/31"], ""),
        (["30", "31"], ""),
    ],
)
def test_dates_go_on(last: list[str], following: str) -> None:
    assert _next_dates(last, 2)[0] == following


@pytest.mark.parametrize(
    ("last", "following"),
    [
        (["2007", "2008", "2009"], ["2010", "2011"]),
        (["196110", "196111", "196112"], ["196201", "196202"]),
        (["86400", "172800"], ["259200", "345600"]),
        (["1", "2", "4"], ["", ""]),
        (["0.5", "1.0"], ["", ""]),
    ],
)
def test_integers_that_order_the_rows_go_on(last: list[str], following: list[str]) -> None:
    assert _next_in_order(last, 2) == following


def series(path: Path, *missing: int) -> Path:
    values = [10.0 * row for row in range(60)]
    table = {"v": ["NA" if row in missing else value for row, value in enumerate(values)]}
    return write_csv(path, table)


LAGS = ("  target: v", "  lags: 4")
FILL = "  gaps: {type: interpolate, limit: 2}"


def test_short_gaps_are_filled_in_the_history_alone(tmp_path: Path) -> None:
    path = series(tmp_path / "t.csv", 20, 30, 31, 35, 36, 37)
    without = {row for rows in load(path, *LAGS).split.rows.values() for row in rows.tolist()}
    data = load(path, *LAGS, FILL)
    rows = {row for rows in data.split.rows.values() for row in rows.tolist()}
    # The row after a gap would learn its own target from the filled value before it.
    assert rows - without == {22, 23, 24, 33, 34}
    assert not rows & {20, 21, 30, 31, 32, 35, 36, 37, 38}
    assert "3 missing values of v interpolated in the history" in "\n".join(data.notes)
    history = data.preprocessing.history
    assert history is not None
    assert history.used == (1, 2, 3, 4)
    for samples in data.splits.values():
        lags = samples.inputs[:, -5:-1] * history.scale + history.mean
        expected = samples.values - 10 * np.arange(1, 5)
        np.testing.assert_allclose(lags, expected, atol=1e-2)


def test_a_gap_between_two_parts_is_not_filled(tmp_path: Path) -> None:
    split = "  split: {method: column, column: part}"
    values: list[float | None] = [10.0 * row for row in range(60)]
    values[40] = None
    parts = ["train"] * 40 + ["test"] * 20
    path = write_csv(tmp_path / "t.csv", {"v": values, "part": parts})
    data = load(path, *LAGS, FILL, split)
    assert data.split.test.tolist() == [*range(45, 60)]
    parts[41:44] = ["train"] * 3
    path = write_csv(tmp_path / "t.csv", {"v": values, "part": parts})
    assert load(path, *LAGS, FILL, split).split.test.tolist() == [*range(44, 60)]


@pytest.mark.parametrize(
    ("order", "walk", "key", "noted"),
    [
        ("up", True, "preset: fast", True),
        ("down", True, "preset: fast", True),
        ("shuffled", True, "preset: fast", False),
        ("up", False, "preset: fast", False),
        ("up", True, "split: sequential", False),
    ],
)
def test_rows_in_the_order_of_a_date_are_noted(
    tmp_path: Path, order: str, walk: bool, key: str, noted: bool
) -> None:
    steps = np.random.default_rng(0).standard_normal(100)
    days = np.datetime64("2023-01-01") + np.arange(100)
    rows = {"up": np.arange(100), "down": np.arange(100)[::-1]}.get(order)
    if rows is None:
        rows = np.random.default_rng(0).permutation(100)
    sales = np.cumsum(steps) if walk else steps
    table = {"day": days.astype(str)[rows].tolist(), "sales": sales[rows].tolist()}
    path = write_rows(tmp_path / "t.csv", table)
    found = notes(path, "  target: sales", *([f"  {key}"] if "split" in key else [key]))
    assert ("rows are in the order of day" in found) == noted
