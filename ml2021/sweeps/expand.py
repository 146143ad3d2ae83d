"""A config with a sweep turned into the configs of its runs.

Every run's settings go through the checks that a file does, and a mistake is reported where the
setting stands. What the section says is read by `ml2021.sweeps.search_space`; running the configs
is left to `ml2021.sweeps`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml2021.config.loading import Draft, LoadedConfig, check_draft, read_draft, read_text, refuse
from ml2021.config.overrides import assign
from ml2021.config.schema import Sweep
from ml2021.config.yaml_reader import Problem
from ml2021.config.yaml_scalars import dump_document
from ml2021.data.resolve import check_columns
from ml2021.errors import ConfigError
from ml2021.sweeps.search_space import Combination, read_sweep_section


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
        problems += [problem for problem in wrong if problem not in problems]
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
        problem = assign(tree, nodes, tuple(key.split(".")), value.value, value.node, value.below)
        problems += [] if problem is None else [problem]
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
                check_columns(config, variation.loaded.locate)
            except ConfigError as error:
                lines |= dict.fromkeys(error.lines)
    if lines:
        raise ConfigError(*lines)
