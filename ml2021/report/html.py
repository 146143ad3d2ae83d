"""Render sections of text, lists, tables and figures as one self-contained HTML page.

The page has no scripts, loads nothing from the network, and reads well on phones and on paper;
its style sheet is `page.css`. All text, such as hostile column names and cells, is escaped in one
place, `_escape`.
"""

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, assert_never

from ml2021.formatting import printable
from ml2021.report.figures.style import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Listing:
    """Preformatted lines in a monospaced font, collapsed under `summary` if there is one."""

    text: str
    summary: str | None = None


@dataclass(frozen=True)
class Items:
    """A list of lines."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings: text in the first column, numbers in the others.

    strong: indices of the rows in bold. is_text: whether all columns are text. folded: the title
    under which the table is collapsed; None shows it open.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()
    caption: str = ""
    is_text: bool = False
    folded: str | None = None


@dataclass(frozen=True)
class Picture:
    """A figure with its file name, without a suffix, and its caption, which is its alt text too.

    wide: whether it gets a line of the page to itself.
    """

    name: str
    figure: "Figure"
    caption: str
    wide: bool = False


Block = Text | Listing | Items | Table | Picture


@dataclass(frozen=True)
class Section:
    """A section of the report: its anchor, its heading, a sentence on what to look for, blocks."""

    name: str
    title: str
    intro: str
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True)
class Frame:
    """The text around the sections; the first line of `summary` is the most important one."""

    title: str
    subtitle: str
    summary: Sequence[str]
    footer: str


_PIXELS_PER_INCH = 96
_MOST_COLUMNS = 5
"""Tables with more columns than this are shown as cards on phones."""
_STYLE = files("ml2021.report").joinpath("page.css").read_text(encoding="utf-8")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"


def render(frame: Frame, sections: Iterable[Section]) -> str:
    """Return the page as an HTML document."""
    bodies, links = [], []
    for section in sections:
        bodies.append(_section(section))
        links.append(f'<a href="#{_escape(section.name)}">{_escape(section.title)}</a>')
    summary = "".join(f"<p>{_escape(line)}</p>" for line in frame.summary)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{_escape(frame.title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{_escape(frame.title)}</h1>
<p class="soft">{_escape(frame.subtitle)}</p>
<div class="summary">{summary}</div>
<nav>{" ".join(links)}</nav>
</header>
{"".join(bodies)}
<footer>{_escape(frame.footer)}</footer>
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    parts = [
        f'<section id="{_escape(section.name)}">\n<h2>{_escape(section.title)}</h2>\n'
        f'<p class="intro">{_escape(section.intro)}</p>\n'
    ]
    pictures: list[str] = []  # adjacent pictures share a grid
    for block in section.blocks:
        if isinstance(block, Picture):
            pictures.append(_picture(block))
            continue
        parts += _grid(pictures)
        pictures = []
        parts.append(_block(block))
    parts += _grid(pictures)
    parts.append("</section>\n")
    return "".join(parts)


def _grid(pictures: Sequence[str]) -> list[str]:
    return [f'<div class="figures">{"".join(pictures)}</div>\n'] if pictures else []


def _block(block: Text | Listing | Items | Table) -> str:
    match block:
        case Text(text):
            return f"<p>{_escape(text)}</p>\n"
        case Listing(text, summary):
            lines = f"<pre>{_escape_lines(text)}</pre>\n"
            return lines if summary is None else _fold(summary, lines)
        case Items(lines):
            return f"<ul>{''.join(f'<li>{_escape(line)}</li>' for line in lines)}</ul>\n"
        case Table():
            return _table(block)
        case _:
            assert_never(block)


def _table(table: Table) -> str:
    caption = f'<p class="caption">{_escape(table.caption)}</p>\n' if table.caption else ""
    head = "".join(f"<th>{_escape(heading)}</th>" for heading in table.headings)
    rows = []
    for index, row in enumerate(table.rows):
        bold = ' class="strong"' if index in table.strong else ""
        cells = "".join(map(_cell, row, table.headings))
        rows.append(f"<tr{bold}>{cells}</tr>\n")
    top = f"<thead><tr>{head}</tr></thead>\n" if any(table.headings) else ""
    kind = "text" if table.is_text else "cards" if len(table.headings) > _MOST_COLUMNS else "narrow"
    inside = f'<table class="{kind}">{top}<tbody>{"".join(rows)}</tbody></table>'
    drawn = f'{caption}<div class="scroll">{inside}</div>\n'
    return drawn if table.folded is None else _fold(table.folded, drawn)


def _cell(text: str, heading: str) -> str:
    """Return a cell, with its heading for phones, which show each row as a card."""
    name = f' data-heading="{_escape(heading)}"' if heading else ""
    return f"<td{name}>{_escape(text)}</td>"


def _fold(summary: str, inside: str) -> str:
    return f"<details><summary>{_escape(summary)}</summary>{inside}</details>\n"


def _picture(picture: Picture) -> str:
    """Return the figure as an embedded SVG image, so that its ids and styles do not leak out."""
    encoded = base64.b64encode(to_svg(picture.figure).encode()).decode()
    width, height = picture.figure.get_size_inches() * _PIXELS_PER_INCH
    kind = ' class="wide"' if picture.wide else ""
    caption = _escape(picture.caption)
    return (
        f'<figure id="{_escape(picture.name)}"{kind}>'
        f'<img width="{width:.0f}" height="{height:.0f}" alt="{caption}" '
        f'src="data:image/svg+xml;base64,{encoded}">\n<figcaption>{caption}</figcaption></figure>\n'
    )


def _escape(text: object) -> str:
    return html.escape(printable(str(text)))


def _escape_lines(text: str) -> str:
    return "\n".join(_escape(line) for line in text.splitlines())
