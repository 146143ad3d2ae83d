"""The figure of a network: its layers, and its weights by sign and size."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml2021.report.figures import style

_MOST_UNITS = 16
"""Layers of up to so many units are drawn whole."""
_MOST_LAYERS = 8
_LEAST_REACH = 0.25
"""The least height of the drawing above and below its middle, in the units of the layers."""


def network(
    sizes: Sequence[int],
    weights: Sequence[NDArray[np.float64]],
    activation: str,
    ends: tuple[str, str],
    names: tuple[Sequence[str], Sequence[str]],
) -> Figure:
    """Draw layers of `sizes` (L + 1,), and the weights between them: L arrays (units, inputs).

    The colour of a line is the sign of its weight, its width the size relative to the largest that
    is drawn in its layer. `ends` says what the inputs and outputs are, `names` each of them, which
    are shown where all are drawn. Wide layers are drawn with some of their units, deep networks
    with their first and last layers.
    """
    layers = _drawn_layers(len(sizes))
    columns = {layer: float(x) for x, layer in enumerate(layers)}
    units = {layer: _drawn_units(sizes[layer]) for layer in layers}
    heights = {layer: _unit_heights(sizes[layer]) for layer in layers}
    top = max(_LEAST_REACH, *(max(of_layer) for of_layer in heights.values()))
    figure = style.new_figure(style.WIDE, 1.1 * style.HEIGHT * (2 * top + 0.95) / 2.95)
    axes = figure.subplots()
    axes.set_axis_off()
    small: Any = {"fontsize": 8.5, "color": style.MUTED}
    for left, right in pairwise(layers):
        if right == left + 1:
            drawn = np.asarray(weights[left][np.ix_(units[right], units[left])], np.float64)
            _draw_weights(axes, drawn, (columns[left], heights[left]), heights[right])
            text = f"{sizes[right] * (sizes[left] + 1):,}"
        else:
            text = "…"
        middle = (columns[left] + columns[right]) / 2
        axes.text(middle, top + 0.16, text, ha="center", color=style.MUTED)
    for layer in layers:
        is_end = layer in (0, len(sizes) - 1)
        x, colour = columns[layer], style.SERIES[2] if is_end else style.GREY
        axes.plot(
            np.full(len(heights[layer]), x),
            heights[layer],
            "o",
            markersize=9,
            color=colour,
            markeredgecolor=style.PAGE,
            zorder=3,
        )
        if len(heights[layer]) < sizes[layer]:
            axes.text(x, 0, "⋮", ha="center", va="center", fontsize=13, color=style.INK)
        what = ends[0] if layer == 0 else ends[1] if is_end else activation
        axes.text(x, -top - 0.16, f"{sizes[layer]:,}", ha="center", va="top", fontweight="bold")
        axes.text(x, -top - 0.36, style.shown(what, 18), ha="center", va="top", **small)
    for layer, own, side, place in (
        (0, names[0], -0.1, "right"),
        (layers[-1], names[1], 0.1, "left"),
    ):
        if sizes[layer] <= _MOST_UNITS:
            for height, name in zip(heights[layer], own, strict=True):
                text = style.shown(name, 14)
                axes.text(columns[layer] + side, height, text, ha=place, va="center", fontsize=7.5)
    axes.text(-0.45, top + 0.16, "parameters", ha="right", **small)
    axes.text(-0.45, -top - 0.16, "units", ha="right", va="top", **small)
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.set_ylim(-top - 0.6, top + 0.35)
    return figure


def _draw_weights(
    axes: Axes, weights: NDArray[np.float64], left: tuple[float, list[float]], right: list[float]
) -> None:
    """Draw the weights (k, n) between n units at `left` and k units one to the right of them."""
    x, heights = left
    lines = [[(x, a), (x + 1, b)] for b in right for a in heights]
    shares = np.abs(weights).ravel() / (np.abs(weights).max() or 1.0)
    colours = [style.BLUE if weight >= 0 else style.VERMILION for weight in weights.flat]
    strengths = [to_rgba(c, 0.15 + 0.85 * s) for c, s in zip(colours, shares, strict=True)]
    order = np.argsort(shares, kind="stable")  # the largest on top
    axes.add_collection(
        LineCollection(
            [lines[place] for place in order],
            colors=[strengths[place] for place in order],
            linewidths=0.3 + 2.2 * shares[order],
            zorder=1,
        )
    )


def _drawn_layers(layers: int) -> list[int]:
    if layers <= _MOST_LAYERS:
        return list(range(layers))
    half = _MOST_LAYERS // 2
    return [*range(half), *range(layers - half, layers)]


def _drawn_units(size: int) -> list[int]:
    """Return the units that are drawn: all, or of many the first and the last ones."""
    if size <= _MOST_UNITS:
        return list(range(size))
    return [*range(_SIDE), *range(size - _SIDE, size)]


_SIDE = 4
"""Of a wide layer so many units are drawn above the gap, and below it."""


def _unit_heights(size: int) -> list[float]:
    """Return the heights in [−1, 1] of the units that are drawn, with a gap if some are not."""
    if size <= _MOST_UNITS:
        half = (size - 1) / 2
        return [(half - unit) / max(_SIDE, half) for unit in range(size)]
    upper = [1 - 0.8 * unit / _SIDE for unit in range(_SIDE)]
    return [*upper, *(-height for height in reversed(upper))]
