"""Cross-validation: the folds trained side by side, and what their held-out rows say.

Folds of one size are the members of a pack, each with rows and statistics of its own. When all are
done, the networks at their best epochs are scored on the rows that they have not seen. The final
model is trained by `ml2021.training.trainer`, on all rows, for the median of the best epochs.

Legend: K members of a pack, N rows, T outputs or classes.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.console import Console
from ml2021.data.samples import Fold, Folds, Samples
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit_members
from ml2021.engine.hardware import memory_needed
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters, TrainingState, start
from ml2021.errors import DivergenceError
from ml2021.evaluation import intervals as conformal
from ml2021.evaluation.ensembles import evaluate_members, trained_predictions
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import (
    ALONE,
    Evaluation,
    FittedBaselines,
    baseline_predictions,
    evaluate_against,
    fit_baselines,
    loss_unit,
    mean_scores,
    standard_errors,
)
from ml2021.files import is_there
from ml2021.runs.checkpoint_file import load_checkpoint
from ml2021.runs.checkpoints import restore_state, saved_baselines, write_last
from ml2021.runs.directory import RunDirectory, write_text
from ml2021.training.loop import Saver, format_losses, memory_errors, run_loop
from ml2021.training.trainer import Trainer, to_dataset

PACK_BYTES = 1 << 30
"""About as much memory is given to a pack of folds; more folds than that allows make more packs."""


@dataclass(frozen=True)
class FoldResult:
    """What a fold's network came to, and what it and the trivial answers say on held-out rows.

    best_epochs: of each member of an ensemble. predictions, trivial: (N, T).
    """

    report: Evaluation
    best_epochs: tuple[int, ...]
    sizes: Mapping[str, int]
    truth: NDArray[np.float64] | NDArray[np.int64]
    predictions: NDArray[np.float64]
    trivial: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class CrossValidation:
    """The results of all folds, and those of their held-out rows taken together."""

    folds: tuple[FoldResult, ...]
    pooled: Evaluation
    final_epochs: int
    seconds: float

    @property
    def means(self) -> dict[str, Scores]:
        """The mean over the folds of each score, of the network first, then of trivial answers."""
        return {name: mean_scores(scores) for name, scores in self._by_name().items()}

    @property
    def errors(self) -> dict[str, Scores]:
        """The standard errors of `means`."""
        return {name: standard_errors(scores) for name, scores in self._by_name().items()}

    def _by_name(self) -> dict[str, list[Scores]]:
        tables = [fold.report.table() for fold in self.folds]
        return {name: [table[name] for table in tables] for name in tables[0]}

    def residuals(self) -> NDArray[np.float64] | None:
        """Return the sorted residuals of all held-out rows; None for classes."""
        if self.pooled.confusion is not None:
            return None
        truth = np.concatenate([np.asarray(fold.truth, np.float64) for fold in self.folds])
        return conformal.residuals(truth, np.concatenate([fold.predictions for fold in self.folds]))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        means, errors = self.means, self.errors
        alone = {
            kind: values.pop(ALONE)
            for kind, values in (("scores", means), ("standard_errors", errors))
            if ALONE in values
        }
        return {
            "folds": len(self.folds),
            "rows": self.pooled.rows,
            "best_epochs": [list(fold.best_epochs) for fold in self.folds],
            "final_epochs": self.final_epochs,
            "seconds": round(self.seconds, 3),
            "scores": means.pop("network"),
            "standard_errors": errors.pop("network"),
            "baselines": means,
            "baseline_standard_errors": errors,
            "pooled": self.pooled.to_json(),
            **({"members": alone} if alone else {}),
        }


def cross_validate(trainer: Trainer, run: RunDirectory, console: Console) -> CrossValidation:
    """Train all folds, or go on where their checkpoints are, and score them.

    Raises DivergenceError where a fold diverged, since a mean over the others would say too much
    good; ResourceError; or RunInterruptedError after a signal, saved.
    """
    folds = trainer.data.folds
    assert folds is not None
    begun = time.perf_counter()
    results: dict[int, FoldResult] = {}
    packs = pack_folds(trainer.network, trainer.hparams, folds)
    for number, indices in enumerate(packs, 1):
        with memory_errors(trainer.data.config):
            results |= _train_pack(trainer, run, console, number, indices, len(packs))
    ordered = [results[index] for index in range(len(folds))]
    best = [epoch for fold in ordered for epoch in fold.best_epochs]
    found = CrossValidation(
        folds=tuple(ordered),
        pooled=_pooled(trainer, ordered),
        final_epochs=max(1, math.floor(median(best) + 0.5)),
        seconds=time.perf_counter() - begun,
    )
    write_text(run.folds, _fold_lines(found.folds))
    return found


def pack_folds(network: Network, hparams: Hyperparameters, folds: Folds) -> list[list[int]]:
    """Return the folds that are trained side by side: of one size, and within `PACK_BYTES`."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, split in enumerate(folds.splits):
        by_size.setdefault((len(split.train), len(split.validation)), []).append(index)
    packs = []
    for (rows, _), indices in by_size.items():
        needed = memory_needed(network, hparams, rows, own_rows=True)
        most = max(1, PACK_BYTES // needed)
        count = -(-len(indices) // most)
        packs += [part.tolist() for part in np.array_split(indices, count)]
    return packs


def _train_pack(
    trainer: Trainer,
    run: RunDirectory,
    console: Console,
    number: int,
    indices: Sequence[int],
    packs: int,
) -> dict[int, FoldResult]:
    """Train the folds of one pack, an ensemble for each where there are members; score them."""
    data, network = trainer.data, trainer.network
    assert data.folds is not None
    folds = [data.folds.load(index) for index in indices]
    members = len(trainer.hparams.seeds)
    hparams = replace(trainer.hparams, seeds=trainer.hparams.seeds * len(folds))
    device = trainer.state.theta.device
    train = stack_folds(folds, [fold.train for fold in folds], members).to(device)
    validation = None
    if len(folds[0].validation):
        validation = stack_folds(folds, [fold.validation for fold in folds], members).to(device)
    state = start(network, hparams, len(train), train.inputs)
    path = run.fold_pack(number)
    if is_there(path):
        last = load_checkpoint(path)
        stacked = saved_baselines(last, path, len(folds))
        restore_state(state, last, path)
    else:
        learned = [fit_baselines(fold.preprocessing, fold.train) for fold in folds]
        stacked = {
            name: np.stack([baselines[name] for baselines in learned]) for name in learned[0]
        }
    if not state.is_finished(hparams):
        which = f"folds {indices[0] + 1} to {indices[-1] + 1}" if packs > 1 else "folds"
        console.say(
            f"{which}: {len(folds)} side by side, {len(train):,} training rows each, "
            f"{hparams.batches(len(train))} updates an epoch"
        )
        unit = loss_unit(data.config, data.preprocessing)
        run_loop(
            fit_members(network, hparams, state, train, validation),
            epochs=hparams.epochs,
            done=state.epoch + state.batch / hparams.batches(len(train)),
            saver=Saver(
                lambda: write_last(path, data, state, stacked),
                data.config.train.save_seconds,
            ),
            console=console,
            end_epoch=lambda step: _refuse_diverged(state, indices),
            losses=lambda step: f"{which}, {unit.name} {format_losses(step.progress, unit.factor)}",
            how_to_go_on=f"go on with: ml2021 train --resume {run.path}",
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


def stack_folds(folds: Sequence[Fold], parts: Sequence[Samples], members: int) -> Dataset:
    """Return the same part of each fold, `members` times, as rows of their own: (K, N, F + 1)."""
    datasets = [
        to_dataset(fold.preprocessing, part) for fold, part in zip(folds, parts, strict=True)
    ]
    return Dataset(
        torch.stack([each.inputs for each in datasets]).repeat_interleave(members, dim=0),
        torch.stack([each.targets for each in datasets]).repeat_interleave(members, dim=0),
    )


def _score(
    trainer: Trainer,
    state: TrainingState,
    own: slice,
    fold: Fold,
    baselines: FittedBaselines,
) -> FoldResult:
    """Score a fold's best parameters on its held-out rows."""
    alone = trained_predictions(trainer.network, state.best[own], fold.preprocessing, fold.held_out)
    report, predictions = evaluate_members(alone, fold.preprocessing, baselines, fold.held_out)
    return FoldResult(
        report=report,
        best_epochs=tuple(state.best_epoch[own].tolist()),
        sizes={
            "train": len(fold.train),
            "validation": len(fold.validation),
            "held_out": len(fold.held_out),
        },
        truth=fold.held_out.targets,
        predictions=predictions,
        trivial=baseline_predictions(fold.preprocessing, baselines, fold.held_out),
    )


def _pooled(trainer: Trainer, folds: Sequence[FoldResult]) -> Evaluation:
    """Score all held-out rows together, each predicted by the network that has not seen it."""
    return evaluate_against(
        trainer.data.preprocessing,
        np.concatenate([fold.truth for fold in folds]),
        np.concatenate([fold.predictions for fold in folds]),
        {name: np.concatenate([fold.trivial[name] for fold in folds]) for name in folds[0].trivial},
    )


def _fold_lines(folds: Sequence[FoldResult]) -> str:
    """Return folds.csv: a line for each fold, its scores and those of least squares."""
    lines: list[str] = []
    for number, fold in enumerate(folds, 1):
        cells: dict[str, float | None] = {"fold": number, **fold.sizes}
        cells["best_epoch"] = math.floor(median(fold.best_epochs) + 0.5)
        cells |= fold.report.scores
        for name, scores in fold.report.baselines.items():
            cells |= {f"{name}_{key}": value for key, value in scores.items()}
        if not lines:
            lines.append(",".join(cells))
        lines.append(",".join("" if cell is None else repr(cell) for cell in cells.values()))
    return "\n".join(lines) + "\n"
