"""The trainer of a run: network, state and data, from the first update to the summary."""

import platform
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021 import __version__
from ml2021.config.schema import Config
from ml2021.console import Console
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets
from ml2021.data.samples import Samples, one_of_each
from ml2021.data.weights import Weights, class_factors
from ml2021.disk import kept
from ml2021.engine.build import build_hyperparameters, build_network
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import Score
from ml2021.engine.hardware import choose_device, choose_threads, current_ranks
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters, TrainingState, ensemble_members, start
from ml2021.errors import DivergenceError
from ml2021.evaluation import intervals, thresholds
from ml2021.evaluation.ensembles import Predict, combine, evaluate_members, trained_predictions
from ml2021.evaluation.fitted_baselines import FittedBaselines, fit_baselines, notes_on_baselines
from ml2021.evaluation.metrics import ClassAnswers
from ml2021.evaluation.scoring import Predictions, loss_unit
from ml2021.files import followers_here
from ml2021.runs.checkpoints import Checkpoint, Checkpoints, restore_state, saved_baselines
from ml2021.runs.directory import RunDirectory
from ml2021.runs.metrics_csv import MetricsWriter
from ml2021.runs.summary import (
    EnsembleMember,
    Environment,
    IntervalLevel,
    Intervals,
    RunSummary,
    SplitSizes,
    Threshold,
)
from ml2021.training.loop import Saver, memory_errors, metrics_columns, metrics_row, run_loop
from ml2021.training.memory import check_job, job_of
from ml2021.training.scores import build_score

if TYPE_CHECKING:
    from ml2021.engine.distributed import Ranks


MOST_ROWS = 1_000_000
"""How many training rows are scored at the end, and validation rows if there are test rows: they
only tell overfitting from underfitting, and the error of their own sampling is a thousandth."""


@dataclass
class Trainer:
    """The data of a run, the network for it, and the state of its training.

    initial: (K, P), the parameters that training starts from, None if they are drawn. residuals,
    temperature and threshold: those of folds, in place of those of validation rows. final: (k, P),
    the parameters of the final model (`ml2021.training.final_model`), None while they are the best
    ones. score: what chooses the best epoch, None for the validation loss.
    ranks: those that share the updates, if this process is not alone.
    """

    data: TrainingData
    network: Network
    hparams: Hyperparameters
    state: TrainingState
    baselines: FittedBaselines
    train: Dataset
    validation: Dataset | None
    threads: int
    initial: torch.Tensor | None = None
    residuals: NDArray[np.float64] | None = None
    temperature: float | None = None
    final: torch.Tensor | None = None
    score: Score | None = None
    threshold: Threshold | None = None
    ranks: "Ranks | None" = None


def build_trainer(
    data: TrainingData,
    where: str,
    last: Checkpoint | None,
    threads: int | None,
    theta: torch.Tensor | None = None,
) -> Trainer:
    """Build the network and its state: new ones, or those of the checkpoint `last`.

    theta: (K, P), the initial parameters; drawn from the seeds where it is None. where: the place
    of the model in the config, for messages about its size. threads: chosen where it is None.
    """
    config, preprocessing = data.config, data.preprocessing
    network = build_network(config.model, *preprocessing.sizes)
    hparams = build_hyperparameters(config)
    rows = len(data.train)
    is_begun = last is not None
    check_job(job_of(data), where, is_encoded=True, is_begun=is_begun, followers=followers_here())
    device = choose_device(config.device)
    ranks = current_ranks()
    if threads is None:
        threads = choose_threads(network, min(hparams.batch_size or rows, rows), ranks)
    torch.set_num_threads(threads)
    with memory_errors(config):
        train, validation = to_datasets(data, device)
        keep_path = config.train.keep_path
        state = start(network, hparams, rows, train.inputs, theta=theta, keep_path=keep_path)
        parameters = network.layout.parameters
        # Fitted once: on another number of cores a baseline may differ in its last bits.
        if last is None:
            baselines = fit_baselines(config, preprocessing, data.train, parameters)
        else:
            baselines = saved_baselines(last)
            restore_state(state, last)
    score = None
    if data.folds is None:
        score = build_score(config, [(preprocessing, data.validation)])
    return Trainer(
        data,
        network,
        hparams,
        state,
        baselines,
        train,
        validation,
        threads,
        theta,
        score=score,
        ranks=ranks,
    )


def notes_of(trainer: Trainer) -> tuple[str, ...]:
    """Return what is unusual about the data and the baselines, a line each."""
    data = trainer.data
    return (*data.notes, *notes_on_baselines(data.preprocessing, trainer.baselines))


def environment(trainer: Trainer) -> Environment:
    """Return what the result depends on beside config and data."""
    section = trainer.data.config.data
    return Environment(
        ml2021=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        command=tuple(sys.argv),
        seed=trainer.data.config.seed,
        device=device_name(trainer),
        threads=trainer.threads,
        ranks=1 if trainer.ranks is None else trainer.ranks.size,
        data=written if isinstance(written := section.path, list) else str(trainer.data.data_path),
        test=section.test_path,
        data_sha256=trainer.data.data_sha256,
        test_sha256=trainer.data.test_sha256,
        parts={str(path.absolute()): each for path, each in trainer.data.parts.items()},
        test_parts={str(path.absolute()): each for path, each in trainer.data.test_parts.items()},
        init_sha256=trainer.data.init_sha256,
    )


def device_name(trainer: Trainer) -> str:
    """Return the device of a run: the model of the GPU, or cpu."""
    device = trainer.state.theta.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def open_metrics(trainer: Trainer, run: RunDirectory) -> MetricsWriter:
    """Open metrics.csv after the epochs done so far. Raises CheckpointError if it lacks them."""
    return MetricsWriter(run.metrics, metrics_columns(trainer.data), trainer.state.epoch)


def summarise(trainer: Trainer, seconds: float, updates: int) -> RunSummary:
    """Score every split that has rows: test rows by the final model, others by the best parameters.

    Of more than `MOST_ROWS`, so many are scored, but for those that say most about new rows.
    `seconds` and `updates` are those of this session alone.
    """
    data, state, seeds = trainer.data, trainer.state, trainer.hparams.seeds
    scores, predictions = {}, {}
    with memory_errors(data.config):
        for split, samples in data.splits.items():
            total = None
            if split != data.scored_split[0] and len(samples) > MOST_ROWS:
                total = len(samples)
                samples = samples.at(one_of_each(total, MOST_ROWS))
            found, predictions[split] = evaluate_members(
                predictor_of(trainer, split),
                data.config,
                data.preprocessing,
                trainer.baselines,
                samples,
            )
            scores[split] = found.model_copy(update={"sampled_from": total})
        kept = residuals(trainer)
    target = data.preprocessing.target
    interval = None
    if kept is not None:
        mean = predictions.get("test")
        assert not isinstance(mean, ClassAnswers)
        test = None if mean is None else (data.test.values, mean)
        levels = intervals.describe(kept, target.labels, test, data.test.weights)
        interval = Intervals(
            calibrated_on="validation" if trainer.residuals is None else "folds",
            rows=len(kept),
            levels=tuple(IntervalLevel(**level) for level in levels),
        )
    ensemble = tuple(
        EnsembleMember(seed=seed, best_epoch=int(best), diverged_at_update=int(diverged) or None)
        for seed, best, diverged in zip(seeds, state.best_epoch, state.diverged, strict=True)
    )
    rows_seen = updates * len(data.train) // trainer.hparams.batches(len(data.train))
    return RunSummary(
        task=data.preprocessing.task,
        parameters=trainer.network.layout.parameters,
        split=SplitSizes(method=data.config.data.split.method, **data.split.sizes()),
        left_out=dict(data.split.left_out),
        epochs=state.epoch,
        stopped_early=state.epoch < trainer.hparams.epochs,
        best_epoch=int(state.best_epoch[ensemble_members(state)].max()),
        seconds=round(seconds, 3),
        rows_per_second=round(rows_seen / seconds) if seconds else None,
        scores=scores,
        classes=target.labels if isinstance(target, ClassTarget) else None,
        members=ensemble if len(ensemble) > 1 else (),
        notes=notes_of(trainer),
        interval=interval,
        threshold=_threshold(trainer, predictions.get("test")),
    )


def _threshold(trainer: Trainer, test: Predictions | None) -> Threshold | None:
    """Return the best threshold of two classes, with the scores of the test rows at it."""
    found, data = trainer.threshold, trainer.data
    target, rows = data.preprocessing.target, data.validation
    if not isinstance(target, ClassTarget) or target.width != 2:
        return None
    if found is None and trainer.validation is not None:
        alone = predictor_of(trainer, "validation")(rows.inputs)
        probability = thresholds.positive_probability(alone, trainer.temperature)
        found = choose_threshold(target, rows.classes, probability, rows.weights, "validation")
    if found is None or test is None:
        return found
    assert isinstance(test, ClassAnswers)
    known = data.test.classes >= 0
    weights = None if data.test.weights is None else data.test.weights[known]
    truth, probability = data.test.classes[known], test.positive[known]
    at_it, at_half = (
        thresholds.scores_at(each, truth, probability, weights) for each in (found.threshold, 0.5)
    )
    return found.model_copy(update={"test": at_it, "test_at_half": at_half})


def choose_threshold(
    target: ClassTarget,
    truth: NDArray[np.int64],
    probability: NDArray[np.float64],
    weights: Weights,
    chosen_on: Literal["validation", "folds"],
) -> Threshold | None:
    """Return the best threshold of two classes on rows (N,), by the probability (N,) of class 1.

    None unless there are rows of both.
    """
    points = thresholds.operating_points(truth, probability, weights)
    if points is None:
        return None
    return Threshold(
        positive=target.labels[thresholds.POSITIVE],
        threshold=thresholds.best_threshold(points),
        chosen_on=chosen_on,
        rows=len(truth),
    )


def train_to_end(
    trainer: Trainer, run: RunDirectory | None, console: Console, metrics: MetricsWriter | None
) -> None:
    """Train to the end; after a divergence the best parameters so far, if any, are saved.

    run, metrics: None to write nothing. Raises DivergenceError, ResourceError, or
    RunInterruptedError after a signal; the run is saved.
    """
    if run is None or metrics is None:
        run_loop(trainer, console, saver=None, end_epoch=lambda step: None)
        return
    data, state = trainer.data, trainer.state
    factor = loss_unit(data.config, data.preprocessing).factor
    lr = float(data.config.optimizer.lr)
    checkpoints = Checkpoints(run, data, trainer.baselines, partial(residuals, trainer))

    def write() -> None:
        metrics.flush()  # before the checkpoint that relies on it
        checkpoints.write(state)

    try:
        run_loop(
            trainer,
            console,
            saver=Saver(run, write, data.config.train.save_seconds),
            end_epoch=lambda step: metrics.append(metrics_row(data, step.progress, lr, factor)),
        )
    except DivergenceError as error:
        kept = f"; no checkpoint was saved in {run.path}"
        if bool(state.best_epoch.any()):
            checkpoints.write_best(state)
            best = int(state.best_epoch.max())
            kept = f"; the best parameters, of epoch {best}, are saved in {run.path}"
        raise DivergenceError(*(line + kept for line in error.lines)) from None


def to_datasets(data: TrainingData, device: torch.device) -> tuple[Dataset, Dataset | None]:
    """Return the training and the validation rows, if any, on that device."""
    factors = objective_factors(data.config, data.preprocessing, data.train)
    train = to_dataset(data.preprocessing, data.train, factors).to(device)
    if not len(data.validation):
        return train, None
    return train, to_dataset(data.preprocessing, data.validation, factors).to(device)


def objective_factors(
    config: Config, preprocessing: Preprocessing, train: Samples
) -> NDArray[np.float64] | None:
    """Return the weight (C,) of each class in the objective, None if they are all the same."""
    target = preprocessing.target
    if not isinstance(target, ClassTarget):
        return None
    return class_factors(config.train.class_weight, target, train.classes, train.weights)


def to_dataset(
    preprocessing: Preprocessing, samples: Samples, factors: NDArray[np.float64] | None
) -> Dataset:
    """Return the samples as the engine's tensors, targets standardised, on the CPU.

    factors: those of `objective_factors` for the training rows.
    """
    inputs = torch.from_numpy(samples.inputs)
    target, weights = preprocessing.target, samples.weights
    if isinstance(target, RealTargets):
        standardised = target.standardise(samples.values)
        targets = torch.from_numpy(kept(standardised.astype(np.float32)))
    else:
        targets = torch.from_numpy(samples.classes)
        if factors is not None:
            own = factors[samples.classes]
            weights = kept(own if weights is None else own * weights)
    return Dataset(inputs, targets, None if weights is None else torch.from_numpy(weights)[:, None])


def residuals(trainer: Trainer) -> NDArray[np.float64] | None:
    """Return the sorted residuals that calibrate intervals, None for classes or without rows.

    They are those of the folds, else of the best parameters on the validation rows.
    """
    if trainer.residuals is not None:
        return trainer.residuals
    target = trainer.data.preprocessing.target
    if trainer.validation is None or isinstance(target, ClassTarget):
        return None
    validation = trainer.data.validation
    some = validation.at(intervals.calibration_rows(len(validation)))
    mean, _ = combine(predictor_of(trainer, "validation")(some.inputs))
    return intervals.residuals(some.values, mean, some.weights)


def predictor_of(trainer: Trainer, split: str) -> Predict:
    """Return what predicts rows of a split, each member on its own: test rows the final model.

    That may have been trained on validation rows. The function raises DivergenceError.
    """
    theta = trainer.final if split == "test" else None
    if theta is None:
        theta = trainer.state.best[ensemble_members(trainer.state)]
    return partial(trained_predictions, trainer.network, theta, trainer.data.preprocessing)


def updates_done(trainer: Trainer) -> int:
    """Return the number of updates that the state has behind it."""
    batches = trainer.hparams.batches(len(trainer.data.train))
    return trainer.state.epoch * batches + trainer.state.batch
