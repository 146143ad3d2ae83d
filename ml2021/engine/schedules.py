"""Learning-rate schedules: a factor from 0 to 1, as a pure function of the update.

A schedule has no state, so a resumed run continues exactly as it would have without interruption.
"""

import math
from dataclasses import dataclass
from typing import assert_never


@dataclass(frozen=True)
class Constant:
    """1: the learning rate does not change."""


@dataclass(frozen=True)
class Cosine:
    """(1 + cos(π · update / updates)) / 2: from 1 to 0 along half a cosine (arXiv:1608.03983)."""


@dataclass(frozen=True)
class Step:
    """factor^⌊epoch / every⌋: multiplied by `factor` every `every` epochs."""

    every: int
    factor: float


Schedule = Constant | Cosine | Step


def lr_factor(schedule: Schedule, update: int, updates_per_epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate for an update, counted from 0."""
    match schedule:
        case Constant():
            return 1.0
        case Cosine():
            return 0.5 * (1 + math.cos(math.pi * update / (updates_per_epoch * epochs)))
        case Step(every, factor):
            return float(factor ** (update // updates_per_epoch // every))
        case _:
            assert_never(schedule)
