"""A YAML text turned into plain values with their positions.

What a config has no use for (anchors, tags, repeated keys, several documents) is a problem with a
position. What a scalar means is left to `scalars`, what a key means to `schema`; files and
overrides are left to `loading`.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import yaml

from ml2021.config.yaml_scalars import resolve_scalar
from ml2021.formatting import echo

NESTING_LIMIT = 32

_TOO_DEEP = f"nested more than {NESTING_LIMIT} deep; remove brackets or indentation"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NOT_IN_VALUES = re.compile("[\0\ud800-\udfff]")

_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# What the YAML library says -> what to do about it, in the words of somebody who writes configs.
_SYNTAX = {
    "scanning an anchor": "an & starts an anchor; put text with it in quotes",
    "scanning an alias": "a * starts an alias; put globs and text with it in quotes",
    "tab character": "a tab in the indentation; indent with spaces",
    "cannot start any token": "text cannot start with this character; put it in quotes",
    "mapping values are not allowed": "a ':' where no key can stand; check the indentation, "
    "or put text that contains ': ' in quotes",
    "could not find expected ':'": "a key without ':'; write key: value",
    "',' or ']'": "a list without its end; add the missing , or ]",
    "',' or '}'": "a mapping without its end; add the missing , or }",
    "end of stream": "a quote without its end; add the missing quote",
    "Unicode character escape": "an escape that stands for no character; write the character",
    "escape character": "an unknown escape after \\; use single quotes for text with \\",
    "expected key": "a line that is not key: value; check the indentation and the quotes",
    "'-' indicator": "a line in a list without '-'; check the indentation",
    "expected node content": "a value is missing here; text that starts with this character "
    "belongs in quotes",
    "<document start>": "text after the end of the config; check the indentation and the quotes",
}

KeyPath = tuple[str | int, ...]


class Place(NamedTuple):
    """Where something stands; places sort in the order in which people read them."""

    rank: int
    """0 in a file; i in the i-th override, which has no lines."""
    line: int
    column: int
    source: str

    @property
    def prefix(self) -> str:
        """What a message about this place starts with."""
        return self.source if self.rank else f"{self.source}:{self.line}:{self.column}"


class Node(NamedTuple):
    """Where a key stands, where its value does, and where a key missing inside is reported."""

    key: Place
    value: Place
    inside: Place


class Problem(NamedTuple):
    """Something wrong; `path` is the value that could not be read, if it is about one."""

    place: Place
    path: KeyPath | None
    message: str


@dataclass
class Document:
    """Plain values, where each stands, and what is wrong."""

    value: object = None
    nodes: dict[KeyPath, Node] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    is_empty: bool = True
    is_complete: bool = True
    """False where reading had to stop at a problem."""


def parse_document(text: str, source: str, rank: int = 0) -> Document:
    """Read a YAML text that stands at `source`; never raises for a text, however broken."""
    builder = _Builder(source, rank)
    document = builder.document
    try:
        builder.build(text)
    except _StopReadingError:
        document.is_complete = False
    except yaml.MarkedYAMLError as error:
        document.is_complete = False
        builder.report_syntax(error, text)
    return document


class _StopReadingError(Exception):
    """The rest of the text cannot be told apart into keys and values."""


@dataclass
class _Frame:
    """A list or mapping whose end has not been reached."""

    container: dict[str, object] | list[object]
    path: KeyPath
    key: str | None = None
    """The key whose value comes next."""
    key_place: Place | None = None


class _Builder:
    """Builds a document from the events of the YAML parser; holds its own stack."""

    def __init__(self, source: str, rank: int) -> None:
        self.document = Document()
        self._source = source
        self._rank = rank
        self._stack: list[_Frame] = []

    def build(self, text: str) -> None:
        wrong = _NOT_TEXT.search(text)
        if wrong:
            start = wrong.start()
            line, column = line_and_column(text[:start])
            self._stop(self._place(line, column), (), _name_character(wrong.group()))
        number = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                number += 1
                if number > 1:
                    message = "a second document; keep one, and remove the line '---'"
                    self._stop(self._start(event), (), message)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._stack.pop()
            elif isinstance(event, yaml.NodeEvent):
                frame = self._stack[-1] if self._stack else None
                if frame and isinstance(frame.container, dict) and frame.key is None:
                    self._read_key(event, frame)
                else:
                    self._read_value(event, frame)

    def report_syntax(self, error: yaml.MarkedYAMLError, text: str) -> None:
        problem = f"{error.context}: {error.problem}"
        mark = error.problem_mark or error.context_mark
        if error.context_mark and any(
            word in problem for word in ("end of stream", "scanning an a", "',' or '")
        ):
            mark = error.context_mark  # where it starts helps more than where the text ends
        line, column = (0, 0) if mark is None else (mark.line, mark.column)
        rows = text.splitlines()
        if line < len(rows) and rows[line][column : column + 1] == "\t":
            problem = "tab character"
        place = self._place(line + 1, column + 1)
        if "nesting depth" in problem:  # some versions look 1,000 brackets ahead
            self._report(place, (), _TOO_DEEP)
            return
        advice = next((a for words, a in _SYNTAX.items() if words in problem), error.problem)
        self.document.problems.append(Problem(place, (), f"not valid YAML: {advice}"))

    def _read_key(self, event: yaml.NodeEvent, frame: _Frame) -> None:
        place = self._start(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(place, frame.path, "a key that is not text; write key: value")
        wrong = find_wrong_character(event.value)
        if wrong:
            self._stop(place, frame.path, wrong)
        path = (*frame.path, event.value)
        self._check_properties(event, place, path)
        if event.value == "<<" and event.implicit[0]:
            self._report(place, path, "a merge key (<<), which is not supported; write the keys")
        if event.value in frame.container:
            first = self.document.nodes[path].key
            there = "" if self._rank else f", which stands on line {first.line} already"
            self._report(place, path, f"repeated key '{echo(event.value)}'{there}; keep one")
        frame.key, frame.key_place = event.value, place

    def _read_value(self, event: yaml.NodeEvent, frame: _Frame | None) -> None:
        place = self._start(event)
        if frame is None:
            path: KeyPath = ()
            key_place = self._place(1, 1)
        elif isinstance(frame.container, list):
            path, key_place = (*frame.path, len(frame.container)), place
        else:
            assert frame.key is not None, "a value in a mapping has a key"
            assert frame.key_place is not None, "and the key has a place"
            path, key_place = (*frame.path, frame.key), frame.key_place
        self._check_properties(event, place, path)
        value: object = None
        if isinstance(event, yaml.AliasEvent):
            message = f"an alias (*{echo(event.anchor)}), which is not supported; write the value"
            self._report(place, path, f"{message}, or put text that starts with * in quotes")
        elif isinstance(event, yaml.ScalarEvent):
            value = self._read_scalar(event, place, path)
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        inside = key_place if isinstance(value, dict) else place
        self.document.nodes[path] = Node(key_place, place, inside)
        if frame is None:
            self.document.value = value
            self.document.is_empty = (
                isinstance(event, yaml.ScalarEvent) and event.value == "" and event.implicit[0]
            )
        elif isinstance(frame.container, list):
            frame.container.append(value)
        elif frame.key is not None:
            frame.container[frame.key] = value
            frame.key = None
        if isinstance(value, dict | list):
            if len(self._stack) >= NESTING_LIMIT:
                self._stop(place, path, _TOO_DEEP)
            self._stack.append(_Frame(value, path))

    def _read_scalar(self, event: yaml.ScalarEvent, place: Place, path: KeyPath) -> object:
        if event.implicit[0]:
            try:
                return resolve_scalar(event.value)
            except ValueError as error:
                self._report(place, path, str(error))
                return None
        # An escape in double quotes can spell what the text itself may not hold.
        wrong = find_wrong_character(event.value)
        if wrong:
            self._report(place, path, wrong)
        return str(event.value)

    def _check_properties(self, event: yaml.NodeEvent, place: Place, path: KeyPath) -> None:
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            message = f"an anchor (&{echo(event.anchor)}), which is not supported; remove it"
            self._report(place, path, f"{message}, or put text that starts with & in quotes")
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!", 1)
            message = f"a tag ({echo(tag)}), which is not supported; remove it"
            self._report(place, path, f"{message}, or put text that starts with ! in quotes")

    def _place(self, line: int, column: int) -> Place:
        return Place(self._rank, line, column, self._source)

    def _start(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None, "the parser says where an event starts"
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
    """Return the message about a character that no key and no value can hold, if there is one."""
    wrong = _NOT_IN_VALUES.search(text)
    return _name_character(wrong.group()) if wrong else None


def _name_character(character: str) -> str:
    code = ord(character)
    kind = "a lone surrogate" if 0xD800 <= code <= 0xDFFF else "a control character"
    return f"{'NUL, ' if code == 0 else ''}{kind} (U+{code:04X}); remove it"
