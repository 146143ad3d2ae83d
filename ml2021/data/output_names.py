"""The names of the columns that `predict` writes; two of one name are refused before training."""

from collections import Counter

from ml2021.data.preprocessing.records import ClassTarget, History, RealTargets
from ml2021.errors import ConfigError
from ml2021.formatting import echo, listed


def escape_formula(text: str) -> str:
    """Prefix a text that a spreadsheet would execute as a formula with '.

    One that begins so already gets another one: different texts stay different.
    """
    if not text.lstrip("'").startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def output_names(
    target: RealTargets | ClassTarget, *, spread: bool, interval: bool = False
) -> list[str]:
    """Return the names of the predicted columns in their order.

    spread: with the standard deviation over the members. interval: with both ends of each interval.
    """
    if isinstance(target, ClassTarget):
        names = [target.label, *(f"{target.label}_probability_{each}" for each in target.labels)]
        names += [f"{target.label}_std"] if spread else []
    else:
        ends = ["", *(["_std"] if spread else []), *(["_low", "_high"] if interval else [])]
        names = [f"{label}{end}" for label in target.labels for end in ends]
    return [escape_formula(name) for name in names]


def check_output_names(
    target: RealTargets | ClassTarget, history: History | None, *, spread: bool
) -> list[str]:
    """Return a note on names that two columns would have with `predict --interval`, if any.

    Raises ConfigError for names that two columns of every prediction would have. A column that
    tells several series apart is always written, too.
    """
    group_by = None if history is None else history.group_by
    carried = [] if group_by is None else [group_by]
    if twice := _repeated([*carried, *output_names(target, spread=spread)]):
        remedy = ", or set train.spread: false" if spread else ""
        raise ConfigError(
            f"data.target: predictions would have two columns named {listed(twice, 3)}; rename the "
            f"target{remedy}"
        )
    if isinstance(target, ClassTarget):
        return []
    twice = _repeated([*carried, *output_names(target, spread=spread, interval=True)])
    return [
        f"{echo(name)} is also the name of one end of the intervals of a target, so that `predict "
        "--interval` will be refused; to have intervals, rename it"
        for name in twice[:1]
    ]


def _repeated(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
