"""Cross-validation: folds trained side by side and scored on their held-out rows.

Folds of one size are packed, each with rows and statistics of its own. The final model is trained
by `ml2021.training.trainer`, on all rows, for the median of the folds' best epochs.

Legend: K members of a pack, N rows, T outputs or classes.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from statistics import median
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.config.schema import Config
from ml2021.console import Console
from ml2021.data.groups import Codes
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.data.samples import Fold, Folds
from ml2021.data.weights import Weights
from ml2021.engine.dataset import Dataset
from ml2021.engine.hardware import memory_needed, worth_dividing
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters, TrainingState, start
from ml2021.errors import DivergenceError
from ml2021.evaluation import intervals, thresholds
from ml2021.evaluation.calibration import fit_temperature, rows_to_calibrate
from ml2021.evaluation.ensembles import evaluate_members, trained_predictions
from ml2021.evaluation.fitted_baselines import FittedBaselines, baseline_predictions, fit_baselines
from ml2021.evaluation.metrics import ClassAnswers, joined_answers
from ml2021.evaluation.scoring import Evaluation, Predictions, evaluate_against
from ml2021.files import is_there
from ml2021.formatting import plural
from ml2021.runs.checkpoints import load_checkpoint, restore_state, saved_baselines, write_last
from ml2021.runs.content import write_text
from ml2021.runs.directory import RunDirectory
from ml2021.runs.summary import FoldScores
from ml2021.training.loop import Saver, memory_errors, run_loop
from ml2021.training.memory import PACK_BYTES
from ml2021.training.scores import build_score
from ml2021.training.trainer import Trainer, choose_threshold, objective_factors, to_dataset


@dataclass(frozen=True)
class FoldResult:
    """The scores of a fold's network on its held-out rows, and the predictions there.

    best_epochs: of each ensemble member. weights, clusters: (N,) of the rows. predictions: of the
    network and of each baseline. alone: (n, C) of each member, where they are to be calibrated, for
    the rows `calibrating` (n,).
    """

    evaluation: Evaluation
    best_epochs: tuple[int, ...]
    sizes: Mapping[str, int]
    truth: NDArray[np.float64] | NDArray[np.int64]
    weights: Weights
    clusters: Codes | None
    predictions: Predictions
    baselines: Mapping[str, Predictions]
    calibrating: NDArray[np.int64]
    alone: Sequence[NDArray[np.float64]] = ()


def cross_validate(trainer: Trainer, run: RunDirectory | None, console: Console) -> FoldScores:
    """Train all folds, resuming from their checkpoints; make the trainer that of the final model.

    That is trained for as many epochs as the folds chose, and calibrated on their held-out rows.
    run: None to write nothing.
    Raises DivergenceError where a fold diverged, since a mean over the others would be too
    optimistic; ResourceError; or RunInterruptedError after a signal, with everything saved.
    """
    splits = trainer.data.folds
    assert splits is not None
    begun = time.perf_counter()
    results: dict[int, FoldResult] = {}
    packs = pack_folds(trainer.network, trainer.hparams, splits)
    for number, indices in enumerate(packs, 1):
        with memory_errors(trainer.data.config):
            results |= _train_pack(trainer, run, console, number, indices, len(packs))
    folds = [results[index] for index in range(len(splits))]
    best_epochs = tuple(fold.best_epochs for fold in folds)
    truth = np.concatenate([fold.truth for fold in folds])
    predictions = _pooled([fold.predictions for fold in folds])
    baselines = {
        name: _pooled([fold.baselines[name] for fold in folds]) for name in folds[0].baselines
    }
    config, preprocessing = trainer.data.config, trainer.data.preprocessing
    weights = None
    if preprocessing.weight is not None:
        weights = np.concatenate([fold.weights for fold in folds if fold.weights is not None])
    clusters = None
    if folds[0].clusters is not None:
        clusters = np.concatenate([fold.clusters for fold in folds if fold.clusters is not None])
    pooled = evaluate_against(
        config, preprocessing, truth, predictions, baselines, weights=weights, clusters=clusters
    )
    scores = FoldScores.of(
        [fold.evaluation for fold in folds],
        pooled,
        best_epochs,
        final_epochs=max(1, _median(chain(*best_epochs))),
        seconds=time.perf_counter() - begun,
    )
    if run is not None:
        write_text(run.folds, _fold_lines(folds))
    trainer.hparams = replace(trainer.hparams, last_epoch=scores.final_epochs)
    rows = len(trainer.train)
    trainer.ranks = worth_dividing(trainer.ranks, trainer.network, trainer.hparams, rows)
    if not isinstance(predictions, ClassAnswers):
        values = np.asarray(truth, np.float64)
        trainer.residuals = intervals.residuals(values, predictions, weights)
        return scores
    probability = predictions.positive
    if config.train.calibrate:
        alone = [np.concatenate(member) for member in zip(*(f.alone for f in folds), strict=True)]
        truth = np.concatenate([fold.truth[fold.calibrating] for fold in folds])
        if weights is not None:
            each = [f.weights[f.calibrating] for f in folds if f.weights is not None]
            weights = np.concatenate(each)
        trainer.temperature = fit_temperature(alone, np.asarray(truth, np.int64), weights)
        probability = thresholds.positive_probability(alone, trainer.temperature)
    target = preprocessing.target
    if isinstance(target, ClassTarget) and target.width == 2:
        classes = np.asarray(truth, np.int64)
        trainer.threshold = choose_threshold(target, classes, probability, weights, "folds")
    return scores


def _pooled(each: Sequence[Predictions]) -> Predictions:
    """Return the predictions for the rows of all folds."""
    answers = [fold for fold in each if isinstance(fold, ClassAnswers)]
    if answers:
        return joined_answers(answers)
    return np.concatenate([fold for fold in each if not isinstance(fold, ClassAnswers)])


def _median(epochs: Iterable[int]) -> int:
    return math.floor(median(epochs) + 0.5)


def pack_folds(network: Network, hparams: Hyperparameters, folds: Folds) -> list[list[int]]:
    """Return the packs of folds, each of one size and within `PACK_BYTES`."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, split in enumerate(folds.splits):
        by_size.setdefault((len(split.train), len(split.validation)), []).append(index)
    packs = []
    for (rows, _), indices in by_size.items():
        needed = memory_needed(network, hparams, rows, own_rows=True)
        most = max(1, PACK_BYTES // needed)
        count = -(-len(indices) // most)
        packs += [pack.tolist() for pack in np.array_split(indices, count)]
    return packs


def _train_pack(
    trainer: Trainer,
    run: RunDirectory | None,
    console: Console,
    number: int,
    indices: Sequence[int],
    packs: int,
) -> dict[int, FoldResult]:
    """Train the folds of one pack, each an ensemble if the run is one, and score them."""
    data, network = trainer.data, trainer.network
    assert data.folds is not None
    folds = [data.folds.load(index) for index in indices]
    members = len(trainer.hparams.seeds)
    hparams = replace(trainer.hparams, seeds=trainer.hparams.seeds * len(folds))
    device = trainer.state.theta.device
    train = stack_folds(data.config, folds, "train", members).to(device)
    validation = None
    if len(folds[0].validation):
        validation = stack_folds(data.config, folds, "validation", members).to(device)
    state = start(network, hparams, len(train), train.inputs)
    path = None if run is None else run.fold_pack(number)
    if path is not None and is_there(path):
        last = load_checkpoint(path)
        stacked = saved_baselines(last, len(folds))
        restore_state(state, last)
    else:
        sizes = network.layout.parameters, len(data.train)
        fitted = [
            fit_baselines(data.config, fold.preprocessing, fold.train, *sizes) for fold in folds
        ]
        stacked = {name: np.stack([each[name] for each in fitted]) for name in fitted[0]}
    if not state.is_finished(hparams):
        which = f"folds {indices[0] + 1} to {indices[-1] + 1}" if packs > 1 else "folds"
        each = f"{plural(len(train), 'training row')}"
        rows = f"{which}: {len(folds)} side by side, {each} each"
        console.say(
            f"{f'fold {indices[0] + 1}: {each}' if len(folds) == 1 else rows}, "
            f"{plural(hparams.batches(len(train)), 'update')} per epoch"
        )
        saver = None
        if run is not None and path is not None:
            save = partial(write_last, path, data, state, stacked)
            saver = Saver(run, save, data.config.train.save_seconds)
        run_loop(
            replace(
                trainer,
                hparams=hparams,
                state=state,
                train=train,
                validation=validation,
                score=build_score(
                    data.config,
                    [(f.preprocessing, f.validation) for f in folds for _ in range(members)],
                ),
            ),
            console,
            saver=saver,
            end_epoch=lambda step: _refuse_diverged(state, indices),
            label=f"{which}, ",
        )
    _refuse_diverged(state, indices)
    results = {}
    for place, (index, fold) in enumerate(zip(indices, folds, strict=True)):
        own = slice(place * members, (place + 1) * members)
        baselines = {name: values[place] for name, values in stacked.items()}
        results[index] = _score(trainer, state, own, fold, baselines)
    return results


def _refuse_diverged(state: TrainingState, indices: Sequence[int]) -> None:
    if bool(state.diverged.any()):
        member = int(state.diverged.nonzero()[0])
        fold = indices[member * len(indices) // len(state.diverged)]
        raise DivergenceError(
            f"training diverged: the loss of fold {fold + 1} is not a finite number in update "
            f"{int(state.diverged[member])}; try a smaller optimizer.lr, or train.clip_norm"
        )


def stack_folds(
    config: Config, folds: Sequence[Fold], split: Literal["train", "validation"], members: int
) -> Dataset:
    """Return the same split of each fold, `members` times, as inputs (K, N, F + 1)."""
    datasets = [
        to_dataset(
            fold.preprocessing,
            fold.train if split == "train" else fold.validation,
            objective_factors(config, fold.preprocessing, fold.train),
        )
        for fold in folds
    ]
    stacked = map(torch.stack, zip(*(each.tensors for each in datasets), strict=True))
    return Dataset(*(each.repeat_interleave(members, dim=0) for each in stacked))


def _score(
    trainer: Trainer, state: TrainingState, own: slice, fold: Fold, baselines: FittedBaselines
) -> FoldResult:
    """Score a fold's best parameters on its held-out rows."""
    config, rows = trainer.data.config, fold.held_out
    predict = partial(trained_predictions, trainer.network, state.best[own], fold.preprocessing)
    evaluation, predictions = evaluate_members(predict, config, fold.preprocessing, baselines, rows)
    calibrating = np.arange(0)
    alone: Sequence[NDArray[np.float64]] = ()
    if config.train.calibrate and isinstance(predictions, ClassAnswers):
        members = len(state.best[own])
        calibrating = rows_to_calibrate(len(rows), predictions.classes, members)
        alone = list(predict(rows.inputs[calibrating]))
    return FoldResult(
        evaluation=evaluation,
        best_epochs=tuple(state.best_epoch[own].tolist()),
        sizes={split: len(getattr(fold, split)) for split in ("train", "validation", "held_out")},
        truth=rows.targets,
        weights=rows.weights,
        clusters=rows.clusters,
        predictions=predictions,
        baselines=baseline_predictions(fold.preprocessing, baselines, rows),
        calibrating=calibrating,
        alone=alone,
    )


def _fold_lines(folds: Sequence[FoldResult]) -> str:
    """Return folds.csv: a line for each fold, its scores and those of the baselines."""
    rows: list[dict[str, float | None]] = [
        {
            "fold": number,
            **fold.sizes,
            "best_epoch": _median(fold.best_epochs),
            **fold.evaluation.scores,
            **{
                f"{name}_{key}": value
                for name, scores in fold.evaluation.baselines.items()
                for key, value in scores.items()
            },
        }
        for number, fold in enumerate(folds, 1)
    ]
    lines = [",".join("" if cell is None else repr(cell) for cell in row.values()) for row in rows]
    return "\n".join([",".join(rows[0]), *lines]) + "\n"
