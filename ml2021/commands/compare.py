"""The command `compare`: the scores of several runs in one table; a sweep stands for its runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml2021.config.loading import load_saved_config
from ml2021.errors import CheckpointError, ConfigError
from ml2021.evaluation.comparison import (
    ComparedRun,
    Group,
    are_same_rows,
    best_of,
    comparison_table,
    group,
    shared_baselines,
)
from ml2021.evaluation.scoring import SPLITS
from ml2021.formatting import Scores, plural, score_table
from ml2021.runs.directory import find_run, open_run
from ml2021.runs.summary import read_summary
from ml2021.sweeps.directory import is_sweep, load_results, open_sweep, read_plan


@dataclass(frozen=True)
class Comparison:
    """Runs that were scored on one split; `same_rows` says whether on the same rows of it."""

    split: str
    task: str
    same_rows: bool
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def metrics(self) -> list[str]:
        """The metrics that are defined for any run."""
        runs = [run.result.splits[self.split] for each in self.groups for run in each.runs]
        items = (item for run in runs for item in run.scores.items())
        return list(dict.fromkeys(metric for metric, value in items if value is not None))

    @property
    def baselines(self) -> Mapping[str, Scores]:
        """The scores of the baselines that all runs share; none on rows that are not the same."""
        return shared_baselines(self.groups, self.split) if self.same_rows else {}

    def lines(self) -> list[str]:
        """Return the table for people, the best of each metric with a star."""
        columns = [(self.split, metric) for metric in self.metrics]
        names = {run.name: run.name for each in self.groups for run in each.runs}
        marked = columns if self.same_rows and len(self.groups) > 1 else []
        table = comparison_table(self.groups, columns, names=names, marked=marked)
        if baselines := self.baselines:
            rows = self.groups[0].first.result.splits[self.split].rows
            table += ["", *score_table(f"baselines, {rows:,} {self.split} rows", baselines)]
        return table

    def to_json(self) -> dict[str, Any]:
        """Return the one JSON object that `--json` prints."""
        best = {
            metric: best_of(self.groups, self.split, metric) if self.same_rows else None
            for metric in self.metrics
        }
        return {
            "split": self.split,
            "task": self.task,
            "same_rows": self.same_rows,
            "groups": [self._group_to_json(each) for each in self.groups],
            "best": best,
            "baselines": self.baselines,
        }

    def _group_to_json(self, each: Group) -> dict[str, Any]:
        spreads = {metric: each.spread(self.split, metric) for metric in self.metrics}
        return {
            "runs": [run.name for run in each.runs],
            "seeds": [run.result.config.seed for run in each.runs],
            "settings": dict(each.settings),
            "parameters": each.first.result.parameters,
            "rows": each.first.result.splits[self.split].rows,
            "scores": {name: {"mean": s.mean, "std": s.std} for name, s in spreads.items()},
        }


def compare(paths: Sequence[Path]) -> Comparison:
    """Compare the runs in these directories; a sweep stands for its runs.

    Raises CheckpointError where one holds no finished run, ConfigError where their tasks differ.
    """
    runs: list[ComparedRun] = []
    notes: list[str] = []
    for path in {path.resolve(): path for path in map(find_run, paths)}.values():
        runs += list(_read_sweep(path, notes)) if is_sweep(path) else [_read_run(path)]
    if not runs:
        raise CheckpointError(f"{paths[0]}: none of its runs has finished; nothing to compare")
    first = runs[0]
    if other := next((run for run in runs if run.result.task != first.result.task), None):
        raise ConfigError(
            f"{other.name}: its task is {other.result.task}, but that of {first.name} is "
            f"{first.result.task}; compare runs of one task"
        )
    split = next((name for name in SPLITS if all(name in r.result.splits for r in runs)), None)
    if split is None:
        lacking = next(run for run in runs if "validation" not in run.result.splits)
        raise ConfigError(
            f"{lacking.name}: has no split in common with the other runs; compare fewer"
        )
    same_rows = are_same_rows(runs, split)
    if not same_rows:
        notes.append(f"the runs were scored on different {split} rows, so no best is marked")
    if split == "train":
        notes.append("scored on training rows, which says nothing about new data")
    return Comparison(split, first.result.task, same_rows, tuple(group(runs)), tuple(notes))


def _read_run(path: Path) -> ComparedRun:
    run = open_run(path)
    if not run.summary.is_file():
        raise CheckpointError(f"{path}: not finished; resume it with: ml2021 train --resume {path}")
    config = load_saved_config(run.resolved_config).config
    return ComparedRun(str(path), {}, read_summary(run).result(config))


def _read_sweep(path: Path, notes: list[str]) -> Iterator[ComparedRun]:
    """Yield the finished runs of a sweep; `notes` says how many are left out."""
    sweep = open_sweep(path)
    plan = read_plan(sweep)
    results = load_results(sweep, plan)
    done = [each for _, each in sorted(results.items()) if each.status == "done"]
    if left_out := len(plan.texts) - len(done):
        notes.append(f"{path}: {plural(left_out, 'unfinished or failed run')} left out")
    for each in done:
        assert each.result is not None
        yield ComparedRun(f"{path} run {each.run}", {}, each.result)
