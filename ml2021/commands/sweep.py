"""The command `sweep`: one config's many runs, trained in packs by worker processes.

This process reads no table and loads no torch: it checks every run's config and columns, deals
packs out, keeps what comes back, and names the best. What a pack is and how it is trained is left
to `ml2021.sweeps`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ml2021.console import Console, ProgressBar
from ml2021.errors import CheckpointError, Ml2021Error, RunInterruptedError
from ml2021.evaluation.metrics import selection_metric
from ml2021.formatting import heading, number
from ml2021.runs.directory import RunDirectory, locked, refuse_used, write_text
from ml2021.signals import stop_signals
from ml2021.sweeps.directory import (
    ResultsFile,
    SweepDirectory,
    SweepPlan,
    begin_candidates,
    create_sweep,
    is_sweep,
    keep_best,
    load_results,
    read_plan,
    write_plan,
    write_table,
)
from ml2021.sweeps.packing import Pack, make_packs
from ml2021.sweeps.pool import PackTask, Pool, Progressed, RunEnded, TableRead
from ml2021.sweeps.results import Result, choose_best, losses_of, validation_value
from ml2021.sweeps.search_space import load_sweep
from ml2021.sweeps.summary import SweepSummary

SHOWN_LINES = 20
"""The most lines that say what went wrong."""

MEMORY_SHARE = 0.5
"""How much of the free memory all workers together may fill with members."""


def sweep(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    jobs: int | None,
    console: Console,
    *,
    with_report: bool,
) -> Path:
    """Run a config's sweep. Returns the directory that was made.

    With `with_report` it gets a report to look at, once everything else is saved.
    """
    loaded = load_sweep(config, overrides)
    if run_dir is not None:
        refuse_used(run_dir)

    from ml2021.sweeps.search_space import check_runs

    check_runs(loaded)
    plan = SweepPlan(
        settings=tuple(variation.settings for variation in loaded.variations),
        texts=tuple(variation.loaded.text for variation in loaded.variations),
        scales=loaded.scales,
    )
    directory = create_sweep(run_dir, config.stem)
    with locked(RunDirectory(directory.path)):
        write_text(directory.config, loaded.base.text)
        write_plan(directory, plan)
        _Sweep(directory, plan, {}, console).run(jobs, with_report=with_report)
    return directory.path


def resume(path: Path, jobs: int | None, console: Console, *, with_report: bool) -> Path:
    """Go on with the runs of a sweep that are missing, failed ones included."""
    if not is_sweep(path):
        what = "not the directory of a sweep" if path.exists() else "no such directory"
        raise CheckpointError(f"{path.absolute()}: {what}")
    directory = SweepDirectory(path)
    with locked(RunDirectory(path)):
        plan = read_plan(directory)
        results = load_results(directory)
        kept = {run: result for run, result in results.items() if result.status != "failed"}
        missing = len(plan.texts) - len(kept)
        if not missing and directory.table.is_file():
            console.say(f"{path}: all {len(kept):,} runs have ended; nothing to do")
            is_drawn = directory.report.is_file() or not SweepSummary(plan, kept).is_one_question
            if with_report and not is_drawn:
                console.say(f"draw its report with: ml2021 report --run {path}")
            return path
        console.say(f"going on with {path}: {missing:,} of {len(plan.texts):,} runs are missing")
        _Sweep(directory, plan, kept, console).run(jobs, with_report=with_report)
    return path


class _Sweep:
    """A sweep that is running: what has ended so far, and what is still to be trained."""

    def __init__(
        self,
        directory: SweepDirectory,
        plan: SweepPlan,
        results: Mapping[int, Result],
        console: Console,
    ) -> None:
        self._directory, self._plan, self._console = directory, plan, console
        self._configs = dict(enumerate(plan.configs, start=1))
        self._losses = losses_of(plan.configs)
        self._results = dict(results)
        self._best = choose_best(results.values(), self._losses)
        self._digests: dict[str, str] = {}
        for result in results.values():
            self._refuse_other_data(result)

    def run(self, jobs: int | None, *, with_report: bool) -> None:
        """Train what is missing, then write the table and the best; say and draw how it went.

        Raises RunInterruptedError after a signal, or the error of the first run that failed.
        """
        missing = {run: c for run, c in self._configs.items() if run not in self._results}
        most = jobs or min(default_jobs(config.device) for config in self._configs.values())
        packs = make_packs(missing, most)
        begin_candidates(self._directory, tuple(self._results))
        with stop_signals() as stop_signal:
            file = ResultsFile(self._directory, self._results.values())
            try:
                self._train(packs, max(1, min(most, len(packs))), file, stop_signal)
            finally:
                file.close()
                self._best = choose_best(self._results.values(), self._losses)
                keep_best(self._directory, self._best)
                write_table(self._directory, self._plan, self._results)
            stopped_by = stop_signal()
        outcome = self._say_outcome()
        if stopped_by is not None:
            raise RunInterruptedError(
                stopped_by,
                f"stopped after {len(self._results):,} of {len(self._configs):,} runs, which are "
                f"kept; go on with: ml2021 sweep --resume {self._directory.path}",
            )
        if outcome is not None and with_report:
            self._draw(outcome)
        self._raise_failures()

    def _train(
        self,
        packs: Sequence[Pack],
        workers: int,
        file: ResultsFile,
        stop_signal: Callable[[], int | None],
    ) -> None:
        """Have the packs trained, and keep what the workers say."""
        threads = max(1, cores() // workers)
        runs = sum(map(len, packs))
        self._console.say(
            f"{_counted(runs, 'run')} in {_counted(len(packs), 'pack')}, by "
            f"{_counted(workers, 'worker')} of {'at most ' if threads > 1 else ''}"
            f"{_counted(threads, 'thread')}"
        )

        def make_task(pack: Pack) -> PackTask:
            value = None if self._best is None else self._value(self._best)
            return PackTask(
                sweep=str(self._directory.path.absolute()),
                runs={run: self._plan.texts[run - 1] for run in pack},
                threads=threads,
                share=MEMORY_SHARE / workers,
                losses=self._losses,
                best=None if self._best is None or value is None else (value, self._best.run),
            )

        def data_of(pack: Pack) -> object:
            return self._configs[pack[0]].data, self._configs[pack[0]].task

        pool = Pool(packs, workers, threads, make_task, data_of)
        is_described = False
        done = len(self._results)
        with pool, ProgressBar(self._console, len(self._configs), done, "run") as bar:
            for news in pool.run(lambda: stop_signal() is not None):
                match news:
                    case RunEnded(result):
                        self._refuse_other_data(result)
                        self._results[result.run] = result
                        file.append(result)
                        rivals = [result] if self._best is None else [self._best, result]
                        self._best = choose_best(rivals, self._losses)
                    case TableRead(lines):
                        if not is_described:
                            self._console.say(*lines)
                            is_described = True
                    case Progressed(running):
                        bar.show(len(self._results) + running, self._best_so_far())

    def _refuse_other_data(self, result: Result) -> None:
        """Raise CheckpointError where a file is no longer what earlier runs were trained on."""
        if result.data_sha256 is None:
            return
        path = self._configs[result.run].data.path
        if self._digests.setdefault(path, result.data_sha256) != result.data_sha256:
            raise CheckpointError(
                f"{self._directory.path}: {path} has changed since the sweep began; "
                "restore the file, or sweep anew"
            )

    def _value(self, result: Result) -> float | None:
        return validation_value(result, self._losses)

    def _best_so_far(self) -> str:
        if self._best is None:
            return "none is the best yet"
        score = selection_metric(self._best.task, self._losses)
        value = number(self._value(self._best))
        return f"best validation {heading(score)} {value}, of run {self._best.run}"

    def _say_outcome(self) -> SweepSummary | None:
        """Say which runs are best, beside the trivial answers; None where nothing can be said."""
        outcome = SweepSummary(self._plan, self._results)
        if not outcome.done:
            return None
        if not outcome.is_one_question:
            self._console.say("the runs have different tasks or targets: none of them is the best")
            return None
        self._console.say("", *outcome.lines(), "", *outcome.words(self._directory.best))
        return outcome

    def _draw(self, outcome: SweepSummary) -> None:
        from ml2021.report.write import finish_with_report

        def draw() -> None:
            from ml2021.report.sweep import write_sweep_report

            write_sweep_report(self._directory, outcome, stop_signal)

        with stop_signals() as stop_signal:
            finish_with_report(draw, self._directory.report, "sweep", self._console)

    def _raise_failures(self) -> None:
        """Raise the error of the first run that failed, or that all have diverged."""
        ordered = sorted(self._results.values(), key=lambda result: result.run)
        failed = [result for result in ordered if result.status == "failed"]
        if not failed and any(result.status == "done" for result in ordered):
            return
        first = (failed or ordered)[0]
        lines = dict.fromkeys(line for result in failed or ordered[:1] for line in result.lines)
        what = f"{_counted(len(failed), 'run')} of {len(ordered):,} failed"
        if not failed:
            what = "every run diverged"
        error = Ml2021Error(*list(lines)[:SHOWN_LINES], f"{self._directory.path}: {what}")
        error.exit_code = first.exit_code
        raise error


def default_jobs(device: str) -> int:
    """Return the number of workers: one per core, or one where a GPU may do the work."""
    may_find_gpu = device == "auto" and any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd")))
    return 1 if device.startswith("cuda") or may_find_gpu else cores()


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
