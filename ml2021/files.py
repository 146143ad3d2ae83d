"""Files written atomically, and what the operating system says of files and processors."""

import contextlib
import os
import re
from pathlib import Path

from ml2021.errors import ResourceError

_TEMPORARY = re.compile(r"\..+\.\d+")


def replace_file(path: Path, *content: bytes | memoryview) -> None:
    """Put the pieces at `path`, durably, in one step: old or new, never half of either.

    Raises ResourceError when the disk refuses it; the old file stands then.
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
    except BaseException as error:  # a signal too must leave nothing behind
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise ResourceError(f"{path}: cannot be written ({error.strerror})") from None
        raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, durably; one that is there already is well.

    Raises OSError.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_temporary(name: str) -> bool:
    """Whether a file of that name is what a process that was killed left of `replace_file`."""
    return _TEMPORARY.fullmatch(name) is not None


def is_there(path: Path) -> bool:
    """Whether there is a file; a disk that fails is an OSError, and never a file that is not."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
