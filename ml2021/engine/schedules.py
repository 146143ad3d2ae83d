"""How the learning rate changes: a factor from 0 to 1, a pure function of the update.

Nothing here is remembered from update to update, so a resumed run goes on as it would have gone.
"""

import math
from dataclasses import dataclass
from typing import assert_never


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is."""


@dataclass(frozen=True)
class Cosine:
    """(1 + cos(π · update / updates)) / 2: from 1 to 0 along half a wave (arXiv:1608.03983)."""


@dataclass(frozen=True)
class Step:
    """factor^⌊epoch / every⌋: multiplied by `factor` after each `every` epochs."""

    every: int
    factor: float


Schedule = Constant | Cosine | Step


def lr_factor(schedule: Schedule, update: int, updates_per_epoch: int, epochs: int) -> float:
    """Return the share of the learning rate for the update of that number, counted from 0."""
    match schedule:
        case Constant():
            return 1.0
        case Cosine():
            return 0.5 * (1 + math.cos(math.pi * update / (updates_per_epoch * epochs)))
        case Step(every, factor):
            return float(factor ** (update // updates_per_epoch // every))
        case _:
            assert_never(schedule)
