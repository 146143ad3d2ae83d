"""Figures of the learned function: coefficients, terms, partial dependence, and the network."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml2021.report.figures import style


def bars(names: Sequence[str], values: NDArray[np.float64], axis: str) -> Figure:
    """Draw a bar (n,) for each name, the first on top; negative bars in another colour."""
    figure = style.new_figure(style.WIDTH, 0.75 + 0.24 * max(len(names), 3))
    axes = figure.subplots()
    positions = np.arange(len(names))[::-1]
    colours = [style.PREDICTION if value >= 0 else style.VALIDATION for value in values]
    axes.barh(positions, values, 0.7, color=colours)
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    axes.set_yticks(positions, [style.shown(name, 24) for name in names])
    room = 0.6 + max(0.0, (3 - len(names)) / 2)  # a few bars are no thicker than many
    axes.set_ylim(-room, len(names) - 1 + room)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    style.label_axes(axes, axis, "", limit=36)
    return figure


def lag_coefficients(values: NDArray[np.float64], lags: Sequence[int], series: str) -> Figure:
    """Draw the coefficient (L,) of each earlier value of a series; `lags` are steps back."""
    figure = style.new_figure()
    axes = figure.subplots()
    colours = [style.PREDICTION if value >= 0 else style.VALIDATION for value in values]
    axes.bar(lags, values, 0.8, color=colours)
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    style.label_axes(axes, "lag, in rows", f"coefficient of {style.shown(series, 20)}")
    return figure


def coefficient_table(
    values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], unit: str
) -> Figure:
    """Draw coefficients (n, m) as colours, a row for each input, a column for each output.

    `unit` is that of the outputs.
    """
    figure = style.new_figure(style.WIDTH, 0.9 + 0.2 * max(len(rows), 9))
    axes = figure.subplots()
    largest = float(np.abs(values).max()) or 1.0
    drawn = axes.imshow(values, vmin=-largest, vmax=largest, cmap=style.DIVERGING, aspect="auto")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_yticks(range(len(rows)), [style.shown(name, 20) for name in rows])
    longest = max(map(len, columns))
    slope = 0 if longest * len(columns) <= 40 else 90
    axes.set_xticks(
        range(len(columns)), [style.shown(name, 12) for name in columns], rotation=slope
    )
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, aspect=25)
    bar.set_label(style.shown(f"effect: {unit}", 24))
    return figure


def sum_of_parts(
    x: NDArray[np.float64],
    total: NDArray[np.float64],
    points: tuple[NDArray[np.float64], NDArray[np.float64]],
    labels: tuple[str, str],
) -> Figure:
    """Draw a function of one column (n,), and the data (N,), (N,) that it was fitted to."""
    figure = style.new_figure()
    axes = figure.subplots()
    axes.plot(
        *points,
        "o",
        color=style.TRUTH,
        markersize=3,
        markeredgewidth=0,
        alpha=0.45,
        label="data",
        rasterized=len(points[0]) > style.VECTOR_POINTS,
    )
    axes.plot(x, total, color=style.PREDICTION, linewidth=2.2, label="the function")
    style.add_legend(figure)
    style.label_axes(axes, *labels)
    return figure


def column_curve(
    x: NDArray[np.float64],
    line: NDArray[np.float64],
    ramps: NDArray[np.float64],
    edges: NDArray[np.float64],
    labels: tuple[str, str],
) -> Figure:
    """Draw a curve over x (n,) and its terms: a line (n,) and ramps (K, n), one between edges."""
    figure = style.new_figure(style.WIDTH, 0.85 * style.HEIGHT)
    axes = figure.subplots()
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.plot(x, ramps.T, color=style.BASELINE, linewidth=0.8, alpha=0.8)
    axes.plot(x, line, color=style.MUTED, linestyle="--", linewidth=1.2, label="line")
    axes.plot(x, line + ramps.sum(axis=0), color=style.PREDICTION, linewidth=2.2, label="sum")
    axes.plot([], [], color=style.BASELINE, linewidth=0.8, label="hard sigmoids")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xticks(edges, minor=True)
    axes.tick_params(axis="x", which="minor", length=5, color=style.MUTED)
    style.add_legend(figure)
    style.label_axes(axes, *labels)
    return figure


def parts(
    x: NDArray[np.float64],
    constant: float,
    curves: NDArray[np.float64],
    names: Sequence[str],
    rest: NDArray[np.float64] | None,
    labels: tuple[str, str],
) -> Figure:
    """Draw the terms of a function of one column: a constant and curves (k, n) over x (n,).

    `rest` (n,) is the sum of the terms that are not drawn one by one.
    """
    figure = style.new_figure(style.WIDTH, 1.25 * style.HEIGHT)
    axes = figure.subplots()
    axes.axhline(constant, color=style.MUTED, linestyle=":", linewidth=1.4, label="constant")
    for index, (curve, name) in enumerate(zip(curves, names, strict=True)):
        axes.plot(
            x,
            curve,
            style.DASHES[(index // len(style.SERIES)) % len(style.DASHES)],
            color=style.SERIES[index % len(style.SERIES)],
            linewidth=1.2,
            label=name if len(names) <= 6 else None,
        )
    if rest is not None:
        axes.plot(x, rest, color=style.BASELINE, linewidth=2.2, label="sum of the others")
    axes.plot(
        x,
        constant + curves.sum(0) + (0 if rest is None else rest),
        color=style.INK,
        linewidth=2.2,
        label="the function (sum)",
    )
    style.add_legend(figure)
    style.label_axes(axes, *labels)
    return figure


def partial_dependence(
    grid: NDArray[np.float64],
    mean: NDArray[np.float64],
    rows: NDArray[np.float64],
    seen: NDArray[np.float64],
    edges: NDArray[np.float64],
    labels: tuple[str, str],
) -> Figure:
    """Draw the mean output (G,) over a column's values (G,), and the output of some rows (r, G).

    `seen` are values of the column that occur in the data, drawn as ticks along the axis; `edges`
    those of its pieces, if it has any.
    """
    figure = style.new_figure(style.WIDTH, 0.85 * style.HEIGHT)
    axes = figure.subplots()
    for edge in edges[(edges >= grid[0]) & (edges <= grid[-1])]:
        axes.axvline(edge, color=style.MUTED, linestyle=":", linewidth=0.6, alpha=0.7)
    if len(rows):
        axes.plot(grid, rows.T, color=style.BASELINE, linewidth=0.6, alpha=0.5)
    axes.plot(grid, mean, color=style.PREDICTION, linewidth=2.2)
    axes.plot(
        seen,
        np.zeros(len(seen)),
        "|",
        color=style.MUTED,
        markersize=6,
        alpha=0.6,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
    )
    axes.xaxis.set_major_locator(MaxNLocator(6))
    style.label_axes(axes, *labels)
    return figure


def category_dependence(
    names: Sequence[str], mean: NDArray[np.float64], labels: tuple[str, str]
) -> Figure:
    """Draw the mean output (k,) for each category of a column."""
    figure = style.new_figure(style.WIDTH, max(0.85 * style.HEIGHT, 0.75 + 0.2 * len(names)))
    axes = figure.subplots()
    positions = np.arange(len(names))[::-1]
    axes.hlines(positions, mean.min(), mean, color=style.GRID, linewidth=1.5)
    axes.plot(mean, positions, "o", color=style.PREDICTION)
    axes.set_yticks(positions, [style.shown(name, 22) for name in names])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylim(-0.6, len(names) - 0.4)
    style.label_axes(axes, labels[1], labels[0])
    return figure


def one_unit(
    x: NDArray[np.float64],
    panels: Mapping[str, tuple[Sequence[str], NDArray[np.float64]]],
    labels: tuple[str, str],
) -> Figure:
    """Draw what each parameter of one unit does: a panel each, with curves (3, n) over x (n,)."""
    figure = style.new_figure(style.WIDE, 0.85 * style.HEIGHT)
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, (names, curves)) in zip(grid, panels.items(), strict=True):
        for index, (name, curve) in enumerate(zip(names, curves, strict=True)):
            axes.plot(x, curve, style.DASHES[index], color=style.SERIES[index], label=name)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.04, 1.0),
            title=title,
            title_fontproperties={"weight": "bold", "size": 10},
            alignment="left",
            frameon=False,
        )
        axes.xaxis.set_major_locator(MaxNLocator(3))
    figure.supxlabel(style.shown(labels[0]), fontsize=9.5)
    figure.supylabel(style.shown(labels[1]), fontsize=9.5)
    return figure


_MOST_UNITS = 9
_MOST_LAYERS = 8
_LEAST_REACH = 0.25
"""The least height of the drawing above and below its middle, in the units of the layers."""


def network(
    sizes: Sequence[int], parameters: Sequence[int], activation: str, ends: tuple[str, str]
) -> Figure:
    """Draw layers of `sizes` (L + 1,), with the number of parameters (L,) between them.

    `ends` names the inputs and the outputs. Wide layers are drawn with some of their units, deep
    networks with their first and last layers.
    """
    layers = _drawn_layers(len(sizes))
    columns = {layer: float(x) for x, layer in enumerate(layers)}
    heights = {layer: _unit_heights(sizes[layer]) for layer in layers}
    top = max(_LEAST_REACH, *(max(units) for units in heights.values()))
    figure = style.new_figure(style.WIDE, 1.1 * style.HEIGHT * (2 * top + 0.95) / 2.95)
    axes = figure.subplots()
    axes.set_axis_off()
    small: Any = {"fontsize": 8.5, "color": style.MUTED}
    for left, right in pairwise(layers):
        if right == left + 1:
            lines = [
                [(columns[left], a), (columns[right], b)]
                for a in heights[left]
                for b in heights[right]
            ]
            axes.add_collection(LineCollection(lines, colors=style.GRID, linewidths=0.7, zorder=1))
            text = f"{parameters[left]:,}"
        else:
            text = "…"
        middle = (columns[left] + columns[right]) / 2
        axes.text(middle, top + 0.16, text, ha="center", color=style.MUTED)
    for layer in layers:
        is_end = layer in (0, len(sizes) - 1)
        x, colour = columns[layer], style.SERIES[2] if is_end else style.SERIES[0]
        axes.plot(
            np.full(len(heights[layer]), x),
            heights[layer],
            "o",
            markersize=9,
            color=colour,
            markeredgecolor=style.PAGE,
            zorder=2,
        )
        if len(heights[layer]) < sizes[layer]:
            axes.text(x, 0, "⋮", ha="center", va="center", fontsize=13, color=style.INK)
        what = ends[0] if layer == 0 else ends[1] if is_end else activation
        axes.text(x, -top - 0.16, f"{sizes[layer]:,}", ha="center", va="top", fontweight="bold")
        axes.text(x, -top - 0.36, style.shown(what, 18), ha="center", va="top", **small)
    axes.text(-0.45, top + 0.16, "parameters", ha="right", **small)
    axes.text(-0.45, -top - 0.16, "units", ha="right", va="top", **small)
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.set_ylim(-top - 0.6, top + 0.35)
    return figure


def _drawn_layers(layers: int) -> list[int]:
    if layers <= _MOST_LAYERS:
        return list(range(layers))
    half = _MOST_LAYERS // 2
    return [*range(half), *range(layers - half, layers)]


def _unit_heights(size: int) -> list[float]:
    """Return the heights in [−1, 1] of the units that are drawn, with a gap if some are not."""
    if size <= _MOST_UNITS:
        half = (size - 1) / 2
        return [(half - unit) / max(_MOST_UNITS // 2, half) for unit in range(size)]
    side = (_MOST_UNITS - 1) // 2
    upper = [1 - 0.8 * unit / side for unit in range(side)]
    return [*upper, *(-height for height in reversed(upper))]
