"""The report's sections on the run: its setup, scores, training and network."""

from collections.abc import Mapping

from ml2021.config import schema
from ml2021.config.schema import each_path
from ml2021.data.preprocessing.records import CategoryFeature, ClassTarget, NumberFeature
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import SPLITS, loss_unit, scores_by_split
from ml2021.formatting import best_cells, echo, listed, number, plural, score_cells
from ml2021.report.contents import ReportContents
from ml2021.report.figures.learning import gradient_sizes, learning_curves, updates_of_an_epoch
from ml2021.report.figures.networks import network
from ml2021.report.html import Block, Column, Items, Listing, Picture, Section, Table, Text
from ml2021.report.sections.loss_surface import loss_pictures
from ml2021.runs.summary import Intervals, RunSummary

_MOST_LISTED = 30
_FEW_TARGETS = 3
"""The scores of so many targets or classes are shown open."""


def setup_section(contents: ReportContents) -> Section:
    """Return the data, the config, and the columns used and not used."""
    config, preprocessing = contents.config, contents.preprocessing
    rows = [
        ["data", listed(each_path(config.data.path))],
        ["target", contents.preprocessing.target_name],
        ["task", preprocessing.task],
        ["rows", _rows_text(contents)],
    ]
    if preprocessing.features:
        names = [feature.name for feature in preprocessing.features]
        rows.append(["columns used", listed(names, 12)])
    if (history := preprocessing.history) is not None:
        rows.append(["history", f"{plural(history.lags, 'previous value')} of the target"])
    rows.append(["columns not used", listed(contents.unused, 12) or "none"])
    config_texts: list[Listing | Items] = [
        Listing(contents.config_text.strip(), "The config as written"),
        Listing(contents.resolved_text.strip(), "The config with all defaults"),
    ]
    if contents.notes:
        config_texts.insert(0, Items([*contents.notes]))
    blocks: list[Block] = [Table(("", ""), rows, is_text=True), Column(config_texts)]
    if columns := _column_rows(contents):
        caption = _first(len(columns), len(preprocessing.features), "columns")
        headings = ("column", "preprocessing", "minimum", "maximum", "mean", "std")
        blocks.append(Table(headings, columns, caption=caption, folded="The columns in detail"))
    if contents.no_rows:
        blocks.append(
            Text(
                f"The data is not available: {contents.no_rows}. "
                "This report leaves out what needs it."
            )
        )
    return Section(
        "setup",
        "Data and config",
        "What the network was trained on, and what is unusual about the data. Check that this is "
        "the question that you meant to ask.",
        blocks,
    )


def _rows_text(contents: ReportContents) -> str:
    """Return how many rows each split has; the rows of folds are counted once."""
    rows = {split: each.split_rows for split, each in contents.evaluations.items()}
    if (folds := contents.folds) is None:
        return ", ".join(f"{count:,} {split}" for split, count in rows.items())
    text = f"{folds.rows:,} in {folds.folds} folds, each row held out once"
    return f"{text}, {rows['test']:,} test" if "test" in rows else text


def _column_rows(contents: ReportContents) -> list[list[str]]:
    rows = []
    for feature in contents.preprocessing.features[:_MOST_LISTED]:
        match feature:
            case NumberFeature():
                what = "standardised" if feature.has_value else "only whether it is missing"
                if feature.edges:
                    what += f", and in {len(feature.edges) - 1} pieces"
                if feature.has_value and feature.has_indicator:
                    what += f"; {feature.missing:,} missing, filled with {number(feature.fill)}, "
                    what += "and a flag column"
                span = (feature.minimum, feature.maximum, feature.mean, feature.scale)
                rows.append([echo(feature.name), what, *map(number, span)])
            case CategoryFeature():
                what = f"one-hot, {plural(len(feature.categories), 'category', 'categories')}"
                if feature.rarer:
                    what += f", and one input for the {len(feature.rarer):,} rarer ones"
                rows.append([echo(feature.name), what, "", "", "", ""])
    return rows


def _first(shown: int, total: int, what: str) -> str:
    return f"The first {shown} of {total:,} {what}." if shown < total else ""


def scores_section(contents: ReportContents) -> Section:
    """Return the scores of the network next to those of the baselines."""
    blocks: list[Block] = []
    if (folds := contents.folds) is not None:
        caption = f"Mean ± standard error over {folds.folds} folds. Each row is held out once, and "
        caption += "scored by a network that was not trained on it."
        title = f"on {folds.rows:,} held-out rows"
        blocks.append(_score_table(title, *folds.tables(), caption=caption, strong=True))
    splits = [split for split in SPLITS if split in contents.evaluations]
    by_target: list[Block] = []
    if splits:
        first = contents.evaluations[splits[0]]
        if splits[0] != "held-out":  # those are the scores of the folds
            title = f"on {plural(first.rows, f'{splits[0]} row')}"
            blocks.append(_score_table(title, first.table(), strong=True))
        each = {split: contents.evaluations[split] for split in reversed(splits)}
        blocks.append(_score_table("network on", scores_by_split(each)))
        if len(first.targets) > 1:
            is_class = first.confusion is not None
            shown = dict(list(first.targets.items())[:_MOST_LISTED])
            noun = "classes" if is_class else "targets"
            caption = _first(len(shown), len(first.targets), noun)
            title = "by class" if is_class else "by target"
            is_folded = len(shown) > _FEW_TARGETS
            by_target.append(
                _score_table(title, shown, caption=caption, keep_names=True, is_folded=is_folded)
            )
    if contents.intervals is not None:
        blocks.append(_interval_table(contents.intervals))
    blocks += by_target
    return Section(
        "scores",
        "Scores",
        "The network should beat every baseline on rows that it was not trained on, and score "
        "there almost as well as on the training rows.",
        blocks,
    )


def _score_table(
    title: str,
    rows: Mapping[str, Scores],
    errors: Mapping[str, Scores] | None = None,
    *,
    strong: bool = False,
    caption: str = "",
    keep_names: bool = False,
    is_folded: bool = False,
) -> Table:
    headings, *cells = score_cells(title, rows, errors, keep_names=keep_names)
    return Table(
        headings,
        cells,
        strong=best_cells(rows.values()) if strong else frozenset(),
        caption=caption,
        folded=f"Scores {title}" if is_folded else None,
    )


def _final_model(summary: RunSummary | None) -> str:
    """Say how the model that predicts differs from the networks of the curves."""
    text = ""
    if summary is not None and summary.final_epochs is not None:
        text = (
            " The final model, which predicts and scores the test rows, was then trained on "
            f"training and validation rows together, for {plural(summary.final_epochs, 'epoch')}."
        )
    if summary is not None and summary.temperature is not None:
        held = "held-out" if summary.cross_validation is not None else "validation"
        text += (
            f" The outputs are divided by {number(summary.temperature)}, the temperature that "
            f"fits the probabilities of {held} rows best."
        )
    return text


def training_section(contents: ReportContents) -> Section:
    """Return the learning curves, the batches, the gradients and the loss surface."""
    history, config = contents.history, contents.config
    blocks: list[Block] = []
    if len(history.epochs):
        figure = learning_curves(
            history.epochs,
            history.training,
            history.validation,
            history.lr,
            contents.best_epochs or [history.best_epoch],
            loss_unit(config, contents.preprocessing).label,
        )
        last = int(history.epochs[-1])
        caption = f"The loss over {plural(last, 'epoch')}; below, the learning rate."
        if len(contents.best_epochs) > 1:
            kept = ", ".join(f"{epoch:,}" for epoch in contents.best_epochs)
            caption += (
                " Losses are means over the ensemble members that are still trained, whose best "
                f"epochs are {kept}."
            )
        elif history.validation is not None:
            by = "" if config.train.metric == "loss" else f" by {config.train.metric}"
            caption += f" The best epoch{by} is {history.best_epoch:,}; its parameters are kept."
        caption += _final_model(contents.summary)
        blocks.append(Picture("learning_curves", figure, caption))
    if contents.gradients is not None and len(contents.gradients.updates) > 1:
        names = _layer_names(contents)
        blocks.append(
            Picture(
                "gradients",
                gradient_sizes(contents.gradients.updates, contents.gradients.norms, names),
                "The length of the gradient in each layer"
                + (" of the first ensemble member" if len(contents.best_epochs) > 1 else "")
                + ", and its moving mean. A layer far below the others hardly learns.",
            )
        )
    blocks += loss_pictures(contents)
    if "train" in contents.evaluations:
        rows = contents.evaluations["train"].split_rows
        size = config.train.batch_size
        batch = rows if size == "full" else min(int(size), rows)
        updates, epochs = -(-rows // batch), len(history.epochs)
        blocks.append(
            Picture(
                "updates",
                updates_of_an_epoch(rows, batch),
                "An epoch visits every training row once, in "
                f"{plural(updates, 'batch', 'batches')}. Each batch makes one update of the "
                f"parameters: {updates * epochs:,} in {plural(epochs, 'epoch')}.",
                wide=True,
            )
        )
    return Section(
        "training",
        "Training",
        "Training loss should fall and level off. If validation loss rises while training loss "
        "still falls, the network is overfitting.",
        blocks,
    )


def _layer_names(contents: ReportContents) -> list[str]:
    shapes = contents.model.network.layout.shapes
    names = [f"layer {i}" for i in range(1, len(shapes) + 1)]
    names[-1] += " (output)"
    return names


def network_section(contents: ReportContents) -> Section:
    """Return a drawing of the network, its formula and the number of its parameters."""
    net, model = contents.model.network, contents.config.model
    layout = net.layout
    activation = net.activation.replace("_", " ")
    is_class = isinstance(contents.preprocessing.target, ClassTarget)
    ends = (
        "inputs" if layout.inputs > 1 else "input",
        "classes" if is_class else "outputs" if layout.outputs > 1 else "output",
    )
    formula = {
        schema.Linear: "y = b + Wx",
        schema.SigmoidSum: f"y = b + Σ c · {activation}(b + wx)",
        schema.ReluStack: "h = max(0, b + Wx) in each hidden layer, then y = b + Wh",
    }[type(model)]
    caption = f"{formula}. {plural(layout.parameters, 'parameter')}: "
    caption += " + ".join(
        f"{rows:,} × ({columns - 1:,} + 1)" for rows, columns in layout.shapes[:8]
    )
    caption += " + …." if len(layout.shapes) > 8 else "."
    if len(contents.best_epochs) > 1:
        caption += " The weights are those of the first ensemble member."
    weights = [
        each[0, :, :-1].cpu().numpy() for each in layout.views(contents.model.theta[:1].detach())
    ]
    preprocessing = contents.preprocessing
    labels = preprocessing.target.labels
    figure = network(layout.sizes, weights, activation, ends, (preprocessing.inputs, labels))
    if "⋮" in {text.get_text() for text in figure.axes[0].texts}:
        caption += " Dots stand for units that are not drawn."
    return Section(
        "network",
        "The network",
        "Each line is a weight: blue if it is positive, orange if negative, and the thicker the "
        "larger within its layer. Each hidden unit and each output also has a bias.",
        [Picture("network", figure, caption, wide=True)],
    )


_MOST_TARGETS = 4


def _interval_table(found: Intervals) -> Table:
    """Return a line for each level: its half width, and its coverage on the test rows.

    With more targets than fit a line, only the coverage over all targets.
    """
    targets = list(found.levels[0].half_width)
    targets = targets if len(targets) <= _MOST_TARGETS else []
    has_coverage = found.levels[0].coverage is not None
    headings = ["interval", *(f"± {echo(target)}" for target in targets)]
    headings += ["coverage"] if has_coverage else []
    lines = []
    for each in found.levels:
        line = [f"{100 * each.level:g} %"]
        line += [number(each.half_width[target]) for target in targets]
        line += [] if each.coverage is None else [f"{100 * each.coverage:.1f} %"]
        lines.append(line)
    rows = "held-out" if found.calibrated_on == "folds" else found.calibrated_on
    caption = (
        f"Prediction intervals: ± half width, calibrated on {plural(found.rows, f'{rows} row')}."
    )
    if has_coverage:
        caption += (
            " Coverage: the share of test rows inside. If it is much lower, these differ from "
        )
        caption += "the calibration rows."
    return Table(headings, lines, caption=caption)
