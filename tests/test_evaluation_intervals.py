"""Conformal intervals: ranks worked out by hand, and exactly known coverages."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml2021.evaluation import intervals as conformal


@pytest.mark.parametrize(
    ("rows", "level", "rank"),
    [(9, 0.9, 9), (8, 0.9, 9), (19, 0.95, 19), (99, 0.9, 90), (9, 0.7, 7), (10, 0.5, 6)],
)
def test_rank(rows: int, level: float, rank: int) -> None:
    assert conformal.rank(rows, level) == rank


@given(st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999]))
def test_the_fewest_rows_are_just_enough(level: float) -> None:
    fewest = conformal.fewest_rows(level)
    assert conformal.rank(fewest, level) <= fewest
    assert fewest == 1 or conformal.rank(fewest - 1, level) > fewest - 1


@given(
    st.lists(st.integers(-1000, 1000), min_size=3, max_size=60, unique_by=abs),
    st.sampled_from([0.2, 0.5, 0.7, 0.8, 0.9]),
)
def test_a_left_out_row_is_covered_exactly_as_often_as_promised(
    errors: list[int], level: float
) -> None:
    """Each of n + 1 distinct errors in turn is the new row: rank of n + 1 of them are covered."""
    truth = np.array(errors, np.float64)[:, None]
    prediction = np.zeros_like(truth)
    covered = 0.0
    for row in range(len(truth)):
        others = np.arange(len(truth)) != row
        ordered = conformal.residuals(truth[others], prediction[others])
        widths = conformal.half_widths(ordered, level)
        if widths is None:
            assert len(truth) - 1 < conformal.fewest_rows(level)
            return
        covered += conformal.coverage(truth[[row]], prediction[[row]], widths)
    assert covered == conformal.rank(len(truth) - 1, level)
    assert covered / len(truth) >= level


def test_each_target_has_an_interval_of_its_own() -> None:
    truth = np.column_stack([np.arange(1.0, 100.0), np.arange(99.0, 0.0, -1.0) * 10])
    widths = conformal.half_widths(conformal.residuals(truth, np.zeros_like(truth)), 0.9)
    assert widths is not None
    assert widths.tolist() == [90, 900]
    assert conformal.coverage(truth, np.zeros_like(truth), widths) == 90 / 99
    assert conformal.coverage(truth, truth + widths, widths) == 1.0


def test_too_few_rows_give_no_interval() -> None:
    eight = conformal.residuals(np.arange(8.0)[:, None], np.zeros((8, 1)))
    assert conformal.half_widths(eight, 0.9) is None
    assert conformal.half_widths(eight, 0.8) is not None


def test_of_many_rows_evenly_spaced_ones_are_kept() -> None:
    rows = 5 * conformal.MOST_ROWS + 3
    truth = np.arange(float(rows))[:, None]
    kept = conformal.residuals(truth, np.zeros_like(truth))[:, 0]
    assert len(kept) == conformal.MOST_ROWS
    assert {int(later - earlier) for earlier, later in pairwise(kept)} == {5, 6}
    assert kept[0] == 0
    assert kept[-1] >= rows - 6


def test_levels_are_described_with_their_coverage_on_test_rows() -> None:
    truth = np.arange(1.0, 11.0)[:, None]
    ordered = conformal.residuals(truth, np.zeros_like(truth))
    test = np.array([[1.0], [6.0], [8.0], [11.0]]), np.zeros((4, 1))
    assert conformal.describe(ordered, ["y"], test) == [
        {"level": 0.5, "half_width": {"y": 6.0}, "coverage": 0.5},
        {"level": 0.8, "half_width": {"y": 9.0}, "coverage": 0.75},
        {"level": 0.9, "half_width": {"y": 10.0}, "coverage": 0.75},
    ]
    assert conformal.describe(ordered, ["y"], None)[0]["coverage"] is None
