"""The outputs of networks, of which every prediction and every score is made.

Legend: K members, N rows, F features, T outputs, P parameters.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.disk import empty
from ml2021.engine.networks import Network, Pass, initial_parameters

INFERENCE_ROWS = 240
"""The rows of one block of `member_outputs`, whatever the number of rows: a multiple of the tiles
of 12, 24 and 48 in which products are computed, so that none is narrower at the end."""
_FEW_ROWS = (12, 24, 48)
"""Rows of smaller blocks, for tables that need no more; see `_form_for_few_rows`."""
_MOST_TOGETHER = 1_000_000
"""The most parameters of members whose outputs for a few rows are computed together."""
_LEAST_SHARED = 10_000_000
"""The fewest multiplications of a block for which several threads share the blocks: with fewer they
wait for the interpreter."""
_BLOCKS_AT_ONCE = 100
"""The most blocks that a thread computes before it looks whether the rest is still wanted."""
_LARGEST = float(np.finfo(np.float32).max)


def member_outputs(
    network: Network, theta: Tensor, inputs: NDArray[np.float32]
) -> Iterator[NDArray[np.float64]]:
    """Yield the outputs (N, T) of each member of θ (K, P) in turn, for rows (N, F + 1).

    Only the loss and the scores of an epoch are computed by `networks.Forward`. Inputs and
    parameters are float32, as in training, all arithmetic and the outputs float64. A row's outputs
    do not depend on the rows beside it: a product of matrices may add in another order where shapes
    or strides differ, so every block has the same number of rows, the last one filled up, and the
    same layout, and one thread computes it. On processors where a row's place in the block still
    matters, it is by about 1e-16. A few rows take a smaller block, and all members together, only
    where it gives the same bits. Memory beside the outputs holds a block for each thread.
    """
    rows, together = INFERENCE_ROWS, 1
    if len(inputs) <= _FEW_ROWS[-1] and theta.device.type == "cpu":
        rows, together = _form_for_few_rows(network, len(theta))
    return _outputs_in_blocks(network, theta, inputs, rows, together)


@cache
def _form_for_few_rows(network: Network, members: int) -> tuple[int, int]:
    """Return how many rows and members of a block are fastest for a few rows.

    Of those whose outputs are, on this processor, those of `INFERENCE_ROWS` and one member, bit for
    bit. In which order a product adds depends on the shapes and not on the values, so a block of
    random ones tells.
    """
    together = members if members * network.layout.parameters <= _MOST_TOGETHER else 1
    generators = [torch.Generator().manual_seed(seed) for seed in range(together)]
    theta = initial_parameters(network, generators)
    shape = INFERENCE_ROWS, network.layout.inputs + 1
    inputs = torch.randn(shape, generator=generators[0]).numpy()
    whole = [*_outputs_in_blocks(network, theta, inputs, INFERENCE_ROWS, 1)]
    for form in itertools.product(_FEW_ROWS, dict.fromkeys((together, 1))):
        if np.array_equal([*_outputs_in_blocks(network, theta, inputs, *form)], whole):
            return form
    return INFERENCE_ROWS, 1


@torch.inference_mode()
def _outputs_in_blocks(
    network: Network, theta: Tensor, inputs: NDArray[np.float32], rows: int, together: int
) -> Iterator[NDArray[np.float64]]:
    """Yield `member_outputs`, computed in blocks of this many rows and members."""
    threads, starts = torch.get_num_threads(), range(0, len(inputs), rows)
    is_shared = rows * network.layout.parameters >= _LEAST_SHARED and theta.device.type == "cpu"
    share = min(-(-len(starts) // threads), _BLOCKS_AT_ONCE) if is_shared else len(starts)
    pieces = [starts[first : first + share] for first in range(0, len(starts), max(1, share))]
    parameters = torch.empty_like(theta[:together], dtype=torch.float64)
    blocks = _Blocks(network, parameters, rows)
    for members in theta.split(together):
        parameters.copy_(members)
        shape = len(members), len(inputs), network.layout.outputs
        outputs: NDArray[np.float64] = empty(shape, np.float64)
        try:
            if len(pieces) < 2:
                blocks.write(inputs, outputs, starts)
            else:
                own = partial(_write, network, parameters, rows, inputs, outputs)
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(own, pieces))
        finally:
            torch.set_num_threads(threads)
        yield from outputs


class _Blocks:
    """What computes blocks of rows, one after the other, in one thread."""

    def __init__(self, network: Network, parameters: Tensor, rows: int) -> None:
        self._block = parameters.new_zeros(1, network.layout.inputs + 1, rows).mT
        self._inputs = self._block.expand(len(parameters), -1, -1)
        self._forward = Pass(network, parameters, rows).forward

    def write(
        self, inputs: NDArray[np.float32], outputs: NDArray[np.float64], starts: Sequence[int]
    ) -> None:
        """Write the outputs (K, N, T) of the blocks of rows that start there."""
        torch.set_num_threads(1)
        rows = self._block.shape[1]
        for start in starts:
            count = min(rows, len(inputs) - start)
            self._block[0, :count] = torch.from_numpy(inputs[start : start + count])
            found = self._forward(self._inputs)[:, :count]
            outputs[:, start : start + count] = found.cpu().numpy()


@torch.inference_mode()
def _write(
    network: Network,
    parameters: Tensor,
    rows: int,
    inputs: NDArray[np.float32],
    outputs: NDArray[np.float64],
    starts: Sequence[int],
) -> None:
    """Write the outputs of some blocks, in a thread of their own."""
    _Blocks(network, parameters, rows).write(inputs, outputs, starts)


def are_finite(outputs: NDArray[np.float64]) -> bool:
    """Whether float32, in which a network trains, holds all of these outputs."""
    return bool(max(-outputs.min(initial=0), outputs.max(initial=0)) <= _LARGEST)
