"""Values put into a config from elsewhere than its text: `--set KEY=VALUE`, and a sweep's settings.

Each keeps the place where it was written, so that a mistake in it is reported there. What the
values mean is left to `schema`.
"""

from collections.abc import Mapping
from typing import Any

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
from ml2021.formatting import echo


def apply_override(
    override: str, rank: int, tree: dict[str, Any], nodes: dict[KeyPath, Node]
) -> list[Problem]:
    """Put the value of `KEY=VALUE`, the `rank`-th override, into `tree`, its place into `nodes`."""
    name, equals, text = override.partition("=")
    name = name.strip()
    place = Place(rank, 0, 0, f"--set {echo(name or override)}")
    if not equals:
        return [Problem(place, None, "no value; write --set KEY=VALUE")]
    if wrong := wrong_key(name):
        return [Problem(place, None, wrong)]
    path: KeyPath = tuple(name.split("."))
    document = parse_document(text, place.source, rank)
    if document.is_complete and document.is_empty:
        return [Problem(place, path, "no value after '='; write null for none, '\"\"' for no text")]
    own = Node(place, place, place)
    data = assign(tree, nodes, path, document.value, own, dict.fromkeys(document.nodes, own))
    if data is not None:
        return [*document.problems, data]
    return [p._replace(path=(*path, *(p.path or ()))) for p in document.problems]


def wrong_key(name: str) -> str | None:
    """Return the message about a text that is no dotted key, if it is none."""
    if not all(name.split(".")):
        return "not a dotted key; write one such as optimizer.lr"
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
    """Put a value at `path` of the tree; `own` is its node, `below` has those inside of it.

    Mappings on the way are copied, so that what shares them with the tree stays as it is.
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
            message = (
                f"{dotted(above)} is {kind_of(child)} without keys; set {dotted(above)} itself"
            )
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


def kind_of(value: object) -> str:
    """Return what a value is, in the user's words."""
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"'{echo(value)}'"
