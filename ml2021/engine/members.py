"""Members side by side, of which those that are done leave, so that the others go on faster.

What a member becomes does not depend on which others there are. Training is left to
`ml2021.engine.fit`.

Legend: K members, k of them still training.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ml2021.data.datasets import Dataset
from ml2021.engine.fit import Progress, fit
from ml2021.engine.networks import Network
from ml2021.engine.state import Training, TrainingState
from ml2021.errors import DivergenceError


@dataclass(frozen=True)
class MemberProgress:
    """The progress of the members (k,) that are still training; all it says has k entries."""

    members: Tensor
    progress: Progress


def fit_members(
    network: Network,
    training: Training,
    state: TrainingState,
    train: Dataset,
    validation: Dataset | None,
) -> Iterator[MemberProgress]:
    """Train until every member is done, changing `state` in place.

    As `fit`, but a member that has run out of patience or has diverged leaves after its epoch. The
    state is whole whenever this has yielded. Raises DivergenceError when all members have diverged.
    """
    while not state.is_finished(training):
        members = state.is_patient(training).nonzero().flatten()
        everyone = len(members) == len(state.theta)
        running = state if everyone else state.select(members)
        some, rows, held_out = training, train, validation
        if not everyone:
            some = training.select(members)
            rows = train.select(members)
            held_out = None if validation is None else validation.select(members)
        try:
            for progress in fit(network, some, running, rows, held_out):
                if not everyone:
                    state.put_back(members, running)
                yield MemberProgress(members, progress)
                if progress.is_epoch_end and not bool(running.is_patient(some).all()):
                    break
        except DivergenceError:  # of all that were still training
            if not everyone:
                state.put_back(members, running)
            if bool((state.diverged > 0).all()):
                raise
