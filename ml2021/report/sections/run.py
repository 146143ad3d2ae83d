"""Sections on the run itself: what was asked, the scores, how it learned, and the network."""

from collections.abc import Mapping

from ml2021.config import schema
from ml2021.data.preprocessing.records import CategoryFeature, ClassTarget, NumberFeature
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import SPLITS, loss_unit
from ml2021.formatting import echo, heading, number, number_with_error
from ml2021.report.contents import ReportContents
from ml2021.report.figures.functions import network
from ml2021.report.figures.learning import gradient_sizes, learning_curves, updates_of_an_epoch
from ml2021.report.html import Block, Items, Listing, Picture, Section, Table, Text
from ml2021.report.sections.loss_surface import loss_pictures
from ml2021.runs.summary import Intervals

_MOST_LISTED = 30


def asked(contents: ReportContents) -> Section:
    """Return what was asked: the config, the data, the columns used and left out."""
    config, preprocessing = contents.config, contents.preprocessing
    rows = [
        ["data", config.data.path],
        ["target", contents.preprocessing.target_name],
        ["task", preprocessing.task],
        [
            "rows",
            ", ".join(f"{report.rows:,} {part}" for part, report in contents.evaluations.items()),
        ],
    ]
    if preprocessing.features:
        names = [echo(feature.name) for feature in preprocessing.features]
        rows.append(["columns used", _some(names)])
    if (history := preprocessing.history) is not None:
        values = "value" if history.lags == 1 else f"{history.lags:,} values"
        rows.append(["history", f"the previous {values} of the target"])
    rows.append(["columns left out", _some([*map(echo, contents.unused)]) or "none"])
    blocks: list[Block] = [
        Table(("", ""), rows, is_text=True),
        Listing(contents.config_text.strip(), "The config as it was written"),
        Listing(contents.resolved_text.strip(), "The config with every default"),
    ]
    if columns := _column_rows(contents):
        caption = (
            ""
            if len(columns) == len(preprocessing.features)
            else (f"The first {len(columns)} of {len(preprocessing.features):,} columns.")
        )
        headings = ("column", "what is done with it", "from", "to", "mean", "deviation")
        blocks.append(Table(headings, columns, caption=caption, folded="The columns, one by one"))
    if contents.notes:
        blocks.append(Items([*contents.notes[:_MOST_LISTED]]))
    if contents.no_rows:
        blocks.append(
            Text(
                f"The rows are not at hand: {contents.no_rows}. "
                "What needs them is left out of this report."
            )
        )
    return Section(
        "asked",
        "What was asked",
        "The data, the columns that the function is of, and what was noticed about them: whether "
        "this is the question that was meant.",
        blocks,
    )


def _column_rows(contents: ReportContents) -> list[list[str]]:
    rows = []
    for feature in contents.preprocessing.features[:_MOST_LISTED]:
        match feature:
            case NumberFeature():
                what = "standardised"
                if feature.has_indicator:
                    what += f", missing: {number(feature.fill)} and a flag"
                span = (feature.minimum, feature.maximum, feature.mean, feature.scale)
                rows.append([echo(feature.name), what, *map(number, span)])
            case CategoryFeature():
                count = len(feature.categories)
                rows.append([echo(feature.name), f"one-hot, {count:,} categories", "", "", "", ""])
    return rows


def _some(names: list[str], limit: int = 12) -> str:
    text = ", ".join(names[:limit])
    return text + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def scores(contents: ReportContents) -> Section:
    """Return the scores of the network beside those of the trivial answers."""
    blocks: list[Block] = []
    if (folds := contents.folds) is not None:
        caption = f"Mean ± standard error over {folds.folds} folds: each row is held out once, and "
        caption += "scored by a network that has not seen it."
        title = f"on {folds.rows:,} held-out rows"
        blocks.append(_score_table(title, *folds.tables(), caption=caption, strong=True))
    parts = [part for part in SPLITS if part in contents.evaluations]
    for part in parts[:1]:
        if part != "held-out":  # which the folds have told
            report = contents.evaluations[part]
            title = f"on {report.rows:,} {part} rows"
            blocks.append(_score_table(title, report.table(), strong=True))
    if parts:
        each = {part: contents.evaluations[part].scores for part in reversed(parts)}
        blocks.append(_score_table("network on", each))
        targets = contents.evaluations[parts[0]].targets
        if len(targets) > 1:
            what = "class" if contents.evaluations[parts[0]].confusion is not None else "target"
            shown = dict(list(targets.items())[:_MOST_LISTED])
            more = len(targets) - len(shown)
            caption = f"The first {_MOST_LISTED} of {len(targets):,}." if more else ""
            blocks.append(_score_table(f"by {what}", shown, caption=caption, is_folded=True))
    if contents.intervals is not None:
        blocks.append(intervals(contents.intervals))
    return Section(
        "scores",
        "Scores",
        "The network should beat every trivial answer on rows that it has not seen, and not by "
        "much less than on those that it was trained on.",
        blocks,
    )


def _score_table(
    title: str,
    rows: Mapping[str, Scores],
    errors: Mapping[str, Scores] | None = None,
    *,
    strong: bool = False,
    caption: str = "",
    is_folded: bool = False,
) -> Table:
    keys = [
        key for key in next(iter(rows.values())) if any(r[key] is not None for r in rows.values())
    ]
    cells = [
        [
            echo(name.replace("_", " ")),
            *(number_with_error(row[key], errors[name][key] if errors else None) for key in keys),
        ]
        for name, row in rows.items()
    ]
    return Table(
        (title, *map(heading, keys)),
        cells,
        strong=frozenset({0}) if strong else frozenset(),
        caption=caption,
        folded=f"Scores {title}" if is_folded else None,
    )


def learning(contents: ReportContents) -> Section:
    """Return how training went."""
    history, config = contents.history, contents.config
    blocks: list[Block] = []
    if len(history.epochs):
        figure = learning_curves(
            history.epochs,
            history.training,
            history.validation,
            history.lr,
            history.best_epoch,
            loss_unit(config, contents.preprocessing).label,
        )
        last = int(history.epochs[-1])
        caption = f"The loss of {_count(last, 'epoch', 'epochs')}, and the learning rate below."
        if len(contents.best_epochs) > 1:
            kept = ", ".join(f"{epoch:,}" for epoch in contents.best_epochs)
            caption += " They are means over the members, of which the parameters of epochs "
            caption += f"{kept} are kept."
        elif history.validation is not None:
            caption += f" The parameters of epoch {history.best_epoch:,} are kept."
        blocks.append(Picture("learning_curves", figure, caption))
    if "train" in contents.evaluations:
        rows = contents.evaluations["train"].rows
        size = config.train.batch_size
        batch = rows if size == "full" else min(int(size), rows)
        updates, epochs = -(-rows // batch), len(history.epochs)
        blocks.append(
            Picture(
                "updates",
                updates_of_an_epoch(rows, batch),
                "An epoch visits every training row once, in "
                f"{_count(updates, 'batch', 'batches')}. Each batch is one update of the "
                f"parameters: {updates * epochs:,} in {_count(epochs, 'epoch', 'epochs')}.",
            )
        )
    if contents.gradients is not None and len(contents.gradients.updates) > 1:
        names = _layer_names(contents)
        blocks.append(
            Picture(
                "gradients",
                gradient_sizes(contents.gradients.updates, contents.gradients.norms, names),
                "How steep the loss is in the parameters of each layer"
                + (" of the first member" if len(contents.best_epochs) > 1 else "")
                + ", as back-propagation finds it from back to front. A layer far below the others "
                "hardly learns.",
            )
        )
    blocks += loss_pictures(contents)
    return Section(
        "learning",
        "How it learned",
        "Training loss should fall and level off. Where validation loss rises while it still "
        "falls, the network learns its rows by heart.",
        blocks,
    )


def _count(number_of: int, one: str, many: str) -> str:
    return f"{number_of:,} {one if number_of == 1 else many}"


def _layer_names(contents: ReportContents) -> list[str]:
    shapes = contents.model.network.layout.shapes
    names = [f"layer {place}" for place in range(1, len(shapes) + 1)]
    names[-1] = f"layer {len(shapes)}, the output"
    return names


def drawn_network(contents: ReportContents) -> Section:
    """Return the network as a drawing."""
    net, model = contents.model.network, contents.config.model
    layout = net.layout
    counts = [rows * columns for rows, columns in layout.shapes]
    activation = net.activation.replace("_", " ")
    is_class = isinstance(contents.preprocessing.target, ClassTarget)
    ends = (
        "inputs" if layout.inputs > 1 else "input",
        "classes" if is_class else "outputs" if layout.outputs > 1 else "output",
    )
    formula = {
        schema.Linear: "y = b + Wx",
        schema.SigmoidSum: f"y = b + Σ c · {activation}(b + wx)",
        schema.ReluStack: "each layer max(0, b + Wx), then y = b + Wx",
    }[type(model)]
    caption = f"{formula}. {layout.parameters:,} parameters: "
    caption += " + ".join(
        f"{rows:,} × ({columns - 1:,} + 1)" for rows, columns in layout.shapes[:8]
    ) + (" + …" if len(layout.shapes) > 8 else "")
    return Section(
        "network",
        "The network",
        "What stands between the columns and the answer: every line is a weight, every unit has "
        "a bias as well.",
        [Picture("network", network(layout.sizes, counts, activation, ends), caption, wide=True)],
    )


_MOST_TARGETS = 4


def intervals(found: Intervals) -> Table:
    """Return a line for each level: the half width, and the share of the test rows inside.

    Of more targets than fit a line, the share alone, over the values of all of them.
    """
    targets = list(found.levels[0].half_width)
    targets = targets if len(targets) <= _MOST_TARGETS else []
    has_coverage = found.levels[0].coverage is not None
    headings = ["interval", *(f"± {echo(target)}" for target in targets)]
    headings += ["test rows inside"] if has_coverage else []
    lines = []
    for each in found.levels:
        line = [f"{100 * each.level:g} %"]
        line += [number(each.half_width[target]) for target in targets]
        line += [] if each.coverage is None else [f"{100 * each.coverage:.1f} %"]
        lines.append(line)
    rows = "held-out" if found.calibrated_on == "folds" else found.calibrated_on
    caption = f"As wide as it had to be to hold that share of {found.rows:,} {rows} rows."
    if has_coverage:
        caption += " Where far fewer test rows are inside, they are of another kind."
    return Table(headings, lines, caption=caption)
