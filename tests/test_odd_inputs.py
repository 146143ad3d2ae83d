"""Fuzzing: damaged checkpoints, odd configs and odd tables are read correctly or refused.

Hundreds of each in the quick run, tens of thousands in the soak. See `tests.suites`.
"""

from functools import cache

import pytest

from tests import mutants, suites
from tests.conftest import Record
from tests.suites import HangError, Tally, run_suite

QUICK = {"damage": 240, "yaml": 200, "csv": 200}
LONG = {"damage": 10_000, "yaml": 20_000, "csv": 10_000}
TITLES = {
    "damage": "checkpoints cut, flipped and rewritten",
    "yaml": "YAML texts and configs",
    "csv": "tables",
}


@cache
def quick(suite: str) -> dict[str, Tally]:
    """Return the tallies of the program, under "", and of each of the suite's mutants."""
    return run_suite(suite, QUICK[suite], mutants.names(suite))


def assert_right(tally: Tally) -> None:
    assert tally.wrong == []
    assert (tally.wrong_cases, tally.hangs) == (0, 0)


@pytest.mark.parametrize("suite", QUICK)
def test_hundreds_are_read_or_refused(suite: str) -> None:
    tally = quick(suite)[""]
    assert_right(tally)
    assert tally.cases >= QUICK[suite]
    # Both outcomes occur.
    refused = sum(n for verdict, n in tally.right.items() if "refused" in verdict)
    assert 0.1 * tally.cases < refused < tally.cases


@pytest.mark.soak
@pytest.mark.parametrize("suite", LONG)
def test_tens_of_thousands_are_read_or_refused(suite: str, record: Record) -> None:
    tally = run_suite(suite, LONG[suite])[""]
    record(
        TITLES[suite],
        f"{tally.cases - tally.wrong_cases:,} of {tally.cases:,} right, {tally.hangs} hangs, "
        f"the slowest took {tally.slowest_seconds:.2f} s",
    )
    if suite == "damage":
        flips = {verdict: n for verdict, n in tally.right.items() if verdict.startswith("flip")}
        same = flips.get("flip: same", 0)
        record(
            "flipped bits",
            f"{sum(flips.values()):,} of {LONG[suite]:,} refused, or the same to the bit ({same})",
        )
        cuts = tally.right["truncation: refused"]
        record("truncations, of every length", f"{cuts:,} of {cuts:,} refused")
    assert_right(tally)


@pytest.mark.parametrize(
    ("suite", "mutant"), [(suite, name) for suite in QUICK for name in mutants.names(suite)]
)
def test_a_mutant_is_caught(suite: str, mutant: str) -> None:
    assert quick(suite)[mutant].wrong_cases > 0


def test_an_endless_case_counts_as_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "LONGEST_SECONDS", 0.1)
    tally = Tally()

    def never_end() -> None:
        with tally.timed():
            while True:
                pass

    with pytest.raises(HangError):
        never_end()
    assert tally.hangs == 1
    with tally.timed():
        pass
    assert (tally.hangs, tally.slowest_seconds >= 0.1) == (1, True)
