"""Pictures of functions of one number: a curve and the parts that it is the sum of.

Legend: M points, G places along x.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml2021.report.figures.style import (
    INK,
    PREDICTION,
    SERIES,
    TRIVIAL,
    TRUTH,
    WIDE,
    label_axes,
    new_figure,
)

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
"""x and y (G,) of a line, straight between its places."""

_FEW_POINTS = 60

_DRAWN_PARTS = 200

_NUMBERED_PARTS = 16

_DASHES: tuple[tuple[int, tuple[int, ...]], ...] = ((0, ()), (0, (5, 1)), (0, (3, 1, 1, 1)))


def curve_and_parts(
    points: Line,
    bends: Line,
    constant: float,
    ramps: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    names: tuple[str, str],
    *,
    is_paired: bool,
) -> Figure:
    """Draw a curve with the sum that stands for it, and below it the parts of the sum.

    points: of the curve. bends: of the sum, which is straight between them and constant outside.
    ramps: the parts without the constant, where each starts, where it ends and its height (Q,).
    names: of x and of y. is_paired: whether a ramp is two ReLUs, which are drawn as well.
    """
    figure = new_figure(WIDE, 5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.1))
    left, right = bends[0][0], bends[0][-1]
    left, right = left - 0.1 * (right - left), right + 0.1 * (right - left)
    total = np.array([left, *bends[0], right]), bends[1][[0, *range(len(bends[1])), -1]]
    drawn = [values[:_DRAWN_PARTS] for values in ramps]
    parts = [_ramp(left, right, *ramp) for ramp in zip(*drawn, strict=True)]
    pairs = [_two_relus(left, right, *ramp) for ramp in zip(*drawn, strict=True)]
    _draw_curve(upper, points, total)
    if len(parts) <= _NUMBERED_PARTS:
        _number_the_climbs(upper, total, parts)
    label_axes(upper, "", names[1])
    upper.set_title(f"{len(points[0]):,} points, {len(bends[0]) - 1:,} pieces")
    upper.legend()
    _draw_parts(lower, total[0], constant, parts, pairs if is_paired else [])
    label_axes(lower, names[0], names[1])
    count = f"{len(ramps[2]):,}"
    if len(parts) < len(ramps[2]):
        count = f"the first {len(parts)} of {count}"
    kind = "pairs of ReLUs (dotted)" if is_paired else "hard sigmoids"
    lower.set_title(f"The parts: a constant (0) and {count} {kind}")
    lower.set_xlim(left, right)
    return figure


def _ramp(left: float, right: float, start: float, end: float, height: float) -> Line:
    return np.array([left, start, end, right]), height * np.array([0.0, 0.0, 1.0, 1.0])


def _two_relus(
    left: float, right: float, start: float, end: float, height: float
) -> tuple[Line, Line]:
    """Return the ReLU that starts the climb, and the one that ends it."""
    slope = height / (end - start)
    climb = np.array([left, start, right]), np.array([0.0, 0.0, slope * (right - start)])
    return climb, (np.array([left, end, right]), np.array([0.0, 0.0, slope * (end - right)]))


def _draw_curve(axes: Axes, points: Line, total: Line) -> None:
    is_few = len(points[0]) <= _FEW_POINTS
    axes.plot(
        *points,
        color=TRUTH if is_few else TRIVIAL,
        linestyle="none" if is_few else "-",
        marker="o" if is_few else "",
        markersize=4.5,
        linewidth=4,
        label=f"the curve, {len(points[0]):,} points",
        zorder=4 if is_few else 2,
    )
    axes.plot(*total, color=PREDICTION, linewidth=1.8, label="the sum of the parts", zorder=3)


def _number_the_climbs(axes: Axes, total: Line, parts: Sequence[Line]) -> None:
    """Write each part's number at the sum where it is steepest."""
    for index, (x, y) in enumerate(parts):
        step = int(np.abs(np.diff(y) / np.diff(x)).argmax())
        middle = (x[step] + x[step + 1]) / 2
        axes.annotate(
            str(index + 1),
            (middle, float(np.interp(middle, *total))),
            xytext=(5, 5 if y[step + 1] < y[step] else -11),
            textcoords="offset points",
            color=SERIES[index % len(SERIES)],
            fontweight="bold",
        )


def _draw_parts(
    axes: Axes,
    x: NDArray[np.float64],
    constant: float,
    parts: Sequence[Line],
    pairs: Sequence[tuple[Line, Line]],
) -> None:
    is_numbered = len(parts) <= _NUMBERED_PARTS
    heights = np.concatenate([[0.0, constant], *(y for _, y in parts)])
    margin = 0.12 * float(np.ptp(heights)) or 1.0
    axes.set_ylim(heights.min() - margin, heights.max() + margin)
    axes.axhline(0, color=TRIVIAL, linewidth=0.8, zorder=1)
    axes.plot(x[[0, -1]], [constant, constant], color=INK)
    ends: list[tuple[str, float, str]] = [("0", constant, INK)]
    for index, part in enumerate(parts):
        colour = SERIES[index % len(SERIES)]
        dashes = _DASHES[index // len(SERIES) % len(_DASHES)]
        axes.plot(*part, color=colour, linestyle=dashes, linewidth=1.9 if is_numbered else 0.8)
        if pairs:
            for relu in pairs[index]:
                axes.plot(*relu, color=colour, linestyle=":", linewidth=1.2)
        ends.append((str(index + 1), float(part[1][-1]), colour))
    if is_numbered:
        _number_the_ends(axes, ends)


def _number_the_ends(axes: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    """Write each part's number at its right end, those of one height beside each other."""
    low, high = axes.get_ylim()
    taken: list[tuple[float, int]] = []
    for text, height, colour in sorted(ends, key=lambda end: end[1]):
        if taken and height - taken[-1][0] < 0.05 * (high - low):
            taken.append((taken[-1][0], taken[-1][1] + 1))
        else:
            taken.append((height, 0))
        place, column = taken[-1]
        axes.annotate(
            text,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(5 + 15 * column, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )
