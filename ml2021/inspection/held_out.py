"""What the folds of a cross-validation said of the rows that they had not seen, from the disk.

Legend: N rows, K members of a pack, P parameters.
"""

from dataclasses import replace

import numpy as np
from torch import Tensor

from ml2021.data.load import LoadedProblem
from ml2021.engine.build import build_training
from ml2021.errors import CheckpointError
from ml2021.evaluation.ensembles import combine, trained_predictions
from ml2021.files import is_there
from ml2021.inspection.rows import Rows
from ml2021.runs.checkpoint_file import load_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import Model
from ml2021.training.cross_validation import pack_folds

_MOST_CELLS = 20_000_000
"""Inputs of all folds' training rows, whose statistics are taken again: a second."""


def held_out_rows(
    run: RunDirectory, model: Model, problem: LoadedProblem, rows: Rows
) -> Rows | None:
    """Return training rows `rows` with the predictions of the networks that have not seen them.

    None without folds, or where theirs are gone or would take long.
    """
    folds = problem.folds
    if folds is None or len(folds) * problem.train.inputs.size > _MOST_CELLS:
        return None
    training = build_training(problem.config)
    members = len(training.seeds)
    said = np.full((len(problem.train), model.preprocessing.target.width), np.nan)
    order = np.argsort(problem.train.places)
    for number, indices in enumerate(pack_folds(model.network, training, folds), 1):
        path = run.fold_pack(number)
        if not is_there(path):
            return None
        theta = load_checkpoint(path).tensors.get("best")
        expected = (members * len(indices), model.network.layout.parameters)
        if theta is None or theta.shape != expected:
            raise CheckpointError(f"{path}: its parameters are not those of its folds")
        for place, index in enumerate(indices):
            own: Tensor = theta[place * members : (place + 1) * members]
            preprocessing, held_out = folds.held_out(index)
            mean, _ = combine(trained_predictions(model.network, own, preprocessing, held_out))
            where = np.searchsorted(problem.train.places, held_out.places, sorter=order)
            said[order[where]] = mean
    assert not np.isnan(said).any()
    kept = order[np.searchsorted(problem.train.places, rows.places, sorter=order)]
    return replace(rows, part="held-out", predictions=said[kept])
