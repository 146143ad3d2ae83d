"""Find the files that are one table: those of a list, a glob or a folder, in order of their names.

`ml2021.data.passes` reads them. What is named may be one file, too, which is a table as it is.
"""

import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ml2021.data.csv.source import file_error, os_error, show_path
from ml2021.errors import DataError
from ml2021.files import is_marked, missing_file
from ml2021.formatting import listed, plural

SUFFIXES = (".csv", ".tsv", ".gz", ".parquet")
"""How the names of the files end that are a folder's parts."""
_SKIPPED = (".", "_")
"""With which the names of files begin that are no parts: hidden ones, and _SUCCESS of Spark."""
_NUMBERS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class Parts:
    """The files of one table, in order; as text, what messages about all of them call it.

    shown: the glob or folder, or the first file of several. notes: for the user.
    """

    files: tuple[Path, ...]
    shown: Path
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.shown)


TablePath = Path | Parts
"""Where a table is: one file, or several."""


def find_parts(written: str | Path | Sequence[str | Path]) -> TablePath:
    """Return the file or files of a table: of a path, a glob, a folder of files, or some of these.

    A path that exists is never a glob. A folder's parts are the files in it that end in one of
    `SUFFIXES`, but for those that are hidden or begin with `_`. Parts are in the plain order of
    their absolute paths. Raises DataError where there are none, or one is there twice.
    """
    paths = [Path(p) for p in ([written] if isinstance(written, str | Path) else written)]
    if len(paths) == 1 and not _is_folder(paths[0]) and not _is_pattern(paths[0]):
        return paths[0]
    notes: list[str] = []
    found = [file for path in paths for file in _files_of(path, notes)]
    files = sorted(found, key=_place)
    _refuse_repeated(files)
    shown = paths[0]
    if len(paths) > 1:
        shown = files[0].with_name(f"{files[0].name} and {plural(len(files) - 1, 'more part')}")
    return Parts(tuple(files), shown, (*notes, *_notes_on_order(found, files)))


def literal_name(path: Path) -> str:
    """Return what a table is called after its path: of a glob, the name of the folder before it."""
    while _is_pattern(path):
        path = path.parent
    return path.name or path.resolve().name


def files_of(table: TablePath) -> tuple[Path, ...]:
    """Return the files of a table, in order."""
    return table.files if isinstance(table, Parts) else (table,)


def shown_of(table: TablePath) -> Path:
    """Return what messages call a table."""
    return table.shown if isinstance(table, Parts) else table


def digest_of(hashes: Sequence[str]) -> str:
    """Return the SHA-256 of a table from those of its files: of one file its own.

    Of several it is that of theirs, in hexadecimal, a line each, in order.
    """
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(f"{each}\n" for each in hashes).encode()).hexdigest()


def _files_of(path: Path, notes: list[str]) -> Iterator[Path]:
    """Yield the files of one of the paths of a table. Raises DataError where there are none."""
    if _is_folder(path):
        yield from _in_folder(path, notes)
    elif _is_pattern(path):
        for match in _matches(path):
            yield from _files_of(match, notes)
    else:
        yield path


def _place(path: Path) -> tuple[str, ...]:
    """Return what parts are sorted by, the same from whatever directory they are named."""
    return Path(os.path.abspath(path)).parts  # noqa: PTH100 - which would follow links


def _is_folder(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir()
    return False


def _is_pattern(path: Path) -> bool:
    """Whether a path is a glob: it has characters of one, and nothing is there that it names."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def _matches(path: Path) -> list[Path]:
    """Return what a glob matches, by name, except for runs and what a folder's parts are not.

    What of it exists as it is written is no pattern. At any depth (`**`), only files count.
    """
    base, pattern = Path(), path.parts
    while os.path.lexists(base / pattern[0]):
        base, pattern = base / pattern[0], pattern[1:]
    rest = str(Path(*pattern))
    if not glob.has_magic(rest):
        raise DataError(missing_file(path))
    # unlike Path.glob, it leaves hidden files out, as a shell does
    found = glob.glob(rest, root_dir=base, recursive=True)  # noqa: PTH207
    if not any(part.startswith("_") for part in pattern):
        found = [name for name in found if not any(p.startswith("_") for p in Path(name).parts)]
    names = [Path(name) for name in sorted(found)]
    folders = [name for name in names if _is_folder(base / name)]
    left_out = {name for name in folders if "**" in pattern or _holds_runs(base / name)}
    above = {folder for name in names for folder in name.parents}
    marked = {folder for folder in above if folder.name and is_marked(base / folder)}
    names = [name for name in names if name not in left_out]
    matches = [base / name for name in names if not marked.intersection(name.parents)]
    if not matches:
        raise file_error(path, "no file matches this pattern; check it")
    return matches


def _in_folder(folder: Path, notes: list[str]) -> Iterator[Path]:
    if is_marked(folder):
        raise file_error(folder, "this is a run or a sweep, not a table; name a table")
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if not e.name.startswith(_SKIPPED))
    except OSError as error:
        raise os_error(folder, "opened", error) from None
    inner = [name for name in names if _is_folder(folder / name)]
    names = [name for name in names if name not in inner]
    if inner := [name for name in inner if not _holds_runs(folder / name)]:
        suffix = next(filter(None, (_suffix(name) for name in names)), ".csv")
        here, below = folder / f"*{suffix}", folder / "**" / f"*{suffix}"
        raise file_error(
            folder,
            f"a folder of parts that has the folder '{inner[0]}' in it; name the parts by a "
            f"pattern, such as '{show_path(here)}' or '{show_path(below)}'",
        )
    found = [name for name in names if _suffix(name)]
    if not found:
        what = f"no file in this folder ends in {listed(SUFFIXES)}"
        other = f"; name others by a pattern, such as '{show_path(folder / '*')}'" if names else ""
        raise file_error(folder, f"{what}{other or '; check the path'}")
    if others := [name for name in names if not _suffix(name)]:
        notes.append(
            f"{show_path(folder)}: not read, as they do not end in {listed(SUFFIXES)}: "
            f"{listed(others, 5)}"
        )
    yield from (folder / name for name in found)


def _holds_runs(folder: Path) -> bool:
    """Whether a folder is a run or a sweep, or one such as `runs` that holds some."""
    with suppress(OSError):
        return is_marked(folder) or any(map(is_marked, folder.iterdir()))
    return False


def _suffix(name: str) -> str:
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")


def _refuse_repeated(files: Sequence[Path]) -> None:
    """Raise DataError for a file that is there twice, by whatever names."""
    seen: dict[tuple[int, int], Path] = {}
    for file in files:
        try:
            found = file.stat()
        except (OSError, ValueError):  # which is reported once it is opened
            continue
        first = seen.setdefault((found.st_dev, found.st_ino), file)
        if first is not file:
            what = "is given twice" if first == file else f"is the same file as {show_path(first)}"
            raise file_error(file, f"{what}; a table has each part once")


def _notes_on_order(given: Sequence[Path], files: Sequence[Path]) -> list[str]:
    """Return a note where parts are not in the order that a reader may expect."""

    def natural(file: Path) -> list[list[str | int]]:
        split = map(_NUMBERS.split, _place(file))
        return [[int(t) if t.isdigit() else t for t in texts] for texts in split]

    if list(given) != list(files):
        return [f"the parts are read in order of their names: {listed(files, 5)}"]
    if (expected := sorted(files, key=natural)) != list(files):
        at = next(i for i, (a, b) in enumerate(zip(files, expected, strict=True)) if a != b)
        return [
            f"the parts are read in the plain order of their names, {files[at].name} before "
            f"{expected[at].name}; for the order of the numbers, write all with as many digits"
        ]
    return []
