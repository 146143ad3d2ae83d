"""The second process of pytest: its reports are those of an ordinary run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import beside

ROOT = Path(__file__).parent.parent
MANY = 10
TESTS = f"""
import os
import pytest

@pytest.mark.beside
@pytest.mark.parametrize("name", ["a b", "x\\ny", "@"])
def test_passes(name):
    assert "{beside._VARIABLE}" in os.environ

@pytest.mark.beside
def test_fails():
    assert "this is" == "the reason"

@pytest.mark.beside
def test_skips():
    pytest.skip("for a reason")

@pytest.mark.parametrize("number", range({MANY}))
def test_others(number):
    assert "{beside._VARIABLE}" not in os.environ

@pytest.mark.beside
@pytest.mark.skipif({{}}, reason="it is not ended")
def test_ends_it():
    os._exit(3)
"""


@pytest.mark.parametrize(
    ("without_end", "counts"),
    [
        (True, f"1 failed, {MANY + 3} passed, 2 skipped"),
        (False, f"1 failed, {MANY + 3} passed, 1 skipped, 1 error"),
    ],
)
def test_it_reports_what_an_ordinary_run_does(
    tmp_path: Path, *, without_end: bool, counts: str
) -> None:
    (tmp_path / "test_many.py").write_text(TESTS.format(without_end))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = beside\naddopts = -p tests.beside\n")
    (tmp_path / "conftest.py").write_text(f"from tests import beside\nbeside.MANY = {MANY}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert counts in done.stdout
    assert "AssertionError: assert 'this is' == 'the reason'" in done.stdout
    assert "test_many.py:16: for a reason" in done.stdout
