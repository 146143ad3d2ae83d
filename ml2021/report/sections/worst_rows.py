"""The section on the rows that are predicted worst, and images of rows."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.formatting import echo, number, plural
from ml2021.inspection.features import InspectedColumn, column_text, halves, image_shape, images
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures import predictions as figures
from ml2021.report.html import Block, Picture, Section, Table, Text

_WORST = 10
_STRIP = 6
"""Images side by side."""
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
    order = np.argsort(-errors, kind="stable")
    title, which = "Largest errors", "The rows with the largest errors"
    if isinstance(target, ClassTarget):
        title, which = "Wrong predictions", "The wrong predictions, those of the truth least likely"
        is_wrong = rows.predictions.argmax(axis=1) != rows.classes
        if is_wrong.any():
            order = order[is_wrong[order]]
        else:
            title = "Right, but least sure"
            which = "No prediction is wrong; these are the least sure"
    order = order[:_WORST]
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
    if isinstance(target, RealTargets) and target.shape is not None and len(target.shape) > 1:
        best = order[:_STRIP]
        titles = [f"row {rows.places[index] + 1:,}" for index in best]
        blocks.append(
            image_strip("worst_rows", contents, rows, best, titles, "The largest errors first.")
        )
    elif image_shape(contents.preprocessing) is not None:
        blocks.append(_gallery(contents, rows, order))
    blocks.append(Table(names, lines))
    if total > len(shown):
        blocks.append(
            Text(f"Only the {len(shown)} most important of {plural(total, 'column')} are shown.")
        )
    return Section(
        "worst",
        title,
        f"{which}, of {rows.description}. What do they have in common, "
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
    figure = figures.gallery(values, names, "pixel values")
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

    headings = ["truth", "prediction", "confidence", "P(truth)"]
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


def image_strip(
    name: str,
    contents: ReportContents,
    rows: InspectedRows,
    chosen: NDArray[np.int64],
    names: Sequence[str],
    caption: str,
) -> Picture:
    """Return what was given, predicted and true for some rows, whose targets are images."""
    preprocessing = contents.preprocessing
    assert isinstance(preprocessing.target, RealTargets)
    assert preprocessing.target.shape is not None
    shape = (len(chosen), -1, preprocessing.target.shape[-1])
    lines = {
        "predicted": rows.predictions[chosen].reshape(shape),
        "true": rows.values[chosen].reshape(shape),
    }
    if image_shape(preprocessing) is not None:
        given = images(preprocessing, rows.inputs[chosen])
        if (place := halves(preprocessing)) is not None:
            blank = np.full_like(lines["true"], np.nan)
            step = 1 if place == "above" else -1
            lines = {
                key: np.concatenate([given, each][::step], axis=1)
                for key, each in {"given": blank, **lines}.items()
            }
        else:
            lines = {"given": given, **lines}
    return Picture(name, figures.images(lines, names, "pixel values"), caption, wide=True)
