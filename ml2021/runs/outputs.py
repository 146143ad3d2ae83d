"""The guard of outputs: no command overwrites an input, a config, a run or a sweep.

Every path that a command writes to goes through here, or through `refuse_used` where it is the
directory of a new run or sweep. What stands in a run or sweep is written by `ml2021` alone, under
the names that `RunDirectory` and `SweepDirectory` list, and never through a link.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ml2021.config.loading import SIZE_LIMIT, read_draft
from ml2021.config.schema import each_path
from ml2021.errors import ConfigError
from ml2021.files import cannot_write, is_there, replace_file
from ml2021.formatting import echo
from ml2021.runs.directory import RunDirectory, refuse_inside
from ml2021.runs.summary import read_environment

PNG = b"\x89PNG\r\n\x1a\n"
"""With which a picture begins."""
_HEAD = 256
_DATA_KEY = re.compile(r"\bdata[\"']?\s*:")


def check_output(option: str, path: Path, kept: Iterable[Path] = (), replaced: bytes = b"") -> None:
    """Raise ConfigError unless a command may write, or replace, the file `path`.

    It may not be a directory, lie in a run or sweep, be one of `kept` under whatever name, or be a
    config or other YAML. option: what names the path, such as `--output`; "" for a place of our own
    choice. replaced: only a file that has these bytes in its head, or nothing, is replaced.
    """
    where = f"{option} {echo(path)}".lstrip()
    if path.is_dir():
        raise ConfigError(f"{where}: is a directory; name a file")
    refuse_inside(option, path)
    inputs = list(kept)
    if any(_is_same(path, each) for each in inputs):
        raise ConfigError(f"{where}: is an input; choose another file")
    for each in inputs:
        if each.is_dir() and _is_same(path.parent, each):
            what = f"would be a part of the input {echo(each)}"
            remedy = "choose another folder" if option else "name another place by --output"
            raise ConfigError(f"{where}: {what}; {remedy}")
    if _is_config(path):
        raise ConfigError(f"{where}: is a config; choose another file")
    if path.is_file() and (head := _head(path)) and replaced not in head:
        raise ConfigError(f"{where}: already exists; choose another place")


def write_output(path: Path, content: bytes | memoryview) -> None:
    """Replace a file that `check_output` allowed; write into anything else, such as /dev/null.

    A link stays a link. Raises ResourceError.
    """
    if path.is_file() or not path.exists():
        replace_file(path.resolve(), content)
        return
    try:
        with path.open("wb") as file:
            file.write(content)
    except OSError as error:
        raise cannot_write(path, error) from None


def check_output_folder(option: str, path: Path) -> None:
    """Raise ConfigError unless a command may write files into `path`, which need not exist."""
    if os.path.lexists(path) and not path.is_dir():
        raise ConfigError(f"{option} {echo(path)}: is a file; name a folder")
    refuse_inside(option, path)


def tables_of(run: RunDirectory) -> list[Path]:
    """Return the tables that a run was trained and tested on, as far as it tells; for `kept`."""
    if not is_there(run.environment):  # predicting needs the checkpoint alone
        return []
    found = read_environment(run)
    named = [*each_path(found.data), *each_path(found.test)]
    return [Path(path) for path in (*named, *found.parts, *found.test_parts)]


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, through links, hard links and either case of letters."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # a NUL character in a path
        return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _is_config(path: Path) -> bool:
    """Whether a file is named as a config, or is one: a mapping with the key `data`."""
    if not path.is_file():
        return False
    if path.resolve().suffix.lower() in (".yaml", ".yml"):
        return True
    if path.stat().st_size > SIZE_LIMIT:
        return False
    text = path.read_bytes().decode("utf-8-sig", "replace")
    if not _DATA_KEY.search(text):  # before what takes a second for a long table
        return False
    tree = read_draft(text, "").tree
    return tree is not None and "data" in tree
