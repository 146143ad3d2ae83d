"""Numbers in pieces: the edges, the encoding against a slow loop, folds, and what keeps it."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml2021.data.load import without_pieces
from ml2021.data.preprocessing import pieces
from ml2021.data.preprocessing.pieces import positions, quantile_edges
from ml2021.data.preprocessing.records import NumberFeature, Preprocessing
from ml2021.evaluation.fitted_baselines import fit_baselines
from tests.commands import contents, read_rows, refusal, run_well, table, write_rows
from tests.tables import Cell, load, write_csv

VALUES = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 2)), min_size=1, max_size=60)
COUNTS = st.integers(2, 20)
SPLIT = "  split: {method: sequential, validation: 0.2, test: 0.2}"


def slow_position(edges: Sequence[float], value: float) -> list[float]:
    positions = []
    for low, high in pairwise(edges):
        if value <= low:
            positions.append(0.0)
        elif value >= high:
            positions.append(1.0)
        else:
            positions.append((value - low) / (high - low))
    return positions


@given(VALUES, COUNTS)
def test_edges_are_values_and_at_most_as_many_as_asked_for(values: list[float], count: int) -> None:
    edges = quantile_edges(np.array(values), count)
    distinct = sorted(set(values))
    assert len(edges) <= min(count + 1, len(distinct))
    if len(distinct) in (count + 1, len(values)):
        assert len(edges) == min(count + 1, len(distinct))
    assert list(edges) == sorted(set(edges))
    assert set(edges) <= set(distinct)
    assert (edges[0], edges[-1]) == (distinct[0], distinct[-1])
    assert edges == quantile_edges(np.array(values[::-1]), count)


def test_pieces_hold_equal_shares_and_a_repeated_value_is_one_edge() -> None:
    assert quantile_edges(np.arange(101.0), 4) == (0, 25, 50, 75, 100)
    with_zeros = np.concatenate([np.zeros(900), np.arange(1.0, 101)])
    assert quantile_edges(with_zeros, 5) == (0, 100)
    assert quantile_edges(with_zeros, 20) == (0, 50, 100)


@given(VALUES, COUNTS, st.lists(st.floats(-2e6, 2e6), min_size=1, max_size=20))
def test_positions_are_those_of_a_slow_loop(
    values: list[float], count: int, others: list[float]
) -> None:
    edges = quantile_edges(np.array(values), count)
    found = positions(edges, np.array(others))
    assert found.T.tolist() == [slow_position(edges, value) for value in others]


@given(VALUES.filter(lambda values: len(set(values)) > 2), COUNTS)
def test_the_encoding_is_continuous_monotone_and_never_constant(
    values: list[float], count: int
) -> None:
    edges = quantile_edges(np.array(values), count)
    own = positions(edges, np.sort(values))
    assert (np.diff(own) >= 0).all()
    assert (own.min(axis=1) == 0).all()
    assert (own.max(axis=1) == 1).all()
    inner = np.array(edges[1:-1])
    before, after = (positions(edges, np.nextafter(inner, to)) for to in (-math.inf, math.inf))
    widths = np.diff(edges)[:, None]
    assert (after - before <= 4 * np.spacing(np.abs(inner)) / widths + 1e-15).all()


def preprocessing_of(tmp_path: Path, columns: dict[str, list[Cell]], *lines: str) -> Preprocessing:
    return load(write_csv(tmp_path / "t.csv", columns), "  target: y", *lines).preprocessing


def table_of(rows: int) -> dict[str, list[Cell]]:
    random = np.random.default_rng(0)
    a: list[Cell] = random.normal(size=rows).round(4).tolist()
    a[1] = None
    return {
        "a": a,
        "few": (np.arange(rows) % 4).tolist(),
        "c": ["x", "y"] * (rows // 2),
        "y": random.normal(size=rows).tolist(),
    }


def test_inputs_are_the_value_its_flag_and_its_pieces(tmp_path: Path) -> None:
    columns = table_of(50)
    path = write_csv(tmp_path / "t.csv", columns)
    numbers = "  numbers: {type: piecewise, pieces: 3}"
    data = load(path, "  target: y", SPLIT, numbers)
    plain = load(path, "  target: y", SPLIT)
    a, few, _ = data.preprocessing.features
    assert isinstance(a, NumberFeature)
    assert isinstance(few, NumberFeature)
    known = np.array([value for value in columns["a"][:30] if value is not None])
    assert a.edges == quantile_edges(known, 3)
    assert few.edges == (0, 1, 2, 3)
    assert few.inputs == ("few", "few 0 to 1", "few 1 to 2", "few 2 to 3")
    assert a.inputs[:2] == ("a", "a is missing")
    np.testing.assert_allclose(a.centres, positions(a.edges, known).mean(axis=1))
    first, filled = (
        np.array(slow_position(a.edges, float(value))) - a.centres for value in (known[0], a.fill)
    )
    assert data.train.inputs[0, 2:5].tolist() == first.astype(np.float32).tolist()
    assert data.train.inputs[1, 2:5].tolist() == filled.astype(np.float32).tolist()
    share = np.array([1, 1, 0]) - few.centres
    assert data.train.inputs[2, 6:9].tolist() == share.astype(np.float32).tolist()
    kept = data.preprocessing.plain_inputs
    assert [data.preprocessing.inputs[place] for place in kept] == list(plain.preprocessing.inputs)

    dropped = without_pieces(data)
    assert dropped.config == plain.config
    assert dropped.preprocessing == plain.preprocessing
    for own, other in zip(dropped.splits.values(), plain.splits.values(), strict=True):
        assert own.inputs.tobytes() == other.inputs.tobytes()
    of_pieces, alone = (fit_baselines(d.config, d.preprocessing, d.train, 9) for d in (data, plain))
    assert {name: value.tobytes() for name, value in of_pieces.items()} == {
        name: value.tobytes() for name, value in alone.items()
    }
    assert Preprocessing.model_validate_json(data.preprocessing.model_dump_json()) == (
        data.preprocessing
    )


def test_two_values_pixels_and_lags_have_no_pieces(tmp_path: Path) -> None:
    columns: dict[str, list[Cell]] = {f"px{i}": [i % 3, 7 + i, 200, 3] * 8 for i in range(16)}
    columns |= {"y": [float(value) for value in range(32)]}
    numbers = "  numbers: piecewise"
    assert len(preprocessing_of(tmp_path, columns, numbers).inputs) == 16
    series: dict[str, list[Cell]] = {"y": [float(i * i % 17) for i in range(40)]}
    assert len(preprocessing_of(tmp_path, series, numbers, "  lags: 3").inputs) == 3


def test_a_wide_table_has_fewer_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = table_of(60)
    columns["b"] = [*reversed(columns["a"])]
    monkeypatch.setattr(pieces, "MOST_PIECES", 20)
    found = preprocessing_of(tmp_path, columns, SPLIT, "  numbers: piecewise")
    numbers = [f for f in found.features if isinstance(f, NumberFeature)]
    counts = {feature.name: len(feature.edges) - 1 for feature in numbers}
    assert counts == {"a": 8, "few": 3, "b": 8}
    monkeypatch.setattr(pieces, "MOST_PIECES", 5)
    found = preprocessing_of(tmp_path, columns, SPLIT, "  numbers: piecewise")
    assert found == found.without_pieces()


def test_a_wide_table_has_no_pieces_of_a_column_that_is_mostly_one_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = table_of(200)
    columns["rare"] = [*range(1, 11), *[0] * 190]  # 16 pieces find a quantile beyond 0, 4 do not
    monkeypatch.setattr(pieces, "MOST_PIECES", 10)
    found = preprocessing_of(tmp_path, columns, SPLIT, "  numbers: piecewise")
    rare = next(feature for feature in found.features if feature.name == "rare")
    assert isinstance(rare, NumberFeature)
    assert (rare.edges, rare.centres) == ((), ())


def test_folds_have_the_edges_of_their_own_rows(tmp_path: Path) -> None:
    columns = table_of(40)
    columns["few"] = [*[0, 1, 2, 3] * 9, 0, 0, 0, 9]  # a value that one fold holds out
    path = write_csv(tmp_path / "t.csv", columns)
    lines = ("  split: {method: kfold, folds: 4, validation: 0}", "  numbers: piecewise")
    data = load(path, "  target: y", *lines)
    assert data.folds is not None
    all_edges = [f.edges for f in data.preprocessing.features if isinstance(f, NumberFeature)]
    short = 0
    for index in range(4):
        fold = data.folds.load(index)
        assert fold.train.inputs.shape[1] == data.train.inputs.shape[1]
        rows = data.folds.splits[index].train
        for feature, edges in zip(fold.preprocessing.features, all_edges, strict=False):
            assert isinstance(feature, NumberFeature)
            values = np.array([columns[feature.name][row] for row in rows], float)
            own = quantile_edges(values[~np.isnan(values)], len(edges) - 1)
            assert feature.edges == own + own[-1:] * (len(edges) - len(own))
            if len(own) < len(edges):
                short += 1
                assert (fold.held_out.inputs[:, -4] == 0).all()  # before c's two, and the ones
    assert short == 1


@pytest.mark.parametrize("edges", [(1.0,), (1.0, 2.0), (1.0, 3.0, 2.0), (1.0, 2.0, math.inf)])
def test_a_checkpoint_with_impossible_edges_is_refused(edges: tuple[float, ...]) -> None:
    fitted: dict[str, Any] = {"name": "x", "mean": 0.0, "scale": 1.0, "fill": 0.0}
    fitted |= {"has_indicator": False, "minimum": 0.0, "maximum": 1.0}
    NumberFeature(**fitted, edges=(1.0, 2.0, 2.0), centres=(0.5, 0.0))
    with pytest.raises(ValidationError):
        NumberFeature(**fitted, edges=edges, centres=(0.5,) * (len(edges) - 1))
    with pytest.raises(ValidationError):
        NumberFeature(**fitted, edges=(1.0, 2.0, 2.0), centres=(0.5,))


def test_a_run_predicts_to_the_digit_what_it_was_scored_on(tmp_path: Path) -> None:
    columns = table(120)
    write_rows(tmp_path / "t.csv", columns)
    config = (
        "data: {path: t.csv, target: y, features: [a, b, colour], numbers: piecewise}\n"
        "train: {epochs: 3, members: 2}\n"
    )
    (tmp_path / "c.yaml").write_text(config)
    for name in ("one", "two"):
        run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", name)
    best = [contents(tmp_path / name)["checkpoints/best.safetensors"] for name in ("one", "two")]
    assert best[0] == best[1]
    run_well(tmp_path, "predict", "t.csv", "--run", "one", "--output", "all.csv")
    backwards = {name: cells[::-1] for name, cells in columns.items() if name != "y"}
    write_rows(tmp_path / "u.csv", backwards)
    run_well(tmp_path, "predict", "u.csv", "--run", "one", "--output", "back.csv")
    assert read_rows(tmp_path / "all.csv") == read_rows(tmp_path / "back.csv")[::-1]

    plain = ("train", "--config", "c.yaml", "--set", "data.numbers=standardise")
    code, line = refusal(tmp_path, *plain, "--init-from", "one")
    assert code == 2
    assert "data.numbers is standardise here, but piecewise there" in line
