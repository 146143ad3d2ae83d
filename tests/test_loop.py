"""When a run is saved: about every interval, and no more often."""

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml2021.runs.directory import RunDirectory
from ml2021.training.loop import Saver

INTERVAL = 30.0


@given(step=st.floats(0.1, 50), save=st.floats(0, 6))
def test_a_save_is_due_an_interval_after_the_last_began(step: float, save: float) -> None:
    now, begun = 1000.0, [1000.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        saver = Saver(RunDirectory(Path("run")), lambda: begun.append(now), INTERVAL)
        while now < 1000 + 10 * INTERVAL:
            now += step
            if saver.is_due():
                saver.save()
                now += save
    gaps = [after - before for before, after in pairwise(begun)]
    assert min(gaps) >= INTERVAL - 1e-9
    assert max(gaps) <= INTERVAL + step + 1e-9  # no later than the step that was under way
