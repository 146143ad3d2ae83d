"""`check` exits as `train` does, with the same lines, on the configs and tables of the table."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.catalogue import config, csv_structure, csv_values, numbers
from tests.catalogue.case import Case, furnish, in_process, play

OPTIONS = {"--run-dir": 1, "--quiet": 0, "--no-report": 0}
"""Options of `train` that `check` does not take, and how many values they have."""


def as_check(case: Case) -> Case | None:
    """Return the case with `check` in place of `train`, None if it is not about what both do."""
    words = shlex.split(case.command)
    is_fresh = words[0] == "train" and "--resume" not in words and case.code in (0, 2, 3)
    if not is_fresh or case.run is not in_process or "run" in case.name:
        return None
    if any(line.startswith("ml2021 train:") for line in case.lines):
        return None  # its options are not those of check
    kept = []
    while words:
        word = words.pop(0)
        if word in OPTIONS:
            del words[: OPTIONS[word]]
        else:
            kept.append(word)
    lines = case.lines if case.code else ()
    command = shlex.join(["check", *kept[1:]])
    return replace(case, command=command, lines=lines, leaves=(), then=())


CASES = [
    check
    for section in (config, csv_structure, csv_values, numbers)
    for case in section.CASES
    if (check := as_check(case)) is not None
]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("check")
    furnish(place / "furnished")
    return place / "furnished"


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_check_says_what_train_says(case: Case, furnished: Path) -> None:
    if reason := case.needs():
        pytest.skip(reason)
    here = furnished.with_name("here")
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(furnished, here)
    play(case, here)


def test_there_are_many() -> None:
    assert len(CASES) > 150
