"""The command `sweep`: the runs of one config, trained in packs by worker processes.

This process reads no table and loads no torch: it checks the config and columns of every run,
assigns packs to workers, saves the results, and picks the best run. `ml2021.sweeps` makes the packs
and trains them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml2021.commands.config_hints import config_hints
from ml2021.config.schema import each_path
from ml2021.console import Console, ProgressBar
from ml2021.errors import CheckpointError, ConfigError, RunInterruptedError, SweepFailedError
from ml2021.evaluation.metrics import selection_metric
from ml2021.files import cores, is_one_of_several, most_threads
from ml2021.formatting import heading, number, plural
from ml2021.runs.content import write_text
from ml2021.runs.directory import (
    RunDirectory,
    find_run,
    locked,
    refuse_undecodable,
    refuse_used,
    remove_leftovers,
    run_name,
)
from ml2021.runs.tensorboard import check_tensorboard
from ml2021.signals import stop_signals
from ml2021.sweeps.directory import (
    ResultsFile,
    SweepDirectory,
    SweepPlan,
    begin_candidates,
    candidates_of,
    create_sweep,
    keep_best,
    load_results,
    open_sweep,
    read_plan,
    receive_candidate,
    receive_events,
    write_plan,
    write_table,
)
from ml2021.sweeps.packing import Pack, data_key, make_packs
from ml2021.sweeps.pool import FilesSent, Link, PackTask, Pool, Progressed, RunEnded, TableRead
from ml2021.sweeps.results import Result, choose_best, hyperparameters, losses_of, validation_value
from ml2021.sweeps.search_space import check_runs, load_sweep
from ml2021.sweeps.summary import SweepSummary

SHOWN_LINES = 20
"""The most error lines of failed runs that are shown."""
MEMORY_SHARE = 0.5
"""The share of the free memory that the packs of all workers may fill together."""


def sweep(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    jobs: int | None,
    console: Console,
    *,
    with_report: bool,
) -> Path:
    """Run a config's sweep. Returns the directory that was created.

    `with_report`: write a report once everything else is saved.
    """
    refuse_undecodable()
    _call_ranks()
    with config_hints(config, overrides):
        loaded = load_sweep(config, overrides)
        tables = [v.loaded.config.data for v in loaded.variations]
        named = [key for data in tables for key in (data.path, data.test_path)]
        paths = dict.fromkeys(path for key in named for path in each_path(key))
        refuse_used(run_dir, [config, *map(Path, paths)], "sweep")
        for run in (variation.loaded for variation in loaded.variations):
            check_tensorboard(run.config, run.locate("train", "tensorboard"))
        check_runs(loaded)
    plan = SweepPlan(
        settings=tuple(variation.settings for variation in loaded.variations),
        texts=tuple(variation.loaded.text for variation in loaded.variations),
        scales=loaded.scales,
    )
    directory = create_sweep(run_dir, run_name(config))
    with locked(RunDirectory(directory.path)):
        refuse_used(directory.path, kind="sweep")  # by a process that was quicker than we were
        write_text(directory.config, loaded.base.text)
        write_plan(directory, plan)
        _Sweep(directory, plan, {}, console).run(jobs, with_report=with_report)
    return directory.path


def resume(path: Path, jobs: int | None, console: Console, *, with_report: bool) -> Path:
    """Train the runs of a sweep that are missing or failed."""
    refuse_undecodable()
    _call_ranks()
    path = find_run(path)
    directory = open_sweep(path)
    with locked(RunDirectory(path)):
        plan = read_plan(directory)
        for config in plan.configs:
            check_tensorboard(config, str(directory.plan))
        results = load_results(directory, plan)
        kept = {run: result for run, result in results.items() if result.status != "failed"}
        missing = len(plan.texts) - len(kept)
        if not missing and directory.table.is_file() and not candidates_of(directory):
            console.say(f"{path}: all {plural(len(kept), 'run')} done; nothing to do")
            lacks_report = not directory.report.is_file()
            if with_report and lacks_report and SweepSummary(plan, kept).are_comparable:
                console.say(f"write its report with: ml2021 report --run {path}")
            return path
        console.say(f"resuming {path}: {missing:,} of {plural(len(plan.texts), 'run')} missing")
        _Sweep(directory, plan, kept, console).run(jobs, with_report=with_report)
    return path


@dataclass
class _Sweep:
    """A running sweep: the results so far, and the runs still to train."""

    directory: SweepDirectory
    plan: SweepPlan
    results: dict[int, Result]
    console: Console
    digests: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each table that a run was trained on."""

    def __post_init__(self) -> None:
        self.configs = dict(enumerate(self.plan.configs, start=1))
        self.losses = losses_of(self.plan.configs)
        self.best = choose_best(self.results.values(), self.losses)
        for result in self.results.values():
            self._check_data_unchanged(result)

    def run(self, jobs: int | None, *, with_report: bool) -> None:
        """Train the missing runs, save the table and the best run, print and report the outcome.

        Raises RunInterruptedError after a signal, SweepFailedError if a run failed or all diverged.
        """
        missing = {run: c for run, c in self.configs.items() if run not in self.results}
        if ranks := _ranks():
            if jobs is not None:
                raise ConfigError(
                    "--jobs: torchrun's ranks are the workers; set its --nproc-per-node instead"
                )
            jobs = len(ranks)
        jobs = jobs or min(default_jobs(config.device) for config in self.configs.values())
        packs = make_packs(missing, jobs)
        remove_leftovers(self.directory)
        begin_candidates(self.directory, self.plan, self.results)
        with stop_signals() as stop_signal:
            file = ResultsFile(self.directory, self.results.values())
            try:
                self._train(packs, max(1, min(jobs, len(packs))), file, stop_signal)
            finally:
                file.close()
                self.best = choose_best(self.results.values(), self.losses)
                write_table(self.directory, self.plan, self.results)
                # Last: until then, there are candidates.
                keep_best(self.directory, self.plan, self.best)
            stopped_by = stop_signal()
        summary = self._say_summary()
        if stopped_by is not None:
            runs = plural(len(self.configs), "run")
            done = f"after {len(self.results):,} of {runs}, which are saved"
            if not self.results:
                done = f"before the first of {runs} had ended"
            raise RunInterruptedError(
                stopped_by,
                f"interrupted {done}; resume with: ml2021 sweep --resume {self.directory.path}",
            )
        if summary is not None and with_report:
            from ml2021.commands.report import finish_with_report

            def draw() -> None:
                from ml2021.report.sweep import write_sweep_report

                write_sweep_report(self.directory, summary, stop_signal)

            with stop_signals() as stop_signal:
                finish_with_report(draw, self.directory.report, "sweep", self.console)
            if self.best is not None:
                self.console.say(f"report of the best run: ml2021 report {self.directory.best}")
        self._raise_failures()

    def _train(
        self,
        packs: Sequence[Pack],
        workers: int,
        file: ResultsFile,
        stop_signal: Callable[[], int | None],
    ) -> None:
        """Let workers train the packs, and save the results."""
        ranks = _ranks()[:workers]
        if ranks:
            _resume_with(f"ml2021 sweep --resume {self.directory.path}")
        threads = most_threads() if ranks else max(1, cores() // workers)
        by = plural(workers, "rank" if ranks else "worker")
        self.console.say(
            f"{plural(sum(map(len, packs)), 'run')} in {plural(len(packs), 'pack')}, by {by} of "
            f"{'at most ' if threads > 1 else ''}{plural(threads, 'thread')}"
        )

        first_of: dict[object, int] = {}
        for run, config in self.configs.items():
            first_of.setdefault(data_key(config), run)

        settings: list[dict[str, float | str]] = []
        if any(config.train.tensorboard for config in self.configs.values()):
            settings = hyperparameters(self.plan.settings, self.plan.configs)

        def make_task(pack: Pack) -> PackTask:
            value = None if self.best is None else validation_value(self.best, self.losses)
            return PackTask(
                sweep=str(self.directory.path.absolute()),
                runs={run: self.plan.texts[run - 1] for run in pack},
                first=self.plan.texts[first_of[data_key(self.configs[pack[0]])] - 1],
                threads=threads,
                share=MEMORY_SHARE / workers,
                losses=self.losses,
                best=None if self.best is None or value is None else (value, self.best.run),
                settings={run: settings[run - 1] for run in pack if settings},
            )

        def data_of(pack: Pack) -> object:
            return data_key(self.configs[pack[0]])

        pool = Pool(packs, workers, threads, make_task, data_of, ranks)
        is_described = False
        done = len(self.results)
        with pool, ProgressBar(self.console, len(self.configs), done, "run") as bar:
            for event in pool.run(lambda: stop_signal() is not None):
                match event:
                    case RunEnded(result):
                        self._check_data_unchanged(result)
                        self.results[result.run] = result
                        file.append(result)
                        rivals = [result] if self.best is None else [self.best, result]
                        self.best = choose_best(rivals, self.losses)
                    case TableRead(lines):
                        if not is_described:
                            self.console.say(*lines)
                            is_described = True
                    case FilesSent("candidate", run, files):
                        receive_candidate(self.directory, run, files)
                    case FilesSent("events", run, files):
                        receive_events(self.directory, run, files)
                    case Progressed(of_running):
                        bar.show(len(self.results) + of_running, self._best_so_far())

    def _check_data_unchanged(self, result: Result) -> None:
        """Raise CheckpointError if the data file is not the one that earlier runs trained on."""
        if result.data_sha256 is None:
            return
        path = ", ".join(each_path(self.configs[result.run].data.path))
        if self.digests.setdefault(path, result.data_sha256) != result.data_sha256:
            raise CheckpointError(
                f"{self.directory.path}: {path} has changed since the sweep began; "
                "restore the file, or start a new sweep"
            )

    def _best_so_far(self) -> str:
        if self.best is None or self.best.result is None:
            return ""
        metric = selection_metric(self.best.result.task, self.losses)
        value = number(validation_value(self.best, self.losses))
        return f"best validation {heading(metric)} {value} (run {self.best.run})"

    def _say_summary(self) -> SweepSummary | None:
        """Print the table and the findings; return None if the runs cannot be compared."""
        summary = SweepSummary(self.plan, self.results)
        if not summary.are_comparable:
            if summary.done:
                self.console.say("the runs have different tasks or targets and cannot be ranked")
            return None
        self.console.say("", *summary.lines(), "", *summary.findings(self.directory.best))
        return summary

    def _raise_failures(self) -> None:
        """Raise SweepFailedError if a run failed or all diverged."""
        ordered = sorted(self.results.values(), key=lambda result: result.run)
        failed = [result for result in ordered if result.status == "failed"]
        if not failed and any(result.status == "done" for result in ordered):
            return
        first = (failed or ordered)[0]
        lines = dict.fromkeys(line for result in failed or ordered[:1] for line in result.lines)
        outcome = "all runs diverged"
        if failed:
            outcome = f"{len(failed):,} of {plural(len(ordered), 'run')} failed"
        shown = list(lines)[:SHOWN_LINES]
        raise SweepFailedError(first.exit_code, *shown, f"{self.directory.path}: {outcome}")


def _ranks() -> Sequence[Callable[[Callable[[str | None], None]], Link]]:
    """Return what makes the link to each rank of torchrun."""
    if not is_one_of_several():
        return []
    from ml2021.sweeps.ranks import links_to_ranks

    return links_to_ranks()


def _call_ranks() -> None:
    """Let the other ranks of torchrun, if any, get ready for packs."""
    if is_one_of_several():
        from ml2021.sweeps.ranks import call_ranks

        call_ranks()


def _resume_with(command: str) -> None:
    """Let the line that tells of a lost rank say how to go on."""
    from ml2021.engine.distributed import current

    if (ranks := current()) is not None:
        ranks.remedy = f"resume with: {command}"


def default_jobs(device: str) -> int:
    """Return the number of workers: one per core, or one if a GPU may be used."""
    may_find_gpu = device == "auto" and any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd")))
    return 1 if device.startswith("cuda") or may_find_gpu else cores()
