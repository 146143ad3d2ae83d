"""What the values of a number column look like: pixels, identifiers, or codes for missing values.

These are guesses that name a key of the config; only pixels change what is trained.
Legend: N rows, K pixel columns.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.tables import is_number

if TYPE_CHECKING:
    import pandas as pd

_SAMPLE = 2_000
"""Rows, evenly spaced, that nearly always show that a column has nothing odd."""
_FEWEST_PIXELS = 16
_NUMBERED = re.compile(r"(.*?)\d+(?:[-_x.,]\d+)?")
"""A stem and a number, or a row and a column."""
_PIXEL_STEM = re.compile(r"(?:.*[^a-z])?(?:pixels?|pix|px|img|image)[^a-z]*", re.IGNORECASE)
_PIXEL_DEPTHS = (1, 15, 16, 31, 32, 63, 64, 127, 128, 255)
"""The largest values of pixels: of so many bits, of sums over blocks, or shares."""


def pixel_groups(frame: "pd.DataFrame", names: Sequence[str]) -> dict[str, str]:
    """Return the common stem of the names of each column that looks like a pixel of an image.

    These are at least 16 columns of numbers, named by one stem and a number, all integers from 0 to
    255 or all from 0 to 1, and with more than two values (otherwise they may be one-hot columns).
    Unless they are named pixel or the like, their values must be those of images, too.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if (match := _NUMBERED.fullmatch(name)) and is_number(frame[name]):
            groups.setdefault(match[1], []).append(name)
    return {
        name: stem
        for stem, members in groups.items()
        if len(members) >= _FEWEST_PIXELS and _can_be_pixels(frame, members)
        if _PIXEL_STEM.fullmatch(stem) or _are_like_images(frame, members)
        for name in members
    }


def _can_be_pixels(frame: "pd.DataFrame", members: Sequence[str]) -> bool:
    """Whether the columns are in the range of pixels; stops at the first that is not."""
    are_whole = are_shares = True
    seen: set[float] = set()
    for name in members:
        known = frame[name].dropna().to_numpy(np.float64)
        if known.size == 0:
            continue
        highest = known.max()
        are_shares = are_shares and highest <= 1
        are_whole = are_whole and highest <= 255 and bool((known == np.floor(known)).all())
        if known.min() < 0 or not (are_whole or are_shares):
            return False
        if len(seen) <= 2:
            seen.update(np.unique(known)[:3].tolist())
    return len(seen) > 2


def _are_like_images(frame: "pd.DataFrame", members: Sequence[str]) -> bool:
    """Whether neighbouring columns are alike, and many of them reach a largest value of pixels.

    Answers from 1 to 5, counts, and numbers scaled to 0..1 fail one of the two.
    """
    rows = np.linspace(0, len(frame) - 1, min(len(frame), _SAMPLE)).astype(np.int64)
    values = np.stack([frame[name].to_numpy()[rows] for name in members], 1).astype(np.float64)
    values = np.where(np.isnan(values), 0.0, values)
    varying = values[:, np.ptp(values, axis=0) > 0]
    if varying.shape[1] < _FEWEST_PIXELS or len(rows) < 3:
        return False
    tops = varying.max(axis=0)
    top = tops.max()
    if top not in _PIXEL_DEPTHS or (tops >= 0.9 * top).mean() < 0.25:
        return False
    if top == 1 and (varying == 0).mean() < 0.1:
        return False
    spread = varying - varying.mean(axis=0)
    spread /= np.sqrt(np.square(spread).sum(axis=0))
    return float((spread[:, 1:] * spread[:, :-1]).sum(axis=0).mean()) > 0.3


def looks_like_identifier(column: "pd.Series", target: "pd.Series") -> bool:
    """Whether whole numbers are nearly all different, in no order, and unrelated to the target.

    They also fill their range evenly, as shuffled row numbers and random codes do: the largest
    distance from an even distribution is within chance (Kolmogorov and Smirnov).
    """
    values = column.to_numpy(np.float64)
    some = values[:_SAMPLE]
    if len(values) < 30 or np.isnan(some).any() or (some != np.floor(some)).any():
        return False
    if len(np.unique(some)) < 0.99 * len(some) or (np.diff(some) > 0).mean() > 0.9:
        return False
    distinct = np.unique(values[~np.isnan(values)])
    count = len(distinct)
    if count < 0.99 * len(values) or np.ptp(distinct) == 0:
        return False
    places = (distinct - distinct[0]) / np.ptp(distinct)
    if np.abs(places - np.linspace(0, 1, count)).max() > 1.4 / np.sqrt(count):
        return False
    return not _is_related(values, target)


def _is_related(values: NDArray[np.float64], target: "pd.Series") -> bool:
    """Whether values (N,), or their ranks, are correlated with the target by more than chance."""
    if is_number(target):
        known = target.to_numpy(np.float64)
        kept = np.isfinite(values) & np.isfinite(known)
        against = [known[kept], _ranks(known[kept])]
    else:
        kept = np.isfinite(values) & target.notna().to_numpy()
        labels = target[kept]
        common = labels.value_counts().index[:10]
        against = [(labels == label).to_numpy(np.float64) for label in common]
    if kept.sum() < 3:
        return False
    own = values[kept], _ranks(values[kept])
    pairs = [(x, y) for x in own for y in against if np.ptp(x) > 0 and np.ptp(y) > 0]
    return any(abs(np.corrcoef(x, y)[0, 1]) > 3 / np.sqrt(kept.sum()) for x, y in pairs)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


_MOST_CODES = 3
_FEWEST_REPEATS = 5
_FEWEST_DISTINCT = 10
_CODE = re.compile(r"-?(?:9+(?:\.9+)?|8{3,}|7{3,})|-?\d\.\d+e\+(?:[23]\d)|-?1e\+(?:[23]\d)")
"""Numbers that are written for a missing value: 999, -9999, 99.9, 8888, 9.97e+36."""
_CODES = {-32768.0, 32767.0, 65535.0, -2147483648.0, 2147483647.0, -(2.0**63), 2.0**63}


def far_codes(column: "pd.Series") -> list[tuple[float, int, float]]:
    """Return values that stand far outside all others and repeat, as codes for "missing" do.

    Each with its count and its distance from the others in their interquartile ranges, negative if
    below them, ∞ if that range is 0. Far is more than 3 ranges, and than the span of the others,
    for a value such as -999 that repeats; more than 5, and twice the span, for any other that
    repeats five times. Heavy tails do not repeat, and capped values are not apart.
    """
    values = column.to_numpy(np.float64)
    values = values[~np.isnan(values)] if np.isnan(values).any() else values
    if len(values) < 2 * _FEWEST_DISTINCT or not _is_suspicious(values):
        return []
    distinct, counts = np.unique(values, return_counts=True)
    best: list[tuple[float, int, float]] = []
    for low in range(_MOST_CODES + 1):
        for high in range(_MOST_CODES + 1 - low):
            stop = len(distinct) - high
            if low + high <= len(best) or stop - low < 3:
                continue
            inner, repeats = distinct[low:stop], counts[low:stop]
            ends = np.cumsum(repeats)
            quarter, three = np.searchsorted(ends, [0.25 * ends[-1], 0.75 * ends[-1]])
            width, span = inner[three] - inner[quarter], np.ptp(inner)
            found = []
            for place in (*range(low), *range(stop, len(distinct))):
                value, count = float(distinct[place]), int(counts[place])
                gap = inner[0] - value if place < low else value - inner[-1]
                is_code = _CODE.fullmatch(f"{value:g}") is not None or value in _CODES
                if is_code:
                    is_far = count > 1 and gap > 3 * width and gap > span
                else:
                    enough = count >= _FEWEST_REPEATS and len(inner) >= _FEWEST_DISTINCT
                    is_far = bool(enough and width > 0 and gap > 5 * width and gap > 2 * span)
                if is_far:
                    ranges = gap / width if width else np.inf
                    found.append((value, count, float(-ranges if place < low else ranges)))
            if len(found) == low + high:
                best = found
    return best


def _is_suspicious(values: NDArray[np.float64]) -> bool:
    """Whether an end of the values (N,) repeats and is far from the next ones: one quick pass."""
    lowest, highest = values.min(), values.max()
    repeated = [np.count_nonzero(values == end) > 1 for end in (lowest, highest)]
    if lowest == highest or not any(repeated):
        return False
    some = values[:: max(1, len(values) // _SAMPLE)]
    low, high = np.quantile(some, [0.25, 0.75])
    # A code is farther from the others than these span, so half of all lie in less than half.
    if high - low >= 0.5 * (highest - lowest):
        return False
    inner = values[(values != lowest) & (values != highest)]
    if len(inner) == 0:
        return False
    apart = (inner.min() - lowest, highest - inner.max())
    return any(
        repeats and gap > 0.05 * (highest - lowest)
        for repeats, gap in zip(repeated, apart, strict=True)
    )


def is_apart(column: "pd.Series", value: float) -> int:
    """Return how often a value that is a code in another column occurs in this one, too.

    0 if it lies within the others, or closer to them than half their interquartile range.
    """
    values = column.to_numpy(np.float64)
    is_code = values == value
    count = int(np.count_nonzero(is_code))
    others = values[~is_code & ~np.isnan(values)]
    if count < 2 or len(others) == 0:
        return 0
    low, high = np.quantile(others, [0.25, 0.75])
    gap = max(others.min() - value, value - others.max())
    return count if gap > 0.5 * (high - low) else 0
