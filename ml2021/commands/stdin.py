"""Standard input as a table: spooled to a private file, since a table is read more than once."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ml2021.errors import ConfigError, DataError, Ml2021Error, ResourceError

NAME = "stdin"
"""How standard input is called in messages."""
_PATHS = (Path("-"), Path("/dev/stdin"), Path("/dev/fd/0"), Path("/proc/self/fd/0"))
_PARQUET = b"PAR1"


def is_stdin(path: Path) -> bool:
    """Whether a path means standard input."""
    return path in _PATHS


@contextmanager
def spooled_stdin(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Give the paths, with a temporary file that holds standard input where one of them means it.

    The file is removed however the block ends. Errors about it name it stdin. Raises ConfigError if
    two paths mean standard input, DataError if it is closed, ResourceError if it cannot be stored.
    """
    ours = [path for path in paths if is_stdin(path)]
    if not ours:
        yield list(paths)
        return
    if len(ours) > 1:
        raise ConfigError(f"{ours[1]}: standard input can be read only once; give it once")
    with tempfile.TemporaryDirectory(prefix="ml2021-") as folder:  # for this user alone
        file = _spool(Path(folder))
        try:
            yield [file if is_stdin(path) else path for path in paths]
        except Ml2021Error as error:
            raise type(error)(*(line.replace(str(file), NAME) for line in error.lines)) from None


def _spool(folder: Path) -> Path:
    """Store standard input in a file in the folder, whose name tells Parquet from CSV."""
    if sys.stdin is None:
        raise DataError(f"{NAME}: closed; give the path of a CSV")
    try:
        head = sys.stdin.buffer.read(len(_PARQUET))
        path = folder / (f"{NAME}.parquet" if head == _PARQUET else NAME)
        with path.open("wb") as file:
            file.write(head)
            shutil.copyfileobj(sys.stdin.buffer, file)
    except OSError as error:
        where = folder.parent
        raise ResourceError(f"{NAME}: cannot be stored in {where} ({error.strerror})") from None
    return path
