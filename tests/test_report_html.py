"""The page: hostile text stays text, nothing leads outside, every figure is embedded."""

import base64
import re
from html.parser import HTMLParser

import pytest

from ml2021.report.figures.style import new_figure, shown
from ml2021.report.html import Block, Frame, Items, Listing, Picture, Section, Table, Text, render

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
    assert not re.search(r"url\(|@import|<script", page)
    assert "default-src 'none'" in page


def test_a_figure_is_a_document_within_the_page() -> None:
    (image,) = (a for tag, a in parsed(page_of("a title")).tags if tag == "img")
    kind, _, encoded = (image["src"] or "").partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert "a title" in base64.b64decode(encoded).decode()
    assert image["alt"] == "a title"


@pytest.mark.parametrize("text", ["", "观看次数", "x" * 10_000])
def test_any_text_will_do(text: str) -> None:
    assert page_of(text).endswith("</html>\n")
