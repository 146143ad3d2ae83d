"""The way that training took through the parameters, read from what a run keeps of it.

Legend: n points of the path, P parameters, M points in all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ml2021.data.datasets import generator
from ml2021.engine.networks import initial_parameters
from ml2021.errors import CheckpointError
from ml2021.model import Model, load_model
from ml2021.runs.checkpoints import load_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.files import is_there


@dataclass(frozen=True)
class Way:
    """Where training was: start, path (n, P), end and best, each θ (P,) float64; what is known."""

    start: Tensor | None
    path: Tensor
    end: Tensor | None
    best: Tensor

    def known(self) -> Tensor:
        """Return every point (M, P) that there is."""
        ends = [point[None] for point in (self.start, self.end, self.best) if point is not None]
        return torch.cat([self.path, *ends])


def read_way(run: RunDirectory, model: Model) -> Way:
    """Return where training was, of the first member; raise CheckpointError for a damaged path."""
    best = model.theta[0].cpu().double()
    empty = best.new_empty(0, len(best))
    if not is_there(run.last):  # not trained
        return Way(None, empty, None, best)
    last = load_checkpoint(run.last)
    points, end = last.tensors.get("path.points"), last.tensors.get("theta")
    for kept in (points, end):
        if kept is not None and (kept.ndim != 2 or kept.shape[1] != len(best)):
            raise CheckpointError(f"{run.last}: its parameters are not those of its config")
    if points is not None and len(points):
        path = points.double()
        start = path[0]
    else:
        path = empty
        if last.description.init_sha256 is None:
            seed = generator(model.config.seed, "weights")
            start = initial_parameters(model.network, [seed], torch.float32)[0].double()
        else:
            start = load_model(run.init).theta[0].cpu().double()
    ended = None if end is None else end[0].double()
    if ended is not None and len(path):
        path = torch.cat([path, ended[None]])
    finite = path.isfinite().all(dim=1)
    is_finite = ended is not None and bool(ended.isfinite().all())
    return Way(start, path[finite], ended if is_finite else None, best)
