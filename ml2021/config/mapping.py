"""A config from Python: a mapping of plain values in place of a YAML file, checked as that is.

Messages name a value by its dotted key. What stands for a plain value counts as one: scalars and
arrays of numpy, tuples, paths, dates, and numbers as keys.
"""

import datetime
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml2021.config.loading import Draft, LoadedConfig, check_draft, read_draft, read_text, refuse
from ml2021.config.messages import dotted
from ml2021.config.schema import FRAME
from ml2021.config.yaml_reader import (
    NESTING_LIMIT,
    KeyPath,
    Node,
    Place,
    Problem,
    find_wrong_character,
)
from ml2021.config.yaml_scalars import dump_document
from ml2021.formatting import echo

_ROOT = "config"
"""What messages call the mapping itself."""
_WORDS = {"null": "None", "true": "True", "false": "False"}
_OF_FILES = ("path", "test_path", "skip_rows")
"""Keys of `data` that a data frame has no use for."""


def load_from_python(
    config: Mapping[Any, Any] | str | os.PathLike[str], *, with_frame: bool
) -> LoadedConfig:
    """Load a config as `load_config` does, from a mapping or the file at a path.

    with_frame: the table is a data frame, and the config names no file. Raises ConfigError with a
    line for each error, and TypeError for what is neither a mapping nor a path.
    """
    if isinstance(config, Mapping):
        draft, text = _read(config), ""
    elif isinstance(config, str | os.PathLike):
        text = read_text(path := Path(config))
        draft = read_draft(text, str(path))
    else:
        raise TypeError(f"config: a mapping or a path is needed, not {type(config).__name__}")
    if isinstance(config, Mapping) and draft.tree is not None and not draft.problems:
        text = dump_document(draft.tree)
    if with_frame:
        draft = _for_frame(draft)
    checked, problems = check_draft(draft)
    if isinstance(config, Mapping):
        problems = [_in_python(problem) for problem in problems]
    if not with_frame:
        problems = [_or_frame(problem) for problem in problems]
    refuse(map(_without_repeats, problems))
    assert checked is not None
    return LoadedConfig(checked, text, draft.nodes)


def _without_repeats(problem: Problem) -> Problem:
    """Return the problem without the key at the start of its message, if that is its place."""
    key = problem.place.source
    if problem.place.rank and problem.message.startswith((f"{key} must ", f"{key} type ")):
        return problem._replace(message=problem.message.removeprefix(f"{key} "))
    return problem


def _in_python(problem: Problem) -> Problem:
    """Return the problem with values as Python writes them, but for what is quoted."""
    message = re.sub(r"; write \[(.*)\]$", r"; write ['\1']", problem.message)
    words = re.sub(r"'[^']*'|\b(?:null|true|false)\b", lambda m: _WORDS.get(m[0], m[0]), message)
    return problem._replace(message=words)


def _or_frame(problem: Problem) -> Problem:
    """Return the problem with what Python may pass in place of the path of a table."""
    is_path = problem.message == "missing key 'path' in data; add it"
    return problem._replace(message=f"{problem.message}, or pass a frame") if is_path else problem


def _for_frame(draft: Draft) -> Draft:
    """Return the draft with `FRAME` as its path, and a problem for each key of a file."""
    data = None if draft.tree is None else draft.tree.get("data")
    if draft.tree is None or not isinstance(data, dict):
        return draft
    problems = [*draft.problems]
    for key in _OF_FILES:
        if data.get(key) not in (None, 0, []):
            path = ("data", key)
            message = "only for the table of a file, but there is a DataFrame; remove it"
            problems.append(Problem(draft.nodes[path].key, path, message))
    data = {**{key: data[key] for key in data if key not in _OF_FILES}, "path": FRAME}
    if data.get("decimal") == "," and "separator" not in data:
        data["separator"] = ";"  # which a frame has no use for, and a file of it mostly
    return replace(draft, tree={**draft.tree, "data": data}, problems=problems)


def _read(config: Mapping[Any, Any]) -> Draft:
    """Return the plain values of a mapping, their places, and what is wrong with them."""
    reader = _Reader({}, [])
    tree = reader.read(config, ())
    assert isinstance(tree, dict)
    return Draft(tree, reader.nodes, reader.problems)


@dataclass
class _Reader:
    nodes: dict[KeyPath, Node]
    problems: list[Problem]

    def read(self, value: object, path: KeyPath) -> object:
        """Return a value as YAML would give it; None, and a problem, where it could not."""
        place = Place(1, len(self.nodes), 0, dotted(path) or _ROOT)
        self.nodes[path] = Node(place, place, place)
        if isinstance(value, Mapping | list | tuple) and len(path) >= NESTING_LIMIT:
            self._report(place, path, f"nested more than {NESTING_LIMIT} levels deep")
            return None
        if isinstance(value, Mapping):
            return self._read_mapping(value, path)
        if isinstance(value, list | tuple):
            return [self.read(item, (*path, index)) for index, item in enumerate(value)]
        value = _plain(value)
        if isinstance(value, list):
            return self.read(value, path)
        if isinstance(value, str) and (wrong := find_wrong_character(value)):
            self._report(place, path, wrong)
            return None
        if value is None or isinstance(value, str | int | float):
            return value
        what = type(value).__name__
        text = f"holds a {what}; give text, a number, true or false, a list or a mapping"
        self._report(place, path, text)
        return None

    def _read_mapping(self, mapping: Mapping[Any, Any], path: KeyPath) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in mapping.items():
            name, place = _plain(key), self.nodes[path].key
            if not isinstance(name, str | int | float):
                self._report(place, path, f"the key {echo(repr(key))} is not text")
            elif wrong := find_wrong_character(name := str(name)):
                self._report(place, path, wrong)
            elif name in found:
                self._report(place, path, f"duplicate key '{echo(name)}'; keep one")
            else:
                found[name] = self.read(value, (*path, name))
        return found

    def _report(self, place: Place, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(place, path, message))


def _plain(value: object) -> object:
    """Return the plain value that a scalar or an array stands for, or the value itself."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, datetime.date) or type(value).__name__ == "datetime64":
        return str(value)
    for base in (str, bool, int, float):  # of which numpy derives classes
        if isinstance(value, base):
            return base(value)
    convert = getattr(value, "tolist", None)  # of numpy and pandas: of a scalar, the plain one
    return value if convert is None else convert()
