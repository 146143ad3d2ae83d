"""Truth beside prediction: numbers, series, images, curves and classes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml2021.report.figures.style import (
    HEIGHT,
    INK,
    PREDICTION,
    SEQUENTIAL,
    TRIVIAL,
    TRUTH,
    WIDE,
    WIDTH,
    label_axes,
    new_figure,
    shown,
)

MOST_POINTS = 2_000

_MOST_BARS = 12

_VECTOR_POINTS = 500
"""More points than that are drawn as an image within the figure."""


def truth_against_prediction(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], unit: str
) -> Figure:
    """Draw a point (truth, prediction) for each of N values, and the line on which both agree."""
    figure = new_figure()
    axes = figure.subplots()
    kept = some_of(len(truth))
    low = float(min(truth[kept].min(), prediction[kept].min()))
    high = float(max(truth[kept].max(), prediction[kept].max()))
    axes.axline(
        (low, low),
        (high, high) if high > low else None,
        slope=None if high > low else 1.0,
        color=TRIVIAL,
        linewidth=1.2,
        label="prediction = truth",
    )
    _points(axes, truth[kept], prediction[kept])
    label_axes(axes, f"truth: {unit}", f"prediction: {unit}")
    axes.legend(loc="upper left")
    return figure


def residuals(truth: NDArray[np.float64], prediction: NDArray[np.float64], unit: str) -> Figure:
    """Draw the residuals truth − prediction (N,): against the prediction, and how many of each."""
    figure = new_figure()
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    kept = some_of(len(truth))
    errors = truth - prediction
    left.axhline(0, color=TRIVIAL, linewidth=1.2)
    _points(left, prediction[kept], errors[kept])
    label_axes(left, f"prediction: {shown(unit, 20)}", f"residual: {shown(unit, 20)}")
    left.xaxis.set_major_locator(MaxNLocator(5))
    right.hist(errors, bins=30, orientation="horizontal", color=PREDICTION, alpha=0.85)
    right.axhline(0, color=TRIVIAL, linewidth=1.2)
    label_axes(right, "rows", "")
    right.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    return figure


def over_time(
    when: NDArray[np.generic],
    panels: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    unit: str,
    axis: str,
) -> Figure:
    """Draw truth and prediction (N,) in the order of time `when` (N,): moments or numbers.

    `panels` has both under a title, each in axes of its own, one below the other.
    """
    figure = new_figure(WIDE, HEIGHT if len(panels) == 1 else 0.8 + 2.1 * len(panels))
    grid = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (title, (truth, prediction)) in zip(grid, panels.items(), strict=True):
        axes.plot(when, truth, color=TRUTH, linewidth=1.3, label="truth")
        axes.plot(when, prediction, "--", color=PREDICTION, linewidth=1.3, label="prediction")
        label_axes(axes, axis if axes is grid[-1] else "", unit, title)
    grid[0].legend()
    return figure


def images(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], names: Sequence[str], unit: str
) -> Figure:
    """Draw pairs of images (n, height, width), truth above prediction, on one scale of colours."""
    count = len(names)
    ratio = truth.shape[1] / truth.shape[2]
    side = WIDE / (count + 0.9)
    figure = new_figure(WIDE, min(2 * max(side * min(ratio, 2.5), 0.5) + 0.5, 5.0))
    grid = figure.subplots(2, count, squeeze=False)
    low = float(min(truth.min(), prediction.min()))
    high = float(max(truth.max(), prediction.max()))
    drawn = None
    for column, name in enumerate(names):
        for line, values in enumerate((truth, prediction)):
            axes = grid[line][column]
            drawn = axes.imshow(
                values[column], vmin=low, vmax=high, cmap=SEQUENTIAL, interpolation="nearest"
            )
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
        grid[0][column].set_title(shown(name, 18), fontsize=8.5, fontweight="normal")
    for line, name in enumerate(("truth", "prediction")):
        grid[line][0].set_ylabel(name, fontsize=8.5, rotation=0, ha="right", va="center")
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=grid, shrink=0.8, aspect=30)
        bar.set_label(shown(unit, 22), fontsize=8.5)
    return figure


def gallery(values: NDArray[np.float64], names: Sequence[str], unit: str) -> Figure:
    """Draw images (n, height, width) under their names, five in a line, on one scale of colours."""
    columns = min(5, len(names))
    lines = -(-len(names) // columns)
    side = WIDE / (columns + 0.9)
    ratio = values.shape[1] / values.shape[2]
    figure = new_figure(WIDE, lines * (side * min(ratio, 2.5) + 0.3))
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    drawn = None
    for axes, image, name in zip(grid.flat, values, names, strict=False):
        drawn = axes.imshow(
            image, vmin=values.min(), vmax=values.max(), cmap=SEQUENTIAL, interpolation="nearest"
        )
        axes.set_title(shown(name, 16), fontsize=8.5, fontweight="normal")
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=grid, shrink=0.8, aspect=30)
        bar.set_label(shown(unit, 22), fontsize=8.5)
    return figure


def curves(
    truth: NDArray[np.float64],
    prediction: NDArray[np.float64],
    names: Sequence[str],
    unit: str,
    axis: str,
) -> Figure:
    """Draw pairs of curves (n, T), a panel for each of n rows."""
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(WIDE, 0.4 + 1.6 * lines)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    steps = np.arange(1, truth.shape[1] + 1)
    for place, axes in enumerate(grid.flat):
        if place >= len(names):
            axes.set_axis_off()
            continue
        axes.plot(steps, truth[place], color=TRUTH, label="truth")
        axes.plot(steps, prediction[place], "--", color=PREDICTION, label="prediction")
        axes.set_title(shown(names[place], 24), fontsize=8.5, fontweight="normal")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    grid[0][0].legend()
    figure.supxlabel(shown(axis), fontsize=9.5)
    figure.supylabel(shown(unit), fontsize=9.5)
    return figure


def errors_by_target(
    errors: NDArray[np.float64], spread: NDArray[np.float64], names: Sequence[str], unit: str
) -> Figure:
    """Draw the mean absolute error (T,) of each target, beside that of its mean (T,)."""
    figure = new_figure(WIDTH, HEIGHT if len(names) > _MOST_BARS else 1.1 + 0.26 * len(names))
    axes = figure.subplots()
    if len(names) > _MOST_BARS:
        places = np.arange(1, len(names) + 1)
        axes.plot(places, spread, color=TRIVIAL, label="the mean")
        axes.plot(places, errors, color=PREDICTION, label="network")
        span = f"{shown(names[0], 12)} to {shown(names[-1], 12)}"
        label_axes(axes, f"target, {span}", unit, limit=40)
        axes.set_ylim(0, None)
    else:
        places = np.arange(len(names))[::-1]
        axes.barh(places + 0.2, spread, 0.36, color=TRIVIAL, label="the mean")
        axes.barh(places - 0.2, errors, 0.36, color=PREDICTION, label="network")
        axes.set_yticks(places, [shown(name, 22) for name in names])
        axes.grid(visible=False, axis="y")
        label_axes(axes, unit, "", limit=36)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def some_of(length: int) -> NDArray[np.int64]:
    """Return the places of at most `MOST_POINTS` of `length` points, spread evenly."""
    if length <= MOST_POINTS:
        return np.arange(length)
    return np.linspace(0, length - 1, MOST_POINTS).round().astype(np.int64)


def _points(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    axes.plot(
        x,
        y,
        "o",
        color=PREDICTION,
        markersize=3.5 if len(x) < 300 else 2.5,
        markeredgewidth=0,
        alpha=0.7 if len(x) < 300 else 0.4,
        rasterized=len(x) > _VECTOR_POINTS,
    )


MOST_NAMED = 12
"""Of more classes the matrix is drawn without names and numbers."""


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Draw how many rows of each class (C, C), a line each, were predicted as which."""
    classes = len(names)
    is_named = classes <= MOST_NAMED
    figure = new_figure(WIDTH, 1.25 * HEIGHT if classes > 4 else HEIGHT)
    axes = figure.subplots()
    of_class = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(of_class, 1)
    drawn = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if is_named:
        longest = max(map(len, names))
        texts = [shown(name, 14) for name in names]
        slope = 0 if longest * classes <= 36 else 45
        axes.set_xticks(range(classes), texts, rotation=slope, ha="right" if slope else "center")
        axes.set_yticks(range(classes), texts)
        for (line, column), count in np.ndenumerate(counts):
            if count:
                axes.text(
                    column,
                    line,
                    f"{count:,}",
                    ha="center",
                    va="center",
                    fontsize=8.5 if classes < 8 else 7.5,
                    color="white" if shares[line, column] > 0.55 else INK,
                )
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    number = "" if is_named else ", by number"
    label_axes(axes, f"predicted class{number}", f"true class{number}")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, aspect=25)
    bar.set_label("share of the true class")
    return figure


def reliability(
    stated: NDArray[np.float64], observed: NDArray[np.float64], counts: NDArray[np.int64], what: str
) -> Figure:
    """Draw the share (B,) that came true against the probability (B,) stated, and how often."""
    figure = new_figure(WIDTH, 1.15 * HEIGHT)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=TRIVIAL, linewidth=1.2, label="as stated")
    # One standard error of a share: what chance alone would do to it.
    wide = np.sqrt(np.maximum(observed * (1 - observed), 0.25 / counts) / counts)
    upper.errorbar(
        stated,
        observed,
        yerr=wide,
        fmt="o-",
        color=PREDICTION,
        ecolor=PREDICTION,
        elinewidth=1,
        markersize=4,
        label="network, ± standard error",
    )
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.05, 1.05)
    upper.legend(loc="upper left")
    label_axes(upper, "", "share that came true")
    lower.bar(stated, counts, width=0.05, color=PREDICTION, alpha=0.85)
    label_axes(lower, f"probability of {shown(what, 24)}", "rows", limit=40)
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    return figure
