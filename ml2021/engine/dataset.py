"""What the engine trains on: matrices of numbers, and the order in which batches visit their rows.

Legend: K members, N rows, F features, T outputs. Drawing anything at random starts from
`generator`: a pure function of a seed and a purpose, so that nothing depends on what was drawn
before.
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
    Both have a leading dimension of K where each member of a pack has N rows of its own.
    """

    inputs: "torch.Tensor"
    targets: "torch.Tensor"

    def __post_init__(self) -> None:
        assert self.inputs.ndim in (2, 3)
        leading = self.inputs.ndim - 1
        assert self.inputs.shape[:leading] == self.targets.shape[:leading]

    def __len__(self) -> int:
        """N, the number of rows that a member sees."""
        return int(self.inputs.shape[-2])

    @property
    def is_shared(self) -> bool:
        """Whether all members see the same rows."""
        return self.inputs.ndim == 2

    def of_member(self, member: int) -> "Dataset":
        """Return the rows that one member sees, shared by all."""
        return self if self.is_shared else Dataset(self.inputs[member], self.targets[member])

    def select(self, members: "torch.Tensor") -> "Dataset":
        """Return the rows of these members, given by their indices (k,), alone."""
        return self if self.is_shared else Dataset(self.inputs[members], self.targets[members])

    def to(self, device: "torch.device") -> "Dataset":
        """Return the same rows on that device."""
        return Dataset(self.inputs.to(device), self.targets.to(device))


def generator(seed: int, purpose: str, index: int = 0) -> "torch.Generator":
    """Return a generator on the CPU whose stream depends on nothing but the three arguments."""
    import torch

    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def epoch_order(seed: int, epoch: int, rows: int) -> "torch.Tensor":
    """Return the order (rows,), int64, in which that epoch visits every row once."""
    import torch

    return torch.randperm(rows, generator=generator(seed, "order", epoch))
