"""How every figure looks: colours, fonts, sizes, axes, and the way from a figure to a file.

Figures are made with matplotlib's objects and never with pyplot, which keeps a global list of them
and wants a display. A figure holds hostile text, such as the names of columns: none of it is read
as a formula, and `shown` makes it fit to be drawn.

The colours are those of Okabe and Ito (2008), "Color universal design", that people with any kind
of colour vision can tell apart; where two lines meet, their dashes differ as well.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from typing import Any
from unicodedata import east_asian_width

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from ml2021.formatting import printable

INK = "#222222"

MUTED = "#707070"

GRID = "#e4e4e4"

TRAINING = "#0072B2"

VALIDATION = "#D55E00"

BEST = "#009E73"
"""The epoch or the point with the best parameters."""

TRUTH = "#444444"

PREDICTION = "#0072B2"

TRIVIAL = "#9a9a9a"
"""The trivial answers, and whatever is drawn to be compared with."""

PATH = "#D55E00"
"""The way of the parameters while training."""

TANGENT = "#CC79A7"

SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#5b5b5b")
"""Things of one kind, told apart: the parts of a sum, the layers of a network."""

SEQUENTIAL = "cividis"
"""The colour map of values from low to high."""

DIVERGING = "PuOr"
"""The colour map of values on both sides of zero."""

WIDTH, HEIGHT = 4.4, 3.2
"""Inches; at 96 pixels an inch a figure is about as wide as a phone."""

WIDE = 5.6
"""Of a figure with a line of the page to itself: more, and a phone shows its words too small."""

DOTS_PER_INCH = 160

NAME_LIMIT = 32

_CJK_FAMILIES = (
    "Noto Sans CJK TC", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans TC", "Noto Sans SC",
    "Source Han Sans TC", "Source Han Sans SC", "Source Han Sans", "PingFang TC", "PingFang SC",
    "Hiragino Sans GB", "Heiti TC", "STHeiti", "Microsoft JhengHei", "Microsoft YaHei", "SimHei",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS",
)  # fmt: skip

_STYLE: Any = {
    "text.parse_math": False,  # "$" and "_" in the name of a column are no formula
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "none",  # text stays text: small, sharp, and in the reader's own CJK font
    "svg.hashsalt": "ml2021",  # the same figure gives the same bytes
    "date.converter": "concise",
    "figure.dpi": DOTS_PER_INCH,
    "figure.facecolor": "white",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "lines.linewidth": 1.6,
}


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """Return an empty figure of that size in inches, whose axes will make room for their labels."""
    _apply_style()
    return Figure(figsize=(width, height), layout="constrained")


def label_axes(axes: Axes, x: str, y: str, title: str = "", limit: int = NAME_LIMIT) -> None:
    """Name both axes with their units: quantities of the data have the unit of their column.

    `limit` is for the characters along x.
    """
    axes.set_xlabel(shown(x, limit))
    axes.set_ylabel(shown(y))
    if title:
        axes.set_title(shown(title))


def shown(text: str, limit: int = NAME_LIMIT) -> str:
    """Return text fit to be drawn: what cannot be printed is escaped, the middle of much is cut.

    `limit` is in characters of the Latin kind; a Chinese one is as wide as two.
    """
    text = printable(text)
    widths = [2 if east_asian_width(letter) in "WF" else 1 for letter in text]
    if sum(widths) <= limit:
        return text
    head = _fitting(widths, (limit - 1) // 2)
    tail = _fitting(widths[::-1], limit - 1 - (limit - 1) // 2)
    return f"{text[:head]}…{text[len(text) - tail :]}"


def _fitting(widths: Sequence[int], limit: int) -> int:
    """Return how many of the widths, from the first on, are no more than the limit together."""
    return sum(total <= limit for total in accumulate(widths))


def spans_decades(*values: ArrayLike) -> bool:
    """Whether the values are all positive, and the largest is more than 30 times the smallest."""
    low, high = np.inf, 0.0
    for array in values:
        finite = np.asarray(array, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return 0 < low < np.inf and high > 30 * low


def use_log_scale(axes: Axes, which: str) -> None:
    """Make the axis "x" or "y" logarithmic, its ticks plain numbers: 0.01, 0.1, 1, 10.

    Within two decades, where there would be one of these or none, also 0.2, 0.5, 2 and 5.
    """
    if which == "x":
        axes.set_xscale("log")
        axis: Axis = axes.xaxis
    else:
        axes.set_yscale("log")
        axis = axes.yaxis
    low, high = axis.get_view_interval()
    subs = (1.0,) if high >= 200 * low else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def to_png(figure: Figure) -> bytes:
    """Return the figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    with _missing_glyphs_are_no_matter():
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def to_svg(figure: Figure) -> str:
    """Return the figure as an SVG document."""
    stream = io.StringIO()
    dots = figure.dpi
    with _missing_glyphs_are_no_matter():
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(stream, metadata={"Date": None, "Creator": None})
    figure.dpi = dots  # which the SVG has at 72, and a PNG made after it would too
    return stream.getvalue()


@cache
def _apply_style() -> None:
    """Set matplotlib's settings, once: text asks for them as late as when a figure is drawn."""
    mpl.rcParams.update(_STYLE)
    mpl.rcParams["font.family"] = ["DejaVu Sans", *cjk_families(), "sans-serif"]


def cjk_families() -> list[str]:
    """Return an installed family that has Chinese, Japanese and Korean, or none."""
    manager = font_manager.fontManager
    families = {font.name for font in manager.ttflist}
    if families.isdisjoint(_CJK_FAMILIES):
        # matplotlib keeps its list of fonts: one installed since then is not in it.
        known = {font.fname for font in manager.ttflist}
        for path in font_manager.findSystemFonts():
            if path not in known:
                try:
                    manager.addfont(path)
                except (OSError, RuntimeError):  # a file that only has the name of a font
                    continue
        families = {font.name for font in manager.ttflist}
    return [family for family in _CJK_FAMILIES if family in families][:1]


@contextmanager
def _missing_glyphs_are_no_matter() -> Iterator[None]:
    """Draw boxes without a warning where no installed font has a character."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
