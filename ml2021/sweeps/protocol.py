"""What a sweep and its worker processes say to each other: tasks, and events."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml2021.sweeps.results import Result


@dataclass(frozen=True)
class Task:
    """A pack that a worker is to train: run number -> the text of its config.

    threads: of the CPU. share: of the free memory. by_mae: whether that score tells the best run.
    best: the value and the number of the best run that is known.
    """

    sweep: str
    runs: Mapping[int, str]
    threads: int
    share: float
    by_mae: bool
    best: tuple[float, int] | None


def task_to_line(task: Task) -> str:
    """Return a task as a line of JSON."""
    return json.dumps(vars(task), allow_nan=False) + "\n"


def task_from_line(line: str) -> Task:
    """Read what `task_to_line` wrote."""
    value = json.loads(line)
    value["runs"] = {int(run): text for run, text in value["runs"].items()}
    value["best"] = None if value["best"] is None else tuple(value["best"])
    return Task(**value)


@dataclass(frozen=True)
class Ended:
    """A run has ended."""

    result: Result


@dataclass(frozen=True)
class Understood:
    """A table has been read; the lines say how."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Reached:
    """How many of the runs that are in training are done, parts of runs included."""

    running: float


News = Ended | Understood | Reached
