"""A worker process: it reads packs as lines of JSON, trains them, and replies with lines of JSON.

It ends when its standard input does, so that it never outlives the process that started it, even
one that was killed. `ml2021.sweeps.pool` decides which worker gets which pack.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ml2021.config.loading import dump_yaml, load_config_text
from ml2021.config.messages import dotted
from ml2021.config.schema import Config
from ml2021.data.load import Plan, TrainingData, describe, load_training_data, with_config
from ml2021.engine.fit import divergence_error
from ml2021.errors import DivergenceError, Ml2021Error
from ml2021.evaluation.comparison import RunResult
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS
from ml2021.runs.checkpoints import Checkpoints
from ml2021.runs.content import write_text
from ml2021.runs.metrics_csv import MetricsWriter
from ml2021.runs.summary import RunSummary, write_record
from ml2021.runs.tensorboard import EventWriter
from ml2021.sweeps.directory import SweepDirectory, begin_draft
from ml2021.sweeps.pack import FinishedRun, PackTensors, prepare_tensors, train_pack
from ml2021.sweeps.packing import data_key
from ml2021.sweeps.pool import PackTask
from ml2021.sweeps.results import Result, validation_value
from ml2021.training.loop import metrics_columns
from ml2021.training.memory import Job, check_job
from ml2021.training.numbers import choose_numbers
from ml2021.training.trainer import environment, residuals, summarise

PROGRESS_SECONDS = 0.2
"""The least time between two progress reports."""
Reply = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Train packs until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    # What a library prints must not mix with the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()

    def reply(event: Mapping[str, Any]) -> None:
        try:
            replies.write(json.dumps(event, allow_nan=False) + "\n")
            replies.flush()
        except OSError:
            os._exit(1)

    worker = Worker(reply)
    while True:
        task = PackTask.from_line(lines.get())
        try:
            worker.train(task)
        except Exception:
            reply({"event": "bug", "text": traceback.format_exc()})


def _listen(lines: "queue.SimpleQueue[str]") -> None:
    """Pass on lines of standard input; at its end, end the process, whatever it is doing."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


class Worker:
    """Trains packs; the data of the last pack is kept for the next."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._loaded: tuple[object, TrainingData, PackTensors] | None = None

    def train(self, task: PackTask) -> None:
        """Train a pack, and reply with its progress and the result of each run."""
        waiting = list(task.runs)

        def send(result: Result) -> None:
            waiting.remove(result.run)
            self._reply({"event": "result", "result": result.model_dump(mode="json")})

        try:
            self._train(task, send)
        except Ml2021Error as error:
            for run in tuple(waiting):
                send(Result(run=run, status="failed", lines=error.lines, exit_code=error.exit_code))
        self._reply({"event": "idle"})

    def _train(self, task: PackTask, send: Callable[[Result], None]) -> None:
        training_data, tensors = self._load(task)
        sweep, runs, best = SweepDirectory(Path(task.sweep)), list(task.runs), task.best
        last_reply = time.monotonic()
        for progress in train_pack(training_data, tensors, task.threads, task.share):
            ended = [(result_of(runs[m.place], m), m) for m in progress.ended]
            known = [
                ((value, result.run), member, summary)
                for (result, summary), member in ended
                if summary is not None
                and (value := validation_value(result, task.losses)) is not None
            ]
            if known:
                rank, member, summary = min(known, key=lambda item: item[0])
                if best is None or rank < best:
                    best = rank
                    keep_candidate(sweep, rank[1], task.runs[rank[1]], member, summary)
            for (result, _), member in ended:
                if member.trainer.data.config.train.tensorboard:
                    write_events(sweep, result, member, task.settings[result.run])
                send(result)
            if time.monotonic() - last_reply > PROGRESS_SECONDS:
                self._reply({"event": "progress", "done": progress.done})
                last_reply = time.monotonic()

    def _load(self, task: PackTask) -> tuple[list[TrainingData], PackTensors]:
        """Return the training data of each run, and the tensors that they share.

        The file is read only if its data is not that of the last pack.
        """
        runs = [
            _RunConfig(run, load_config_text(text, f"run {run}").config)
            for run, text in task.runs.items()
        ]
        key = (data_key(runs[0].config), runs[0].config.train.class_weight)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # before the next, so that the memory never holds two
            first = replace(runs[0], config=load_config_text(task.first, "the first run").config)
            data = choose_numbers(load_training_data(first, check=_check_plan))
            self._reply({"event": "data", "lines": describe(data)})
            self._loaded = (key, data, prepare_tensors(with_config(data, runs[0])))
        _, data, tensors = self._loaded
        return [with_config(data, run) for run in runs], tensors


def _check_plan(plan: Plan) -> None:
    check_job(Job(*plan), "model", is_encoded=False)


@dataclass(frozen=True)
class _RunConfig:
    """The config of a run, whose keys have no position in a file."""

    run: int
    config: Config

    def locate(self, *keys: str | int) -> str:
        return f"run {self.run}, {dotted(keys)}"


def result_of(run: int, member: FinishedRun) -> tuple[Result, RunSummary | None]:
    """Return how a run ended, and its summary; None if it diverged."""
    trainer = member.trainer
    data, state = trainer.data, trainer.state
    batches = trainer.hparams.batches(len(trainer.train))
    try:
        if update := int(state.diverged):
            raise divergence_error("the loss or a parameter is out of bounds", update, batches)
        summary = summarise(trainer, member.seconds, state.epoch * batches)
    except DivergenceError as error:
        found = RunResult(
            config=data.config,
            task=data.preprocessing.task,
            parameters=trainer.network.layout.parameters,
            epochs=state.epoch,
            best_epoch=int(state.best_epoch),
            splits={},
        )
        result = Result(
            run=run,
            status="diverged",
            data_sha256=data.data_sha256,
            result=found,
            lines=error.lines,
            exit_code=error.exit_code,
        )
        return result, None
    found = summary.result(data.config)
    return Result(run=run, status="done", data_sha256=data.data_sha256, result=found), summary


def write_events(
    sweep: SweepDirectory, result: Result, member: FinishedRun, settings: Mapping[str, float | str]
) -> None:
    """Write a run's event files: its epochs, its hyperparameters, and what it scored."""
    assert result.result is not None
    data = member.trainer.data
    columns = metrics_columns(data)
    epochs = ({name: row[name] for name in columns} for row in member.history)
    events = EventWriter(sweep.events(result.run), epochs)
    is_class = data.preprocessing.task == "classification"
    scores = {
        f"scores/{split}_{metric}": result.score(split, metric)
        for split in data.splits
        if split != "train"
        for metric in (CLASS_METRICS if is_class else REAL_METRICS)
    }
    events.add_run(settings, scores)
    events.close()


def keep_candidate(
    sweep: SweepDirectory, run: int, text: str, member: FinishedRun, summary: RunSummary
) -> None:
    """Write a run that may become the best as a run directory, completely or not at all."""
    trainer = member.trainer
    draft = begin_draft(sweep, run)
    write_text(draft.config, text)
    write_record(draft.environment, environment(trainer))
    write_text(draft.resolved_config, dump_yaml(trainer.data.config))
    metrics = MetricsWriter(draft.metrics, metrics_columns(trainer.data), 0)
    for row in member.history:
        metrics.append(row)
    metrics.close()
    calibrate = partial(residuals, trainer)
    Checkpoints(draft, trainer.data, trainer.baselines, calibrate).write(trainer.state)
    write_record(draft.summary, summary)
    draft.path.replace(sweep.candidate(run))
