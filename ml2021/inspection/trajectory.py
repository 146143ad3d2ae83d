"""The way that training took through the parameters, read from what a run keeps of it.

Legend: n points of the path, P parameters, M points in all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ml2021.engine.dataset import generator
from ml2021.engine.networks import initial_parameters
from ml2021.errors import CheckpointError
from ml2021.files import is_there
from ml2021.runs.checkpoint_file import load_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import Model, load_model


@dataclass(frozen=True)
class Way:
    """Where training was: start, path (n, P), end and best, each θ (P,) float64; what is known."""

    start: Tensor | None
    path: Tensor
    end: Tensor | None
    best: Tensor

    @property
    def ends(self) -> dict[str, Tensor]:
        """The points (P,) that have a name, and are known: start, end, best."""
        named = {"start": self.start, "end": self.end, "best": self.best}
        return {name: point for name, point in named.items() if point is not None}


def read_way(run: RunDirectory, model: Model, most: int | None = None) -> Way:
    """Return where training was, of the first member that predicts, which it ends at.

    Its path is known only where it is the first of all: none before it has diverged. Of more than
    `most` points every so many-th is taken, and the last. Raises CheckpointError for a damaged
    path.
    """
    best = model.theta[0].cpu().double()
    empty = best.new_empty(0, len(best))
    if not is_there(run.last):  # not trained
        return Way(None, empty, None, best)
    last = load_checkpoint(run.last)
    points, end = last.tensors.get("path.points"), last.tensors.get("theta")
    diverged = last.tensors.get("diverged", torch.zeros(1)) != 0
    member = 0 if bool(diverged.all()) else int((~diverged).nonzero()[0])
    for kept in (points, end):
        if kept is not None and (kept.ndim != 2 or kept.shape[1] != len(best)):
            raise CheckpointError(f"{run.last}: its parameters are not those of its config")
    if points is not None and len(points) and member == 0:
        path = points if most is None else points[:: -(-len(points) // most)]
        path = path.double()
        start = path[0]
    else:
        path = empty
        if last.description.init_sha256 is None:
            seed = generator(model.config.seed + member, "weights")
            start = initial_parameters(model.network, [seed], torch.float32)[0].double()
        else:
            start = load_model(run.init).theta[0].cpu().double()
    ended = None if end is None or member >= len(end) else end[member].double()
    if ended is not None and len(path):
        path = torch.cat([path, ended[None]])
    finite = path.isfinite().all(dim=1)
    is_finite = ended is not None and bool(ended.isfinite().all())
    if not bool(finite.all()):
        path = path[finite]
    return Way(start, path, ended if is_finite else None, best)
