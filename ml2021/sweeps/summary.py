"""What a sweep has come to: its settings from the best on, and what they say in words.

The words are printed where a sweep ends and stand above its pictures. Drawing is left to
`ml2021.report.sweep`.
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
from ml2021.formatting import heading, number, verdict
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
"""The most lines of the table that is printed; sweep.csv has every run."""

SweepColumn = tuple[str, str]
"""A part and a score."""


@dataclass(frozen=True)
class SweepSummary:
    """The plan of a sweep and how its runs ended, so far."""

    plan: SweepPlan
    results: Mapping[int, Result]

    @cached_property
    def done(self) -> list[Result]:
        """The runs that have ended well, in the order of the sweep."""
        ended = [result for _, result in sorted(self.results.items())]
        return [result for result in ended if result.status == "done"]

    @cached_property
    def keys(self) -> list[str]:
        """The keys that are swept."""
        return list(dict.fromkeys(key for own in self.plan.settings for key in own))

    @property
    def is_one_question(self) -> bool:
        """Whether there are runs that ended well, and all can be held against each other."""
        return answer_one_question(self.done)

    @property
    def score(self) -> str:
        """The score that tells which run is best, the one nearest to the loss; low is good."""
        return selection_metric(self.contenders[0].result.task, self._losses)

    @property
    def parts(self) -> list[str]:
        """The parts that any run was scored on."""
        return [
            split
            for split in SPLITS_OF_A_RUN
            if any(split in each.result.splits for each in self.contenders)
        ]

    @cached_property
    def best(self) -> Result | None:
        """The run that is best on validation rows."""
        return choose_best(self.done, self._losses)

    @cached_property
    def contenders(self) -> list[ComparedRun]:
        """The runs that have ended well, with the text of each swept key."""
        found = []
        for result in self.done:
            own = self.plan.settings[result.run - 1]
            config = self.plan.configs[result.run - 1]
            texts = {key: setting_text(key, own, config) for key in self.keys}
            assert result.result is not None
            found.append(ComparedRun(str(result.run), texts, result.result))
        return found

    @cached_property
    def groups(self) -> list[Group]:
        """The settings, those that differ in the seed alone as one; the best by validation first.

        In the order of the sweep where there are no validation rows.
        """
        groups = group(self.contenders)
        if "validation" in self.parts:
            groups.sort(key=lambda each: each.spread("validation", self.score).rank)
        return groups

    @property
    def columns(self) -> list[SweepColumn]:
        """What the table of the groups shows."""
        return [(part, self.score) for part in self.parts]

    def value(self, run: int, key: str) -> Any:
        """Return what a key is in a run; None where it has no such key."""
        return setting_value(key, self.plan.settings[run - 1], self.plan.configs[run - 1])

    def numbers(self, key: str) -> list[float] | None:
        """Return what a key is in each run that has ended well, where all of it are numbers."""
        values = [self.value(result.run, key) for result in self.done]
        if all(type(value) in (int, float) for value in values):
            return [float(value) for value in values]
        return None

    def trivial(self, part: str) -> dict[str, float]:
        """Return the score of each trivial answer that is the same for all runs."""
        baselines = shared_baselines(self.groups, part)
        return {
            name.replace("_", " "): value
            for name, scores in baselines.items()
            if (value := scores[self.score]) is not None
        }

    def lines(self) -> list[str]:
        """Return the table for people, and the trivial answers beside it."""
        lines = comparison_table(self.groups[:SHOWN_GROUPS], self.columns)
        if (more := len(self.groups) - SHOWN_GROUPS) > 0:
            lines.append(f"and {more:,} more")
        part = self.parts[-1]
        if trivial := self.trivial(part):
            said = ", ".join(f"{number(value)} of {name}" for name, value in trivial.items())
            lines += ["", f"trivial answers, {heading(self.score)} {part}: {said}"]
        return lines

    def words(self, best: Path) -> list[str]:
        """Return what a reader of the table has to know; the best run is kept at `best`."""
        words = []
        if self.best is None:
            words.append("No validation rows: none of the runs is called the best.")
        else:
            words += self._best_in_words(self.best, best)
            words += self._edges()
            words += self._chance()
        for status in ("diverged", "failed"):
            count = sum(result.status == status for result in self.results.values())
            if count:
                words.append(f"Runs that {status}: {count:,} of {len(self.plan.texts):,}.")
        for part in self.parts[1:]:
            if not are_same_rows(self.contenders, part):
                words.append(f"The runs were scored on different {part} rows: compare with care.")
        return words

    def _best_in_words(self, result: Result, path: Path) -> list[str]:
        own = self.plan.settings[result.run - 1]
        settings = ", ".join(f"{key} {dump_value(value)}" for key, value in own.items())
        words = [f"Best by validation: run {result.run}, with {settings}; kept in {path}."]
        test = None if result.result is None else result.result.splits.get("test")
        if test is not None:
            words.append(verdict(self.score, test.scores, test.baselines))
        return words

    def _edges(self) -> list[str]:
        """Say which numbers of the best setting are at an end of what was tried."""
        words = []
        best = int(self.groups[0].first.name)
        for key in self.keys:
            tried = set(self.numbers(key) or ())
            if key == SEED or key in self.plan.scales or len(tried) < 3:
                continue
            own = self.value(best, key)
            for end, what, more in (
                (max(tried), "largest", "larger"),
                (min(tried), "smallest", "smaller"),
            ):
                if own == end:
                    words.append(
                        f"The table's best setting has {key} {dump_value(own)}, the {what} that "
                        f"was tried: {more} ones may be better still."
                    )
        return words

    def _chance(self) -> list[str]:
        """Say how many settings the seed alone might have made the best."""
        spreads = [each.spread("validation", self.score) for each in self.groups]
        best = spreads[0]
        if best.mean is None or best.std is None:
            return []
        near = sum(s.mean is not None and s.mean - best.mean <= best.std for s in spreads[1:])
        if not near:
            return []
        return [
            f"From seed to seed the table's best setting moves by {number(best.std)}, and {near:,} "
            f"of the other {len(spreads) - 1:,} are within that of it: chance chose among them."
        ]

    @cached_property
    def _losses(self) -> list[str]:
        return losses_of(self.plan.configs)
