"""What was understood of a table, in lines for a person, before the time is spent."""

from ml2021.console import bulleted
from ml2021.data.preprocessing import ClassTarget, describe_columns
from ml2021.errors import echo
from ml2021.problem import LoadedProblem

_SHOWN_LABELS = 8


def describe_problem(problem: LoadedProblem) -> list[str]:
    """Say what is predicted, on how many rows, and what happens to the columns."""
    sizes = problem.split.sizes()
    target = problem.preprocessing.target
    rows = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
    if problem.folds is not None:
        rows = f"{sizes['train']:,} in {len(problem.folds)} folds"
        rows += f", {sizes['test']:,} test" if sizes["test"] else ""
    names = ", ".join(map(echo, target.labels[:_SHOWN_LABELS]))
    if (more := len(target.labels) - _SHOWN_LABELS) > 0:
        names += f" and {more:,} more"
    if isinstance(target, ClassTarget):
        names = f"{echo(target.label)} ({names})"
    first = f"{problem.config.task} of {names}: rows {rows}"
    return [first, *bulleted([*describe_columns(problem.preprocessing), *problem.notes])]
