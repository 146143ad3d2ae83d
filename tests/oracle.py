"""The engine's functions as ordinary modules, for autograd to differentiate."""

import torch
from torch import Tensor

from ml2021.engine.networks import Forward, Network, to_module


class ExactHardSigmoid(torch.nn.Module):
    """clamp(z / 6 + 1/2, 0, 1). The derivative of nn.Hardsigmoid has 1/6 in float32 only."""

    def forward(self, z: Tensor) -> Tensor:
        """Return the activation of z, any shape."""
        return (z / 6 + 0.5).clamp(0, 1)


def oracle_module(network: Network, member: Tensor) -> torch.nn.Sequential:
    """Return `to_module`, with every derivative exact in float64."""
    layers = to_module(network, member)
    exact = [ExactHardSigmoid() if isinstance(m, torch.nn.Hardsigmoid) else m for m in layers]
    return torch.nn.Sequential(*exact)


def outputs(network: Network, theta: Tensor, inputs: Tensor) -> Tensor:
    """Return the outputs (K, N, T) of θ (K, P) for rows (N, F + 1) or (K, N, F + 1), as training's.

    The dtype is that of θ.
    """
    return Forward(network, theta, inputs.shape[-2])(inputs)


def gradient_of(module: torch.nn.Sequential) -> Tensor:
    """Return the gradient (P,) that autograd has left in the layers, in the order of θ."""
    pieces = []
    for layer in module:
        if isinstance(layer, torch.nn.Linear):
            assert layer.weight.grad is not None
            assert layer.bias.grad is not None
            pieces.append(torch.cat([layer.weight.grad, layer.bias.grad[:, None]], 1).flatten())
    return torch.cat(pieces)
