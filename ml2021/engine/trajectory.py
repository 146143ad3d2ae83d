"""The trajectory of training: parameters and gradient norms at evenly spaced updates.

At first every update is recorded. Whenever the memory is full, every second point is dropped and
the stride doubled. Which updates are kept depends only on their number so far, so a resumed run
keeps the same ones.

Legend: P parameters, L layers, n points.
"""

import torch
from torch import Tensor

from ml2021.engine.networks import Layout

MOST_POINTS = 200
MOST_BYTES = 64 << 20
_MOST_UPDATES = 1 << 53
FEWEST_POINTS = 10
"""If fewer fit into `MOST_BYTES`, the trajectory is not recorded."""


class TrajectoryRecorder:
    """Records one member's parameters and the norms of its gradient.

    A point is recorded just before an update, with the gradient that the update then uses.
    """

    def __init__(self, layout: Layout, capacity: int, like: Tensor) -> None:
        assert capacity >= 2
        self.stride = 1
        self._count = 0
        self._layout = layout
        self._updates = torch.empty(capacity, dtype=torch.int64)
        self._points = like.new_empty(capacity, layout.parameters)
        self._norms = like.new_empty(capacity, len(layout.shapes))

    @classmethod
    def begin(cls, layout: Layout, like: Tensor) -> "TrajectoryRecorder | None":
        """Return an empty recorder, or None if too few points would fit into memory."""
        capacity = min(MOST_POINTS, MOST_BYTES // (layout.parameters * like.element_size()))
        return cls(layout, capacity, like) if capacity >= FEWEST_POINTS else None

    @property
    def updates(self) -> Tensor:
        """(n,) int64: the number of updates before each point; ascending from 0."""
        return self._updates[: self._count]

    @property
    def points(self) -> Tensor:
        """(n, P): the parameters at each point."""
        return self._points[: self._count]

    @property
    def gradient_norms(self) -> Tensor:
        """(n, L): the Euclidean norm of each layer's gradient, weights and bias, at each point."""
        return self._norms[: self._count]

    def is_due(self, update: int) -> bool:
        """Whether a point is recorded after that number of updates."""
        return update % self.stride == 0

    def record(self, update: int, theta: Tensor, gradient: Tensor) -> None:
        """Record the parameters θ (P,) after `update` updates, and the gradient (P,) there."""
        if self._count == len(self._points):
            self._thin()
            if not self.is_due(update):
                return
        self._updates[self._count] = update
        self._points[self._count] = theta
        layers = self._layout.views(gradient[None])
        self._norms[self._count] = torch.stack([torch.linalg.vector_norm(g) for g in layers])
        self._count += 1

    def takes(self, updates: Tensor, points: Tensor, gradient_norms: Tensor) -> bool:
        """Whether `restore` takes these: right dtypes and shapes, and updates evenly spaced."""
        n = len(updates) if updates.ndim == 1 else -1
        return (
            0 <= n <= len(self._updates)
            and updates.dtype == torch.int64
            and points.dtype == gradient_norms.dtype == self._points.dtype
            and points.shape == (n, self._points.shape[1])
            and gradient_norms.shape == (n, self._norms.shape[1])
            and torch.equal(updates, torch.arange(n) * (updates[1] if n > 1 else 1))
            and (n < 2 or 0 < int(updates[1]) < _MOST_UPDATES)
            and not bool((gradient_norms < 0).any())
        )

    def restore(self, updates: Tensor, points: Tensor, gradient_norms: Tensor) -> None:
        """Restore recorded points: (n,), (n, P), (n, L)."""
        self._count = len(updates)
        self.updates.copy_(updates)
        self.points.copy_(points)
        self.gradient_norms.copy_(gradient_norms)
        self.stride = int(updates[1] - updates[0]) if len(updates) > 1 else 1

    def _thin(self) -> None:
        """Drop every second point."""
        self.stride *= 2
        for kept in (self._updates, self._points, self._norms):
            half = kept[: self._count : 2].clone()
            kept[: len(half)] = half
        self._count = -(-self._count // 2)
