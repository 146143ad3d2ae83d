"""Piecewise-linear curves as exact networks: a constant plus hard sigmoids, or pairs of ReLUs.

Every straight piece of the curve is one hard sigmoid that rises (or falls) along it and is constant
on both sides; every hard sigmoid is two ReLUs, one that starts the rise and one that ends it
(Hung-yi Lee, Machine Learning 2021, lecture 1). `approximate` reduces the number of pieces.
`ml2021.commands.piecewise` reads the points and saves the network.

A sum of hard sigmoids is constant beyond its outermost knots, so the curve is too: left of its
first point it has the first value, right of its last point the last.

Legend: M points, N pieces, Q ramps, K members, P parameters. All in float64.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.engine.networks import Network, relu_stack, sigmoid_sum

CANDIDATE_LIMIT = 1_000
"""The most points among which `approximate` searches for the best knots: its time grows with their
square."""
_ROUNDING = 1e-6
"""Two knots are the same one, rounded to float32, if they differ by at most this share of the
range."""


@dataclass(frozen=True)
class Curve:
    """Straight lines between the points (x, y), each (M,), x increasing; constant outside them."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __post_init__(self) -> None:
        assert self.x.ndim == 1
        assert self.x.shape == self.y.shape
        assert len(self.x) >= 2
        assert bool((np.diff(self.x) > 0).all())

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the curve's values at `x`, of any shape."""
        return np.asarray(np.interp(x, self.x, self.y), np.float64)


@dataclass(frozen=True)
class Ramps:
    """constant + Σᵢ heightᵢ · clamp((x − startᵢ) / (endᵢ − startᵢ), 0, 1), over Q ramps."""

    constant: float
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    heights: NDArray[np.float64]


def to_ramps(curve: Curve) -> Ramps:
    """Return a ramp for each piece of the curve that is not flat, or one of height 0 if all are.

    Up to the end of piece i the sum of the first i ramps is the curve; beyond it that sum is
    constant, and the next ramp takes over.
    """
    heights = np.diff(curve.y)
    kept = heights != 0
    if not kept.any():
        return Ramps(float(curve.y[0]), curve.x[:1], curve.x[-1:], np.zeros(1))
    return Ramps(float(curve.y[0]), curve.x[:-1][kept], curve.x[1:][kept], heights[kept])


def to_sigmoid_sum(ramps: Ramps) -> tuple[Network, Tensor]:
    """Return the ramps as b + Σᵢ cᵢ · hard_sigmoid(bᵢ + wᵢx), with θ (1, P).

    hard_sigmoid(z) = clamp(z/6 + 1/2, 0, 1) rises from z = −3 to 3: wᵢ = 6 / width, and z is 0 in
    the middle of the ramp.
    """
    network = sigmoid_sum(1, 1, len(ramps.heights), "hard_sigmoid")
    weights = 6 / (ramps.ends - ramps.starts)
    biases = -weights * (ramps.starts + (ramps.ends - ramps.starts) / 2)
    hidden = np.stack([weights, biases], axis=1)
    output = np.append(ramps.heights, ramps.constant)
    theta = np.concatenate([hidden.ravel(), output])
    return network, torch.from_numpy(theta)[None]


def to_relu_pairs(network: Network, theta: Tensor) -> tuple[Network, Tensor]:
    """Return a sum of hard sigmoids as one layer of twice as many ReLUs, with θ (K, P).

    hard_sigmoid(z) = max(0, z/6 + 1/2) − max(0, z/6 − 1/2), for any number of inputs and outputs;
    ReLUs 2i and 2i + 1 make hard sigmoid i.
    """
    assert network.activation == "hard_sigmoid"
    layout = network.layout
    hidden, output = layout.views(theta)
    climb = hidden / 6
    half = torch.zeros_like(climb)
    half[:, :, -1] = 0.5
    pairs = torch.stack([climb + half, climb - half], dim=2)
    weights, bias = output[:, :, :-1], output[:, :, -1:]
    signed = torch.stack([weights, -weights], dim=3)
    paired = relu_stack(layout.inputs, layout.outputs, [2 * layout.hidden[0]])
    layers = [pairs.flatten(1), torch.cat([signed.flatten(2), bias], dim=2).flatten(1)]
    return paired, torch.cat(layers, dim=1)


def to_curve(network: Network, theta: Tensor) -> tuple[Curve, Ramps]:
    """Return the curve and the ramps of a network from `to_sigmoid_sum` or `to_relu_pairs`.

    θ is (1, P), and the curve as exact as θ is. The end of a ramp and the start of the next are one
    knot, although both are rounded.
    """
    hidden, output = (view[0].double().cpu().numpy() for view in network.layout.views(theta))
    weights, biases = hidden[:, 0], hidden[:, 1]
    heights, constant = output[0, :-1], float(output[0, -1])
    if network.activation == "hard_sigmoid":  # it rises from z = −3 to 3
        starts, ends = (-3 - biases) / weights, (3 - biases) / weights
    else:
        kinks = -biases / weights
        starts, ends = kinks[::2], kinks[1::2]
        heights = heights[::2] * weights[::2] * (ends - starts)
    x = np.unique(np.concatenate([starts, ends]))
    x = x[np.append(True, np.diff(x) > _ROUNDING * np.ptp(x))]
    shares = (x[:, None] - starts) / (ends - starts)
    y = constant + np.clip(shares, 0, 1) @ heights
    return Curve(x, np.asarray(y, np.float64)), Ramps(constant, starts, ends, heights)


def difference(one: Curve, other: Curve) -> float:
    """Return the root mean square of the difference of two curves, over the range of `one`."""
    inside = (other.x > one.x[0]) & (other.x < one.x[-1])
    x = np.union1d(one.x, other.x[inside])
    d = one(x) - other(x)
    left, right = d[:-1], d[1:]
    squares = np.diff(x) * (left * left + left * right + right * right) / 3
    return float(np.sqrt(squares.sum() / (x[-1] - x[0])))


def approximate(curve: Curve, pieces: int) -> Curve:
    """Return a curve of at most `pieces` pieces that approximates `curve` in the least squares.

    It minimises the integral over x of the squared difference, so the size of the error counts by
    the length of x over which it occurs, not by the number of points there. There are two steps,
    each exact. First, which points to keep as knots, among all curves through points of `curve`
    (dynamic programming: Bellman and Roth 1969). Then, the height of each knot, which need not be
    that of the point (least squares: the projection on the hat functions of the knots). Both at
    once is a problem with many local minima; for ever finer points of a smooth curve both problems
    have the same knots (de Boor 1973). Of more than `CANDIDATE_LIMIT` points, those whose removal
    adds least to the integral are removed first.
    """
    assert pieces >= 1
    if pieces >= len(curve.x) - 1:
        return curve
    # In units of the ranges of x and y, so that all powers of them are of a similar size.
    low, width = float(curve.x[0]), float(curve.x[-1] - curve.x[0])
    middle, height = float(curve.y.mean()), float(np.ptp(curve.y)) or 1.0
    moments = _Moments(Curve((curve.x - low) / width, (curve.y - middle) / height))
    knots = _thin(moments, max(pieces + 1, CANDIDATE_LIMIT))
    if len(knots) > pieces + 1:
        knots = knots[_best_path(moments.cost_table(knots), pieces)]
    heights = moments.project(knots)
    return Curve(curve.x[knots], heights * height + middle)


class _Moments:
    """Integrals of a curve f over [x₀, xᵢ]; their differences are the integrals from xᵢ to xⱼ."""

    def __init__(self, curve: Curve) -> None:
        self.x, self.y = curve.x, curve.y
        width = np.diff(self.x)
        a, b = self.y[:-1], self.y[1:]
        self._f = _running_sum(width * (a + b) / 2)
        self._ff = _running_sum(width * (a * a + a * b + b * b) / 3)
        start, end = self.x[:-1], self.x[1:]
        self._xf = _running_sum(width * (start * (2 * a + b) + end * (a + 2 * b)) / 6)

    def cost(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return ∫ (f − chord)² from xᵢ to xⱼ, j > i, for the chord from f(xᵢ) to f(xⱼ)."""
        width = self.x[j] - self.x[i]
        a, b = self.y[i], self.y[j]
        rising, falling = self._hats(i, j)
        chord = width * (a * a + a * b + b * b) / 3
        cost = self._ff[j] - self._ff[i] - 2 * (a * falling + b * rising) + chord
        return np.asarray(np.maximum(cost, 0), np.float64)

    def cost_table(self, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cost (C, C) between any two candidates, infinite unless j > i."""
        count = len(candidates)
        table = np.full((count, count), np.inf)
        i, j = np.triu_indices(count, 1)
        table[i, j] = self.cost(candidates[i], candidates[j])
        return table

    def project(self, knots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the heights at the knots that minimise ∫ (f − g)², for g linear between knots."""
        width = np.diff(self.x[knots])
        rising, falling = self._hats(knots[:-1], knots[1:])
        right = np.append(falling, 0.0) + np.append(0.0, rising)
        diagonal = (np.append(width, 0.0) + np.append(0.0, width)) / 3
        return _solve_tridiagonal(diagonal, width / 6, right)

    def _hats(
        self, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ∫ f·h from xᵢ to xⱼ, for h that rises from 0 to 1, and for h that falls to 0."""
        f = self._f[j] - self._f[i]
        rising = (self._xf[j] - self._xf[i] - self.x[i] * f) / (self.x[j] - self.x[i])
        return rising, f - rising


def _running_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values)])


def _best_path(cost: NDArray[np.float64], steps: int) -> NDArray[np.int64]:
    """Return the `steps` + 1 indices, from first to last, whose steps have the least total cost."""
    least = cost[0]
    predecessors = []
    for _ in range(steps - 1):
        total = least[:, None] + cost
        predecessors.append(total.argmin(axis=0))
        least = total.min(axis=0)
    path = [len(cost) - 1]
    for predecessor in reversed(predecessors):
        path.append(int(predecessor[path[-1]]))
    return np.array([0, *reversed(path)])


def _thin(moments: _Moments, count: int) -> NDArray[np.int64]:
    """Return the indices of at most `count` points, including both ends.

    Each round removes up to an eighth of the points, and never two neighbours.
    """
    kept = np.arange(len(moments.x))
    while (surplus := len(kept) - count) > 0:
        before, here, after = kept[:-2], kept[1:-1], kept[2:]
        loss = moments.cost(before, after) - moments.cost(before, here) - moments.cost(here, after)
        is_least = (loss < np.append(np.inf, loss[:-1])) & (loss <= np.append(loss[1:], np.inf))
        removable = np.flatnonzero(is_least)
        cheapest = removable[loss[removable].argsort(kind="stable")]
        kept = np.delete(kept, cheapest[: min(surplus, -(-len(kept) // 8))] + 1)
    return kept


def _solve_tridiagonal(
    diagonal: NDArray[np.float64], off_diagonal: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve a symmetric, diagonally dominant system by elimination (Thomas algorithm).

    There may be as many knots as pieces were asked for, so no matrix (N, N) is built: at 1,001
    knots a dense solution takes 172 ms instead of 0.8, at 8,001 14 s instead of 10 ms.
    """
    pivots, values = diagonal.copy(), right.copy()
    for i, side in enumerate(off_diagonal, start=1):
        factor = side / pivots[i - 1]
        pivots[i] -= factor * side
        values[i] -= factor * values[i - 1]
    values[-1] /= pivots[-1]
    for i in reversed(range(len(off_diagonal))):
        values[i] = (values[i] - off_diagonal[i] * values[i + 1]) / pivots[i]
    return values
