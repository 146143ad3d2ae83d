"""Where training has been: parameters and gradient lengths at a few updates, evenly apart.

Which ones is a pure function of the number of updates so far, so that a resumed run keeps the same:
at first every update, and whenever the memory is full, every second point is dropped and the
distance doubled.

Legend: P parameters, L layers, n points.
"""

import torch
from torch import Tensor

from ml2021.engine.layout import Layout

MOST_POINTS = 200

MOST_BYTES = 64 << 20

FEWEST_POINTS = 10
"""A network so large that no more fit into `MOST_BYTES` has no path."""


class TrajectoryRecorder:
    """The points of one member's way, and how steep it was there.

    A point is kept just before an update, with the gradient that the update then uses.
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
        """Return an empty path, or None where too few points would fit."""
        capacity = min(MOST_POINTS, MOST_BYTES // (layout.parameters * like.element_size()))
        return cls(layout, capacity, like) if capacity >= FEWEST_POINTS else None

    @property
    def updates(self) -> Tensor:
        """(n,) int64: how many updates came before each point; ascending from 0."""
        return self._updates[: self._count]

    @property
    def points(self) -> Tensor:
        """(n, P): the parameters there."""
        return self._points[: self._count]

    @property
    def gradient_norms(self) -> Tensor:
        """(n, L): the Euclidean length of the gradient of each layer, weights and bias, there."""
        return self._norms[: self._count]

    def is_due(self, update: int) -> bool:
        """Whether a point is kept after so many updates."""
        return update % self.stride == 0

    def record(self, update: int, theta: Tensor, gradient: Tensor) -> None:
        """Keep the parameters θ (P,) after `update` updates, and the gradient (P,) there."""
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
        """Whether these can be put back: of the right dtypes and shapes, and evenly apart."""
        n = len(updates) if updates.ndim == 1 else -1
        return (
            0 <= n <= len(self._updates)
            and updates.dtype == torch.int64
            and points.dtype == gradient_norms.dtype == self._points.dtype
            and points.shape == (n, self._points.shape[1])
            and gradient_norms.shape == (n, self._norms.shape[1])
            and torch.equal(updates, torch.arange(n) * (updates[1] if n > 1 else 1))
        )

    def restore(self, updates: Tensor, points: Tensor, gradient_norms: Tensor) -> None:
        """Put back what was kept: (n,), (n, P), (n, L)."""
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
