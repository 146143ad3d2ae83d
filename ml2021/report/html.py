"""A page of HTML from blocks: text, lists, tables and figures, in sections.

No script, nothing from a network, readable on a phone and on paper. All text, hostile names of
columns and cells among it, is escaped in one place, `_escape`.
"""

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
    """Lines as they are, in a font of fixed width; with a `summary` they are folded away."""

    text: str
    summary: str | None = None


@dataclass(frozen=True)
class Items:
    """A list of lines."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings. The first column is text, the others are numbers.

    strong: the rows to stress. is_text: all columns are text. With `folded` as its title the table
    is folded away.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()
    caption: str = ""
    is_text: bool = False
    folded: str | None = None


@dataclass(frozen=True)
class Picture:
    """A figure: its name as a file, what it shows for those who cannot see it, and the caption."""

    name: str
    figure: "Figure"
    caption: str
    wide: bool = False


Block = Text | Listing | Items | Table | Picture


@dataclass(frozen=True)
class Section:
    """A part of the report under a heading, with the sentence that says what to see."""

    name: str
    title: str
    see: str
    blocks: Sequence[Block] = field(default_factory=tuple)


_PIXELS_PER_INCH = 96

_SHORT = 20
"""A cell of so few characters, such as a date, is not broken into lines."""

_PHONE, _TABLET, _DESK = 350, 560, 950
"""Pixels. A table that is wider is shown as a card for each row, on screens of that kind."""

_CARDS = """
table.KIND, table.KIND tbody { display: block; }
table.KIND thead { display: none; }
table.KIND tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr));
  gap: 4px 0; padding: 6px 0; border-bottom: 1px solid var(--line); }
table.KIND td { display: block; text-align: left; border: 0; padding: 1px 8px 1px 0;
  overflow-wrap: anywhere; white-space: normal; }
table.KIND td::before { content: attr(data-heading); display: block; color: var(--soft);
  font-size: 11px; line-height: 1.2; font-weight: normal; }
"""

_STYLE = """
:root { color-scheme: light; --ink: #1d1d1f; --soft: #5f6368; --line: #e3e3e6; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
    "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 16px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 21px; line-height: 1.25; margin: 48px 0 4px; padding-top: 16px;
  border-top: 1px solid var(--line); }
p { margin: 8px 0; max-width: 74ch; }
.soft, figcaption, .caption { color: var(--soft); }
.see { color: var(--soft); margin-top: 0; }
nav { margin: 16px 0 0; font-size: 14px; line-height: 1.9; }
nav a { color: var(--blue); text-decoration: none; margin-right: 14px; white-space: nowrap; }
.words { border-left: 4px solid var(--blue); background: #f4f8fb; padding: 10px 16px;
  margin: 20px 0 0; border-radius: 0 6px 6px 0; }
.words p:first-child { font-weight: 600; }
.figures { display: grid; gap: 20px 28px; margin: 16px 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure.wide { grid-column: 1 / -1; }
figure.wide img { max-width: min(100%, 720px); }
img { display: block; width: 100%; max-width: min(100%, 520px); height: auto; }
figcaption { font-size: 14px; line-height: 1.4; margin-top: 4px; max-width: 66ch; }
.scroll { overflow-x: auto; margin: 14px 0; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
.caption { font-size: 14px; line-height: 1.4; margin: 14px 0 -8px; max-width: 66ch;
  break-after: avoid; }
th { font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--ink); }
th, td { padding: 4px 12px 4px 0; text-align: right; vertical-align: top; max-width: 34ch; }
th:first-child, td:first-child { text-align: left; }
td { border-bottom: 1px solid var(--line); }
table.text td { text-align: left; max-width: 60ch; overflow-wrap: anywhere; }
table.text td:first-child { color: var(--soft); white-space: nowrap; }
tr.strong td { font-weight: 600; }
pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  background: #f6f6f7; padding: 10px 14px; border-radius: 6px; margin: 10px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--blue); }
ul { padding-left: 20px; margin: 8px 0; }
footer { margin-top: 56px; color: var(--soft); font-size: 13px; }
@media (min-width: 601px) { td.short { white-space: nowrap; } }
@media (max-width: 600px) {
  h1 { font-size: 25px; }
  main { padding-top: 20px; }
  table { font-size: 12px; }
  th, td { padding-right: 5px; }
  th { font-size: 11px; }
}
@media print {
  @page { margin: 16mm 14mm; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  h2 { margin-top: 24px; break-after: avoid; }
  .see { break-after: avoid; break-inside: avoid; }
  .figures { grid-template-columns: 1fr 1fr; gap: 12px 16px; }
  figure.wide img { max-width: 560px; }
  figcaption { font-size: 9pt; }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  th, td { padding-right: 6px; }
  tr, pre, .words { break-inside: avoid; }
  .words, pre { print-color-adjust: exact; }
}
"""

_CARD_KINDS = {
    "cards-on-phones": "(max-width: 600px)",
    "cards-on-tablets": "screen and (max-width: 1040px)",
    "cards": "all",
}

for _kind, _when in _CARD_KINDS.items():
    _STYLE += f"@media {_when} {{{_CARDS.replace('KIND', _kind)}}}\n"

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"


def render(
    title: str, subtitle: str, words: Sequence[str], sections: Iterable[Section], footer: str
) -> str:
    """Return the page. `words` is what the run says, the most important first."""
    bodies, links = [], []
    for section in sections:
        bodies.append(_section(section))
        links.append(f'<a href="#{_escape(section.name)}">{_escape(section.title)}</a>')
    said = "".join(f"<p>{_escape(line)}</p>" for line in words)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{_escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{_escape(title)}</h1>
<p class="soft">{_escape(subtitle)}</p>
<div class="words">{said}</div>
<nav>{" ".join(links)}</nav>
</header>
{"".join(bodies)}
<footer>{_escape(footer)}</footer>
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    parts = [
        f'<section id="{_escape(section.name)}">\n<h2>{_escape(section.title)}</h2>\n'
        f'<p class="see">{_escape(section.see)}</p>\n'
    ]
    run: list[str] = []  # pictures that follow each other share a grid
    for block in section.blocks:
        if isinstance(block, Picture):
            run.append(_picture(block))
            continue
        parts += _grid(run)
        run = []
        parts.append(_block(block))
    parts += _grid(run)
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
    kind = "text" if table.is_text else _as_cards(table)
    rows = []
    for place, row in enumerate(table.rows):
        stress = ' class="strong"' if place in table.strong else ""
        headings = table.headings if kind in _CARD_KINDS else [None] * len(row)
        cells = "".join(map(_cell, row, headings))
        rows.append(f"<tr{stress}>{cells}</tr>\n")
    body = "".join(rows)
    top = f"<thead><tr>{head}</tr></thead>\n" if any(table.headings) else ""
    named = f' class="{kind}"' if kind else ""
    inside = f"<table{named}>{top}<tbody>{body}</tbody></table>"
    drawn = f'{caption}<div class="scroll">{inside}</div>\n'
    return drawn if table.folded is None else _fold(table.folded, drawn)


def _as_cards(table: Table) -> str:
    """Return the class that says where a table is to be cards, by how wide it would be.

    A character is about as wide as half of the font's size. A phone breaks cells between words.
    """
    phone = sheet = 0.0
    for column in zip(table.headings, *table.rows, strict=True):
        words = [len(word) for cell in column for word in cell.split()]
        longest = max(words, default=0)
        unbroken = max((len(cell) for cell in column[1:] if len(cell) <= _SHORT), default=0)
        phone += 6.9 * longest + 5
        sheet += 8 * max(longest, unbroken) + 12
    if sheet > _DESK:
        return "cards"
    if sheet > _TABLET:
        return "cards-on-tablets"
    return "cards-on-phones" if phone > _PHONE else ""


def _cell(text: str, heading: str | None) -> str:
    """Return a cell, with its heading beside it where a phone shows the row as a card."""
    kind = ' class="short"' if len(text) <= _SHORT else ""
    name = "" if heading is None else f' data-heading="{_escape(heading)}"'
    return f"<td{kind}{name}>{_escape(text)}</td>"


def _fold(summary: str, inside: str) -> str:
    return f"<details><summary>{_escape(summary)}</summary>{inside}</details>\n"


def _picture(picture: Picture) -> str:
    """Return the figure as an image: a document of its own, whose names and styles stay inside."""
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
