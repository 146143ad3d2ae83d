"""The search space of a sweep: the `sweep` section, and the config of each run."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ml2021.config.loading import Draft, LoadedConfig, check_draft, read_draft, read_text, refuse
from ml2021.config.messages import shown
from ml2021.config.overrides import assign, wrong_key
from ml2021.config.paths import takes_whole_numbers
from ml2021.config.schema import Sweep, absolute_paths
from ml2021.config.yaml_reader import KeyPath, Node, Problem
from ml2021.config.yaml_scalars import dump_document
from ml2021.data.resolve import check_columns
from ml2021.data.table_source import source_of
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


class SearchSpace:
    """The values of the section by dotted key, and all errors in it.

    `nodes` are the positions of the config's values.
    """

    def __init__(self, sweep: Sweep, nodes: Mapping[KeyPath, Node]) -> None:
        self._sweep, self._nodes = sweep, nodes
        self._owners: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.runs: list[Combination] = []
        self.grid: dict[str, list[Value]] = {}
        self.random: dict[str, list[Value] | Range] = {}
        for index, settings in enumerate(sweep.runs):
            self._read_run(("sweep", "runs", index), settings)
        for path, key, value in self._flat(("sweep", "grid"), sweep.grid):
            if values := self._read_list(path, key, value, "a list"):
                self.grid[key] = values
        for path, key, value in self._flat(("sweep", "random"), sweep.random):
            if isinstance(value, dict):
                self._read_range(path, key, value)
            elif values := self._read_list(path, key, value, "a list or {low, high, scale}"):
                self.random[key] = values
        if sweep.samples > 1 and not sweep.random:
            message = f"sweep.samples {sweep.samples} needs sweep.random; else all are identical"
            self._report(("sweep", "samples"), message)
        points = math.prod(map(len, self.grid.values()))
        self._count = max(1, len(self.runs)) * points * sweep.samples
        if self._count > RUN_LIMIT:
            message = f"{self._count:,} runs are too many; the limit is {RUN_LIMIT:,}"
            self._report(("sweep",), message)

    @property
    def scales(self) -> dict[str, str]:
        """The scale of each key with a range."""
        return {key: each.scale for key, each in self.random.items() if isinstance(each, Range)}

    def combinations(self) -> Iterator[Combination]:
        """Yield the settings of each run, the grid's last key changing fastest."""
        if self._count > RUN_LIMIT:
            return
        points: dict[tuple[int, ...], int] = {}
        counts = [key != SEED for key in self.grid]  # runs that differ in the seed share a sample
        for number, run in enumerate(self.runs or [{}]):
            for choice in itertools.product(*map(enumerate, self.grid.values())):
                point = (number, *(index for index, _ in itertools.compress(choice, counts)))
                first = points.setdefault(point, len(points)) * self._sweep.samples
                grid = {key: value for key, (_, value) in zip(self.grid, choice, strict=True)}
                for sample in range(first, first + self._sweep.samples):
                    yield {**run, **grid, **{key: self._sample(key, sample) for key in self.random}}

    def _sample(self, key: str, number: int) -> Value:
        source = self.random[key]
        # A text seeds this generator by its SHA-512, which is the same on every machine.
        generator = random.Random(f"{self._sweep.seed}/{key}/{number}")
        if not isinstance(source, Range):
            return source[int(generator.random() * len(source))]
        low, high = source.low, source.high
        if source.is_whole:
            low, high = low - 0.5, high + 0.5
        if source.scale == "log":
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            value = generator.uniform(low, high)
        rounded = round(value) if source.is_whole else float(f"{value:.{DIGITS}g}")
        return Value(min(max(rounded, source.low), source.high), source.node, {})

    def _flat(
        self, path: KeyPath, mapping: Mapping[str, Any]
    ) -> Iterator[tuple[KeyPath, str, Any]]:
        """Yield (path, dotted key, value) for keys written dotted or nested."""
        range_keys = _RANGE_KEYS if path[1] == "random" else ()
        for name, value in mapping.items():
            inner = (*path, name)
            if isinstance(value, dict) and value and value.keys().isdisjoint(range_keys):
                yield from self._flat(inner, value)
            else:
                yield inner, ".".join(map(str, inner[2:])), value

    def _read_run(self, path: KeyPath, settings: Mapping[str, Any]) -> None:
        claimed = [key for key in settings if self._claim((*path, key), key)]
        run = {key: self._value((*path, key), settings[key]) for key in claimed}
        if not settings:
            self._report(path, "must set a key, such as {optimizer.lr: 0.01}")
        elif any(_plain(run) == _plain(other) for other in self.runs):
            self._report(path, "sweep.runs has the same settings twice; keep one")
        self.runs.append(run)

    def _read_list(self, path: KeyPath, key: str, value: object, wanted: str) -> list[Value]:
        """Return the values of a key, none if it cannot have them."""
        if not self._claim(path, key):
            return []
        where = f"{key} in {_owner(path)}"
        if not isinstance(value, list):
            advice = "" if isinstance(value, dict) else f"; write [{shown(value)}]"
            self._report(path, f"{where} must be {wanted}, not {shown(value)}{advice}")
            return []
        if not value:
            self._report(path, f"{where} must not be empty")
        for index, item in enumerate(value):
            if any(_same(item, other) for other in value[:index]):
                self._report((*path, index), f"{where} has {shown(item)} twice; keep one")
        return [self._value((*path, index), item) for index, item in enumerate(value)]

    def _read_range(self, path: KeyPath, key: str, value: Mapping[str, Any]) -> None:
        if not self._claim(path, key):
            return
        before = len(self.problems)
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
        if len(self.problems) > before:
            return
        low, high = value["low"], value["high"]
        if low >= high:
            self._report((*path, "low"), f"{key} low must be less than high {shown(high)}")
        elif scale == "log" and low <= 0:
            message = f"{key} low must be greater than 0 with scale log, not {shown(low)}"
            self._report((*path, "low"), message)
        else:
            self.random[key] = Range(low, high, scale, is_whole, self._node(path))

    def _claim(self, path: KeyPath, key: str) -> bool:
        """Record which mapping sets the key; return False and report a problem if it cannot."""
        wrong, owner = wrong_key(key), _owner(path)
        if wrong is None and key.split(".")[0] == "sweep":
            wrong = "a sweep cannot vary its own section; remove it"
        if wrong is None and self._owners.setdefault(key, owner) != owner:
            wrong = f"{key} is in both {self._owners[key]} and {owner}; keep one"
        if wrong is not None:
            self._report(path, wrong, at_key=True)
        return wrong is None

    def _value(self, path: KeyPath, value: object) -> Value:
        below: dict[KeyPath, Node] = {}
        if isinstance(value, dict | list):
            length = len(path)
            below = {p[length:]: n for p, n in self._nodes.items() if p[:length] == path}
        return Value(value, self._node(path), below)

    def _node(self, path: KeyPath) -> Node:
        """Return the node of a value; in a list, its key is that of the list."""
        node = self._nodes[path]
        if isinstance(path[-1], int) and path[1] != "runs":
            return node._replace(key=self._nodes[path[:-1]].key)
        return node

    def _report(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        node = self._nodes[path]
        self.problems.append(Problem(node.key if at_key else node.value, path, message))


def _owner(path: KeyPath) -> str:
    """Return which mapping of the section a path is in, such as sweep.grid."""
    return f"{path[0]}.{path[1]}"


def _is_number(value: object, is_whole: bool) -> bool:
    if isinstance(value, float):
        return not is_whole and math.isfinite(value)
    return type(value) is int


def _same(one: object, other: object) -> bool:
    """Whether two plain values are equal; true, 1 and 1.0 are not."""
    return shown(one) == shown(other) and one == other


def _plain(combination: Combination) -> dict[str, Any]:
    return {key: value.value for key, value in combination.items()}


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
        message = "nothing to sweep; add a section sweep with grid, random or runs"
        refuse([*problems, Problem(place, ("sweep",), message)])
    assert isinstance(section, dict)
    broken = {p.path[1] for p in problems if p.path and p.path[0] == "sweep"}
    kept = {key: value for key, value in section.items() if key not in broken}
    space = SearchSpace(Sweep.model_validate(kept), draft.nodes)
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
    train = tree.get("train") or {}
    if isinstance(train, dict):  # one network per run: what a preset does beyond that is left out
        tree["train"] = {"members": 1, "refit": False, "calibrate": False, **train}
    config, wrong = check_draft(Draft(tree, nodes, problems))
    if config is None:
        return None, wrong
    return Variation(_plain(combination), LoadedConfig(config, _text(tree), nodes)), []


def _text(tree: Mapping[str, Any]) -> str:
    """Return the config of a run as text, in which the tables have absolute paths, as in a run."""
    data = tree["data"]
    named = {key: data.get(key) for key in ("path", "test_path")}
    paths = {key: absolute_paths(path) for key, path in named.items() if path is not None}
    return dump_document({**tree, "data": {**data, **paths}})


def check_runs(loaded: LoadedSweep) -> None:
    """Check the column names of every run against its file's header, and that a sweep can run it.

    Raises ConfigError with a line for each error.
    """
    lines: list[str] = []
    checked = set()
    for variation in loaded.variations:
        config, locate = variation.loaded.config, variation.loaded.locate
        if config.train.members > 1:
            lines.append(
                f"{locate('train', 'members')}: a sweep trains one network per run; "
                "drop train.members and sweep the seed instead"
            )
        lines += [
            f"{locate('train', key)}: a sweep keeps the networks that validation rows chose; "
            f"drop train.{key}, and set it for the best run"
            for key in ("refit", "calibrate")
            if getattr(config.train, key)
        ]
        if config.data.split.method == "kfold":
            lines.append(
                f"{locate('data', 'split', 'method')}: a sweep selects by validation score, which "
                "kfold does not have; use another method, then kfold for the best run"
            )
        key = (config.data.model_dump_json(), config.task)
        if key not in checked:
            checked.add(key)
            try:
                check_columns(variation.loaded, source_of(variation.loaded).header())
            except ConfigError as error:
                lines += error.lines
    if lines:
        raise ConfigError(*dict.fromkeys(lines))
