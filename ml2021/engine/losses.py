"""Losses: their value, summed over a batch, and their gradient, in one visit.

Legend: K members, B rows of a batch, T outputs, C classes. Outputs are (K, B, T). Targets are
(K, B, T) of the same dtype, or for classes (K, B) of int64.

The loss of a batch is the mean over its rows (and over the outputs, as in torch.nn's losses). What
is written to `total` is that mean times B, so that the loss of an epoch is the sum of the totals
over the number of rows, whatever the size of the last batch.
"""

from dataclasses import dataclass
from typing import Protocol, assert_never

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mae:
    """|d|, with d = output − target."""


@dataclass(frozen=True)
class Mse:
    """d²."""


@dataclass(frozen=True)
class Huber:
    """d²/2 where |d| <= δ, δ·(|d| − δ/2) beyond (Huber 1964, as torch.nn.HuberLoss)."""

    delta: float = 1.0


@dataclass(frozen=True)
class CrossEntropy:
    """−log softmax(output)[class], in nats."""


Loss = Mae | Mse | Huber | CrossEntropy


class LossFunction(Protocol):
    """Value and gradient for batches of one shape."""

    def __call__(self, outputs: Tensor, targets: Tensor, gradient: Tensor, total: Tensor) -> None:
        """Write ∂mean/∂outputs to `gradient` (K, B, T) and B · mean to `total` (K, 1, 1)."""


def build_loss(loss: Loss, like: Tensor) -> LossFunction:
    """Return the loss with its scratch memory, for outputs of the shape and dtype of `like`."""
    match loss:
        case Mae():
            return _AbsoluteError(like)
        case Mse():
            return _SquaredError()
        case Huber(delta):
            return _HuberError(like, delta)
        case CrossEntropy():
            return _CrossEntropy(like)
        case _:
            assert_never(loss)


def _inner(a: Tensor, b: Tensor, total: Tensor) -> None:
    """Write Σ a·b of each member to `total` (K, 1, 1), as one product."""
    members = a.shape[0]
    torch.bmm(a.view(members, 1, -1), b.view(members, -1, 1), out=total)


class _SquaredError:
    def __call__(self, outputs: Tensor, targets: Tensor, gradient: Tensor, total: Tensor) -> None:
        assert outputs.shape == targets.shape
        torch.sub(outputs, targets, out=gradient)
        _inner(gradient, gradient, total)
        width = outputs.shape[2]
        if width > 1:
            total.div_(width)
        gradient.mul_(2 / (outputs.shape[1] * width))


class _AbsoluteError:
    def __init__(self, like: Tensor) -> None:
        self._difference = torch.empty_like(like)

    def __call__(self, outputs: Tensor, targets: Tensor, gradient: Tensor, total: Tensor) -> None:
        assert outputs.shape == targets.shape
        torch.sub(outputs, targets, out=self._difference)
        torch.sign(self._difference, out=gradient)
        _inner(self._difference, gradient, total)
        width = outputs.shape[2]
        if width > 1:
            total.div_(width)
        gradient.div_(outputs.shape[1] * width)


class _HuberError:
    def __init__(self, like: Tensor, delta: float) -> None:
        self._difference = torch.empty_like(like)
        self._delta = delta

    def __call__(self, outputs: Tensor, targets: Tensor, gradient: Tensor, total: Tensor) -> None:
        assert outputs.shape == targets.shape
        torch.sub(outputs, targets, out=self._difference)
        torch.clamp(self._difference, -self._delta, self._delta, out=gradient)
        # With g the clamped d, the loss is g·(d − g/2) on both sides of δ.
        self._difference.sub_(gradient, alpha=0.5)
        _inner(self._difference, gradient, total)
        width = outputs.shape[2]
        if width > 1:
            total.div_(width)
        gradient.div_(outputs.shape[1] * width)


class _CrossEntropy:
    def __init__(self, like: Tensor) -> None:
        self._log_probability = torch.empty_like(like)
        self._picked = like.new_empty(*like.shape[:2], 1)
        self._minus_one = like.new_full((1, 1, 1), -1.0).expand(*like.shape[:2], 1)

    def __call__(self, outputs: Tensor, targets: Tensor, gradient: Tensor, total: Tensor) -> None:
        assert outputs.shape[:2] == targets.shape
        index = targets.unsqueeze(2)
        torch.log_softmax(outputs, 2, out=self._log_probability)
        torch.gather(self._log_probability, 2, index, out=self._picked)
        torch.sum(self._picked, (1, 2), keepdim=True, out=total)
        total.neg_()
        torch.exp(self._log_probability, out=gradient)
        gradient.scatter_add_(2, index, self._minus_one)
        gradient.div_(outputs.shape[1])


@torch.inference_mode()
def mean_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss (K,), float64, of outputs (K, N, T) against targets shared by the members.

    Targets are (N, T), or (N,) int64 for classes. The mean is taken in float64.
    """
    wide = outputs.double()
    members, rows = wide.shape[:2]
    shared = targets if isinstance(loss, CrossEntropy) else targets.double()
    expanded = shared.expand(members, *shared.shape)
    total = wide.new_empty(members, 1, 1)
    build_loss(loss, wide)(wide, expanded, torch.empty_like(wide), total)
    return total.view(members) / rows
