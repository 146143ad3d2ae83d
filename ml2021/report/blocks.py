"""What a report is made of: plain text, tables and figures, in sections.

Nothing here is HTML: all text, hostile names of columns and cells among it, is escaped in one
place, where `ml2021.report.html` writes the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
