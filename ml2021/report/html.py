"""Render sections of text, lists, tables and figures as one self-contained HTML page.

The page has no scripts, loads nothing from the network, and reads well on phones and on paper;
its style sheet is `page.css`. All text, such as hostile column names and cells, is escaped in one
place, `_escape`; that within figures by matplotlib.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, assert_never

from ml2021.evaluation.verdict import Outcome
from ml2021.formatting import printable
from ml2021.report.figures.svg import colour_rules, describe, inline_svg

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

    strong: (row, column) of the cells in bold. is_text: whether all columns are text. folded: the
    title under which the table is collapsed; None shows it open.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[tuple[int, int]] = frozenset()
    caption: str = ""
    is_text: bool = False
    folded: str | None = None


@dataclass(frozen=True)
class Picture:
    """A figure with its file name, a plain word without a suffix, and its caption.

    wide: whether it gets a line of the page to itself. narrow: the same figure for phones, if the
    text of a wide one would be too small there.
    """

    name: str
    figure: "Figure"
    caption: str
    wide: bool = False
    narrow: "Figure | None" = None


@dataclass(frozen=True)
class Column:
    """Blocks below each other, with such a column or a table before or after them at their side."""

    blocks: Sequence["Text | Listing | Items | Table"]


Block = Text | Listing | Items | Table | Picture | Column


@dataclass(frozen=True)
class Bars:
    """Positive numbers (n,) as bars, each with its name and text; the best are marked."""

    title: str
    names: Sequence[str]
    values: Sequence[float]
    texts: Sequence[str]
    best: frozenset[int]


@dataclass(frozen=True)
class Section:
    """A section of the report: its anchor, its heading, a sentence on what to look for, blocks."""

    name: str
    title: str
    intro: str
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True)
class Frame:
    """The text around the sections; the first line of `summary` is the most important one.

    outcome: of the verdict that the summary begins with. commands: lines to type, shown below it.
    bars: the scores beside it.
    """

    title: str
    subtitle: str
    summary: Sequence[str]
    footer: str
    outcome: Outcome | None = None
    commands: Sequence[str] = ()
    bars: Bars | None = None


_STYLE = files("ml2021.report").joinpath("page.css").read_text(encoding="utf-8")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"


def render(frame: Frame, sections: Iterable[Section]) -> str:
    """Return the page as an HTML document."""
    bodies, links = [], []
    for section in sections:
        bodies.append(_section(section))
        links.append(f'<a href="#{_escape(section.name)}">{_escape(section.title)}</a>')
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
{colour_rules()}{_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{_escape(frame.title)}</h1>
<p class="soft">{_escape(frame.subtitle)}</p>
{_summary(frame)}
<nav>{" ".join(links)}</nav>
</header>
{"".join(bodies)}
<footer>{_escape(frame.footer)}</footer>
</main>
</body>
</html>
"""


_SIGNS: dict[Outcome, str] = {"better": "▲", "too close to tell": "≈", "worse": "▼"}


def _summary(frame: Frame) -> str:
    """Return the verdict and the advice, and at their side the scores as bars."""
    lines = [f"<p>{_escape(line)}</p>" for line in frame.summary]
    kind = ""
    if frame.outcome is not None:
        kind = f" {frame.outcome.partition(' ')[0]}"
        sign = f'<span class="sign" aria-hidden="true">{_SIGNS[frame.outcome]}</span> '
        lines[0] = f"<p>{sign}{_escape(frame.summary[0])}</p>"
    lines += map(_command, frame.commands)
    bars = "" if frame.bars is None else _bars(frame.bars)
    return f'<div class="head"><div class="summary{kind}">{"".join(lines)}</div>{bars}</div>'


def _command(line: str) -> str:
    """Return a command line that breaks only between its options."""
    parts = re.split(r" (?=--)", line)
    return f"<pre>{' '.join(f'<span>{_escape(part)}</span>' for part in parts)}</pre>"


def _bars(bars: Bars) -> str:
    largest = max(bars.values) or 1.0
    lines = []
    for index, (name, value, text) in enumerate(
        zip(bars.names, bars.values, bars.texts, strict=True)
    ):
        best = ' class="best"' if index in bars.best else ""
        lines.append(
            f"<tr{best}><th>{_escape(name)}</th><td>"
            f'<i style="width: {100 * max(value, 0) / largest:.1f}%"></i></td>'
            f"<td>{_escape(text)}</td></tr>"
        )
    return (
        f'<table class="bars"><caption>{_escape(bars.title)}</caption>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _section(section: Section) -> str:
    parts = [
        f'<section id="{_escape(section.name)}">\n<h2>{_escape(section.title)}</h2>\n'
        f'<p class="intro">{_escape(section.intro)}</p>\n'
    ]
    kinds = map(_kind, section.blocks)
    for kind, group in groupby(zip(kinds, section.blocks, strict=True), lambda pair: pair[0]):
        blocks = [block for _, block in group]
        inside = _grid(blocks) if kind == "figures" else "".join(map(_block, blocks))
        parts.append(f'<div class="{kind}">{inside}</div>\n' if kind else inside)
    parts.append("</section>\n")
    return "".join(parts)


def _kind(block: Block) -> str:
    """Return the class of the box that the block shares with its neighbours; empty for none."""
    match block:
        case Picture():
            return "figures"
        case Column():
            return "columns"
        case Table() if block.folded is None:
            return "columns"
        case _:
            return ""


def _grid(blocks: Sequence[Block]) -> str:
    """Return pictures in two columns; one that would leave a place empty has its caption there."""
    pictures = [block for block in blocks if isinstance(block, Picture)]
    parts, column = [], 0
    for index, picture in enumerate(pictures):
        is_last = index + 1 == len(pictures) or pictures[index + 1].wide
        is_alone = picture.wide or (column == 0 and is_last)
        parts.append(_picture(picture, "wide" if picture.wide else "alone" if is_alone else ""))
        column = 0 if is_alone else 1 - column
    return "".join(parts)


def _block(block: Block) -> str:
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
        case Column(blocks):
            return f"<div>{''.join(map(_block, blocks))}</div>\n"
        case Picture():
            return _picture(block, "")
        case _:
            assert_never(block)


def _table(table: Table) -> str:
    caption = f'<p class="caption">{_escape(table.caption)}</p>\n' if table.caption else ""
    head = "".join(f"<th>{_escape(heading)}</th>" for heading in table.headings)
    rows = []
    for index, row in enumerate(table.rows):
        cells = "".join(
            _cell(text, is_best=(index, place) in table.strong) for place, text in enumerate(row)
        )
        rows.append(f"<tr>{cells}</tr>\n")
    top = f"<thead><tr>{head}</tr></thead>\n" if any(table.headings) else ""
    kind = "text" if table.is_text else "numbers"
    inside = f'<table class="{kind}">{top}<tbody>{"".join(rows)}</tbody></table>'
    size = "table settings" if table.is_text else "table"
    # A box that scrolls is reached with the keyboard.
    drawn = f'<div class="{size}">{caption}<div class="scroll" tabindex="0">{inside}</div></div>\n'
    return drawn if table.folded is None else _fold(table.folded, drawn)


def _cell(text: str, *, is_best: bool) -> str:
    return f"<td><strong>{_escape(text)}</strong></td>" if is_best else f"<td>{_escape(text)}</td>"


def _fold(summary: str, inside: str) -> str:
    return f"<details><summary>{_escape(summary)}</summary>{inside}</details>\n"


def _picture(picture: Picture, kind: str) -> str:
    """Return the figure as SVG, and its caption."""
    drawings = [_svg(picture.figure, picture.name, "large" if picture.narrow else "")]
    if picture.narrow is not None:
        drawings.append(_svg(picture.narrow, f"{picture.name}-narrow", "small"))
    return (
        f'<figure id="{_escape(picture.name)}" class="{kind}">{"".join(drawings)}\n'
        f"<figcaption>{_escape(picture.caption)}</figcaption></figure>\n"
    )


def _svg(figure: "Figure", name: str, kind: str) -> str:
    label = _escape(describe(figure))
    return f'<svg class="{kind}" role="img" aria-label="{label}" {inline_svg(figure, name)}'


def _escape(text: object) -> str:
    return html.escape(printable(str(text)))


def _escape_lines(text: str) -> str:
    return "\n".join(_escape(line) for line in text.splitlines())
