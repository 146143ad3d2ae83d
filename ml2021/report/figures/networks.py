"""The network as a drawing: its layers, how wide each is, and where the parameters are."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ml2021.report.figures.style import GRID, HEIGHT, INK, MUTED, SERIES, WIDE, new_figure, shown

_MOST_UNITS = 9

_MOST_LAYERS = 8

_LEAST_REACH = 0.25
"""How far up and down from the middle the drawing reaches at least, as a unit's height."""


def network(
    sizes: Sequence[int], parameters: Sequence[int], activation: str, ends: tuple[str, str]
) -> Figure:
    """Draw layers of `sizes` (L + 1,), with the number of parameters (L,) between them.

    `ends` says what goes in and what comes out. Of a wide layer some units stand for all, and of a
    deep network the first and the last layers.
    """
    places = _drawn_layers(len(sizes))
    columns = {layer: float(x) for x, layer in enumerate(places)}
    heights = {layer: _unit_heights(sizes[layer]) for layer in places}
    top = max(_LEAST_REACH, *(max(units) for units in heights.values()))
    figure = new_figure(WIDE, 1.1 * HEIGHT * (2 * top + 0.95) / 2.95)
    axes = figure.subplots()
    axes.set_axis_off()
    for left, right in pairwise(places):
        if right == left + 1:
            lines = [
                [(columns[left], a), (columns[right], b)]
                for a in heights[left]
                for b in heights[right]
            ]
            axes.add_collection(LineCollection(lines, colors=GRID, linewidths=0.7, zorder=1))
            text = f"{parameters[left]:,}"
        else:
            text = "…"
        axes.text((columns[left] + columns[right]) / 2, top + 0.16, text, ha="center", color=MUTED)
    for layer in places:
        is_end = layer in (0, len(sizes) - 1)
        x, colour = columns[layer], SERIES[2] if is_end else SERIES[0]
        axes.plot(
            np.full(len(heights[layer]), x),
            heights[layer],
            "o",
            markersize=9,
            color=colour,
            markeredgecolor="white",
            zorder=2,
        )
        if len(heights[layer]) < sizes[layer]:
            axes.text(x, 0, "⋮", ha="center", va="center", fontsize=13, color=INK)
        what = ends[0] if layer == 0 else ends[1] if is_end else activation
        axes.text(x, -top - 0.16, f"{sizes[layer]:,}", ha="center", va="top", fontweight="bold")
        axes.text(x, -top - 0.36, shown(what, 18), ha="center", va="top", fontsize=8.5, color=MUTED)
    axes.text(-0.45, top + 0.16, "parameters", ha="right", color=MUTED, fontsize=8.5)
    axes.text(-0.45, -top - 0.16, "units", ha="right", va="top", color=MUTED, fontsize=8.5)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_ylim(-top - 0.6, top + 0.35)
    return figure


def _drawn_layers(layers: int) -> list[int]:
    if layers <= _MOST_LAYERS:
        return list(range(layers))
    half = _MOST_LAYERS // 2
    return [*range(half), *range(layers - half, layers)]


def _unit_heights(size: int) -> list[float]:
    """Return the heights in [−1, 1] of the units that are drawn, with a gap where some are not."""
    if size <= _MOST_UNITS:
        half = (size - 1) / 2
        return [(half - unit) / max(_MOST_UNITS // 2, half) for unit in range(size)]
    side = (_MOST_UNITS - 1) // 2
    upper = [1 - 0.8 * unit / side for unit in range(side)]
    return [*upper, *(-height for height in reversed(upper))]
