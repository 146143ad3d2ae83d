"""A sweep on disk: its plan, the result of each run, and the best run.

    config.yaml       as the user wrote it
    sweep.json        every run's settings and config; written before training starts
    results.jsonl     a line per finished run, in the order in which they ended
    sweep.csv         the table of all runs
    best/             the best run, an ordinary run directory
    report.html       the report
    candidates/<run>/ runs that may become the best, while the sweep is running

`ml2021.commands.sweep` runs the sweep.
"""

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
from ml2021.sweeps.results import Result, read_results, table, to_csv, write_line

FORMAT_VERSION = 1

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


@dataclass(frozen=True)
class SweepDirectory:
    """The paths inside one sweep's directory."""

    path: Path

    @property
    def config(self) -> Path:
        """The config as the user wrote it."""
        return self.path / "config.yaml"

    @property
    def plan(self) -> Path:
        """Every run's settings and config."""
        return self.path / "sweep.json"

    @property
    def results(self) -> Path:
        """The result of each finished run, one per line."""
        return self.path / "results.jsonl"

    @property
    def table(self) -> Path:
        """The table of all runs."""
        return self.path / "sweep.csv"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def best(self) -> Path:
        """The best run."""
        return self.path / BEST_OF_SWEEP

    @property
    def candidates(self) -> Path:
        """The runs that may become the best."""
        return self.path / "candidates"

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
    runs = [
        {"settings": settings, "config": text}
        for settings, text in zip(plan.settings, plan.texts, strict=True)
    ]
    value = {"format_version": FORMAT_VERSION, "scales": plan.scales, "runs": runs}
    write_json(sweep.plan, value)


def read_plan(sweep: SweepDirectory) -> SweepPlan:
    """Read sweep.json. Raises CheckpointError if that is not possible."""
    value = read_json(sweep.plan)
    if value.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{sweep.plan}: written by another version of ml2021; run the sweep again"
        )
    try:
        settings = tuple(dict(run["settings"]) for run in value["runs"])
        texts = tuple(str(run["config"]) for run in value["runs"])
        plan = SweepPlan(settings, texts, dict(value["scales"]))
        assert plan.configs
    except (KeyError, TypeError, ValueError, ConfigError, AssertionError):
        raise CheckpointError(f"{sweep.plan}: damaged; run the sweep again") from None
    return plan


def load_results(sweep: SweepDirectory) -> dict[int, Result]:
    """Return the results of the finished runs, by run number."""
    try:
        return read_results(sweep.results.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ResourceError(f"{sweep.results}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{sweep.results}: damaged; run the sweep again") from None


class ResultsFile:
    """results.jsonl, open for appending; a line that a crash cut short is removed first."""

    def __init__(self, sweep: SweepDirectory, kept: Iterable[Result]) -> None:
        self._path = sweep.results
        write_text(self._path, "".join(map(write_line, kept)))
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._refusal(error) from None

    def append(self, result: Result) -> None:
        """Add a result, durably."""
        try:
            self._file.write(write_line(result))
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
    write_text(sweep.table, to_csv(header, rows))


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
