"""A sweep on disk: its plan, the result of each run, and the best run.

`ml2021.commands.sweep` runs the sweep.
"""

import csv
import io
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ml2021.config.loading import load_config_text
from ml2021.config.schema import Config
from ml2021.data.preprocessing.records import Record
from ml2021.errors import CheckpointError, ConfigError, ResourceError
from ml2021.files import is_there
from ml2021.runs.directory import (
    BEST_OF_SWEEP,
    RUNS,
    make_numbered,
    read_bytes,
    read_record,
    refuse_used,
    write_json,
    write_text,
)
from ml2021.sweeps.results import Result, read_results, table

FORMAT_VERSION = 3
_ORIGIN = "sweep_run.json"


class _PlannedRun(Record):
    """What sweep.json has of a run: the keys that are set for it, and the text of its config."""

    settings: dict[str, Any]
    config: str

    @field_validator("settings")
    @classmethod
    def _check(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if not _is_plain(settings):
            raise ValueError("numbers that no config can hold")
        return settings


class _PlanFile(Record):
    """sweep.json, see `SweepPlan`."""

    format_version: Literal[3]
    scales: dict[str, Literal["linear", "log"]]
    runs: Annotated[tuple[_PlannedRun, ...], Field(min_length=1)]


class _Origin(Record):
    """sweep_run.json: which run of a sweep its best run is."""

    run: Annotated[int, Field(ge=1)]


def _is_plain(value: object) -> bool:
    """Whether all numbers in a JSON value are finite, and none is too large for a config."""
    if isinstance(value, dict | list):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < 2**63


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
    read = read_record(sweep.plan, _PlanFile, FORMAT_VERSION, "run the sweep again")
    settings, texts = zip(*((run.settings, run.config) for run in read.runs), strict=True)
    plan = SweepPlan(settings, texts, read.scales)
    try:
        assert plan.configs
    except ConfigError as error:
        raise _refusal(sweep.plan, f"damaged; {error.lines[0]}") from None
    return plan


def load_results(sweep: SweepDirectory, plan: SweepPlan) -> dict[int, Result]:
    """Return the results of the finished runs of the plan, by run number."""
    if not is_there(sweep.results):
        return {}
    try:
        results = read_results(read_bytes(sweep.results, f"{sweep.results}: missing").decode())
    except ValueError:
        raise _refusal(sweep.results, "damaged") from None
    for number, ended in results.items():
        if number > len(plan.texts):
            raise _refusal(sweep.results, f"has more runs than {sweep.plan.name}")
        if not ended.is_of(plan.settings[number - 1], plan.configs[number - 1]):
            raise _refusal(sweep.results, f"run {number} is not that of {sweep.plan.name}")
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


def begin_candidates(sweep: SweepDirectory, runs: Sequence[int], total: int) -> None:
    """Create the folder of candidates: those of `runs` stay, and best/ becomes one again.

    total: how many runs the sweep has. Raises CheckpointError if best/ is none of them.
    """
    best = None
    if sweep.best.is_dir():
        best = read_record(sweep.best / _ORIGIN, _Origin, None, "run the sweep again").run
        if best > total:
            raise _refusal(sweep.best / _ORIGIN, f"damaged, the sweep has {total:,} runs")
    sweep.candidates.mkdir(exist_ok=True)
    if best is not None:
        sweep.best.replace(sweep.candidate(best))
    for entry in sweep.candidates.iterdir():
        if entry.name not in map(str, runs):
            shutil.rmtree(entry)


def keep_best(sweep: SweepDirectory, best: Result | None) -> None:
    """Move the best candidate to best/ and delete the others."""
    if best is not None and sweep.candidate(best.run).is_dir():
        write_json(sweep.candidate(best.run) / _ORIGIN, {"run": best.run})
        sweep.candidate(best.run).replace(sweep.best)
    shutil.rmtree(sweep.candidates, ignore_errors=True)
