"""A sweep on disk: its plan, the result of each run, and the best run.

`ml2021.commands.sweep` runs the sweep.
"""

import csv
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ml2021.config.loading import load_config_text
from ml2021.config.schema import Config
from ml2021.errors import CheckpointError, ConfigError, ResourceError
from ml2021.runs.directory import (
    BEST_OF_SWEEP,
    RUNS,
    make_numbered,
    read_json,
    refuse_used,
    write_json,
    write_text,
)
from ml2021.sweeps.results import Result, read_results, table

FORMAT_VERSION = 4
_ORIGIN = "sweep_run.json"


@dataclass(frozen=True)
class SweepPlan:
    """The settings and the text of the config of run 1, 2, ...

    scales: linear or log for each key that is drawn from a range.
    """

    settings: tuple[Mapping[str, Any], ...]
    texts: tuple[str, ...]
    scales: Mapping[str, str]

    @cached_property
    def configs(self) -> tuple[Config, ...]:
        """The config of each run."""
        return tuple(load_config_text(text, "the sweep").config for text in self.texts)


class SweepDirectory:
    """The paths inside one sweep's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"  # as the user wrote it
        self.plan = path / "sweep.json"  # settings and config of every run, before training
        self.results = path / "results.jsonl"  # a line per ended run, in the order of ending
        self.table = path / "sweep.csv"  # a row per run
        self.report = path / "report.html"
        self.best = path / BEST_OF_SWEEP  # the best run, an ordinary run directory
        self.candidates = path / "candidates"  # runs that may become the best, during the sweep

    def candidate(self, run: int) -> Path:
        """Return where that run is kept while the sweep is running."""
        return self.candidates / str(run)


def create_sweep(path: Path | None, name: str) -> SweepDirectory:
    """Create an empty directory: `path`, or the next free runs/<name>-sweep-<n>.

    Raises RunInUseError if `path` is not empty, ResourceError if it cannot be created.
    """
    try:
        if path is None:
            return SweepDirectory(make_numbered(f"{name}-sweep"))
        path.mkdir(parents=True, exist_ok=True)
        refuse_used(path)
    except OSError as error:
        where = error.filename or path or RUNS
        raise ResourceError(f"{where}: cannot be created ({error.strerror})") from None
    return SweepDirectory(path)


def is_sweep(path: Path) -> bool:
    """Whether a directory holds a sweep."""
    return SweepDirectory(path).plan.is_file()


def write_plan(sweep: SweepDirectory, plan: SweepPlan) -> None:
    """Write sweep.json."""
    pairs = zip(plan.settings, plan.texts, strict=True)
    runs = [{"settings": settings, "config": text} for settings, text in pairs]
    value = {"format_version": FORMAT_VERSION, "scales": plan.scales, "runs": runs}
    write_json(sweep.plan, value)


def read_plan(sweep: SweepDirectory) -> SweepPlan:
    """Read sweep.json. Raises CheckpointError if that is not possible."""
    value = read_json(sweep.plan)
    if value.get("format_version") != FORMAT_VERSION:
        raise _refusal(sweep.plan, "written by another version of ml2021")
    try:
        settings = tuple(dict(run["settings"]) for run in value["runs"])
        texts = tuple(str(run["config"]) for run in value["runs"])
        plan = SweepPlan(settings, texts, dict(value["scales"]))
        assert plan.configs
    except (KeyError, TypeError, ValueError, ConfigError, AssertionError):
        raise _refusal(sweep.plan, "damaged") from None
    return plan


def load_results(sweep: SweepDirectory, plan: SweepPlan) -> dict[int, Result]:
    """Return the results of the finished runs of the plan, by run number."""
    try:
        results = read_results(sweep.results.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ResourceError(f"{sweep.results}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise _refusal(sweep.results, "damaged") from None
    if max(results, default=0) > len(plan.texts):
        raise _refusal(sweep.results, f"has more runs than {sweep.plan.name}")
    return results


def _refusal(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: {what}; run the sweep again")


class ResultsFile:
    """results.jsonl, open for appending; a line that a crash cut short is removed first."""

    def __init__(self, sweep: SweepDirectory, kept: Iterable[Result]) -> None:
        self._path = sweep.results
        write_text(self._path, "".join(result.to_line() for result in kept))
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._refusal(error) from None

    def append(self, result: Result) -> None:
        """Add a result, durably."""
        try:
            self._file.write(result.to_line())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refusal(error) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _refusal(self, error: OSError) -> ResourceError:
        return ResourceError(f"{self._path}: cannot be written ({error.strerror})")


def write_table(sweep: SweepDirectory, plan: SweepPlan, results: Mapping[int, Result]) -> None:
    """Write sweep.csv."""
    header, rows = table(plan.settings, plan.configs, results)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    write_text(sweep.table, stream.getvalue())


def begin_candidates(sweep: SweepDirectory, runs: Sequence[int]) -> None:
    """Create the folder of candidates: those of `runs` stay, and best/ becomes one again."""
    sweep.candidates.mkdir(exist_ok=True)
    if sweep.best.is_dir():
        number = read_json(sweep.best / _ORIGIN)["run"]
        sweep.best.replace(sweep.candidate(number))
    for entry in sweep.candidates.iterdir():
        if entry.name not in map(str, runs):
            shutil.rmtree(entry)


def keep_best(sweep: SweepDirectory, best: Result | None) -> None:
    """Move the best candidate to best/ and delete the others."""
    if best is not None and sweep.candidate(best.run).is_dir():
        write_json(sweep.candidate(best.run) / _ORIGIN, {"run": best.run})
        sweep.candidate(best.run).replace(sweep.best)
    shutil.rmtree(sweep.candidates, ignore_errors=True)
