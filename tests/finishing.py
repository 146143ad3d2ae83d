"""A small run that saves after every update, what touches its folder, and how to finish it."""

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import commands
from tests.commands import Outcome
from tests.forks import Forks, Injection

RUN, WHOLE = "run-under-test", "whole"
CONFIG = """preset: fast
data: {path: t.csv, target: y, exclude: [id, kind, p*]}
model: {type: relu_stack, widths: [4]}
optimizer: {type: adamw, lr: 0.05}
train: {epochs: 3, batch_size: 8, save_seconds: 1e-9}
"""
SETTINGS = {"report_seconds": -1}
Command = tuple[str, ...]
TRAIN: Command = ("train", "--no-report", "--quiet", "--config", "c.yaml", "--run-dir", RUN)
RESUME: Command = ("train", "--no-report", "--quiet", "--resume", RUN)
CALLS = (
    "openat,read,write,pwrite64,lseek,close,fsync,fdatasync,ftruncate,rename,renameat,renameat2,"
    "link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,flock,newfstatat,stat,lstat,fstat,statx,"
    "access,faccessat2,getdents64,mmap,msync,fallocate,sendfile,copy_file_range"
)
"""The calls that can touch a file."""
MEMORY = Path("/dev/shm")
# The time that a run took is all that may differ after a stop, and how it was called.
_CLOCKS = {"summary.json": ("seconds", "rows_per_second"), "environment.json": ("command",)}
NOT_BEGUN = re.compile(r"no such run directory|not a run directory|interrupted before it began")


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in memory where there is one: an fsync costs nothing, a kill sees the same."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


def prepare(folder: Path, forks: Forks, config: str = CONFIG, rows: int = 40) -> Path:
    """Make the table, the config and a run that is never stopped."""
    commands.write_rows(folder / "t.csv", commands.table(rows))
    (folder / "c.yaml").write_text(config)
    train = (*TRAIN[:-1], WHOLE)
    outcome = forks.run(folder, *train, settings=SETTINGS)
    assert outcome.code == 0, outcome.stderr
    return folder


def touching(log: Sequence[str], name: str = RUN) -> list[Injection]:
    """Return each call of a trace that touches the run's folder, to be injected something."""
    child = log[0].split()[0]
    counts: dict[str, int] = {}
    found = []
    for line in log:
        number, _, rest = line.partition(" ")
        if number != child or not (match := re.match(r"(\w+)\(", rest.lstrip())):
            continue
        counts[match[1]] = counts.get(match[1], 0) + 1
        if name in rest:
            found.append(Injection(match[1], "", counts[match[1]]))
    return found


def finish(forks: Forks, folder: Path, mutant: str | None = None) -> list[str]:
    """Go on with the run to its end, or start it where it had not begun; say what is wrong."""
    outcome = forks.run(folder, *RESUME, mutant=mutant, settings=SETTINGS)
    if outcome.code == 4 and NOT_BEGUN.search(outcome.stderr):
        outcome = forks.run(folder, *TRAIN, mutant=mutant, settings=SETTINGS)
    if outcome != Outcome(0, f"{RUN}\n", ""):
        return [f"exit code {outcome.code}: {outcome.stderr.strip()}"]
    return different(folder / RUN, folder / WHOLE)


def different(one: Path, other: Path) -> list[str]:
    """Return the files of two runs that one lacks, or that differ in more than clocks."""
    first, second = _contents(one), _contents(other)
    return [name for name in first | second if first.get(name) != second.get(name)]


def _contents(run: Path) -> dict[str, Any]:
    contents: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(run))
            contents[name] = path.read_bytes()
            if name in _CLOCKS:
                with contextlib.suppress(ValueError):  # cut short
                    read = json.loads(contents[name])
                    contents[name] = {key: v for key, v in read.items() if key not in _CLOCKS[name]}
    return contents


def begin_again(folder: Path, like: str | None = None) -> None:
    """Remove the run, or make it a copy of the folder `like`."""
    shutil.rmtree(folder / RUN, ignore_errors=True)
    if like is not None:
        shutil.copytree(folder / like, folder / RUN)


def spread(points: Sequence[Injection], count: int) -> list[Injection]:
    """Return that many of the points, from the first to the last."""
    step = max(1, (len(points) - 1) / max(1, count - 1))
    return [points[round(index * step)] for index in range(min(count, len(points)))]
