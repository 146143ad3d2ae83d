"""The command `compare`: the scores of several runs in one table, a sweep standing for its runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml2021.config.loading import load_config
from ml2021.errors import CheckpointError, ConfigError
from ml2021.evaluation.comparison import (
    Group,
    RunResult,
    are_same_rows,
    best_of,
    comparison_table,
    group,
    shared_baselines,
)
from ml2021.evaluation.scoring import SPLITS
from ml2021.formatting import score_table
from ml2021.runs.directory import open_run, read_json
from ml2021.sweeps.directory import SweepDirectory, is_sweep, load_results, read_plan
from ml2021.sweeps.results import run_result_of


@dataclass(frozen=True)
class Comparison:
    """Runs that were scored on one part; `same_rows` is whether on the same rows of it."""

    part: str
    task: str
    same_rows: bool
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def scores(self) -> list[str]:
        """The names of the scores that any run has."""
        names: dict[str, None] = {}
        for each in self.groups:
            for member in each.members:
                names |= {k: None for k, v in member.scores[self.part].items() if v is not None}
        return list(names)

    def best(self) -> dict[str, int | None]:
        """Return for each score which group is best; none on rows that are not the same."""
        if not self.same_rows:
            return dict.fromkeys(self.scores)
        return {score: best_of(self.groups, self.part, score) for score in self.scores}

    def lines(self) -> list[str]:
        """Return the table for people, the best of each score with a star."""
        first = self.groups[0].first
        rows = f"{first.rows[self.part]:,} {self.part} rows"
        columns = [(self.part, score) for score in self.scores]
        names = {m.name: m.name for each in self.groups for m in each.members}
        marked = columns if self.same_rows and len(self.groups) > 1 else []
        table = comparison_table(self.groups, columns, names=names, marked=marked)
        trivial = shared_baselines(self.groups, self.part) if self.same_rows else {}
        if not trivial:
            return table
        return [*table, "", *score_table(f"trivial answers, {rows}", trivial)]

    def to_json(self) -> dict[str, Any]:
        """Return the one JSON object that `--json` prints."""
        return {
            "split": self.part,
            "task": self.task,
            "same_rows": self.same_rows,
            "groups": [self._group_to_json(each) for each in self.groups],
            "best": self.best(),
            "baselines": shared_baselines(self.groups, self.part) if self.same_rows else {},
        }

    def _group_to_json(self, each: Group) -> dict[str, Any]:
        spreads = {score: each.spread(self.part, score) for score in self.scores}
        return {
            "runs": [member.name for member in each.members],
            "seeds": [member.config.seed for member in each.members],
            "settings": dict(each.settings),
            "parameters": each.first.parameters,
            "rows": each.first.rows[self.part],
            "scores": {name: {"mean": s.mean, "std": s.std} for name, s in spreads.items()},
        }


def compare(paths: Sequence[Path]) -> Comparison:
    """Hold the runs in these directories against each other; a sweep's stands for its runs.

    Raises CheckpointError where one holds no run that has ended, ConfigError where their tasks
    differ.
    """
    contenders: list[RunResult] = []
    notes: list[str] = []
    for path in dict.fromkeys(paths):
        found = list(_read_sweep(path, notes)) if is_sweep(path) else [_read_run(path)]
        contenders += found
    if not contenders:
        raise CheckpointError(f"{paths[0]}: none of its runs has ended well; nothing to compare")
    first = contenders[0]
    if other := next((c for c in contenders if c.task != first.task), None):
        raise ConfigError(
            f"{other.name}: its task is {other.task}, and that of {first.name} is {first.task}; "
            "compare runs of one task"
        )
    part = next((p for p in SPLITS if all(p in c.scores for c in contenders)), None)
    if part is None:
        lacking = next(c for c in contenders if "validation" not in c.scores)
        raise ConfigError(f"{lacking.name}: has no part in common with the others; compare fewer")
    same_rows = are_same_rows(contenders, part)
    if not same_rows:
        notes.append(f"NOT the same {part} rows in all runs, so none is marked as the best")
    if part == "train":
        notes.append("scored on training rows, which says nothing about new data")
    return Comparison(part, first.task, same_rows, tuple(group(contenders)), tuple(notes))


def _read_run(path: Path) -> RunResult:
    run = open_run(path)
    if not run.summary.is_file():
        raise CheckpointError(f"{path}: has not ended; go on with: ml2021 train --resume {path}")
    summary = read_json(run.summary)
    try:
        scores = dict(summary["scores"])
        if "cross_validation" in summary:
            scores["held-out"] = summary["cross_validation"]["pooled"]
        return RunResult(
            name=str(path),
            config=load_config(run.resolved_config).config,
            settings={},
            task=summary["task"],
            parameters=summary["parameters"],
            best_epoch=summary["best_epoch"],
            scores={part: dict(report["scores"]) for part, report in scores.items()},
            rows={part: report["rows"] for part, report in scores.items()},
            truths={part: report["truth_sha256"] for part, report in scores.items()},
            baselines={part: report["baselines"] for part, report in scores.items()},
        )
    except (KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{run.summary}: damaged, or of another version") from None


def _read_sweep(path: Path, notes: list[str]) -> Iterator[RunResult]:
    """Yield the runs of a sweep that are done; `notes` says how many are not."""
    sweep = SweepDirectory(path)
    plan = read_plan(sweep)
    results = load_results(sweep)
    ended = [result for _, result in sorted(results.items()) if result.status == "done"]
    if left_out := len(plan.texts) - len(ended):
        notes.append(f"{path}: runs that are left out, since they did not end well: {left_out:,}")
    for result in ended:
        yield run_result_of(result, f"{path} run {result.run}", {})
