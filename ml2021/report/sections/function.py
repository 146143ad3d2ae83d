"""The section on the function itself: as a formula, as its parts, and by what moves it."""

import numpy as np

from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.engine.piecewise import to_curve
from ml2021.formatting import echo, number
from ml2021.inspection.coefficients import Coefficients, Terms, coefficients, terms, typical_unit
from ml2021.inspection.features import columns_of
from ml2021.inspection.importance import Importance, dependence
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


def function(contents: ReportContents, influence: Importance | None) -> Section:
    """Return what the function is. Without rows there is no `influence`."""
    blocks: list[Block] = []
    rows = contents.rows
    found = coefficients(contents.model)
    if found is not None:
        blocks += _linear(contents, found)
    if rows is not None:
        blocks += [_built(contents, rows)] if contents.piecewise else _one_column(contents, rows)
    blocks += _unit(contents)
    if influence is not None and rows is not None and influence.of > 1:
        blocks += _influence(contents, rows, influence)
        if found is None:
            blocks += _dependence(contents, rows, influence)
    if not blocks:
        blocks.append(Text("There are no rows at hand to draw it with."))
    return Section(
        "function",
        "The function itself",
        "What it has found out about the columns. It says what goes with the target in these "
        "data, and not what would happen if somebody changed a column.",
        blocks,
    )


def _linear(contents: ReportContents, found: Coefficients) -> list[Block]:
    is_class = isinstance(contents.preprocessing.target, ClassTarget)
    history = contents.preprocessing.history
    outputs = len(found.outputs)
    blocks: list[Block] = []
    if outputs == 1:
        name = found.outputs[0]
        left = f"log-odds of {name}" if is_class else _quoted(name)
        blocks.append(Listing(f"{left} = {_formula(found)}"))
    order = np.argsort(-np.abs(found.effects).max(axis=1), kind="stable")
    if outputs > 1:
        kept = order[:_BARS]
        figure = figures.coefficient_table(
            found.effects[kept][:, :_LINES],
            [found.names[place] for place in kept],
            found.outputs[:_LINES],
            "log-odds" if is_class else contents.preprocessing.target_name,
        )
        caption = "What one deviation of each input, or a category, adds to each output: "
        caption += "in log-odds." if is_class else "in the units of the data."
        caption += _of(len(found.names), len(kept), "inputs")
        return [*blocks, Picture("coefficients", figure, caption)]
    effects, weights = found.effects[:, 0], found.weights[:, 0]
    if history is not None and history.lags > 2:
        lags = weights[-history.lags :]
        blocks.append(
            Picture(
                "coefficients",
                figures.lag_coefficients(lags, contents.preprocessing.target_name),
                "How much of each earlier value goes into the next: steps before are rows.",
            )
        )
        if len(found.names) == history.lags:
            return blocks
    if len(found.names) == 1:  # which the formula says
        return blocks
    kept = order[:_BARS]
    unit = "log-odds" if is_class else contents.preprocessing.target_name
    figure = figures.bars(
        [found.names[place] for place in kept], effects[kept], f"effect of one deviation: {unit}"
    )
    caption = "What one standard deviation of a number, or a category, adds to the output."
    blocks.append(Picture("effects", figure, caption + _of(len(found.names), len(kept), "inputs")))
    kept = order[:_LINES]
    lines = [[echo(found.names[p]), number(weights[p]), number(effects[p])] for p in kept]
    blocks.append(
        Table(
            ("input", "coefficient, per unit of it", "effect of one deviation"),
            lines,
            caption=_of(len(found.names), len(kept), "inputs").strip(),
            folded="The coefficients in the units of the data",
        )
    )
    return blocks


def _formula(found: Coefficients) -> str:
    order = np.argsort(-np.abs(found.effects[:, 0]), kind="stable")
    text = number(found.constants[0])
    for place in order[:_TERMS]:
        weight = float(found.weights[place, 0])
        sign = "−" if weight < 0 else "+"
        text += f" {sign} {number(abs(weight))}·{_quoted(found.names[place])}"
    if (more := len(order) - _TERMS) > 0:
        text += f" + {more:,} more terms"
    return text


def _quoted(name: str) -> str:
    """Return a name so that its end can be seen in a formula."""
    return echo(name) if name.isidentifier() else f"[{echo(name)}]"


def _of(total: int, kept: int, what: str) -> str:
    return f" The {kept} strongest of {total:,} {what}." if kept < total else ""


def _one_column(contents: ReportContents, rows: InspectedRows) -> list[Block]:
    """Return the curve of a function of one number, and what it is the sum of."""
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
    some = np.linspace(0, len(rows) - 1, min(len(rows), _POINTS)).round().astype(int)
    total = found.constant + found.curves.sum(axis=0)
    blocks: list[Block] = [
        Picture(
            "curve",
            figures.sum_of_parts(found.x, total, (values[some], rows.values[some, 0]), labels),
            f"The function over {rows.described}.",
        )
    ]
    return [*blocks, _parts_picture(contents, found, labels)]


def _built(contents: ReportContents, rows: InspectedRows) -> Picture:
    """Return the curve that the network was built of, and what it is the sum of."""
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
    caption = "The curve with the sum that stands for it, and below it the constant and the parts."
    return Picture("curve_and_parts", figure, caption, wide=True)


def _parts_picture(contents: ReportContents, found: Terms, labels: tuple[str, str]) -> Picture:
    spans = np.ptp(found.curves, axis=1)
    order = np.argsort(-spans, kind="stable")
    drawn = np.sort(order[:_CURVES])
    others = order[_CURVES:]
    rest = found.curves[others].sum(axis=0) if len(others) else None
    layers = len(contents.model.network.layout.hidden)
    activation = contents.model.network.activation.replace("_", " ")
    inside = "w·x" if layers == 0 else f"c·{activation}(b + w·x)"
    if layers > 1:
        inside = f"c·{activation}(…)"
    names = [inside if len(found.curves) == 1 else f"unit {place + 1}" for place in drawn]
    caption = f"The constant, and each {inside}: added up they are the function."
    if rest is not None:
        caption += f" The {_CURVES} that move most of {len(found.curves):,} are drawn one by one."
    figure = figures.parts(found.x, found.constant, found.curves[drawn], names, rest, labels)
    return Picture("parts", figure, caption)


def _unit(contents: ReportContents) -> list[Block]:
    unit = typical_unit(contents.model)
    if unit is None:
        return []
    panels = {}
    says = {"w": "w: how steep", "b": "b: where", "c": "c: how high"}
    for name, (values, curves) in unit.curves.items():
        panels[says[name]] = ([f"{name} = {number(value)}" for value in values], curves)
    activation = unit.activation.replace("_", " ")
    output = contents.preprocessing.target.labels[0]
    return [
        Picture(
            "unit",
            figures.one_unit(unit.x, panels, (unit.column, output)),
            f"One of its own units, c·{activation}(b + w·x), and what each of its numbers does: "
            "the dashed line is the unit as it is. Where w changes, b goes along, so that the "
            "place stays.",
            wide=True,
        )
    ]


def _influence(contents: ReportContents, rows: InspectedRows, influence: Importance) -> list[Block]:
    target = contents.preprocessing.target
    kept = min(_BARS, len(influence.columns))
    if isinstance(target, ClassTarget):
        axis = "rise of the log loss"
    elif target.common_scale is None:
        axis = "rise of the mean absolute error, in deviations"
    else:
        axis = f"rise of the MAE: {contents.unit}"
    names = [column.name for column in influence.columns[:kept]]
    figure = figures.bars(names, influence.rises[:kept], axis)
    caption = "How much worse it gets when the values of one column are shuffled among "
    caption += f"{influence.rows:,} of the {rows.part} rows."
    caption += _of(influence.of, kept, "columns")
    if influence.looked_at < influence.of:
        caption += f" Tried were the {influence.looked_at} with the largest weights."
    return [Picture("importance", figure, caption)]


def _dependence(
    contents: ReportContents, rows: InspectedRows, influence: Importance
) -> list[Block]:
    blocks: list[Block] = []
    for place, column in enumerate(influence.columns[:_DEPENDENCES], start=1):
        found = dependence(contents.model, rows, column)
        if found is None:
            continue
        labels = (column.name, found.output)
        if column.categories is not None:
            figure = figures.category_dependence(column.categories[:30], found.mean[:30], labels)
            caption = f"The mean answer if every row had this {column.name}."
        else:
            figure = figures.partial_dependence(
                found.grid, found.mean, found.rows, found.seen, labels
            )
            caption = f"The mean answer if every row had this {column.name}; thin lines are rows."
        blocks.append(Picture(f"dependence_{place}", figure, caption))
    return blocks
