"""When a run is saved: in time, so that a kill costs no more than an interval, and no oftener."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml2021.training.loop import SPARE_SHARE, Saver

INTERVAL = 30.0


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time, in seconds."""
        return self.now


def saves(step_seconds: float, save_seconds: float, patch: pytest.MonkeyPatch) -> list[float]:
    """Train in steps of one length for ten intervals; return when each save began."""
    clock = Clock()
    patch.setattr(time, "monotonic", clock)
    begun: list[float] = []

    def write() -> None:
        begun.append(clock.now)
        clock.now += save_seconds

    saver = Saver(write, INTERVAL)
    while clock.now < 1000 + 10 * INTERVAL:
        clock.now += step_seconds
        if saver.is_due():
            saver.save()
    return begun


@settings(max_examples=30, deadline=None)
@given(step=st.floats(0.1, 8), save=st.floats(0, 6))
def test_a_kill_costs_an_interval_at_most(step: float, save: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        begun = saves(step, save, patch)
    assert len(begun) >= 9
    # A kill just before a save ends loses all since the one before it began.
    losses = [after + save - before for before, after in pairwise(begun)]
    assert max(losses) <= (1 - SPARE_SHARE) * INTERVAL + 1e-9
    # What the first takes nobody knows.
    assert begun[0] - 1000 + min(save, SPARE_SHARE * INTERVAL) <= INTERVAL + 1e-9
    # And there are no more of them than that takes.
    assert min(losses) >= (1 - SPARE_SHARE) * INTERVAL - step - 1e-9
