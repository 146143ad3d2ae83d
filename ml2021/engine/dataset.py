"""The training data as tensors, and the order in which batches visit the rows.

Legend: K members, N rows, F features, T outputs. All randomness comes from `generator`, a pure
function of a seed and a purpose, so no draw depends on earlier draws.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml2021.disk import empty, uses_disk

if TYPE_CHECKING:
    import torch

WINDOWED_ABOVE = 10_000_000
"""Rows above which an epoch visits them in windows, so that it reads a disk in long pieces."""
_BLOCK_ROWS = 4096
_WINDOW_BLOCKS = 256


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
        if self.inputs.is_cuda or not uses_disk():
            return Dataset(*(torch.cat(pair, dim=rows) for pair in pairs))
        joined = []
        for first, second in pairs:
            shape = [*first.shape]
            shape[rows] += second.shape[rows]
            kind = first.numpy().dtype
            found = torch.from_numpy(empty(tuple(shape), kind))
            joined.append(torch.cat((first, second), dim=rows, out=found))
        return Dataset(*joined)

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


class EpochOrder:
    """The order in which an epoch visits the rows: a pure function of seed, epoch and rows.

    A random permutation; of more than `WINDOWED_ABOVE` rows, blocks of consecutive rows are
    shuffled, and then the rows within each window of blocks. Where they lie makes no
    difference.
    """

    def __init__(self, seed: int, epoch: int, rows: int) -> None:
        import torch

        self._seed, self._epoch, self._count = seed, epoch, rows
        self._is_windowed = rows > WINDOWED_ABOVE
        number = -(-rows // _BLOCK_ROWS) if self._is_windowed else rows
        self._order = torch.randperm(number, generator=generator(seed, "order", epoch))
        self._window = range(0), self._order  # the last one that was needed, and its rows

    def rows(self, start: int, stop: int) -> "torch.Tensor":
        """Return the rows (stop − start,) int64 that stand at these places of the order."""
        import torch

        if not self._is_windowed:
            return self._order[start:stop]
        parts = [self._order[:0]]
        while start < stop:
            places, rows = self._window_of(start)
            last = min(stop, places.stop)
            parts.append(rows[start - places.start : last - places.start])
            start = last
        return torch.cat(parts)

    def _window_of(self, place: int) -> "tuple[range, torch.Tensor]":
        """Return the places of the window that holds a place, and their rows."""
        import torch

        if place in self._window[0]:
            return self._window
        size = _BLOCK_ROWS * _WINDOW_BLOCKS
        short = -self._count % _BLOCK_ROWS  # what the last block of the table lacks
        at = int((self._order == len(self._order) - 1).nonzero()) // _WINDOW_BLOCKS
        number = place // size
        if number >= at and place >= (number + 1) * size - short:
            number += 1
        blocks = self._order[number * _WINDOW_BLOCKS : (number + 1) * _WINDOW_BLOCKS]
        rows = (blocks[:, None] * _BLOCK_ROWS + torch.arange(_BLOCK_ROWS)).flatten()
        rows = rows[rows < self._count]
        begin = number * size - (short if number > at else 0)
        within = generator(self._seed, f"order of epoch {self._epoch}", number)
        rows = rows[torch.randperm(len(rows), generator=within)]
        self._window = range(begin, begin + len(rows)), rows
        return self._window


def epoch_order(seed: int, epoch: int, rows: int) -> "torch.Tensor":
    """Return the whole `EpochOrder` (rows,), int64."""
    return EpochOrder(seed, epoch, rows).rows(0, rows)
