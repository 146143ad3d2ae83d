"""Several series in one table, such as the days of three stores, with `data.group_by`."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import History
from ml2021.data.samples import Samples
from ml2021.errors import ConfigError, DataError
from ml2021.runs.checkpoints import load_checkpoint
from tests.commands import parse_rows, run_well, write_rows
from tests.tables import Cell, load, write_csv

CONFIG = """data: {path: %s.csv, target: sales, lags: 3, order_by: date, group_by: store}
model: {type: relu_stack, widths: [8]}
train: {epochs: 4}
device: cpu
"""
DAYS = 40
Columns = dict[str, list[object]]


def stores(names: str = "ABC", days: int = DAYS) -> Columns:
    """Return days of each store, one store after the other, around 10, 100, 1,000, ..."""
    random = np.random.default_rng(0)
    dates = [str(day) for day in np.datetime64("2022-01-01") + np.arange(days)]
    sales = [
        (10.0 ** (1 + "ABC".index(name)) * (1 + 0.1 * random.normal(size=days))).round(2).tolist()
        for name in names
    ]
    return {
        "date": dates * len(names),
        "store": [name for name in names for _ in range(days)],
        "sales": [value for each in sales for value in each],
    }


def reordered(columns: Columns, order: list[int]) -> Columns:
    return {name: [cells[row] for row in order] for name, cells in columns.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of the stacked, the interleaved and the shuffled table."""
    folder = tmp_path_factory.mktemp("stores")
    columns = stores()
    interleaved = [store * DAYS + day for day in range(DAYS) for store in range(3)]
    shuffled = np.random.default_rng(1).permutation(3 * DAYS).tolist()
    orders = {"stacked": [*range(3 * DAYS)], "interleaved": interleaved, "shuffled": shuffled}
    for name, order in orders.items():
        write_rows(folder / f"{name}.csv", reordered(columns, order))
        (folder / f"{name}.yaml").write_text(CONFIG % name)
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    return folder


def test_the_order_of_the_rows_changes_no_parameter(runs: Path) -> None:
    found = [
        load_checkpoint(runs / name / "checkpoints" / "best.safetensors").tensors["theta"]
        for name in ("stacked", "interleaved", "shuffled")
    ]
    assert all((theta == found[0]).all() for theta in found)


def test_each_store_is_forecast_from_its_own_history(runs: Path) -> None:
    command = ("predict", "--run", "shuffled", "--id", "date", "--output", "-", "--ahead", 3)
    rows = parse_rows(run_well(runs, *command, "shuffled.csv").stdout)
    ahead = rows[3 * DAYS :]
    assert [row["store"] for row in ahead] == ["A"] * 3 + ["B"] * 3 + ["C"] * 3
    assert [row["date"] for row in ahead] == ["2022-02-10", "2022-02-11", "2022-02-12"] * 3
    assert [row["store"] for row in rows[: 3 * DAYS]] == [
        row["store"] for row in parse_rows((runs / "shuffled.csv").read_text())
    ]
    write_rows(runs / "b.csv", reordered(stores(), [*range(DAYS, 2 * DAYS)]))
    alone = parse_rows(run_well(runs, *command, "b.csv").stdout)
    assert [float(row["sales"]) for row in alone[-3:]] == pytest.approx(
        [float(row["sales"]) for row in ahead[3:6]], rel=1e-5
    )
    empty = [row["date"] for row in rows if not row["sales"]]
    assert sorted(empty) == sorted(["2022-01-01", "2022-01-02", "2022-01-03"] * 3)


def cells_of(samples: Samples, history: History) -> NDArray[np.float64]:
    """Return the values of each sample's target and history (S, H + L)."""
    lags = samples.inputs[:, -1 - len(history.used) : -1] * history.scale + history.mean
    return np.hstack([samples.values, lags]).round()


@st.composite
def panels(draw: st.DrawFn) -> dict[str, list[Cell]]:
    """Return rows of several stores in a random order; store 3 holds 3000, 3001, ... in time."""
    lengths = draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))
    rows: list[tuple[int, Cell, Cell]] = [
        (day, f"s{store}", None if draw(st.integers(0, 9)) == 0 else 1000.0 * store + day)
        for store, length in enumerate(lengths, 1)
        for day in range(length)
    ]
    rows += [(day, None, 1.0 * day) for day in range(draw(st.integers(0, 2)))]
    rows = draw(st.permutations(rows))
    days, names, values = zip(*rows, strict=True)
    return {"day": [*days], "store": [*names], "v": [*values]}


@pytest.mark.parametrize("gaps", ["null", "{type: interpolate, limit: 2}"])
@given(panels(), st.integers(1, 4), st.integers(1, 3))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_window_never_reaches_into_another_store(
    tmp_path: Path, gaps: str, columns: dict[str, list[Cell]], lags: int, horizon: int
) -> None:
    path = write_csv(tmp_path / "t.csv", columns)
    keys = f"target: v, lags: {lags}, horizon: {horizon}, order_by: day, group_by: store"
    split = "split: {method: column, column: day, test_from: 6}"
    lines = [f"  {key}" for key in (*keys.split(", "), f"gaps: {gaps}", split)]
    try:
        data = load(path, *lines)
    except (ConfigError, DataError):  # too few rows or values are left
        return
    history = data.preprocessing.history
    assert history is not None
    for samples in data.splits.values():
        cells = cells_of(samples, history)
        steps = np.concatenate([np.arange(horizon), -np.array(history.used)])
        assert (cells == cells[:, :1] + steps).all()
        assert (cells // 1000 == cells[:, :1] // 1000).all()
