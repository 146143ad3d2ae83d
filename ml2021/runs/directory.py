"""A run directory: its layout, its mark, its lock, and the small files in it."""

import fcntl
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from ml2021.errors import CheckpointError, ConfigError, DataError, ResourceError, RunInUseError
from ml2021.files import (
    FORMAT_VERSION,
    MARK,
    Kind,
    is_marked,
    is_temporary,
    make_folder,
    mark,
    mark_of,
    marked_above,
)
from ml2021.formatting import echo, suggest

RUNS = Path("runs")
BEST_OF_SWEEP = "best"
"""The folder of a sweep's directory that holds its best run."""
_FOLD_PACK = re.compile(r"folds-[0-9]+\.safetensors")
_EVENT_FILE = re.compile(r"events\.out\.tfevents\.[0-9]+\..+")


class MarkedDirectory(Protocol):
    """A run or a sweep: what may stand in its directory, there or not, but for other names."""

    path: Path

    def entries(self) -> Iterator[Path]:
        """Yield every file and folder that is ours, a folder before what it holds."""


class RunDirectory:
    """The paths inside one run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = path / MARK  # makes the directory a run
        self.config = path / "config.yaml"  # as the user wrote it
        self.resolved_config = path / "config.resolved.yaml"  # with every default
        self.environment = path / "environment.json"  # versions, command line, device, data
        self.metrics = path / "metrics.csv"  # a row per epoch
        self.folds = path / "folds.csv"  # a row per fold of a cross-validation
        self.summary = path / "summary.json"  # written when training has ended
        self.report = path / "report.html"
        self.surface = path / "surface.png"  # by the command `surface`
        self.explore = path / "explore.html"  # by the command `explore`
        self.curve = path / "piecewise.png"  # by the command `piecewise`
        self.origin = path / "sweep_run.json"  # in the best run of a sweep: its number
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"  # metrics.csv for TensorBoard
        self.best = self.checkpoints / "best.safetensors"  # the lowest validation loss
        self.last = self.checkpoints / "last.safetensors"  # to resume from
        self.refit = self.checkpoints / "refit.safetensors"  # to resume the final model's training
        self.init = self.checkpoints / "init.safetensors"  # a copy of what training started from

    def fold_pack(self, number: int) -> Path:
        """Return the checkpoint to resume a pack of folds from."""
        return self.checkpoints / f"folds-{number}.safetensors"

    def entries(self) -> Iterator[Path]:
        """Yield every file and folder of a run, there or not; of numbered ones those that are."""
        yield from (path for path in vars(self).values() if path != self.path)
        for entry in sorted(_listing(self.checkpoints)):
            if _FOLD_PACK.fullmatch(entry.name):
                yield entry
        yield from event_files(self.tensorboard)


def refuse_undecodable() -> None:
    """Raise ConfigError unless the command line and the working directory are text in UTF-8.

    A run keeps both. Called before anything is read or written.
    """
    arguments = [(text, "is") for text in sys.argv[1:]]
    for text, what in [(str(Path.cwd()), "the working directory is"), *arguments]:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"{echo(text)}: {what} not UTF-8, in which a run keeps names; use others"
            ) from None


def run_name(config: Path) -> str:
    """Return what a run of a config is called: its name, or that of the run that it lies in."""
    folder = config.absolute().parent
    if config.stem.startswith("config") and is_marked(folder):
        own = folder.parent if folder.name == BEST_OF_SWEEP else folder
        return re.sub(r"-\d+$", "", own.name)
    return config.stem


def create_run(path: Path | None, name: str) -> RunDirectory:
    """Make an empty run directory: `path`, or the next free runs/<name>-<n>.

    Raises RunInUseError where `path` is not empty, ConfigError where it is a file or lies in
    another run; ResourceError.
    """
    run = RunDirectory(make_directory(path, name, "run"))
    try:
        make_folder(run.checkpoints)
    except OSError as error:
        raise ResourceError(f"{run.checkpoints}: cannot be made ({error.strerror})") from None
    return run


def make_directory(path: Path | None, name: str, kind: Kind) -> Path:
    """Make the directory of a run or a sweep, `path` or runs/<name>-<n>, and mark it.

    Raises as `create_run` does. A process that is killed before the mark is there leaves an empty
    directory, which is used again.
    """
    try:
        if path is None:
            refuse_used(None)
            path = make_numbered(name)
        make_folder(path)
        refuse_used(path, kind=kind)
        with locked(RunDirectory(path)):
            refuse_used(path, kind=kind)  # by a process that was quicker than we were
            mark(path, kind)
    except OSError as error:
        where = error.filename or path or RUNS
        raise ResourceError(f"{where}: cannot be made ({error.strerror})") from None
    return path


def refuse_inside(option: str, path: Path, *places: Path) -> None:
    """Raise ConfigError where `path` lies in a run or sweep, or is one, or lies in a file.

    option: what names the path, such as `--output`; "" for a place that the user did not choose.
    places: looked at instead of `path` for a run or sweep.
    """
    where = f"{option} {echo(path)}".lstrip()
    remedy = "choose another place" if option else "change to another folder"
    for folder in filter(None, map(marked_above, places or (path,))):
        found = mark_of(folder)
        kind = "run" if found is None else found.kind
        raise ConfigError(f"{where}: is in a {kind} directory; {remedy}")
    above = next((folder for folder in path.parents if os.path.lexists(folder)), path.parent)
    if os.path.lexists(above) and not above.is_dir():
        raise ConfigError(f"{where}: {echo(above)} is not a folder; {remedy}")


def refuse_used(
    path: Path | None, inputs: Sequence[Path] = (), kind: Kind = "run", option: str = "--run-dir"
) -> None:
    """Refuse a run's directory that already exists, unless it is empty; `option` names it.

    None stands for the next free one under runs/. Raises ConfigError where it is a file, lies in
    one, in another run or sweep, or holds one of `inputs`; else RunInUseError. What a process left
    that was killed before its run or sweep had begun does not count.
    """
    if path is None:
        refuse_inside("", RUNS)
        if os.path.lexists(RUNS) and not RUNS.is_dir():
            raise ConfigError(f"{RUNS}: is not a folder; change to another folder")
        return
    if os.path.lexists(path) and not path.is_dir():
        what = "a file" if path.exists() else "a link to nothing"
        raise ConfigError(f"{option} {echo(path)}: is {what}; name a new or empty folder")
    refuse_inside(option, path, path.absolute().parent, Path(os.path.realpath(path)).parent)
    if not path.is_dir() or _has_not_begun(path, kind):
        return
    for each in inputs:
        if each.resolve().is_relative_to(path.resolve()):
            raise ConfigError(
                f"{option} {echo(path)}: contains an input, {echo(each)}; "
                "name a new or empty folder"
            )
    found, remedy = mark_of(path), ""
    if found is not None and (path / _BEGUN[found.kind]).is_file():
        command = "--resume" if option.startswith("--") else "ml2021 train --resume"
        remedy = f", or resume its {found.kind} with {command} {path}"
    raise RunInUseError(f"{path}: not an empty directory; choose another {option}{remedy}")


_BEGUN: Mapping[Kind, str] = {"run": "config.resolved.yaml", "sweep": "sweep.json"}
"""The file with which a run or a sweep has begun."""
_BEFORE: Mapping[Kind, frozenset[str]] = {
    "run": frozenset(
        {MARK, "config.yaml", "environment.json", "metrics.csv", "checkpoints", "init.safetensors"}
    ),
    "sweep": frozenset({MARK, "config.yaml"}),
}
"""What may be there before that."""


def _has_not_begun(path: Path, kind: Kind) -> bool:
    """Whether a directory is empty, or holds only what a killed process had prepared in it."""
    found = mark_of(path)
    if found is None:
        return all(is_temporary(entry, {MARK}) for entry in path.iterdir())
    before, names = _BEFORE[kind], _BEFORE[kind] | {_BEGUN[kind]}
    entries = [*path.iterdir(), *_listing(path / "checkpoints")]
    return found == (kind, FORMAT_VERSION) and all(
        not entry.is_symlink() and (entry.name in before or is_temporary(entry, names))
        for entry in entries
    )


def _listing(folder: Path) -> list[Path]:
    """Return what a folder holds; nothing where it is none, or a link."""
    return list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def event_files(folder: Path) -> list[Path]:
    """Return the event files that TensorBoard's writer has made in a folder."""
    found = [path for path in _listing(folder) if _EVENT_FILE.fullmatch(path.name)]
    return sorted(path for path in found if not path.is_dir())


def make_numbered(name: str) -> Path:
    """Make the next free folder runs/<name>-<n>."""
    RUNS.mkdir(exist_ok=True)
    pattern = re.compile(re.escape(name) + r"-(\d+)")
    taken = [int(m[1]) for entry in RUNS.iterdir() if (m := pattern.fullmatch(entry.name))]
    number = max(taken, default=0) + 1
    while True:
        chosen = RUNS / f"{name}-{number}"
        try:
            chosen.mkdir()
        except FileExistsError:  # another process took the number
            number += 1
        else:
            return chosen


def find_run(path: Path) -> Path:
    """Return the folder of a run or a sweep that may be named without its `runs/`."""
    if not path.exists() and not path.is_absolute() and (RUNS / path).is_dir():
        return RUNS / path
    return path


def refuse_run(table: Path, remedy: str = "") -> None:
    """Raise ConfigError for a run where a table is expected; `remedy` says what to do."""
    run = find_run(table)
    if is_marked(run):
        raise ConfigError(
            f"{table}: is a run, not a table; {remedy or f'give it by --run {table}'}"
        )


def open_run(path: Path | None) -> RunDirectory:
    """Return the run at `path`, or the newest under runs/; CheckpointError if there is none.

    A sweep stands for its best run, and a name for the run of that name under runs/.
    """
    if path is None:
        run = _newest()
        refuse_links(run)
        return run
    path = find_run(path)
    found = mark_of(path)
    if found is not None and found.kind == "sweep":
        if not os.path.lexists(best := path / BEST_OF_SWEEP):
            raise CheckpointError(f"{path}: this sweep has no best run; name another run")
        path, found = best, mark_of(best)
    run = RunDirectory(path)
    if found is None:
        near = suggest(path.name, (entry.name for entry in RUNS.glob("*/")))
        what = f"no such run directory{near}"
        if path.exists():
            what = "not a run directory"
            if run.resolved_config.is_file():
                what += f", as it lacks the file {MARK}; train again"
        raise CheckpointError(f"{path.absolute()}: {what}")
    if found.version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: a run of format {found.version}, but this ml2021 reads {FORMAT_VERSION}; "
            "use the version that wrote it, or train again"
        )
    refuse_links(run)
    if not run.resolved_config.is_file():
        what = "interrupted before it began; start it again with --config FILE --run-dir DIR"
        if not _has_not_begun(path, "run"):
            what = f"{run.resolved_config.name} is missing; train again"
        raise CheckpointError(f"{path.absolute()}: {what}")
    return run


def refuse_links(directory: MarkedDirectory) -> None:
    """Raise CheckpointError for a link in a run or sweep that leads out of it.

    Nothing is read or written through one, whether it is at a name of ours in the directory, or
    on the way to it in a sweep around it.
    """
    home = Path(os.path.realpath(directory.path))
    for path in directory.entries():
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(home):
            raise _leads_out(path, home)
    for path in (directory.path.absolute(), *directory.path.absolute().parents):
        if path.is_symlink() and is_marked(path.parent):
            raise _leads_out(path, path.parent)


def _leads_out(path: Path, folder: Path) -> CheckpointError:
    found = mark_of(folder)
    kind = "run" if found is None else found.kind
    return CheckpointError(
        f"{path}: points outside the {kind} directory, to {echo(os.path.realpath(path))}; "
        "replace the link with a copy"
    )


@contextmanager
def chosen_run(run: RunDirectory, named: Path | None) -> Iterator[None]:
    """Add to an error about a table which run was used, where the user did not name one."""
    try:
        yield
    except (ConfigError, DataError) as error:
        if named is not None:
            raise
        hint = f"the run is {run.path}, the newest; choose another with --run"
        raise type(error)(*error.lines, hint) from None


def _newest() -> RunDirectory:
    """Return the run under runs/ with a model whose config was written last."""
    configs = [
        config
        for folder in ("*", f"*/{BEST_OF_SWEEP}")
        for best in RUNS.glob(f"{folder}/checkpoints/best.safetensors")
        if (config := RunDirectory(best.parent.parent).resolved_config).is_file()
        and is_marked(config.parent)
    ]
    if not configs:
        raise CheckpointError(f"{RUNS.absolute()}: no trained run here; name one with --run")
    return RunDirectory(max(configs, key=lambda path: (path.stat().st_mtime_ns, path)).parent)


@contextmanager
def locked(run: RunDirectory) -> Iterator[None]:
    """Lock the run for this process; the kernel releases it however the process ends."""
    try:
        handle = os.open(run.path, os.O_RDONLY)
    except OSError as error:
        raise ResourceError(f"{run.path}: cannot be opened ({error.strerror})") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunInUseError(f"{run.path}: another process is training this run") from None
        except OSError as error:
            raise ResourceError(f"{run.path}: cannot be locked ({error.strerror})") from None
        yield
    finally:
        os.close(handle)


def remove_leftovers(directory: MarkedDirectory) -> None:
    """Remove temporary files that a killed process has left; the lock is held."""
    names: dict[Path, set[str]] = {}
    for path in directory.entries():
        names.setdefault(path.parent, set()).add(path.name)
    for folder, known in names.items():
        for entry in _listing(folder):
            if is_temporary(entry, known):
                entry.unlink()


def foreign_entries(run: RunDirectory) -> list[Path]:
    """Return what is in a run's directory and is not ours."""
    known = {*run.entries()}
    names = {path.name for path in known}
    found = [*_listing(run.path), *_listing(run.checkpoints), *_listing(run.tensorboard)]
    return [path for path in found if path not in known and not is_temporary(path, names)]


def remove_run(run: RunDirectory) -> None:
    """Remove a run, the mark last; what is not ours in its directory stays. Raises OSError."""
    refuse_links(run)
    remove_leftovers(run)
    for path in [*run.entries()]:
        if path not in (run.mark, run.checkpoints, run.tensorboard):
            path.unlink(missing_ok=True)
    for folder in (run.checkpoints, run.tensorboard):
        with suppress(OSError):
            folder.rmdir()
    run.mark.unlink(missing_ok=True)
    with suppress(OSError):
        run.path.rmdir()
