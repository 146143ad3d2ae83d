"""Divisions into whole groups: complete by property, shares worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml2021.config.schema import FractionSplit, KFoldSplit
from ml2021.data.folds import split_rows_in_folds
from ml2021.data.groups import divide_at_random, divide_in_order, group_codes
from ml2021.data.resolve import Selection
from ml2021.data.splits import split_rows
from ml2021.errors import DataError
from tests.tables import configure, frame_of


def sizes_of(groups: NDArray[np.int64], parts: NDArray[np.int64], count: int) -> list[int]:
    for group in np.unique(groups):
        assert len(np.unique(parts[groups == group])) == 1
    return [int((parts == part).sum()) for part in range(count)]


def of_sizes(*sizes: int) -> NDArray[np.int64]:
    """Return groups of these sizes, their rows mixed."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(groups)


def test_groups_are_numbered_by_their_values() -> None:
    texts = pd.Series(["b", "a", np.nan, "b", "B"], dtype=object)
    assert group_codes(texts).tolist() == [2, 1, -1, 2, 0]
    assert group_codes(pd.Series([10.0, 9.0, np.nan, 10.0])).tolist() == [1, 0, -1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_met_where_whole_groups_allow(seed: int) -> None:
    groups = of_sizes(50, 30, 20)
    assert sizes_of(groups, divide_at_random(groups, [5, 3, 2], seed), 3) == [50, 30, 20]
    groups = of_sizes(*[6] * 60)
    assert sizes_of(groups, divide_at_random(groups, [0.7, 0.1, 0.2], seed), 3) == [252, 36, 72]
    groups = of_sizes(200, *[1] * 100)  # the great one can only train
    assert sizes_of(groups, divide_at_random(groups, [0.7, 0.1, 0.2], seed), 3) == [210, 30, 60]
    groups = of_sizes(25, 25, 25, 25)  # none is left empty
    parts = divide_at_random(groups, [0.7, 0.1, 0.2], seed)
    assert sorted(sizes_of(groups, parts, 3)) == [25, 25, 50]


def test_classes_are_shared_out() -> None:
    groups = of_sizes(*np.random.default_rng(1).integers(2, 9, 80).tolist())
    classes = groups % 4 // 3  # one group in four is of the second class
    for seed in range(5):
        parts = divide_at_random(groups, [0.7, 0.1, 0.2], seed, classes)
        for label in (0, 1):
            shares = np.bincount(parts[classes == label], minlength=3) / (classes == label).sum()
            assert np.abs(shares - [0.7, 0.1, 0.2]).max() < 0.03


def test_the_seed_decides_whatever_the_order_of_the_rows() -> None:
    groups = of_sizes(*np.random.default_rng(2).integers(1, 20, 40).tolist())
    parts = divide_at_random(groups, [0.7, 0.1, 0.2], 0)
    order = np.random.default_rng(3).permutation(len(groups))
    assert (divide_at_random(groups[order], [0.7, 0.1, 0.2], 0) == parts[order]).all()
    assert (divide_at_random(groups, [0.7, 0.1, 0.2], 1) != parts).any()


def test_in_order_the_cuts_are_the_nearest() -> None:
    groups = np.repeat(np.arange(5), [10, 10, 30, 25, 25])
    assert sizes_of(groups, divide_in_order(groups, [0.5, 0.25, 0.25]), 3) == [50, 25, 25]
    assert sizes_of(groups, divide_in_order(groups, [0.98, 0.01, 0.01]), 3) == [50, 25, 25]
    assert sizes_of(groups, divide_in_order(groups, [0.01, 0.01, 0.98]), 3) == [10, 10, 80]


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, str]:
    """Return a table with groups of random sizes, and a split."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=3, max_size=25))
    seed = draw(st.integers(0, 2**32))
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    labels = draw(st.sampled_from(["row", "group"]))
    classes = (groups if labels == "group" else np.arange(len(groups))) % draw(st.integers(2, 4))
    named = draw(st.booleans())
    frame = frame_of(
        {
            "who": [f"p{group}" if named else int(group) for group in groups],
            "y": [f"c{label}" for label in classes],
        }
    )
    method = draw(st.sampled_from(["random", "stratified", "sequential", "kfold"]))
    validation = draw(st.sampled_from([0.0, 0.1, 0.3]))
    rest = (
        f"folds: {draw(st.integers(2, 8))}"
        if method == "kfold"
        else f"test: {draw(st.sampled_from([0.0, 0.2, 0.5]))}"
    )
    return frame, f"{{method: {method}, validation: {validation}, seed: {seed}, {rest}}}"


def assert_no_group_is_divided(table: tuple[pd.DataFrame, str]) -> None:
    frame, split = table
    config = configure(
        Path("t.csv"), "  target: y", "  group_by: who", f"  split: {split}", "task: classification"
    ).config
    selection, rows = Selection(("y",), (), ("who",)), np.arange(len(frame))
    if isinstance(config.data.split, KFoldSplit):
        if frame["who"].nunique() < config.data.split.folds:
            with pytest.raises(DataError, match=r"need at least \d groups"):
                split_rows_in_folds(config, frame, selection, rows)
            return
        try:
            splits, _ = split_rows_in_folds(config, frame, selection, rows)
        except DataError:
            assert config.data.split.folds == 2  # one of them may leave a single group outside
            return
        assert len(splits) == config.data.split.folds
    else:
        splits = [split_rows(config, frame, selection, rows)]
        assert isinstance(config.data.split, FractionSplit)
        assert (splits[0].sizes()["validation"] > 0) == (config.data.split.validation > 0)
    for each in splits:
        named = [set(frame["who"].iloc[rows]) for rows in each.rows.values()]
        assert sum(map(len, named)) == len(set().union(*named))
        assert sum(each.sizes().values()) == len(frame)


@given(tables())
@settings(max_examples=200, deadline=None)
def test_no_group_is_in_two_parts(table: tuple[pd.DataFrame, str]) -> None:
    assert_no_group_is_divided(table)


@pytest.mark.soak
@given(tables())
@settings(max_examples=10_000, deadline=None)
def test_no_group_of_ten_thousand_tables_is_in_two_parts(table: tuple[pd.DataFrame, str]) -> None:
    assert_no_group_is_divided(table)
