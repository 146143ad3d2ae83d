"""What each of several ranks does of the updates that they share: some rows, or some members.

One network is trained by all ranks, each with its rows of every batch, and one sum an update joins
their gradients. Members of an ensemble and folds do not need each other: where there are as many as
ranks, each rank trains some of them, and the ranks meet only when the state must be whole.

Legend: K members, P parameters.
"""

import hashlib

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset
from ml2021.engine.distributed import Ranks
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters, TrainingState
from ml2021.engine.updates import Updates
from ml2021.errors import ResourceError


class RowShare(Updates):
    """The rank's rows of every batch."""

    def __init__(
        self,
        ranks: Ranks,
        network: Network,
        hparams: Hyperparameters,
        state: TrainingState,
        train: Dataset,
    ) -> None:
        super().__init__(network, hparams, state, train, ranks)
        self._group = ranks
        self.whole_gradient = self.gradient

    def join(self, first: int, until: int) -> None:
        """End the updates of these batches: all ranks have the whole state; see it once an epoch.

        Raises ResourceError where they have not.
        """
        if until == len(self._batches):
            check_equal(self._group, self._theta)


class MemberShare(Updates):
    """The rank's members, with all rows of their batches. whole_gradient: (K, P), of all members.

    The state given is that of all members; after each `join`, it is so again.
    """

    def __init__(
        self,
        ranks: Ranks,
        network: Network,
        hparams: Hyperparameters,
        state: TrainingState,
        train: Dataset,
    ) -> None:
        members = torch.arange(len(state.theta))
        self._parts = torch.tensor_split(members, ranks.size)
        mine = self._parts[ranks.rank]
        self._whole, self._own = state, state.select(mine)
        super().__init__(network, hparams.select(mine), self._own, train.select(mine))
        self._group = ranks
        self.whole_gradient = torch.zeros_like(state.theta)

    def join(self, first: int, until: int) -> None:
        """End the updates of these batches: send what became of these members, and get the rest."""
        own, whole = self._own, self._whole
        pairs = [
            (own.theta, whole.theta),
            *((own.slots[name], slot) for name, slot in whole.slots.items()),
            (self.gradient, self.whole_gradient),
            (own.batch_losses[first:until].T, whole.batch_losses[first:until].T),
        ]
        sent = torch.cat([mine for mine, _ in pairs], dim=1)
        most = sent.new_zeros(len(self._parts[0]), sent.shape[1])  # the first rank has the most
        most[: len(sent)] = sent
        widths = [mine.shape[1] for mine, _ in pairs]
        for part, got in zip(self._parts, self._group.gather(most), strict=True):
            columns = got[: len(part)].split(widths, dim=1)
            for (_, all_members), values in zip(pairs, columns, strict=True):
                all_members[part[0] : part[-1] + 1] = values


def build_share(
    ranks: Ranks, network: Network, hparams: Hyperparameters, state: TrainingState, train: Dataset
) -> RowShare | MemberShare:
    """Return what this rank does; all choose the same kind."""
    kind = MemberShare if are_divided(ranks, len(state.theta)) else RowShare
    return kind(ranks, network, hparams, state, train)


def are_divided(ranks: Ranks, members: int) -> bool:
    """Whether each rank trains some of the members, in place of some rows of all."""
    return members >= ranks.size


def check_equal(ranks: Ranks, theta: Tensor) -> None:
    """Raise ResourceError unless all ranks have the same parameters θ (K, P), to the bit."""
    digest = hashlib.blake2b(theta.cpu().numpy().data, digest_size=8).digest()
    own = torch.tensor([int.from_bytes(digest, "little", signed=True)], device=theta.device)
    found = [int(each) for each in ranks.gather(own)]
    odd = [rank for rank, value in enumerate(found) if value != found[0]]
    if odd:
        raise ResourceError(
            f"rank {odd[0]} has other parameters than rank 0 after the same updates; use machines "
            f"with the same processor, or one machine"
        )
