"""Curves as hard sigmoids and pairs of ReLUs, against straight lines; fewer pieces, brute force."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from ml2021.engine.networks import initial_parameters, sigmoid_sum
from ml2021.engine.piecewise import (
    CANDIDATE_LIMIT,
    Curve,
    approximate,
    difference,
    to_curve,
    to_ramps,
    to_relu_pairs,
    to_sigmoid_sum,
)
from tests.oracle import outputs

Floats = NDArray[np.float64]


@st.composite
def curves(draw: st.DrawFn, most: int = 12) -> Curve:
    """Steep and flat, wide and narrow pieces, anywhere along x."""
    points = draw(st.integers(2, most))
    gaps = draw(arrays(np.float64, points - 1, elements=st.floats(1e-4, 1)))
    heights = st.one_of(st.sampled_from([0.0, 1.0, -5.0]), st.floats(-1e3, 1e3))
    y = draw(arrays(np.float64, points, elements=heights))
    x = np.cumsum([draw(st.floats(-10, 10)), *gaps])
    return Curve(x * draw(st.sampled_from([1e-3, 1.0, 1e6])), y)


def straight_lines(curve: Curve, at: float) -> float:
    """Return the curve at one x by its definition, piece by piece."""
    if at <= curve.x[0]:
        return float(curve.y[0])
    points = zip(curve.x, curve.y, strict=True)
    for (left, start), (right, end) in pairwise(points):
        if at <= right:
            return float(start + (end - start) * (at - left) / (right - left))
    return float(curve.y[-1])


def places(curve: Curve) -> Floats:
    """Return knots, points between them, and points far outside."""
    width = curve.x[-1] - curve.x[0]
    between = curve.x[:-1] + np.diff(curve.x) * np.array([[0.01], [0.5], [0.9]])
    return np.concatenate(
        [curve.x, between.ravel(), [curve.x[0] - 5 * width, curve.x[-1] + 5 * width]]
    )


@given(curves())
@settings(max_examples=150, deadline=None)
def test_a_curve_is_a_sum_of_hard_sigmoids_and_that_of_relu_pairs(curve: Curve) -> None:
    x = places(curve)
    expected = np.array([straight_lines(curve, at) for at in x])
    rows = torch.from_numpy(np.stack([x, np.ones_like(x)], axis=1))
    network, theta = to_sigmoid_sum(to_ramps(curve))
    assert theta.dtype == torch.float64
    tolerance = 1e-6 * max(float(np.ptp(curve.y)), 1e-6 * float(np.abs(curve.y).max()))
    for sum_of_parts, parameters in ((network, theta), to_relu_pairs(network, theta)):
        values = outputs(sum_of_parts, parameters, rows)[0, :, 0].numpy()
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)


@given(curves())
@settings(max_examples=100, deadline=None)
def test_a_network_gives_back_its_curve(curve: Curve) -> None:
    x, ramps = places(curve), to_ramps(curve)
    network, theta = to_sigmoid_sum(ramps)
    height = float(np.ptp(curve.y)) + 1e-6 * float(np.abs(curve.y).max())
    for sum_of_parts, parameters in ((network, theta), to_relu_pairs(network, theta)):
        found, parts = to_curve(sum_of_parts, parameters)
        np.testing.assert_allclose(found(x), curve(x), rtol=0, atol=1e-3 * height)
        assert len(found.x) <= len(curve.x)
        width = float(np.ptp(curve.x))
        for own, given_ones in ((parts.starts, ramps.starts), (parts.ends, ramps.ends)):
            np.testing.assert_allclose(own, given_ones, rtol=0, atol=1e-6 * width)
        np.testing.assert_allclose(parts.heights, ramps.heights, atol=1e-6 * height)


def test_a_network_in_float32_has_the_same_knots() -> None:
    x = np.linspace(3, 7, 40)
    curve = Curve(x, np.sin(x))
    network, theta = to_sigmoid_sum(to_ramps(curve))
    for sum_of_parts, parameters in ((network, theta), to_relu_pairs(network, theta)):
        found, _ = to_curve(sum_of_parts, parameters.float())
        np.testing.assert_allclose(found.x, curve.x, atol=1e-4)
        np.testing.assert_allclose(found.y, curve.y, atol=1e-4)


def test_the_curve_of_the_lecture_has_these_parameters() -> None:
    curve = Curve(np.array([0.0, 2.0, 3.0, 4.0]), np.array([1.0, 5.0, 5.0, 4.0]))
    network, theta = to_sigmoid_sum(to_ramps(curve))
    # A climb by 4 over 0 to 2, nothing for the flat piece, a fall by 1 over 3 to 4.
    assert network.layout.sizes == (1, 2, 1)
    assert theta.tolist() == [[3.0, -3.0, 6.0, -21.0, 4.0, -1.0, 1.0]]
    paired, relu_theta = to_relu_pairs(network, theta)
    assert (paired.layout.sizes, paired.activation) == ((1, 4, 1), "relu")
    hidden, output = paired.layout.views(relu_theta)
    assert hidden[0].tolist() == [[0.5, 0.0], [0.5, -1.0], [1.0, -3.0], [1.0, -4.0]]
    assert output[0].tolist() == [[4.0, -4.0, -1.0, 1.0, 1.0]]


def test_a_flat_curve_needs_one_sigmoid_of_height_0() -> None:
    ramps = to_ramps(Curve(np.array([0.0, 1.0, 5.0]), np.full(3, 7.0)))
    assert (ramps.constant, ramps.heights.tolist()) == (7.0, [0.0])


def test_any_sum_of_hard_sigmoids_is_pairs_of_relus() -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    network = sigmoid_sum(4, 3, 6, "hard_sigmoid")
    theta = initial_parameters(network, generators, torch.float64)
    rows = torch.randn(50, 5, generator=generators[0], dtype=torch.float64)
    rows[:, -1] = 1
    paired, relu_theta = to_relu_pairs(network, theta)
    expected = outputs(network, theta, rows)
    torch.testing.assert_close(outputs(paired, relu_theta, rows), expected, rtol=0, atol=1e-12)


@given(curves(), curves(4))
@settings(max_examples=50, deadline=None)
def test_the_difference_is_the_root_of_the_mean_square(one: Curve, other: Curve) -> None:
    knots = np.union1d(one.x, other.x[(other.x > one.x[0]) & (other.x < one.x[-1])])
    total = 0.0
    for left, right in pairwise(knots):
        middle = left + (right - left) / 2
        squares = np.square([one(at) - other(at) for at in np.array([left, middle, right])])
        total += (right - left) * float(squares @ [1, 4, 1]) / 6  # Simpson: exact for squares
    expected = (total / (one.x[-1] - one.x[0])) ** 0.5
    assert difference(one, other) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(curves(9), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_no_curve_through_as_many_of_the_points_is_nearer(curve: Curve, pieces: int) -> None:
    found = approximate(curve, pieces)
    assert len(found.x) <= pieces + 1
    inner = range(1, len(curve.x) - 1)
    nearest = min(
        difference(curve, Curve(curve.x[kept], curve.y[kept]))
        for chosen in combinations(inner, min(pieces - 1, len(inner)))
        for kept in [[0, *chosen, len(curve.x) - 1]]
    )
    assert difference(curve, found) <= nearest + 1e-6 * np.ptp(curve.y)


@given(curves(9), st.integers(1, 4), st.integers(0, 4), st.sampled_from([-1e-3, 1e-3]))
@settings(max_examples=50, deadline=None)
def test_the_heights_are_the_best_for_their_knots(
    curve: Curve, pieces: int, knot: int, change: float
) -> None:
    found = approximate(curve, pieces)
    moved = found.y.copy()
    moved[min(knot, len(moved) - 1)] += change * float(np.ptp(curve.y))
    assert difference(curve, found) <= difference(curve, Curve(found.x, moved)) * (1 + 1e-9) + 1e-12


def test_knots_go_where_the_curve_bends() -> None:
    x = np.linspace(0, 1, 300)
    curve = Curve(x, np.tanh(40 * (x - 0.3)))
    even = np.linspace(0, 1, 9)
    found = approximate(curve, 8)
    assert difference(curve, found) < 0.1 * difference(curve, Curve(even, curve(even)))
    assert np.median(np.abs(found.x - 0.3)) < 0.1


def test_enough_pieces_leave_the_curve_unchanged() -> None:
    curve = Curve(np.array([0.0, 1.0, 3.0]), np.array([2.0, 0.0, 1.0]))
    assert approximate(curve, 2) is approximate(curve, 100) is curve


@pytest.mark.parametrize("pieces", [3, 1_500])
def test_very_many_points_are_thinned_first(pieces: int) -> None:
    random = np.random.default_rng(0)
    bends = Curve(np.array([0.0, 0.2, 0.21, 1.0]), np.array([0.0, 3.0, -1.0, 1.0]))
    x = np.union1d(random.random(5_000), bends.x)
    curve = Curve(x, bends(x))
    assert len(x) > 2 * CANDIDATE_LIMIT
    # All points except the four bends lie on straight lines, so removing them costs nothing.
    assert difference(curve, approximate(curve, pieces)) < 1e-7
