"""Sections on rows: truth beside prediction, and the rows that it gets most wrong.

Legend: N rows, T targets, C classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.console import number
from ml2021.data.preprocessing import ClassTarget, RealTargets
from ml2021.errors import echo
from ml2021.figures import classes as class_figures
from ml2021.figures import predictions as figures
from ml2021.metrics import confusion_matrix
from ml2021.report.blocks import Block, Picture, Section, Table, Text
from ml2021.report.columns import Column, column_text
from ml2021.report.material import Material, Rows
from ml2021.scoring import Floats

_BINS = 10
_WORST = 10
_SHOWN_COLUMNS = 6
_LONG_SERIES = 400
_LATEST = 150
_MOST_CLASSES = 60

Cells = Callable[[int], list[str]]
"""A row's place -> what the table says of it."""


def predictions(material: Material, rows: Rows) -> Section:
    """Return truth beside prediction, as fits the task."""
    target = material.preprocessing.target
    if isinstance(target, ClassTarget):
        return Section(
            "predictions",
            "Truth against prediction",
            f"On {rows.described}: a good network has its counts on the diagonal, and what it "
            "calls 80 % sure comes true 80 times of 100.",
            _class_pictures(material, rows, target),
        )
    see = "points close to the line are right, and a bend or a fan in the residuals is something "
    see += "that the network has not found"
    blocks: list[Block] = []
    if target.width == 1 and rows.is_series:
        blocks += _series_pictures(rows, material.target_name)
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


def _is_many(values: Floats) -> bool:
    return len(values) > figures.MOST_POINTS


def _pooled(rows: Rows, target: RealTargets) -> tuple[Floats, Floats]:
    """Return all values (N · T,) of all targets in one unit: the data's, or deviations."""
    truth, predicted = rows.values, rows.predictions
    if target.common_scale is None:
        truth, predicted = target.standardise(truth), target.standardise(predicted)
    return truth.ravel(), predicted.ravel()


def _series_pictures(rows: Rows, unit: str) -> list[Block]:
    when: NDArray[np.generic] = rows.places + 1 if rows.when is None else rows.when
    axis = "row" if rows.when_name is None or rows.when is None else rows.when_name
    truth, predicted = rows.values[:, 0], rows.predictions[:, 0]
    blocks: list[Block] = []
    if len(rows) <= _LONG_SERIES:
        return [
            Picture(
                "over_time",
                figures.over_time(when, truth, predicted, unit, axis, ""),
                "Truth and prediction over time.",
                wide=True,
            )
        ]
    block = -(-len(rows) // _LONG_SERIES)
    kept = len(rows) // block * block
    means = [values[:kept].reshape(-1, block).mean(axis=1) for values in (truth, predicted)]
    blocks.append(
        Picture(
            "over_time",
            figures.over_time(when[:kept:block], means[0], means[1], unit, axis, "all of it"),
            f"Each point is the mean of {block} rows in a row.",
            wide=True,
        )
    )
    last = slice(len(rows) - _LATEST, None)
    blocks.append(
        Picture(
            "over_time_latest",
            figures.over_time(
                when[last], truth[last], predicted[last], unit, axis, f"the last {_LATEST} rows"
            ),
            "The end of the series, row by row.",
            wide=True,
        )
    )
    return blocks


def _row_errors(rows: Rows, target: RealTargets) -> Floats:
    """Return the root mean square error (N,) of each row, in deviations of the targets."""
    errors = (rows.values - rows.predictions) / np.array(target.scales)
    return np.asarray(np.sqrt(np.square(errors).mean(axis=1)), np.float64)


def _structured_pictures(rows: Rows, target: RealTargets, material: Material) -> list[Block]:
    errors = _row_errors(rows, target)
    order = np.argsort(errors, kind="stable")
    count = min(6, len(rows))
    chosen = order[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    truth, predicted = rows.values[chosen], rows.predictions[chosen]
    names = [f"row {rows.places[place] + 1:,}" for place in chosen]
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
    unit = "mean absolute error"
    if target.common_scale is None:
        each, spread = each / np.array(target.scales), spread / np.array(target.scales)
        unit += ", in deviations"
    blocks.append(
        Picture(
            "targets",
            figures.errors_by_target(each, spread, target.labels, unit),
            "The error of each target, beside that of always saying its mean.",
        )
    )
    return blocks


def _class_pictures(material: Material, rows: Rows, target: ClassTarget) -> list[Block]:
    report = material.reports.get(rows.part)
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
                class_figures.confusion(counts, target.labels),
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


def _reliability(truth: NDArray[np.int64], chances: Floats, target: ClassTarget) -> Picture:
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
        class_figures.reliability(means, shares, counts[used].astype(np.int64), what),
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


def worst(material: Material, rows: Rows, columns: Sequence[Column], of: int) -> Section:
    """Return the rows that it gets most wrong, with their values of some columns.

    `columns` are those that matter most, the first first, `of` so many.
    """
    target = material.preprocessing.target
    if isinstance(target, ClassTarget):
        headings, errors, cells = _class_cells(rows, target)
    else:
        headings, errors, cells = _real_cells(rows, target)
    order = np.argsort(-errors, kind="stable")[:_WORST]
    shown = columns[:_SHOWN_COLUMNS]
    lines = []
    for place in order:
        line = [f"{rows.places[place] + 1:,}"]
        if rows.when is not None:
            line.append(str(rows.when[place]).replace("T00:00:00", "").replace("T", " "))
        line += cells(int(place))
        line += [echo(column_text(column, rows.inputs[place])) for column in shown]
        lines.append(line)
    names = ["row"] + ([echo(rows.when_name)] if rows.when is not None else [])
    names += [*headings, *(echo(column.name) for column in shown)]
    blocks: list[Block] = [Table(names, lines)]
    if (more := of - len(shown)) > 0:
        blocks.append(
            Text(f"The columns that matter most are shown; there are {more:,} more of them.")
        )
    return Section(
        "worst",
        "Where it fails",
        f"The largest errors on {rows.described}. What do these rows have in common, and could a "
        "person have known better? Rows are counted from 1 below the header.",
        blocks,
    )


def _class_cells(rows: Rows, target: ClassTarget) -> tuple[list[str], Floats, Cells]:
    labels, known = target.labels, rows.classes
    chosen = rows.predictions.argmax(axis=1)
    of_truth = np.where(known >= 0, rows.predictions[np.arange(len(rows)), known], 0.0)

    def cells(place: int) -> list[str]:
        true = labels[known[place]] if known[place] >= 0 else "(never seen)"
        stated = f"{100 * rows.predictions[place].max():.1f} %"
        return [echo(true), echo(labels[chosen[place]]), stated, f"{100 * of_truth[place]:.1f} %"]

    return ["truth", "prediction", "how sure", "of the truth"], 1 - of_truth, cells


def _real_cells(rows: Rows, target: RealTargets) -> tuple[list[str], Floats, Cells]:
    differences = rows.values - rows.predictions
    errors = _row_errors(rows, target)
    headings = ["truth", "prediction", "error"]
    if target.width > 1:
        headings = ["error, deviations", "worst target", *headings]

    def cells(place: int) -> list[str]:
        worst_target = int(np.abs(differences[place] / np.array(target.scales)).argmax())
        numbers = (rows.values, rows.predictions, differences)
        line = [number(float(values[place, worst_target])) for values in numbers]
        if target.width > 1:
            line = [number(float(errors[place])), echo(target.labels[worst_target]), *line]
        return line

    return headings, errors, cells
