"""Figures of the learned function: coefficients, terms, importance and partial dependence."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml2021.report.figures import style

Beside = tuple[str, NDArray[np.float64]]
"""The name of another function, and its outputs."""


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


def paired_bars(
    names: Sequence[str],
    values: NDArray[np.float64],
    beside: NDArray[np.float64],
    labels: tuple[str, str],
    axis: str,
) -> Figure:
    """Draw two bars (n,), (n,) for each name, the first on top; `labels` are of the two."""
    figure = style.new_figure(style.WIDE, 0.95 + 0.24 * max(len(names), 3))
    axes = figure.subplots()
    positions = np.arange(len(names))[::-1]
    axes.barh(positions + 0.2, values, 0.4, color=style.PREDICTION, label=labels[0])
    axes.barh(positions - 0.2, beside, 0.4, color=style.BASELINE, label=labels[1])
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    axes.set_yticks(positions, [style.shown(name, 24) for name in names])
    axes.set_ylim(-0.6, max(len(names), 3) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    style.label_axes(axes, axis, "", limit=36)
    style.add_legend(figure)
    return figure


def pixel_maps(maps: Mapping[str, NDArray[np.float64]], unit: str) -> Figure:
    """Draw a number for each pixel (height, width) as colours, on one scale; NaN is left out."""
    ratio = float(np.divide(*next(iter(maps.values())).shape))
    side = (style.WIDE - 1.0) / max(len(maps), 2)
    figure = style.new_figure(style.WIDE, max(2.0, 0.4 + side * min(ratio, 2.0)))
    grid = figure.subplots(1, len(maps), squeeze=False)[0]
    largest = max(float(np.nanmax(np.abs(each))) for each in maps.values()) or 1.0
    for axes, (name, each) in zip(grid, maps.items(), strict=True):
        drawn = axes.imshow(
            each, vmin=-largest, vmax=largest, cmap=style.DIVERGING, interpolation="nearest"
        )
        axes.set_title(style.shown(name, 24))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)
    bar = figure.colorbar(drawn, ax=grid, shrink=0.8, aspect=25)
    bar.set_label(style.shown(unit, 24))
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
    style.show_cells(axes.xaxis)
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
    linear: Beside | None,
    limits: tuple[float, float],
) -> Figure:
    """Draw the mean output (G,) over a column's values (G,), and the output of some rows (r, G).

    `seen` are values of the column that occur in the data, drawn as ticks along the axis; `edges`
    those of its pieces, if it has any; `linear` the mean output of a linear function. limits: the
    ends of the axis of the outputs.
    """
    figure = style.new_figure(style.WIDTH, 0.85 * style.HEIGHT)
    axes = figure.subplots()
    for edge in edges[(edges >= grid[0]) & (edges <= grid[-1])]:
        axes.axvline(edge, color=style.MUTED, linestyle=":", linewidth=0.6, alpha=0.7)
    if len(rows):
        lines = [np.column_stack([grid, row]) for row in rows]
        axes.add_collection(
            LineCollection(lines, colors=style.BASELINE, linewidths=0.6, alpha=0.4, zorder=1)
        )
    axes.plot(grid, mean, color=style.PREDICTION, linewidth=2.2, label="network, mean")
    if linear is not None:
        axes.plot(grid, linear[1], "--", color=style.INK, linewidth=1.4, label=linear[0])
        style.add_legend(figure)
    axes.set_ylim(limits)
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
    style.show_cells(axes.xaxis)
    style.label_axes(axes, *labels)
    return figure


def category_dependence(
    names: Sequence[str],
    mean: NDArray[np.float64],
    labels: tuple[str, str],
    linear: Beside | None,
    limits: tuple[float, float],
) -> Figure:
    """Draw the mean output (k,) for each category of a column.

    linear, limits: as of `partial_dependence`.
    """
    figure = style.new_figure(style.WIDTH, max(0.85 * style.HEIGHT, 0.75 + 0.2 * len(names)))
    axes = figure.subplots()
    positions = np.arange(len(names))[::-1]
    axes.plot(mean, positions, "o", color=style.PREDICTION, label="network, mean")
    if linear is not None:
        axes.plot(linear[1], positions, "d", color=style.INK, fillstyle="none", label=linear[0])
        style.add_legend(figure)
    axes.set_xlim(limits)
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
