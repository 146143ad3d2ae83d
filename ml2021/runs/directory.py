"""A run directory: its layout, its lock, and the small files in it."""

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ml2021.errors import CheckpointError, ConfigError, DataError, ResourceError, RunInUseError
from ml2021.files import is_temporary, make_folder, replace_file
from ml2021.formatting import echo

if TYPE_CHECKING:
    from pydantic import BaseModel

RUNS = Path("runs")
BEST_OF_SWEEP = "best"
"""The folder of a sweep's directory that holds its best run."""


class RunDirectory:
    """The paths inside one run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"  # as the user wrote it
        self.resolved_config = path / "config.resolved.yaml"  # with every default
        self.environment = path / "environment.json"  # versions, command line, device, data
        self.metrics = path / "metrics.csv"  # a row per epoch
        self.folds = path / "folds.csv"  # a row per fold of a cross-validation
        self.summary = path / "summary.json"  # written when training has ended
        self.report = path / "report.html"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best.safetensors"  # the lowest validation loss
        self.last = self.checkpoints / "last.safetensors"  # to resume from
        self.refit = self.checkpoints / "refit.safetensors"  # to resume the final model's training
        self.init = self.checkpoints / "init.safetensors"  # a copy of what training started from

    def fold_pack(self, number: int) -> Path:
        """Return the checkpoint to resume a pack of folds from."""
        return self.checkpoints / f"folds-{number}.safetensors"


def create_run(path: Path | None, name: str) -> RunDirectory:
    """Make an empty run directory: `path`, or the next free runs/<name>-<n>.

    Raises RunInUseError where `path` is not empty, ConfigError where it is a file; ResourceError.
    """
    try:
        chosen = make_numbered(name) if path is None else path
        make_folder(chosen)
        refuse_used(chosen)
        make_folder(chosen / "checkpoints")
    except OSError as error:
        where = error.filename or path or RUNS
        raise ResourceError(f"{where}: cannot be made ({error.strerror})") from None
    return RunDirectory(chosen)


def refuse_used(path: Path, inputs: Sequence[Path] = ()) -> None:
    """Refuse a `path` that already exists, unless it is an empty directory.

    Raises ConfigError where it is a file, or one of `inputs` lies in it; else RunInUseError. What a
    process left that was killed before its run had begun does not count.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"--run-dir {path}: is a file; name a new or empty folder")
    if not path.is_dir() or not any(path.iterdir()) or _has_not_begun(path):
        return
    for each in inputs:
        if each.resolve().is_relative_to(path.resolve()):
            raise ConfigError(
                f"--run-dir {path}: contains an input, {each}; name a new or empty folder"
            )
    is_run = RunDirectory(path).resolved_config.is_file()
    remedy = f", or resume its run with --resume {path}" if is_run else ""
    raise RunInUseError(f"{path}: not an empty directory; choose another --run-dir{remedy}")


def _has_not_begun(path: Path) -> bool:
    """Whether a run was being made here, and its process ended before the config was resolved."""
    folder = path / "checkpoints"
    before = {"checkpoints", "init.safetensors", "config.yaml", "environment.json", "metrics.csv"}
    if not folder.is_dir():
        return False
    entries = [*path.iterdir(), *folder.iterdir()]
    return all(entry.name in before or is_temporary(entry.name) for entry in entries)


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


def open_run(path: Path | None) -> RunDirectory:
    """Return the run at `path`, or the newest under runs/; CheckpointError if there is none.

    A sweep stands for its best run.
    """
    if path is None:
        run = _newest()
        _refuse_links(run)
        return run
    run = RunDirectory(path)
    if not run.resolved_config.is_file() and (path / BEST_OF_SWEEP).is_dir():
        run = RunDirectory(path / BEST_OF_SWEEP)
    _refuse_links(run)
    if not run.resolved_config.is_file():
        what = "not a run directory" if path.exists() else "no such run directory"
        if path.is_dir() and _has_not_begun(path):
            what = "interrupted before it began; start it again with --config FILE --run-dir DIR"
        raise CheckpointError(f"{path.absolute()}: {what}")
    return run


def _refuse_links(run: RunDirectory) -> None:
    """Raise CheckpointError for a link in a run directory that points outside it."""
    saved = (run.best, run.last, run.refit, run.init)
    for path in (run.best.parent, run.resolved_config, run.environment, run.metrics, *saved):
        if path.is_symlink() and not path.resolve().is_relative_to(run.path.resolve()):
            raise CheckpointError(
                f"{path}: points outside the run directory, to {path.resolve()}; "
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


def remove_leftovers(run: RunDirectory) -> None:
    """Remove temporary files that a killed process has left; the lock is held."""
    for folder in (run.path, run.best.parent):
        for entry in folder.iterdir():
            if is_temporary(entry.name):
                entry.unlink()


def write_text(path: Path, text: str) -> None:
    """Replace a small text file whole."""
    replace_file(path, text.encode())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file whole; nan or inf in it is a bug of ours."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


MOST_BYTES = 256 << 20
"""Of a file of a run that is no checkpoint."""


def read_bytes(path: Path, missing: str, most: int | None = MOST_BYTES) -> bytes:
    """Return the content of a file of at most `most` bytes.

    Raises CheckpointError(missing) if there is none, CheckpointError where it is no file or too
    large, or ResourceError.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a FIFO would block until something writes to it
            raise CheckpointError(f"{path}: not a file")
        if most is not None and found.st_size > most:
            size, limit = (f"{number / 2**20:,.0f} MiB" for number in (found.st_size, most))
            raise CheckpointError(f"{path}: {size} are more than the {limit} that can be read")
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(missing) from None
    except OSError as error:
        raise ResourceError(f"{path}: cannot be read ({error.strerror})") from None


Recorded = TypeVar("Recorded", bound="BaseModel")


def read_record(
    path: Path, kind: type[Recorded], version: int | None, remedy: str = "train the run again"
) -> Recorded:
    """Read a JSON file as the model that it was written from, of that format version, if any.

    Raises CheckpointError if it is missing, damaged or outdated, with the key that is wrong.
    """
    content = read_bytes(path, f"{path.absolute()}: missing; {remedy}")
    try:
        return kind.model_validate_json(content)
    except ValueError as error:
        found = error
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: damaged, not JSON; {remedy}") from None
    if not isinstance(plain, dict):
        raise CheckpointError(f"{path}: damaged, not a JSON object; {remedy}")
    if version is not None and (written := plain.get("format_version")) != version:
        what = "no format version" if written is None else f"format {echo(written)}"
        raise CheckpointError(
            f"{path}: {what}, but this ml2021 reads format {version}; "
            f"use the version that wrote it, or {remedy}"
        )
    from pydantic import ValidationError

    assert isinstance(found, ValidationError)
    where = echo(".".join(map(str, found.errors()[0]["loc"])))
    raise CheckpointError(f"{path}: damaged{f' at {where}' if where else ''}; {remedy}")


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object of the run. Raises CheckpointError where it is missing or damaged."""
    content = read_bytes(path, f"{path.absolute()}: missing; train the run again")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: damaged, not JSON; train the run again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: damaged, not a JSON object; train the run again")
    return value
