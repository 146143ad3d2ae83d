"""What a power loss can see: each file is on the disk before its name is, and its name before more.

A kill cannot see a missing fsync, so the order of the calls is asserted from a trace of them.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import mutants
from tests.finishing import CALLS, RUN, SETTINGS, TRAIN, begin_again, prepare, scratch
from tests.forks import Forks

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
APPENDED = f"{RUN}/metrics.csv"


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


@pytest.fixture(scope="module")
def folder(forks: Forks) -> Iterator[Path]:
    with scratch() as folder:
        yield prepare(folder, forks)


def violations(forks: Forks, folder: Path, mutant: str | None = None) -> tuple[list[str], int]:
    """Return what a power loss could leave wrong in one training, and how many files were renamed.

    A file is written under a temporary name, synced, renamed, and its folder is synced before
    anything else is made or renamed; what metrics.csv was given is synced before a rename, too.
    """
    begin_again(folder)
    outcome, log = forks.trace(folder, *TRAIN, calls=CALLS, mutant=mutant, settings=SETTINGS)
    assert outcome.code == 0, outcome.stderr
    wrong, renamed = [], 0
    unsynced: set[str] = set()  # files with writes that are not synced
    unnamed: set[str] = set()  # folders with names that are not synced
    for line in log:
        call, _, rest = line.partition(" ")[2].lstrip().partition("(")
        paths = [_within(folder, path) for path in re.findall(r'[<"]([^>"]+)[>"]', rest)]
        if call in ("write", "pwrite64", "ftruncate") and (path := paths[0]).startswith(RUN):
            unsynced.add(path)
            if path != APPENDED and not re.search(r"/\.[^/]+\.\d+\.ml2021$", path):
                wrong.append(f"{path} is written under its own name")
        elif call == "fsync":
            unsynced.discard(paths[0])
            unnamed.discard(paths[0])
        elif call == "mkdir" and paths[0].startswith(RUN):
            unnamed.add(str(Path(paths[0]).parent))
        elif call == "rename" and paths[1].startswith(RUN):
            renamed += 1
            wrong += [f"{path} is not synced when {paths[1]} appears" for path in unsynced]
            wrong += [f"{path} is not synced when {paths[1]} appears" for path in unnamed]
            unsynced, unnamed = set(), {str(Path(paths[1]).parent)}
    wrong += [f"{path} is not synced at the end" for path in unsynced | unnamed]
    return wrong, renamed


def _within(folder: Path, path: str) -> str:
    """Return a path relative to the working directory, which is "."."""
    whole = Path(path)
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else path


def test_a_power_loss_finds_whole_files(forks: Forks, folder: Path) -> None:
    wrong, renamed = violations(forks, folder)
    assert wrong == []
    assert renamed > 15


@pytest.mark.parametrize("mutant", mutants.names("test_durability"))
def test_a_mutant_is_seen(forks: Forks, folder: Path, mutant: str) -> None:
    assert violations(forks, folder, mutant)[0]
