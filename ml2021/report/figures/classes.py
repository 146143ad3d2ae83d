"""Truth beside prediction, for classes: which are taken for which, and what probabilities mean."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ml2021.report.figures.style import (
    HEIGHT,
    INK,
    PREDICTION,
    TRIVIAL,
    WIDTH,
    label_axes,
    new_figure,
    shown,
)

MOST_NAMED = 12
"""Of more classes the matrix is drawn without names and numbers."""


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Draw how many rows of each class (C, C), a line each, were predicted as which."""
    classes = len(names)
    is_named = classes <= MOST_NAMED
    figure = new_figure(WIDTH, 1.25 * HEIGHT if classes > 4 else HEIGHT)
    axes = figure.subplots()
    of_class = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(of_class, 1)
    drawn = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if is_named:
        longest = max(map(len, names))
        texts = [shown(name, 14) for name in names]
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
                    color="white" if shares[line, column] > 0.55 else INK,
                )
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    number = "" if is_named else ", by number"
    label_axes(axes, f"predicted class{number}", f"true class{number}")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, aspect=25)
    bar.set_label("share of the true class")
    return figure


def reliability(
    stated: NDArray[np.float64],
    observed: NDArray[np.float64],
    counts: NDArray[np.int64],
    what: str,
) -> Figure:
    """Draw the share (B,) that came true against the probability (B,) stated, and how often."""
    figure = new_figure(WIDTH, 1.15 * HEIGHT)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=TRIVIAL, linewidth=1.2, label="as stated")
    # One standard error of a share: what chance alone would do to it.
    wide = np.sqrt(np.maximum(observed * (1 - observed), 0.25 / counts) / counts)
    upper.errorbar(
        stated,
        observed,
        yerr=wide,
        fmt="o-",
        color=PREDICTION,
        ecolor=PREDICTION,
        elinewidth=1,
        markersize=4,
        label="network, ± standard error",
    )
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.05, 1.05)
    upper.legend(loc="upper left")
    label_axes(upper, "", "share that came true")
    lower.bar(stated, counts, width=0.05, color=PREDICTION, alpha=0.85)
    label_axes(lower, f"probability of {shown(what, 24)}", "rows", limit=40)
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    return figure
