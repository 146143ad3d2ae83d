"""Atomic file writes, and queries about files and processors."""

import contextlib
import os
import re
from pathlib import Path

from ml2021.errors import ResourceError
from ml2021.formatting import closest, printable

_TEMPORARY = re.compile(r"\..+\.\d+")


def replace_file(path: Path, *content: bytes | memoryview) -> None:
    """Write `content` to `path` atomically and durably: a reader sees the old or the new file.

    Raises ResourceError if the write fails; the old file is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:  # a signal too must not leave the temporary file
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise ResourceError(f"{path}: cannot be written ({error.strerror})") from None
        raise


def make_folder(path: Path) -> None:
    """Create a folder and its parents durably; an existing folder is fine. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_temporary(name: str) -> bool:
    """Whether a file name is that of a temporary file left by a killed `replace_file`."""
    return _TEMPORARY.fullmatch(name) is not None


def is_there(path: Path) -> bool:
    """Whether a file exists. Raises OSError if the disk fails, unlike `Path.exists`."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def missing_file(path: Path) -> str:
    """Say in a whole line that a file does not exist, and which one may be meant."""
    if web := re.match(r"([a-z][a-z0-9+]+):/+(.*)", str(path)):  # a Path keeps one slash of two
        address = printable(f"{web[1]}://{web[2]}")
        return f"{address}: this is a web address; download it first, as by: curl -LO {address}"
    where = printable(str(path.absolute()))
    with contextlib.suppress(OSError):
        near = closest(path.name, (entry.name for entry in path.parent.iterdir()), cutoff=0.75)
        if near is not None:
            return f"{where}: no such file; did you mean '{printable(str(path.with_name(near)))}'?"
    return f"{where}: no such file; check the path"


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
