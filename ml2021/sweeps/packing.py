"""Which runs of a sweep train side by side.

A pack's members share shape, data, batches and schedule; they may differ in the seed and in the
optimizer's numbers, which the engine takes one for each member. How many fit the memory is left to
`ml2021.sweeps.pack`, since that needs the data.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from ml2021.config import schema
from ml2021.config.loading import to_plain

MEMBER_LIMIT = 32
"""The most members of a pack: from 16 on a member costs no less."""

WHOLE_GROUPS = 3
"""Groups of runs for each worker from which none is split: there is enough to keep all busy."""

_INPUTS, _FIXED = 50, 5_000
"""Inputs of a table that is not known yet, and the parameters whose update costs as much as what
every update costs."""

_NOT_SHARED = ("seed", "sweep")

Pack = tuple[int, ...]


def differing_numbers(optimizer: schema.Optimizer) -> dict[str, float]:
    """Return the optimizer's numbers, which may differ inside of a pack."""
    plain = optimizer.model_dump()
    return {key: value for key, value in plain.items() if type(value) is float}


def group_key(config: schema.Config) -> str:
    """Return a text that is the same for the runs that can be members of one pack."""
    plain: dict[str, Any] = to_plain(config)
    for key in _NOT_SHARED:
        del plain[key]
    for key in differing_numbers(config.optimizer):
        del plain["optimizer"][key]
    return json.dumps(plain, sort_keys=True)


def make_packs(configs: Mapping[int, schema.Config], jobs: int) -> list[Pack]:
    """Deal the runs, by their numbers, out to packs for so many workers.

    Those that will take longest come first, so that no worker is left with one at the end.
    """
    groups: dict[str, list[int]] = {}
    for number, config in configs.items():
        groups.setdefault(group_key(config), []).append(number)
    are_few = len(groups) < WHOLE_GROUPS * jobs
    packs = []
    for numbers in groups.values():
        parts = max(jobs if are_few else 1, -(-len(numbers) // MEMBER_LIMIT))
        packs += _split(numbers, min(parts, len(numbers)))
    return sorted(packs, key=lambda pack: len(pack) * _work(configs[pack[0]]), reverse=True)


def _work(config: schema.Config) -> float:
    """Return about how long a run takes, in a unit of its own: the table is not known yet."""
    match config.model:
        case schema.Linear():
            parameters = _INPUTS
        case schema.SigmoidSum(units=units):
            parameters = _INPUTS * units
        case schema.ReluStack(widths=widths):
            sizes = [_INPUTS, *widths, 1]
            parameters = sum(a * b for a, b in itertools.pairwise(sizes))
        case _:
            assert_never(config.model)
    return config.train.epochs * (parameters + _FIXED)


def _split(numbers: Sequence[int], parts: int) -> list[Pack]:
    """Return that many parts whose sizes differ by at most one."""
    size, more = divmod(len(numbers), parts)
    ends = [part * size + min(part, more) for part in range(parts + 1)]
    return [tuple(numbers[a:b]) for a, b in itertools.pairwise(ends)]
