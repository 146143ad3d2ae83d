"""Find what the user added to `data.missing` in vain: a note on what the file does not hold."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from ml2021.data.csv.scan import Block, TableFormat
from ml2021.formatting import echo

_DEFAULT = TableFormat().missing


class MissingTexts:
    """The texts and numbers that the user added to `data.missing`, and whether the file has them.

    Texts are looked for in all of its cells as its blocks pass by; numbers are compared by value
    where the cells are checked. It costs nothing where nothing was added.
    """

    def __init__(self, format: TableFormat) -> None:
        added = [m for m in format.missing if m not in _DEFAULT]
        number = format.rules.is_number
        self._exact = format.rules.exact
        self._numbers = [m for m in added if not isinstance(m, str) or number(m)]
        end = rb"[" + re.escape(format.separator.encode()) + rb'"\r\n]'
        cell = rb"(?:\A|(?<=" + end + rb"))%b(?=" + end + rb")"
        # for each text a part that its cells have in lower case, itself, and its other spellings
        self._wanted: dict[str, tuple[bytes, re.Pattern[bytes], re.Pattern[bytes]]] = {}
        for text in added:
            if isinstance(text, str) and not number(text):
                exact, near = (t.replace('"', '""').encode() for t in (text, text.strip() or text))
                like = cell % (rb"([ \t]*" + re.escape(near) + rb"[ \t]*)")
                patterns = re.compile(cell % re.escape(exact)), re.compile(like, re.IGNORECASE)
                self._wanted[text] = near.lower(), *patterns
        self._similar: dict[str, str] = {}

    def search(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Pass the blocks on, and strike out the texts that they hold."""
        for block in blocks:
            if self._wanted:
                folded = block.data.lower()
                for text, (part, exact, similar) in list(self._wanted.items()):
                    if part not in folded:
                        continue
                    if exact.search(block.data):
                        del self._wanted[text]
                    elif text not in self._similar and (near := similar.search(block.data)):
                        self._similar[text] = near[1].decode()
            yield block

    def notes(self, path: Path, met: frozenset[float | Fraction]) -> list[str]:
        """Return a note on what the file never held, once all blocks have passed.

        met: the numbers of `data.missing` that the cells held.
        """
        notes = []
        for text in self._wanted:
            note = f"data.missing: '{echo(text)}' occurs nowhere in {path.name}"
            if text in self._similar:
                near = self._similar[text]
                note += f", but '{echo(near)}' does; blanks and case count, so list '{echo(near)}'"
            notes.append(note)
        for number in self._numbers:
            if (self._exact(number) if isinstance(number, str) else number) not in met:
                notes.append(f"data.missing: {number} occurs in no column of {path.name} in use")
        return notes
