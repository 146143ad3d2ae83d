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
    WHOLE,
    begin_again,
    different,
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


KEPT = "kept"


def damaged_caches(forks: Forks, folder: Path, count: int | None) -> tuple[int, list[object]]:
    """Kill a training at calls that touch its kept rows; return how many, and what was wrong."""
    run = (*TRAIN, "--set", "data.memory=disk", "--set", f"data.cache={KEPT}")
    begin_again(folder)
    shutil.rmtree(folder / KEPT, ignore_errors=True)
    _, log = forks.trace(folder, *run, calls=CALLS, settings=SETTINGS)
    points = [p for p in touching(log, f"/{KEPT}") if p.syscall != "newfstatat"]
    some = points if count is None else spread(points, count)
    wrong: list[object] = []
    for point in some:
        shutil.rmtree(folder / KEPT, ignore_errors=True)
        killed(forks, folder, run, point)
        begin_again(folder)
        outcome = forks.run(folder, *run, settings=SETTINGS)
        kept = [place.suffix for place in (folder / KEPT).iterdir()]
        saved = [folder / name / "checkpoints" for name in (RUN, WHOLE)]
        if outcome.code or kept != [".rows"] or different(*saved):
            wrong.append((point, outcome, kept))
    return len(some), wrong


def test_some_kills_while_rows_are_kept_lose_nothing(forks: Forks, folder: Path) -> None:
    assert damaged_caches(forks, folder, 6) == (6, [])


@pytest.mark.soak
def test_no_kill_while_rows_are_kept_loses_anything(
    forks: Forks, folder: Path, record: Record
) -> None:
    count, wrong = damaged_caches(forks, folder, None)
    record("kill points while rows are kept", f"{count - len(wrong)} of {count}")
    assert wrong == []


@pytest.mark.parametrize("mutant", mutants.names("test_kill_points"))
def test_a_mutant_loses_something(forks: Forks, folder: Path, mutant: str) -> None:
    points = points_of(forks, folder, TRAIN)
    # Where it can show: as the folder is made, and from the writing of a file to its renaming, most
    # of all at the end.
    some = [p for p in points if p.syscall in ("write", "fsync", "rename")]
    chosen = [*points[5:15:5], *reversed(spread(some, 30))]
    assert any(lost(forks, folder, TRAIN, [point], mutant) for point in chosen)
