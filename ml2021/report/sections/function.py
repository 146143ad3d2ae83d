"""The report's section on the function: its formula, its terms, and what each column does."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.data.samples import evenly_spaced
from ml2021.engine.piecewise import to_curve
from ml2021.formatting import echo, number, plural
from ml2021.inspection.coefficients import Coefficients, Terms, coefficients, terms, typical_unit
from ml2021.inspection.features import columns_of, image_shape, pixel_map
from ml2021.inspection.importance import Dependence, Importance, dependence
from ml2021.inspection.rows import InspectedRows
from ml2021.report.contents import ReportContents
from ml2021.report.figures import functions as figures
from ml2021.report.figures.curves import curve_and_parts
from ml2021.report.html import Block, Listing, Picture, Section, Table, Text

_TERMS = 8
_BARS = 15
_LINES = 40
_CURVES = 12
_DEPENDENCES = 4
_POINTS = 2_000


def function_section(contents: ReportContents, importance: Importance | None) -> Section:
    """Return what the network has learned. Without rows `importance` is None."""
    blocks: list[Block] = []
    rows = contents.rows
    found = coefficients(contents.model)
    if found is not None:
        blocks += _linear(contents, found)
    if rows is not None:
        blocks += [_built_curve(contents, rows)] if contents.piecewise else _curve(contents, rows)
    blocks += _unit(contents)
    if importance is not None and rows is not None and importance.total > 1:
        blocks.append(_importance(contents, rows, importance))
        if found is None:
            blocks += _dependence(contents, rows, importance)
    if not blocks:
        blocks.append(Text("Without rows there is nothing to show."))
    return Section(
        "function",
        "What the network learned",
        "How the output depends on each column. These are associations in the data, not causal "
        "effects.",
        blocks,
    )


def _linear(contents: ReportContents, found: Coefficients) -> list[Block]:
    is_class = isinstance(contents.preprocessing.target, ClassTarget)
    history = contents.preprocessing.history
    outputs = len(found.outputs)
    unit = "log-odds" if is_class else contents.preprocessing.target_name
    blocks: list[Block] = []
    if outputs == 1:
        name = found.outputs[0]
        left = f"log-odds of {name}" if is_class else _quoted(name)
        blocks.append(Listing(f"{left} = {_formula(found)}"))
    if len(columns_of(contents.preprocessing)) > 1:  # a single one is shown with the data
        blocks += _column_curves(found, unit)
    if not found.names:
        return blocks
    order = np.argsort(-np.abs(found.effects).max(axis=1), kind="stable")
    if outputs > 1:
        kept = order[:_BARS]
        figure = figures.coefficient_table(
            found.effects[kept][:, :_LINES],
            [found.names[i] for i in kept],
            found.outputs[:_LINES],
            unit,
        )
        caption = "The effect of one standard deviation of each number, or of each category, on "
        caption += "the log-odds of each class." if is_class else "each target, in its own unit."
        caption += _strongest(len(kept), len(found.names), "inputs")
        return [*blocks, Picture("coefficients", figure, caption)]
    effects, weights = found.effects[:, 0], found.weights[:, 0]
    if history is not None and len(history.used) > 2:
        lags = weights[-len(history.used) :]
        blocks.append(
            Picture(
                "coefficients",
                figures.lag_coefficients(lags, history.used, contents.preprocessing.target_name),
                "The weight of each earlier value in the prediction; a step is a row.",
            )
        )
        if len(found.names) == len(history.used):
            return blocks
    if len(found.names) == 1:  # the formula says it all
        return blocks
    kept = order[:_BARS]
    figure = figures.bars(
        [found.names[i] for i in kept], effects[kept], f"effect of one std: {unit}"
    )
    caption = "The effect of one standard deviation of a number, or of a category, on the output."
    blocks.append(
        Picture("effects", figure, caption + _strongest(len(kept), len(found.names), "inputs"))
    )
    kept = order[:_LINES]
    lines = [[echo(found.names[i]), number(weights[i]), number(effects[i])] for i in kept]
    blocks.append(
        Table(
            ("input", "coefficient (per unit)", "effect of one std"),
            lines,
            caption=_strongest(len(kept), len(found.names), "inputs").strip(),
            folded="Coefficients in the units of the data",
        )
    )
    return blocks


def _column_curves(found: Coefficients, unit: str) -> list[Block]:
    """Return a picture of each column in pieces: what it adds to the output."""
    spans = [np.ptp(curve.total, axis=0) for curve in found.curves]
    order = np.argsort([-span.max() for span in spans], kind="stable")
    blocks: list[Block] = []
    for rank, place in enumerate(order[:_CURVES], start=1):
        curve, output = found.curves[place], int(spans[place].argmax())
        name = curve.column.name
        figure = figures.column_curve(
            curve.x,
            curve.line[:, output],
            curve.ramps[:, :, output],
            np.array(curve.column.edges),
            (name, f"added to {found.outputs[output] if len(found.outputs) > 1 else unit}"),
        )
        caption = f"What {name} adds to the output, compared with its mean: a line and "
        caption += f"{len(curve.ramps)} hard sigmoids, one between each two edges (ticks)."
        if len(found.outputs) > 1:
            caption += f" Of {len(found.outputs)} outputs, the one that it changes most."
        if rank == 1:
            caption += _strongest(min(_CURVES, len(order)), len(order), "columns")
        blocks.append(Picture(f"column_{rank}", figure, caption))
    return blocks


def _formula(found: Coefficients) -> str:
    order = np.argsort(-np.abs(found.effects[:, 0]), kind="stable")
    text = number(found.constants[0])
    text += "".join(f" + f({echo(curve.column.name)})" for curve in found.curves[:_TERMS])
    if (more := len(found.curves) - _TERMS) > 0:
        text += f" + {plural(more, 'more curve')}"
    for index in order[:_TERMS]:
        weight = float(found.weights[index, 0])
        sign = "−" if weight < 0 else "+"
        text += f" {sign} {number(abs(weight))}·{_quoted(found.names[index])}"
    if (more := len(order) - _TERMS) > 0:
        text += f" + {plural(more, 'more term')}"
    return text


def _quoted(name: str) -> str:
    """Return a name in brackets if a formula would not show where it ends."""
    return echo(name) if name.isidentifier() else f"[{echo(name)}]"


def _strongest(shown: int, total: int, what: str) -> str:
    return f" The {shown} strongest of {total:,} {what} are shown." if shown < total else ""


def _curve(contents: ReportContents, rows: InspectedRows) -> list[Block]:
    """Return the curve of a function of one number, and its terms; nothing for other functions."""
    columns = columns_of(contents.preprocessing)
    if len(columns) != 1 or rows.truth.ndim != 2:
        return []
    values = columns[0].mean + columns[0].scale * rows.inputs[:, 0].astype(np.float64)
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 1.0
    found = terms(contents.model, low - margin, high + margin)
    if found is None:
        return []
    labels = (columns[0].name, contents.preprocessing.target_name)
    some = evenly_spaced(len(rows), _POINTS)
    total = found.constant + found.curves.sum(axis=0)
    blocks: list[Block] = [
        Picture(
            "curve",
            figures.sum_of_parts(found.x, total, (values[some], rows.values[some, 0]), labels),
            f"The function, and {rows.description}.",
        )
    ]
    return [*blocks, _terms_picture(contents, found, labels)]


def _built_curve(contents: ReportContents, rows: InspectedRows) -> Picture:
    """Return the curve that the network was built from, and its terms."""
    model, target = contents.model, contents.preprocessing.target
    (column,) = columns_of(contents.preprocessing)
    assert isinstance(target, RealTargets)
    x, y = rows.inputs[:, 0].astype(np.float64) * column.scale + column.mean, rows.values[:, 0]
    order = np.argsort(x)
    curve, ramps = to_curve(model.network, model.theta)
    scale, mean = target.scales[0], target.means[0]
    figure = curve_and_parts(
        (x[order], y[order]),
        (curve.x * column.scale + column.mean, curve.y * scale + mean),
        ramps.constant * scale + mean,
        (
            ramps.starts * column.scale + column.mean,
            ramps.ends * column.scale + column.mean,
            ramps.heights * scale,
        ),
        (column.name, contents.preprocessing.target_name),
        is_paired=model.network.activation == "relu",
    )
    caption = "The points and the network's curve; below, its terms: the constant and the units."
    return Picture("curve_and_parts", figure, caption, wide=True)


def _terms_picture(contents: ReportContents, found: Terms, labels: tuple[str, str]) -> Picture:
    spans = np.ptp(found.curves, axis=1)
    order = np.argsort(-spans, kind="stable")
    largest = np.sort(order[:_CURVES])
    others = order[_CURVES:]
    rest = found.curves[others].sum(axis=0) if len(others) else None
    layers = len(contents.model.network.layout.hidden)
    activation = contents.model.network.activation.replace("_", " ")
    inside = "w·x" if layers == 0 else f"c·{activation}(b + w·x)"
    if layers > 1:
        inside = f"c·{activation}(…)"
    names = [inside if len(found.curves) == 1 else f"unit {i + 1}" for i in largest]
    if layers == 0:
        names = [f"piece {i}" if i else inside for i in largest]
        inside = "term: w·x and its pieces, which are hard sigmoids" if names[1:] else inside
    caption = (
        f"The terms of the function: the constant and each {inside}. Their sum is the function."
    )
    if rest is not None:
        caption += f" The {_CURVES} largest of {len(found.curves):,} units are shown, and the sum "
        caption += "of the others."
    figure = figures.parts(found.x, found.constant, found.curves[largest], names, rest, labels)
    return Picture("parts", figure, caption)


def _unit(contents: ReportContents) -> list[Block]:
    unit = typical_unit(contents.model)
    if unit is None:
        return []
    panels = {}
    titles = {"w": "w: slope", "b": "b: position", "c": "c: height"}
    for name, (values, curves) in unit.curves.items():
        panels[titles[name]] = ([f"{name} = {number(value)}" for value in values], curves)
    activation = unit.activation.replace("_", " ")
    output = contents.preprocessing.target.labels[0]
    return [
        Picture(
            "unit",
            figures.one_unit(unit.x, panels, (unit.column, output)),
            f"One hidden unit, c·{activation}(b + w·x), with other values of w, b and c. Dashed: "
            "as trained. b is rescaled with w so that the bend stays in place.",
            wide=True,
        )
    ]


def _importance(contents: ReportContents, rows: InspectedRows, importance: Importance) -> Picture:
    """Return the columns by permutation importance."""
    target = contents.preprocessing.target
    kept = min(_BARS, len(importance.columns))
    if isinstance(target, ClassTarget):
        axis = "increase of the log loss"
    elif target.common_scale is None:
        axis = "increase of the MAE (standardised)"
    else:
        axis = f"increase of the MAE: {contents.unit}"
    baseline = "logistic regression" if isinstance(target, ClassTarget) else "least squares"
    caption = "Permutation importance: how much the error increases when one column's values are "
    caption += f"shuffled among {plural(importance.rows, f'{rows.split} row')}."
    if image_shape(contents.preprocessing) is not None:
        maps = {"network": _pixel_map(contents, importance, importance.increases)}
        if importance.linear is not None:
            maps[baseline] = _pixel_map(contents, importance, importance.linear)
        caption += " Each square is a pixel; empty ones are constant or without effect."
        return Picture("importance", figures.pixel_maps(maps, axis), caption, wide=True)
    names = [column.name for column in importance.columns[:kept]]
    caption += _strongest(kept, importance.total, "columns")
    if len(importance.columns) < importance.total:
        caption += f" Only the {len(importance.columns)} with the largest weights were tried."
    if importance.linear is None:
        figure = figures.bars(names, importance.increases[:kept], axis)
        return Picture("importance", figure, caption)
    figure = figures.paired_bars(
        names, importance.increases[:kept], importance.linear[:kept], ("network", baseline), axis
    )
    return Picture("importance", figure, caption, wide=True)


def _pixel_map(
    contents: ReportContents, importance: Importance, increases: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the increases (n,) of the columns as an image."""
    of_column = {c.start: value for c, value in zip(importance.columns, increases, strict=True)}
    columns = columns_of(contents.preprocessing)
    values = np.array([of_column.get(column.start, np.nan) for column in columns])
    return pixel_map(contents.preprocessing, values)


def _dependence(
    contents: ReportContents, rows: InspectedRows, importance: Importance
) -> list[Block]:
    """Return the partial dependence on the most important columns, those of an output on one scale.

    A single pixel says little, so that images have none.
    """
    if image_shape(contents.preprocessing) is not None:
        return []
    tried = importance.columns[:_DEPENDENCES]
    every = [found for each in tried if (found := dependence(contents.model, rows, each))]
    is_class = isinstance(contents.preprocessing.target, ClassTarget)
    baseline = "logistic regression" if is_class else "least squares"
    blocks: list[Block] = []
    for rank, found in enumerate(every, start=1):
        column = found.column
        limits = _limits([each for each in every if each.output == found.output])
        labels = (column.name, found.output)
        linear = None if found.linear is None else (baseline, found.linear)
        caption = f"The mean prediction if every row had this value of {column.name}."
        if column.categories is not None:
            shown = None if linear is None else (baseline, linear[1][:30])
            figure = figures.category_dependence(
                column.categories[:30], found.mean[:30], labels, shown, limits
            )
        else:
            figure = figures.partial_dependence(
                found.grid,
                found.mean,
                found.rows,
                found.seen,
                np.array(column.edges),
                labels,
                linear,
                limits,
            )
            caption += " Thin lines: single rows."
            caption += " Dotted: the edges of its pieces." if column.edges else ""
        blocks.append(Picture(f"dependence_{rank}", figure, caption))
    return blocks


def _limits(every: Sequence[Dependence]) -> tuple[float, float]:
    """Return the ends of an axis that has room for all outputs."""
    drawn = [
        array.ravel()
        for each in every
        for array in (each.mean, each.rows, each.linear)
        if array is not None
    ]
    values = np.concatenate(drawn)
    margin = 0.04 * float(np.ptp(values)) or 0.5
    return float(values.min()) - margin, float(values.max()) + margin
