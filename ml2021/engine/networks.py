"""The three families of functions: forward pass and backpropagation.

All are chains of linear maps and elementwise activations, so the derivative fits on a page (Hung-yi
Lee, Machine Learning 2021, lecture 1). Losses are in `ml2021.engine.losses`, update rules in
`ml2021.engine.optimizers`, matrix products in `ml2021.engine.matmul`.

K networks of one shape, the members, lie side by side in the flat buffer θ (K, P); a plain run has
K = 1.

Legend: K members, N rows, B rows of a batch, F features, H units of a layer, T outputs,
P parameters.
Rows are (K, N, F + 1) with a last column of ones. Inside the network a batch is transposed,
(K, H + 1, B) with a last row of ones: every activation is then contiguous, and the elementwise
kernels run over it at full width (at W2 this order takes 0.92 of the time of (K, B, H + 1)).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from ml2021.engine.matmul import build_product


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


Activation = Literal["relu", "sigmoid", "hard_sigmoid"]


@dataclass(frozen=True)
class Network:
    """A function without its parameters: the layer sizes, and the activation of hidden layers."""

    layout: Layout
    activation: Activation


def linear(inputs: int, outputs: int) -> Network:
    """Return y = b + Σⱼ wⱼxⱼ."""
    return Network(Layout((inputs, outputs)), "relu")  # no hidden layer: the activation is not used


def sigmoid_sum(
    inputs: int, outputs: int, units: int, activation: Literal["sigmoid", "hard_sigmoid"]
) -> Network:
    """Return y = b + Σᵢ cᵢ·activation(bᵢ + Σⱼ wᵢⱼxⱼ), over `units` sigmoids."""
    return Network(Layout((inputs, units, outputs)), activation)


def relu_stack(inputs: int, outputs: int, widths: Sequence[int]) -> Network:
    """Return layers of max(0, b + Wx), one for each width, then a linear output."""
    return Network(Layout((inputs, *widths, outputs)), "relu")


SIGMOID_STEEPNESS = 3.0
"""Length of a sigmoid's initial weights, so that it rises within about a deviation of the data.

Of 2, 3, 4, 6 and 8, on six tables, 3 had the lowest mean error where training is short."""
SIGMOID_SPREAD = 1.5
"""Deviation of the middles of sigmoids in every input: wider than the data, so that more of them
are flat on most rows, as ReLUs are.

Instead of 1, over 5 splits and seeds (3 of covid and spambase), 1.5 takes the log loss on digits
from 1.15 to 1.09 of that of a layer of ReLUs, its wrong classes from 1.09 to 0.98, and the errors
of the other tables times 0.99 (covid), 0.96 (spambase), 1.01 (energy) and 1.00 (concrete,
diabetes). On digits 0.5 was worse still than 1, and 2 no better than 1.5."""


def initial_parameters(
    network: Network, generators: Sequence[torch.Generator], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw θ of shape (K, P) on the CPU, member k from generators[k] alone.

    Weights before a ReLU: N(0, 2 / fan_in) (He et al. 2015, arXiv:1502.01852); of the output layer:
    U(±1/√fan_in). Their biases: U(±1/√fan_in), so that units of a single feature do not all bend at
    the same place. Before a sigmoid: `SIGMOID_STEEPNESS` in a random direction, and a bias that
    puts the middle of the sigmoid at a point drawn from N(0, `SIGMOID_SPREAD`²) in every input,
    among and around standardised rows (Nguyen and Widrow 1990 for a single input). From the smaller
    weights of Glorot and Bengio (2010) all sigmoids are nearly straight lines, and training has
    first to make them steep.
    """
    members = [_draw_member(network, generator) for generator in generators]
    return torch.stack(members).to(dtype)


def _draw_member(network: Network, generator: torch.Generator) -> Tensor:
    """Return one member's parameters, shape (P,), float64."""

    def uniform(bound: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    layers = []
    last = len(network.layout.shapes) - 1
    for index, (fan_out, columns) in enumerate(network.layout.shapes):
        fan_in = columns - 1
        bias = uniform(fan_in**-0.5, fan_out, 1)
        if index < last and network.activation != "relu":
            weight = normal(fan_out, fan_in)
            weight *= SIGMOID_STEEPNESS / weight.norm(dim=1, keepdim=True)
            middle = SIGMOID_SPREAD * normal(fan_out, fan_in)
            bias = -(weight * middle).sum(dim=1, keepdim=True)
        elif index == last:
            weight = uniform(fan_in**-0.5, fan_out, fan_in)
        else:
            weight = normal(fan_out, fan_in) * (2 / fan_in) ** 0.5
        layers.append(torch.cat([weight, bias], dim=1).flatten())
    return torch.cat(layers)


class Pass:
    """Forward and backward pass for batches of one size, in buffers that are reused.

    Bound to θ (K, P), and for `backward` to the buffer `gradient` of the same shape.
    """

    def __init__(
        self, network: Network, theta: Tensor, batch_size: int, gradient: Tensor | None = None
    ) -> None:
        layout = network.layout
        members = theta.shape[0]
        self._activate, self._pull_back = _activation_functions(network.activation)
        self._weights = layout.views(theta)
        self._hidden = [theta.new_ones(members, h + 1, batch_size) for h in layout.hidden]
        self._values = [hidden[:, :-1] for hidden in self._hidden]
        # Between the rows of ones, the values of several members are not contiguous, and torch
        # would multiply one member at a time. So the sums before the activation have buffers of
        # their own (0.75 of the time).
        sums = [values if members == 1 else torch.empty_like(values) for values in self._values]
        products = [
            build_product(place, weight.shape[2])
            for place, weight in zip(sums, self._weights[:-1], strict=True)
        ]
        self._layers = list(
            zip(self._weights[:-1], products, self._values, self._hidden, strict=True)
        )
        self._rows = [hidden.mT for hidden in self._hidden]
        if layout.outputs == 1:  # transposed, a single output takes 0.2 to 0.6 of the time
            self._outputs = theta.new_empty(members, 1, batch_size).mT
        else:
            self._outputs = theta.new_empty(members, batch_size, layout.outputs)
        self._is_single = layout.outputs == 1
        self._outputs_on_side = self._outputs.mT
        self._output_weight = self._weights[-1].mT
        if gradient is not None:
            assert gradient.shape == theta.shape
            self._gradients = layout.views(gradient)
            self._weights_back = [weight[:, :, :-1].mT for weight in self._weights]
            deltas = [theta.new_empty(members, h, batch_size) for h in layout.hidden]
            self._products_back = [
                build_product(place, weight.shape[1])
                for place, weight in zip(deltas, self._weights[1:], strict=True)
            ]
            self._gradient_products = [
                build_product(place, batch_size, is_placed=True) for place in self._gradients
            ]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs (K, B, T) for rows (K, B, F + 1); the next call overwrites them."""
        columns = inputs.mT
        for weight, multiply, values, hidden in self._layers:
            self._activate(multiply(weight, columns), values)
            columns = hidden
        if self._is_single:
            torch.bmm(self._weights[-1], columns, out=self._outputs_on_side)
        else:
            rows = self._rows[-1] if self._rows else inputs
            torch.bmm(rows, self._output_weight, out=self._outputs)
        return self._outputs

    def backward(self, inputs: Tensor, output_gradient: Tensor) -> None:
        """Write ∂loss/∂θ to the gradient buffer, given ∂loss/∂outputs of shape (K, B, T).

        `inputs` must be those of the last `forward`, whose activations are still in the buffers.
        """
        delta = output_gradient.mT
        for layer in reversed(range(len(self._hidden))):
            self._gradient_products[layer + 1](delta, self._rows[layer])
            back = self._products_back[layer](self._weights_back[layer + 1], delta)
            self._pull_back(back, self._values[layer])
            delta = back
        self._gradient_products[0](delta, inputs)


def _activation_functions(
    activation: Activation,
) -> tuple[Callable[[Tensor, Tensor], object], Callable[[Tensor, Tensor], object]]:
    """Return two functions: (z, a) writes the activation of z to a, (∂/∂a, a) -> ∂/∂z in place.

    The derivatives are computed from the activated value, which is all that `forward` keeps.
    """
    aten = torch.ops.aten
    match activation:
        case "relu":
            relu_back = aten.threshold_backward.grad_input
            return (
                # The in-place call is faster: 1.0 instead of 1.6 µs.
                lambda z, a: torch.relu_(a) if z is a else torch.clamp_min(z, 0, out=a),
                lambda g, a: relu_back(g, a, 0, grad_input=g),
            )
        case "sigmoid":
            sigmoid_back = aten.sigmoid_backward.grad_input
            return (
                lambda z, a: torch.sigmoid(z, out=a),
                lambda g, a: sigmoid_back(g, a, grad_input=g),
            )
        case "hard_sigmoid":  # clamp(z / 6 + 1/2, 0, 1), as nn.Hardsigmoid
            clamp_back = aten.hardtanh_backward.grad_input
            hard_sigmoid = aten.hardsigmoid.out
            return (
                lambda z, a: hard_sigmoid(z, out=a),
                lambda g, a: clamp_back(g, a, 0, 1, grad_input=g).div_(6),
            )
        case _:
            assert_never(activation)


BLOCK_BYTES = 4 << 20
"""The size of the activations of one block of rows in `Forward`: about the cache of a core."""


class Forward:
    """The outputs for N rows, computed in blocks; bound to θ (K, P), in buffers that are reused.

    The dtype is that of θ. `inference.member_outputs` serves evaluation and prediction.
    """

    def __init__(self, network: Network, theta: Tensor, rows: int) -> None:
        self._theta = theta
        self._outputs = network.layout.outputs
        width = len(theta) * (sum(network.layout.sizes) + 1) * theta.element_size()
        self._block = max(1, min(rows, max(256, BLOCK_BYTES // width)))
        sizes = {self._block, rows % self._block} - {0}
        self._passes = {size: Pass(network, theta, size) for size in sizes}

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs (K, N, T) for rows (N, F + 1), or each member's (K, N, F + 1)."""
        members, rows = len(self._theta), inputs.shape[-2]
        result = self._theta.new_empty(members, rows, self._outputs)
        for start in range(0, rows, self._block):
            batch = inputs[..., start : start + self._block, :].expand(members, -1, -1)
            stop = start + batch.shape[1]
            result[:, start:stop] = self._passes[stop - start].forward(batch)
        return result


def to_module(network: Network, member: Tensor) -> nn.Sequential:
    """Copy one member's parameters (P,) into a torch module, for tests and for export."""
    activations = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "hard_sigmoid": nn.Hardsigmoid}
    module = nn.Sequential()
    for index, view in enumerate(network.layout.views(member[None])):
        if index:
            module.append(activations[network.activation]())
        sizes = view.shape[2] - 1, view.shape[1]
        layer = nn.utils.skip_init(nn.Linear, *sizes, dtype=member.dtype)  # draws no numbers
        with torch.no_grad():
            layer.weight.copy_(view[0, :, :-1])
            layer.bias.copy_(view[0, :, -1])
        module.append(layer)
    return module
