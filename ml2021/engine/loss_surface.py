"""The loss as a function of the parameters, along lines and planes, and directions to look along.

Many points of parameter space are evaluated side by side, as the members of one forward pass.
`ml2021.inspection.loss_surface` chooses the rows.

Legend: K points of the surface, D directions, N rows, n points of a trajectory, P parameters.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset
from ml2021.engine.losses import Loss, mean_loss
from ml2021.engine.networks import Forward, Network
from ml2021.engine.updates import BatchStep

_MEMBER_BYTES = 1 << 20
"""The size of the parameters that are evaluated at once: on one core of an EPYC 1 MiB gives 44
GFLOPS (three layers of 100), 4 MiB 36 to 41, 16 MiB 34 to 37."""
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
    rows. The loss is not finite where the dtype overflows. The points are distributed over that
    number of threads, which for small matrices scales better than torch's own: set those to one.
    """
    output_bytes = 8 * len(rows) * network.layout.outputs
    member = centre.element_size() * network.layout.parameters
    size = max(1, min(len(coordinates), _MEMBER_BYTES // member, _OUTPUT_BYTES // output_bytes))

    @torch.inference_mode()
    def losses_at(share: Tensor) -> Tensor:
        theta = centre.expand(min(size, len(share)), -1).contiguous()
        forward = Forward(network, theta, len(rows))
        losses = []
        for block in torch.split(share, len(theta)):
            theta[: len(block)] = torch.addmm(centre, block, directions)
            outputs = forward(rows.inputs)
            losses.append(mean_loss(loss, outputs, rows.targets, rows.weights)[: len(block)])
        return torch.cat(losses)

    if workers == 1:
        return losses_at(coordinates)
    with ThreadPoolExecutor(workers) as pool:
        return torch.cat(list(pool.map(losses_at, coordinates.tensor_split(workers))))


@torch.inference_mode()
def steepest_descent(network: Network, loss: Loss, rows: Dataset, theta: Tensor) -> Tensor:
    """Return the negative gradient (P,) of the mean loss over the rows, at θ (P,)."""
    gradient = torch.empty_like(theta[None])
    step = BatchStep(network, theta[None], gradient, len(rows), loss)
    rows = rows.with_mean_weight()
    weights = None if rows.weights is None else rows.weights[None]
    step(rows.inputs[None], rows.targets[None], theta.new_empty(1, 1, 1), weights)
    return -gradient[0]


def principal_directions(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the first `count` principal directions (count, P) of points (n, P), and their shares.

    The directions are orthogonal and of length 1; the shares (count,) are those of the variance
    around the mean of the points. Li et al. (2018, arXiv:1712.09913) do the same for trajectories,
    but centred at the last point. Directions without variance are 0. All float64.
    """
    centred = points.double() - points.double().mean(0)
    # The (n, n) products have the same spectrum as the (P, P) covariance, and n is smaller than P.
    values, vectors = torch.linalg.eigh(centred @ centred.mT)
    largest = values.flip(0)[:count].clamp(min=0)
    directions = vectors.flip(1)[:, :count].mT @ centred
    lengths = directions.norm(dim=1, keepdim=True)
    is_real = (largest > 1e-12 * values.clamp(min=0).sum())[:, None] & (lengths > 0)
    directions = torch.where(is_real, directions / lengths.clamp(min=1e-300), 0.0)
    shares = torch.where(is_real[:, 0], largest / values.clamp(min=0).sum(), 0.0)
    return directions, shares
