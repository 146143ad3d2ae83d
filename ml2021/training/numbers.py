"""Choose how numbers are encoded (`data.numbers: auto`): by rows held out of the training rows.

Pieces cut the error of some tables by a third and raise that of others by a tenth, and nothing but
trying tells which. A few members of the run's own network are trained for a few epochs on either
encoding, and scored on training rows that were held out for this. Validation and test rows are not
looked at.

Legend: K members, N rows.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.load import TrainingData, without_pieces
from ml2021.engine.build import build_hyperparameters, build_network
from ml2021.engine.dataset import Dataset, generator
from ml2021.engine.fit import fit_members
from ml2021.engine.hardware import choose_device, choose_threads
from ml2021.engine.state import start
from ml2021.errors import DivergenceError
from ml2021.training.loop import memory_errors
from ml2021.training.memory import TRIAL_MEMBERS, TRIAL_ROWS
from ml2021.training.trainer import objective_factors, to_dataset

UPDATES = 400
"""Updates of each member, about: the number of epochs is a whole one."""
HELD_OUT = 0.25
LEAST_ROWS = 40
"""With fewer training rows, fewer than ten would be held out, which cannot tell encodings apart."""
LEAST_GAIN = 0.02
"""Pieces have to lower the held-out loss by this fraction: what they cost in time and in reading
the function is otherwise not repaid."""


def choose_numbers(data: TrainingData) -> TrainingData:
    """Return the data with `data.numbers` resolved, and a note on the choice.

    Data that do not leave the choice open come back as they are. Raises ResourceError.
    """
    if not isinstance(data.config.data.numbers, schema.Auto):
        return data
    plain, pieces = without_pieces(data), _with_pieces(data)
    if len(plain.preprocessing.inputs) == len(pieces.preprocessing.inputs):
        return plain  # no column can be cut
    if len(plain.train) < LEAST_ROWS:
        note = (
            f"numbers are standardised: a trial of pieces takes at least {LEAST_ROWS} training "
            f"rows, and there are {len(plain.train)} (data.numbers: auto)"
        )
        return replace(plain, notes=(*plain.notes, note))
    with memory_errors(data.config):
        before, after = _held_out_loss(plain), _held_out_loss(pieces)
    chosen = pieces if after < (1 - LEAST_GAIN) * before else plain
    change = 100 * (after / before - 1)
    by = f"by {change:+.0f} %" if abs(change) >= 0.5 else "by less than 1 %"
    note = (
        f"numbers are {'in pieces as well' if chosen is pieces else 'standardised'}: in a trial on "
        f"held-out training rows, pieces changed the loss {by} (data.numbers: auto)"
    )
    return replace(chosen, notes=(*chosen.notes, note))


def _by_group(
    order: torch.Tensor, clusters: NDArray[np.int64], held_out: int
) -> tuple[torch.Tensor, int]:
    """Return the rows with those of a group together, and how many to hold out to divide none."""
    _, first, group = np.unique(clusters[order.numpy()], return_index=True, return_inverse=True)
    place = np.argsort(first[group], kind="stable")
    starts = np.flatnonzero(np.diff(first[group][place])) + 1
    if len(starts):
        cut = len(order) - held_out
        held_out = len(order) - int(starts[np.abs(starts - cut).argmin()])
    return order[torch.from_numpy(place)], held_out


def _with_pieces(data: TrainingData) -> TrainingData:
    """Return the data, whose inputs have pieces, with `data.numbers` saying so."""
    section = data.config.data.model_copy(update={"numbers": schema.Piecewise()})
    return replace(data, config=data.config.model_copy(update={"data": section}))


def _held_out_loss(data: TrainingData) -> float:
    """Return the mean over the members of the lowest loss on held-out rows, ∞ if all diverge."""
    config = data.config
    factors = objective_factors(config, data.preprocessing, data.train)
    rows = to_dataset(data.preprocessing, data.train, factors)
    count = min(len(rows), TRIAL_ROWS)
    held_out = max(1, round(HELD_OUT * count))
    if data.config.data.lags:  # the last rows
        order = torch.arange(len(rows))[-count:]
    else:
        order = torch.randperm(len(rows), generator=generator(config.seed, "numbers"))[:count]
        if data.train.clusters is not None:
            order, held_out = _by_group(order, data.train.clusters, held_out)
    device = choose_device(config.device)
    train, validation = (
        Dataset(*(each[some] for each in rows.tensors)).to(device)
        for some in (order[:-held_out], order[-held_out:])
    )
    hparams = replace(
        build_hyperparameters(config),
        patience=None,
        seeds=tuple(range(config.seed, config.seed + TRIAL_MEMBERS)),
    )
    hparams = replace(hparams, epochs=max(2, round(UPDATES / hparams.batches(len(train)))))
    network = build_network(config.model, *data.preprocessing.sizes)
    torch.set_num_threads(choose_threads(network, min(hparams.batch_size or count, count)))
    state = start(network, hparams, len(train), train.inputs)
    try:
        for _ in fit_members(network, hparams, state, train, validation):
            pass
    except DivergenceError:
        return float("inf")
    return float(state.best_loss.mean())
