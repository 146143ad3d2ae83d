"""Standard input as a table: kept in a file without a name, as a table is read more than once."""

import io
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ml2021.errors import ConfigError, DataError, Ml2021Error, ResourceError
from ml2021.files import DESCRIPTORS, unnamed_file

NAME = "stdin"
"""How standard input is called in messages."""
_PATHS = (Path("-"), Path("/dev/stdin"), Path("/dev/fd/0"), Path("/proc/self/fd/0"))


def is_stdin(path: Path) -> bool:
    """Whether a path means standard input."""
    return path in _PATHS


@contextmanager
def spooled_stdin(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Give the paths, with a file that holds standard input where one of them means it.

    Nothing is left of the file, whatever ends the process. Errors about it name it stdin. Raises
    ConfigError if two paths mean standard input, DataError if it is closed, ResourceError if it
    cannot be stored.
    """
    ours = [path for path in paths if is_stdin(path)]
    if not ours:
        yield list(paths)
        return
    if len(ours) > 1:
        raise ConfigError(f"{ours[1]}: standard input can be read only once; give it once")
    with _spooled() as file:
        try:
            yield [file if is_stdin(path) else path for path in paths]
        except Ml2021Error as error:
            raise type(error)(*(line.replace(str(file), NAME) for line in error.lines)) from None


@contextmanager
def _spooled() -> Iterator[Path]:
    """Store standard input in a file without a name, which a killed process does not leave."""
    if sys.stdin is None:
        raise DataError(f"{NAME}: closed; give the path of a CSV")
    folder = Path(tempfile.gettempdir())
    with unnamed_file(folder) as file:
        try:
            whole = io.BufferedWriter(file)  # which tries again what the system wrote in part
            shutil.copyfileobj(sys.stdin.buffer, whole)
            whole.flush()
        except OSError as error:
            raise ResourceError(
                f"{NAME}: cannot be stored in {folder} ({error.strerror})"
            ) from None
        if DESCRIPTORS.is_dir():
            yield DESCRIPTORS / str(file.fileno())
            return
        with tempfile.TemporaryDirectory(prefix="ml2021-") as named:  # macOS
            path = Path(named) / NAME
            file.seek(0)
            with path.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            yield path
