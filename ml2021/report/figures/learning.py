"""How training went: losses by epoch, and the size of each layer's gradient along the way."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml2021.report.figures.style import (
    BEST,
    HEIGHT,
    INK,
    MUTED,
    SERIES,
    TRAINING,
    VALIDATION,
    WIDTH,
    label_axes,
    new_figure,
    shown,
    spans_decades,
    use_log_scale,
)

MOST_POINTS = 1_000
"""A line of more points is thinned: an image is not as wide."""

_DASHES = ("-", "--", "-.", ":")


def learning_curves(
    epochs: NDArray[np.int64],
    training: NDArray[np.float64],
    validation: NDArray[np.float64] | None,
    lr: NDArray[np.float64],
    best_epoch: int,
    loss: str,
) -> Figure:
    """Draw losses (E,) by epoch (E,), the best epoch, and the learning rate below.

    `loss` names the loss and its unit.
    """
    figure = new_figure(WIDTH, 1.25 * HEIGHT)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    kept = thinned(len(epochs))
    upper.plot(epochs[kept], training[kept], color=TRAINING, label="training")
    losses = [training]
    if validation is not None:
        upper.plot(epochs[kept], validation[kept], "--", color=VALIDATION, label="validation")
        losses.append(validation)
    if spans_decades(*losses):
        use_log_scale(upper, "y")
    place = np.flatnonzero(epochs == best_epoch)
    if validation is not None and place.size:
        best = validation[place[0]]
        upper.axvline(best_epoch, color=BEST, linewidth=1, zorder=0.5)
        upper.plot(best_epoch, best, "o", color=BEST, label=f"best: epoch {best_epoch:,}")
    upper.legend()
    label_axes(upper, "", loss)
    lower.plot(epochs[kept], lr[kept], color=INK, linewidth=1.2)
    label_axes(lower, "epoch", "learning rate")
    lower.set_ylim(0, None)
    lower.yaxis.set_major_locator(MaxNLocator(3))
    _whole_numbers(lower, "x")
    if len(epochs) == 1:  # one point makes no line
        for line in (*upper.lines, *lower.lines):
            line.set_marker("o")
    return figure


def gradient_sizes(
    updates: NDArray[np.int64], norms: NDArray[np.float64], names: Sequence[str]
) -> Figure:
    """Draw the length (n, L) of each layer's gradient at those updates (n,), from back to front.

    `names` are those of the layers, from front to back; of many, some are left out.
    """
    figure = new_figure()
    axes = figure.subplots()
    layers = np.unique(np.linspace(0, len(names) - 1, min(len(names), 7)).round().astype(int))
    for place, layer in enumerate(reversed(layers)):
        axes.plot(
            updates,
            norms[:, layer],
            _DASHES[place % len(_DASHES)],
            color=SERIES[place % len(SERIES)],
            linewidth=1.2,
            label=shown(names[layer]),
        )
    positive = norms[norms > 0]
    if spans_decades(positive):
        use_log_scale(axes, "y")
    figure.legend(
        loc="outside upper center",
        ncols=min(len(layers), 3),
        title="from back to front",
        title_fontsize=8.5,
    )
    label_axes(axes, "update", "length of the gradient")
    _whole_numbers(axes, "x")
    return figure


def updates_of_an_epoch(rows: int, batch_size: int) -> Figure:
    """Draw how `rows` training rows fall into batches, an update each."""
    updates, last = -(-rows // batch_size), rows % batch_size or batch_size
    shown_updates = min(updates, 60)
    columns = min(shown_updates, 15)
    lines = -(-shown_updates // columns)
    figure = new_figure(WIDTH, 0.75 + 0.32 * lines)
    axes = _canvas(figure)
    for place in range(shown_updates):
        line, column = divmod(place, columns)
        is_last = place == updates - 1
        width = 0.86 * (last / batch_size if is_last else 1)
        axes.add_patch(
            Rectangle(
                (column, -line),
                max(width, 0.06),
                0.72,
                color=SERIES[0] if not is_last else SERIES[1],
            )
        )
    axes.set_xlim(-0.1, max(columns, 6))
    axes.set_ylim(-lines - 0.9, 1)
    what = "update" if updates == 1 else "updates"
    text = f"{rows:,} rows, {batch_size:,} a batch: {updates:,} {what} an epoch"
    axes.text(0, -lines + 0.1, text, va="top", color=INK)
    remarks = [f"{shown_updates} of them are drawn"] if updates > shown_updates else []
    if last != batch_size and updates > 1:
        remarks.append(f"the last batch has {last:,}")
    axes.text(0, -lines - 0.45, "; ".join(remarks), va="top", color=MUTED, fontsize=8.5)
    return figure


def thinned(length: int) -> NDArray[np.int64]:
    """Return the places of at most `MOST_POINTS` of `length` values, the first and last kept."""
    if length <= MOST_POINTS:
        return np.arange(length)
    return np.linspace(0, length - 1, MOST_POINTS).round().astype(np.int64)


def _whole_numbers(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter("{x:,.0f}")


def _canvas(figure: Figure) -> Axes:
    """Return axes that are only a sheet to draw on."""
    axes = figure.subplots()
    axes.set_axis_off()
    return axes
