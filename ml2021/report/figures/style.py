"""The style of all figures: colours, fonts, sizes and axes; and figures as PNG or SVG.

Figures are built from matplotlib's objects, never with pyplot, which keeps a global list of figures
and looks for a display. Column names and other text in a figure may be hostile: nothing is parsed
as a formula, and `shown` escapes and shortens it.

The colours are those of Okabe and Ito (2008), "Color universal design", and lighter ones of the
same hues for dark pages. Simulating dichromatic
vision (Machado, Oliveira and Fernandes 2009, severity 1), any two that meet in a figure are more
than 10 apart in CIE 1976 L*a*b*, where about 2 is just noticeable. Overlapping lines also differ in
their dashes.
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
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from numpy.typing import ArrayLike

from ml2021.formatting import UNGROUPED, printable, tick

COLOURS = {
    "page": ("#ffffff", "#16181b"),
    "ink": ("#222222", "#e4e5e8"),
    "muted": ("#707070", "#9a9da3"),
    "grid": ("#e4e4e4", "#34373d"),
    "truth": ("#444444", "#d0d2d6"),
    "baseline": ("#9a9a9a", "#84878d"),
    "blue": ("#0072b2", "#4d9fe0"),
    "vermilion": ("#d55e00", "#f27d3a"),
    "green": ("#009e73", "#2ebd92"),
    "purple": ("#cc79a7", "#dc8fba"),
    "yellow": ("#e69f00", "#eec04a"),
    "sky": ("#56b4e9", "#a8dcf5"),
    "grey": ("#5b5b5b", "#b4b6ba"),
}
"""Each colour on a light page, which figures are drawn for, and on a dark one."""
PAGE, INK, MUTED, GRID, TRUTH, BASELINE, BLUE, VERMILION, GREEN, PURPLE, YELLOW, SKY, GREY = (
    light for light, _ in COLOURS.values()
)
WHITE = "#fefefe"
"""White on a page of any colour."""
TRAINING = BLUE
VALIDATION = VERMILION
BEST = GREEN
"""The epoch, run or point with the best parameters."""
PREDICTION = BLUE
PATH = VERMILION
"""The trajectory of the parameters during training."""
TANGENT = PURPLE
SERIES = (BLUE, YELLOW, GREEN, PURPLE, SKY, VERMILION, GREY)
"""Colours of several similar lines, such as the terms of a sum or the layers of a network."""
DASHES = ("-", "--", "-.", ":")
SEQUENTIAL = "cividis"
"""The colour map of values from low to high."""
DIVERGING = LinearSegmentedColormap.from_list(
    "diverging",
    [
        (0.0, to_rgba(VERMILION)),
        (0.5, to_rgba(VERMILION, 0.0)),
        (0.5, to_rgba(BLUE, 0.0)),
        (1.0, to_rgba(BLUE)),
    ],
)
"""The colour map of values on both sides of zero, where the page shines through."""
SHARES = LinearSegmentedColormap.from_list("shares", [to_rgba(BLUE, 0.0), to_rgba(BLUE)])
"""The colour map of values from 0, where the page shines through."""
WIDTH, HEIGHT = 4.4, 3.2
"""Inches; at 96 pixels per inch a figure is about as wide as a phone."""
PAGE_WIDTH = 10.4
"""Width in inches of a figure as wide as a page, which needs another one for phones."""
WIDE = 5.6
"""Width in inches of a figure on a line of its own; text in wider ones is too small on phones."""
DOTS_PER_INCH = 160
MOST_POINTS = 2_000
"""The most points of a scatter plot; of more, this many are drawn, evenly spaced."""
MOST_LINE_POINTS = 1_000
"""The most points of a line, which are more than an image has pixels across."""
VECTOR_POINTS = 500
"""Scatter plots with more points are rasterised, which keeps the SVG small."""
NAME_LIMIT = 32

_CJK_FAMILIES = (
    "Noto Sans CJK TC", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans TC", "Noto Sans SC",
    "Source Han Sans TC", "Source Han Sans SC", "Source Han Sans", "PingFang TC", "PingFang SC",
    "Hiragino Sans GB", "Heiti TC", "STHeiti", "Microsoft JhengHei", "Microsoft YaHei", "SimHei",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS",
)  # fmt: skip

_STYLE: Any = {
    "text.parse_math": False,  # "$" and "_" in a column name are not a formula
    "axes.formatter.use_mathtext": False,
    "axes.formatter.limits": (-4, 7),
    "axes.unicode_minus": False,  # as in tables
    "svg.fonttype": "none",  # text stays text: small, sharp, and in the reader's own CJK font
    "svg.hashsalt": "ml2021",  # equal figures give equal bytes
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
    """Return an empty figure of that size in inches, with room made for the labels of its axes."""
    _apply_style()
    return Figure(figsize=(width, height), layout="constrained")


def label_axes(axes: Axes, x: str, y: str, title: str = "", limit: int = NAME_LIMIT) -> None:
    """Label both axes, each with its unit; `limit` is the most characters along x."""
    axes.set_xlabel(shown(x, limit))
    axes.set_ylabel(shown(y))
    if title:
        axes.set_title(shown(title))


def shown(text: str, limit: int = NAME_LIMIT) -> str:
    """Return text for a figure: escaped, and with its middle cut out if it is too long.

    `limit` counts Latin characters; a Chinese one is as wide as two.
    """
    text = printable(text)
    widths = [2 if east_asian_width(letter) in "WF" else 1 for letter in text]
    if sum(widths) <= limit:
        return text
    head = _fitting(widths, (limit - 1) // 2)
    tail = _fitting(widths[::-1], limit - 1 - (limit - 1) // 2)
    return f"{text[:head]}…{text[len(text) - tail :]}"


def _fitting(widths: Sequence[int], limit: int) -> int:
    """Return how many of the first widths add up to at most `limit`."""
    return sum(total <= limit for total in accumulate(widths))


def spans_decades(*values: ArrayLike) -> bool:
    """Return whether all values are positive and the largest exceeds 30 times the smallest."""
    low, high = np.inf, 0.0
    for array in values:
        finite = np.asarray(array, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return 0 < low < np.inf and high > 30 * low


def use_log_scale(axes: Axes, which: str) -> None:
    """Make the axis "x" or "y" logarithmic, with plain numbers as ticks: 0.01, 0.1, 1, 10.

    An axis of less than two decades also has ticks at 0.2, 0.5, 2 and 5, a very short one others.
    """
    if which == "x":
        axes.set_xscale("log")
        axis: Axis = axes.xaxis
    else:
        axes.set_yscale("log")
        axis = axes.yaxis
    low, high = axis.get_view_interval()
    subs = (1.0,) if high >= 200 * low else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8) if high > 5 * low else MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    axis.set_minor_formatter(NullFormatter())


def add_legend(figure: Figure, handles: Sequence[Artist] | None = None) -> None:
    """Add the legend of all labelled artists above the axes, where it hides nothing."""
    if handles is None:
        handles = list(
            {
                label: handle
                for axes in figure.axes
                for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
            }.values()
        )
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = int(_LEGEND_LETTERS * figure.get_figwidth() / (longest + 6))
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=max(1, min(len(handles), columns)),
        frameon=False,
        borderpad=0.2,
        handlelength=1.8,
        columnspacing=1.4,
    )


_LEGEND_LETTERS = 13
"""About as many letters of a legend are an inch wide."""


class _PlainNumbers(ScalarFormatter):
    """Numbers along an axis as in tables: 1,000 and not 1000; `grouped_from` has commas."""

    def __init__(self, grouped_from: int = 0) -> None:
        super().__init__(useOffset=False)
        self._grouped_from = grouped_from

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the number with commas."""
        whole, point, fraction = super().__call__(x, pos).partition(".")
        if not whole.lstrip("-").isdigit():
            return whole + point + fraction
        sign = "-" if whole.startswith("-") else ""
        size = abs(int(whole))
        return f"{sign}{size:{',' if size >= self._grouped_from else ''}}{point}{fraction}"


def show_cells(axis: Axis) -> None:
    """Label an axis of a column's values as its cells are shown elsewhere: 2010, not 2,010."""
    axis.set_major_formatter(_PlainNumbers(UNGROUPED))


def _plain_numbers(figure: Figure) -> None:
    for axis in figure.findobj(Axis):
        if isinstance(axis, Axis) and type(axis.get_major_formatter()) is ScalarFormatter:
            axis.set_major_formatter(_PlainNumbers())


OUR_PNG = b"Software\0ml2021"
"""What a PNG file of `to_png` has in its head, and hardly one of somebody else."""


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file."""
    stream = io.BytesIO()
    _plain_numbers(figure)
    with _ignore_missing_glyphs():
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(stream, metadata={"Software": "ml2021"})
    return stream.getvalue()


def to_svg(figure: Figure) -> str:
    """Return the figure as an SVG document."""
    stream = io.StringIO()
    dots = figure.dpi
    _plain_numbers(figure)
    with _ignore_missing_glyphs():
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(stream, metadata={"Date": None, "Creator": None})
    figure.dpi = dots  # print_svg leaves it at 72
    return stream.getvalue()


@cache
def _apply_style() -> None:
    """Set matplotlib's global settings once; text reads them only when a figure is drawn."""
    mpl.rcdefaults()  # a matplotlibrc of the working directory could have text run as TeX
    mpl.rcParams.update(_STYLE)
    mpl.rcParams["font.family"] = ["DejaVu Sans", *cjk_families(), "sans-serif"]


def cjk_families() -> list[str]:
    """Return one installed font family with Chinese, Japanese and Korean, if there is one."""
    manager = font_manager.fontManager
    families = {font.name for font in manager.ttflist}
    if families.isdisjoint(_CJK_FAMILIES):
        # matplotlib caches its list of fonts, which may lack one installed since.
        known = {font.fname for font in manager.ttflist}
        for path in font_manager.findSystemFonts():
            if path not in known:
                try:
                    manager.addfont(path)
                except (OSError, RuntimeError):  # not a font, in spite of its name
                    continue
        families = {font.name for font in manager.ttflist}
    return [family for family in _CJK_FAMILIES if family in families][:1]


@contextmanager
def _ignore_missing_glyphs() -> Iterator[None]:
    """Do not warn that no installed font has a character; a box is drawn instead."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
