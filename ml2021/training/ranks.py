"""What several ranks cost and give, measured before a run is trained on them."""

from ml2021.engine.distributed import Ranks
from ml2021.engine.hardware import choose_threads
from ml2021.engine.ranks import measure
from ml2021.training.loop import memory_errors
from ml2021.training.trainer import Trainer


def describe_ranks(trainer: Trainer, ranks: Ranks) -> str:
    """Measure a few updates on one rank and on all, and say whether they pay.

    The trainer is not changed. Raises ResourceError.
    """
    hparams, rows = trainer.hparams, len(trainer.train)
    if trainer.state.is_finished(hparams):
        return f"{ranks.size} ranks"
    threads = choose_threads(trainer.network, min(hparams.batch_size or rows, rows))
    with memory_errors(trainer.data.config):
        costs = measure(
            ranks, trainer.network, hparams, trainer.state, trainer.train, threads=threads
        )
    return costs.describe()
