"""The section `sweep` of a config: which keys are set to which values in which run.

Each value keeps the place where it stands. What is drawn at random depends on the sweep's own
seed, the key and the number of the draw alone. Whether a run may have a value is left to
`ml2021.sweeps.search_space`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import to_plain
from ml2021.config.schema import Config
from ml2021.config.yaml_scalars import dump_value
from ml2021.formatting import HIGHER_IS_BETTER, align, echo, heading, number

if TYPE_CHECKING:
    from ml2021.evaluation.metrics import Scores

SEED = "seed"

CELL_LIMIT = 48
"""The longest setting that a table shows whole, in characters."""

_NOT_COMPARED = {SEED, "device", "sweep", "train.save_seconds", "train.keep_path"}
"""The seed, whose effect is the spread, and keys that change nothing of what is trained."""

Settings = Mapping[str, str]


@dataclass(frozen=True)
class RunResult:
    """A run that has ended.

    settings: what was set for it, by dotted key, as it would stand in a config.
    scores, rows, truths, baselines: for each part that has rows, the scores, the number of rows,
    the digest of their true answers, and the scores of the trivial answers.
    """

    name: str
    config: Config
    settings: Settings
    task: str
    parameters: int
    best_epoch: int
    scores: Mapping[str, "Scores"]
    rows: Mapping[str, int]
    truths: Mapping[str, str]
    baselines: Mapping[str, Mapping[str, "Scores"]]


@dataclass(frozen=True)
class Spread:
    """A score over the runs of a group; std is the sample's, None for fewer than two."""

    mean: float | None
    std: float | None
    is_high_good: bool

    @property
    def rank(self) -> float:
        """A number that is lower the better the mean is; what is undefined comes last."""
        if self.mean is None:
            return math.inf
        return -self.mean if self.is_high_good else self.mean

    def __str__(self) -> str:
        """Return four significant digits of the mean, and the deviation behind it."""
        return number(self.mean) + ("" if self.std is None else f" ± {number(self.std)}")


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed; `settings` is what tells them from other groups."""

    settings: Settings
    members: tuple[RunResult, ...]

    @property
    def first(self) -> RunResult:
        """The run that stands for all in what does not depend on the seed."""
        return self.members[0]

    def spread(self, part: str, score: str) -> Spread:
        """Return a score on a part; undefined where it is for any member."""
        values = [member.scores.get(part, {}).get(score) for member in self.members]
        known = [value for value in values if value is not None]
        is_high_good = score in HIGHER_IS_BETTER
        if len(known) < len(values):
            return Spread(None, None, is_high_good)
        return Spread(mean(known), stdev(known) if len(known) > 1 else None, is_high_good)


def group(contenders: Sequence[RunResult]) -> list[Group]:
    """Return the groups, in the order of their first runs. A run that is there twice counts once.

    They are told apart by their settings, and where these do not, by other keys that differ.
    """
    flat = [{**_flatten(each.config), **each.settings} for each in contenders]
    chosen = [
        key for key in dict.fromkeys(k for c in contenders for k in c.settings) if key != SEED
    ]
    for key in dict.fromkeys(key for settings in flat for key in settings):
        more = [*chosen, key]
        if key not in _NOT_COMPARED and _count(flat, more) > _count(flat, chosen):
            chosen = more
    groups: dict[tuple[str, ...], dict[int, RunResult]] = {}
    for contender, settings in zip(contenders, flat, strict=True):
        own = tuple(settings.get(key, "") for key in chosen)
        groups.setdefault(own, {}).setdefault(contender.config.seed, contender)
    return [
        Group(dict(zip(chosen, own, strict=True)), tuple(members.values()))
        for own, members in groups.items()
    ]


def _count(flat: Sequence[Settings], keys: Sequence[str]) -> int:
    """Return how many configs these keys tell apart."""
    return len({tuple(settings.get(key) for key in keys) for settings in flat})


def are_same_rows(contenders: Iterable[RunResult], part: str) -> bool:
    """Whether all runs have been scored on the same rows of that part."""
    return len({contender.truths.get(part) for contender in contenders}) == 1


def best_of(groups: Sequence[Group], part: str, score: str) -> int | None:
    """Return the index of the group with the best mean, the first of equals."""
    ranks = [each.spread(part, score).rank for each in groups]
    return ranks.index(min(ranks)) if min(ranks, default=math.inf) < math.inf else None


def shared_baselines(groups: Sequence[Group], part: str) -> "dict[str, Scores]":
    """Return the scores of those trivial answers that are the same for every group."""
    found = [each.first.baselines.get(part, {}) for each in groups]
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

    columns: (part, score) of each. names: run -> what it is called; None for no such column.
    marked: the columns whose best is marked with a star.
    """
    keys = list(groups[0].settings) if groups else []
    has_spread = any(len(each.members) > 1 for each in groups)
    several = len({part for part, _ in columns}) > 1
    header = [*([] if names is None else ["run"]), *keys, *(["n"] if has_spread else [])]
    header += ["parameters", *([] if has_spread else ["epoch"])]
    header += [heading(score) + (f" {part}" if several else "") for part, score in columns]
    best = {column: best_of(groups, *column) for column in marked}
    rows = []
    for index, each in enumerate(groups):
        row = [] if names is None else [_name(each, names)]
        row += [_cut(value) for value in each.settings.values()]
        row += [str(len(each.members))] if has_spread else []
        row += [f"{each.first.parameters:,}"]
        row += [] if has_spread else [str(each.first.best_epoch)]
        for column in columns:
            mark = " *" if best.get(column) == index else ("  " if column in best else "")
            row.append(f"{each.spread(*column)}{mark}")
        rows.append(row)
    return [header, *rows]


def _name(each: Group, names: Mapping[str, str]) -> str:
    first = names[each.first.name]
    more = len(each.members) - 1
    return f"{first} and {more} more" if more else first


def _cut(text: str) -> str:
    text = echo(text)
    return text if len(text) <= CELL_LIMIT else text[: CELL_LIMIT - 1] + "…"


def _flatten(config: Config) -> dict[str, str]:
    """Return every key of a config, dotted, with its value as it would stand in a file."""
    flat: dict[str, str] = {}

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                visit(f"{prefix}{key}.", inner)
        else:
            flat[prefix[:-1]] = dump_value(value)

    visit("", to_plain(config))
    return flat
