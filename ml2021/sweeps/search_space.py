"""The search space of a sweep: the `sweep` section, and the config of each run."""

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
"""Significant digits of a sampled number; the last bits differ between machines' libraries."""

_RANGE_KEYS = ("low", "high", "scale")

_SCALES = ("linear", "log")


class Value(NamedTuple):
    """A value of the file, its node, and the nodes inside it."""

    value: Any
    node: Node
    below: Mapping[KeyPath, Node]


class Range(NamedTuple):
    """Numbers from low to high, uniform on the scale; integers if the key takes integers."""

    low: float
    high: float
    scale: str
    is_whole: bool
    node: Node


Combination = Mapping[str, Value]


@dataclass
class SearchSpace:
    """The values of the section by dotted key, and all errors in it."""

    samples: int
    seed: int
    runs: list[Combination] = field(default_factory=list)
    grid: dict[str, list[Value]] = field(default_factory=dict)
    random: dict[str, list[Value] | Range] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of runs."""
        points = math.prod(len(values) for values in self.grid.values())
        return max(1, len(self.runs)) * points * self.samples

    @property
    def scales(self) -> dict[str, str]:
        """The scale of each key with a range."""
        return {key: each.scale for key, each in self.random.items() if isinstance(each, Range)}

    def combinations(self) -> Iterator[Combination]:
        """Yield the settings of each run, the grid's last key changing fastest."""
        if self.count > RUN_LIMIT:
            return
        points: dict[tuple[int, ...], int] = {}
        indices = [range(len(values)) for values in self.grid.values()]
        counts = [key != SEED for key in self.grid]  # runs that differ in the seed share a sample
        for number, run in enumerate(self.runs or [{}]):
            for chosen in itertools.product(*indices):
                point = (number, *itertools.compress(chosen, counts))
                first = points.setdefault(point, len(points)) * self.samples
                grid = {
                    key: values[index]
                    for (key, values), index in zip(self.grid.items(), chosen, strict=True)
                }
                for sample in range(self.samples):
                    sampled = {key: self._sample(key, first + sample) for key in self.random}
                    yield {**run, **grid, **sampled}

    def _sample(self, key: str, number: int) -> Value:
        source = self.random[key]
        # A text seeds this generator by its SHA-512, which is the same on every machine.
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
            sampled: float = round(value)
        else:
            sampled = float(f"{value:.{DIGITS}g}")
        return Value(min(max(sampled, source.low), source.high), source.node, {})


class _Reader:
    """Reads the section into a `SearchSpace`; `nodes` are the positions of the config's values."""

    def __init__(self, sweep: Sweep, nodes: Mapping[KeyPath, Node]) -> None:
        self._nodes = nodes
        self._owners: dict[str, str] = {}
        self.space = space = SearchSpace(sweep.samples, sweep.seed)
        for index, settings in enumerate(sweep.runs):
            self._read_run(("sweep", "runs", index), settings)
        for path, key, value in self._flat(("sweep", "grid"), "", sweep.grid):
            if values := self._read_list(path, key, "sweep.grid", value):
                space.grid[key] = values
        for path, key, value in self._flat(("sweep", "random"), "", sweep.random):
            if isinstance(value, dict):
                self._read_range(path, key, value)
            elif values := self._read_list(path, key, "sweep.random", value):
                space.random[key] = values
        if space.samples > 1 and not sweep.random:
            message = f"sweep.samples {space.samples} needs sweep.random; else all are identical"
            self._add_problem(("sweep", "samples"), message)
        if space.count > RUN_LIMIT:
            message = f"{space.count:,} runs are too many; the limit is {RUN_LIMIT:,}"
            self._add_problem(("sweep",), message)

    def _flat(
        self, path: KeyPath, prefix: str, mapping: Mapping[str, Any]
    ) -> Iterator[tuple[KeyPath, str, Any]]:
        """Yield (path, dotted key, value) for keys written dotted or nested."""
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
            self._add_problem(path, "must set a key, such as {optimizer.lr: 0.01}")
        elif any(_plain(run) == _plain(other) for other in self.space.runs):
            self._add_problem(path, "sweep.runs has the same settings twice; keep one")
        self.space.runs.append(run)

    def _read_list(self, path: KeyPath, key: str, owner: str, value: object) -> list[Value]:
        if not self._claim(path, key, owner):
            return []
        if not isinstance(value, list):
            wanted = "a list" if owner == "sweep.grid" else "a list or {low, high, scale}"
            advice = "" if isinstance(value, dict) else f"; write [{shown(value)}]"
            message = f"{key} in {owner} must be {wanted}, not {shown(value)}{advice}"
            self._add_problem(path, message)
            return []
        if not value:
            self._add_problem(path, f"{key} in {owner} must not be empty")
        for index, item in enumerate(value):
            if any(_same(item, other) for other in value[:index]):
                message = f"{key} in {owner} has {shown(item)} twice; keep one"
                self._add_problem((*path, index), message)
        return [self._value((*path, index), item) for index, item in enumerate(value)]

    def _read_range(self, path: KeyPath, key: str, value: Mapping[str, Any]) -> None:
        if not self._claim(path, key, "sweep.random"):
            return
        before = len(self.space.problems)
        for name in value:
            if name not in _RANGE_KEYS:
                hint = suggest(name, _RANGE_KEYS) or "; its keys are low, high, scale"
                message = f"unknown key '{echo(name)}' in sweep.random.{key}{hint}"
                self._add_problem((*path, name), message, at_key=True)
        is_whole = takes_whole_numbers(tuple(key.split(".")))
        wanted = "a whole number" if is_whole else "a number"
        for name in ("low", "high"):
            if name not in value:
                self._add_problem(path, f"missing key '{name}' in sweep.random.{key}; add it")
            elif not _is_number(value[name], is_whole):
                message = f"{key} {name} must be {wanted}, not {shown(value[name])}"
                self._add_problem((*path, name), message)
        scale = value.get("scale", "linear")
        if scale not in _SCALES:
            hint = suggest(scale, _SCALES) if isinstance(scale, str) else ""
            message = f"{key} scale must be one of linear, log, not {shown(scale)}{hint}"
            self._add_problem((*path, "scale"), message)
        if len(self.space.problems) > before:
            return
        low, high = value["low"], value["high"]
        if low >= high:
            self._add_problem((*path, "low"), f"{key} low must be less than high {shown(high)}")
        elif scale == "log" and low <= 0:
            message = f"{key} low must be greater than 0 with scale log, not {shown(low)}"
            self._add_problem((*path, "low"), message)
        else:
            self.space.random[key] = Range(low, high, scale, is_whole, self._nodes_of(path))

    def _claim(self, path: KeyPath, key: str, owner: str) -> bool:
        """Record that `owner` sets the key; return False and add a problem if it cannot."""
        wrong = wrong_key(key)
        if wrong is None and key.split(".")[0] == "sweep":
            wrong = "a sweep cannot vary its own section; remove it"
        if wrong is None and self._owners.setdefault(key, owner) != owner:
            wrong = f"{key} is in both {self._owners[key]} and {owner}; keep one"
        if wrong is not None:
            self._add_problem(path, wrong, at_key=True)
        return wrong is None

    def _value(self, path: KeyPath, value: object) -> Value:
        below: dict[KeyPath, Node] = {}
        if isinstance(value, dict | list):
            length = len(path)
            below = {p[length:]: n for p, n in self._nodes.items() if p[:length] == path}
        return Value(value, self._nodes_of(path), below)

    def _nodes_of(self, path: KeyPath) -> Node:
        """Return the node of a value; in a list, its key is that of the list."""
        node = self._nodes[path]
        if isinstance(path[-1], int) and path[1] != "runs":
            return node._replace(key=self._nodes[path[:-1]].key)
        return node

    def _add_problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        node = self._nodes[path]
        self.space.problems.append(Problem(node.key if at_key else node.value, path, message))


def _is_number(value: object, is_whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if is_whole else math.isfinite(value)


def _same(one: object, other: object) -> bool:
    """Whether two plain values are equal; true, 1 and 1.0 are not."""
    return shown(one) == shown(other) and one == other


def _plain(run: Combination) -> dict[str, Any]:
    return {key: value.value for key, value in run.items()}


@dataclass(frozen=True)
class Variation:
    """One run of a sweep: its settings by dotted key, and the resulting config."""

    settings: Mapping[str, Any]
    loaded: LoadedConfig


@dataclass(frozen=True)
class LoadedSweep:
    """A config with a sweep, and its runs. `scales` is linear or log for each key with a range."""

    base: LoadedConfig
    variations: tuple[Variation, ...]
    scales: Mapping[str, str]


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> LoadedSweep:
    """Read a config with a sweep, and check the config of every run.

    Raises ConfigError with a line for each error in any of them.
    """
    return load_sweep_text(read_text(path), str(path), overrides)


def load_sweep_text(text: str, source: str, overrides: Sequence[str] = ()) -> LoadedSweep:
    """Do what `load_sweep` does for a text; messages call it `source`."""
    draft = read_draft(text, source, overrides)
    config, problems = check_draft(draft)
    if draft.tree is None or any(p.path == ("sweep",) for p in problems):
        refuse(problems)
    assert draft.tree is not None
    section = draft.tree.get("sweep")
    if not isinstance(section, dict) or not any(map(section.get, ("runs", "grid", "random"))):
        place = draft.nodes.get(("sweep",), draft.nodes[()]).value
        message = "nothing to sweep; add sweep: with grid, random or runs"
        refuse([*problems, Problem(place, ("sweep",), message)])
    assert isinstance(section, dict)
    broken = {p.path[1] for p in problems if p.path and p.path[0] == "sweep" and p.path[1:]}
    kept = {key: value for key, value in section.items() if key not in broken}
    space = _Reader(Sweep.model_validate(kept), draft.nodes).space
    problems += space.problems
    variations = []
    for combination in space.combinations():
        variation, wrong = _vary(draft, combination)
        problems += [problem for problem in wrong if problem not in problems]
        if variation is not None:
            variations.append(variation)
    refuse(problems)
    assert config is not None
    base = LoadedConfig(config, text, draft.nodes)
    return LoadedSweep(base, tuple(variations), space.scales)


def _vary(draft: Draft, combination: Combination) -> tuple[Variation | None, list[Problem]]:
    """Return the run with these settings, or the problems of its config."""
    assert draft.tree is not None
    tree = {key: value for key, value in draft.tree.items() if key != "sweep"}
    nodes = {path: node for path, node in draft.nodes.items() if path[:1] != ("sweep",)}
    problems = []
    # A key before those inside it: model before model.units.
    for key, value in sorted(combination.items(), key=lambda item: item[0].count(".")):
        problem = assign(tree, nodes, tuple(key.split(".")), value.value, value.node, value.below)
        problems += [] if problem is None else [problem]
    config, wrong = check_draft(Draft(tree, nodes, problems))
    if config is None:
        return None, wrong
    settings = {key: value.value for key, value in combination.items()}
    return Variation(settings, LoadedConfig(config, dump_document(tree), nodes)), []


def check_runs(loaded: LoadedSweep) -> None:
    """Check the column names of every run against its file's header, and that a sweep can run it.

    Raises ConfigError with a line for each error.
    """
    checked = set()
    lines: dict[str, None] = {}
    for variation in loaded.variations:
        config, locate = variation.loaded.config, variation.loaded.locate
        if config.train.members > 1:
            where = locate("train", "members")
            lines[
                f"{where}: a sweep trains one network per run; drop train.members and sweep the "
                "seed instead"
            ] = None
        if config.data.split.method == "kfold":
            where = locate("data", "split", "method")
            lines[
                f"{where}: a sweep selects by validation score, which kfold does not have; use "
                "another method, then kfold for the best run"
            ] = None
        key = (config.data.model_dump_json(), config.task)
        if key not in checked:
            checked.add(key)
            try:
                check_columns(config, locate)
            except ConfigError as error:
                lines |= dict.fromkeys(error.lines)
    if lines:
        raise ConfigError(*lines)
