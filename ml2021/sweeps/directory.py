"""A sweep on disk: its plan, the result of each run, and the best run.

`ml2021.commands.sweep` runs the sweep.
"""

import base64
import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ml2021.config.loading import load_config_text
from ml2021.config.schema import Config
from ml2021.data.preprocessing.records import Record
from ml2021.errors import CheckpointError, ConfigError, ResourceError
from ml2021.files import (
    FORMAT_VERSION,
    MARK,
    cannot_write,
    is_marked,
    is_there,
    make_folder,
    mark,
    mark_of,
    replace_file,
)
from ml2021.runs.content import read_bytes, read_record, write_json, write_text
from ml2021.runs.directory import (
    BEST_OF_SWEEP,
    RunDirectory,
    event_files,
    foreign_entries,
    make_directory,
    refuse_links,
    remove_run,
)
from ml2021.sweeps.results import Result, read_results, table

_CANDIDATE = re.compile(r"\.?[1-9][0-9]*")


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

    format_version: Literal[5]
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
        self.mark = path / MARK  # makes the directory a sweep
        self.config = path / "config.yaml"  # as the user wrote it
        self.plan = path / "sweep.json"  # settings and config of every run, before training
        self.results = path / "results.jsonl"  # a line per ended run, in the order of ending
        self.table = path / "sweep.csv"  # a row per run
        self.report = path / "report.html"
        self.best = path / BEST_OF_SWEEP  # the best run, an ordinary run directory
        self.candidates = path / "candidates"  # runs that may become the best, during the sweep
        self.tensorboard = path / "tensorboard"  # a folder for each ended run, for TensorBoard

    def candidate(self, run: int) -> Path:
        """Return where that run is kept while the sweep is running."""
        return self.candidates / str(run)

    def draft(self, run: int) -> Path:
        """Return where that run is written before it is a candidate."""
        return self.candidates / f".{run}"

    def events(self, run: int) -> Path:
        """Return the folder of that run's event files."""
        return self.tensorboard / str(run)

    def entries(self) -> Iterator[Path]:
        """Yield every file and folder of a sweep, there or not, and those of events that are."""
        yield from (path for path in vars(self).values() if path != self.path)
        if self.tensorboard.is_dir() and not self.tensorboard.is_symlink():
            yield from sorted(self.tensorboard.iterdir())


def create_sweep(path: Path | None, name: str) -> SweepDirectory:
    """Create an empty directory: `path`, or the next free runs/<name>-sweep-<n>.

    Raises as `create_run` does.
    """
    return SweepDirectory(make_directory(path, f"{name}-sweep", "sweep"))


def is_sweep(path: Path) -> bool:
    """Whether a directory is that of a sweep."""
    found = mark_of(path)
    return found is not None and found.kind == "sweep"


def open_sweep(path: Path) -> SweepDirectory:
    """Return the sweep at `path`. Raises CheckpointError where it cannot be read or continued."""
    sweep, found = SweepDirectory(path), mark_of(path)
    if found is None or found.kind != "sweep":
        problem = "not the directory of a sweep" if path.exists() else "no such directory"
        raise CheckpointError(f"{path.absolute()}: {problem}")
    if found.version != FORMAT_VERSION:
        raise _refusal(path, "written by another version of ml2021")
    refuse_links(sweep)
    if not sweep.plan.is_file():
        raise CheckpointError(
            f"{path.absolute()}: interrupted before it began; "
            "start it again with --config FILE --run-dir DIR"
        )
    return sweep


def write_plan(sweep: SweepDirectory, plan: SweepPlan) -> None:
    """Write sweep.json."""
    pairs = zip(plan.settings, plan.texts, strict=True)
    runs = [{"settings": settings, "config": text} for settings, text in pairs]
    value = {"format_version": FORMAT_VERSION, "scales": plan.scales, "runs": runs}
    write_json(sweep.plan, value)


def read_plan(sweep: SweepDirectory) -> SweepPlan:
    """Read sweep.json. Raises CheckpointError if that is not possible."""
    read = read_record(sweep.plan, _PlanFile, "run the sweep again")
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
            self._file = self._path.open("ab", buffering=0)  # so that closing writes nothing
        except OSError as error:
            raise self._refusal(error) from None

    def append(self, result: Result) -> None:
        """Add a result, durably."""
        try:
            rest = memoryview(result.to_line().encode())
            while rest:
                rest = rest[self._file.write(rest) :]
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


def _best_number(sweep: SweepDirectory, count: int) -> int | None:
    """Return the number of the run in best/, one of `count`; None if there is none.

    Raises CheckpointError where best/ is not a run of the sweep.
    """
    if not os.path.lexists(sweep.best):
        return None
    if not is_marked(sweep.best):
        raise _in_the_way(sweep.best)
    run = RunDirectory(sweep.best)
    refuse_links(run)
    number = read_record(run.origin, _Origin, "run the sweep again").run
    if number > count:
        raise _refusal(run.origin, f"names run {number:,} of {count:,}")
    return number


def candidates_of(sweep: SweepDirectory) -> list[RunDirectory]:
    """Return the candidates and their drafts that a killed or running sweep has left.

    Raises CheckpointError where `candidates` is not a folder, or has a link in it that leads out.
    """
    if not os.path.lexists(sweep.candidates):
        return []
    if sweep.candidates.is_symlink() or not sweep.candidates.is_dir():
        raise _in_the_way(sweep.candidates)
    found = []
    for entry in sorted(sweep.candidates.iterdir()):
        if _CANDIDATE.fullmatch(entry.name) and not entry.is_symlink() and is_marked(entry):
            found.append(RunDirectory(entry))
            refuse_links(found[-1])
    return found


def begin_candidates(sweep: SweepDirectory, plan: SweepPlan, ended: Iterable[int]) -> None:
    """Create the folder of candidates: those of the runs that have `ended` stay.

    Raises CheckpointError, and removes nothing, where something that is not ours stands where a
    candidate will be written, or in one that is to be removed.
    """
    kept = {*ended}
    _best_number(sweep, len(plan.texts))
    removed = [run for run in candidates_of(sweep) if run.path.name not in map(str, kept)]
    for run in removed:
        if foreign := foreign_entries(run):
            raise _in_the_way(foreign[0])
    sweep.candidates.mkdir(exist_ok=True)
    for run in removed:
        remove_run(run)
    for number in range(1, len(plan.texts) + 1):
        for path in (sweep.draft(number), sweep.candidate(number)):
            if path.is_dir() and not path.is_symlink() and not is_marked(path):
                with suppress(OSError):
                    path.rmdir()  # of a process that was killed before it had marked it
            if os.path.lexists(path) and (number not in kept or path == sweep.draft(number)):
                raise _in_the_way(path)


def begin_draft(sweep: SweepDirectory, run: int) -> RunDirectory:
    """Make an empty run directory in which a candidate is written, in place of an earlier one."""
    draft = RunDirectory(sweep.draft(run))
    if is_marked(draft.path):
        remove_run(draft)
    draft.path.mkdir()
    mark(draft.path, "run")
    draft.checkpoints.mkdir()
    return draft


def receive_candidate(sweep: SweepDirectory, run: int, files: Mapping[str, str]) -> None:
    """Write a candidate that a worker has sent, its files in base 64, completely or not at all."""
    draft = begin_draft(sweep, run)
    for path in draft.entries():
        if (content := files.get(str(path.relative_to(draft.path)))) is not None:
            replace_file(path, base64.b64decode(content))
    draft.path.replace(sweep.candidate(run))


def receive_events(sweep: SweepDirectory, run: int, files: Mapping[str, str]) -> None:
    """Write the event files of a run that a worker has sent, in base 64, in place of earlier ones.

    Raises ResourceError.
    """
    folder = sweep.events(run)
    try:
        make_folder(folder)
        for path in event_files(folder):
            path.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from None
    for name, content in files.items():
        replace_file(folder / Path(name).name, base64.b64decode(content))


def keep_best(sweep: SweepDirectory, plan: SweepPlan, best: Result | None) -> None:
    """Move the best candidate to best/ and remove the others; what is not ours stays."""
    now = _best_number(sweep, len(plan.texts))
    if best is not None and is_marked(sweep.candidate(best.run)):
        chosen = RunDirectory(sweep.candidate(best.run))
        write_json(chosen.origin, {"run": best.run})
        if now is not None:
            before = RunDirectory(sweep.best)
            for path in foreign_entries(before):
                place = chosen.path / path.relative_to(before.path)
                place.parent.mkdir(exist_ok=True)
                path.replace(place)
            if now != best.run:
                before.path.replace(sweep.candidate(now))
            else:
                remove_run(before)
        chosen.path.replace(sweep.best)
    for run in candidates_of(sweep):
        remove_run(run)
    with suppress(OSError):  # where something else is in it
        sweep.candidates.rmdir()


def _in_the_way(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: is not of this sweep; move it away, and resume the sweep")
