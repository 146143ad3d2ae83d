"""Matrix products, each by the library that is fastest for it on this processor.

`torch.bmm` goes to MKL, which does not use the AVX-512 of an AMD processor. oneDNN, which torch has
for its convolutions, does: on one core of a Zen 5 the products of a layer of W2 (100 x 101 x 256)
took it 33-38 µs where MKL took 48-59, and those of W3 (256 x 257 x 4096) 2.5 ms against 5.6. But a
call costs 11 µs before it multiplies, against 1, and its result lies in memory of its own. So small
products are left to MKL.

Legend: K members, (M, I) · (I, N) = (M, N).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]
"""product(left, right): left (K, M, I) · right (K, I, N), valid until the next call."""

LEAST_WORK = 1_500_000
"""How many multiplications a member's product has at least, for each thread, for oneDNN to pay.

Alone they break even at 1.1 million with one thread and 1.9 million with two; within an update, in
which threads fall asleep meanwhile, two of them broke even at 2.6 million (W2)."""


def build_product(out: Tensor, inner: int, *, is_placed: bool = False) -> Product:
    """Return the product whose result has the shape (K, M, N) and the dtype of `out`, and I inner.

    It is chosen for the number of threads that torch has now, and stays the same for another.
    The result lies in `out` where `is_placed`, and may lie there otherwise. On the right, each
    member's matrix or its transpose has to be contiguous.
    """
    members, rows, columns = out.shape
    least = LEAST_WORK * torch.get_num_threads()
    if rows * inner * columns < least or not _has_faster(out):
        return partial(torch.bmm, out=out)
    if members > 1:
        return partial(_multiply_each, out=out)
    return partial(_multiply_into, out=out) if is_placed else _multiply


def _has_faster(out: Tensor) -> bool:
    """Whether oneDNN multiplies such numbers, and faster than MKL."""
    return (
        out.device.type == "cpu"
        and out.dtype == torch.float32
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _multiply(left: Tensor, right: Tensor) -> Tensor:
    """Multiply a single member's matrices with oneDNN."""
    return _linear(left, right[0].mT)


def _multiply_into(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    return out.copy_(_multiply(left, right))


def _multiply_each(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """Multiply with oneDNN, member by member."""
    for one, other, place in zip(left.unbind(), right.unbind(), out.unbind(), strict=True):
        place.copy_(_linear(one, other.mT))
    return out


def _linear(rows: Tensor, weight: Tensor) -> Tensor:
    """Return rows (..., M, I) · weightᵀ for weight (N, I), which oneDNN needs dense.

    With other strides it takes a way that is 2,000 times slower.
    """
    assert weight.is_contiguous() or weight.mT.is_contiguous()
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, None, "none", [], "")
    return product
