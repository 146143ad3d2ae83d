"""Atomic file writes, the mark that makes a directory ours, and queries about files and processors.

A run or a sweep writes, replaces and removes files in its directory. Names alone do not tell whose
a directory is, since other tools have a `config.yaml` and a `checkpoints/` too: a directory is ours
only if it bears the mark, a file that we wrote and whose content we check.
"""

import contextlib
import io
import os
import re
import shutil
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from contextvars import copy_context
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from ml2021.errors import ResourceError
from ml2021.formatting import closest, printable

if TYPE_CHECKING:
    from concurrent.futures import Future

FORMAT_VERSION: Literal[5] = 5
"""The format of everything in a run or a sweep."""
MARK = "ml2021.tag"
"""The file that marks a directory as a run or a sweep."""
Kind = Literal["run", "sweep"]
Item = TypeVar("Item")
Result = TypeVar("Result")

_FIRST_LINE = re.compile(rb"ml2021 (run|sweep), format ([0-9]{1,9})\n")
_TEMPORARY = re.compile(r"\.(.+)\.[0-9]+\.ml2021")
_MOST_THREADS = 4  # one that reads a file for them is about four times as fast as one of them
_NAME_BYTES = 200
"""The most bytes of a file's name in that of its temporary file, which may have 255 in all."""


class Mark(NamedTuple):
    """What the mark of a directory says."""

    kind: Kind
    version: int


def mark(folder: Path, kind: Kind) -> None:
    """Make a directory a run or a sweep. Raises ResourceError."""
    lines = (
        f"ml2021 {kind}, format {FORMAT_VERSION}",
        f"This directory is a {kind} of ml2021, which replaces and removes its own files in it.",
    )
    replace_file(folder / MARK, "".join(f"{line}\n" for line in lines).encode())


def mark_of(folder: Path) -> Mark | None:
    """Return the mark of a directory, None if it is not a run or a sweep."""
    try:
        handle = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        is_plain = stat.S_ISREG(os.fstat(handle).st_mode)
        match = _FIRST_LINE.match(os.read(handle, 100)) if is_plain else None
    except OSError:
        return None
    finally:
        os.close(handle)
    if match is None:
        return None
    return Mark("run" if match[1] == b"run" else "sweep", int(match[2]))


def is_marked(folder: Path) -> bool:
    """Whether a directory is a run or a sweep, of whatever version of ml2021."""
    return mark_of(folder) is not None


def marked_above(path: Path) -> Path | None:
    """Return the run or sweep that a path lies in or is, as it stands or through links."""
    for place in (Path(os.path.realpath(path.parent), path.name), Path(os.path.realpath(path))):
        for folder in (place, *place.parents):
            if is_marked(folder):
                return folder
    return None


def replace_file(path: Path, *content: bytes | memoryview) -> None:
    """Write `content` to `path` atomically and durably: a reader sees the old or the new file.

    A link at `path` is replaced, not followed. Raises ResourceError if the write fails; the old
    file is then unchanged.
    """
    with _replacing(path) as temporary, temporary.open("xb") as file:  # never through a link
        for piece in content:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux gives the open files of this process a path, even those without a name."""


def unnamed_file(folder: Path) -> io.FileIO:
    """Open a new file in a folder that has no name: whatever ends the process, none is left.

    Raises ResourceError.
    """
    try:
        if hasattr(os, "O_TMPFILE"):
            with contextlib.suppress(OSError):  # not every file system can
                return io.FileIO(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "r+b")
        return tempfile.TemporaryFile(buffering=0, dir=folder)
    except OSError as error:
        raise cannot_write(folder, error) from None


def name_file(file: io.FileIO, path: Path) -> None:
    """Put an `unnamed_file` at `path`, as `replace_file` does with content."""
    with _replacing(path) as temporary:
        os.fsync(file.fileno())
        try:
            os.link(DESCRIPTORS / str(file.fileno()), temporary, follow_symlinks=True)
        except OSError:  # a file that only ever was unnamed, or another file system
            file.seek(0)
            with temporary.open("xb") as copy:
                shutil.copyfileobj(file, copy)
                copy.flush()
                os.fsync(copy.fileno())


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Move the file that is made at the path given to `path`; none is left of one that fails."""
    name = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES])
    temporary = path.with_name(f".{name}.{os.getpid()}.ml2021")
    try:
        if _is_plain(temporary):  # of a killed process with our number
            temporary.unlink()
        yield temporary
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:  # a signal too must not leave the temporary file
        with contextlib.suppress(OSError):
            if _is_plain(temporary):
                temporary.unlink()
        if isinstance(error, OSError):
            raise cannot_write(path, error) from None
        raise


def cannot_write(path: Path, error: OSError) -> ResourceError:
    """Return the error for a file or folder that the system does not let us write."""
    return ResourceError(f"{path}: cannot be written ({error.strerror})")


def is_temporary(path: Path, names: Container[str]) -> bool:
    """Whether a path is a temporary file that a killed `replace_file` of one of `names` left."""
    match = _TEMPORARY.fullmatch(path.name)
    return match is not None and match[1] in names and _is_plain(path)


def _is_plain(path: Path) -> bool:
    """Whether a file exists that is neither a link nor a folder nor anything else."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


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
    if path.is_symlink():
        return f"{where}: a link to what does not exist; check it"
    with contextlib.suppress(OSError):
        beside = [Path(entry.name) for entry in path.parent.iterdir()]
        stem = closest(path.stem, (entry.stem for entry in beside), cutoff=0.8)
        names = [entry.name for entry in beside if entry.stem == stem]
        if near := closest(path.name, names, cutoff=0.75):
            found = path.with_name(near)
            if found.is_relative_to(Path.cwd()):  # as people write it, also where a run keeps it
                found = found.relative_to(Path.cwd())
            return f"{where}: no such file; did you mean '{printable(str(found))}'?"
    return f"{where}: no such file; check the path"


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_one_of_several() -> bool:
    """Whether torchrun has started this process as one of several ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def followers_here() -> int:
    """Return how many ranks of this machine follow rank 0; none without torchrun."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_one_of_several() else 1
    return here - (os.environ.get("GROUP_RANK", "0") == "0")


def most_threads() -> int:
    """Return the CPU threads that this process may use: one per core, of a rank its share of them.

    A rank takes OMP_NUM_THREADS of them if that is set; a value of 1 does not count, which torchrun
    sets by itself.
    """
    if not is_one_of_several():
        return cores()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 1:
        return min(cores(), int(asked))
    return max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def map_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, waiting: int = 0
) -> Iterator[Result]:
    """Yield the result of each item in order, computed in a few threads; of one item, here.

    waiting: how many items a thread may be ahead, which are in memory.
    """
    items = iter(items)
    first = list(islice(items, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    from concurrent.futures import ThreadPoolExecutor

    threads = min(_MOST_THREADS, most_threads())
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in chain(first, items):
            running.append(pool.submit(copy_context().run, work, item))
            if len(running) >= (waiting + 1) * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
