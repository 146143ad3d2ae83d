"""The training data as tensors, and the order in which batches visit the rows.

Legend: K members, N rows, F features, T outputs. All randomness comes from `generator`, a pure
function of a seed and a purpose, so no draw depends on earlier draws.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Dataset:
    """Rows as the network sees them.

    inputs: (N, F + 1) float, the last column all ones.
    targets: (N, T) of the same dtype, standardised; for classes (N,) int64, the index of the class.
    weights: (N, 1) float64, above 0, in any unit; None: all rows weigh the same.
    All have a leading dimension of K if each member of a pack has its own N rows.
    """

    inputs: "torch.Tensor"
    targets: "torch.Tensor"
    weights: "torch.Tensor | None" = None

    def __post_init__(self) -> None:
        assert self.inputs.ndim in (2, 3)
        leading = self.inputs.ndim - 1
        assert self.inputs.shape[:leading] == self.targets.shape[:leading]
        assert self.weights is None or self.weights.shape == (*self.inputs.shape[:-1], 1)

    def __len__(self) -> int:
        """N, the number of rows of a member."""
        return int(self.inputs.shape[-2])

    @property
    def is_shared(self) -> bool:
        """Whether all members share the same rows."""
        return self.inputs.ndim == 2

    @property
    def tensors(self) -> "tuple[torch.Tensor, ...]":
        """The inputs, the targets, and the weights if there are any."""
        both = (self.inputs, self.targets)
        return both if self.weights is None else (*both, self.weights)

    def of_member(self, member: int) -> "Dataset":
        """Return the rows of one member, without a leading dimension."""
        return self if self.is_shared else Dataset(*(each[member] for each in self.tensors))

    def select(self, members: "torch.Tensor") -> "Dataset":
        """Return the rows of a subset of the members, given by their indices (k,)."""
        return self if self.is_shared else Dataset(*(each[members] for each in self.tensors))

    def joined(self, other: "Dataset") -> "Dataset":
        """Return these rows and, behind them, those of the other dataset."""
        import torch

        rows = self.inputs.ndim - 2
        pairs = zip(self.tensors, other.tensors, strict=True)
        return Dataset(*(torch.cat(pair, dim=rows) for pair in pairs))

    def with_mean_weight(self) -> "Dataset":
        """Return the same rows, their weights divided by their mean, in the dtype of the inputs."""
        if self.weights is None:
            return self
        weights = self.weights / self.weights.mean(-2, keepdim=True)
        return Dataset(self.inputs, self.targets, weights.to(self.inputs.dtype))

    def to(self, device: "torch.device") -> "Dataset":
        """Return the same rows on that device."""
        return Dataset(*(each.to(device) for each in self.tensors))


def generator(seed: int, purpose: str, index: int = 0) -> "torch.Generator":
    """Return a CPU generator whose stream depends only on the three arguments."""
    import torch

    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def epoch_order(seed: int, epoch: int, rows: int) -> "torch.Tensor":
    """Return a permutation (rows,), int64: the order in which an epoch visits the rows."""
    import torch

    return torch.randperm(rows, generator=generator(seed, "order", epoch))
