"""Load a config file and `--set` overrides into a validated `Config`, and dump it as YAML.

All errors are reported at once, a line each: `file:line:column: what; what to do`. Later stages
check that the columns, files and devices of a config exist, and get the place of an error from
`LoadedConfig.locate`.
"""

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml2021.config.messages import TAGS, describe, shown
from ml2021.config.overrides import apply_override
from ml2021.config.schema import FORMAT_KEYS, Config, Data
from ml2021.config.yaml_reader import KeyPath, Node, Place, Problem, line_and_column, parse_document
from ml2021.config.yaml_scalars import dump_document
from ml2021.errors import CheckpointError, ConfigError, ResourceError, is_of_machine
from ml2021.files import missing_file
from ml2021.formatting import echo, listed, plural, printable

SIZE_LIMIT = 1 << 20
"""Maximum size of a config file, in bytes."""
SHOWN_LIMIT = 20
"""Maximum number of errors reported at once."""


@dataclass(frozen=True)
class LoadedConfig:
    """A config that passed all checks that need neither data nor device."""

    config: Config
    text: str
    """The file as the user wrote it."""
    nodes: Mapping[KeyPath, Node]
    """Places of the keys and values."""

    def locate(self, *keys: str | int) -> str:
        """Return the place of the value at `keys`, for the start of a message.

        That is `file:line:column`, or `--set KEY` for a value from an override. The place of a
        missing key is that of the nearest mapping around it.
        """
        return _place_of(self.nodes, keys).prefix


def load_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read a config file, apply `overrides`, and validate the result.

    An override is `KEY=VALUE` with a dotted key and a YAML value: `optimizer.lr=0.01`. If a key
    is set twice, the last value wins. Raises ConfigError with a line for each error.
    """
    return load_config_text(read_text(path), str(path), overrides)


def load_saved_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Load the config that a run has saved, with every default, and apply `overrides`.

    Raises CheckpointError where the file is at fault, ConfigError where an override is.
    """
    try:
        loaded = load_config(path)
    except ConfigError as error:
        raise CheckpointError(*error.lines) from None
    if loaded.config.task == "auto" or loaded.config.loss is None:
        raise CheckpointError(f"{path}: not as a run saves it, with task and loss; restore it")
    return load_config(path, overrides) if overrides else loaded


def load_config_text(text: str, source: str, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Load a config as `load_config` does, from a text; messages name it `source`."""
    draft = read_draft(text, source, overrides)
    config, problems = check_draft(draft)
    refuse(problems)
    assert config is not None
    return LoadedConfig(config, text, draft.nodes)


def set_format(data: Data, overrides: Sequence[str]) -> Data:
    """Return `data` for a file that is written otherwise, by overrides of `FORMAT_KEYS`.

    Raises ConfigError with a line for each error, such as an override of any other key.
    """
    if not overrides:
        return data
    names = [f"data.{key}" for key in FORMAT_KEYS]
    for override in overrides:
        if (name := re.split("[=:]", override)[0].strip()) not in names:
            only = f"only how the file is written can be set here: {listed(names, len(names))}"
            raise ConfigError(f"--set {echo(name)}: {only}")
    known = {key: getattr(data, key) for key in FORMAT_KEYS}
    text = dump_document({"data": {"path": "-", "target": "-", **known}})
    found = load_config_text(text, "the config of the run", overrides).config.data
    return data.model_copy(update={key: getattr(found, key) for key in FORMAT_KEYS})


@dataclass(frozen=True)
class Draft:
    """A config before validation: plain values, their places, and the errors so far."""

    tree: Mapping[str, Any] | None
    """None if the text is not a complete mapping."""
    nodes: Mapping[KeyPath, Node]
    problems: Sequence[Problem] = ()


def read_draft(text: str, source: str, overrides: Sequence[str] = ()) -> Draft:
    """Read a text, named `source` in messages, and apply overrides."""
    source = printable(source)
    document = parse_document(text, source)
    problems = document.problems
    start = Place(0, 1, 1, source)
    tree = document.value
    mapping = tree if isinstance(tree, dict) else {}
    if document.is_complete and mapping is not tree:
        message = f"the config must be a mapping (key: value), not {shown(tree)}"
        if tree is None and not problems:
            message = "the config is empty; it needs at least data.path and data.target"
        problems.append(Problem(start, None, message))
    nodes = document.nodes
    nodes[()] = Node(start, start, start)
    for rank, override in enumerate(overrides, start=1):
        problems += apply_override(override, rank, mapping, nodes)
    return Draft(mapping if document.is_complete and mapping is tree else None, nodes, problems)


def check_draft(draft: Draft) -> tuple[Config | None, list[Problem]]:
    """Return the validated config, or None and all errors."""
    problems = list(draft.problems)
    config = None
    if draft.tree is not None:
        try:
            config = Config.model_validate(draft.tree)
        except ValidationError as error:
            problems += _schema_problems(error, draft.nodes, {p.path for p in problems})
    return (None if problems else config), problems


def refuse(problems: Iterable[Problem]) -> None:
    """Raise ConfigError with a line for each problem, in reading order; return if there is none."""
    ordered = sorted(problems, key=lambda problem: problem.place)
    if not ordered:
        return
    lines = [f"{p.place.prefix}: {p.message}" for p in ordered[:SHOWN_LIMIT]]
    if (more := len(ordered) - SHOWN_LIMIT) > 0:
        source = ordered[0].place.source
        lines.append(f"{source}: and {plural(more, 'more error')}; fix these first")
    raise ConfigError(*lines)


def to_plain(config: Config) -> dict[str, Any]:
    """Return a config with every default, as plain values in the order of the schema."""
    return config.model_dump()


def dump_yaml(config: Config) -> str:
    """Return a config with every default as YAML, which loads as an equal config."""
    return dump_document(to_plain(config))


def dump_changes(config: Config) -> str:
    """Return what the user set to anything but its default, as YAML."""
    needed = {"path": config.data.path, "target": config.data.target}
    default = Config.model_validate({"data": needed}).model_dump()
    default["data"] = {key: default["data"][key] for key in default["data"] if key not in needed}
    return dump_document(_changes(config.model_dump(exclude_unset=True), default))


def _changes(given: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs; a member of a union that is not the default is kept whole."""
    found = {}
    for key, value in given.items():
        usual = default.get(key)
        if isinstance(value, Mapping) and isinstance(usual, Mapping):
            tags = [tag for tag in TAGS if value.get(tag) != usual.get(tag)]
            value = value if tags else _changes(value, usual)
            if not value:
                continue
        if value != usual:
            found[key] = value
    return found


def read_text(path: Path) -> str:
    """Return the text of a config file. Raises ConfigError or ResourceError if that fails."""
    place = printable(str(path.absolute()))
    content = None
    try:
        if stat.S_ISREG(path.stat().st_mode):  # opening a FIFO would block until something writes
            with path.open("rb") as file:
                content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise ConfigError(missing_file(path)) from None
    except ValueError:
        raise ConfigError(f"{place}: not a valid path; remove the NUL character") from None
    except OSError as error:
        reason = error.strerror or "input/output error"
        if is_of_machine(error):
            raise ResourceError(f"{place}: cannot be read ({reason})") from None
        raise ConfigError(f"{place}: cannot be read ({reason}); check the path") from None
    if content is None:
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise ConfigError(f"{place}: {kind}; give the path of a YAML file")
    source = printable(str(path))
    if len(content) > SIZE_LIMIT:
        raise ConfigError(f"{source}: larger than 1 MiB; give the config here, not the data")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = line_and_column(content[: error.start].decode("utf-8-sig"))
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
            continue  # the value could not be read, which is reported already
        place = nodes[path].key if finding.is_at_key else _place_of(nodes, path)
        problems.append(Problem(place, path, finding.message))
    return problems


def _place_of(nodes: Mapping[KeyPath, Node], path: KeyPath) -> Place:
    if path in nodes:
        return nodes[path].value
    while path not in nodes:
        path = path[:-1]
    return nodes[path].inside
