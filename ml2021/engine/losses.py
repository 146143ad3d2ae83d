"""Losses: their value, summed over a batch, and their gradient, in one pass.

Legend: K members, B rows of a batch, T outputs, C classes. Outputs are (K, B, T). Targets are
(K, B, T) of the same dtype, or for classes (K, B) of int64. Weights of rows are (K, B, 1).

The loss of a batch is the mean over its rows (and over the outputs, as in torch.nn's losses).
`total` receives that mean times B, so the loss of an epoch is the sum of the totals divided by the
number of rows, whatever the size of the last batch.

With weights, each row's loss is multiplied by its weight, and the sum is still divided by B, not by
the batch's sum of weights, which may be 0. With weights whose mean over all training rows is 1, the
loss of an epoch is then Σ wᵢℓᵢ / Σ wᵢ, and the gradient of a batch drawn at random is unbiased.
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
    """−log softmax(output)[class], in nats.

    label_smoothing: ε. The gradient is then that to a target of 1 − ε for the class and ε/C more
    for each of the C classes (Szegedy et al. 2016, arXiv:1512.00567, as torch.nn.CrossEntropyLoss).
    The value stays that without it, so that the losses of training and validation compare.
    """

    label_smoothing: float = 0.0


Loss = Mae | Mse | Huber | CrossEntropy


class LossFunction(Protocol):
    """Value and gradient for batches of one shape, bound to a gradient buffer (K, B, T)."""

    def __call__(
        self, outputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
    ) -> None:
        """Write ∂mean/∂outputs to the buffer, and B · mean to `total` (K, 1, 1)."""


def build_loss(loss: Loss, gradient: Tensor, of_rows: int | None = None) -> LossFunction:
    """Return the loss with its scratch buffers, bound to the buffer `gradient` (K, B, T).

    of_rows: those of the whole batch, where these B rows are a rank's share of it: the mean whose
    gradient is written is over them all, so that the shares' gradients and totals add up.
    """
    rows = gradient.shape[1] if of_rows is None else of_rows
    match loss:
        case Mae():
            return _AbsoluteError(gradient, rows)
        case Mse():
            return _SquaredError(gradient, rows)
        case Huber(delta):
            return _HuberError(gradient, rows, delta)
        case CrossEntropy(label_smoothing):
            return _CrossEntropy(gradient, rows, label_smoothing)
        case _:
            assert_never(loss)


class _Batch:
    """What the losses of real-valued targets share.

    Views and factors are made once: multiplying by a tensor takes a third of the time of a Python
    number (0.8 µs, not 2.4, at W1), and making a view takes as long as the product that uses it.
    """

    def __init__(self, gradient: Tensor, of_rows: int) -> None:
        members, _, width = gradient.shape
        self.gradient = gradient
        self.difference = torch.empty_like(gradient)
        self.as_column = self.difference.view(members, -1, 1)
        self.mean = gradient.new_tensor(1 / (of_rows * width))
        self._as_row = gradient.view(members, 1, -1)
        self._per_output = gradient.new_tensor(1 / width) if width > 1 else None

    def sum_of_products(self, other: Tensor, total: Tensor) -> None:
        """Write Σ gradient · other over a member's rows, its mean over the outputs, to `total`."""
        torch.bmm(self._as_row, other, out=total)
        if self._per_output is not None:
            total.mul_(self._per_output)


class _SquaredError(_Batch):
    def __init__(self, gradient: Tensor, of_rows: int) -> None:
        super().__init__(gradient, of_rows)
        self._gradient_as_column = gradient.view(len(gradient), -1, 1)
        self._twice_mean = 2 * self.mean

    def __call__(
        self, outputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
    ) -> None:
        assert outputs.shape == targets.shape
        if weights is None:
            torch.sub(outputs, targets, out=self.gradient)
            self.sum_of_products(self._gradient_as_column, total)
        else:
            torch.sub(outputs, targets, out=self.difference)
            torch.mul(self.difference, weights, out=self.gradient)
            self.sum_of_products(self.as_column, total)
        self.gradient.mul_(self._twice_mean)


class _AbsoluteError(_Batch):
    def __call__(
        self, outputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
    ) -> None:
        assert outputs.shape == targets.shape
        torch.sub(outputs, targets, out=self.difference)
        torch.sign(self.difference, out=self.gradient)
        if weights is not None:
            self.gradient.mul_(weights)
        self.sum_of_products(self.as_column, total)
        self.gradient.mul_(self.mean)


class _HuberError(_Batch):
    def __init__(self, gradient: Tensor, of_rows: int, delta: float) -> None:
        super().__init__(gradient, of_rows)
        self._delta = delta

    def __call__(
        self, outputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
    ) -> None:
        assert outputs.shape == targets.shape
        torch.sub(outputs, targets, out=self.difference)
        torch.clamp(self.difference, -self._delta, self._delta, out=self.gradient)
        # With g the clamped d, the loss is g·(d − g/2) on both sides of δ.
        self.difference.sub_(self.gradient, alpha=0.5)
        if weights is not None:
            self.gradient.mul_(weights)
        self.sum_of_products(self.as_column, total)
        self.gradient.mul_(self.mean)


class _CrossEntropy:
    def __init__(self, gradient: Tensor, of_rows: int, label_smoothing: float) -> None:
        members, rows, classes = gradient.shape
        self._gradient = gradient
        self._log_probability = torch.empty_like(gradient)
        self._picked = gradient.new_empty(members, rows, 1)
        self._picked_as_row = self._picked.mT
        minus_one = gradient.new_full((1, 1, 1), -(1 - label_smoothing))
        self._minus_one = minus_one.expand(members, rows, 1)
        self._smoothed = None
        if label_smoothing:
            self._smoothed = gradient.new_tensor(label_smoothing / classes)
        self._mean = gradient.new_tensor(1 / of_rows)

    def __call__(
        self, outputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
    ) -> None:
        assert outputs.shape[:2] == targets.shape
        index = targets.unsqueeze(2)
        torch.log_softmax(outputs, 2, out=self._log_probability)
        torch.gather(self._log_probability, 2, index, out=self._picked)
        if weights is None:
            torch.sum(self._picked, (1, 2), keepdim=True, out=total)
        else:
            torch.bmm(self._picked_as_row, weights, out=total)
        total.neg_()
        torch.exp(self._log_probability, out=self._gradient)
        self._gradient.scatter_add_(2, index, self._minus_one)
        if self._smoothed is not None:
            self._gradient.sub_(self._smoothed)
        if weights is not None:
            self._gradient.mul_(weights)
        self._gradient.mul_(self._mean)


@torch.inference_mode()
def mean_loss(
    loss: Loss, outputs: Tensor, targets: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the loss (K,), float64, of outputs (K, N, T) against targets: Σ wᵢℓᵢ / Σ wᵢ.

    Targets are (N, T), or (N,) int64 for classes, and weights (N, 1), if the members share them;
    otherwise they have a leading dimension of K. The mean is computed in float64.
    """
    members, rows = outputs.shape[:2]
    if weights is not None:
        weights = weights.double().expand(members, rows, 1)
    if isinstance(loss, CrossEntropy):
        losses = _cross_entropies(outputs, targets)
        if weights is None:
            return losses.sum((1, 2)) / rows
        return torch.bmm(losses.mT, weights).view(members) / weights.sum((1, 2))
    wide, targets = outputs.double(), targets.double()
    expanded = targets.expand(members, *targets.shape) if targets.ndim == 2 else targets
    total = wide.new_empty(members, 1, 1)
    function = build_loss(loss, torch.empty_like(wide))
    function(wide, expanded, total, weights)
    return total.view(members) / (rows if weights is None else weights.sum((1, 2)))


_VALUES_AT_ONCE = 1 << 20


def _cross_entropies(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss (K, N, 1), float64, of each row: in blocks, for many classes take memory."""
    members, rows, classes = outputs.shape
    index = targets.expand(members, rows)[:, :, None]
    losses = torch.empty(members, rows, 1, dtype=torch.float64, device=outputs.device)
    step = max(1, _VALUES_AT_ONCE // (members * classes))
    for start in range(0, rows, step):
        block = slice(start, start + step)
        logs = torch.log_softmax(outputs[:, block].double(), 2)
        losses[:, block] = -logs.gather(2, index[:, block])
    return losses
