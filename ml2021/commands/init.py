"""The command `init`: a commented config for a table, which trains as it stands.

How the file is written and what looks missing is detected; what the columns hold is said in
comments. Nothing that exists is overwritten.
"""

import os
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.commands.example import NAME, TARGET, example_csv
from ml2021.commands.from_table import load_table_config, name_of, sets_target, with_options
from ml2021.config.json_schema import schema_text
from ml2021.config.loading import LoadedConfig, load_config_text
from ml2021.config.schema import FORMAT_KEYS
from ml2021.config.yaml_reader import parse_document
from ml2021.config.yaml_scalars import dump_document, dump_value
from ml2021.errors import ConfigError, DataError
from ml2021.files import replace_file
from ml2021.formatting import echo, printable
from ml2021.runs.directory import refuse_inside

if TYPE_CHECKING:
    from ml2021.data.load import TrainingData

_WIDTH = 98
_KEYS_SHOWN = {"optimizer": ("type", "lr", "weight_decay"), "train": ("epochs", "batch_size")}
"""Of long sections, the keys that people change first."""


@dataclass(frozen=True)
class Written:
    """The files that were written, and what to say: what was assumed, and how to train."""

    config: Path
    notes: tuple[str, ...]


def init(
    csv: Path, target: Sequence[str] | None, overrides: Sequence[str], output: Path | None
) -> Written:
    """Write a config for a table, and its JSON Schema beside it.

    target: the columns to predict, by default the last one. overrides: further keys of the config.
    Raises ConfigError where a file exists, and what `train` would raise before its first update.
    """
    path = Path(f"{name_of(csv)}.yaml") if output is None else output
    schema = path.with_name(f"{path.name.removesuffix(path.suffix)}.schema.json")
    refuse_inside("" if output is None else "--output", path)
    refuse_existing([path, schema], "choose another --output")
    text, notes = config_text(csv, target, overrides, path, schema)
    replace_file(schema, schema_text().encode())
    replace_file(path, text.encode())
    train = shlex.join(["ml2021", "train", str(path)])
    return Written(path, (*notes, f"look at {path}, then train with: {train}"))


def init_example() -> Written:
    """Write a small table and its config into the working directory."""
    csv = Path(f"{NAME}.csv")
    files = [csv, Path(f"{NAME}.yaml"), Path(f"{NAME}.schema.json")]
    refuse_existing(files, "use another folder")
    replace_file(csv, example_csv().encode())
    written = init(csv, [TARGET], [], None)
    return Written(written.config, (f"{csv}: simulated sales of houses", *written.notes))


def refuse_existing(paths: Sequence[Path], remedy: str) -> None:
    """Raise ConfigError for files that exist, and where there is no folder."""
    for path in paths:
        if os.path.lexists(path):  # a link that leads nowhere is the user's, too
            raise ConfigError(f"{path.absolute()}: already exists; move it, or {remedy}")
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent.absolute()}: no such folder; make it first")


def config_text(
    csv: Path, target: Sequence[str] | None, overrides: Sequence[str], path: Path, schema: Path
) -> tuple[str, list[str]]:
    """Return the text of the config for `path`, and notes on what was assumed."""
    from ml2021.data.detect import detect_format
    from ml2021.data.load import load_training_data
    from ml2021.data.parts import find_parts

    given = dump_document({"data": {"path": str(csv), "target": "-"}})
    section = load_config_text(given, printable(str(csv)), overrides).config.data
    known = {k: getattr(section, k) for k in FORMAT_KEYS if k in section.model_fields_set}
    with _options():
        found = detect_format(find_parts(section.path), known, target)
    notes, comments = list[str](), dict[str, str]()
    named = list(target or ())
    if not named and not any(map(sets_target, overrides)):
        named = [found.target]
        comments["target"] = "the last column, as no --target was given"
        notes.append(f"no --target given: {echo(named[0])} is taken, the last column of {csv.name}")
    comments |= dict.fromkeys(found.keys, "found in the file")
    if found.reasons:
        comments["missing"] = "; ".join(f"{k}: {why}" for k, why in found.reasons.items())
    keys = dict(found.keys)
    del found  # and its table
    loaded, _ = load_table_config(csv, named, overrides, keys)
    with _options(named[0] if "target" in comments else None):
        data = load_training_data(loaded, with_columns=True)
    command = ["ml2021", "init", str(csv)]
    command += [word for name in target or () for word in ("--target", name)]
    command += [word for setting in overrides for word in ("--set", setting)]
    head = [
        f"# yaml-language-server: $schema={schema.name}",
        f"# Written by: {printable(shlex.join(command))}",
        f"# Train with: {printable(shlex.join(['ml2021', 'train', str(path)]))}",
        "",
    ]
    text = "\n".join([*head, *_body(loaded, data, comments)]) + "\n"
    assert load_config_text(text, str(path)).config == loaded.config
    return text, notes


@contextmanager
def _options(assumed: str | None = None) -> Iterator[None]:
    """Say in an error by which options keys are set; assumed: the target if none was named."""
    try:
        yield
    except (ConfigError, DataError) as error:
        lines = with_options(error)
        if assumed is not None:
            lines.append(
                f"the target is {echo(assumed)}, the last column; name another by --target"
            )
        raise type(error)(*lines) from None


def _body(loaded: LoadedConfig, data: "TrainingData", comments: dict[str, str]) -> Iterator[str]:
    """Yield the lines of the config, `comments` on the keys of `data`."""
    from ml2021.data.load import describe
    from ml2021.data.overview import table_of

    tree = parse_document(loaded.text, "").value
    assert isinstance(tree, dict)
    section = tree.pop("data")
    yield "data:"
    for key, value in section.items():
        line = f"  {key}: {dump_value(value)}"
        yield from _commented(line, comments.get(key, ""))
    if "split" not in section:
        yield f"  # split: {_shown(data.config.data.split.model_dump())}"
    yield ""
    yield from (f"# {line}" for line in (describe(data)[0], *table_of(data.columns)))
    if data.notes:
        yield "#"
        yield "# What was noticed:"
        for note in data.notes:
            yield from _wrapped(note, "# - ", "#   ")
    yield ""
    if tree:
        yield from dump_document(tree).splitlines()
        yield ""
    yield "# The defaults for this table; remove the # to change one. All keys: ml2021 keys"
    for key, value in data.config.model_dump().items():
        if key in ("data", "sweep") or key in tree:
            continue
        shown = value
        if isinstance(value, dict):
            shown = {k: v for k, v in value.items() if k in _KEYS_SHOWN.get(key, value)}
        yield f"# {key}: {_shown(shown)}"


def _commented(line: str, comment: str) -> Iterator[str]:
    """Yield a line with its comment after it, or before it where both are too long."""
    if len(line) + len(comment) + 4 > _WIDTH and comment:
        yield from _wrapped(comment, "  # ", "  #   ")
        yield line
    else:
        yield f"{line}  # {comment}" if comment else line


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False
    )


def _shown(value: Any) -> str:
    return dump_value(value)
