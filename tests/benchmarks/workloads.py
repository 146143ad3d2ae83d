"""The workloads that the benchmarks share: sizes as in DESIGN.md section 6, data from a fixed seed.

Legend: N rows, F features, T outputs. How they are timed is left to `measure`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.engine.dataset import Dataset
from ml2021.engine.losses import CrossEntropy, Loss, Mse
from ml2021.engine.networks import Network, relu_stack

LR = 0.001
SEED = 2021
CSV_DIGITS = "%.6g"


@dataclass(frozen=True)
class Workload:
    """A network, its rows, and how they are visited; trained by Adam.

    classes: their number, or None for the regression of one number. epochs: how many make a block
    of a fifth of a second or more, peer_epochs of peers that need long. These peers get only the
    rows of `peer_batches` batches, so that their epoch is a second or less.
    """

    name: str
    rows: int
    features: int
    widths: tuple[int, ...]
    batch_size: int
    classes: int | None
    epochs: int
    peer_epochs: int
    peer_batches: int

    @property
    def outputs(self) -> int:
        """T, the number of outputs."""
        return self.classes or 1

    @property
    def network(self) -> Network:
        """The function that is trained."""
        return relu_stack(self.features, self.outputs, self.widths)

    @property
    def loss(self) -> Loss:
        """What is minimised."""
        return Mse() if self.classes is None else CrossEntropy()

    @property
    def peer_rows(self) -> int:
        """The number of rows that slow peers get."""
        return min(self.rows, self.peer_batches * self.batch_size)

    def batches(self, rows: int) -> int:
        """Return the number of updates that visit so many rows once."""
        return -(-rows // self.batch_size)

    def describe(self) -> str:
        """Return the sizes in words."""
        task = "regression" if self.classes is None else f"{self.classes} classes"
        return (
            f"{task}, {self.rows:,} x {self.features}, widths {list(self.widths)}, "
            f"batch {self.batch_size}"
        )


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", 1_400, 56, (100,), 32, None, 100, 10, 44),
        Workload("W2", 100_000, 20, (100, 100, 100), 256, None, 1, 1, 100),
        Workload("W3", 400_000, 28, (256, 256, 256), 4096, None, 1, 1, 12),
        Workload("W4", 60_000, 784, (128,), 128, 10, 1, 1, 100),
    )
}


@dataclass(frozen=True)
class Rows:
    """inputs: (N, F) float32. targets: (N,), float32, or int64 for classes."""

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32] | NDArray[np.int64]

    def first(self, rows: int) -> "Rows":
        """Return the first so many rows, as contiguous arrays of their own."""
        return Rows(self.inputs[:rows].copy(), self.targets[:rows].copy())


def make_rows(workload: Workload, rows: int, part: int = 0) -> Rows:
    """Draw rows: normal features, and a bent sum of them plus noise, or its largest class.

    `part` tells draws of one workload apart that answer to one function: training, validation.
    """
    teacher = np.random.default_rng(SEED)
    weight = teacher.standard_normal((workload.features, workload.outputs), dtype=np.float32)
    random = np.random.default_rng((SEED, part))
    inputs = random.standard_normal((rows, workload.features), dtype=np.float32)
    clean = np.tanh(inputs @ weight / np.float32(workload.features**0.5))
    noisy = clean + np.float32(0.1) * random.standard_normal(clean.shape, dtype=np.float32)
    if workload.classes is None:
        return Rows(inputs, (noisy / noisy.std())[:, 0])
    return Rows(inputs, noisy.argmax(axis=1))


def to_dataset(rows: Rows, device: torch.device) -> Dataset:
    """Return the rows as the engine wants them: a last column of ones, targets (N, 1) if real."""
    ones = np.ones((len(rows.inputs), 1), np.float32)
    inputs = torch.from_numpy(np.concatenate([rows.inputs, ones], axis=1))
    targets = torch.from_numpy(rows.targets)
    return Dataset(inputs, targets[:, None] if targets.is_floating_point() else targets).to(device)


def write_csv(path: Path, rows: Rows, repeats: int = 1) -> None:
    """Write columns x0, x1, ..., y; the rows come `repeats` times, since formatting is slow."""
    names = [*(f"x{index}" for index in range(rows.inputs.shape[1])), "y"]
    table = np.concatenate([rows.inputs, rows.targets[:, None]], axis=1)
    line = ",".join([CSV_DIGITS] * len(names)) + "\n"
    text = "".join(line % tuple(values) for values in table.tolist())
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(names) + "\n")
        for _ in range(repeats):
            file.write(text)
