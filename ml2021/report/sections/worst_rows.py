"""The report's section on the rows with the largest errors.

Legend: N rows.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.formatting import echo, number, plural
from ml2021.inspection.features import InspectedColumn, column_text, columns_of, image_shape
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures.predictions import gallery
from ml2021.report.html import Block, Picture, Section, Table, Text

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
        if rows.when is not None:
            line.append(rows.time_text(index))
        line += cells(int(index))
        line += [echo(column_text(column, rows.inputs[index])) for column in shown]
        lines.append(line)
    names = ["row"] + ([echo(rows.when_name)] if rows.when is not None else [])
    names += [*headings, *(echo(column.name) for column in shown)]
    blocks: list[Block] = []
    if (shape := image_shape(contents.preprocessing)) is not None:
        blocks.append(_gallery(contents, rows, order, shape))
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


def _gallery(
    contents: ReportContents, rows: InspectedRows, order: NDArray[np.int64], shape: tuple[int, int]
) -> Picture:
    """Return the rows as images."""
    target = contents.preprocessing.target
    pixels = columns_of(contents.preprocessing)
    values = rows.inputs[order, : len(pixels)].astype(np.float64)
    values = np.array([c.mean for c in pixels]) + np.array([c.scale for c in pixels]) * values
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
    figure = gallery(values.reshape(-1, *shape), names, "pixel values")
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
