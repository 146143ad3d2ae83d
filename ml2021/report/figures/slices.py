"""The scores of many runs against one of their settings, spread over all others.

Legend: N runs, C choices.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml2021.report.figures.style import (
    BEST,
    HEIGHT,
    TRAINING,
    TRIVIAL,
    TRUTH,
    VALIDATION,
    WIDTH,
    label_axes,
    new_figure,
    shown,
    spans_decades,
    use_log_scale,
)

Trivial = tuple[str, float]
"""What a trivial answer is called, and its score."""

MOST_POINTS = 2_000
"""Of more runs some are drawn; medians are of all of them."""

MOST_CHOICES = 30
"""Of more choices the others are left out."""

MOST_JOINED = 12
"""The medians of more numbers than these are not drawn: each would stand for too few runs."""

_SHORT, _WIDE = 16, 6.4
"""Names of so many characters fit a figure of the usual width; longer ones want more inches."""

_NAME_LIMIT = 40

_NARROW = 0.07
"""Ticks that are nearer to each other, as a share of the axis, are left to matplotlib."""

_LOOKS = {
    "train": (TRAINING, "s", ":"),
    "validation": (VALIDATION, "o", "--"),
    "test": (TRUTH, "^", "-"),
}
"""The colour, the marker and the dashes of each part."""


def number_slice(
    values: NDArray[np.float64],
    scores: Mapping[str, NDArray[np.float64]],
    best: int | None,
    labels: tuple[str, str],
    trivial: Trivial | None,
    *,
    is_log: bool,
    is_joined: bool,
) -> Figure:
    """Draw scores (N,), by part, against a number (N,); NaN for a run that has no such score.

    best: which run is marked. labels: of the number and of the score. trivial: is drawn where it
    is not far from the scores. is_joined: whether the medians at each number are joined by a line.
    """
    figure = new_figure()
    axes = figure.subplots()
    numbers = np.unique(values)
    for part, own in scores.items():
        colour, _, dashes = _LOOKS[part]
        _scatter(axes, values, own, part)
        if is_joined and len(numbers) <= MOST_JOINED:
            medians = [_median(own[values == each]) for each in numbers]
            axes.plot(numbers, medians, color=colour, linestyle=dashes, zorder=3)
        if best is not None:
            _mark_best(axes, values[best], own[best])
    is_log = is_log or spans_decades(values)
    if is_log:
        use_log_scale(axes, "x")
    _tick_at(axes, numbers, is_log=is_log)
    trivial = _if_near(trivial, scores)
    if trivial is not None:
        axes.axhline(trivial[1], color=TRIVIAL, linewidth=1.2, zorder=1)
    if spans_decades(*scores.values()):
        use_log_scale(axes, "y")
    _explain(axes, scores, best, trivial)
    label_axes(axes, *labels)
    return figure


def choice_slice(
    places: NDArray[np.int64],
    names: Sequence[str],
    scores: Mapping[str, NDArray[np.float64]],
    best: int | None,
    labels: tuple[str, str],
    trivial: Trivial | None,
) -> Figure:
    """Draw scores (N,), by part, beside the choice (N,) that each run made among the names (C,).

    The arguments are those of `number_slice`; a place of -1 is a choice that is left out.
    """
    width = WIDTH if max(map(len, names)) <= _SHORT else _WIDE
    figure = new_figure(width, max(HEIGHT, 1.3 + 0.3 * len(names)))
    axes = figure.subplots()
    offsets = np.linspace(-0.15, 0.15, len(scores)) if len(scores) > 1 else [0.0]
    drawn = places >= 0
    for (part, own), offset in zip(scores.items(), offsets, strict=True):
        colour = _LOOKS[part][0]
        _scatter(axes, own[drawn], places[drawn] + offset, part)
        medians = [_median(own[places == choice]) for choice in range(len(names))]
        axes.plot(medians, np.arange(len(names)) + offset, "|", color=colour, markersize=11)
        if best is not None and drawn[best]:
            _mark_best(axes, own[best], float(places[best] + offset))
    trivial = _if_near(trivial, scores)
    if trivial is not None:
        axes.axvline(trivial[1], color=TRIVIAL, linewidth=1.2, zorder=1)
    if spans_decades(*scores.values()):
        use_log_scale(axes, "x")
    axes.set_yticks(range(len(names)), [shown(name, _NAME_LIMIT) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    _explain(axes, scores, best, trivial)
    label_axes(axes, labels[1], labels[0])
    return figure


def part_against_part(
    x: NDArray[np.float64], y: NDArray[np.float64], best: int | None, labels: tuple[str, str]
) -> Figure:
    """Draw the score (N,) of each run on one part against that on another."""
    figure = new_figure()
    axes = figure.subplots()
    kept = _drawn(len(x))
    axes.plot(
        x[kept], y[kept], "o", color=TRUTH, alpha=0.5, markersize=4, linestyle="none", label="a run"
    )
    if best is not None:
        _mark_best(axes, x[best], y[best])
        axes.plot([], [], "o", color=BEST, fillstyle="none", markersize=9, label="best run")
    for which, values in (("x", x), ("y", y)):
        if spans_decades(values):
            use_log_scale(axes, which)
    axes.legend()
    label_axes(axes, *labels)
    return figure


def _scatter(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], part: str) -> None:
    """Draw a point for each run, or for some of very many."""
    colour, marker, _ = _LOOKS[part]
    kept = _drawn(len(x))
    axes.plot(x[kept], y[kept], marker, color=colour, alpha=0.4, markersize=4, linestyle="none")


def _drawn(runs: int) -> NDArray[np.int64]:
    """Return the places of the runs that are drawn: all, or `MOST_POINTS` evenly spread."""
    return np.linspace(0, runs - 1, min(runs, MOST_POINTS)).round().astype(np.int64)


def _tick_at(axes: Axes, numbers: NDArray[np.float64], *, is_log: bool) -> None:
    """Write the numbers that were tried at the axis, where they are few and apart."""
    places = np.log(numbers) if is_log else numbers
    span = float(np.ptp(places))
    if len(numbers) <= MOST_JOINED and span and np.diff(places).min() > _NARROW * span:
        axes.set_xticks(numbers, [f"{value:g}" for value in numbers])
        axes.set_xticks([], minor=True)


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else np.nan


def _if_near(trivial: Trivial | None, scores: Mapping[str, NDArray[np.float64]]) -> Trivial | None:
    """Return the trivial answer if drawing it does not press the scores together."""
    known = np.concatenate([own[np.isfinite(own)] for own in scores.values()])
    if trivial is None or not known.size:
        return None
    span = float(np.ptp(known))
    is_near = known.min() - span <= trivial[1] <= known.max() + span
    return trivial if is_near else None


def _mark_best(axes: Axes, x: float, y: float) -> None:
    axes.plot(x, y, "o", color=BEST, fillstyle="none", markersize=9, markeredgewidth=1.8, zorder=4)


def _explain(
    axes: Axes, scores: Mapping[str, NDArray[np.float64]], best: int | None, trivial: Trivial | None
) -> None:
    """Name what is drawn, above the axes where it hides no point."""
    for part in scores:
        colour, marker, dashes = _LOOKS[part]
        axes.plot([], [], color=colour, marker=marker, linestyle=dashes, markersize=4, label=part)
    if best is not None:
        axes.plot(
            [], [], "o", color=BEST, fillstyle="none", linestyle="none", markersize=8, label="best"
        )
    if trivial is not None:
        axes.plot([], [], color=TRIVIAL, linewidth=1.2, label=shown(trivial[0]))
    axes.figure.legend(loc="outside upper center", ncols=4, handlelength=1.8, columnspacing=1.2)
