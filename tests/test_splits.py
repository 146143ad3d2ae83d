"""Splits: disjoint and complete by property, shares and thresholds worked out by hand."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml2021.data.folds import split_in_folds
from ml2021.data.series import sort_keys
from ml2021.data.splits import (
    Split,
    split_by_fraction,
    split_by_label,
    split_by_threshold,
    without_overlap,
)
from ml2021.errors import DataError
from tests.tables import Cell, frame_of

Method = Literal["random", "stratified", "sequential"]


def rows_of(*rows: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64)


def fractions(
    rows: NDArray[np.int64],
    method: Method = "random",
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    classes: NDArray[np.int64] | None = None,
) -> Split:
    return split_by_fraction(
        rows, method, validation=validation, test=test, seed=seed, classes=classes
    )


def lists(split: Split) -> list[list[int]]:
    return [rows.tolist() for rows in split.rows.values()]


def assert_refused(facts: str, call: Callable[..., object], *arguments: Any, **named: Any) -> None:
    """Check that the call raises one line that begins with these facts and holds them all."""
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    first, *others = facts.split(" | ")
    assert str(caught.value).startswith(first)
    assert all(fact in str(caught.value) for fact in others)


def assert_partition(split: Split, rows: NDArray[np.int64]) -> None:
    for each in lists(split):
        assert each == sorted(each)
    assert sorted(row for each in lists(split) for row in each) == rows.tolist()


@given(
    st.sets(st.integers(0, 500), min_size=20, max_size=200),
    st.sampled_from(["random", "stratified", "sequential"]),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    st.integers(0, 2**32),
)
def test_splits_are_disjoint_and_complete_and_of_the_right_size(
    chosen: set[int], method: Method, validation: float, test: float, seed: int
) -> None:
    rows = rows_of(*sorted(chosen))
    split = fractions(rows, method, validation, test, seed, classes=rows % 3)
    assert_partition(split, rows)
    assert split.sizes()["validation"] == round(len(rows) * validation)
    assert split.sizes()["test"] == round(len(rows) * test)
    assert dict(split.left_out) == {}


def test_sequential_is_in_order() -> None:
    split = fractions(rows_of(*range(10, 30, 2)), "sequential", 0.2, 0.3)
    assert lists(split) == [[10, 12, 14, 16, 18], [20, 22], [24, 26, 28]]


def test_a_split_depends_on_its_seed_alone() -> None:
    rows, classes = np.arange(100), np.arange(100) % 3
    for method in ("random", "stratified"):
        split = fractions(rows, method, seed=5, classes=classes)
        state = np.random.get_state()
        np.random.seed(99)
        again = fractions(rows, method, seed=5, classes=classes)
        np.random.set_state(state)
        assert lists(again) == lists(split)
        assert lists(fractions(rows, method, seed=6, classes=classes)) != lists(split)


def test_a_random_split_does_not_look_at_the_classes_or_the_row_numbers() -> None:
    split = fractions(np.arange(100), seed=3)
    shifted = fractions(np.arange(1000, 1100), seed=3, classes=np.arange(100) % 2)
    assert lists(shifted) == [[row + 1000 for row in each] for each in lists(split)]
    sets = [set(fractions(np.arange(100), seed=seed).test.tolist()) for seed in range(40)]
    assert set.union(*sets) == set(range(100))  # no row is never tested


def shares(classes: NDArray[np.int64], split: Split) -> dict[str, float]:
    """Return how far, in rows, any class is from its share of each split."""
    counts = np.bincount(classes)
    return {
        name: float(
            np.abs(
                np.bincount(classes[rows], minlength=len(counts))
                - counts * len(rows) / len(classes)
            ).max()
        )
        for name, rows in split.rows.items()
    }


def mixed(counts: list[int], seed: int) -> NDArray[np.int64]:
    classes = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(classes)


@given(
    st.lists(st.integers(1, 300), min_size=2, max_size=2).filter(lambda n: sum(n) >= 20),
    st.sampled_from([0.0, 0.1, 0.25]),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.integers(0, 1000),
)
def test_two_classes_have_their_share_of_each_split_to_within_a_row(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    classes = mixed(counts, seed)
    split = fractions(np.arange(len(classes)), "stratified", validation, test, seed, classes)
    off = shares(classes, split)
    assert off["train"] <= 0.5 + 1e-9
    assert off["test"] <= 0.5 + 1e-9
    assert off["validation"] <= 1 + 1e-9


@given(
    st.lists(st.integers(1, 60), min_size=3, max_size=12).filter(lambda n: sum(n) >= 20),
    st.integers(0, 1000),
)
def test_many_classes_have_about_their_share(counts: list[int], seed: int) -> None:
    classes = mixed(counts, seed)
    off = shares(classes, fractions(np.arange(len(classes)), "stratified", classes=classes))
    # Each class is off by half a row at a place between 0 and 1, and they make the place together.
    bound = 0.5 * (1 + max(counts) / sum(counts) * (len(counts) - 2))
    assert off["train"] <= bound + 1e-9
    assert off["test"] <= bound + 1e-9
    assert off["validation"] <= 2 * bound + 1e-9


def test_a_class_of_a_single_row_trains() -> None:
    classes = rows_of(*[0] * 50, *[1] * 50, 2, 3, 4)
    for seed in range(20):
        split = fractions(np.arange(103), "stratified", seed=seed, classes=classes)
        assert {100, 101, 102} <= set(split.train.tolist())


def test_which_rows_of_a_class_are_tested_is_random() -> None:
    classes = np.arange(100) % 2
    sets = [
        set(fractions(np.arange(100), "stratified", seed=s, classes=classes).test.tolist())
        for s in range(40)
    ]
    assert set.union(*sets) == set(range(100))


def test_a_fraction_that_gives_no_row_is_refused_and_0_is_not() -> None:
    rows = np.arange(4)
    assert_refused("data.split.test: 0.1 of 4 rows", fractions, rows, validation=0.25, test=0.1)
    facts = "data.split.validation: 0.1 of 4 rows"
    assert_refused(facts, fractions, rows, validation=0.1, test=0.25)
    sizes = fractions(rows, validation=0.0, test=0.0).sizes()
    assert sizes == {"train": 4, "validation": 0, "test": 0}


def test_a_split_that_leaves_no_row_to_train_is_refused() -> None:
    facts = "data.split: 2 usable rows leave none to train"
    assert_refused(facts, fractions, np.arange(2), validation=0.4, test=0.4)


def labels_of(*labels: str | None) -> NDArray[np.object_]:
    return np.array([np.nan if label is None else label for label in labels], object)


def test_a_column_of_labels() -> None:
    labels = labels_of("test", "train", None, "validation", "train", "test")
    split = split_by_label(rows_of(0, 2, 4, 6, 8, 9), labels, "when")
    assert lists(split) == [[2, 8], [6], [0, 9]]
    assert dict(split.left_out) == {"no value in when": 1}


@pytest.mark.parametrize("odd", ["Train", "valid", "", "nan"])
def test_an_odd_label_is_named(odd: str) -> None:
    labels = labels_of(None, "train", odd)
    assert_refused(f"column 'when' | '{odd}'", split_by_label, rows_of(0, 1, 2), labels, "when")


def test_labels_without_training_rows_are_refused() -> None:
    labels = labels_of("test", "validation")
    assert_refused("data.split: column 'when'", split_by_label, rows_of(0, 1), labels, "when")


def threshold(
    cells: list[Cell], validation_from: str | float | None, test_from: str | float | None
) -> Split:
    keys = sort_keys(frame_of({"when": cells})["when"], "data.split.column")
    return split_by_threshold(np.arange(len(cells)), keys, "when", validation_from, test_from)


def test_thresholds_of_numbers() -> None:
    split = threshold([5, 1, None, 3, 4, 2, 4.5], 3, 4.5)
    assert lists(split) == [[1, 5], [3, 4], [0, 6]]
    assert dict(split.left_out) == {"no value in when": 1}
    assert lists(threshold([1, 2, 3, 4], None, 3)) == [[0, 1], [], [2, 3]]
    assert lists(threshold([1, 2, 3, 4], 3, None)) == [[0, 1], [2, 3], []]


def test_thresholds_of_dates() -> None:
    days: list[Cell] = ["2020-12-31", "2021-01-01", None, "2020-06-30", "2020-07-01 00:00", ""]
    split = threshold(days, "2020-07-01", "2021-01-01")
    assert lists(split) == [[3], [0, 4], [1]]
    assert dict(split.left_out) == {"no value in when": 2}


def test_a_threshold_need_not_be_written_as_the_column_is() -> None:
    days: list[Cell] = ["2021/06/30", "2021/07/01", "2021/10/01"]
    assert lists(threshold(days, None, "2021-07-01")) == [[0], [], [1, 2]]
    assert lists(threshold(days, None, "2021-07-01T00:00:00Z")) == [[0], [], [1, 2]]


DAYS = ["2021-06-30", "2021-10-01"]


@pytest.mark.parametrize(
    ("cells", "validation_from", "test_from", "facts"),
    [
        (DAYS, None, "2021-7-1", "data.split.test_from is '2021-7-1' | 'when' holds dates"),
        (DAYS, None, "July", "data.split.test_from is 'July' | 'when' holds dates"),
        (DAYS, None, 2021, "data.split.test_from is '2021' | 'when' holds dates"),
        ([1, 2, 3], "2021-07-01", 3, "data.split.validation_from is | 'when' holds numbers"),
        ([1, 2, 3], 2, 4, "data.split.test_from: | '4'"),
        ([1, 2, 3], 4, None, "data.split.validation_from: | '4'"),
        ([1, 2, 3], 3, 2, "data.split.validation_from '3' is after test_from '2'"),
        ([1, 2, 3], 1, 2, "data.split: column 'when'"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(
    cells: list[Cell],
    validation_from: str | float | None,
    test_from: str | float | None,
    facts: str,
) -> None:
    assert_refused(facts, threshold, cells, validation_from, test_from)


def target_rows(rows: NDArray[np.int64], horizon: int) -> set[int]:
    return {int(row) + step for row in rows for step in range(horizon)}


@given(st.data(), st.integers(1, 6))
def test_no_training_target_holds_a_value_of_a_later_split(
    data: st.DataObject, horizon: int
) -> None:
    labels = data.draw(st.lists(st.sampled_from("tvx-"), min_size=3, max_size=60))
    train, validation, test = (
        rows_of(*(i for i, label in enumerate(labels) if label == letter)) for letter in "tvx"
    )
    kept_train = disjoint_rows(train, [validation, test], horizon)
    kept_validation = disjoint_rows(validation, [test], horizon)
    if (len(train) and not kept_train) or (len(validation) and not kept_validation):
        with pytest.raises(DataError, match="overlap the next split"):
            without_overlap(Split(train, validation, test), horizon)
        return
    split = without_overlap(Split(train, validation, test), horizon)
    # And no more is left out than has to be.
    assert lists(split) == [kept_train, kept_validation, test.tolist()]
    if horizon > 1:
        dropped = len(train) + len(validation) - len(split.train) - len(split.validation)
        assert split.left_out["target overlaps the next split"] == dropped


def disjoint_rows(
    rows: NDArray[np.int64], later: list[NDArray[np.int64]], horizon: int
) -> list[int]:
    taken = set[int]().union(*(target_rows(each, horizon) for each in later))
    return [int(row) for row in rows if not target_rows(rows_of(row), horizon) & taken]


def test_overlap_at_the_seams_of_a_sequential_split() -> None:
    split = fractions(np.arange(20), "sequential", 0.25, 0.25)
    kept = without_overlap(split, 3)
    assert lists(kept) == [[*range(8)], [10, 11, 12], [15, 16, 17, 18, 19]]
    assert dict(kept.left_out) == {"target overlaps the next split": 4}
    assert without_overlap(split, 1) is split


def test_a_split_that_overlap_empties_is_refused() -> None:
    split = Split(np.arange(10), rows_of(10, 11), rows_of(12, 13))
    assert_refused("data.split: | horizon of 4 | every validation", without_overlap, split, 4)
    split = Split(rows_of(0, 2), rows_of(), rows_of(1, 3))
    assert_refused("data.split: | horizon of 2 | every training", without_overlap, split, 2)


# Folds.


def folds_of(
    rows: NDArray[np.int64],
    folds: int,
    validation: float = 0.1,
    seed: int = 0,
    classes: NDArray[np.int64] | None = None,
) -> list[Split]:
    return split_in_folds(rows, folds=folds, validation=validation, seed=seed, classes=classes)


@given(
    st.sets(st.integers(0, 500), min_size=24, max_size=120),
    st.integers(2, 12),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_folds_hold_every_row_out_once_and_are_of_one_size(
    chosen: set[int], folds: int, validation: float, is_stratified: bool, seed: int
) -> None:
    rows = rows_of(*sorted(chosen))
    classes = rows % 3 if is_stratified else None
    splits = folds_of(rows, folds, validation, seed=seed, classes=classes)
    assert len(splits) == folds
    for split in splits:
        assert_partition(split, rows)
    assert sorted(row for split in splits for row in split.test.tolist()) == rows.tolist()
    sizes = {tuple(split.sizes().values()) for split in splits}
    assert len(sizes) <= 2  # as many packs: the fold's size decides the others
    tests = [len(split.test) for split in splits]
    assert max(tests) - min(tests) <= 1
    assert len(sizes) == len(set(tests))
    for split in splits:
        assert len(split.validation) == round((len(rows) - len(split.test)) * validation)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(2, 8), st.integers(0, 99))
def test_folds_share_out_every_class(counts: list[int], folds: int, seed: int) -> None:
    classes = mixed(counts, seed)
    if len(classes) < 2 * folds:
        return
    splits = folds_of(np.arange(len(classes)), folds, 0.0, seed=seed, classes=classes)
    held = np.array([np.bincount(classes[s.test], minlength=len(counts)) for s in splits])
    assert (held.max(axis=0) - held.min(axis=0) <= 1).all()


def test_folds_depend_on_their_seed_alone() -> None:
    rows = np.arange(40)
    again = [lists(split) for split in folds_of(rows, 5, seed=3)]
    assert [lists(split) for split in folds_of(rows, 5, seed=3)] == again
    assert [lists(split) for split in folds_of(rows, 5, seed=4)] != again
    first, second = (folds_of(rows, 5, seed=3)[fold].validation.tolist() for fold in (0, 1))
    assert first != second  # each draws its own validation rows


@pytest.mark.parametrize(
    ("rows", "folds", "validation", "facts"),
    [
        (7, 8, 0.1, "data.split.folds: 8 folds | not 7"),
        (8, 4, 0.05, "data.split.validation: 0.05 of the 6 rows outside a fold"),
        (2, 2, 0.9, "data.split.folds: 2 folds of 2 usable rows"),
    ],
)
def test_folds_that_cannot_be(rows: int, folds: int, validation: float, facts: str) -> None:
    assert_refused(facts, folds_of, np.arange(rows), folds, validation)
