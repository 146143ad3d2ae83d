"""Every row of the table is run, and no case is without one."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.catalogue import (
    checkpoints,
    config,
    csv_structure,
    csv_values,
    numbers,
    ownership,
    parquet,
    predicting,
    process,
)
from tests.catalogue.case import Case, furnish, play

SECTIONS = {
    config: range(1, 17),
    csv_structure: range(17, 34),
    csv_values: range(34, 44),
    predicting: range(44, 54),
    checkpoints: range(54, 68),
    process: range(68, 83),
    numbers: range(83, 94),
}
CASES: list[Case] = [case for section in (*SECTIONS, ownership, parquet) for case in section.CASES]
UNDER_TORCHRUN = {*range(94, 99)}  # in tests/test_ranks.py


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that is copied for each row; `here` beside it is where it came to be."""
    place = tmp_path_factory.mktemp("c")
    furnish(place / "here")
    shutil.copytree(place / "here", place / "furnished")
    return place / "furnished"


@pytest.fixture
def here(furnished: Path) -> Path:
    """Return the folder, as it was before the last row; runs name their data by its whole path."""
    here = furnished.with_name("here")
    shutil.rmtree(here)
    shutil.copytree(furnished, here)
    return here


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case, here: Path) -> None:
    if reason := case.needs():
        pytest.skip(reason)
    play(case, here)


def test_every_case_has_a_row() -> None:
    shown = {number for case in CASES for number in case.numbers}
    assert shown == set(range(1, 99)) - UNDER_TORCHRUN


def test_a_row_stands_in_its_section_and_has_a_name_of_its_own() -> None:
    for section, owned in SECTIONS.items():
        for case in section.CASES:
            assert case.numbers[0] in owned, case.id
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
