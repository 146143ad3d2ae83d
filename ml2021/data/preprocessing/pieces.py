"""Numbers in pieces: the position of a value within each quantile bin of its column.

A value x is encoded, beside (x − mean) / scale, by the share of each bin from eₖ₋₁ to eₖ that lies
below it: 0 below the bin, 1 above it, linear between (Gorishniy et al. 2022, arXiv:2203.05556); and
less the mean of that share on the training rows, as all inputs are centred (on three splits with
five members, an RMSE of 3.37 instead of 3.54 on concrete, and a log loss of 0.125 instead of 0.128
on spambase). A linear function of these hard sigmoids is a curve with a bend at each edge.

Legend: N rows, K pieces of a column.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.column_types import FeatureColumn
from ml2021.data.preprocessing.records import Feature, NumberFeature
from ml2021.data.tables import Rows

if TYPE_CHECKING:
    import pandas as pd

MOST_PIECES = 1024
"""Inputs of all columns' pieces; wider tables have fewer pieces for each column."""
_ROWS_AT_ONCE = 1 << 14  # few enough to stay in the CPU cache
_FEWEST = 2  # a single piece is a multiple of the value beside it


def quantile_edges(values: NDArray[np.float64], pieces: int) -> tuple[float, ...]:
    """Return the increasing edges (K + 1,) of bins that hold equal shares of the values (N,).

    All edges are values, the first the smallest and the last the largest. Each next bin takes its
    share of the rows that are left, so that K is `pieces` however often a value is repeated, or one
    less than there are distinct values, and an edge at each of them.
    """
    distinct, counts = np.unique(values, return_counts=True)
    last = len(distinct) - 1
    if last <= pieces:
        return tuple(distinct.tolist())
    below = np.cumsum(counts)
    places = [0]
    for left in range(pieces, 1, -1):
        here = places[-1]
        share = below[here] + (below[last] - below[here]) / left
        place = int(np.searchsorted(below, share))
        places.append(min(max(place, here + 1), last - left + 1))
    return tuple(distinct[[*places, last]].tolist())


def fit_pieces(
    features: Sequence[Feature],
    columns: Sequence[FeatureColumn],
    frame: "pd.DataFrame",
    rows: Rows,
    pieces: int,
) -> list[Feature]:
    """Return the features with the edges and centres of their pieces on the training rows.

    Pixels and columns of at most two values have none. Where all columns together would have more
    than `MOST_PIECES`, each has fewer.
    """
    groups = {column.name: column.group for column in columns}
    edges = {
        feature.name: found
        for feature in features
        if isinstance(feature, NumberFeature) and groups[feature.name] is None
        if len(found := quantile_edges(_known(frame, feature.name, rows), pieces)) > _FEWEST
    }
    counts = np.array([len(each) - 1 for each in edges.values()])
    most = pieces
    while np.minimum(counts, most).sum() > MOST_PIECES:
        most -= 1
    if most < _FEWEST:
        return list(features)
    for name, found in edges.items():
        if len(found) - 1 > most:
            edges[name] = quantile_edges(_known(frame, name, rows), most)
    return [
        feature.model_copy(update=_pieces(edges[feature.name], _known(frame, feature.name, rows)))
        if feature.name in edges
        else feature
        for feature in features
    ]


def refit_pieces(
    feature: NumberFeature, frame: "pd.DataFrame", rows: Rows
) -> dict[str, tuple[float, ...]]:
    """Return as many edges as the feature has, and their centres, on other rows of its table.

    Where these have fewer distinct values the last edge is repeated, and those pieces are 0.
    """
    if not feature.edges:
        return {}
    known = _known(frame, feature.name, rows)
    count = len(feature.edges)
    edges = quantile_edges(known, count - 1) if known.size else feature.edges[:1]
    return _pieces(edges + edges[-1:] * (count - len(edges)), known)


def _pieces(edges: tuple[float, ...], known: NDArray[np.float64]) -> dict[str, tuple[float, ...]]:
    """Return the edges and the centres, the mean position of the known values in each piece."""
    sums = np.zeros(len(edges) - 1)
    for start in range(0, len(known), _ROWS_AT_ONCE):
        sums += positions(edges, known[start : start + _ROWS_AT_ONCE]).sum(axis=1)
    return {"edges": edges, "centres": tuple((sums / max(1, len(known))).tolist())}


def encode_pieces(
    edges: Sequence[float], centres: Sequence[float], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the inputs (K, N) of values (N,): their `positions` less the centres (K,)."""
    return np.asarray(positions(edges, values) - np.array(centres)[:, None])


def positions(edges: Sequence[float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the position (K, N) of each value (N,) within each piece, from 0 to 1."""
    lower, upper = np.array(edges[:-1])[:, None], np.array(edges[1:])[:, None]
    widths = np.where(lower < upper, upper - lower, np.inf)
    with np.errstate(over="ignore"):  # far outside a narrow piece, which is clipped
        found: NDArray[np.float64] = np.clip((values - lower) / widths, 0.0, 1.0)
    return found


def _known(frame: "pd.DataFrame", name: str, rows: Rows) -> NDArray[np.float64]:
    """Return the values of a column in these rows, without the missing ones."""
    values = frame[name].to_numpy(np.float64)[rows]
    known: NDArray[np.float64] = values[~np.isnan(values)]
    return known
