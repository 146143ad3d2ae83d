"""Figures of a sweep: the scores of its runs against one of the keys that it varies.

Legend: N runs, C choices.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml2021.data.samples import evenly_spaced
from ml2021.formatting import tick
from ml2021.report.figures import style

Baseline = tuple[str, float]
"""The name of a baseline and its score."""
MOST_CHOICES = 30
"""Only this many choices are drawn."""
MOST_JOINED = 12
"""The medians of more numbers than this are not drawn: each would be of too few runs."""
_SHORT, _WIDE = 16, 6.4
"""Names with more characters than the first need a figure as wide as the second, in inches."""
_NAME_LIMIT = 40
_NARROW = 0.07
"""Numbers closer together than this fraction of the axis get matplotlib's own ticks."""

_LOOKS = {
    "train": (style.TRAINING, "s", ":"),
    "validation": (style.VALIDATION, "o", "--"),
    "test": (style.TRUTH, "^", "-"),
}
"""The colour, the marker and the dashes of each split."""


def number_slice(
    values: NDArray[np.float64],
    scores: Mapping[str, NDArray[np.float64]],
    best: int | None,
    labels: tuple[str, str],
    baseline: Baseline | None,
    *,
    is_log: bool,
    is_joined: bool,
) -> Figure:
    """Draw scores (N,), by split, against a number (N,); a score is NaN if a run lacks it.

    best: the index of the run to mark. labels: of the number and of the score. baseline: drawn if
    it is close to the scores. is_joined: whether a line joins the medians at each number.
    """
    figure = style.new_figure()
    axes = figure.subplots()
    numbers = np.unique(values)
    for split, own in scores.items():
        colour, _, dashes = _LOOKS[split]
        _scatter(axes, values, own, split)
        if is_joined and len(numbers) <= MOST_JOINED:
            medians = [_median(own[values == each]) for each in numbers]
            axes.plot(numbers, medians, color=colour, linestyle=dashes, zorder=3)
        if best is not None:
            _mark_best(axes, values[best], own[best])
    is_log = is_log or style.spans_decades(values)
    if is_log:
        style.use_log_scale(axes, "x")
    _tick_at(axes, numbers, is_log=is_log)
    baseline = _if_near(baseline, scores)
    if baseline is not None:
        axes.axhline(baseline[1], color=style.BASELINE, linewidth=1.2, zorder=1)
    if style.spans_decades(*scores.values()):
        style.use_log_scale(axes, "y")
    _add_legend(axes, scores, best, baseline)
    style.label_axes(axes, *labels)
    return figure


def choice_slice(
    choices: NDArray[np.int64],
    names: Sequence[str],
    scores: Mapping[str, NDArray[np.float64]],
    best: int | None,
    labels: tuple[str, str],
    baseline: Baseline | None,
) -> Figure:
    """Draw scores (N,), by split, against a choice (N,), an index into `names` (C,).

    The other arguments are those of `number_slice`; runs with choice −1 are left out.
    """
    width = style.WIDTH if max(map(len, names)) <= _SHORT else _WIDE
    figure = style.new_figure(width, max(style.HEIGHT, 1.3 + 0.3 * len(names)))
    axes = figure.subplots()
    offsets = np.linspace(-0.15, 0.15, len(scores)) if len(scores) > 1 else [0.0]
    drawn = choices >= 0
    for (split, own), offset in zip(scores.items(), offsets, strict=True):
        colour = _LOOKS[split][0]
        _scatter(axes, own[drawn], choices[drawn] + offset, split)
        medians = [_median(own[choices == choice]) for choice in range(len(names))]
        axes.plot(medians, np.arange(len(names)) + offset, "|", color=colour, markersize=11)
        if best is not None and drawn[best]:
            _mark_best(axes, own[best], float(choices[best] + offset))
    baseline = _if_near(baseline, scores)
    if baseline is not None:
        axes.axvline(baseline[1], color=style.BASELINE, linewidth=1.2, zorder=1)
    if style.spans_decades(*scores.values()):
        style.use_log_scale(axes, "x")
    axes.set_yticks(range(len(names)), [style.shown(name, _NAME_LIMIT) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    _add_legend(axes, scores, best, baseline)
    style.label_axes(axes, labels[1], labels[0])
    return figure


def split_against_split(
    x: NDArray[np.float64], y: NDArray[np.float64], best: int | None, labels: tuple[str, str]
) -> Figure:
    """Draw the score (N,) of each run on one split against that on another."""
    figure = style.new_figure()
    axes = figure.subplots()
    kept = evenly_spaced(len(x), style.MOST_POINTS)
    axes.plot(
        x[kept],
        y[kept],
        "o",
        color=style.TRUTH,
        alpha=0.5,
        markersize=4,
        linestyle="none",
        label="a run",
    )
    if best is not None:
        _mark_best(axes, x[best], y[best])
        axes.plot([], [], "o", color=style.BEST, fillstyle="none", markersize=9, label="best run")
    for which, values in (("x", x), ("y", y)):
        if style.spans_decades(values):
            style.use_log_scale(axes, which)
    style.add_legend(figure)
    style.label_axes(axes, *labels)
    return figure


def _scatter(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], split: str) -> None:
    """Draw a point for each run, or for `MOST_POINTS` of them."""
    colour, marker, _ = _LOOKS[split]
    kept = evenly_spaced(len(x), style.MOST_POINTS)
    axes.plot(x[kept], y[kept], marker, color=colour, alpha=0.4, markersize=4, linestyle="none")


def _tick_at(axes: Axes, numbers: NDArray[np.float64], *, is_log: bool) -> None:
    """Label the axis with the numbers that were tried, if they are few and not too close."""
    positions = np.log(numbers) if is_log else numbers
    span = float(np.ptp(positions))
    if len(numbers) <= MOST_JOINED and span and np.diff(positions).min() > _NARROW * span:
        axes.set_xticks(numbers, [*map(tick, numbers)])
        axes.set_xticks([], minor=True)


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else np.nan


def _if_near(
    baseline: Baseline | None, scores: Mapping[str, NDArray[np.float64]]
) -> Baseline | None:
    """Return the baseline if it is close enough to draw without squeezing the scores."""
    known = np.concatenate([own[np.isfinite(own)] for own in scores.values()])
    if baseline is None or not known.size:
        return None
    span = float(np.ptp(known))
    is_near = known.min() - span <= baseline[1] <= known.max() + span
    return baseline if is_near else None


def _mark_best(axes: Axes, x: float, y: float) -> None:
    axes.plot(
        x, y, "o", color=style.BEST, fillstyle="none", markersize=9, markeredgewidth=1.8, zorder=4
    )


def _add_legend(
    axes: Axes,
    scores: Mapping[str, NDArray[np.float64]],
    best: int | None,
    baseline: Baseline | None,
) -> None:
    """Add a legend above the axes, where it hides no point."""
    for split in scores:
        colour, marker, dashes = _LOOKS[split]
        axes.plot([], [], color=colour, marker=marker, linestyle=dashes, markersize=4, label=split)
    if best is not None:
        axes.plot(
            [],
            [],
            "o",
            color=style.BEST,
            fillstyle="none",
            linestyle="none",
            markersize=8,
            label="best",
        )
    if baseline is not None:
        axes.plot([], [], color=style.BASELINE, linewidth=1.2, label=style.shown(baseline[0]))
    assert isinstance(axes.figure, Figure)
    style.add_legend(axes.figure)
