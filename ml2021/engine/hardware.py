"""The machine that training runs on: device, threads, memory."""

from pathlib import Path

import torch

from ml2021.engine import networks, optimizers
from ml2021.engine.state import Hyperparameters
from ml2021.errors import ConfigError, ResourceError
from ml2021.files import cores

_WORK_OF_A_THREAD = 4e6
"""Floating-point operations of an update from which a second thread helps: at W1 (1.1 million) two
threads take 1.06 of the time of one, at W2 (34 million) 0.76, at W3 0.57."""


def choose_device(name: str) -> torch.device:
    """Return the device; `auto` is cuda where there is one.

    Raises ResourceError when one is asked for by name and is not there: never the CPU in silence.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"torch {torch.__version__} finds {count} CUDA devices"
            raise ResourceError(f"device: {name} is not to be had, {found}; set device: cpu")
    return device


def choose_threads(network: networks.Network, batch_rows: int) -> int:
    """Return the number of CPU threads for an update of this shape, at most one per core."""
    work = 6 * batch_rows * network.layout.parameters
    return max(1, min(cores(), round(work / _WORK_OF_A_THREAD)))


def check_memory(
    network: networks.Network,
    hparams: Hyperparameters,
    rows: int,
    where: str,
    *,
    own_rows: bool = False,
) -> None:
    """Refuse a network that cannot fit, before anything is allocated.

    `own_rows` says that each of several members has rows of its own. Raises ConfigError that names
    what is needed and what is free.
    """
    needed, free = memory_needed(network, hparams, rows, own_rows=own_rows), _free_memory()
    if free is not None and needed > free:
        batch = rows if hparams.batch_size is None else min(hparams.batch_size, rows)
        members = len(hparams.seeds)
        several = f"{members:,} members of " if members > 1 else ""
        raise ConfigError(
            f"{where}: {several}{network.layout.parameters:,} parameters and batches of {batch:,} "
            f"rows need {needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free; "
            "make the widths or train.batch_size smaller"
        )


def member_limit(
    network: networks.Network, hparams: Hyperparameters, rows: int, share: float
) -> int | None:
    """Return how many members fit that share of the free memory, at least one; None if unknown."""
    free = _free_memory()
    if free is None:
        return None
    return max(1, int(share * free) // memory_needed(network, hparams, rows))


def memory_needed(
    network: networks.Network, hparams: Hyperparameters, rows: int, *, own_rows: bool = False
) -> int:
    """Return about how many bytes the members of a pack take in training, beside the table.

    With `own_rows` each has rows of its own.
    """
    layout = network.layout
    batch = rows if hparams.batch_size is None else min(hparams.batch_size, rows)
    copies = 3 + len(optimizers.slot_names(hparams.optimizer))  # θ, its gradient, the best; slots
    values = copies * layout.parameters + 2 * batch * sum(layout.sizes)
    times = own_rows + (hparams.batch_size is not None)  # once more in the order of the epoch
    values += times * rows * (layout.inputs + 1 + layout.outputs)
    return 4 * len(hparams.seeds) * values


def _free_memory() -> int | None:
    """Return the bytes of memory that are free, or None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(sizes[0]) * 1024 if sizes else None
