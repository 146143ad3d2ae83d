"""Group runs whose configs differ only in the seed, scored by mean ± standard deviation.

The commands `compare` and `sweep` say where the runs come from.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Annotated, Any, Self

from pydantic import Field, field_serializer, model_validator

from ml2021.config.loading import to_plain
from ml2021.config.schema import Config, Task
from ml2021.config.yaml_scalars import dump_value
from ml2021.data.preprocessing.records import Record
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import SPLITS, SplitScores
from ml2021.formatting import HIGHER_IS_BETTER, align, echo, heading, score_text

SEED = "seed"
CELL_LIMIT = 48
"""The longest setting that a table shows whole, in characters."""
_NOT_COMPARED = {SEED, "device", "sweep", "train.save_seconds", "train.keep_path"}
"""The seed, whose effect is the spread, and keys without effect on the trained model."""
Settings = Mapping[str, str]


class RunResult(Record):
    """What a run scored, as far as it is compared with others.

    splits: the scores by split; none where training diverged.
    """

    config: Config
    task: Task
    parameters: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=0)]
    best_epoch: Annotated[int, Field(ge=0)]
    splits: dict[str, SplitScores]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.splits.keys() <= set(SPLITS):
            raise ValueError("scores of an unknown split")
        return self

    @field_serializer("config")
    def _plain_config(self, config: Config) -> dict[str, Any]:
        return to_plain(config)

    def score(self, split: str, metric: str) -> float | None:
        """Return a score; None where the split was not scored, or the score is undefined."""
        scored = self.splits.get(split)
        return None if scored is None else scored.scores.get(metric)


@dataclass(frozen=True)
class ComparedRun:
    """A run to compare; `settings` are those set for it, by dotted key, as text in a config."""

    name: str
    settings: Settings
    result: RunResult


@dataclass(frozen=True)
class Spread:
    """A score over the runs of a group; std is the sample's, None for fewer than two."""

    mean: float | None
    std: float | None
    metric: str

    @property
    def rank(self) -> float:
        """A number that is lower the better the mean; undefined means come last."""
        if self.mean is None:
            return math.inf
        return -self.mean if self.metric in HIGHER_IS_BETTER else self.mean

    def __str__(self) -> str:
        """Return the mean with the digits of a score, and the deviation behind it."""
        return score_text(self.metric, self.mean, self.std)


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed; `settings` tells them from other groups."""

    settings: Settings
    runs: tuple[ComparedRun, ...]

    @property
    def first(self) -> ComparedRun:
        """The run that stands for all in what does not depend on the seed."""
        return self.runs[0]

    def spread(self, split: str, metric: str) -> Spread:
        """Return a metric's mean and deviation on a split; undefined where it is for any run."""
        values = [run.result.score(split, metric) for run in self.runs]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return Spread(None, None, metric)
        return Spread(mean(known), stdev(known) if len(known) > 1 else None, metric)


def group(runs: Sequence[ComparedRun]) -> list[Group]:
    """Return the groups, in the order of their first runs.

    Groups are told apart by the runs' settings, and where these do not suffice, by other keys that
    differ; without settings by all keys that differ. A group has a seed once at most.
    """
    flat = [{**dict(_flatten(to_plain(run.result.config))), **run.settings} for run in runs]
    chosen = [key for key in dict.fromkeys(k for run in runs for k in run.settings) if key != SEED]
    has_settings = any(run.settings for run in runs)
    for key in dict.fromkeys(key for settings in flat for key in settings):
        known = chosen if has_settings else []
        if key not in _NOT_COMPARED and _count(flat, [*known, key]) > _count(flat, known):
            chosen.append(key)
    groups: dict[tuple[tuple[str, ...], int], list[ComparedRun]] = {}
    times = Counter[tuple[object, ...]]()
    for run, settings in zip(runs, flat, strict=True):
        own = tuple(settings.get(key, "") for key in chosen)
        seeded = (*own, run.result.config.seed)
        groups.setdefault((own, times[seeded]), []).append(run)
        times[seeded] += 1
    return [
        Group(dict(zip(chosen, own, strict=True)), tuple(each)) for (own, _), each in groups.items()
    ]


def _count(flat: Sequence[Settings], keys: Sequence[str]) -> int:
    """Return how many configs these keys tell apart."""
    return len({tuple(settings.get(key) for key in keys) for settings in flat})


def are_same_rows(runs: Iterable[ComparedRun], split: str) -> bool:
    """Whether all runs were scored on the same rows of that split."""
    scored = [run.result.splits.get(split) for run in runs]
    return len({None if each is None else each.truth_sha256 for each in scored}) == 1


def best_of(groups: Sequence[Group], split: str, metric: str) -> int | None:
    """Return the index of the group with the best mean, the first of equals."""
    ranks = [each.spread(split, metric).rank for each in groups]
    return ranks.index(min(ranks)) if min(ranks, default=math.inf) < math.inf else None


def shared_baselines(groups: Sequence[Group], split: str) -> dict[str, Scores]:
    """Return the scores of the baselines that are the same for every group."""
    scored = [each.first.result.splits.get(split) for each in groups]
    found = [{} if each is None else each.baselines for each in scored]
    return {name: s for name, s in found[0].items() if all(f.get(name) == s for f in found)}


def comparison_table(
    groups: Sequence[Group],
    columns: Sequence[tuple[str, str]],
    *,
    names: Mapping[str, str] | None = None,
    marked: Sequence[tuple[str, str]] = (),
) -> list[str]:
    """Return a table with a line for each group, see `comparison_cells`."""
    return align(comparison_cells(groups, columns, names=names, marked=marked))


def comparison_cells(
    groups: Sequence[Group],
    columns: Sequence[tuple[str, str]],
    *,
    names: Mapping[str, str] | None = None,
    marked: Sequence[tuple[str, str]] = (),
) -> list[list[str]]:
    """Return the header, and a row for each group: what tells it apart, its size, and scores.

    columns: (split, metric) of each. names: run -> its name in the table; None for no such column.
    marked: the columns whose best value gets a star.
    """
    keys = list(groups[0].settings) if groups else []
    has_spread = any(len(each.runs) > 1 for each in groups)
    several = len({split for split, _ in columns}) > 1
    header = [*([] if names is None else ["run"]), *keys]
    header += ["n", "parameters"] if has_spread else ["parameters", "epoch"]
    header += [heading(metric) + (f" {split}" if several else "") for split, metric in columns]
    best = {column: best_of(groups, *column) for column in marked}
    rows = []
    for index, each in enumerate(groups):
        row = [] if names is None else [_name(each, names)]
        row += [_cut(value) for value in each.settings.values()]
        parameters, epoch = f"{each.first.result.parameters:,}", each.first.result.best_epoch
        row += [str(len(each.runs)), parameters] if has_spread else [parameters, str(epoch)]
        for column in columns:
            mark = " *" if best.get(column) == index else ("  " if column in best else "")
            row.append(f"{each.spread(*column)}{mark}")
        rows.append(row)
    return [header, *rows]


def _name(each: Group, names: Mapping[str, str]) -> str:
    more = len(each.runs) - 1
    return echo(names[each.first.name]) + (f" and {more} more" if more else "")


def _cut(text: str) -> str:
    text = echo(text)
    return text if len(text) <= CELL_LIMIT else text[: CELL_LIMIT - 1] + "…"


def _flatten(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key of a plain config, dotted, with its value as written in a file."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flatten(inner, f"{key}.{name}" if key else name)
    else:
        yield key, dump_value(value)
