"""The section on the rows that the network gets most wrong.

Legend: N rows.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.formatting import echo, number
from ml2021.inspection.features import InspectedColumn, column_text, columns_of, image_shape
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures.predictions import gallery
from ml2021.report.html import Block, Picture, Section, Table, Text

_WORST = 10

_SHOWN_COLUMNS = 6

_SHOWN_BESIDE_TARGETS = 4
"""Where the worst of several targets takes columns of the table too."""

Cells = Callable[[int], list[str]]
"""A row's place -> what the table says of it."""


def worst(
    contents: ReportContents, rows: InspectedRows, columns: Sequence[InspectedColumn], of: int
) -> Section:
    """Return the rows that it gets most wrong, with their values of some columns.

    `columns` are those that matter most, the first first, `of` so many.
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
    for place in order:
        line = [f"{rows.places[place] + 1:,}"]
        if rows.when is not None:
            line.append(rows.moment(place))
        line += cells(int(place))
        line += [echo(column_text(column, rows.inputs[place])) for column in shown]
        lines.append(line)
    names = ["row"] + ([echo(rows.when_name)] if rows.when is not None else [])
    names += [*headings, *(echo(column.name) for column in shown)]
    blocks: list[Block] = []
    if (shape := image_shape(contents.preprocessing)) is not None:
        blocks.append(_gallery(contents, rows, order, shape))
    blocks.append(Table(names, lines))
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


def _gallery(
    contents: ReportContents, rows: InspectedRows, order: NDArray[np.int64], shape: tuple[int, int]
) -> Picture:
    """Return the rows as the images that they are."""
    target = contents.preprocessing.target
    pixels = columns_of(contents.preprocessing)
    values = rows.inputs[order, : len(pixels)].astype(np.float64)
    values = np.array([c.mean for c in pixels]) + np.array([c.scale for c in pixels]) * values
    names = [f"row {rows.places[place] + 1:,}" for place in order]
    caption = "These rows as images, the largest error first"
    if isinstance(target, ClassTarget):
        labels = (*target.labels, "?")  # the last one for a class that training never saw
        said = rows.predictions[order].argmax(axis=1)
        true = rows.classes[order]
        names = [
            f"{labels[t]}, not {labels[s]}" if t != s else f"{labels[t]}"
            for t, s in zip(true, said, strict=True)
        ]
        caption += ": the true class, and the one that was predicted where it is another"
    figure = gallery(values.reshape(-1, *shape), names, "values of the pixels")
    return Picture("worst_rows", figure, f"{caption}.", wide=True)


def _class_cells(
    rows: InspectedRows, target: ClassTarget
) -> tuple[list[str], NDArray[np.float64], Cells]:
    labels, known = target.labels, rows.classes
    chosen = rows.predictions.argmax(axis=1)
    of_truth = np.where(known >= 0, rows.predictions[np.arange(len(rows)), known], 0.0)

    def cells(place: int) -> list[str]:
        true = labels[known[place]] if known[place] >= 0 else "(never seen)"
        stated = f"{100 * rows.predictions[place].max():.1f} %"
        return [echo(true), echo(labels[chosen[place]]), stated, f"{100 * of_truth[place]:.1f} %"]

    return ["truth", "prediction", "how sure", "and of the truth"], 1 - of_truth, cells


def _real_cells(
    rows: InspectedRows, target: RealTargets
) -> tuple[list[str], NDArray[np.float64], Cells]:
    differences = rows.values - rows.predictions
    errors = rows.errors(target)
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
