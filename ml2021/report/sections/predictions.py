"""The section on truth beside prediction, and its pictures for numbers.

Legend: N rows, T targets.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.formatting import number
from ml2021.inspection.rows import Rows
from ml2021.report.blocks import Block, Picture, Section
from ml2021.report.contents import Material
from ml2021.report.figures import predictions as figures
from ml2021.report.sections.classes import class_pictures

_LONG_SERIES = 400

_LATEST = 150


def predictions(material: Material, rows: Rows) -> Section:
    """Return truth beside prediction, as fits the task."""
    target = material.preprocessing.target
    if isinstance(target, ClassTarget):
        return Section(
            "predictions",
            "Truth against prediction",
            f"On {rows.described}: a good network has its counts on the diagonal, and what it "
            "calls 80 % sure comes true 80 times of 100.",
            class_pictures(material, rows, target),
        )
    see = "points close to the line are right, and a bend or a fan in the residuals is something "
    see += "that the network has not found"
    blocks: list[Block] = []
    if rows.is_series:
        blocks += _series_pictures(rows, target, material)
    if target.width > 1:
        see = "the drawn rows go from the best to the worst; where the worst look wrong in the "
        see += "same way, there is something to find"
        blocks += _structured_pictures(rows, target, material)
    truth, predicted = _pooled(rows, target)
    what = "rows" if target.width == 1 else "values"
    blocks += [
        Picture(
            "truth_prediction",
            figures.truth_against_prediction(truth, predicted, material.unit),
            f"Each point is one of {len(truth):,} {what}"
            + (f", of which {figures.MOST_POINTS:,} are drawn." if _is_many(truth) else "."),
        ),
        Picture(
            "residuals",
            figures.residuals(truth, predicted, material.unit),
            "What is left of the truth when the prediction is taken away: "
            f"half of all are between {number(float(np.quantile(truth - predicted, 0.25)))} and "
            f"{number(float(np.quantile(truth - predicted, 0.75)))}.",
        ),
    ]
    return Section(
        "predictions", "Truth against prediction", f"On {rows.described}: {see}.", blocks
    )


def _is_many(values: NDArray[np.float64]) -> bool:
    return len(values) > figures.MOST_POINTS


def _pooled(rows: Rows, target: RealTargets) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return all values (N · T,) of all targets in one unit: the data's, or deviations."""
    truth, predicted = rows.values, rows.predictions
    if target.common_scale is None:
        truth, predicted = target.standardise(truth), target.standardise(predicted)
    return truth.ravel(), predicted.ravel()


def _series_pictures(rows: Rows, target: RealTargets, material: Material) -> list[Block]:
    """Return truth and prediction over time, of several steps those of the first and the last.

    Other targets than the steps of a horizon are left to their own pictures.
    """
    if target.width > 1 and material.preprocessing.history is None:
        return []
    when, axis = _times(rows)
    places = sorted({0, target.width - 1})
    names = [f"{target.labels[place]}: {_ahead(place + 1)}" for place in places]
    if len(names) == 1:
        names = [""]
    what = "Truth and prediction over time"
    if len(places) > 1:
        what += f", of the nearest and the farthest of {target.width:,} steps, at the place of the "
        what += "first one"

    def panels(
        values: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return dict(zip(names, values, strict=True))

    pairs = [(rows.values[:, place], rows.predictions[:, place]) for place in places]
    unit = material.target_column
    if len(rows) <= _LONG_SERIES:
        figure = figures.over_time(when, panels(pairs), unit, axis)
        return [Picture("over_time", figure, f"{what}.", wide=True)]
    block = -(-len(rows) // _LONG_SERIES)
    kept = len(rows) // block * block
    means = [
        (truth[:kept].reshape(-1, block).mean(axis=1), said[:kept].reshape(-1, block).mean(axis=1))
        for truth, said in pairs
    ]
    last = slice(len(rows) - _LATEST, None)
    latest = [(truth[last], said[last]) for truth, said in pairs]
    return [
        Picture(
            "over_time",
            figures.over_time(when[:kept:block], panels(means), unit, axis),
            f"{what}: each point is the mean of {block} rows in a row.",
            wide=True,
        ),
        Picture(
            "over_time_latest",
            figures.over_time(when[last], panels(latest), unit, axis),
            f"The end of the series, the last {_LATEST} rows one by one.",
            wide=True,
        ),
    ]


def _ahead(steps: int) -> str:
    return "the next value" if steps == 1 else f"{steps:,} steps ahead"


def _times(rows: Rows) -> tuple[NDArray[np.generic], str]:
    """Return where along time each row stands (N,), and what that is called.

    A column that many rows share the value of, such as a year, cannot say it.
    """
    if rows.when is not None and rows.when_name is not None:
        if len(np.unique(rows.when)) == len(rows):
            return rows.when, rows.when_name
        return np.arange(1, len(rows) + 1), f"rows in the order of {rows.when_name}"
    return rows.places + 1, "row"


def _structured_pictures(rows: Rows, target: RealTargets, material: Material) -> list[Block]:
    errors = rows.errors(target)
    order = np.argsort(errors, kind="stable")
    count = min(6, len(rows))
    chosen = order[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    truth, predicted = rows.values[chosen], rows.predictions[chosen]
    names = [rows.moment(place) or f"row {rows.places[place] + 1:,}" for place in chosen]
    blocks: list[Block] = []
    caption = "From the best to the worst, by the error of the whole row."
    if target.shape is not None and len(target.shape) > 1:
        shape = (count, -1, target.shape[-1])
        figure = figures.images(
            truth.reshape(shape), predicted.reshape(shape), names, "values of the pixels"
        )
        blocks.append(Picture("images", figure, caption, wide=True))
    elif target.width >= 4 and target.common_scale is not None:
        axis = "step" if material.preprocessing.history is not None else "target"
        figure = figures.curves(truth, predicted, names, material.unit, axis)
        blocks.append(Picture("curves", figure, caption, wide=True))
    each = np.abs(rows.values - rows.predictions).mean(axis=0)
    spread = np.abs(rows.values - np.array(target.means)).mean(axis=0)
    unit = f"mean absolute error: {material.target_column}"
    if target.common_scale is None:
        each, spread = each / np.array(target.scales), spread / np.array(target.scales)
        unit = "mean absolute error, in deviations"
    blocks.append(
        Picture(
            "targets",
            figures.errors_by_target(each, spread, target.labels, unit),
            "The error of each target, beside that of always saying its mean.",
        )
    )
    return blocks
