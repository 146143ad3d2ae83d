"""One session of training: the engine runs, and what it does is saved, logged and shown.

The command around it, and its messages before the first update, are in `ml2021.train`.
"""

import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021 import __version__, assembly, conformal
from ml2021.config.schema import Config
from ml2021.console import Console, ProgressBar, number
from ml2021.data.datasets import Dataset
from ml2021.data.preprocessing import ClassTarget, Preprocessing, RealTargets
from ml2021.data.samples import Samples
from ml2021.engine.fit import Progress, fit
from ml2021.engine.networks import Network, outputs
from ml2021.engine.state import Training, TrainingState, start
from ml2021.errors import DivergenceError, RunInterruptedError
from ml2021.interruptions import memory_errors
from ml2021.problem import LoadedProblem
from ml2021.runs.checkpoints import Checkpoint
from ml2021.runs.directory import MetricsFile, RunDirectory, write_json
from ml2021.saving import Saver, restore_state, saved_answers
from ml2021.scoring import Answers, Report, full_report, learn_answers, score, to_predictions
from ml2021.signals import StoppedError, stop_signals

Floats = NDArray[np.float64]


@dataclass
class Session:
    """A problem, the network for it, and where its run stands."""

    problem: LoadedProblem
    network: Network
    training: Training
    state: TrainingState
    answers: Answers
    train: Dataset
    validation: Dataset | None
    threads: int


def start_session(
    problem: LoadedProblem, where: str, last: Checkpoint | None, threads: int | None
) -> Session:
    """Build the network and its state: new ones, or those of the checkpoint `last`.

    `where` stands at the start of a message about the size of the model.
    """
    config, preprocessing = problem.config, problem.preprocessing
    network = assembly.build_network(config.model, preprocessing)
    training = assembly.build_training(config)
    rows = len(problem.train)
    assembly.check_memory(network, training, rows, where)
    device = assembly.choose_device(config.device)
    batch_rows = min(training.batch_size or rows, rows)
    chosen = threads or assembly.choose_threads(network, batch_rows)
    torch.set_num_threads(chosen)
    with memory_errors(config):
        train = to_dataset(preprocessing, problem.train).to(device)
        validation = None
        if len(problem.validation):
            validation = to_dataset(preprocessing, problem.validation).to(device)
        state = start(network, training, rows, train.inputs, keep_path=config.train.keep_path)
        # Learned once: on another number of cores least squares may differ in its last bits.
        if last is None:
            answers = learn_answers(preprocessing, problem.train)
        else:
            answers = saved_answers(last, Path("last.safetensors"))
            restore_state(state, last)
    return Session(problem, network, training, state, answers, train, validation, chosen)


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
    }


def device_name(session: Session) -> str:
    """Return what a session computes on: the model of the GPU, or cpu."""
    device = session.state.theta.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def open_metrics(session: Session, run: RunDirectory) -> MetricsFile:
    """Open metrics.csv to go on after the epochs that are done.

    Raises CheckpointError where it does not hold them.
    """
    return MetricsFile(run.metrics, metrics_columns(session), session.state.epoch)


def metrics_columns(session: Session) -> list[str]:
    """Return the header of metrics.csv."""
    columns = ["epoch", "updates", "lr", "train_loss", "validation_loss"]
    if session.validation is not None:
        columns += [f"validation_{name}" for name in _score_names(session.problem.preprocessing)]
    return columns


def train_session(
    session: Session, run: RunDirectory, metrics: MetricsFile, console: Console
) -> dict[str, Report]:
    """Train to the end, then score the best parameters on every part and write summary.json.

    Raises DivergenceError, ResourceError, or RunInterruptedError after a signal; the run is saved.
    """
    problem = session.problem
    begun, updates_before = time.perf_counter(), _updates(session)
    try:
        with memory_errors(problem.config), stop_signals() as stop_signal:
            _advance(session, run, console, metrics, stop_signal)
    finally:
        metrics.close()
    seconds = time.perf_counter() - begun
    try:
        if (late := stop_signal()) is not None:  # after the last look at it, while saving
            raise StoppedError(late)
        reports, summary = summarise(session, seconds, _updates(session) - updates_before)
        write_json(run.summary, summary)
    except StoppedError as stop:
        raise RunInterruptedError(
            stop.signal_number,
            "stopped while the trained run was scored; it is saved, go on with: "
            f"ml2021 train --resume {run.path}",
        ) from None
    return reports


def summarise(
    session: Session, seconds: float, updates: int
) -> tuple[dict[str, Report], dict[str, Any]]:
    """Score the best parameters on every part; return the reports and what summary.json holds.

    `seconds` and `updates` are those of this session alone.
    """
    problem, state = session.problem, session.state
    with memory_errors(problem.config):
        predictions = _final_predictions(session)
        reports = {
            part: full_report(problem.preprocessing, session.answers, samples, predictions[part])
            for part, samples in _parts(problem).items()
        }
    rows_seen = updates * len(problem.train) // session.training.batches(len(problem.train))
    summary: dict[str, Any] = {
        "task": problem.config.task,
        "parameters": session.network.layout.parameters,
        "split": {"method": problem.config.data.split.method, **problem.split.sizes()},
        "left_out": dict(problem.split.left_out),
        "epochs": state.epoch,
        "stopped_early": state.epoch < session.training.epochs,
        "best_epoch": int(state.best_epoch),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows_seen / seconds) if seconds else None,
        "scores": {part: report.to_json() for part, report in reports.items()},
    }
    if isinstance(problem.preprocessing.target, ClassTarget):
        summary["classes"] = list(problem.preprocessing.target.labels)
    if (kept := residuals(session)) is not None:
        test = (problem.test.values, predictions["test"]) if "test" in predictions else None
        labels = problem.preprocessing.target.labels
        summary["interval"] = {
            "calibrated_on": "validation",
            "rows": len(kept),
            "levels": conformal.describe(kept, labels, test),
        }
    return reports, summary


def _advance(
    session: Session,
    run: RunDirectory,
    console: Console,
    metrics: MetricsFile,
    stop_signal: Callable[[], int | None],
) -> None:
    """Run the engine; save every `save_seconds`, at a signal, and at the end."""
    state, training, config = session.state, session.training, session.problem.config
    loss_name, factor = loss_unit(config, session.problem.preprocessing)
    saver = Saver(
        run,
        session.problem,
        session.answers,
        partial(residuals, session),
        config.train.save_seconds,
    )
    lr = float(config.optimizer.lr)
    done = state.epoch + state.batch / training.batches(len(session.train))
    with ProgressBar(console, training.epochs, done) as bar:
        try:
            for progress in fit(
                session.network, training, state, session.train, session.validation
            ):
                if progress.is_epoch_end:
                    metrics.append(metrics_row(session.problem, progress, lr, factor))
                losses = f"{loss_name} {_losses(progress, factor)}"
                done = state.epoch + state.batch / progress.batches
                bar.show(done, losses)
                number_of_signal = stop_signal()
                if saver.is_due() or number_of_signal is not None:
                    metrics.flush()  # ahead of the checkpoint that counts on it
                    saver.save(state)
                if number_of_signal is not None:
                    raise RunInterruptedError(
                        number_of_signal,
                        f"stopped at epoch {done:.1f} of {training.epochs} and saved; "
                        f"go on with: ml2021 train --resume {run.path}",
                    )
        except DivergenceError as error:
            kept = ""
            if int(state.best_epoch):
                saver.save_best(state)
                kept = f"; the best parameters, of epoch {int(state.best_epoch)}, are kept"
            raise DivergenceError(*(line + kept for line in error.lines)) from None
    metrics.flush()
    saver.save(state)


def to_dataset(preprocessing: Preprocessing, samples: Samples) -> Dataset:
    """Return the samples as the engine wants them, standardised, on the CPU."""
    inputs = torch.from_numpy(samples.inputs)
    target = preprocessing.target
    if isinstance(target, RealTargets):
        return Dataset(inputs, torch.from_numpy(target.standardise(samples.values)).float())
    return Dataset(inputs, torch.from_numpy(samples.classes))


def loss_unit(config: Config, preprocessing: Preprocessing) -> tuple[str, float]:
    """Return the loss's name, and the factor from standardised units to those of the data."""
    assert config.loss is not None
    name = config.loss.type
    if isinstance(preprocessing.target, ClassTarget):
        return name, 1.0
    scale = preprocessing.target.common_scale
    if scale is None:
        return f"{name} (standardised)", 1.0
    return name, scale if name == "mae" else scale**2


def _losses(progress: Progress, factor: float) -> str:
    text = f"train {number(float(progress.train_loss) * factor)}"
    if progress.validation_loss is not None:
        text += f", validation {number(float(progress.validation_loss) * factor)}"
    return text


def _score_names(preprocessing: Preprocessing) -> tuple[str, ...]:
    if isinstance(preprocessing.target, ClassTarget):
        return ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc")
    return ("mae", "rmse", "r2")


def metrics_row(
    problem: LoadedProblem, progress: Progress, lr: float, factor: float
) -> Mapping[str, int | float | None]:
    """Return the epoch's line of metrics.csv, losses and scores in the units of the data."""
    row: dict[str, int | float | None] = {
        "epoch": progress.epoch,
        "updates": progress.updates,
        "lr": lr * progress.lr_factor,
        "train_loss": float(progress.train_loss) * factor,
        "validation_loss": None,
    }
    if progress.validation_loss is not None:
        assert progress.validation_outputs is not None
        row["validation_loss"] = float(progress.validation_loss) * factor
        preprocessing = problem.preprocessing
        predictions = to_predictions(preprocessing, progress.validation_outputs[0].cpu().numpy())
        scores = score(preprocessing, problem.validation, predictions)
        row |= {f"validation_{name}": value for name, value in scores.items()}
    return row


def _parts(problem: LoadedProblem) -> dict[str, Samples]:
    """Return the parts that have rows."""
    parts = {"train": problem.train, "validation": problem.validation, "test": problem.test}
    return {part: samples for part, samples in parts.items() if len(samples)}


def _final_predictions(session: Session) -> dict[str, Floats]:
    """Return what the best parameters predict for every part that has rows."""
    predictions = {}
    for part, samples in _parts(session.problem).items():
        raw = _outputs(session, samples)
        if not np.isfinite(raw).all():
            raise DivergenceError(
                f"training diverged: the network's output on {part} rows is not a finite "
                "number; try a smaller optimizer.lr, or train.clip_norm"
            )
        predictions[part] = to_predictions(session.problem.preprocessing, raw)
    return predictions


def _outputs(session: Session, samples: Samples) -> NDArray[np.float32]:
    """Return the outputs (N, T) of the best parameters for those rows."""
    theta = session.state.best
    inputs = torch.from_numpy(samples.inputs).to(theta.device)
    raw: NDArray[np.float32] = outputs(session.network, theta, inputs)[0].cpu().numpy()
    return raw


def residuals(session: Session) -> Floats | None:
    """Return the sorted residuals of the best parameters on the validation rows.

    None where these are classes or there are no such rows, and so nothing to calibrate with.
    """
    preprocessing, samples = session.problem.preprocessing, session.problem.validation
    if session.validation is None or isinstance(preprocessing.target, ClassTarget):
        return None
    predictions = to_predictions(preprocessing, _outputs(session, samples))
    return conformal.residuals(samples.values, predictions)


def _updates(session: Session) -> int:
    batches = session.training.batches(len(session.problem.train))
    return session.state.epoch * batches + session.state.batch
