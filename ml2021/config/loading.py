"""A config file and `--set` overrides turned into a checked `Config`, and back into YAML.

Everything that is wrong is said at once, a line each: `file:line:column: what; what to do`.
Whether the columns, files and devices that a config names exist is left to later stages, which
ask `LoadedConfig.locate` where to point.
"""

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml2021.config.messages import describe
from ml2021.config.overrides import apply_override, kind_of
from ml2021.config.schema import Config
from ml2021.config.yaml_reader import KeyPath, Node, Place, Problem, line_and_column, parse_document
from ml2021.config.yaml_scalars import dump_document
from ml2021.errors import ConfigError, ResourceError, is_of_machine
from ml2021.formatting import printable

SIZE_LIMIT = 1 << 20
"""The largest config file, in bytes."""

SHOWN_LIMIT = 20
"""The most mistakes that are named at once."""


@dataclass(frozen=True)
class LoadedConfig:
    """A config that passed all checks which need neither data nor device."""

    config: Config
    text: str
    """The file as the user wrote it."""
    nodes: Mapping[KeyPath, Node]
    """Where each key and value stands."""

    def locate(self, *keys: str | int) -> str:
        """Return what a message about the value at `keys` starts with.

        That is `file:line:column`, or `--set KEY` for a value from an override. A key that the
        user left out is reported where the nearest mapping around it stands.
        """
        return _place_of(self.nodes, keys).prefix


def load_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read a config file, apply `overrides`, and check the whole.

    An override is `KEY=VALUE` with a dotted key and a YAML value: `optimizer.lr=0.01`. Where a
    key is set twice the last one wins. Raises ConfigError with a line for each thing wrong.
    """
    return load_config_text(read_text(path), str(path), overrides)


def load_config_text(text: str, source: str, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Do what `load_config` does for a text that stands at `source`."""
    draft = read_draft(text, source, overrides)
    config, problems = check_draft(draft)
    refuse(problems)
    assert config is not None
    return LoadedConfig(config, text, draft.nodes)


@dataclass(frozen=True)
class Draft:
    """A config before the schema has seen it: plain values, and what is wrong already."""

    tree: Mapping[str, Any] | None
    """None where the text is no whole mapping."""
    nodes: Mapping[KeyPath, Node]
    problems: Sequence[Problem] = ()


def read_draft(text: str, source: str, overrides: Sequence[str] = ()) -> Draft:
    """Read a text that stands at `source`, and apply overrides."""
    source = printable(source)
    document = parse_document(text, source)
    problems = document.problems
    start = Place(0, 1, 1, source)
    tree = document.value
    if document.is_complete and document.value is None and not problems:
        message = "the config is empty; it needs at least data.path and data.target"
        problems.append(Problem(start, None, message))
    elif document.is_complete and not isinstance(tree, dict):
        message = f"the config must be a mapping (key: value), not {kind_of(tree)}"
        problems.append(Problem(start, None, message))
    mapping = tree if isinstance(tree, dict) else {}
    nodes = document.nodes
    nodes[()] = Node(start, start, start)
    for rank, override in enumerate(overrides, start=1):
        problems += apply_override(override, rank, mapping, nodes)
    is_whole = document.is_complete and isinstance(tree, dict)
    return Draft(mapping if is_whole else None, nodes, problems)


def check_draft(draft: Draft) -> tuple[Config | None, list[Problem]]:
    """Return the config, or everything that is wrong with it."""
    problems = list(draft.problems)
    config = None
    if draft.tree is not None:
        try:
            config = Config.model_validate(draft.tree)
        except ValidationError as error:
            problems += _schema_problems(error, draft.nodes, {p.path for p in problems})
    return (None if problems else config), problems


def refuse(problems: Iterable[Problem]) -> None:
    """Raise ConfigError with a line for each problem, in the order of their places."""
    ordered = sorted(problems, key=lambda data: data.place)
    if not ordered:
        return
    lines = [f"{p.place.prefix}: {p.message}" for p in ordered[:SHOWN_LIMIT]]
    if (more := len(ordered) - SHOWN_LIMIT) > 0:
        source = ordered[0].place.source
        lines.append(f"{source}: and {more:,} more mistakes; mend these first")
    raise ConfigError(*lines)


def to_plain(config: Config) -> dict[str, Any]:
    """Return a config with every default, as plain values in the order of the schema."""
    return config.model_dump()


def dump_yaml(config: Config) -> str:
    """Return a config with every default as YAML, which loads as an equal config."""
    return dump_document(to_plain(config))


def read_text(path: Path) -> str:
    """Return the text of a config file. Raises ConfigError where it cannot be read."""
    place = printable(str(path.absolute()))
    try:
        # Opening a FIFO would wait for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise ConfigError(f"{place}: {kind}; give the path of a YAML file")
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise ConfigError(f"{place}: no such file; check the path and the folder") from None
    except ValueError:
        raise ConfigError(f"{place}: not a path; it must not hold a NUL character") from None
    except OSError as error:
        reason = error.strerror or "input/output error"
        if is_of_machine(error):
            raise ResourceError(f"{place}: cannot be read ({reason})") from None
        raise ConfigError(f"{place}: cannot be read ({reason}); check the path") from None
    source = printable(str(path))
    if len(content) > SIZE_LIMIT:
        raise ConfigError(
            f"{source}: larger than 1 MiB; a config is a few lines, is this the data?"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        line, column = line_and_column(before)
        what = f"not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            what = "UTF-16, not UTF-8; save the file as UTF-8"
        raise ConfigError(f"{source}:{line}:{column}: {what}") from None


def _schema_problems(
    error: ValidationError, nodes: Mapping[KeyPath, Node], broken: set[KeyPath | None]
) -> list[Problem]:
    problems = []
    for details in error.errors(include_url=False):
        finding = describe(details)
        path = next((path for path in finding.paths if path in nodes), finding.paths[0])
        if any(path[:length] in broken for length in range(len(path) + 1)):
            continue  # what stands there could not be read, which has been said
        place = nodes[path].key if finding.is_at_key else _place_of(nodes, path)
        problems.append(Problem(place, path, finding.message))
    return problems


def _place_of(nodes: Mapping[KeyPath, Node], path: KeyPath) -> Place:
    if path in nodes:
        return nodes[path].value
    while path not in nodes:
        path = path[:-1]
    return nodes[path].inside
