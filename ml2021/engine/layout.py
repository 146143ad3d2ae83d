"""The layers of a network as views of one flat parameter buffer.

K networks of one shape, the members, lie side by side in θ of shape (K, P); a plain run has K = 1.
`ml2021.engine.networks` computes with the views.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The layer sizes of a chain, from its F inputs over the hidden widths to its T outputs.

    Layer l maps sizes[l] values and the constant 1 to sizes[l + 1] values. Its weights and bias
    lie side by side as one matrix of shape (sizes[l + 1], sizes[l] + 1), the bias last, so that one
    product with a row (x, 1) gives both, and one product gives both gradients.
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.sizes) >= 2
        assert all(size > 0 for size in self.sizes)

    @property
    def inputs(self) -> int:
        """F, the number of inputs, without the constant."""
        return self.sizes[0]

    @property
    def outputs(self) -> int:
        """T, the number of outputs."""
        return self.sizes[-1]

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers, from front to back."""
        return self.sizes[1:-1]

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The (out, in + 1) of each layer."""
        return tuple((o, i + 1) for i, o in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @cached_property
    def parameters(self) -> int:
        """P, the number of parameters of one member."""
        return sum(rows * columns for rows, columns in self.shapes)

    def views(self, theta: Tensor) -> list[Tensor]:
        """Return each layer of θ (K, P) as a view of shape (K, out, in + 1)."""
        assert theta.ndim == 2
        assert theta.shape[1] == self.parameters, (theta.shape, self.parameters)
        layers = torch.split(theta, [rows * columns for rows, columns in self.shapes], dim=1)
        return [
            layer.view(len(theta), *shape) for layer, shape in zip(layers, self.shapes, strict=True)
        ]
