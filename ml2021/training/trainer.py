"""One session of training: the engine runs, and what it does is saved, logged and shown.

The command around it, and its messages before the first update, are in `ml2021.commands.train`.
"""

import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021 import __version__
from ml2021.console import Console
from ml2021.data.load import LoadedProblem
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets
from ml2021.data.samples import Samples
from ml2021.engine.build import build_network, build_training
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit_members
from ml2021.engine.hardware import check_memory, choose_device, choose_threads
from ml2021.engine.networks import Network
from ml2021.engine.state import Training, TrainingState, chosen, start
from ml2021.errors import DivergenceError
from ml2021.evaluation import intervals as conformal
from ml2021.evaluation.ensembles import combine, report_on, trained_predictions
from ml2021.evaluation.scoring import Answers, Report, learn_answers
from ml2021.runs.checkpoint_file import Checkpoint
from ml2021.runs.checkpoints import Checkpoints, restore_state, saved_answers
from ml2021.runs.directory import RunDirectory
from ml2021.runs.metrics_csv import MetricsFile
from ml2021.training.loop import Saver, memory_errors, supervise
from ml2021.training.metrics_log import loss_unit, metrics_columns, metrics_row, say_losses


@dataclass
class Session:
    """A problem, the network for it, and where its run stands.

    residuals: calibrates intervals (`ml2021.evaluation.intervals`) in place of validation rows.
    """

    problem: LoadedProblem
    network: Network
    training: Training
    state: TrainingState
    answers: Answers
    train: Dataset
    validation: Dataset | None
    threads: int
    residuals: NDArray[np.float64] | None = None

    def become_final(self, last_epoch: int, residuals: NDArray[np.float64] | None) -> None:
        """Train no longer than the folds say, and calibrate by their held-out rows."""
        self.training = replace(self.training, last_epoch=last_epoch)
        self.residuals = residuals


def start_session(
    problem: LoadedProblem,
    where: str,
    last: Checkpoint | None,
    threads: int | None,
    theta: torch.Tensor | None = None,
) -> Session:
    """Build the network and its state: new ones, or those of the checkpoint `last`.

    A new one begins at `theta` (K, P) where that is given, else where the seeds say.
    `where` stands at the start of a message about the size of the model.
    """
    config, preprocessing = problem.config, problem.preprocessing
    network = build_network(config.model, *preprocessing.sizes)
    training = build_training(config)
    rows = len(problem.train)
    check_memory(network, training, rows, where)
    device = choose_device(config.device)
    if threads is None:
        threads = choose_threads(network, min(training.batch_size or rows, rows))
    torch.set_num_threads(threads)
    with memory_errors(config):
        train = to_dataset(preprocessing, problem.train).to(device)
        validation = None
        if len(problem.validation):
            validation = to_dataset(preprocessing, problem.validation).to(device)
        keep_path = config.train.keep_path
        state = start(network, training, rows, train.inputs, theta=theta, keep_path=keep_path)
        # Learned once: on another number of cores least squares may differ in its last bits.
        if last is None:
            answers = learn_answers(preprocessing, problem.train)
        else:
            answers = saved_answers(last, Path("last.safetensors"))
            restore_state(state, last, Path("last.safetensors"))
    return Session(problem, network, training, state, answers, train, validation, threads)


def environment(session: Session) -> dict[str, Any]:
    """Return what the result depends on beside config and data."""
    return {
        "ml2021": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "command": sys.argv,
        "seed": session.problem.config.seed,
        "device": device_name(session),
        "threads": session.threads,
        "data": str(session.problem.data_path),
        "data_sha256": session.problem.data_sha256,
        "test_sha256": session.problem.test_sha256,
        "init_sha256": session.problem.init_sha256,
    }


def device_name(session: Session) -> str:
    """Return what a session computes on: the model of the GPU, or cpu."""
    device = session.state.theta.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def open_metrics(session: Session, run: RunDirectory) -> MetricsFile:
    """Open metrics.csv to go on after the epochs that are done.

    With several members its losses and scores are the means of those that are still in training,
    and there is a column for how many these are. Raises CheckpointError where it does not hold the
    epochs.
    """
    return MetricsFile(run.metrics, metrics_columns(session.problem), session.state.epoch)


def train_session(
    session: Session, run: RunDirectory, metrics: MetricsFile, console: Console
) -> tuple[dict[str, Report], dict[str, Any]]:
    """Train to the end, then score the best parameters on every part that has rows.

    Returns these reports, and what summary.json is to say. Raises DivergenceError, ResourceError,
    or RunInterruptedError after a signal; the run is saved.
    """
    problem = session.problem
    begun, updates_before = time.perf_counter(), _updates(session)
    with memory_errors(problem.config):
        _advance(session, run, console, metrics)
    seconds = time.perf_counter() - begun
    return summarise(session, seconds, _updates(session) - updates_before)


def summarise(
    session: Session, seconds: float, updates: int
) -> tuple[dict[str, Report], dict[str, Any]]:
    """Score the best parameters on every part; return the reports and what summary.json holds.

    `seconds` and `updates` are those of this session alone.
    """
    problem, state = session.problem, session.state
    members = chosen(state)
    reports, predictions = {}, {}
    with memory_errors(problem.config):
        for part, samples in _parts(problem).items():
            reports[part], predictions[part] = report_on(
                _best_predictions(session, samples), problem.preprocessing, session.answers, samples
            )
        kept = residuals(session)
    rows_seen = updates * len(problem.train) // session.training.batches(len(problem.train))
    summary: dict[str, Any] = {
        "task": problem.config.task,
        "parameters": session.network.layout.parameters,
        "split": {"method": problem.config.data.split.method, **problem.split.sizes()},
        "left_out": dict(problem.split.left_out),
        "epochs": state.epoch,
        "stopped_early": state.epoch < session.training.epochs,
        "best_epoch": int(state.best_epoch[members].max()),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows_seen / seconds) if seconds else None,
        "scores": {part: report.to_json() for part, report in reports.items()},
    }
    if isinstance(problem.preprocessing.target, ClassTarget):
        summary["classes"] = list(problem.preprocessing.target.labels)
    if len(session.training.seeds) > 1:
        summary["members"] = [
            {"seed": seed, "best_epoch": int(best), "diverged_at_update": int(diverged) or None}
            for seed, best, diverged in zip(
                session.training.seeds, state.best_epoch, state.diverged, strict=True
            )
        ]
    if kept is not None:
        test = (problem.test.values, predictions["test"]) if "test" in predictions else None
        labels = problem.preprocessing.target.labels
        summary["interval"] = {
            "calibrated_on": "validation" if session.residuals is None else "folds",
            "rows": len(kept),
            "levels": conformal.describe(kept, labels, test),
        }
    return reports, summary


def _advance(session: Session, run: RunDirectory, console: Console, metrics: MetricsFile) -> None:
    """Run the engine under supervision; a divergence keeps the best parameters so far."""
    problem, state, training = session.problem, session.state, session.training
    name, factor = loss_unit(problem.config, problem.preprocessing)
    lr = float(problem.config.optimizer.lr)
    checkpoints = Checkpoints(run, problem, session.answers, partial(residuals, session))

    def write() -> None:
        metrics.flush()  # ahead of the checkpoint that counts on it
        checkpoints.write(state)

    steps = fit_members(session.network, training, state, session.train, session.validation)
    try:
        supervise(
            steps,
            epochs=training.epochs if training.last_epoch is None else training.last_epoch,
            done=state.epoch + state.batch / training.batches(len(session.train)),
            saver=Saver(write, problem.config.train.save_seconds),
            console=console,
            end_epoch=lambda step: metrics.append(metrics_row(problem, step.progress, lr, factor)),
            losses=lambda step: f"{name} {say_losses(step.progress, factor)}",
            how_to_go_on=f"go on with: ml2021 train --resume {run.path}",
        )
    except DivergenceError as error:
        kept = f"; {run.path} has no best parameters"
        if bool(state.best_epoch.any()):
            checkpoints.write_best(state)
            best = int(state.best_epoch.max())
            kept = f"; the best parameters, of epoch {best}, are kept in {run.path}"
        raise DivergenceError(*(line + kept for line in error.lines)) from None


def to_dataset(preprocessing: Preprocessing, samples: Samples) -> Dataset:
    """Return the samples as the engine wants them, standardised, on the CPU."""
    inputs = torch.from_numpy(samples.inputs)
    target = preprocessing.target
    if isinstance(target, RealTargets):
        return Dataset(inputs, torch.from_numpy(target.standardise(samples.values)).float())
    return Dataset(inputs, torch.from_numpy(samples.classes))


def _parts(problem: LoadedProblem) -> dict[str, Samples]:
    """Return the parts that have rows."""
    parts = {"train": problem.train, "validation": problem.validation, "test": problem.test}
    return {part: samples for part, samples in parts.items() if len(samples)}


def residuals(session: Session) -> NDArray[np.float64] | None:
    """Return the sorted residuals that calibrate intervals: of the best parameters on validation.

    Those of the session, where it has been given them. None for classes and without such rows.
    """
    if session.residuals is not None:
        return session.residuals
    preprocessing, samples = session.problem.preprocessing, session.problem.validation
    if session.validation is None or isinstance(preprocessing.target, ClassTarget):
        return None
    mean, _ = combine(_best_predictions(session, samples))
    return conformal.residuals(samples.values, mean)


def _best_predictions(session: Session, samples: Samples) -> Iterator[NDArray[np.float64]]:
    """Yield what the best parameters of each member predict. Raises DivergenceError."""
    theta = session.state.best[chosen(session.state)]
    return trained_predictions(session.network, theta, session.problem.preprocessing, samples)


def _updates(session: Session) -> int:
    batches = session.training.batches(len(session.problem.train))
    return session.state.epoch * batches + session.state.batch
