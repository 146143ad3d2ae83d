"""The part of the predictions that only two classes have: curves over all thresholds, and one."""

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.thresholds import POSITIVE, operating_points, scores_at
from ml2021.formatting import best_cells, echo, heading, number, plural, score_text
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures import predictions as figures
from ml2021.report.html import Block, Column, Listing, Picture, Table, Text


def two_class_blocks(
    contents: ReportContents, rows: InspectedRows, target: ClassTarget
) -> list[Block]:
    """Return the ROC and the precision-recall curve, and the scores at 0.5 and the threshold."""
    known = rows.classes >= 0
    truth, probability = rows.classes[known], rows.predictions[known, POSITIVE]
    weights = None if rows.weights is None else rows.weights[known]
    label = echo(target.labels[POSITIVE])
    blocks: list[Block] = []
    points = operating_points(truth, probability, weights)
    chosen = None if contents.summary is None else contents.summary.threshold
    marks = {"0.5": 0.5} if chosen is None else {"0.5": 0.5, "recommended": chosen.threshold}
    if points is not None:
        places = {
            name: int((points.thresholds >= value).sum()) - 1 for name, value in marks.items()
        }
        recall, rate = points.recall, points.false_positive_rate
        share = points.positives / (points.positives + points.negatives)
        area = float((np.diff(rate) * (recall[1:] + recall[:-1]) / 2).sum())
        blocks += [
            Picture(
                "roc",
                figures.roc(rate, recall, places, label),
                f"ROC curve: the recall of {label} against the share of the other rows that are "
                f"called {label}, over all thresholds. The area is {number(area)}; the diagonal "
                "is chance.",
            ),
            Picture(
                "precision_recall",
                figures.precision_recall(recall, points.precision, places, share, label),
                f"Precision against recall of {label}, over all thresholds. The line is the "
                f"precision of calling every row {label}.",
            ),
        ]
    return [*blocks, *_table(contents, truth, probability, weights, label)]


def _table(
    contents: ReportContents,
    truth: NDArray[np.int64],
    probability: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    label: str,
) -> list[Block]:
    """Return the scores at both thresholds: of the test rows, or else of the rows shown."""
    chosen = None if contents.summary is None else contents.summary.threshold
    lines: dict[str, Scores] = {"0.5": scores_at(0.5, truth, probability, weights)}
    caption = f"Scores by the probability of {label} from which on a row is called {label}, the "
    caption += "positive class: the second of the two in sorted order."
    if chosen is not None:
        name = f"{chosen.threshold:.3g}"
        lines[name] = scores_at(chosen.threshold, truth, probability, weights)
        if chosen.test is not None and chosen.test_at_half is not None:
            lines = {"0.5": chosen.test_at_half, name: chosen.test}
        which = "validation" if chosen.chosen_on == "validation" else "held-out"
        caption += f" {name} has the highest macro F1 on {plural(chosen.rows, f'{which} row')}."
    headings = ("threshold", *map(heading, lines["0.5"]))
    rows = [
        [name, *(score_text(metric, value) for metric, value in scores.items())]
        for name, scores in lines.items()
    ]
    table = Table(headings, rows, strong=best_cells(lines.values()), caption=caption)
    if chosen is None:
        return [table]
    use = Listing(f"ml2021 predict new.csv --threshold {name}")
    return [table, Column([Text("To predict with it:"), use])]
