"""Whatever the disk refuses, and wherever: one line, an exit code, and nothing that was is lost.

`strace` makes a call that touches the run's folder fail with an error. Training may go on where the
call does not matter; else it ends in exit code 5, the checkpoints are whole, and a resume ends as
if nothing had been. The quick part takes some of the points, the soak all of them.
"""

import shutil
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import pytest

from ml2021.runs.checkpoints import load_checkpoint
from tests import mutants
from tests.conftest import Record
from tests.finishing import (
    CALLS,
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
ERRORS = ("ENOSPC", "EIO", "EACCES", "EMFILE")
QUICK = 10
MOST_SAVES = 9
"""From where the run is stopped to its end there are fewer saves than from the beginning, 13."""
Case = tuple[Injection, str]


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


@pytest.fixture(scope="module")
def folder(forks: Forks) -> Iterator[Path]:
    with scratch() as folder:
        prepare(folder, forks)
        kill = Injection("rename", "signal=SIGKILL", 14)
        outcome, _ = forks.trace(folder, *TRAIN, calls="rename", inject=kill, settings=SETTINGS)
        assert outcome.code == -9
        shutil.copytree(folder / RUN, folder / "stopped")
        yield folder


def points_of(forks: Forks, folder: Path, command: tuple[str, ...]) -> list[Injection]:
    begin_again(folder, "stopped" if command == RESUME else None)
    outcome, log = forks.trace(folder, *command, calls=CALLS, settings=SETTINGS)
    assert outcome.code == 0, outcome.stderr
    assert command == TRAIN or 0 < len(_checkpoints(log)) <= MOST_SAVES
    return touching(log)


def wrong_at(
    forks: Forks, folder: Path, command: tuple[str, ...], case: Case, mutant: str | None = None
) -> list[str]:
    """Let the call fail, and say what is not as it has to be, then and after a resume."""
    point, error = case
    begin_again(folder, "stopped" if command == RESUME else None)
    inject = Injection(point.syscall, f"error={error}", point.when)
    calls = f"{point.syscall},rename"
    outcome, log = forks.trace(
        folder, *command, calls=calls, inject=inject, mutant=mutant, settings=SETTINGS
    )
    wrong = []
    if command == RESUME and len(_checkpoints(log)) > MOST_SAVES:
        wrong.append("it began anew")
    if outcome.code == 0:
        if outcome.stderr:
            wrong.append(f"success, and it says {outcome.stderr!r}")
        if not (folder / RUN / "summary.json").exists():
            wrong.append("success, and no summary")
    elif outcome.code == 2 and error == "EACCES" and "config.resolved.yaml" in outcome.stderr:
        pass  # a config that may not be read is an error in the config
    elif outcome.code != 5 or outcome.stderr.count("\n") != 1 or outcome.stdout:
        wrong.append(f"{outcome}")
    for name in ("best", "last"):
        path = folder / RUN / "checkpoints" / f"{name}.safetensors"
        if path.exists():
            load_checkpoint(path)
        elif command == RESUME:
            wrong.append(f"{path.name} is gone")
    return wrong + finish(forks, folder, mutant)


def _checkpoints(log: Sequence[str]) -> list[str]:
    return [line for line in log if "rename(" in line and ".last.safetensors" in line]


def failures(
    forks: Forks,
    folder: Path,
    command: tuple[str, ...],
    cases: Sequence[Case],
    mutant: str | None = None,
) -> dict[Case, list[str]]:
    found = {case: wrong_at(forks, folder, command, case, mutant) for case in cases}
    return {case: wrong for case, wrong in found.items() if wrong}


@pytest.mark.parametrize("command", [TRAIN, RESUME], ids=["train", "resume"])
def test_some_disk_errors_lose_nothing(
    forks: Forks, folder: Path, command: tuple[str, ...]
) -> None:
    points = spread(points_of(forks, folder, command), QUICK)
    assert failures(forks, folder, command, list(zip(points, cycle(ERRORS)))) == {}


@pytest.mark.soak
@pytest.mark.parametrize("command", [TRAIN, RESUME], ids=["train", "resume"])
def test_no_disk_error_loses_anything(
    forks: Forks, folder: Path, command: tuple[str, ...], record: Record
) -> None:
    cases = [(p, error) for p in points_of(forks, folder, command) for error in ERRORS]
    wrong = failures(forks, folder, command, cases)
    right = len(cases) - len(wrong)
    record(
        f"disk errors of `{'train' if command == TRAIN else 'train --resume'}`",
        f"{right} of {len(cases)}",
    )
    assert wrong == {}


@pytest.mark.parametrize("mutant", mutants.names("test_disk_errors"))
def test_a_mutant_loses_something(forks: Forks, folder: Path, mutant: str) -> None:
    points = points_of(forks, folder, RESUME)
    chosen = [p for p in points if p.syscall in ("newfstatat", "stat", "write")]
    for point in spread(chosen, 40):
        try:
            if wrong_at(forks, folder, RESUME, (point, "EIO"), mutant):
                return
        except Exception:  # a checkpoint that is no longer whole
            return
    pytest.fail("no disk error shows it")
