"""Training on several ranks, as torchrun starts them."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests import mutants
from tests.forks import ROOT
from tests.ranks_group import CASES_OF

NEAR = 1e-9


@pytest.fixture(scope="module")
def differences() -> dict[str, Any]:
    """How far trainings on several ranks are from those on one, as `tests.ranks_group` says."""
    command = [sys.executable, "-m", "tests.ranks_group"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ranks_agree_with_one_to_rounding(differences: dict[str, Any]) -> None:
    for size, cases in CASES_OF.items():
        found = differences["right"][str(size)]
        assert set(found) == set(cases)
        assert max(found.values()) < NEAR, found


@pytest.mark.parametrize("mutant", mutants.names("test_ranks"))
def test_broken_ranks_are_noticed(mutant: str, differences: dict[str, Any]) -> None:
    found = differences["broken"][mutant]
    assert found is None or max(found.values()) > NEAR
