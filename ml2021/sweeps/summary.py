"""The summary of a sweep: its settings, best first, and the findings in words.

Both are printed when a sweep ends, and the findings head its report (`ml2021.report.sweep`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ml2021.config.yaml_scalars import dump_value
from ml2021.evaluation.comparison import (
    SEED,
    ComparedRun,
    Group,
    are_same_rows,
    comparison_table,
    group,
    shared_baselines,
)
from ml2021.evaluation.metrics import selection_metric
from ml2021.formatting import echo, heading, number, plural
from ml2021.sweeps.directory import SweepPlan
from ml2021.sweeps.results import (
    SPLITS_OF_A_RUN,
    Result,
    answer_one_question,
    choose_best,
    losses_of,
    setting_text,
    setting_value,
)

SHOWN_GROUPS = 20
"""The most rows of the printed table; sweep.csv has every run."""


@dataclass(frozen=True)
class SweepSummary:
    """The plan of a sweep, and the results of the runs that have ended so far."""

    plan: SweepPlan
    results: Mapping[int, Result]

    @cached_property
    def done(self) -> list[Result]:
        """The completed runs, in the order of the sweep."""
        ended = [result for _, result in sorted(self.results.items())]
        return [result for result in ended if result.status == "done"]

    @cached_property
    def keys(self) -> list[str]:
        """The swept keys."""
        return list(dict.fromkeys(key for own in self.plan.settings for key in own))

    @property
    def are_comparable(self) -> bool:
        """Whether there are completed runs, and all have the same task and target."""
        return answer_one_question(self.done)

    @property
    def metric(self) -> str:
        """The metric that selects the best run, the one nearest to the loss; lower is better."""
        return selection_metric(self.runs[0].result.task, self._losses)

    @property
    def splits(self) -> list[str]:
        """The splits that any run was scored on."""
        scored = {split for run in self.runs for split in run.result.splits}
        return [split for split in SPLITS_OF_A_RUN if split in scored]

    @cached_property
    def best(self) -> Result | None:
        """The run with the best validation score; None without validation rows."""
        return choose_best(self.done, self._losses)

    @cached_property
    def runs(self) -> list[ComparedRun]:
        """The completed runs, with the text of each swept key."""
        runs = []
        for result in self.done:
            own = self.plan.settings[result.run - 1]
            config = self.plan.configs[result.run - 1]
            texts = {key: setting_text(key, own, config) for key in self.keys}
            assert result.result is not None
            runs.append(ComparedRun(str(result.run), texts, result.result))
        return runs

    @cached_property
    def groups(self) -> list[Group]:
        """The settings; runs that differ only in the seed are one group.

        The best on validation comes first; without validation rows, in the order of the sweep.
        """
        groups = group(self.runs)
        if "validation" in self.splits:
            groups.sort(key=lambda each: each.spread("validation", self.metric).rank)
        return groups

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The (split, metric) of each column of the table of groups."""
        return [(split, self.metric) for split in self.splits]

    def value(self, run: int, key: str) -> Any:
        """Return the key's value in a run; None if its config has no such key."""
        return setting_value(key, self.plan.settings[run - 1], self.plan.configs[run - 1])

    def numbers(self, key: str) -> list[float] | None:
        """Return the key's value in each completed run, or None if any is not a number."""
        values = [self.value(result.run, key) for result in self.done]
        if all(type(value) in (int, float) for value in values):
            return [float(value) for value in values]
        return None

    def baselines(self, split: str) -> dict[str, float]:
        """Return the score of each baseline that is the same for all runs."""
        return {
            name.replace("_", " "): value
            for name, scores in shared_baselines(self.groups, split).items()
            if (value := scores[self.metric]) is not None
        }

    def lines(self) -> list[str]:
        """Return the table as printed, and a line with the baselines."""
        lines = comparison_table(self.groups[:SHOWN_GROUPS], self.columns)
        if (more := len(self.groups) - SHOWN_GROUPS) > 0:
            lines.append(f"and {more:,} more")
        split = self.splits[-1]
        if baselines := self.baselines(split):
            values = ", ".join(f"{name} {number(value)}" for name, value in baselines.items())
            lines += ["", f"baselines, {heading(self.metric)} {split}: {values}"]
        return lines

    def findings(self, best: Path) -> list[str]:
        """Return the findings, a sentence or two each; the best run is saved at `best`."""
        if self.best is None:
            findings = ["No validation rows, so no best run."]
        else:
            findings = [*self._describe_best(self.best, best), *self._edges(), *self._chance()]
        for status in ("diverged", "failed"):
            if count := sum(result.status == status for result in self.results.values()):
                findings.append(f"{count:,} of {plural(len(self.plan.texts), 'run')} {status}.")
        for split in self.splits[1:]:
            if not are_same_rows(self.runs, split):
                findings.append(
                    f"The runs were scored on different {split} rows; "
                    "those scores are not comparable."
                )
        return findings

    def _describe_best(self, result: Result, path: Path) -> list[str]:
        own = self.plan.settings[result.run - 1]
        settings = ", ".join(f"{key} {echo(dump_value(value))}" for key, value in own.items())
        findings = [f"Best on validation: run {result.run} ({settings}), saved in {path}."]
        if result.result is not None and (test := result.result.splits.get("test")):
            findings.append(test.verdict_words("test"))
        return findings

    def _edges(self) -> list[str]:
        """Say which numbers of the best setting are at the edge of the values tried."""
        findings = []
        best = int(self.groups[0].first.name)
        for key in self.keys:
            tried = set(self.numbers(key) or ())
            if key == SEED or key in self.plan.scales or len(tried) < 3:
                continue
            ends = {max(tried): ("upper", "larger"), min(tried): ("lower", "smaller")}
            if (own := self.value(best, key)) in ends:
                edge, other = ends[own]
                findings.append(
                    f"The best setting has {key} {dump_value(own)}, the {edge} edge of the search "
                    f"range; {self._advice(key, other)}"
                )
        return findings

    def _advice(self, key: str, direction: str) -> str:
        """Return what follows from a best setting at an edge, beside the other values of the key.

        Not to go further where another value is as good up to the spread between seeds, or better
        on the test rows: what chance has chosen is no direction.
        """
        best, *others = self.groups
        own = _without(best, key)
        others = [each for each in others if each.settings[key] != best.settings[key]]
        others = [each for each in others if _without(each, key) == own] or others
        near = min(others, key=lambda each: each.spread("validation", self.metric).rank)
        edge, other = (each.spread("validation", self.metric) for each in (best, near))
        if edge.std is not None and other.rank - edge.rank <= edge.std:
            return f"{near.settings[key]} is as good up to the spread between seeds."
        if "test" in self.splits and are_same_rows(self.runs, "test"):
            near = min(others, key=lambda each: each.spread("test", self.metric).rank)
            edge, other = (each.spread("test", self.metric) for each in (best, near))
            if other.rank < edge.rank:
                return (
                    f"but {near.settings[key]} is better on the test rows ({heading(self.metric)} "
                    f"{number(other.mean)} vs {number(edge.mean)}), so {direction} values are not "
                    "suggested."
                )
        return f"try {direction} values."

    def _chance(self) -> list[str]:
        """Say how many settings are as good as the best one up to the spread between seeds."""
        spreads = [each.spread("validation", self.metric) for each in self.groups]
        best = spreads[0]
        if best.mean is None or best.std is None:
            return []
        near = sum(s.mean is not None and s.mean - best.mean <= best.std for s in spreads[1:])
        if not near:
            return []
        return [
            f"The seed-to-seed standard deviation of the best setting is {number(best.std)}; "
            f"{near:,} of {plural(len(spreads) - 1, 'other setting')} "
            f"{'is' if near == 1 else 'are'} within it, so their order is not significant."
        ]

    @cached_property
    def _losses(self) -> list[str]:
        return losses_of(self.plan.configs)


def _without(each: Group, key: str) -> dict[str, str]:
    """Return the settings of a group except that of one key."""
    return {name: text for name, text in each.settings.items() if name != key}
