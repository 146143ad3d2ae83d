"""The final model: trained again with the validation rows, its probabilities calibrated.

Validation rows choose the number of epochs; then they are worth more as training rows. What they
were used to judge (their scores, the intervals, the calibration of probabilities) stays that of the
parameters that had not seen them.

Legend: K members, P parameters.
"""

import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from torch import Tensor

from ml2021.console import Console
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters, ensemble_members, start
from ml2021.evaluation.calibration import fit_temperature, rows_to_calibrate
from ml2021.files import is_there
from ml2021.formatting import plural
from ml2021.runs.checkpoints import (
    Checkpoint,
    best_checkpoint,
    load_checkpoint,
    restore_state,
    save_checkpoint,
    write_last,
)
from ml2021.runs.directory import RunDirectory
from ml2021.runs.metrics_csv import MetricsWriter
from ml2021.runs.summary import RunSummary
from ml2021.training.loop import Saver, memory_errors, run_loop
from ml2021.training.trainer import (
    Trainer,
    predictor_of,
    residuals,
    summarise,
    train_to_end,
    updates_done,
)


def train_and_score(
    trainer: Trainer, run: RunDirectory | None, metrics: MetricsWriter | None, console: Console
) -> RunSummary:
    """Train to the end, make the final model, and score every split that has rows.

    run, metrics: None to write nothing; `best_of` then returns the model. Raises DivergenceError,
    ResourceError, or RunInterruptedError after a signal; the run is saved.
    """
    begun, updates_before = time.perf_counter(), updates_done(trainer)
    if run is not None and not trainer.state.is_finished(trainer.hparams):
        run.refit.unlink(missing_ok=True)  # a final model of fewer epochs
    with memory_errors(trainer.data.config):
        train_to_end(trainer, run, console, metrics)
        seconds = time.perf_counter() - begun
        epochs = _finalise(trainer, run, console)
    summary = summarise(trainer, seconds, updates_done(trainer) - updates_before)
    return summary.model_copy(update={"final_epochs": epochs, "temperature": trainer.temperature})


def _finalise(trainer: Trainer, run: RunDirectory | None, console: Console) -> int | None:
    """Make and save the final model, if it is not the best parameters; return its epochs."""
    settings, data, epochs = trainer.data.config.train, trainer.data, None
    if settings.refit and trainer.validation is not None:
        trainer.final, epochs = train_final(trainer, run, console)
    if settings.calibrate and isinstance(data.preprocessing.target, ClassTarget):
        if trainer.validation is not None:
            rows = data.validation
            members = len(ensemble_members(trainer.state))
            some = rows_to_calibrate(len(rows), data.preprocessing.target.width, members)
            predictions = list(predictor_of(trainer, "validation")(rows.inputs[some]))
            weights = None if rows.weights is None else rows.weights[some]
            trainer.temperature = fit_temperature(predictions, rows.classes[some], weights)
        if trainer.temperature is not None:
            theta = trainer.final
            if theta is None:
                theta = trainer.state.best[ensemble_members(trainer.state)]
            trainer.final = divide_outputs(trainer.network, theta, trainer.temperature)
    if run is not None and trainer.final is not None:
        save_checkpoint(best_of(trainer, run.best))
    return epochs


def best_of(trainer: Trainer, path: Path) -> Checkpoint:
    """Return the model as best.safetensors holds it, for that path."""
    data, kept = trainer.data, residuals(trainer)
    return best_checkpoint(path, data, trainer.baselines, kept, trainer.state, trainer.final)


def train_final(trainer: Trainer, run: RunDirectory | None, console: Console) -> tuple[Tensor, int]:
    """Train on training and validation rows; return the parameters (K, P) and the epochs.

    Resumes from its checkpoint, if there is one; run: None to write nothing.
    Each member that has not diverged starts again from its seed, under the same schedule, and
    stops after the median of the best epochs. Raises DivergenceError, ResourceError, or
    RunInterruptedError after a signal, with everything saved.
    """
    assert trainer.validation is not None
    members = ensemble_members(trainer.state)
    train = trainer.train.joined(trainer.validation)
    hparams = final_hyperparameters(trainer, members)
    initial = None if trainer.initial is None else trainer.initial[members]
    state = start(trainer.network, hparams, len(train), train.inputs, theta=initial)
    if run is not None and is_there(run.refit):
        restore_state(state, load_checkpoint(run.refit))
    if not state.is_finished(hparams):
        assert hparams.last_epoch is not None
        console.say(
            f"the final model: training and validation rows, {len(train):,}, for "
            f"{plural(hparams.last_epoch, 'epoch')}"
        )
        saver = None
        if run is not None:
            save = partial(write_last, run.refit, trainer.data, state, trainer.baselines)
            saver = Saver(run, save, trainer.data.config.train.save_seconds)
        run_loop(
            replace(trainer, hparams=hparams, state=state, train=train, validation=None),
            console,
            saver=saver,
            end_epoch=lambda step: None,
            label="final model, ",
        )
    return state.best[ensemble_members(state)], state.epoch


def final_hyperparameters(trainer: Trainer, members: Tensor) -> Hyperparameters:
    """Return how the final model is trained: without validation, for the median best epoch."""
    epochs = median(trainer.state.best_epoch[members].tolist())
    chosen = trainer.hparams.select(members.cpu())
    return replace(chosen, patience=None, last_epoch=max(1, math.floor(epochs + 0.5)))


def divide_outputs(network: Network, theta: Tensor, temperature: float) -> Tensor:
    """Return a copy of θ (K, P) whose outputs are divided by the temperature."""
    scaled = theta.clone()
    network.layout.views(scaled)[-1].div_(temperature)
    return scaled
