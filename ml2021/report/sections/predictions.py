"""The section on predictions: truth beside prediction, for numbers, structures and classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.evaluation.metrics import confusion_matrix
from ml2021.formatting import echo, number
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures import predictions as figures
from ml2021.report.html import Block, Picture, Section, Table

_LONG_SERIES = 400

_LATEST = 150


def predictions(contents: ReportContents, rows: InspectedRows) -> Section:
    """Return truth beside prediction, as fits the task."""
    target = contents.preprocessing.target
    if isinstance(target, ClassTarget):
        return Section(
            "predictions",
            "Truth against prediction",
            f"On {rows.described}: a good network has its counts on the diagonal, and what it "
            "calls 80 % sure comes true 80 times of 100.",
            class_pictures(contents, rows, target),
        )
    see = "points close to the line are right, and a bend or a fan in the residuals is something "
    see += "that the network has not found"
    blocks: list[Block] = []
    if rows.is_series:
        blocks += _series_pictures(rows, target, contents)
    if target.width > 1:
        see = "the drawn rows go from the best to the worst; where the worst look wrong in the "
        see += "same way, there is something to find"
        blocks += _structured_pictures(rows, target, contents)
    truth, predicted = _pooled(rows, target)
    what = "rows" if target.width == 1 else "values"
    blocks += [
        Picture(
            "truth_prediction",
            figures.truth_against_prediction(truth, predicted, contents.unit),
            f"Each point is one of {len(truth):,} {what}"
            + (f", of which {figures.MOST_POINTS:,} are drawn." if _is_many(truth) else "."),
        ),
        Picture(
            "residuals",
            figures.residuals(truth, predicted, contents.unit),
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


def _pooled(
    rows: InspectedRows, target: RealTargets
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return all values (N · T,) of all targets in one unit: the data's, or deviations."""
    truth, predicted = rows.values, rows.predictions
    if target.common_scale is None:
        truth, predicted = target.standardise(truth), target.standardise(predicted)
    return truth.ravel(), predicted.ravel()


def _series_pictures(
    rows: InspectedRows, target: RealTargets, contents: ReportContents
) -> list[Block]:
    """Return truth and prediction over time, of several steps those of the first and the last.

    Other targets than the steps of a horizon are left to their own pictures.
    """
    if target.width > 1 and contents.preprocessing.history is None:
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
    unit = contents.preprocessing.target_column
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


def _times(rows: InspectedRows) -> tuple[NDArray[np.generic], str]:
    """Return where along time each row stands (N,), and what that is called.

    A column that many rows share the value of, such as a year, cannot say it.
    """
    if rows.when is not None and rows.when_name is not None:
        if len(np.unique(rows.when)) == len(rows):
            return rows.when, rows.when_name
        return np.arange(1, len(rows) + 1), f"rows in the order of {rows.when_name}"
    return rows.places + 1, "row"


def _structured_pictures(
    rows: InspectedRows, target: RealTargets, contents: ReportContents
) -> list[Block]:
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
        axis = "step" if contents.preprocessing.history is not None else "target"
        figure = figures.curves(truth, predicted, names, contents.unit, axis)
        blocks.append(Picture("curves", figure, caption, wide=True))
    each = np.abs(rows.values - rows.predictions).mean(axis=0)
    spread = np.abs(rows.values - np.array(target.means)).mean(axis=0)
    unit = f"mean absolute error: {contents.preprocessing.target_column}"
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


_BINS = 10

_MOST_CLASSES = 60


def class_pictures(
    contents: ReportContents, rows: InspectedRows, target: ClassTarget
) -> list[Block]:
    """Return the confusion matrix, the reliability curve, and the pairs most often confused."""
    report = contents.evaluations.get(rows.part)
    known = rows.classes >= 0
    truth, chances = rows.classes[known], rows.predictions[known]
    if report is not None and report.confusion is not None:
        counts, seen = np.array(report.confusion, np.int64), report.rows
    else:
        counts = confusion_matrix(truth, chances.argmax(axis=1), target.width)
        seen = len(truth)
    blocks: list[Block] = []
    if target.width <= _MOST_CLASSES:
        blocks.append(
            Picture(
                "confusion",
                figures.confusion(counts, target.labels),
                f"{seen:,} rows: a line for each true class, a column for what was predicted.",
            )
        )
    if len(truth):
        blocks.append(_reliability(truth, chances, target))
    if target.width > 2 and (pairs := _confused(counts, target)):
        headings = ("true class", "predicted as", "rows", "of the class")
        caption = "What is taken for what, the most frequent first."
        blocks.append(Table(headings, pairs, caption=caption))
    return blocks


def _reliability(
    truth: NDArray[np.int64], chances: NDArray[np.float64], target: ClassTarget
) -> Picture:
    """Return the reliability curve: of two classes of the second, else of the predicted class."""
    if target.width == 2:
        stated, came = chances[:, 1], truth == 1
        what = target.labels[1]
    else:
        predicted = chances.argmax(axis=1)
        stated, came = chances.max(axis=1), predicted == truth
        what = "the predicted class"
    place = np.minimum((stated * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(place, minlength=_BINS)
    used = counts > 0
    means = np.bincount(place, stated, _BINS)[used] / counts[used]
    shares = np.bincount(place, came.astype(float), _BINS)[used] / counts[used]
    gap = float((np.abs(means - shares) * counts[used]).sum() / counts.sum())
    return Picture(
        "reliability",
        figures.reliability(means, shares, counts[used].astype(np.int64), what),
        f"Below the line it is too sure, above it not sure enough. On average, what is stated and "
        f"what came true are {100 * gap:.1f} points of a hundred apart.",
    )


def _confused(counts: NDArray[np.int64], target: ClassTarget) -> list[list[str]]:
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:8]
    pairs = [divmod(int(place), len(counts)) for place in order]
    return [
        [
            echo(target.labels[true]),
            echo(target.labels[taken]),
            f"{wrong[true, taken]:,}",
            f"{100 * wrong[true, taken] / counts[true].sum():.1f} %",
        ]
        for true, taken in pairs
        if wrong[true, taken]
    ]
