"""Arrays on the disk: memory-mapped files, for tables that do not fit into memory.

Once a table is to be on the disk (`use_disk`), what makes a large array with `empty`, `kept` or
`taken` gets it in a file; else these are `np.empty`, the array itself, and its rows. The system
reads and drops pages of files as it needs memory, and they are none of the process's own. The
values, and all that is computed of them, are the same.

A file has no name, so that nothing is left however the process ends, and its space is reserved
before it is mapped: a full disk is an error here, not a SIGBUS at some later write.
"""

import io
import math
import mmap
import os
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ml2021.errors import ResourceError
from ml2021.files import unnamed_file
from ml2021.formatting import memory_size

_LEAST_BYTES = 1 << 16
"""Smaller arrays stay in memory."""
_CHUNK_BYTES = 64 << 20
"""Arrays smaller than half of this share a file: a process may have few files open."""
_ALIGNMENT = 64
_ROWS_AT_ONCE = 1 << 16
Array = TypeVar("Array", bound=NDArray[Any])
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass
class _Place:
    """Where arrays are made: a folder, and the file that small ones share, used up to `start`."""

    folder: Path
    chunk: mmap.mmap | None = None
    start: int = 0


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


def use_disk(folder: Path | None) -> None:
    """Have large arrays made in files in this folder from now on; None: in memory."""
    _place.set(None if folder is None else _Place(folder))


def disk_folder() -> Path | None:
    """Return the folder in whose files large arrays are made, None where they are in memory."""
    place = _place.get()
    return None if place is None else place.folder


def uses_disk() -> bool:
    """Whether large arrays are made in files."""
    return _place.get() is not None


def nearest_folder(path: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array to be filled, in a file if it is large and `use_disk` was called.

    Raises ResourceError if the disk has no space for it.
    """
    kind, place = np.dtype(dtype), _place.get()
    size = kind.itemsize * (math.prod(shape) if isinstance(shape, tuple) else shape)
    if place is None or size < _LEAST_BYTES or kind.hasobject:
        return np.empty(shape, kind)
    if size >= _CHUNK_BYTES // 2:
        return np.ndarray(shape, kind, _reserved(place.folder, size))
    if place.chunk is None or place.start + size > len(place.chunk):
        place.chunk, place.start = _reserved(place.folder, _CHUNK_BYTES), 0
    found: NDArray[Any] = np.ndarray(shape, kind, place.chunk, place.start)
    place.start += -(-size // _ALIGNMENT) * _ALIGNMENT
    return found


def kept(array: Array) -> Array:
    """Return an array that is kept: a copy in a file, where `empty` would make it in one."""
    if _place.get() is None or array.nbytes < _LEAST_BYTES or is_on_disk(array):
        return array
    if array.dtype.hasobject:
        return array
    copy = cast(Array, empty(array.shape, array.dtype))
    copy[...] = array
    return copy


def taken(array: NDArray[Scalar], rows: NDArray[np.int64]) -> NDArray[Scalar]:
    """Return these rows of an array; on the disk, without another copy of them in memory."""
    if _place.get() is None or array.dtype.hasobject:
        return array[rows]
    found = empty((len(rows), *array.shape[1:]), array.dtype)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        found[some] = array[rows[some]]
    return found


def columns_of(array: NDArray[Scalar], columns: Sequence[int]) -> NDArray[Scalar]:
    """Return these columns of an array, in the order of rows."""
    found = empty((len(array), len(columns)), array.dtype)
    for start in range(0, len(array), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        np.take(array[some], columns, axis=1, out=found[some])
    return found


def is_on_disk(array: NDArray[Any]) -> bool:
    """Whether the values of an array lie in a file."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def _reserved(folder: Path, size: int) -> mmap.mmap:
    """Return a new file in a folder as memory. Raises ResourceError."""
    with unnamed_file(folder) as file:
        reserve(file, size, folder)
        return mmap.mmap(file.fileno(), size)


def reserve(file: io.FileIO, size: int, folder: Path) -> None:
    """Reserve the space of an empty file in a folder. Raises ResourceError where there is none."""
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif size:  # macOS
            for start in range(0, size, _CHUNK_BYTES):
                file.write(bytes(min(_CHUNK_BYTES, size - start)))
            file.seek(0)
    except OSError as error:
        raise ResourceError(
            f"{folder}: {memory_size(size)} for rows on the disk cannot be reserved "
            f"({error.strerror}); free some space, or set data.cache to a folder that has it"
        ) from None
