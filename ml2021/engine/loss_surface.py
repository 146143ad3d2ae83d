"""The loss as a surface over parameters, and the directions in which to look at it.

Many settings of the parameters are members side by side, evaluated by the engine's one forward.
Which rows the loss is over, and what is drawn, is left to `ml2021.surfaces`.

Legend: K settings, D directions, N rows, n points of a path, P parameters.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset
from ml2021.engine.losses import Loss, mean_loss
from ml2021.engine.networks import Forward, Network
from ml2021.engine.updates import BatchStep

_MEMBER_BYTES = 1 << 20
"""The size of the parameters of the members that are evaluated at once: on one core of an EPYC a
megabyte gives 44 GFLOPS (three layers of 100), four 36 to 41, sixteen 34 to 37."""

_OUTPUT_BYTES = 32 << 20


def losses_over(
    network: Network,
    loss: Loss,
    rows: Dataset,
    centre: Tensor,
    directions: Tensor,
    coordinates: Tensor,
    workers: int = 1,
) -> Tensor:
    """Return the mean loss (K,), float64, at centre + coordinates · directions.

    centre: (P,). directions: (D, P). coordinates: (K, D). All have the dtype and the device of the
    rows. Not finite where a setting is so far out that the dtype overflows. The settings are dealt
    out to so many threads, which on a CPU wait for each other less than torch's own within a
    product of small matrices: give torch one then.
    """
    outputs = 8 * len(rows) * network.layout.outputs
    member = centre.element_size() * network.layout.parameters
    size = max(1, min(len(coordinates), _MEMBER_BYTES // member, _OUTPUT_BYTES // outputs))

    @torch.inference_mode()
    def losses_of(part: Tensor) -> Tensor:
        theta = centre.expand(min(size, len(part)), -1).contiguous()
        forward = Forward(network, theta, len(rows))
        losses = []
        for block in torch.split(part, len(theta)):
            theta[: len(block)] = torch.addmm(centre, block, directions)
            losses.append(mean_loss(loss, forward(rows.inputs), rows.targets)[: len(block)])
        return torch.cat(losses)

    if workers == 1:
        return losses_of(coordinates)
    with ThreadPoolExecutor(workers) as pool:
        return torch.cat(list(pool.map(losses_of, coordinates.tensor_split(workers))))


@torch.inference_mode()
def steepest_descent(network: Network, loss: Loss, rows: Dataset, theta: Tensor) -> Tensor:
    """Return minus the gradient (P,) of the mean loss over the rows, at θ (P,)."""
    gradient = torch.empty_like(theta[None])
    step = BatchStep(network, theta[None], gradient, len(rows), loss)
    step(rows.inputs[None], rows.targets[None], theta.new_empty(1, 1, 1))
    return -gradient[0]


def principal_directions(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the directions (count, P) along which points (n, P) vary most, and their shares.

    The directions are orthogonal and of length 1; the shares (count,) are those of the variance
    around the points' mean. As Li et al. (2018, arXiv:1712.09913) look at paths, but for the
    centre, which they put at the last point. Directions in which nothing varies are 0. All float64.
    """
    centred = points.double() - points.double().mean(0)
    # The (n, n) products have the same spectrum as the (P, P) covariance, and P is the larger.
    values, vectors = torch.linalg.eigh(centred @ centred.mT)
    largest = values.flip(0)[:count].clamp(min=0)
    directions = vectors.flip(1)[:, :count].mT @ centred
    lengths = directions.norm(dim=1, keepdim=True)
    is_real = (largest > 1e-12 * values.clamp(min=0).sum())[:, None] & (lengths > 0)
    directions = torch.where(is_real, directions / lengths.clamp(min=1e-300), 0.0)
    shares = torch.where(is_real[:, 0], largest / values.clamp(min=0).sum(), 0.0)
    return directions, shares
