"""How every figure looks: hostile names, missing fonts, and files that are the same each time."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from ml2021.report.figures import style

CHINESE = "观看次数"


def draw(name: str) -> Figure:
    figure = style.new_figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1e-4, 1e-2, 1], color=style.TRAINING)
    style.label_axes(axes, name, "loss", "a title")
    style.use_log_scale(axes, "y")
    return figure


def texts_of(figure: Figure) -> list[str]:
    return [e.text for e in ET.fromstring(style.to_svg(figure)).iter() if e.text is not None]


@pytest.mark.parametrize(
    "name", ["a_$_b$", "a\nb\x00c", "<script>&'\"", "_under", CHINESE, "x" * 500, "\ud800"]
)
def test_any_name_can_be_drawn(name: str) -> None:
    assert style.to_png(draw(name)).startswith(b"\x89PNG")
    assert style.shown(name) in texts_of(draw(name))


def test_names_are_no_formulas_and_the_ticks_of_a_log_scale_plain_numbers() -> None:
    assert {"$x_1$", "0.0001", "0.01", "1"} <= set(texts_of(draw("$x_1$")))


def test_a_missing_font_gives_no_warning(tmp_path: Path) -> None:
    figure, other = draw(CHINESE), draw(CHINESE[:2])
    for each in (figure, other):
        each.axes[0].xaxis.label.set_fontfamily("DejaVu Sans")
    style.to_png(figure)  # warnings are errors
    with pytest.warns(UserWarning, match="Glyph"):
        other.savefig(tmp_path / "figure.png")


def test_equal_figures_give_equal_bytes_also_as_png_after_svg() -> None:
    figure = draw("a")
    assert style.to_svg(figure) == style.to_svg(draw("a"))
    assert style.to_png(figure) == style.to_png(draw("a"))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 8, "short"),
        ("exactly8", 8, "exactly8"),
        ("0123456789", 5, "01…89"),
        ("0123456789", 6, "01…789"),
        (CHINESE, 8, CHINESE),
        (CHINESE, 7, "观…数"),
        ("a" + CHINESE, 8, "a观…次数"),
    ],
)
def test_much_text_loses_its_middle(text: str, limit: int, expected: str) -> None:
    assert style.shown(text, limit) == expected


def test_spanning_decades() -> None:
    for values in ([[1.0, 31.0]], [[1.0], [float("nan"), 40.0]]):
        assert style.spans_decades(*values)
    for few in ([1.0, 29.0], [0.0, 100.0], []):
        assert not style.spans_decades(few)


def test_no_figure_needs_pyplot() -> None:
    code = "import sys; from ml2021.report.figures import style; style.to_png(style.new_figure()); "
    code += "sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_years_along_an_axis_of_cells_have_no_comma() -> None:
    for is_of_cells in (False, True):
        figure = style.new_figure()
        axes = figure.subplots()
        axes.plot([1920, 2020], [0, 20_000])
        if is_of_cells:
            style.show_cells(axes.xaxis)
        text = style.to_svg(figure)
        assert (">1920<" in text, ">1,920<" in text) == (is_of_cells, not is_of_cells)
        assert ">20,000<" in text
