"""The search space of a sweep: the `sweep` section, and the configs that it stands for."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ml2021.config.loading import Draft, LoadedConfig, check_draft, read_draft, read_text, refuse
from ml2021.config.messages import shown
from ml2021.config.overrides import assign, wrong_key
from ml2021.config.paths import takes_whole_numbers
from ml2021.config.schema import Sweep
from ml2021.config.yaml_reader import KeyPath, Node, Problem
from ml2021.config.yaml_scalars import dump_document
from ml2021.data.resolve import check_columns
from ml2021.errors import ConfigError
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
    below: Mapping[KeyPath, Node]


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


def read_sweep_section(section: Sweep, nodes: Mapping[KeyPath, Node]) -> SweepSection:
    """Read the section of a config whose values stand at `nodes`."""
    return _Reader(section, nodes).section


class _Reader:
    """Reads the section: the values of each key, with their places and all that is wrong."""

    def __init__(self, sweep: Sweep, nodes: Mapping[KeyPath, Node]) -> None:
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
        self, path: KeyPath, prefix: str, mapping: Mapping[str, Any]
    ) -> Iterator[tuple[KeyPath, str, Any]]:
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

    def _read_run(self, path: KeyPath, settings: Mapping[str, Any]) -> None:
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

    def _read_list(self, path: KeyPath, key: str, part: str, value: object) -> list[Value]:
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

    def _read_range(self, path: KeyPath, key: str, value: Mapping[str, Any]) -> None:
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

    def _claim(self, path: KeyPath, key: str, part: str) -> bool:
        """Note that `part` sets the key; False, and a problem, where it cannot."""
        wrong = wrong_key(key)
        if wrong is None and key.split(".")[0] == "sweep":
            wrong = "a sweep does not vary itself; remove it"
        if wrong is None and self._owners.setdefault(key, part) != part:
            wrong = f"{key} stands in {self._owners[key]} and in {part}; keep one"
        if wrong is not None:
            self._report(path, wrong, at_key=True)
        return wrong is None

    def _value(self, path: KeyPath, value: object) -> Value:
        below: dict[KeyPath, Node] = {}
        if isinstance(value, dict | list):
            length = len(path)
            below = {p[length:]: n for p, n in self._nodes.items() if p[:length] == path}
        return Value(value, self._nodes_of(path), below)

    def _nodes_of(self, path: KeyPath) -> Node:
        """Return the node of a value in a list, its key being that of the list."""
        node = self._nodes[path]
        if isinstance(path[-1], int) and path[1] != "runs":
            return node._replace(key=self._nodes[path[:-1]].key)
        return node

    def _report(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
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


@dataclass(frozen=True)
class Variation:
    """One run of a sweep: what is set, by dotted key, and the config that comes of it."""

    settings: Mapping[str, Any]
    loaded: LoadedConfig


@dataclass(frozen=True)
class LoadedSweep:
    """A config with a sweep, and its runs. `scales` is linear or log for each key of a range."""

    base: LoadedConfig
    variations: tuple[Variation, ...]
    scales: Mapping[str, str]


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> LoadedSweep:
    """Read a config with a sweep, and check every run of it.

    Raises ConfigError with a line for each thing that is wrong in any of them.
    """
    return load_sweep_text(read_text(path), str(path), overrides)


def load_sweep_text(text: str, source: str, overrides: Sequence[str] = ()) -> LoadedSweep:
    """Do what `load_sweep` does for a text that stands at `source`."""
    draft = read_draft(text, source, overrides)
    config, problems = check_draft(draft)
    if draft.tree is None or any(p.path == ("sweep",) for p in problems):
        refuse(problems)
    assert draft.tree is not None
    section = draft.tree.get("sweep")
    if not isinstance(section, dict) or not any(map(section.get, ("runs", "grid", "random"))):
        place = draft.nodes.get(("sweep",), draft.nodes[()]).value
        message = "a sweep sets keys; give it as sweep: with grid, random or runs"
        refuse([*problems, Problem(place, ("sweep",), message)])
    assert isinstance(section, dict)
    broken = {p.path[1] for p in problems if p.path and p.path[0] == "sweep" and p.path[1:]}
    kept = {key: value for key, value in section.items() if key not in broken}
    read = read_sweep_section(Sweep.model_validate(kept), draft.nodes)
    problems += read.problems
    variations = []
    for combination in read.combinations():
        variation, wrong = _vary(draft, combination)
        problems += [data for data in wrong if data not in problems]
        if variation is not None:
            variations.append(variation)
    refuse(problems)
    assert config is not None
    base = LoadedConfig(config, text, draft.nodes)
    return LoadedSweep(base, tuple(variations), read.scales)


def _vary(draft: Draft, combination: Combination) -> tuple[Variation | None, list[Problem]]:
    """Return the run of these settings, or what is wrong with it."""
    assert draft.tree is not None
    tree = {key: value for key, value in draft.tree.items() if key != "sweep"}
    nodes = {path: node for path, node in draft.nodes.items() if path[:1] != ("sweep",)}
    problems = []
    # A key before those inside of it: model before model.units.
    for key, value in sorted(combination.items(), key=lambda item: item[0].count(".")):
        data = assign(tree, nodes, tuple(key.split(".")), value.value, value.node, value.below)
        problems += [] if data is None else [data]
    config, wrong = check_draft(Draft(tree, nodes, problems))
    if config is None:
        return None, wrong
    settings = {key: value.value for key, value in combination.items()}
    return Variation(settings, LoadedConfig(config, dump_document(tree), nodes)), []


def check_runs(loaded: LoadedSweep) -> None:
    """Hold the column names of every run against the header of its file, each data but once.

    Raises ConfigError with a line for each name that is wrong, and for what makes a run several
    networks: its members here are the runs.
    """
    seen = set()
    lines: dict[str, None] = {}
    for variation in loaded.variations:
        config = variation.loaded.config
        locate = variation.loaded.locate
        if config.train.members > 1:
            lines[
                f"{locate('train', 'members')}: a run of a sweep is one network; leave "
                "train.members out, and sweep seed"
            ] = None
        if config.data.split.method == "kfold":
            lines[
                f"{locate('data', 'split', 'method')}: a sweep chooses by validation rows, which "
                "kfold has none of; use another method, and kfold for the best"
            ] = None
        key = (config.data.model_dump_json(), config.task)
        if key not in seen:
            seen.add(key)
            try:
                check_columns(variation.loaded)
            except ConfigError as error:
                lines |= dict.fromkeys(error.lines)
    if lines:
        raise ConfigError(*lines)
