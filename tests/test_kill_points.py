"""A run that is killed at any call that touches its folder ends as one that was not.

`strace` kills the process where it enters the call, so that every state that the folder passes
through is one that a kill leaves. The quick part takes some of the points, the soak all of them.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import mutants
from tests.conftest import Record
from tests.finishing import (
    CALLS,
    CONFIG,
    RESUME,
    RUN,
    SETTINGS,
    TRAIN,
    begin_again,
    finish,
    prepare,
    scratch,
    spread,
    touching,
)
from tests.forks import Forks, Injection

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
QUICK = 14


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


@pytest.fixture(scope="module")
def folder(forks: Forks) -> Iterator[Path]:
    with scratch() as folder:
        prepare(folder, forks, CONFIG.replace("epochs: 3", "epochs: 2, refit: true"))
        killed(forks, folder, TRAIN, Injection("rename", "", 14))
        shutil.copytree(folder / RUN, folder / "stopped")
        yield folder


def points_of(forks: Forks, folder: Path, command: tuple[str, ...]) -> list[Injection]:
    begin_again(folder, "stopped" if command == RESUME else None)
    outcome, log = forks.trace(folder, *command, calls=CALLS, settings=SETTINGS)
    assert outcome.code == 0, outcome.stderr
    return touching(log)


def killed(
    forks: Forks,
    folder: Path,
    command: tuple[str, ...],
    point: Injection,
    mutant: str | None = None,
) -> None:
    """Run a command up to that call, and no further."""
    begin_again(folder, "stopped" if command == RESUME else None)
    kill = Injection(point.syscall, "signal=SIGKILL", point.when)
    outcome, _ = forks.trace(
        folder, *command, calls=point.syscall, inject=kill, mutant=mutant, settings=SETTINGS
    )
    assert (outcome.code, outcome.stderr) in ((-9, ""), (0, "")), outcome


def lost(
    forks: Forks,
    folder: Path,
    command: tuple[str, ...],
    points: list[Injection],
    mutant: str | None = None,
) -> dict[Injection, list[str]]:
    """Return the points after which the run does not end as it has to, and what is wrong."""
    wrong = {}
    for point in points:
        killed(forks, folder, command, point, mutant)
        if what := finish(forks, folder, mutant):
            wrong[point] = what
    return wrong


@pytest.mark.parametrize("command", [TRAIN, RESUME], ids=["train", "resume"])
def test_some_kill_points_lose_nothing(
    forks: Forks, folder: Path, command: tuple[str, ...]
) -> None:
    points = points_of(forks, folder, command)
    assert len(points) > 100
    assert {"mkdir", "openat", "write", "fsync", "rename"} - {p.syscall for p in points} <= (
        set() if command == TRAIN else {"mkdir"}
    )
    assert lost(forks, folder, command, spread(points, QUICK)) == {}


@pytest.mark.soak
@pytest.mark.parametrize("command", [TRAIN, RESUME], ids=["train", "resume"])
def test_no_kill_point_loses_anything(
    forks: Forks, folder: Path, command: tuple[str, ...], record: Record
) -> None:
    points = points_of(forks, folder, command)
    wrong = lost(forks, folder, command, points)
    survived = len(points) - len(wrong)
    record(
        f"kill points of `{'train' if command == TRAIN else 'train --resume'}`",
        f"{survived} of {len(points)}",
    )
    assert wrong == {}


@pytest.mark.parametrize("mutant", mutants.names("test_kill_points"))
def test_a_mutant_loses_something(forks: Forks, folder: Path, mutant: str) -> None:
    points = points_of(forks, folder, TRAIN)
    # Where it can show: as the folder is made, and from the writing of a file to its renaming.
    some = [p for p in points if p.syscall in ("write", "fsync", "rename")]
    chosen = [*points[:20:5], *spread(some, 30)]
    assert any(lost(forks, folder, TRAIN, [point], mutant) for point in chosen)
