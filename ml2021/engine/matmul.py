"""Matrix products, each by the library that is fastest for it on this processor.

`torch.bmm` calls MKL, which does not use the AVX-512 units of AMD processors. oneDNN, which torch
ships for convolutions, does: on one core of a Zen 5 it took 33-38 µs for the products of a layer of
W2 (100 x 101 x 256), MKL 48-59; for those of W3 (256 x 257 x 4096) 2.5 ms, MKL 5.6. But a call has
11 µs of overhead instead of 1, and allocates its result. So small products are left to MKL.

Legend: K members, (M, I) · (I, N) = (M, N).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]
"""product(left, right): left (K, M, I) · right (K, I, N), valid until the next call."""
LEAST_WORK = 1_500_000
"""The fewest multiplications per member and thread for which oneDNN is used.

Measured alone, the libraries break even at 1.1 million with one thread and 1.9 million with two;
within an update, between whose products threads fall asleep, two of them at 2.6 million (W2)."""


def build_product(out: Tensor, inner: int, *, is_placed: bool = False) -> Product:
    """Return a product with inner dimension I whose result has the shape and dtype of `out`.

    `out` is (K, M, N). The library is chosen for torch's current number of threads, and kept if
    that changes. With `is_placed` the result is written to `out`; otherwise it may be. Each
    member's right matrix, or its transpose, must be contiguous.
    """
    members, rows, columns = out.shape
    least = LEAST_WORK * torch.get_num_threads()
    if rows * inner * columns < least or not _has_faster(out):
        return partial(torch.bmm, out=out)
    if members > 1:
        return partial(_multiply_each, out=out)
    return partial(_multiply_into, out=out) if is_placed else _multiply


def _has_faster(out: Tensor) -> bool:
    """Whether oneDNN supports this dtype and device, and is faster than MKL."""
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
    for rows, matrix, result in zip(left.unbind(), right.unbind(), out.unbind(), strict=True):
        result.copy_(_linear(rows, matrix.mT))
    return out


def _linear(rows: Tensor, weight: Tensor) -> Tensor:
    """Return rows (..., M, I) · weightᵀ, for weight (N, I) or its transpose contiguous.

    With other strides oneDNN falls back to code that is 2,000 times slower.
    """
    assert weight.is_contiguous() or weight.mT.is_contiguous()
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, None, "none", [], "")
    return product
