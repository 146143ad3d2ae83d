"""The section on predictions: against the truth, by class, and the rows with the largest errors."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.data.samples import evenly_spaced
from ml2021.evaluation.confusion import Confusion
from ml2021.formatting import echo, number, plural
from ml2021.inspection.features import InspectedColumn, column_text, image_shape, images
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures import predictions as figures
from ml2021.report.figures import style
from ml2021.report.figures.predictions import gallery
from ml2021.report.html import Block, Picture, Section, Table, Text
from ml2021.report.sections.two_classes import two_class_blocks

_LONG_SERIES = 400
_LATEST = 150
_MOST_SERIES = 4


def predictions_section(contents: ReportContents, rows: InspectedRows) -> Section:
    """Return pictures of the predictions against the truth."""
    target = contents.preprocessing.target
    if isinstance(target, ClassTarget):
        return Section(
            "predictions",
            "Predictions",
            f"On {rows.description}. A good classifier has its counts on the diagonal, and its "
            "predictions of 80 % are right in 80 % of the cases.",
            class_pictures(contents, rows, target),
        )
    see = "Points on the line are exact. A bend or a fan in the residuals is structure that the "
    see += "network has missed."
    blocks: list[Block] = []
    if rows.is_series:
        blocks += _series_pictures(rows, target, contents)
    if target.width > 1:
        see = "The rows shown range from the best to the worst. If the worst are wrong in the same "
        see += "way, there is structure that the network has missed."
        blocks += _structured_pictures(rows, target, contents)
    truth, predicted = _pooled(rows, target)
    what = "rows" if target.width == 1 else "values"
    blocks += [
        Picture(
            "truth_prediction",
            figures.truth_against_prediction(truth, predicted, contents.unit),
            f"Prediction against truth. Each point is one of {len(truth):,} {what}"
            + (f"; {style.MOST_POINTS:,} are shown." if _is_many(truth) else "."),
        ),
        Picture(
            "residuals",
            figures.residuals(truth, predicted, contents.unit),
            "Residuals (truth − prediction). Half of them are between "
            f"{number(float(np.quantile(truth - predicted, 0.25)))} and "
            f"{number(float(np.quantile(truth - predicted, 0.75)))}.",
        ),
    ]
    return Section("predictions", "Predictions", f"On {rows.description}. {see}", blocks)


def _is_many(values: NDArray[np.float64]) -> bool:
    return len(values) > style.MOST_POINTS


def _pooled(
    rows: InspectedRows, target: RealTargets
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return all targets' values (N · T,), standardised if their units differ."""
    truth, predicted = rows.values, rows.predictions
    if target.common_scale is None:
        truth, predicted = target.standardise(truth), target.standardise(predicted)
    return truth.ravel(), predicted.ravel()


def _series_pictures(
    rows: InspectedRows, target: RealTargets, contents: ReportContents
) -> list[Block]:
    """Return truth and prediction over time; of several series those of the first ones."""
    if target.width > 1 and contents.preprocessing.history is None:
        return []
    if rows.groups is None:
        return _pictures_of_series(rows, target, contents)
    blocks: list[Block] = []
    every = rows.series()
    for index, (name, own) in enumerate([*every.items()][:_MOST_SERIES], 1):
        of = f" of {echo(name)} (series {index} of {len(every):,})"
        blocks += _pictures_of_series(own, target, contents, f"_{index}", of)
    return blocks


def _pictures_of_series(
    rows: InspectedRows,
    target: RealTargets,
    contents: ReportContents,
    ending: str = "",
    of: str = "",
) -> list[Block]:
    """Return truth and prediction over time, for a horizon those of the first and the last step.

    ending: of the names of the pictures. of: which series it is, for the captions.
    """
    when, axis = _times(rows)
    steps = sorted({0, target.width - 1})
    names = [f"{target.labels[step]}: {_ahead(step + 1)}" for step in steps]
    if len(names) == 1:
        names = [""]
    what = f"Truth and prediction{of} over time"
    if len(steps) > 1:
        what += f", one and {target.width:,} steps ahead, drawn at the time of the first step"

    unit = contents.preprocessing.target_column
    pairs = {
        name: (rows.values[:, step], rows.predictions[:, step])
        for name, step in zip(names, steps, strict=True)
    }
    if len(rows) <= _LONG_SERIES:
        return [_over_time(f"over_time{ending}", when, pairs, (unit, axis), f"{what}.")]
    block = -(-len(rows) // _LONG_SERIES)
    kept = len(rows) // block * block

    def block_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(values[:kept].reshape(-1, block).mean(axis=1), np.float64)

    means = {name: (block_means(true), block_means(own)) for name, (true, own) in pairs.items()}
    last = slice(len(rows) - _LATEST, None)
    latest = {name: (true[last], own[last]) for name, (true, own) in pairs.items()}
    return [
        _over_time(
            f"over_time{ending}",
            when[:kept:block],
            means,
            (unit, axis),
            f"{what}. Each point is the mean of {block} consecutive rows.",
        ),
        _over_time(
            f"over_time_latest{ending}",
            when[last],
            latest,
            (unit, axis),
            f"The last {_LATEST} rows{of or ' of the series'}.",
        ),
    ]


def _over_time(
    name: str,
    when: NDArray[np.generic],
    panels: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    labels: tuple[str, str],
    caption: str,
) -> Picture:
    """Return the picture as wide as the page, and another one for phones."""
    large, small = (
        figures.over_time(when, panels, *labels, width) for width in (style.PAGE_WIDTH, style.WIDE)
    )
    return Picture(name, large, caption, wide=True, narrow=small)


def _ahead(steps: int) -> str:
    return f"{plural(steps, 'step')} ahead"


def _times(rows: InspectedRows) -> tuple[NDArray[np.generic], str]:
    """Return the time of each row (N,) and the name of that axis.

    If rows share a value of the column that orders them, such as a year, they are numbered.
    """
    if rows.when is not None and rows.when_name is not None:
        if len(np.unique(rows.when)) == len(rows):
            return rows.when, rows.when_name
        return np.arange(1, len(rows) + 1), f"row, ordered by {rows.when_name}"
    return rows.places + 1, "row"


def _structured_pictures(
    rows: InspectedRows, target: RealTargets, contents: ReportContents
) -> list[Block]:
    errors = rows.errors(target)
    order = np.argsort(errors, kind="stable")
    count = min(6, len(rows))
    chosen = order[evenly_spaced(len(rows), count)]
    truth, predicted = rows.values[chosen], rows.predictions[chosen]
    names = [rows.time_text(index) or f"row {rows.places[index] + 1:,}" for index in chosen]
    if rows.groups is not None:
        names = [f"{rows.groups[i]}, {name}" for i, name in zip(chosen, names, strict=True)]
    blocks: list[Block] = []
    caption = "From the best row to the worst, by its RMSE over all targets."
    if target.shape is not None and len(target.shape) > 1:
        shape = (count, -1, target.shape[-1])
        figure = figures.images(
            truth.reshape(shape), predicted.reshape(shape), names, "pixel values"
        )
        blocks.append(Picture("images", figure, caption, wide=True))
    elif target.width >= 4 and target.common_scale is not None:
        axis = "step" if contents.preprocessing.history is not None else "target"
        figure = figures.curves(truth, predicted, names, contents.unit, axis)
        blocks.append(Picture("curves", figure, caption, wide=True))
    each = np.abs(rows.values - rows.predictions).mean(axis=0)
    spread = np.abs(rows.values - np.array(target.means)).mean(axis=0)
    unit = f"MAE: {contents.preprocessing.target_column}"
    if target.common_scale is None:
        each, spread = each / np.array(target.scales), spread / np.array(target.scales)
        unit = "MAE (standardised)"
    blocks.append(
        Picture(
            "targets",
            figures.errors_by_target(each, spread, target.labels, unit),
            "The mean absolute error of each target, next to that of predicting its mean.",
        )
    )
    return blocks


_BINS = 10
_MOST_CONFUSED = 8


def class_pictures(
    contents: ReportContents, rows: InspectedRows, target: ClassTarget
) -> list[Block]:
    """Return the confusion matrix, the calibration curve, and the pairs most often confused."""
    evaluation = contents.evaluations.get(rows.split)
    known = rows.classes >= 0
    truth, probabilities = rows.classes[known], rows.predictions[known]
    if evaluation is not None and evaluation.confusion is not None:
        confusion, seen = evaluation.confusion, evaluation.rows
    else:
        confusion = Confusion.of(truth, probabilities.argmax(axis=1), target.width)
        seen = len(truth)
    blocks: list[Block] = []
    if confusion.is_whole:
        blocks.append(
            Picture(
                "confusion",
                figures.confusion(confusion.table(), target.labels),
                f"Confusion matrix of {plural(seen, 'row')}: one line per true class, one column "
                "per predicted class.",
            )
        )
    if len(truth):
        blocks.append(_reliability(truth, probabilities, target))
    if len(truth) and target.width == 2:
        blocks += two_class_blocks(contents, rows, target)
    if target.width > 2 and (pairs := _confused(confusion, target)):
        headings = ("true class", "predicted as", "rows", "share of the class")
        caption = "The most frequent confusions."
        blocks.append(Table(headings, pairs, caption=caption))
    return blocks


def _reliability(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], target: ClassTarget
) -> Picture:
    """Return the calibration curve: of the second of two classes, else of the predicted class."""
    if target.width == 2:
        stated, is_right = probabilities[:, 1], truth == 1
        what = target.labels[1]
    else:
        predicted = probabilities.argmax(axis=1)
        stated, is_right = probabilities.max(axis=1), predicted == truth
        what = "the predicted class"
    bins = np.minimum((stated * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    used = counts > 0
    means = np.bincount(bins, stated, _BINS)[used] / counts[used]
    shares = np.bincount(bins, is_right.astype(float), _BINS)[used] / counts[used]
    gap = float((np.abs(means - shares) * counts[used]).sum() / counts.sum())
    return Picture(
        "reliability",
        figures.reliability(means, shares, counts[used].astype(np.int64), what),
        "Calibration. Below the diagonal the network is overconfident, above it underconfident. "
        f"Expected calibration error: {100 * gap:.1f} %.",
    )


def _confused(confusion: Confusion, target: ClassTarget) -> list[list[str]]:
    return [
        [
            echo(target.labels[true]),
            echo(target.labels[predicted]),
            f"{rows:,}",
            f"{100 * rows / confusion.rows[true]:.1f} %",
        ]
        for true, predicted, rows in confusion.mistakes(_MOST_CONFUSED)
    ]


_WORST = 10
_SHOWN_COLUMNS = 6
_SHOWN_BESIDE_TARGETS = 4
"""With several targets, two columns of the table name the worst of them."""
Cells = Callable[[int], list[str]]
"""A row's index -> its truth and prediction as cells of the table."""


def worst_rows_section(
    contents: ReportContents, rows: InspectedRows, columns: Sequence[InspectedColumn], total: int
) -> Section:
    """Return the rows with the largest errors, and their values in some columns.

    `columns` are the most important of `total`, in that order.
    """
    target = contents.preprocessing.target
    most = _SHOWN_COLUMNS
    if isinstance(target, ClassTarget):
        headings, errors, cells = _class_cells(rows, target)
    else:
        most = _SHOWN_COLUMNS if target.width == 1 else _SHOWN_BESIDE_TARGETS
        headings, errors, cells = _real_cells(rows, target)
    order = np.argsort(-errors, kind="stable")[:_WORST]
    shown = columns[:most]
    lines = []
    for index in order:
        line = [f"{rows.places[index] + 1:,}"]
        if rows.groups is not None:
            line.append(echo(rows.groups[index]))
        if rows.when is not None:
            line.append(rows.time_text(index))
        line += cells(int(index))
        line += [echo(column_text(column, rows.inputs[index])) for column in shown]
        lines.append(line)
    names = ["row"] + ([echo(contents.config.data.group_by)] if rows.groups is not None else [])
    names += [echo(rows.when_name)] if rows.when is not None else []
    names += [*headings, *(echo(column.name) for column in shown)]
    blocks: list[Block] = []
    if image_shape(contents.preprocessing) is not None:
        blocks.append(_gallery(contents, rows, order))
    blocks.append(Table(names, lines))
    if total > len(shown):
        blocks.append(
            Text(f"Only the {len(shown)} most important of {plural(total, 'column')} are shown.")
        )
    return Section(
        "worst",
        "Largest errors",
        f"The rows with the largest errors, of {rows.description}. What do they have in common, "
        "and could a person have predicted them better? Row 1 is the first below the header.",
        blocks,
    )


def _gallery(contents: ReportContents, rows: InspectedRows, order: NDArray[np.int64]) -> Picture:
    """Return the rows as images."""
    target = contents.preprocessing.target
    values = images(contents.preprocessing, rows.inputs[order])
    names = [f"row {rows.places[index] + 1:,}" for index in order]
    caption = "These rows as images, largest error first"
    if isinstance(target, ClassTarget):
        labels = (*target.labels, "?")  # index −1 is a class that training never saw
        predicted = rows.predictions[order].argmax(axis=1)
        true = rows.classes[order]
        names = [
            f"{labels[t]}, not {labels[p]}" if t != p else f"{labels[t]}"
            for t, p in zip(true, predicted, strict=True)
        ]
        caption += '. Titles: the true class and, after "not", a wrong prediction'
    figure = gallery(values, names, "pixel values")
    return Picture("worst_rows", figure, f"{caption}.", wide=True)


def _class_cells(
    rows: InspectedRows, target: ClassTarget
) -> tuple[list[str], NDArray[np.float64], Cells]:
    labels, known = target.labels, rows.classes
    chosen = rows.predictions.argmax(axis=1)
    of_truth = np.where(known >= 0, rows.predictions[np.arange(len(rows)), known], 0.0)

    def cells(index: int) -> list[str]:
        true = labels[known[index]] if known[index] >= 0 else "(unseen)"
        highest = f"{100 * rows.predictions[index].max():.1f} %"
        return [echo(true), echo(labels[chosen[index]]), highest, f"{100 * of_truth[index]:.1f} %"]

    headings = ["truth", "prediction", "probability", "probability of the truth"]
    return headings, 1 - of_truth, cells


def _real_cells(
    rows: InspectedRows, target: RealTargets
) -> tuple[list[str], NDArray[np.float64], Cells]:
    differences = rows.values - rows.predictions
    errors = rows.errors(target)
    headings = ["truth", "prediction", "error"]
    if target.width > 1:
        headings = ["RMSE (standardised)", "worst target", *headings]

    def cells(index: int) -> list[str]:
        worst_target = int(np.abs(differences[index] / np.array(target.scales)).argmax())
        numbers = (rows.values, rows.predictions, differences)
        line = [number(float(values[index, worst_target])) for values in numbers]
        if target.width > 1:
            line = [number(float(errors[index])), echo(target.labels[worst_target]), *line]
        return line

    return headings, errors, cells
