"""Pictures of the loss over one parameter or two, with the way that training took.

Legend: G places along an axis, n points of the path, S steps.
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

from ml2021.report.figures.style import (
    BEST,
    INK,
    MUTED,
    PATH,
    SEQUENTIAL,
    TANGENT,
    TRAINING,
    TRIVIAL,
    label_axes,
    new_figure,
    shown,
    spans_decades,
    use_log_scale,
)

_LEVELS = 24

_DECADES = 6
"""Losses lower than the highest by more than so many powers of ten are drawn alike."""

_DOTTED_POINTS = 60

_MARKERS = {"start": "o", "end": "s", "best": "*"}

_HALO = [withStroke(linewidth=3.4, foreground="white")]


@dataclass(frozen=True)
class Scale:
    """An axis in other units, beside the first: value · factor + offset."""

    label: str
    factor: float
    offset: float


@dataclass(frozen=True)
class Mark:
    """A place to mark, `start`, `end`, `best` or another, and what the legend says of it."""

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
    """Draw the losses (G, G) over two axes, x along the second, and the path (n, 2) over them.

    Levels are logarithmic where the loss spans decades, else they widen upwards, so that a valley
    shows; places where the loss is not finite stay white. `labels` are of x and y.
    """
    figure = new_figure(5.4, 4.9)
    axes = figure.subplots()
    axes.grid(visible=False)
    levels = contour_levels(losses)
    finite = np.ma.masked_invalid(losses).clip(levels[0], levels[-1])
    norm = BoundaryNorm(levels, 256)
    filled = axes.contourf(x, y, finite, levels, cmap=SEQUENTIAL, norm=norm)
    axes.contour(x, y, finite, levels, colors="white", linewidths=0.5, alpha=0.6)
    bar = figure.colorbar(filled, ax=axes, ticks=levels[:: _LEVELS // 6], pad=0.03)
    bar.ax.set_yticklabels([f"{float(f'{level:.3g}'):,g}" for level in bar.get_ticks()])
    bar.ax.minorticks_off()
    bar.set_label(shown(loss, 60))
    if len(path):
        dots = "." if len(path) <= _DOTTED_POINTS else ""
        axes.plot(*path.T, color=PATH, marker=dots, markersize=5, path_effects=_HALO)
    _draw_marks(axes, marks)
    label_axes(axes, "", "")
    axes.set_xlabel(shown(labels[0], 70))
    axes.set_ylabel(shown(labels[1], 70))
    axes.set_title(shown(title, 80))
    if scales[0] is not None:
        _beside(axes, scales[0], "x")
    if scales[1] is not None:
        _beside(axes, scales[1], "y")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.set_box_aspect(1)
    figure.legend(loc="outside lower center", ncols=2, markerscale=0.9)
    return figure


@dataclass(frozen=True)
class TangentStep:
    """A step from `start` to `end`, drawn along the slope that the loss has at its start."""

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
    """Draw the losses (G,) over one parameter, and steps along the tangent with what came of them.

    The marks' places are (x, loss).
    """
    figure = new_figure(5.4, 4.4)
    axes = figure.subplots()
    if spans_decades(losses):
        use_log_scale(axes, "y")
    axes.plot(x, losses, color=TRAINING, linewidth=2)
    bottom, top = axes.get_ylim()
    promises = [step.loss + step.slope * (step.end - step.start) for step in steps]
    if promises and axes.get_yscale() == "linear":
        lowest = bottom - 0.3 * (top - bottom)  # where the tangents lead, as far as there is room
        bottom = min(bottom, max(min(promises) - 0.02 * (top - bottom), lowest))
    for index, (step, promised) in enumerate(zip(steps, promises, strict=True)):
        # Along the tangent in as many pieces as a logarithmic axis needs to bend it.
        along = np.linspace(step.start, step.end, 40)
        tangent = step.loss + step.slope * (along - step.start)
        kept = tangent > (bottom if axes.get_yscale() == "log" else -np.inf)
        label_once = "along the slope, as far as training then went" if index == 0 else None
        axes.plot(along[kept], tangent[kept], color=TANGENT, linewidth=2.2, label=label_once)
        touching = step.start + 0.1 * (x[-1] - x[0]) * np.linspace(-1, 1, 40)
        line = step.loss + step.slope * (touching - step.start)
        axes.plot(touching[line > bottom], line[line > bottom], color=TANGENT, linewidth=0.8)
        axes.plot([step.end] * 2, [max(promised, bottom), step.loss_at_end], ":", color=MUTED)
        axes.plot(step.start, step.loss, ".", color=PATH, markersize=9, zorder=5)
    axes.set_ylim(bottom, top)
    _draw_marks(axes, marks)
    axes.set_xlabel(shown(label, 70))
    axes.set_ylabel(shown(loss, 60))
    axes.set_title(shown(title, 80))
    if scale is not None:
        _beside(axes, scale, "x")
    axes.set_xlim(x[0], x[-1])
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def contour_levels(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return levels from the lowest to the highest finite loss, closer together near the lowest."""
    finite = losses[np.isfinite(losses)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if not high > low:
        low, high = low - abs(low) / 100 - 1e-12, high + abs(high) / 100 + 1e-12
    if spans_decades([low, high]):
        return np.geomspace(max(low, high / 10**_DECADES), high, _LEVELS + 1)
    # As in a bowl, where the loss grows with the square of the distance from the bottom.
    return np.asarray(low + (high - low) * np.linspace(0, 1, _LEVELS + 1) ** 2)


def _draw_marks(axes: Axes, marks: Sequence[Mark]) -> None:
    colours = {"start": "white", "end": PATH, "best": BEST}
    for mark in marks:
        axes.plot(
            *mark.place,
            marker=_MARKERS.get(mark.kind, "X"),
            color=colours.get(mark.kind, TRIVIAL),
            markeredgecolor=INK,
            markersize=14 if mark.kind == "best" else 8,
            linestyle="none",
            label=mark.text,
            zorder=6,
        )


def _functions(scale: Scale) -> Any:
    """Return the way to the other units, and back."""
    return (
        lambda value: value * scale.factor + scale.offset,
        lambda value: (value - scale.offset) / scale.factor,
    )


def _beside(axes: Axes, scale: Scale, which: Literal["x", "y"]) -> None:
    """Add the scale, above or to the right."""
    label = shown(scale.label, 70)
    if which == "x":
        axes.secondary_xaxis("top", functions=_functions(scale)).set_xlabel(label)
    else:
        axes.secondary_yaxis("right", functions=_functions(scale)).set_ylabel(label)
