"""Truth beside prediction for classes: which are taken for which, and what probabilities mean.

Legend: N rows, C classes.
"""

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget
from ml2021.evaluation.metrics import confusion_matrix
from ml2021.formatting import echo
from ml2021.inspection.rows import Rows
from ml2021.report.blocks import Block, Picture, Table
from ml2021.report.contents import Material
from ml2021.report.figures import classes as figures

_BINS = 10

_MOST_CLASSES = 60


def class_pictures(material: Material, rows: Rows, target: ClassTarget) -> list[Block]:
    """Return the confusion matrix, the reliability curve, and the pairs most often confused."""
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
