"""The section on predictions: against the truth, and by class."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.data.samples import evenly_spaced
from ml2021.evaluation.confusion import Confusion
from ml2021.formatting import echo, number, plural
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures import predictions as figures
from ml2021.report.figures import style
from ml2021.report.html import Block, Picture, Section, Table
from ml2021.report.sections.two_classes import two_class_blocks
from ml2021.report.sections.worst_rows import image_strip

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
        blocks.append(image_strip("images", contents, rows, chosen, names, caption))
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
