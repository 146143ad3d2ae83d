"""A model card: what an exported model takes, gives and scores, as a page of Markdown.

It holds no time and no path, so that a run always has the same card.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ml2021.data.array_names import unused_name
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    DateFeature,
    NumberFeature,
    Preprocessing,
    value_text,
)
from ml2021.evaluation.scoring import best_available
from ml2021.export.dates import MISSING_DATE
from ml2021.formatting import echo, listed, plural, printable, score_cells
from ml2021.runs.model import TrainedModel
from ml2021.runs.summary import RunSummary

_SHOWN_COLUMNS = 200
_SHOWN_NAMES = 12
_WRITTEN_OUT = 12
"""The most columns whose values the example writes out."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def card_of(
    model: TrainedModel, summary: RunSummary | None, facts: Mapping[str, str], file: str
) -> str:
    """Return the card of a model that `ml2021.export.function.build` built.

    summary: of its run, None where training has not ended. facts: the metadata of the ONNX model.
    file: its name.
    """
    fitted, members = model.preprocessing, len(model.theta)
    networks = "a small neural network" if members == 1 else f"{members} small neural networks"
    size = plural(model.theta.numel(), "parameter") + (" in all" if members > 1 else "")
    lines = [
        f"# {_plain(fitted.target_name)}",
        "",
        f"`{_code(file)}` predicts {_outcome(fitted)} for each row of a table, by {networks} "
        f"({_plain(model.config.model.type)}, {size}). All preprocessing is inside.",
        "",
        "## Inputs",
        "",
        *_inputs(fitted, facts),
        "",
        "## Outputs",
        "",
        *_outputs(fitted, facts),
        "",
        "## Scores",
        "",
        *_scores(summary),
        "",
        "## Use",
        "",
        "With onnxruntime 1.20 or newer and numpy; the same row twice:",
        "",
        "```python",
        *_example(fitted, facts, file),
        "```",
        "",
        "## Origin",
        "",
        f"- trained by ml2021 {facts['ml2021_version']} on a table with the SHA-256",
        f"  `{model.data_sha256}`",
    ]
    if summary is not None:
        split = summary.split
        lines.append(
            f"- rows: {split.train:,} to train, {split.validation:,} to validate, {split.test:,} "
            f"to test; split: {_plain(split.method)}"
        )
    return "\n".join([*lines, ""])


def _outcome(fitted: Preprocessing) -> str:
    name, width = _plain(fitted.target_name), fitted.target.width
    if isinstance(fitted.target, ClassTarget):
        return f"the class {name}, one of {width},"
    if fitted.history is not None and width > 1:
        return f"the next {width} values of {_plain(fitted.target_column)}"
    return f"the number {name}" if width == 1 else f"the {width} numbers {name}"


def _inputs(fitted: Preprocessing, facts: Mapping[str, str]) -> Iterator[str]:
    """Yield a table with a row for each column: its type, and what training met in it."""
    columns: dict[str, str] = json.loads(facts["columns"])
    features = {each.name: each for each in (*fitted.features, *fitted.dates)}
    rows = [["column", "type", "in the training rows", "missing"]]
    for name, kind in [*columns.items()][:_SHOWN_COLUMNS]:
        feature = features[name]
        if isinstance(feature, DateFeature):
            parts = ", ".join(feature.parts)
            rows.append([name, "date", f"from {_date(feature)}; used: {parts}", str(MISSING_DATE)])
        elif isinstance(feature, NumberFeature):
            met = f"{feature.minimum:.6g} to {feature.maximum:.6g}"
            lost = f"; {feature.missing:,} missing" if feature.missing else ""
            rows.append([name, "number", met + lost, f"NaN, read as {feature.fill:.6g}"])
        else:
            labels = [*map(value_text, (*feature.categories, *feature.rarer))]
            met = f"{len(labels):,}: {listed(labels, _SHOWN_NAMES)}"
            rows.append([name, f"category, {kind}", met, "NaN" if kind == "number" else '""'])
    if columns:
        yield from _table(rows)
        if (more := len(columns) - _SHOWN_COLUMNS) > 0:
            yield from ("", f"{plural(more, 'more column')}: see `columns` in the metadata.")
        yield ""
        yield (
            f"They are the columns of one input, `{facts['matrix']}`, doubles (N, {len(columns)}), "
            "in this order."
            if "matrix" in facts
            else "Each is an input of its name, (N, 1): numbers as doubles, texts as strings, "
            "dates as int64 seconds since 1970."
        )
    if fitted.history is not None:
        lags = fitted.history.lags
        what = "are the values of the target before each row, oldest first."
        yield f"`{_history(facts)}` (N, {lags}), doubles, {what}"


def _outputs(fitted: Preprocessing, facts: Mapping[str, str]) -> list[str]:
    width, names = fitted.target.width, json.loads(facts["outputs"])
    doubles, share = f"doubles (N, {width})", f"{100 * float(facts.get('interval', 0)):g} %"
    meaning = {
        "prediction": f"{doubles}, in the units of the table",
        "label": "strings (N, 1), the most probable class",
        "probabilities": f"{doubles}, of {listed(fitted.target.labels, _SHOWN_NAMES)}",
        "std": f"{doubles}, the standard deviation over the members",
        "low": f"{doubles}, the lower end of an interval that holds {share} of new rows",
        "high": f"{doubles}, its upper end",
    }
    each = [f"- `{name}`: {_plain(meaning[key])}" for key, name in names.items()]
    nothing = "A row that `ml2021 predict` would refuse is NaN"
    return [*each, "", nothing + (", its label empty." if "label" in names else ".")]


def _scores(summary: RunSummary | None) -> list[str]:
    """Return a table of the scores beside those of the baselines, and the verdict."""
    if summary is None:
        return ["None: this is a single member, or its training has not ended."]
    split = best_available(summary.evaluations)
    found = summary.evaluations[split]
    cells = score_cells(plural(found.rows, f"{split} row"), found.table())
    return [*_table(cells), "", _plain(found.verdict_words(split))]


def _example(fitted: Preprocessing, facts: Mapping[str, str], file: str) -> Iterator[str]:
    """Yield the lines of a program that predicts a row."""
    columns: dict[str, str] = json.loads(facts["columns"])
    features = {each.name: each for each in (*fitted.features, *fitted.dates)}
    values = {name: _usual(features[name]) for name in columns}
    few = len(columns) <= _WRITTEN_OUT
    if not few and "matrix" not in facts:
        yield "import json"
        yield ""
    yield "import numpy as np"
    yield "import onnxruntime"
    yield ""
    yield f"session = onnxruntime.InferenceSession({_quoted(file)})"
    if "matrix" in facts:
        row = ", ".join(values.values()) if few else f"*[np.nan] * {len(columns)}"
        yield f'rows = {{"{facts["matrix"]}": np.array([[{row}]] * 2)}}'
    elif few:
        yield "rows = {"
        for name, value in values.items():
            kind = ", object" if columns[name] == "text" else ""
            yield f"    {_quoted(name)}: np.array([[{value}]] * 2{kind}),"
        yield "}"
    else:
        missing = {"number": "np.nan", "text": '""', "date": str(MISSING_DATE)}
        kinds = [kind for kind in missing if kind in columns.values()]
        words = ", ".join(f'"{kind}": {missing[kind]}' for kind in kinds)
        yield 'columns = json.loads(session.get_modelmeta().custom_metadata_map["columns"])'
        yield f"missing = {{{words}}}"
        yield "rows = {"
        yield '    name: np.array([[missing[kind]]] * 2, object if kind == "text" else None)'
        yield "    for name, kind in columns.items()"
        yield "}"
    if fitted.history is not None:
        history = ", ".join([repr(float(fitted.history.mean))] * fitted.history.lags)
        yield f'rows["{_history(facts)}"] = np.array([[{history}]] * 2)'
    names = ", ".join(json.loads(facts["outputs"]).values())
    yield f"{names if ', ' in names else f'({names},)'} = session.run(None, rows)"


def _usual(feature: NumberFeature | CategoryFeature | DateFeature) -> str:
    """Return a value that training knows, as Python writes it."""
    if isinstance(feature, NumberFeature):
        return repr(float(feature.fill))
    if isinstance(feature, DateFeature):
        return str(feature.origin // 1_000_000)
    first = feature.categories[0]
    return _quoted(first) if isinstance(first, str) else repr(float(first))


def _date(feature: DateFeature) -> str:
    return str(np.datetime64(feature.origin, "us").astype("M8[s]")).replace("T", " ")


def _history(facts: Mapping[str, str]) -> str:
    """Return what the input of the target's last values is called."""
    return unused_name("history", json.loads(facts["columns"]))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, the first row its head."""
    lines = [f"| {' | '.join(_plain(echo(cell)) for cell in row)} |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _plain(text: str) -> str:
    """Return text as Markdown that shows it as it is."""
    return _SPECIAL.sub(r"\\\1", printable(text))


def _code(text: str) -> str:
    return printable(text).replace("`", "'")
