"""The section `sweep` of a config: which keys are set to which values in which run.

Each value keeps the place where it stands. What is drawn at random depends on the sweep's own
seed, the key and the number of the draw alone. Whether a run may have a value is left to
`ml2021.sweeps.expand`.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ml2021.config.messages import shown
from ml2021.config.overrides import wrong_key
from ml2021.config.paths import takes_whole_numbers
from ml2021.config.schema import Sweep
from ml2021.config.yaml_reader import Node, Path, Problem
from ml2021.evaluation.comparison import SEED
from ml2021.formatting import echo, suggest

RUN_LIMIT = 10_000
"""The most runs of one sweep."""

DIGITS = 6
"""Significant digits of a number that is drawn; machines' libraries differ in the last bits."""

_RANGE_KEYS = ("low", "high", "scale")

_SCALES = ("linear", "log")


class Value(NamedTuple):
    """A value of the file, its node, and the nodes inside of it."""

    value: Any
    node: Node
    below: Mapping[Path, Node]


class Range(NamedTuple):
    """Numbers from low to high, evenly spread over the scale, whole ones where the key wants so."""

    low: float
    high: float
    scale: str
    is_whole: bool
    node: Node


Combination = Mapping[str, Value]


@dataclass
class SweepSection:
    """What the section says, by dotted keys, and all that is wrong with it."""

    samples: int
    seed: int
    runs: list[Combination] = field(default_factory=list)
    grid: dict[str, list[Value]] = field(default_factory=dict)
    random: dict[str, list[Value] | Range] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many runs there are."""
        points = math.prod(len(values) for values in self.grid.values())
        return max(1, len(self.runs)) * points * self.samples

    @property
    def scales(self) -> dict[str, str]:
        """The scale of each key that has a range."""
        return {key: drawn.scale for key, drawn in self.random.items() if isinstance(drawn, Range)}

    def combinations(self) -> Iterator[Combination]:
        """Yield the settings of each run, the grid's last key changing fastest."""
        if self.count > RUN_LIMIT:
            return
        points: dict[tuple[int, ...], int] = {}
        indices = [range(len(values)) for values in self.grid.values()]
        counts = [key != SEED for key in self.grid]  # those that differ in the seed share a draw
        for number, run in enumerate(self.runs or [{}]):
            for chosen in itertools.product(*indices):
                point = (number, *itertools.compress(chosen, counts))
                first = points.setdefault(point, len(points)) * self.samples
                grid = {
                    key: values[index]
                    for (key, values), index in zip(self.grid.items(), chosen, strict=True)
                }
                for sample in range(self.samples):
                    drawn = {key: self._draw(key, first + sample) for key in self.random}
                    yield {**run, **grid, **drawn}

    def _draw(self, key: str, number: int) -> Value:
        source = self.random[key]
        # Text seeds this generator by its SHA-512: the same on every machine and for every key.
        generator = random.Random(f"{self.seed}/{key}/{number}")
        if not isinstance(source, Range):
            return source[int(generator.random() * len(source))]
        low, high = source.low, source.high
        if source.is_whole:
            low, high = low - 0.5, high + 0.5
        if source.scale == "log":
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            value = generator.uniform(low, high)
        if source.is_whole:
            number_drawn: float = round(value)
        else:
            number_drawn = float(f"{value:.{DIGITS}g}")
        return Value(min(max(number_drawn, source.low), source.high), source.node, {})


def read_sweep_section(section: Sweep, nodes: Mapping[Path, Node]) -> SweepSection:
    """Read the section of a config whose values stand at `nodes`."""
    return _Reader(section, nodes).section


class _Reader:
    """Reads the section: the values of each key, with their places and all that is wrong."""

    def __init__(self, sweep: Sweep, nodes: Mapping[Path, Node]) -> None:
        self._nodes = nodes
        self._owners: dict[str, str] = {}
        self.section = section = SweepSection(sweep.samples, sweep.seed)
        for index, settings in enumerate(sweep.runs):
            self._read_run(("sweep", "runs", index), settings)
        for path, key, value in self._flat(("sweep", "grid"), "", sweep.grid):
            if values := self._read_list(path, key, "sweep.grid", value):
                section.grid[key] = values
        for path, key, value in self._flat(("sweep", "random"), "", sweep.random):
            if isinstance(value, dict):
                self._read_range(path, key, value)
            elif values := self._read_list(path, key, "sweep.random", value):
                section.random[key] = values
        if section.samples > 1 and not sweep.random:
            message = f"sweep.samples {section.samples} needs sweep.random; else all are the same"
            self._report(("sweep", "samples"), message)
        if section.count > RUN_LIMIT:
            message = f"{section.count:,} runs; make it {RUN_LIMIT:,} or fewer"
            self._report(("sweep",), message)

    def _flat(
        self, path: Path, prefix: str, mapping: Mapping[str, Any]
    ) -> Iterator[tuple[Path, str, Any]]:
        """Yield (path, dotted key, value), for keys that are written whole or nested."""
        for name, value in mapping.items():
            inner, key = (*path, name), prefix + name
            is_mapping = isinstance(value, dict) and bool(value)
            if is_mapping and path[1] == "random":
                is_mapping = value.keys().isdisjoint(_RANGE_KEYS)
            if is_mapping:
                yield from self._flat(inner, f"{key}.", value)
            else:
                yield inner, key, value

    def _read_run(self, path: Path, settings: Mapping[str, Any]) -> None:
        run = {}
        for key, value in settings.items():
            inner = (*path, key)
            if self._claim(inner, key, "sweep.runs"):
                run[key] = self._value(inner, value)
        if not settings:
            self._report(path, "must set a key, such as {optimizer.lr: 0.01}")
        elif any(_plain(run) == _plain(other) for other in self.section.runs):
            self._report(path, "the same settings stand in sweep.runs already; keep one")
        self.section.runs.append(run)

    def _read_list(self, path: Path, key: str, part: str, value: object) -> list[Value]:
        if not self._claim(path, key, part):
            return []
        if not isinstance(value, list):
            wanted = "a list of values" if part == "sweep.grid" else "a list, or {low, high, scale}"
            advice = "" if isinstance(value, dict) else f"; write [{shown(value)}]"
            message = f"{key} in {part} must be {wanted}, not {shown(value)}{advice}"
            self._report(path, message)
            return []
        if not value:
            self._report(path, f"{key} in {part} must not be empty")
        for index, item in enumerate(value):
            if any(_same(item, other) for other in value[:index]):
                self._report((*path, index), f"{key} in {part} has {shown(item)} twice; keep one")
        return [self._value((*path, index), item) for index, item in enumerate(value)]

    def _read_range(self, path: Path, key: str, value: Mapping[str, Any]) -> None:
        if not self._claim(path, key, "sweep.random"):
            return
        before = len(self.section.problems)
        for name in value:
            if name not in _RANGE_KEYS:
                hint = suggest(name, _RANGE_KEYS) or "; its keys are low, high, scale"
                message = f"unknown key '{echo(name)}' in sweep.random.{key}{hint}"
                self._report((*path, name), message, at_key=True)
        is_whole = takes_whole_numbers(tuple(key.split(".")))
        wanted = "a whole number" if is_whole else "a number"
        for name in ("low", "high"):
            if name not in value:
                self._report(path, f"missing key '{name}' in sweep.random.{key}; add it")
            elif not _is_number(value[name], is_whole):
                message = f"{key} {name} must be {wanted}, not {shown(value[name])}"
                self._report((*path, name), message)
        scale = value.get("scale", "linear")
        if scale not in _SCALES:
            hint = suggest(scale, _SCALES) if isinstance(scale, str) else ""
            message = f"{key} scale must be one of linear, log, not {shown(scale)}{hint}"
            self._report((*path, "scale"), message)
        if len(self.section.problems) > before:
            return
        low, high = value["low"], value["high"]
        if low >= high:
            self._report((*path, "low"), f"{key} low must be less than high {shown(high)}")
        elif scale == "log" and low <= 0:
            message = f"{key} low must be greater than 0 with scale log, not {shown(low)}"
            self._report((*path, "low"), message)
        else:
            self.section.random[key] = Range(low, high, scale, is_whole, self._nodes_of(path))

    def _claim(self, path: Path, key: str, part: str) -> bool:
        """Note that `part` sets the key; False, and a problem, where it cannot."""
        wrong = wrong_key(key)
        if wrong is None and key.split(".")[0] == "sweep":
            wrong = "a sweep does not vary itself; remove it"
        if wrong is None and self._owners.setdefault(key, part) != part:
            wrong = f"{key} stands in {self._owners[key]} and in {part}; keep one"
        if wrong is not None:
            self._report(path, wrong, at_key=True)
        return wrong is None

    def _value(self, path: Path, value: object) -> Value:
        below: dict[Path, Node] = {}
        if isinstance(value, dict | list):
            length = len(path)
            below = {p[length:]: n for p, n in self._nodes.items() if p[:length] == path}
        return Value(value, self._nodes_of(path), below)

    def _nodes_of(self, path: Path) -> Node:
        """Return the node of a value in a list, its key being that of the list."""
        node = self._nodes[path]
        if isinstance(path[-1], int) and path[1] != "runs":
            return node._replace(key=self._nodes[path[:-1]].key)
        return node

    def _report(self, path: Path, message: str, *, at_key: bool = False) -> None:
        node = self._nodes[path]
        self.section.problems.append(Problem(node.key if at_key else node.value, path, message))


def _is_number(value: object, is_whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if is_whole else math.isfinite(value)


def _same(one: object, other: object) -> bool:
    """Whether two plain values are the same; true, 1 and 1.0 are not."""
    return shown(one) == shown(other) and one == other


def _plain(run: Combination) -> dict[str, Any]:
    return {key: value.value for key, value in run.items()}
