"""Figures of the loss over one or two parameters, with the trajectory of training.

Legend: G points along an axis, n points of the trajectory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ml2021.formatting import tick
from ml2021.report.figures import style

_LEVELS = 24
_DECADES = 6
"""Losses more than this many powers of ten below the highest are drawn alike."""
_DOTTED_POINTS = 60
_MARKERS = {"start": "o", "end": "s", "best": "*"}
_HALO = [withStroke(linewidth=3.4, foreground=style.WHITE)]


@dataclass(frozen=True)
class Scale:
    """A secondary axis in other units: value · factor + offset."""

    label: str
    factor: float
    offset: float


@dataclass(frozen=True)
class Mark:
    """A marked point, `start`, `end`, `best` or another, and its text in the legend."""

    kind: str
    place: tuple[float, ...]
    text: str


def loss_surface(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    losses: NDArray[np.float64],
    path: NDArray[np.float64],
    marks: Sequence[Mark],
    labels: tuple[str, str],
    loss: str,
    title: str,
    scales: tuple[Scale | None, Scale | None] = (None, None),
) -> Figure:
    """Draw the losses (G, G), whose second axis is x, and the trajectory `path` (n, 2) on top.

    Levels are logarithmic if the loss spans decades, else they are closer together near the lowest
    loss, so that valleys show. Points without a finite loss stay white. `labels` are of x and y.
    """
    figure = style.new_figure(5.4, 4.9)
    axes = figure.subplots()
    axes.grid(visible=False)
    levels = contour_levels(losses)
    finite = np.ma.masked_invalid(losses).clip(levels[0], levels[-1])
    norm = BoundaryNorm(levels, 256)
    filled = axes.contourf(x, y, finite, levels, cmap=style.SEQUENTIAL, norm=norm)
    axes.contour(x, y, finite, levels, colors=style.WHITE, linewidths=0.5, alpha=0.6)
    bar = figure.colorbar(filled, ax=axes, ticks=levels[:: _LEVELS // 6], pad=0.03)
    bar.ax.set_yticklabels([tick(float(f"{level:.3g}")) for level in bar.get_ticks()])
    bar.ax.minorticks_off()
    bar.set_label(style.shown(loss, 60))
    if len(path):
        dots = "." if len(path) <= _DOTTED_POINTS else ""
        axes.plot(*path.T, color=style.PATH, marker=dots, markersize=5, path_effects=_HALO)
    _draw_marks(axes, marks)
    style.label_axes(axes, "", "")
    axes.set_xlabel(style.shown(labels[0], 70))
    axes.set_ylabel(style.shown(labels[1], 70))
    axes.set_title(style.shown(title, 80))
    if scales[0] is not None:
        _add_scale(axes, scales[0], "x")
    if scales[1] is not None:
        _add_scale(axes, scales[1], "y")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.set_box_aspect(1)
    figure.legend(loc="outside lower center", ncols=2, markerscale=0.9)
    return figure


@dataclass(frozen=True)
class TangentStep:
    """A step of training from `start` to `end`, drawn along the tangent of the loss at `start`."""

    start: float
    end: float
    loss: float
    slope: float
    loss_at_end: float


def loss_curve(
    x: NDArray[np.float64],
    losses: NDArray[np.float64],
    steps: Sequence[TangentStep],
    marks: Sequence[Mark],
    label: str,
    loss: str,
    title: str,
    scale: Scale | None = None,
) -> Figure:
    """Draw the losses (G,) over one parameter, and steps of training along its tangents.

    The places of the marks are (x, loss).
    """
    figure = style.new_figure(5.4, 4.4)
    axes = figure.subplots()
    if style.spans_decades(losses):
        style.use_log_scale(axes, "y")
    axes.plot(x, losses, color=style.TRAINING, linewidth=2)
    bottom, top = axes.get_ylim()
    predicted = [step.loss + step.slope * (step.end - step.start) for step in steps]
    if predicted and axes.get_yscale() == "linear":
        lowest = bottom - 0.3 * (top - bottom)  # make some room for the ends of the tangents
        bottom = min(bottom, max(min(predicted) - 0.02 * (top - bottom), lowest))
    for index, (step, aim) in enumerate(zip(steps, predicted, strict=True)):
        # Many points, since a straight line is bent on a logarithmic axis.
        along = np.linspace(step.start, step.end, 40)
        tangent = step.loss + step.slope * (along - step.start)
        kept = tangent > (bottom if axes.get_yscale() == "log" else -np.inf)
        label_once = "tangent, over the length of the step" if index == 0 else None
        axes.plot(along[kept], tangent[kept], color=style.TANGENT, linewidth=2.2, label=label_once)
        touching = step.start + 0.1 * (x[-1] - x[0]) * np.linspace(-1, 1, 40)
        line = step.loss + step.slope * (touching - step.start)
        axes.plot(touching[line > bottom], line[line > bottom], color=style.TANGENT, linewidth=0.8)
        axes.plot([step.end] * 2, [max(aim, bottom), step.loss_at_end], ":", color=style.MUTED)
        axes.plot(step.start, step.loss, ".", color=style.PATH, markersize=9, zorder=5)
    axes.set_ylim(bottom, top)
    _draw_marks(axes, marks)
    axes.set_xlabel(style.shown(label, 70))
    axes.set_ylabel(style.shown(loss, 60))
    axes.set_title(style.shown(title, 80))
    if scale is not None:
        _add_scale(axes, scale, "x")
    axes.set_xlim(x[0], x[-1])
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def contour_levels(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return levels from the lowest to the highest finite loss, denser near the lowest."""
    finite = losses[np.isfinite(losses)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if not high > low:
        low, high = low - abs(low) / 100 - 1e-12, high + abs(high) / 100 + 1e-12
    if style.spans_decades([low, high]):
        return np.geomspace(max(low, high / 10**_DECADES), high, _LEVELS + 1)
    # Evenly spaced contours for a bowl, where the loss grows with the squared distance.
    return np.asarray(low + (high - low) * np.linspace(0, 1, _LEVELS + 1) ** 2)


def _draw_marks(axes: Axes, marks: Sequence[Mark]) -> None:
    colours = {"start": style.WHITE, "end": style.PATH, "best": style.BEST}
    for mark in marks:
        axes.plot(
            *mark.place,
            marker=_MARKERS.get(mark.kind, "X"),
            color=colours.get(mark.kind, style.BASELINE),
            markeredgecolor=style.INK,
            markersize=14 if mark.kind == "best" else 8,
            linestyle="none",
            label=mark.text,
            zorder=6,
        )


def _conversions(scale: Scale) -> Any:
    """Return the conversion to the other units, and its inverse."""
    return (
        lambda value: value * scale.factor + scale.offset,
        lambda value: (value - scale.offset) / scale.factor,
    )


def _add_scale(axes: Axes, scale: Scale, which: Literal["x", "y"]) -> None:
    """Add a secondary axis, above or to the right."""
    label = style.shown(scale.label, 70)
    if which == "x":
        axes.secondary_xaxis("top", functions=_conversions(scale)).set_xlabel(label)
    else:
        axes.secondary_yaxis("right", functions=_conversions(scale)).set_ylabel(label)
