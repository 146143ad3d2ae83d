"""The page: hostile text stays text, nothing leads outside, every figure is embedded."""

import re
from html.parser import HTMLParser

import pytest

from ml2021.evaluation.verdict import Outcome
from ml2021.report.figures import style
from ml2021.report.figures.style import new_figure, shown
from ml2021.report.html import (
    Bars,
    Block,
    Frame,
    Items,
    Listing,
    Picture,
    Section,
    Table,
    Text,
    render,
)

HOSTILE = "<script>alert('x')</script>\"&\n\x1b[31m"


class Tags(HTMLParser):
    """Collects every tag with its attributes, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def page_of(text: str) -> str:
    figure = new_figure(2, 1)
    figure.subplots().set_title(shown(text))
    blocks: list[Block] = [
        Text(text),
        Items([text]),
        Listing(text),
        Listing(text, text),
        Table((text, text), [[text, text]], caption=text),
        Table((text,) * 6, [(text,) * 6], folded=text),
        Picture("name", figure, text),
    ]
    return render(Frame(text, text, [text], text), [Section("name", text, text, blocks)])


def test_hostile_text_is_only_text() -> None:
    tags = parsed(page_of(HOSTILE))
    assert "script" not in {tag for tag, _ in tags.tags}
    assert tags.text.count("<script>alert('x')</script>") >= 23
    assert "\x1b" not in tags.text
    plain = parsed(page_of("plain"))
    assert [tag for tag, _ in tags.tags] == [tag for tag, _ in plain.tags]


def test_nothing_leads_outside() -> None:
    page = page_of("plain")
    for _, attributes in parsed(page).tags:
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), value
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert "default-src 'none'" in page


def test_figures_are_part_of_the_page_and_follow_its_colours() -> None:
    page = page_of("a title")
    (drawing,) = (a for tag, a in parsed(page).tags if tag == "svg")
    assert drawing["role"] == "img"
    assert "a title" in parsed(page).text
    inside = page[page.index("<svg") : page.index("</svg>")]
    assert "var(--ink)" in inside
    assert style.INK not in inside
    light, dark = page.split("prefers-color-scheme: dark", 1)
    for name, (on_light, on_dark) in style.COLOURS.items():
        assert f"--{name}: {on_light};" in light
        assert f"--{name}: {on_dark};" in dark


def test_text_in_a_figure_is_no_style_and_no_tag() -> None:
    text = 'fill: #222222" id="a_1" <b>-->'
    figure = style.new_figure(4, 1)
    figure.subplots().set_xlabel(text)
    page = render(Frame("", "", [""], ""), [Section("s", "", "", [Picture("p", figure, "")])])
    assert text in parsed(page).text
    assert "b" not in {tag for tag, _ in parsed(page).tags}


def test_figures_share_no_ids() -> None:
    blocks = []
    for name in ("one", "two"):
        figure = style.new_figure(2, 1)
        figure.subplots().plot([1, 2], "o")
        blocks.append(Picture(name, figure, "", narrow=figure))
    page = render(Frame("", "", [""], ""), [Section("s", "", "", blocks)])
    ids = [a["id"] for _, a in parsed(page).tags if "id" in a]
    assert len(ids) == len(set(ids)) >= 8
    for reference in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page):
        assert reference[0] or reference[1] in ids


def test_the_verdict_has_its_colour_and_a_sign() -> None:
    kinds: dict[Outcome, str] = {"better": "better", "too close to tell": "too", "worse": "worse"}
    for outcome, kind in kinds.items():
        bars = Bars("MAE", ["network", "mean"], [1.0, 2.0], ["1.000", "2.000"], frozenset({0}))
        page = render(Frame("", "", ["The verdict."], "", outcome, ["ml2021 a --b c"], bars), [])
        assert f'class="summary {kind}"' in page
        assert len(re.findall('class="sign"', page)) == 1
        assert "<pre><span>ml2021 a</span> <span>--b c</span></pre>" in page
        assert len(re.findall('<tr class="best">', page)) == 1


def test_a_table_scrolls_in_a_box_of_its_own_and_marks_its_best_cells() -> None:
    table = Table(("a", "b"), [["x", "1"], ["y", "2"]], strong=frozenset({(1, 1)}))
    page = render(Frame("", "", [""], ""), [Section("s", "", "", [table])])
    assert re.search('<div class="scroll" tabindex="0"><table class="numbers">', page)
    assert re.findall("<strong>(.*?)</strong>", page) == ["2"]


def test_an_odd_picture_is_not_left_beside_nothing() -> None:
    blocks = [Picture(n, style.new_figure(2, 1), "", wide=n == "c") for n in "abcde"]
    page = render(Frame("", "", [""], ""), [Section("s", "", "", [*blocks])])
    kinds = re.findall('<figure id="." class="(.*?)"', page)
    assert kinds == ["", "", "wide", "", ""]
    page = render(Frame("", "", [""], ""), [Section("s", "", "", [*blocks[1:]])])
    assert re.findall('<figure id="." class="(.*?)"', page) == ["alone", "wide", "", ""]


@pytest.mark.parametrize("text", ["", "观看次数", "x" * 10_000])
def test_any_text_will_do(text: str) -> None:
    assert page_of(text).endswith("</html>\n")
