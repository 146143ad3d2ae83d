"""Which columns a config means: its names and globs against the header of the file.

Done before the table is read; what type each column has is left to `ml2021.data.column_types`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ml2021.data.csv.headers import Header
from ml2021.formatting import echo, suggest


class Problem(NamedTuple):
    """What is wrong with a name that the config gives: at which of its keys, and what."""

    keys: tuple[str | int, ...]
    text: str


@dataclass(frozen=True)
class Selection:
    """The columns in use, by their unique names, in file order; `extra` orders or splits rows."""

    targets: tuple[str, ...]
    features: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that has to be read."""
        return (*self.features, *self.targets, *self.extra)


def select_columns(
    header: Header,
    *,
    target: str | Sequence[str],
    features: Sequence[str],
    exclude: Sequence[str],
    extra: Mapping[tuple[str, ...], str],
) -> tuple[Selection, list[Problem]]:
    """Match the config's names and globs against the header.

    An exact name wins over a glob; only * and ? are special. `extra` maps the config's keys to the
    names of columns that order or split the rows. Returns the selection and what is wrong with it.
    """
    problems: list[Problem] = []

    def resolve(key: str, patterns: str | Sequence[str]) -> list[str]:
        found: dict[str, None] = {}
        listed = [patterns] if isinstance(patterns, str) else patterns
        for index, pattern in enumerate(listed):
            keys = ("data", key) if isinstance(patterns, str) else ("data", key, index)
            matches = match_names(header, pattern)
            if not matches and not (key == "features" and pattern == "*"):
                problems.append(Problem(keys, explain_missing(header, pattern)))
            found.update(dict.fromkeys(matches))
        return list(found)

    targets = resolve("target", target)
    excluded = resolve("exclude", exclude)
    named = set(resolve("features", features))
    extras = []
    for keys, name in extra.items():
        if name in header.names:
            extras.append(name)
        else:
            problems.append(Problem(keys, explain_missing(header, name)))
    if clash := [name for name in targets if name in excluded]:
        text = f"column '{echo(clash[0])}' is excluded and a target; leave it out of one of them"
        problems.append(Problem(("data", "exclude"), text))
    left_out = {*targets, *excluded}
    # A column that sorts or splits rows is not a feature, unless the config names it as one.
    left_out |= set(extras) - set(features)
    chosen = tuple(name for name in header.names if name in named and name not in left_out)
    selection = Selection(
        targets=tuple(targets),
        features=chosen,
        extra=tuple(dict.fromkeys(e for e in extras if e not in targets and e not in chosen)),
    )
    return selection, problems


def match_names(header: Header, pattern: str) -> list[str]:
    """Return the unique names that an exact name or a glob stands for, in file order."""
    if pattern in header.names:
        return [pattern]
    if pattern in header.repeated or not set("*?") & set(pattern):
        return []
    glob = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
    return [name for name in header.names if glob.fullmatch(name)]


def explain_missing(header: Header, name: str) -> str:
    """Say why a name or glob stands for no column, and what may have been meant."""
    if name in header.repeated:
        choices = ", ".join(header.repeated[name])
        return f"column name '{echo(name)}' occurs more than once; choose one of {choices}"
    if set("*?") & set(name):
        return f"no column matches '{echo(name)}'"
    hint = suggest(name, header.names)
    if not hint:
        shown = ", ".join(echo(column) for column in header.names[:8])
        more = len(header.names) - 8
        hint = f"; the columns are {shown}" + (f" and {more} more" if more > 0 else "")
    return f"no column '{echo(name)}' in {header.path.name}{hint}"
