"""Read a YAML text into plain values with their positions.

YAML that a config does not need (anchors, tags, duplicate keys, several documents) is reported with
its position. `yaml_scalars` says what a scalar means, `schema` what a key means.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml

from ml2021.config.yaml_scalars import resolve_scalar
from ml2021.formatting import echo

NESTING_LIMIT = 32
_TOO_DEEP = f"nested more than {NESTING_LIMIT} levels deep; remove brackets or indentation"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_IN_VALUES = re.compile("[\0\ud800-\udfff]")
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Words of the YAML library's message -> what is wrong and what to do, for the writer of a config.
_SYNTAX = {
    "scanning an anchor": "& starts an anchor; quote text that contains it",
    "scanning an alias": "* starts an alias; quote globs and text that contain it",
    "tab character": "tab in the indentation; indent with spaces",
    "cannot start any token": "text cannot start with this character; quote it",
    "mapping values are not allowed": "unexpected ':'; check the indentation, "
    "or quote text that contains ': '",
    "could not find expected ':'": "key without ':'; write key: value",
    "',' or ']'": "unclosed list; add the missing , or ]",
    "',' or '}'": "unclosed mapping; add the missing , or }",
    "end of stream": "unclosed quote; add the closing quote",
    "Unicode character escape": "invalid Unicode escape; write the character itself",
    "escape character": "unknown escape after \\; use single quotes for text with \\",
    "expected key": "line is not key: value; check the indentation and the quotes",
    "'-' indicator": "list item without '-'; check the indentation",
    "expected node content": "missing value; quote text that starts with this character",
    "<document start>": "text after the end of the config; check the indentation and the quotes",
}

KeyPath = tuple[str | int, ...]


class Place(NamedTuple):
    """A position in a config; places sort in reading order, the file before the overrides."""

    rank: int
    """0 in the file; i in the i-th override, which has no lines."""
    line: int
    column: int
    source: str

    @property
    def prefix(self) -> str:
        """What a message about this place starts with."""
        return self.source if self.rank else f"{self.source}:{self.line}:{self.column}"


class Node(NamedTuple):
    """Places of a key, of its value, and of the report of a key missing inside that value."""

    key: Place
    value: Place
    inside: Place


class Problem(NamedTuple):
    """An error in a config; `path` is the value that could not be read, if it is about one."""

    place: Place
    path: KeyPath | None
    message: str


@dataclass
class Document:
    """Plain values, their places, and what is wrong with them."""

    value: object = None
    nodes: dict[KeyPath, Node] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    is_empty: bool = True
    is_complete: bool = True
    """False if reading had to stop at a problem; `value` is then None."""


def parse_document(text: str, source: str, rank: int = 0) -> Document:
    """Read a YAML text that comes from `source`; never raises, however broken the text is."""
    reader = _Reader(text, source, rank)
    try:
        reader.read()
    except _StopReadingError:
        reader.document.is_complete = False
    except yaml.MarkedYAMLError as error:
        reader.document.is_complete = False
        reader.report_syntax(error)
    return reader.document


class _StopReadingError(Exception):
    """The rest of the text cannot be separated into keys and values."""


class _Reader:
    """Reads a document by recursive descent over the events of the YAML parser.

    `yaml.compose` would resolve the aliases, and forget where anchors and tags stood.
    """

    def __init__(self, text: str, source: str, rank: int) -> None:
        self.document = Document()
        self._text = text
        self._source = source
        self._rank = rank
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def read(self) -> None:
        wrong = _NOT_TEXT.search(self._text)
        if wrong:
            line, column = line_and_column(self._text[: wrong.start()])
            self._stop(self._place(line, column), (), _name_character(wrong.group()))
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and self.document.nodes:
                message = "second document; keep only one, and remove the line '---'"
                self._stop(self._start(event), (), message)
            if isinstance(event, yaml.NodeEvent):
                value = self._read_value(event, (), self._place(1, 1))
                self.document.value = value
                self.document.is_empty = (
                    isinstance(event, yaml.ScalarEvent) and event.value == "" and event.implicit[0]
                )

    def report_syntax(self, error: yaml.MarkedYAMLError) -> None:
        problem = f"{error.context}: {error.problem}"
        mark = error.problem_mark or error.context_mark
        if error.context_mark and any(
            word in problem for word in ("end of stream", "scanning an a", "',' or '")
        ):
            mark = error.context_mark  # the start of what is unclosed, rather than the end of text
        line, column = (0, 0) if mark is None else (mark.line, mark.column)
        rows = self._text.splitlines()
        if line < len(rows) and rows[line][column : column + 1] == "\t":
            problem = "tab character"
        message = next((m for words, m in _SYNTAX.items() if words in problem), error.problem)
        # Some versions of the library refuse 1,000 brackets before they yield any of them.
        message = _TOO_DEEP if "nesting depth" in problem else f"not valid YAML: {message}"
        self._report(self._place(line + 1, column + 1), (), message)

    def _read_value(self, event: yaml.NodeEvent, path: KeyPath, key: Place | None = None) -> object:
        place = self._start(event)
        key = key or place
        self._check_properties(event, place, path)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.document.nodes[path] = Node(key, place, key if is_mapping else place)
        if isinstance(event, yaml.ScalarEvent):
            return self._read_scalar(event, place, path)
        if isinstance(event, yaml.AliasEvent):
            return None
        if len(path) >= NESTING_LIMIT:
            self._stop(place, path, _TOO_DEEP)
        return self._read_mapping(path) if is_mapping else self._read_list(path)

    def _read_list(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._read_value(event, (*path, len(items))))
        return items

    def _read_mapping(self, path: KeyPath) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = self._start(event)
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(place, path, "key is not text; write key: value")
            name = event.value
            below = (*path, name)
            if wrong := find_wrong_character(name):
                self._stop(place, path, wrong)
            self._check_properties(event, place, below)
            if name == "<<" and event.implicit[0]:
                self._report(place, below, "merge key << is not supported; write the keys")
            if name in mapping:
                first = self.document.nodes[below].key
                there = "" if self._rank else f", first on line {first.line}"
                self._report(place, below, f"duplicate key '{echo(name)}'{there}; keep one")
            mapping[name] = self._read_value(next(self._events), below, place)
        return mapping

    def _read_scalar(self, event: yaml.ScalarEvent, place: Place, path: KeyPath) -> object:
        if event.implicit[0]:
            try:
                return resolve_scalar(event.value)
            except ValueError as error:
                self._report(place, path, str(error))
                return None
        # An escape in double quotes can spell a character that the text itself may not contain.
        if wrong := find_wrong_character(event.value):
            self._report(place, path, wrong)
        return str(event.value)

    def _check_properties(self, event: yaml.NodeEvent, place: Place, path: KeyPath) -> None:
        """Report an alias, an anchor or a tag."""
        found = []
        if isinstance(event, yaml.AliasEvent):
            found.append(("alias", f"*{event.anchor}", "write the value", "*"))
        elif event.anchor is not None:
            found.append(("anchor", f"&{event.anchor}", "remove it", "&"))
        if (tag := getattr(event, "tag", None)) is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!", 1)
            found.append(("tag", tag, "remove it", "!"))
        for what, text, advice, mark in found:
            message = f"{what} {echo(text)} is not supported; {advice}"
            self._report(place, path, f"{message}, or quote text that starts with {mark}")

    def _place(self, line: int, column: int) -> Place:
        return Place(self._rank, line, column, self._source)

    def _start(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None, "the parser gives every event a position"
        return self._place(mark.line + 1, mark.column + 1)

    def _report(self, place: Place, path: KeyPath, message: str) -> None:
        self.document.problems.append(Problem(place, path, message))

    def _stop(self, place: Place, path: KeyPath, message: str) -> NoReturn:
        self._report(place, path, message)
        raise _StopReadingError


def line_and_column(before: str) -> tuple[int, int]:
    """Return the line and the column, from 1, of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def find_wrong_character(text: str) -> str | None:
    """Return a message about a character that no key or value may contain, if there is one."""
    wrong = _NOT_IN_VALUES.search(text)
    return _name_character(wrong.group()) if wrong else None


def _name_character(character: str) -> str:
    code = ord(character)
    kind = "lone surrogate" if 0xD800 <= code <= 0xDFFF else "control character"
    return f"{kind} {'NUL ' if code == 0 else ''}(U+{code:04X}); remove it"
