"""Set values of a config from outside its text: `--set KEY=VALUE`, and a sweep's settings.

Each value keeps the place where it was written, so that errors in it are reported there. The
schema checks the values.
"""

import shlex
from collections.abc import Mapping
from typing import Any, Final

from ml2021.config.messages import dotted
from ml2021.config.paths import models_at, tag_of
from ml2021.config.yaml_reader import (
    NESTING_LIMIT,
    KeyPath,
    Node,
    Place,
    Problem,
    find_wrong_character,
    parse_document,
)
from ml2021.config.yaml_scalars import dump_value
from ml2021.formatting import echo

_MARKS: Final = (("data", "separator"), ("data", "decimal"), ("data", "thousands"))
"""The keys that are one character, which needs no quotes where YAML would want them, as a comma."""


def apply_override(
    override: str, rank: int, tree: dict[str, Any], nodes: dict[KeyPath, Node]
) -> list[Problem]:
    """Apply `KEY=VALUE`, the `rank`-th override, to `tree`, and its place to `nodes`."""
    name, equals, text = override.partition("=")
    name = name.strip()
    place = Place(rank, 0, 0, f"--set {echo(name or override)}")
    if not equals:
        key, _, value = (part.strip() for part in override.partition(":"))
        name = key if key and wrong_key(key) is None else ""
        place = place._replace(source=f"--set {echo(name)}")
        setting = shlex.quote(f"{name or 'KEY'}={value or 'VALUE'}")
        return [Problem(place, None, f"no value; write --set {echo(setting)}")]
    if wrong := wrong_key(name):
        return [Problem(place, None, wrong)]
    path: KeyPath = tuple(name.split("."))
    document = parse_document(text, place.source, rank)
    if path in _MARKS and len(text) == 1 and text != "~":
        document = parse_document(dump_value(text), place.source, rank)
    if document.is_complete and document.is_empty:
        message = "no value after '='; write null for none, '\"\"' for empty text"
        return [Problem(place, path, message)]
    own = Node(place, place, place)
    problem = assign(tree, nodes, path, document.value, own, dict.fromkeys(document.nodes, own))
    if problem is not None:
        return [*document.problems, problem]
    return [p._replace(path=(*path, *(p.path or ()))) for p in document.problems]


def wrong_key(name: str) -> str | None:
    """Return a message about a text that is not a dotted key, or None if it is one."""
    if not all(name.split(".")):
        return "not a dotted key; write a key such as optimizer.lr"
    if wrong := find_wrong_character(name):
        return wrong
    if name.count(".") >= NESTING_LIMIT:
        return "too many dots; write a key such as optimizer.lr"
    return None


def assign(
    tree: dict[str, Any],
    nodes: dict[KeyPath, Node],
    path: KeyPath,
    value: object,
    own: Node,
    below: Mapping[KeyPath, Node],
) -> Problem | None:
    """Set the value at `path` of the tree; `own` is its node, `below` the nodes inside it.

    Mappings along the path are copied, so that other trees that share them do not change.
    """
    inner = tree
    for depth, key in enumerate(map(str, path[:-1]), start=1):
        above = path[:depth]
        child = inner.get(key)
        if child is None:
            child = {}
            nodes[above] = own
        elif isinstance(child, str) and len(union := models_at(above)) > 1:
            tag = tag_of(union)
            nodes[(*above, tag)] = nodes[above]
            nodes[above] = nodes[above]._replace(inside=nodes[above].key)
            child = {tag: child}
        if not isinstance(child, dict):
            what = "a list" if isinstance(child, list) else "a plain value"
            message = f"{dotted(above)} is {what} and has no keys; set {dotted(above)} itself"
            return Problem(own.key, path, message)
        copied = dict(child)
        inner[key] = copied
        inner = copied
    inner[str(path[-1])] = value
    for old in [old for old in nodes if old[: len(path)] == path]:
        del nodes[old]
    nodes[path] = own
    nodes.update(((*path, *rest), node) for rest, node in below.items() if rest)
    return None
