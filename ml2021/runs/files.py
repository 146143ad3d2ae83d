"""Writing a file so that nobody ever sees half of it."""

import contextlib
import os
from pathlib import Path

from ml2021.errors import ResourceError


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`, durably, in one step: old or new, never half of either."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ResourceError(f"{path}: cannot be written ({error.strerror})") from None
