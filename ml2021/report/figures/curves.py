"""Figures of functions of one variable: a curve, and the terms that add up to it.

Legend: M points, G points along x, Q ramps.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml2021.formatting import plural
from ml2021.report.figures import style

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
"""x and y (G,) of a piecewise linear function."""
_FEW_POINTS = 60
_MOST_TERMS = 200
_MOST_NUMBERED = 16


def curve_and_parts(
    points: Line,
    bends: Line,
    constant: float,
    ramps: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    names: tuple[str, str],
    *,
    is_paired: bool,
) -> Figure:
    """Draw a curve with the sum that approximates it, and below it the terms of the sum.

    points: those of the curve (M,). bends: those of the sum, which is constant outside of them.
    ramps: the start, the end and the height (Q,) of each term but the constant. names: of x and y.
    is_paired: whether each ramp is a pair of ReLUs, which are drawn as well.
    """
    figure = style.new_figure(style.WIDE, 5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.1))
    left, right = bends[0][0], bends[0][-1]
    left, right = left - 0.1 * (right - left), right + 0.1 * (right - left)
    total = np.array([left, *bends[0], right]), bends[1][[0, *range(len(bends[1])), -1]]
    drawn = [values[:_MOST_TERMS] for values in ramps]
    terms = [_ramp(left, right, *ramp) for ramp in zip(*drawn, strict=True)]
    pairs = [_two_relus(left, right, *ramp) for ramp in zip(*drawn, strict=True)]
    _draw_curve(upper, points, total)
    if len(terms) <= _MOST_NUMBERED:
        _number_ramps(upper, total, terms)
    style.label_axes(upper, "", names[1])
    upper.set_title(f"{plural(len(points[0]), 'point')}, {plural(len(bends[0]) - 1, 'piece')}")
    _draw_terms(lower, total[0], constant, terms, pairs if is_paired else [])
    style.label_axes(lower, names[0], names[1])
    count = f"{len(ramps[2]):,}"
    if len(terms) < len(ramps[2]):
        count = f"the first {len(terms)} of {count}"
    kind = "pairs of ReLUs (dotted)" if is_paired else "hard sigmoids"
    lower.set_title(f"Terms: a constant (0) and {count} {kind}")
    lower.set_xlim(left, right)
    style.add_legend(figure)
    return figure


def _ramp(left: float, right: float, start: float, end: float, height: float) -> Line:
    return np.array([left, start, end, right]), height * np.array([0.0, 0.0, 1.0, 1.0])


def _two_relus(
    left: float, right: float, start: float, end: float, height: float
) -> tuple[Line, Line]:
    """Return the ReLU that starts the ramp, and the one that ends it."""
    slope = height / (end - start)
    first = np.array([left, start, right]), np.array([0.0, 0.0, slope * (right - start)])
    return first, (np.array([left, end, right]), np.array([0.0, 0.0, slope * (end - right)]))


def _draw_curve(axes: Axes, points: Line, total: Line) -> None:
    is_few = len(points[0]) <= _FEW_POINTS
    axes.plot(
        *points,
        color=style.TRUTH if is_few else style.BASELINE,
        linestyle="none" if is_few else "-",
        marker="o" if is_few else "",
        markersize=4.5,
        linewidth=4,
        label=f"the curve, {plural(len(points[0]), 'point')}",
        zorder=4 if is_few else 2,
    )
    axes.plot(*total, color=style.PREDICTION, linewidth=1.8, label="the sum of the terms", zorder=3)


def _number_ramps(axes: Axes, total: Line, terms: Sequence[Line]) -> None:
    """Write each term's number beside the sum, where the term is steepest."""
    for index, (x, y) in enumerate(terms):
        step = int(np.abs(np.diff(y) / np.diff(x)).argmax())
        middle = (x[step] + x[step + 1]) / 2
        axes.annotate(
            str(index + 1),
            (middle, float(np.interp(middle, *total))),
            xytext=(5, 5 if y[step + 1] < y[step] else -11),
            textcoords="offset points",
            color=style.SERIES[index % len(style.SERIES)],
            fontweight="bold",
        )


def _draw_terms(
    axes: Axes,
    x: NDArray[np.float64],
    constant: float,
    terms: Sequence[Line],
    pairs: Sequence[tuple[Line, Line]],
) -> None:
    is_numbered = len(terms) <= _MOST_NUMBERED
    heights = np.concatenate([[0.0, constant], *(y for _, y in terms)])
    margin = 0.12 * float(np.ptp(heights)) or 1.0
    axes.set_ylim(heights.min() - margin, heights.max() + margin)
    axes.axhline(0, color=style.BASELINE, linewidth=0.8, zorder=1)
    axes.plot(x[[0, -1]], [constant, constant], color=style.INK)
    ends: list[tuple[str, float, str]] = [("0", constant, style.INK)]
    for index, term in enumerate(terms):
        colour = style.SERIES[index % len(style.SERIES)]
        dashes = style.DASHES[index // len(style.SERIES) % 3]  # not dotted, as the ReLUs are
        axes.plot(*term, color=colour, linestyle=dashes, linewidth=1.9 if is_numbered else 0.8)
        if pairs:
            for relu in pairs[index]:
                axes.plot(*relu, color=colour, linestyle=":", linewidth=1.2)
        ends.append((str(index + 1), float(term[1][-1]), colour))
    if is_numbered:
        _number_ends(axes, ends)


def _number_ends(axes: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    """Write each term's number at its right end, numbers of equal height side by side."""
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
