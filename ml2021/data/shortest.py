"""The shortest decimal numbers that stand for floats of 32 bits, as a file would hold them.

0.1 as float32 is 0.100000001490116 as float64, but the file of a table holds 0.1. numpy finds the
same digits one by one, as text; this takes a quarter of the time.
"""

import numpy as np
from numpy.typing import NDArray

_MOST_DIGITS = 9
"""Significant digits that tell all numbers of float32 apart; the first six need no search."""
_POWERS = 10.0 ** np.arange(23)  # which float64 holds exactly
_FIRST, _LAST = -12, 25
"""The powers of ten between which a scaling to that many digits is exact."""
_EDGES = np.array([float(f"1e{power}") for power in range(_FIRST - 1, _LAST + 1)])
_TIE = 1e-6


@np.errstate(invalid="ignore")  # some patterns of NaN
def shortest(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each number (N,) the float64 of the shortest text that reads as it.

    Of several, the one nearest to it, as numpy and Python write it.
    """
    found = values.astype(np.float64)
    size = np.abs(found)
    is_scaled = (size >= 10.0**_FIRST) & (size < 10.0**_LAST)
    # The neighbours of a power of two are not equally far away.
    is_hard = (np.abs(np.frexp(values)[0]) == 0.5) | (~is_scaled & (size > 0) & np.isfinite(size))
    rest = np.flatnonzero(is_scaled & ~is_hard)
    for digits in range(6, _MOST_DIGITS + 1):
        scale = digits - _FIRST - np.searchsorted(_EDGES, size[rest], "right") + 1
        up, down = _POWERS[np.clip(scale, 0, 22)], _POWERS[np.clip(-scale, 0, 22)]
        scaled = found[rest] * up / down
        whole = np.rint(scaled)
        candidates = whole * down / up  # rounded once, so the float64 of that text
        is_tie = np.abs(np.abs(scaled - whole) - 0.5) < _TIE
        fits = ~is_tie & (candidates.astype(np.float32) == values[rest])
        found[rest[fits]] = candidates[fits]
        is_hard[rest[is_tie]] = True
        rest = rest[~fits & ~is_tie]
    is_hard[rest] = True
    found[is_hard] = values[is_hard].astype("U32").astype(np.float64)
    return found
