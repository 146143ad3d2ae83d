"""What chooses the best epoch and stops training early, in place of the validation loss."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.config.schema import Config
from ml2021.data.preprocessing.records import Preprocessing
from ml2021.data.samples import Samples
from ml2021.engine.fit import Score
from ml2021.errors import ConfigError
from ml2021.evaluation.scoring import score_each
from ml2021.formatting import HIGHER_IS_BETTER, plural


def build_score(config: Config, rows: Sequence[tuple[Preprocessing, Samples]]) -> Score | None:
    """Return what chooses the best epoch by `train.metric`, None where that is the loss.

    rows: the validation rows of each member, or those that all share. Raises ConfigError where the
    metric is undefined on them.
    """
    metric = config.train.metric
    if metric == "loss":
        return None
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0

    def score_of(place: int, outputs: NDArray[np.floating[Any]]) -> float:
        preprocessing, samples = rows[place]
        (scores,) = score_each(preprocessing, samples, outputs[None])
        value = scores[metric]
        return math.inf if value is None else sign * value

    for place, (preprocessing, samples) in enumerate(rows):
        trial = np.zeros((len(samples), preprocessing.target.width), np.float32)
        if not len(samples) or not math.isfinite(score_of(place, trial)):
            raise ConfigError(
                f"train.metric {metric}: undefined on {plural(len(samples), 'validation row')}; "
                "use loss, or more validation rows (data.split.validation)"
            )

    def score(members: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        places = members.tolist() if len(rows) > 1 else [0] * len(members)
        each = zip(places, outputs.cpu().numpy(), strict=True)
        values = [score_of(k, own) if np.isfinite(own).all() else math.inf for k, own in each]
        return outputs.new_tensor(values, dtype=torch.float64)

    return score
