"""Figures of truth and prediction: numbers, series, images, curves and classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml2021.data.samples import evenly_spaced
from ml2021.report.figures import style

_MOST_BARS = 12


def truth_against_prediction(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], unit: str
) -> Figure:
    """Draw a point (truth, prediction) for each of N values, and the line where both agree."""
    figure = style.new_figure()
    axes = figure.subplots()
    kept = evenly_spaced(len(truth), style.MOST_POINTS)
    low = float(min(truth[kept].min(), prediction[kept].min()))
    high = float(max(truth[kept].max(), prediction[kept].max()))
    axes.axline(
        (low, low),
        (high, high) if high > low else None,
        slope=None if high > low else 1.0,
        color=style.BASELINE,
        linewidth=1.2,
        label="prediction = truth",
    )
    _points(axes, truth[kept], prediction[kept])
    style.label_axes(axes, f"truth: {unit}", f"prediction: {unit}")
    style.add_legend(figure)
    return figure


def residuals(truth: NDArray[np.float64], prediction: NDArray[np.float64], unit: str) -> Figure:
    """Draw the residuals truth − prediction (N,) against the prediction, and their histogram."""
    figure = style.new_figure()
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    kept = evenly_spaced(len(truth), style.MOST_POINTS)
    errors = truth - prediction
    left.axhline(0, color=style.BASELINE, linewidth=1.2)
    _points(left, prediction[kept], errors[kept])
    style.label_axes(
        left, f"prediction: {style.shown(unit, 20)}", f"residual: {style.shown(unit, 20)}"
    )
    left.xaxis.set_major_locator(MaxNLocator(5))
    right.hist(errors, bins=30, orientation="horizontal", color=style.PREDICTION, alpha=0.85)
    right.axhline(0, color=style.BASELINE, linewidth=1.2)
    style.label_axes(right, "rows", "")
    right.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    return figure


def over_time(
    when: NDArray[np.generic],
    panels: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    unit: str,
    axis: str,
    width: float = style.PAGE_WIDTH,
) -> Figure:
    """Draw truth and prediction (N,) over time, `when` (N,), which is dates or numbers.

    `panels` maps the title of each panel to both; the panels are stacked. width: in inches.
    """
    figure = style.new_figure(width, style.HEIGHT if len(panels) == 1 else 0.8 + 2.1 * len(panels))
    grid = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (title, (truth, prediction)) in zip(grid, panels.items(), strict=True):
        axes.plot(when, truth, color=style.TRUTH, linewidth=1.3, label="truth")
        axes.plot(when, prediction, "--", color=style.PREDICTION, linewidth=1.3, label="prediction")
        style.label_axes(axes, axis if axes is grid[-1] else "", unit, title)
        if isinstance(when.dtype, np.dtypes.DateTime64DType):
            formatter: Any = _Dates  # matplotlib has no types for it
            axes.xaxis.set_major_formatter(formatter(axes.xaxis.get_major_locator()))
    style.add_legend(figure)
    return figure


class _Dates(ConciseDateFormatter):
    """Concise dates, without a part below the axis that a label on it has already."""

    _year = ""

    def format_ticks(self, values: Any) -> Any:
        """Return the labels."""
        parent: Any = super()
        to_date: Any = num2date
        labels = parent.format_ticks(values)
        has_words = any(label.strip(_NO_WORDS) for label in labels)  # a month
        self._year = str(to_date(values[-1]).year) if has_words else ""
        return labels

    def get_offset(self) -> str:
        """Return what goes below the axis."""
        parent: Any = super()
        offset = parent.get_offset()
        return str(offset and (self._year or offset))


_NO_WORDS = "0123456789:."
"""What labels are made of that name no month."""


def images(lines: Mapping[str, NDArray[np.float64]], names: Sequence[str], unit: str) -> Figure:
    """Draw lines of images (n, height, width), one below the other, on one colour scale.

    Images of a line may have another height than those of another; NaN is left out.
    """
    side = style.WIDE / (len(names) + 1.1)
    ratios = [min(each.shape[1] / each.shape[2], 2.5) for each in lines.values()]
    figure = style.new_figure(style.WIDE, max(side * sum(ratios), 1.0) + 0.5)
    grid = figure.subplots(len(lines), len(names), squeeze=False, height_ratios=ratios)
    _draw_images(figure, grid, [image for each in lines.values() for image in each], unit)
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(style.shown(name, 18), fontsize=8.5, fontweight="normal")
    for axes, name in zip(grid[:, 0], lines, strict=True):
        axes.set_ylabel(name, fontsize=8.5, rotation=0, ha="right", va="center")
    return figure


def gallery(values: NDArray[np.float64], names: Sequence[str], unit: str) -> Figure:
    """Draw images (n, height, width) under their names, five in a row, on one colour scale."""
    columns = min(5, len(names))
    lines = -(-len(names) // columns)
    side = style.WIDE / (columns + 0.9)
    ratio = values.shape[1] / values.shape[2]
    figure = style.new_figure(style.WIDE, lines * (side * min(ratio, 2.5) + 0.3))
    grid = figure.subplots(lines, columns, squeeze=False)
    _draw_images(figure, grid, list(values), unit)
    for axes, name in zip(grid.flat, names, strict=False):
        axes.set_title(style.shown(name, 16), fontsize=8.5, fontweight="normal")
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    return figure


def _draw_images(
    figure: Figure, grid: Any, values: Sequence[NDArray[np.float64]], unit: str
) -> None:
    """Draw images (height, width) on the first axes of the grid, with one colour bar."""
    low = min(float(np.nanmin(image)) for image in values)
    high = max(float(np.nanmax(image)) for image in values)
    for axes, image in zip(grid.flat, values, strict=False):
        drawn = axes.imshow(
            image, vmin=low, vmax=high, cmap=style.SEQUENTIAL, interpolation="nearest"
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=grid, shrink=0.8, aspect=30)
    bar.set_label(style.shown(unit, 22), fontsize=8.5)


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
    figure = style.new_figure(style.WIDE, 0.4 + 1.6 * lines)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    steps = np.arange(1, truth.shape[1] + 1)
    for index, axes in enumerate(grid.flat):
        if index >= len(names):
            axes.set_axis_off()
            continue
        axes.plot(steps, truth[index], color=style.TRUTH, label="truth")
        axes.plot(steps, prediction[index], "--", color=style.PREDICTION, label="prediction")
        axes.set_title(style.shown(names[index], 24), fontsize=8.5, fontweight="normal")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.add_legend(figure, grid[0][0].get_lines())
    figure.supxlabel(style.shown(axis), fontsize=9.5)
    figure.supylabel(style.shown(unit), fontsize=9.5)
    return figure


def errors_by_target(
    errors: NDArray[np.float64], spread: NDArray[np.float64], names: Sequence[str], unit: str
) -> Figure:
    """Draw the mean absolute error (T,) of each target, and that of predicting its mean (T,)."""
    figure = style.new_figure(
        style.WIDTH, style.HEIGHT if len(names) > _MOST_BARS else 1.1 + 0.26 * len(names)
    )
    axes = figure.subplots()
    if len(names) > _MOST_BARS:
        positions = np.arange(1, len(names) + 1)
        axes.plot(positions, spread, color=style.BASELINE, label="the mean")
        axes.plot(positions, errors, color=style.PREDICTION, label="network")
        span = f"{style.shown(names[0], 12)} to {style.shown(names[-1], 12)}"
        style.label_axes(axes, f"target, {span}", unit, limit=40)
        axes.set_ylim(0, None)
    else:
        positions = np.arange(len(names))[::-1]
        axes.barh(positions + 0.2, spread, 0.36, color=style.BASELINE, label="the mean")
        axes.barh(positions - 0.2, errors, 0.36, color=style.PREDICTION, label="network")
        axes.set_yticks(positions, [style.shown(name, 22) for name in names])
        axes.grid(visible=False, axis="y")
        style.label_axes(axes, unit, "", limit=36)
    style.add_legend(figure)
    return figure


def _points(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    axes.plot(
        x,
        y,
        "o",
        color=style.PREDICTION,
        markersize=3.5 if len(x) < 300 else 2.5,
        markeredgewidth=0,
        alpha=0.7 if len(x) < 300 else 0.4,
        rasterized=len(x) > style.VECTOR_POINTS,
    )


MOST_NAMED = 12
"""With more classes than this, the matrix has neither names nor numbers."""


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Draw the confusion matrix (C, C): true classes as rows, predicted classes as columns."""
    classes = len(names)
    is_named = classes <= MOST_NAMED
    figure = style.new_figure(style.WIDTH, 1.25 * style.HEIGHT if classes > 4 else style.HEIGHT)
    axes = figure.subplots()
    of_class = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(of_class, 1)
    drawn = axes.imshow(shares, vmin=0, vmax=1, cmap=style.SHARES, interpolation="nearest")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if is_named:
        longest = max(map(len, names))
        texts = [style.shown(name, 14) for name in names]
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
                    color=style.WHITE if shares[line, column] > 0.75 else style.INK,
                )
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    number = "" if is_named else ", by number"
    style.label_axes(axes, f"predicted class{number}", f"true class{number}")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, aspect=25)
    bar.set_label("share of the true class")
    return figure


def reliability(
    predicted: NDArray[np.float64],
    observed: NDArray[np.float64],
    counts: NDArray[np.int64],
    name: str,
) -> Figure:
    """Draw the observed frequency (B,) by predicted probability (B,), and the rows in each bin."""
    figure = style.new_figure(style.WIDTH, 1.15 * style.HEIGHT)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=style.BASELINE, linewidth=1.2, label="perfect calibration")
    # The standard error of a frequency.
    errors = np.sqrt(np.maximum(observed * (1 - observed), 0.25 / counts) / counts)
    upper.errorbar(
        predicted,
        observed,
        yerr=errors,
        fmt="o-",
        color=style.PREDICTION,
        ecolor=style.PREDICTION,
        elinewidth=1,
        markersize=4,
        label="network, ± standard error",
    )
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.05, 1.05)
    style.label_axes(upper, "", "observed frequency")
    lower.bar(predicted, counts, width=0.05, color=style.PREDICTION, alpha=0.85)
    style.label_axes(lower, f"probability of {style.shown(name, 24)}", "rows", limit=40)
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    style.add_legend(figure)
    return figure


def roc(
    rate: NDArray[np.float64], recall: NDArray[np.float64], marks: Mapping[str, int], name: str
) -> Figure:
    """Draw the recall (M,) by the rate of false positives (M,); `marks` are places by name."""
    figure = style.new_figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=style.BASELINE, linewidth=1.2, label="chance")
    axes.plot(rate, recall, color=style.PREDICTION, drawstyle="default", label="network")
    _mark(axes, rate, recall, marks)
    style.add_legend(figure)
    style.label_axes(axes, f"others called {style.shown(name, 20)}", "recall", limit=40)
    return figure


def precision_recall(
    recall: NDArray[np.float64],
    precision: NDArray[np.float64],
    marks: Mapping[str, int],
    share: float,
    name: str,
) -> Figure:
    """Draw the precision (M,) by the recall (M,), above that of calling every row positive."""
    figure = style.new_figure()
    axes = figure.subplots()
    axes.axhline(
        share, color=style.BASELINE, linewidth=1.2, label=f"always {style.shown(name, 16)}"
    )
    axes.plot(recall, precision, color=style.PREDICTION, drawstyle="steps-pre", label="network")
    _mark(axes, recall, precision, marks)
    axes.set_ylim(-0.03, 1.03)
    style.add_legend(figure)
    style.label_axes(axes, f"recall of {style.shown(name, 24)}", "precision", limit=40)
    return figure


def _mark(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], marks: Mapping[str, int]
) -> None:
    for marker, (name, place) in zip("os", marks.items(), strict=False):
        label = f"threshold {name}" if name[0].isdigit() else f"{name} threshold"
        axes.plot(x[place], y[place], marker, color=style.BEST, markersize=6, label=label)
