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
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets
from ml2021.data.samples import Samples
from ml2021.engine.build import build_hyperparameters, build_network
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit_members
from ml2021.engine.hardware import check_memory, choose_device, choose_threads
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters, TrainingState, ensemble_members, start
from ml2021.errors import DivergenceError
from ml2021.evaluation import intervals as conformal
from ml2021.evaluation.ensembles import combine, evaluate_members, trained_predictions
from ml2021.evaluation.scoring import Evaluation, FittedBaselines, fit_baselines, loss_unit
from ml2021.runs.checkpoint_file import Checkpoint
from ml2021.runs.checkpoints import Checkpoints, restore_state, saved_baselines
from ml2021.runs.directory import RunDirectory
from ml2021.runs.metrics_csv import MetricsWriter
from ml2021.training.loop import (
    Saver,
    format_losses,
    memory_errors,
    metrics_columns,
    metrics_row,
    run_loop,
)


@dataclass
class Trainer:
    """A problem, the network for it, and where its run stands.

    residuals: calibrates intervals (`ml2021.evaluation.intervals`) in place of validation rows.
    """

    data: TrainingData
    network: Network
    hparams: Hyperparameters
    state: TrainingState
    baselines: FittedBaselines
    train: Dataset
    validation: Dataset | None
    threads: int
    residuals: NDArray[np.float64] | None = None

    def become_final(self, last_epoch: int, residuals: NDArray[np.float64] | None) -> None:
        """Train no longer than the folds say, and calibrate by their held-out rows."""
        self.hparams = replace(self.hparams, last_epoch=last_epoch)
        self.residuals = residuals


def build_trainer(
    data: TrainingData,
    where: str,
    last: Checkpoint | None,
    threads: int | None,
    theta: torch.Tensor | None = None,
) -> Trainer:
    """Build the network and its state: new ones, or those of the checkpoint `last`.

    A new one begins at `theta` (K, P) where that is given, else where the seeds say.
    `where` stands at the start of a message about the size of the model.
    """
    config, preprocessing = data.config, data.preprocessing
    network = build_network(config.model, *preprocessing.sizes)
    hparams = build_hyperparameters(config)
    rows = len(data.train)
    check_memory(network, hparams, rows, where)
    device = choose_device(config.device)
    if threads is None:
        threads = choose_threads(network, min(hparams.batch_size or rows, rows))
    torch.set_num_threads(threads)
    with memory_errors(config):
        train = to_dataset(preprocessing, data.train).to(device)
        validation = None
        if len(data.validation):
            validation = to_dataset(preprocessing, data.validation).to(device)
        keep_path = config.train.keep_path
        state = start(network, hparams, rows, train.inputs, theta=theta, keep_path=keep_path)
        # Learned once: on another number of cores least squares may differ in its last bits.
        if last is None:
            baselines = fit_baselines(preprocessing, data.train)
        else:
            baselines = saved_baselines(last, Path("last.safetensors"))
            restore_state(state, last, Path("last.safetensors"))
    return Trainer(data, network, hparams, state, baselines, train, validation, threads)


def environment(trainer: Trainer) -> dict[str, Any]:
    """Return what the result depends on beside config and data."""
    return {
        "ml2021": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "command": sys.argv,
        "seed": trainer.data.config.seed,
        "device": device_name(trainer),
        "threads": trainer.threads,
        "data": str(trainer.data.data_path),
        "data_sha256": trainer.data.data_sha256,
        "test_sha256": trainer.data.test_sha256,
        "init_sha256": trainer.data.init_sha256,
    }


def device_name(trainer: Trainer) -> str:
    """Return what a session computes on: the model of the GPU, or cpu."""
    device = trainer.state.theta.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def open_metrics(trainer: Trainer, run: RunDirectory) -> MetricsWriter:
    """Open metrics.csv to go on after the epochs that are done.

    With several members its losses and scores are the means of those that are still in training,
    and there is a column for how many these are. Raises CheckpointError where it does not hold the
    epochs.
    """
    return MetricsWriter(run.metrics, metrics_columns(trainer.data), trainer.state.epoch)


def train_and_score(
    trainer: Trainer, run: RunDirectory, metrics: MetricsWriter, console: Console
) -> tuple[dict[str, Evaluation], dict[str, Any]]:
    """Train to the end, then score the best parameters on every part that has rows.

    Returns these reports, and what summary.json is to say. Raises DivergenceError, ResourceError,
    or RunInterruptedError after a signal; the run is saved.
    """
    data = trainer.data
    begun, updates_before = time.perf_counter(), _updates(trainer)
    with memory_errors(data.config):
        _advance(trainer, run, console, metrics)
    seconds = time.perf_counter() - begun
    return summarise(trainer, seconds, _updates(trainer) - updates_before)


def summarise(
    trainer: Trainer, seconds: float, updates: int
) -> tuple[dict[str, Evaluation], dict[str, Any]]:
    """Score the best parameters on every part; return the reports and what summary.json holds.

    `seconds` and `updates` are those of this session alone.
    """
    data, state = trainer.data, trainer.state
    members = ensemble_members(state)
    evaluations, predictions = {}, {}
    with memory_errors(data.config):
        for part, samples in _parts(data).items():
            evaluations[part], predictions[part] = evaluate_members(
                _best_predictions(trainer, samples), data.preprocessing, trainer.baselines, samples
            )
        kept = residuals(trainer)
    rows_seen = updates * len(data.train) // trainer.hparams.batches(len(data.train))
    summary: dict[str, Any] = {
        "task": data.config.task,
        "parameters": trainer.network.layout.parameters,
        "split": {"method": data.config.data.split.method, **data.split.sizes()},
        "left_out": dict(data.split.left_out),
        "epochs": state.epoch,
        "stopped_early": state.epoch < trainer.hparams.epochs,
        "best_epoch": int(state.best_epoch[members].max()),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows_seen / seconds) if seconds else None,
        "scores": {part: report.to_json() for part, report in evaluations.items()},
    }
    if isinstance(data.preprocessing.target, ClassTarget):
        summary["classes"] = list(data.preprocessing.target.labels)
    if len(trainer.hparams.seeds) > 1:
        summary["members"] = [
            {"seed": seed, "best_epoch": int(best), "diverged_at_update": int(diverged) or None}
            for seed, best, diverged in zip(
                trainer.hparams.seeds, state.best_epoch, state.diverged, strict=True
            )
        ]
    if kept is not None:
        test = (data.test.values, predictions["test"]) if "test" in predictions else None
        labels = data.preprocessing.target.labels
        summary["interval"] = {
            "calibrated_on": "validation" if trainer.residuals is None else "folds",
            "rows": len(kept),
            "levels": conformal.describe(kept, labels, test),
        }
    return evaluations, summary


def _advance(trainer: Trainer, run: RunDirectory, console: Console, metrics: MetricsWriter) -> None:
    """Run the engine under supervision; a divergence keeps the best parameters so far."""
    data, state, hparams = trainer.data, trainer.state, trainer.hparams
    unit = loss_unit(data.config, data.preprocessing)
    lr = float(data.config.optimizer.lr)
    checkpoints = Checkpoints(run, data, trainer.baselines, partial(residuals, trainer))

    def write() -> None:
        metrics.flush()  # ahead of the checkpoint that counts on it
        checkpoints.write(state)

    steps = fit_members(trainer.network, hparams, state, trainer.train, trainer.validation)
    try:
        run_loop(
            steps,
            epochs=hparams.epochs if hparams.last_epoch is None else hparams.last_epoch,
            done=state.epoch + state.batch / hparams.batches(len(trainer.train)),
            saver=Saver(write, data.config.train.save_seconds),
            console=console,
            end_epoch=lambda step: metrics.append(
                metrics_row(data, step.progress, lr, unit.factor)
            ),
            losses=lambda step: f"{unit.name} {format_losses(step.progress, unit.factor)}",
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


def _parts(data: TrainingData) -> dict[str, Samples]:
    """Return the parts that have rows."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {part: samples for part, samples in parts.items() if len(samples)}


def residuals(trainer: Trainer) -> NDArray[np.float64] | None:
    """Return the sorted residuals that calibrate intervals: of the best parameters on validation.

    Those of the session, where it has been given them. None for classes and without such rows.
    """
    if trainer.residuals is not None:
        return trainer.residuals
    preprocessing, samples = trainer.data.preprocessing, trainer.data.validation
    if trainer.validation is None or isinstance(preprocessing.target, ClassTarget):
        return None
    mean, _ = combine(_best_predictions(trainer, samples))
    return conformal.residuals(samples.values, mean)


def _best_predictions(trainer: Trainer, samples: Samples) -> Iterator[NDArray[np.float64]]:
    """Yield what the best parameters of each member predict. Raises DivergenceError."""
    theta = trainer.state.best[ensemble_members(trainer.state)]
    return trained_predictions(trainer.network, theta, trainer.data.preprocessing, samples)


def _updates(trainer: Trainer) -> int:
    batches = trainer.hparams.batches(len(trainer.data.train))
    return trainer.state.epoch * batches + trainer.state.batch
