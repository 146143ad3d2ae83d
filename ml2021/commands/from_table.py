"""The config of a table that is named on the command line: `train houses.csv --target price`.

It has the path and the target, and what `--set` adds; all else are the defaults. Its text is kept
with the run, as that of a config file is.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml2021.config.loading import Draft, LoadedConfig, check_draft, load_config_text, refuse
from ml2021.config.overrides import apply_override
from ml2021.config.schema import Config, Data
from ml2021.config.yaml_reader import KeyPath, Node, Place
from ml2021.config.yaml_scalars import dump_document
from ml2021.data.parts import find_parts, literal_name
from ml2021.errors import ConfigError, DataError, Ml2021Error
from ml2021.formatting import echo, printable
from ml2021.runs.directory import RunDirectory


def load_table_config(
    csv: Path,
    target: Sequence[str] | None,
    overrides: Sequence[str],
    known: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[LoadedConfig, list[str]]:
    """Return the config that trains on a table, and notes on what was assumed.

    known: further keys of `data`, which overrides replace. Without a target the last column is it;
    only then is the header of the file read. Messages name the option that a value comes from.
    Raises ConfigError, and DataError for the header.
    """
    data: dict[str, Any] = {"path": str(csv), **known}
    if target:
        data["target"] = target[0] if len(target) == 1 else list(target)
    notes: list[str] = []
    if not target and not any(sets_target(text) for text in overrides):
        data["target"] = last_column(csv, overrides)
        notes.append(
            f"no --target given: predicting {echo(data['target'])}, the last column of {csv.name}"
        )
    tree: dict[str, Any] = {"data": data}
    here = _node(printable(str(csv)))
    nodes: dict[KeyPath, Node] = {(): here, ("data",): here, ("data", "path"): here}
    option = _node("--target")
    nodes["data", "target"] = option
    nodes |= {("data", "target", index): option for index in range(len(target or ()))}
    problems = []
    for rank, override in enumerate(overrides, start=1):
        problems += apply_override(override, rank, tree, nodes)
    config, problems = check_draft(Draft(tree, nodes, problems))
    refuse(problems)
    assert config is not None
    options = [word for name in target or () for word in ("--target", name)]
    command = shlex.join(["ml2021", "train", str(csv), *options])
    text = f"# As written by: {printable(command)}\n{dump_document(tree)}"
    return LoadedConfig(config, text, nodes), notes


def last_column(csv: Path, overrides: Sequence[str]) -> str:
    """Return the name of a table's last column; `overrides` may say how the file is written."""
    from ml2021.data.resolve import table_format_of
    from ml2021.data.tables import read_header

    text = dump_document({"data": {"path": str(csv), "target": "-"}})
    data = load_config_text(text, printable(str(csv)), overrides).config.data
    return read_header(find_parts(data.path), table_format_of(data)).names[-1]


def sets_target(override: str) -> bool:
    """Whether an override names what to predict."""
    return override.partition("=")[0].strip() in ("data", "data.target")


def name_of(csv: Path) -> str:
    """Return what a run or a config of a table is called: its name without any suffix."""
    return literal_name(csv).partition(".")[0] or "table"


def how_to_go_on(run: RunDirectory) -> str:
    """Say how to change the config that a run of a table was trained with."""
    own = f"{run.path.name}.yaml"
    copy = shlex.join(["cp", str(run.config), own])
    return f"to change the config: {copy}, edit it, and ml2021 train {shlex.quote(own)}"


@contextmanager
def table_hints(csv: Path) -> Iterator[None]:
    """Say in an error about a table without a config how keys are set, by options or by `init`."""
    try:
        yield
    except (ConfigError, DataError) as error:
        lines = with_options(error)
        if isinstance(error, DataError):
            from ml2021.data.detect import settings_in

            if all(map(settings_in, error.lines)):
                init = shlex.join(["ml2021", "init", str(csv)])
                lines.append(f"or let {init} find out how the file is written")
        raise type(error)(*lines) from None


def with_options(error: Ml2021Error) -> list[str]:
    """Return the lines of an error, `set KEY: VALUE` as --set KEY=VALUE, data.target as --target.

    A last line says how a key is set where a table's error only names one.
    """
    lines = [re.sub(_TARGETS, _as_targets, line) for line in error.lines]
    lines = [re.sub(_SETTINGS, _as_options, line) for line in lines]
    if isinstance(error, DataError):
        lines = [re.sub(r"\bdata\.target\b", "--target", line) for line in lines]
        text = "\n".join(lines)
        if "--set" not in text and (named := re.findall(_KEY, text)):
            lines.append(f"set keys by --set, as in --set {named[-1]}=VALUE")
    return lines


_KEY = rf"\bdata\.(?:{'|'.join(Data.model_fields.keys() - {'path'})})\b(?:\.\w+)*"
_VALUE = r"""\{[^}]*\}|\[(?:"(?:[^"\\]|\\.)*"|[^]"])*\]|"(?:[^"\\]|\\.)*"|[\w.+-]*\w"""
_WORD = r"\d+(?:\.\d+)?|null|auto"
_SETTING = rf"((?:{'|'.join(Config.model_fields)})(?:\.\w+)*)(?:: ({_VALUE})| to ({_WORD})\b)"
_TARGETS = r"^(--target: .*; write )\[(.*)\]$"
_SETTINGS = rf"(?<!-)\b(set|in) {_SETTING}(?: and {_SETTING})*"  # compiled for an error alone


def _as_targets(match: re.Match[str]) -> str:
    names = map(shlex.quote, match[2].split(", "))
    return match[1] + " ".join(f"--target {name}" for name in names)


def _as_options(match: re.Match[str]) -> str:
    found = re.findall(_SETTING, match[0])
    settings = (shlex.quote(f"{key}={value or word}") for key, value, word in found)
    options = " ".join(f"--set {setting}" for setting in settings)
    return f"{'use' if match[1] == 'set' else 'by'} {options}"


def _node(source: str) -> Node:
    """Return the node of a value of the command line, which has no lines."""
    place = Place(-1, 0, 0, source)
    return Node(place, place, place)
