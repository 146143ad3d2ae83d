"""`init`, `check` and `train` on every table of a folder: each trains, or is refused with a remedy.

The folder is named by the variable ML2021_TABLES:
`ML2021_TABLES=~/tables python -m pytest -m soak tests/test_first_tables.py`.
"""

import os
from pathlib import Path

import pytest

from tests.commands import Outcome, run

FOLDER = os.environ.get("ML2021_TABLES", "")
SUFFIXES = {".csv", ".tsv", ".gz", ".parquet"}
TABLES = sorted(p for p in Path(FOLDER).rglob("*") if p.suffix in SUFFIXES) if FOLDER else []
SHORT = ("--set", "preset=fast", "--set", "train.epochs=2")


@pytest.mark.soak
@pytest.mark.skipif(not FOLDER, reason="ML2021_TABLES names no folder of tables")
@pytest.mark.parametrize("path", TABLES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_each_table_trains_unedited_or_is_refused_with_a_remedy(tmp_path: Path, path: Path) -> None:
    written = run(tmp_path, "init", path.absolute(), "--output", "t.yaml")
    if written.code:
        print(written.stderr)
        assert_refused(written)
        assert list(tmp_path.iterdir()) == []
        return
    checked = run(tmp_path, "check", "t.yaml", *SHORT)
    trained = run(tmp_path, "train", "t.yaml", *SHORT)
    assert checked.code == trained.code, (checked.stderr, trained.stderr)
    if trained.code:
        print(trained.stderr)
        assert_refused(trained)


def assert_refused(outcome: Outcome) -> None:
    """Assert that a command refused a table, and that it says what to do about it."""
    assert outcome.code in (2, 3), outcome.stderr
    assert outcome.stdout == ""
    for line in outcome.stderr.splitlines():
        assert not line.startswith("Traceback"), outcome.stderr
    assert "; " in outcome.stderr
