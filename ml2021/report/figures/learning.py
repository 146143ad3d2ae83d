"""Figures of training: loss curves, gradient norms of the layers, and the batches of an epoch."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml2021.data.samples import evenly_spaced
from ml2021.formatting import plural
from ml2021.report.figures import style


def learning_curves(
    epochs: NDArray[np.int64],
    training: NDArray[np.float64],
    validation: NDArray[np.float64] | None,
    lr: NDArray[np.float64],
    best_epochs: Sequence[int],
    loss: str,
) -> Figure:
    """Draw losses (E,) by epoch (E,), the best epochs, and the learning rate below.

    best_epochs: of each network. loss: its name with its unit.
    """
    figure = style.new_figure(style.WIDTH, 1.25 * style.HEIGHT)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    kept = evenly_spaced(len(epochs), style.MOST_LINE_POINTS)
    upper.plot(epochs[kept], training[kept], color=style.TRAINING, label="training")
    losses = [training]
    if validation is not None:
        upper.plot(epochs[kept], validation[kept], "--", color=style.VALIDATION, label="validation")
        losses.append(validation)
    if style.spans_decades(*losses):
        style.use_log_scale(upper, "y")
    best = np.isin(epochs, best_epochs)
    if validation is not None and best.any():
        for epoch in epochs[best]:
            upper.axvline(epoch, color=style.BEST, linewidth=1, zorder=0.5)
        first, last = min(best_epochs), max(best_epochs)
        label = f"best: epoch {first:,}" if first == last else f"best: epochs {first:,} to {last:,}"
        upper.plot(epochs[best], validation[best], "o", color=style.BEST, label=label)
    style.label_axes(upper, "", loss)
    lower.plot(epochs[kept], lr[kept], color=style.INK, linewidth=1.2)
    style.label_axes(lower, "epoch", "learning rate")
    lower.set_ylim(0, None)
    lower.yaxis.set_major_locator(MaxNLocator(3))
    _whole_numbers(lower, "x")
    style.add_legend(figure)
    if len(epochs) == 1:  # a single point would be invisible
        for line in (*upper.lines, *lower.lines):
            line.set_marker("o")
    return figure


def gradient_sizes(
    updates: NDArray[np.int64], norms: NDArray[np.float64], names: Sequence[str]
) -> Figure:
    """Draw the gradient norm (n, L) of each layer at the updates (n,), the last layer first.

    Strong lines are moving means, faint ones the norms themselves. `names` are those of the layers,
    the first layer first; at most seven layers are drawn.
    """
    figure = style.new_figure()
    axes = figure.subplots()
    layers = evenly_spaced(len(names), 7)
    for index, layer in enumerate(layers[::-1]):
        colour = style.SERIES[index % len(style.SERIES)]
        own = np.where(norms[:, layer] > 0, norms[:, layer], np.nan)  # no logarithm of 0
        axes.plot(updates, own, color=colour, linewidth=0.7, alpha=0.3, zorder=1)
        axes.plot(
            updates,
            _moving_mean(own),
            style.DASHES[index % len(style.DASHES)],
            color=colour,
            label=style.shown(names[layer]),
        )
    if (norms > 0).any():
        style.use_log_scale(axes, "y")
    figure.legend(
        loc="outside upper center",
        ncols=min(len(layers), 3),
        frameon=False,
        title="last layer first",
        title_fontsize=8.5,
    )
    style.label_axes(axes, "update", "gradient norm")
    _whole_numbers(axes, "x")
    return figure


def _moving_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the geometric mean (n,) of the numbers around each; NaN where there is none."""
    window = np.ones(len(values) // _WINDOWS // 2 * 2 + 1)
    known = np.isfinite(values)
    counts = np.convolve(known, window, "same")
    sums = np.convolve(
        np.where(known, np.log(values, where=known, out=0 * values), 0), window, "same"
    )
    return np.where(counts > 0, np.exp(sums / np.maximum(counts, 1)), np.nan)


_WINDOWS = 25
"""So many windows of the moving mean fit side by side."""


def updates_of_an_epoch(rows: int, batch_size: int) -> Figure:
    """Draw the batches of an epoch of `rows` training rows, each of which is an update."""
    updates, last = -(-rows // batch_size), rows % batch_size or batch_size
    shown_updates = min(updates, 60)
    columns = min(shown_updates, 20)
    lines = -(-shown_updates // columns)
    figure = style.new_figure(style.WIDE, 0.75 + 0.32 * lines)
    axes = _canvas(figure)
    for index in range(shown_updates):
        line, column = divmod(index, columns)
        is_last = index == updates - 1
        width = 0.86 * (last / batch_size if is_last else 1)
        axes.add_patch(
            Rectangle(
                (column, -line),
                max(width, 0.06),
                0.72,
                color=style.SERIES[0] if not is_last else style.SERIES[1],
            )
        )
    axes.set_xlim(-0.1, max(columns, 6))
    axes.set_ylim(-lines - 0.9, 1)
    text = f"{plural(rows, 'row')} in batches of {batch_size:,}: "
    text += f"{plural(updates, 'update')} per epoch"
    axes.text(0, -lines + 0.1, text, va="top", color=style.INK)
    remarks = [f"the first {shown_updates} are shown"] if updates > shown_updates else []
    if last != batch_size and updates > 1:
        remarks.append(f"the last batch has {last:,}")
    axes.text(0, -lines - 0.45, "; ".join(remarks), va="top", color=style.MUTED, fontsize=8.5)
    return figure


def _whole_numbers(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter("{x:,.0f}")


def _canvas(figure: Figure) -> Axes:
    """Return axes without ticks and spines."""
    axes = figure.subplots()
    axes.set_axis_off()
    return axes
