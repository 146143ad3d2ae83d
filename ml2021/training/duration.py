"""How long a training will take, by a few updates of its own.

The updates are those of `engine.fit`, on a copy of the state, with the scores after each epoch.
Saving is not included; it takes about a hundredth of the time.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml2021.engine.fit import fit
from ml2021.engine.hardware import choose_threads, worth_dividing
from ml2021.engine.state import start
from ml2021.formatting import duration, plural
from ml2021.training.loop import memory_errors, metrics_row
from ml2021.training.trainer import Trainer

if TYPE_CHECKING:
    from ml2021.engine.distributed import Ranks

SECONDS = 0.1
"""How long to measure, at least two steps. The first one, which makes the buffers, is not timed."""
PAUSE = 0.02


@dataclass(frozen=True)
class Estimate:
    """The seconds that an epoch takes, by so many updates; epochs: the most that there can be.

    Those of the folds and of the final model are counted, too, in epochs of the training rows, and
    `included` says so.
    """

    epoch_seconds: float
    updates: int
    epochs: int
    included: str

    @property
    def seconds(self) -> float:
        """The most seconds that training can take, about."""
        return self.epoch_seconds * self.epochs

    def describe(self) -> str:
        """Say how long it takes, and by what that is known."""
        return (
            f"at most about {duration(self.seconds)} of training: "
            f"{plural(self.epochs, 'epoch')} of {duration(self.epoch_seconds)}{self.included}, "
            f"measured over {plural(self.updates, 'update')}"
        )


def estimate(trainer: Trainer) -> Estimate:
    """Measure a few updates; the trainer is not changed.

    Raises DivergenceError if these already diverge, as training would, and ResourceError.
    """
    hparams, train = trainer.hparams, trainer.train
    batches = hparams.batches(len(train))
    with memory_errors(trainer.data.config):
        state = start(trainer.network, hparams, len(train), train.inputs, theta=trainer.state.theta)
        steps = fit(
            trainer.network, hparams, state, train, trainer.validation, trainer.score, pause=PAUSE
        )
        begun = before = None
        seconds = updates = 0.0
        for step in steps:
            if step.is_epoch_end:
                metrics_row(trainer.data, step, 1.0, 1.0)
            now = time.perf_counter()
            if begun is None or before is None:
                begun, before = now, step.updates
                continue
            seconds, updates = now - begun, step.updates - before
            if seconds > SECONDS:
                break
    return Estimate(seconds / max(updates, 1) * batches, int(updates), *_epochs(trainer))


def _epochs(trainer: Trainer) -> tuple[int, str]:
    """Return the most epochs of training, those of folds and of the final model included."""
    data, epochs = trainer.data, trainer.hparams.epochs
    if data.folds is not None:
        return epochs * (1 + len(data.folds)), f" (those of {len(data.folds)} folds included)"
    if data.config.train.refit and trainer.validation is not None:
        return 2 * epochs, " (those of train.refit included)"
    return epochs, ""


def describe_ranks(trainer: Trainer, ranks: "Ranks") -> str:
    """Measure a few updates on one rank and on all, and say whether they pay.

    The trainer is not changed. Raises ResourceError.
    """
    from ml2021.engine.ranks import measure

    hparams, rows = trainer.hparams, len(trainer.train)
    if trainer.state.is_finished(hparams):
        return f"{ranks.size} ranks"
    if trainer.data.folds is not None:
        folds = "each rank trains some of the folds"
        if worth_dividing(ranks, trainer.network, hparams, rows) is None:
            return f"{ranks.size} ranks: {folds}; one trains the final model, which is small"
    threads = choose_threads(trainer.network, min(hparams.batch_size or rows, rows))
    work = trainer.network, hparams, trainer.state, trainer.train
    with memory_errors(trainer.data.config):
        found = measure(ranks, *work, threads=threads).describe()
    if trainer.data.folds is None:
        return found
    return f"{folds}; of the final model, on {found}"
