"""The hardware that training runs on: device, threads, memory."""

from typing import TYPE_CHECKING

import torch

from ml2021.engine import networks, optimizers
from ml2021.engine.state import Hyperparameters
from ml2021.engine.updates import batches_at_once
from ml2021.errors import ResourceError
from ml2021.files import cores, is_one_of_several, most_threads
from ml2021.formatting import plural
from ml2021.memory import free_memory

if TYPE_CHECKING:
    from ml2021.engine.distributed import Ranks

_WORK_PER_THREAD = 1e7
"""Floating-point operations per update that are worth a thread. At benchmark W1 (1.1 million) two
threads take 1.06 of the time of one, at W2 (34 million) 0.76, at W3 0.57; where they gain less they
cost twice the CPU time, and far more beside other work."""


_WORK_TO_DIVIDE = 1e8
"""Floating-point operations per update that are worth dividing its rows among ranks: a sum over two
of them takes 0.3 to 3 ms here, in 28,000 updates of W1, of 24 us each, 1.2 ms."""


def choose_device(name: str) -> torch.device:
    """Return the device; `auto` is cuda if available, else cpu.

    Raises ResourceError if the named device is not available: it never falls back to the CPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"torch {torch.__version__} sees {plural(count, 'CUDA device')}"
            raise ResourceError(f"device: {name} is not available ({found}); set device: cpu")
    return device


def choose_threads(network: networks.Network, batch_rows: int, ranks: "Ranks | None" = None) -> int:
    """Return the number of CPU threads for updates of this size, at most one per core.

    ranks: those among which the rows are divided, and the cores of a machine.
    """
    most = cores()
    if ranks is not None:
        batch_rows, most = -(-batch_rows // ranks.size), most_threads()
    work = 6 * batch_rows * network.layout.parameters
    return max(1, min(most, round(work / _WORK_PER_THREAD)))


def worth_dividing(
    ranks: "Ranks | None", network: networks.Network, hparams: Hyperparameters, rows: int
) -> "Ranks | None":
    """Return the ranks, or None where dividing the rows of a batch among them gains no time.

    A rule and not a measurement, so that the same ranks give the same bits.
    """
    if ranks is None:
        return None
    from ml2021.engine.shares import are_divided

    size = min(hparams.batch_size or rows, rows)
    is_large = 6 * size * network.layout.parameters >= _WORK_TO_DIVIDE
    return ranks if is_large or are_divided(ranks, len(hparams.seeds)) else None


def current_ranks() -> "Ranks | None":
    """Return the ranks that train together, of which this process leads; None if it is alone."""
    if not is_one_of_several():
        return None
    from ml2021.engine.distributed import current

    return current()


def member_limit(
    network: networks.Network, hparams: Hyperparameters, rows: int, share: float
) -> int | None:
    """Return how many members fit into a share of the free memory, at least 1.

    None if the system does not tell how much is free.
    """
    free = free_memory()
    if free is None:
        return None
    return max(1, int(share * free) // memory_needed(network, hparams, rows))


def memory_needed(
    network: networks.Network, hparams: Hyperparameters, rows: int, *, own_rows: bool = False
) -> int:
    """Return roughly how many bytes training the members takes, not counting the table.

    With `own_rows` each member has its own rows.
    """
    layout = network.layout
    batch = rows if hparams.batch_size is None else min(hparams.batch_size, rows)
    copies = 3 + len(optimizers.slot_names(hparams.optimizer))  # θ, its gradient, the best; slots
    values = copies * layout.parameters + 2 * batch * sum(layout.sizes)
    columns = layout.inputs + 1 + layout.outputs
    copied = 0 if hparams.batch_size is None else rows  # batches: a copy in the epoch's order
    if hparams.batch_size is not None and not own_rows:
        copied = min(rows, batch * batches_at_once(len(hparams.seeds), layout.inputs + 1, batch))
    values += (copied + own_rows * rows) * columns
    return 4 * len(hparams.seeds) * values
