"""Where the rows of a table lie while a command runs: in memory, or on the disk.

The results are the same, bit for bit; `ml2021.disk` makes the arrays of either.
"""

import tempfile
from pathlib import Path

from ml2021.config import schema
from ml2021.data.table_source import TableSource
from ml2021.disk import nearest_folder, use_disk
from ml2021.errors import ConfigError, ResourceError
from ml2021.files import make_folder, marked_above
from ml2021.formatting import memory_size, plural
from ml2021.memory import free_memory

_CELL_BYTES = 16
"""Of a cell in memory, as a number of 8 bytes and an input of 4, with what is computed of it."""
_SURELY_FITS = 100
"""Memory that is so many times the size of a file holds its table, however it is packed."""


def place_rows(
    data: schema.Data, source: TableSource, columns: int, beside: Path | None
) -> list[str]:
    """Choose where the rows of a table with so many columns in use lie, and use the disk if so.

    beside: the directory of the run, None where there is none. Returns a note where `auto` chose
    the disk. Raises ResourceError for a folder that cannot be made.
    """
    use_disk(None)
    if data.memory == "ram":
        return []
    notes = []
    if data.memory == "auto":
        free = free_memory()
        is_kfold = isinstance(data.split, schema.KFoldSplit)
        if free is None or is_kfold or _SURELY_FITS * source.size() < free:
            return []
        rows = source.rows()
        needed = max(_CELL_BYTES * rows * columns, source.size())
        if needed <= free:
            return []
        folder = _folder(data, beside)
        notes = [
            f"about {plural(rows, 'row')} of {plural(columns, 'column')} need about "
            f"{memory_size(needed)} of memory, but only {memory_size(free)} are free, so they are "
            f"on the disk, in {folder} (data.memory: auto)"
        ]
    use_disk(_folder(data, beside))
    return notes


def _folder(data: schema.Data, beside: Path | None) -> Path:
    """Return the folder for the rows: `data.cache`, or that of the run."""
    if data.cache is None:
        return nearest_folder(Path(tempfile.gettempdir()) if beside is None else beside)
    if marked_above(Path(data.cache)) is not None:
        raise ConfigError(f"data.cache {data.cache}: is in a run directory; choose another folder")
    try:
        make_folder(Path(data.cache))
    except OSError as error:
        raise ResourceError(f"data.cache {data.cache}: cannot be made ({error.strerror})") from None
    return Path(data.cache)
