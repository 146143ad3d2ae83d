"""The encoded rows of a table, kept in `data.cache` for the next command on the same data.

Each set of rows is a folder: an array in each file, and meta.json, which says what they are and has
the SHA-256 of each. It is built under the name of a temporary file and then renamed, so that there
is no half of one; processes that build the same one each build their own. A file is never written
to once it is there: what replaces it is another file, so that who has it mapped may go on.
"""

import fcntl
import hashlib
import json
import mmap
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.parts import digest_of, files_of, find_parts
from ml2021.data.preprocessing.records import Preprocessing, Record
from ml2021.data.samples import Samples
from ml2021.data.splits import Split
from ml2021.disk import reserve
from ml2021.files import FORMAT_VERSION, cannot_write

if TYPE_CHECKING:
    from ml2021.data.load import TrainingData

_META = "meta.json"
_NAME = re.compile(r"[0-9a-f]{32}\.rows")
_BUILT = re.compile(r"\.[0-9a-f]{32}\.rows\.[0-9]+\.ml2021")
_ARRAYS = ("inputs", "targets", "places", "weights", "clusters")
_SPLITS = ("train", "validation", "test")


class _Array(Record):
    """An array in a file."""

    shape: tuple[int, ...]
    dtype: Literal["float32", "float64", "int64"]
    sha256: str


class _Odd(Record):
    """What is said of the rows of a split."""

    notes: tuple[str, ...]
    outside: dict[str, int]
    unseen: dict[str, int]


class _Meta(Record):
    """What a folder of rows holds. keys: of the configs whose rows these are."""

    version: int
    keys: tuple[str, ...]
    data_sha256: str
    test_sha256: str | None
    is_fitted: bool
    task: Literal["regression", "classification", "structured"]
    preprocessing: Preprocessing
    left_out: dict[str, int]
    notes: tuple[str, ...]
    unused: tuple[str, ...]
    parts: dict[str, str]
    test_parts: dict[str, str]
    odd: dict[str, _Odd]
    arrays: dict[str, _Array]


class KeptRows:
    """Rows that were kept: their `meta`, and what it stands for."""

    def __init__(self, meta: _Meta, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.meta, self._arrays = meta, arrays
        rows = {name: arrays[f"{name}-rows"] for name in _SPLITS}
        self.split = Split(**rows, left_out=meta.left_out)

    def samples(self, name: str) -> Samples:
        """Return the samples of a split."""
        odd = self.meta.odd[name]
        arrays: dict[str, Any] = {key: self._arrays.get(f"{name}-{key}") for key in _ARRAYS}
        return Samples(
            **arrays, previous=None, notes=odd.notes, outside=odd.outside, unseen=odd.unseen
        )


def can_keep(data: schema.Data) -> bool:
    """Whether the rows of such a table are kept: not those in an order, or of a series."""
    is_ordered = data.order_by is not None or isinstance(data.split, schema.ColumnSplit)
    return data.lags == 0 and not is_ordered and not isinstance(data.split, schema.KFoldSplit)


def read_rows(
    config: schema.Config, reuse: Preprocessing | None
) -> tuple[KeptRows | None, list[str]]:
    """Return the rows that were kept for a config, if any are and are whole, and notes.

    reuse: as in `load_training_data`. Raises DataError for data that cannot be read.
    """
    assert config.data.cache is not None
    folder, key = Path(config.data.cache), _key(config)
    _remove_leftovers(folder)
    hashes: tuple[str | None, str | None] | None = None
    notes: list[str] = []
    for place in _folders(folder, _NAME):
        again = f"data.cache: the rows kept in {place} are {{}}, so they are encoded anew"
        try:
            meta = _Meta.model_validate_json((place / _META).read_bytes())
        except (OSError, ValueError):
            shutil.rmtree(place, ignore_errors=True)  # whatever they were
            notes.append(again.format("damaged"))
            continue
        if key not in meta.keys or meta.version != FORMAT_VERSION:
            continue
        hashes = hashes or (_digest(config.data.path), _digest(config.data.test_path))
        if hashes != (meta.data_sha256, meta.test_sha256):
            notes.append(again.format("not those of the data as it is now"))
        elif meta.is_fitted if reuse is None else meta.preprocessing == reuse:
            arrays = {n: _mapped(place / n, array) for n, array in meta.arrays.items()}
            found = {name: array for name, array in arrays.items() if array is not None}
            if len(found) == len(arrays):
                return KeptRows(meta, found), [f"the rows kept in {place} are used (data.cache)"]
            notes.append(again.format("damaged"))
    return None, notes


def keep_rows(asked: schema.Config, data: "TrainingData", *, is_fitted: bool) -> None:
    """Keep the rows of the config `asked`, in place of those that were kept for it.

    Raises ResourceError.
    """
    assert data.config.data.cache is not None
    assert data.config.task != "auto"
    keys = (_key(data.config), _key(asked))
    folder = Path(data.config.data.cache)
    arrays = {f"{name}-rows": rows for name, rows in data.split.rows.items()}
    each = dict(zip(_SPLITS, (data.train, data.validation, data.test), strict=True))
    for name, samples in each.items():
        own = {f"{name}-{key}": getattr(samples, key) for key in _ARRAYS}
        arrays |= {key: array for key, array in own.items() if array is not None}
    place = folder / f"{keys[0]}.rows"
    try:
        with _building(place) as built:
            written = {name: _write(built / name, array) for name, array in arrays.items()}
            meta = _Meta(
                version=FORMAT_VERSION,
                keys=keys,
                data_sha256=data.data_sha256,
                test_sha256=data.test_sha256,
                is_fitted=is_fitted,
                task=data.config.task,
                preprocessing=data.preprocessing,
                left_out=dict(data.split.left_out),
                notes=data.notes,
                unused=data.unused,
                parts={str(path): digest for path, digest in data.parts.items()},
                test_parts={str(path): digest for path, digest in data.test_parts.items()},
                odd={
                    name: _Odd(notes=s.notes, outside=dict(s.outside), unseen=dict(s.unseen))
                    for name, s in each.items()
                },
                arrays=written,
            )
            (built / _META).write_bytes(meta.model_dump_json().encode())
    except OSError as error:
        raise cannot_write(place, error) from None


@contextmanager
def _building(place: Path) -> Iterator[Path]:
    """Make the folder given the one at `place`, whole; while it is built, it is locked."""
    built = place.with_name(f".{place.name}.{os.getpid()}.ml2021")
    built.mkdir()
    handle = os.open(built, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield built
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        with suppress(FileExistsError, OSError):  # of a process that was quicker: as good as ours
            built.rename(place)
    finally:
        shutil.rmtree(built, ignore_errors=True)
        os.close(handle)


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed have left half built."""
    for entry in _folders(folder, _BUILT):
        with suppress(OSError):  # it is locked, or gone
            handle = os.open(entry, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(handle)


def _folders(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return the folders in a folder with such names, which only we give."""
    return [
        entry
        for entry in sorted(folder.iterdir())
        if pattern.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink()
    ]


def _key(config: schema.Config) -> str:
    """Return what the rows of a config depend on, but for the bytes of its files."""
    data = config.data.model_dump(mode="json", exclude={"memory", "cache"})
    paths = {key: data[key] and schema.absolute_paths(data[key]) for key in ("path", "test_path")}
    text = json.dumps({**data, **paths, "task": config.task, "version": FORMAT_VERSION})
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _digest(written: str | list[str] | None) -> str | None:
    """Return the SHA-256 of a table, as `read_table` does."""
    if written is None:
        return None
    hashes = []
    for path in files_of(find_parts(written)):
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digest_of(hashes)


def _write(path: Path, array: NDArray[Any]) -> _Array:
    """Write an array, its space reserved first. Raises OSError, ResourceError."""
    content = memoryview(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    with path.open("xb", buffering=0) as file:
        reserve(file, len(content), path.parent)
        left = content
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    digest = hashlib.sha256(content).hexdigest()
    name: Any = array.dtype.name
    return _Array(shape=array.shape, dtype=name, sha256=digest)


def _mapped(path: Path, array: _Array) -> NDArray[Any] | None:
    """Return a kept array, mapped so that nothing is written to its file; None if it is damaged."""
    kind = np.dtype(array.dtype)
    size = kind.itemsize * int(np.prod(array.shape))
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                return None
            if hashlib.file_digest(file, "sha256").hexdigest() != array.sha256:
                return None
            if not size:
                return np.empty(array.shape, kind)
            content = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
    except OSError:
        return None
    return np.ndarray(array.shape, kind, content)


def kept_parts(parts: Mapping[str, str]) -> dict[Path, str]:
    """Return the files of a table with the SHA-256 of each."""
    return {Path(path): digest for path, digest in parts.items()}
