"""Which runs of a sweep train side by side, as a pack.

Packed runs share network shape, data, batches and schedule; they may differ in the seed and in the
optimizer's numbers, which the engine takes one per run. How many fit in memory depends on the data
and is decided in `ml2021.sweeps.pack`.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import assert_never

from ml2021.config import schema

MEMBER_LIMIT = 32
"""The most runs of a pack: beyond 16, a run gets no cheaper."""
WHOLE_GROUPS = 3
"""With this many groups of runs per worker, none is split: there are enough to keep all busy."""
_INPUTS, _FIXED = 50, 5_000
"""A guess at the inputs of a table that was not read yet, and an update's fixed cost, in parameters
that could be updated meanwhile."""
Pack = tuple[int, ...]


def differing_numbers(optimizer: schema.Optimizer) -> dict[str, float]:
    """Return the optimizer's numbers, which may differ within a pack."""
    plain = optimizer.model_dump()
    return {key: value for key, value in plain.items() if type(value) is float}


def data_key(config: schema.Config) -> str:
    """Return a text that is equal for runs that share a table and its inputs."""
    shared = config.model_dump(include={"data", "task", "preset", "device"})
    is_open = "numbers" not in config.data.model_fields_set  # the preset decides, for this model
    return json.dumps([shared, config.model.type if is_open else None], sort_keys=True)


def group_key(config: schema.Config) -> str:
    """Return a text that is equal for runs that can train in the same pack."""
    numbers = set(differing_numbers(config.optimizer))
    shared = config.model_dump(exclude={"seed": True, "sweep": True, "optimizer": numbers})
    # What is not set is left to the preset, so that equal values may still become different ones.
    chosen = sorted(config.train.model_fields_set)
    return json.dumps([shared, data_key(config), chosen], sort_keys=True)


def make_packs(configs: Mapping[int, schema.Config], jobs: int) -> list[Pack]:
    """Distribute runs, given by their numbers, over packs for `jobs` workers.

    The longest packs come first, so that none is left running alone at the end.
    """
    groups: dict[str, list[int]] = {}
    for number, config in configs.items():
        groups.setdefault(group_key(config), []).append(number)
    are_few = len(groups) < WHOLE_GROUPS * jobs
    packs = []
    for numbers in groups.values():
        count = max(jobs if are_few else 1, -(-len(numbers) // MEMBER_LIMIT))
        packs += _split(numbers, min(count, len(numbers)))
    return sorted(packs, key=lambda pack: len(pack) * _work(configs[pack[0]]), reverse=True)


def _work(config: schema.Config) -> float:
    """Return an estimate of how long a run takes, in arbitrary units."""
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


def _split(numbers: Sequence[int], count: int) -> list[Pack]:
    """Return `count` packs whose sizes differ by at most one."""
    size, larger = divmod(len(numbers), count)
    ends = [pack * size + min(pack, larger) for pack in range(count + 1)]
    return [tuple(numbers[a:b]) for a, b in itertools.pairwise(ends)]
