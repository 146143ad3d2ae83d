"""Write the HTML report of a sweep: a figure for each key that varies, and the table of its runs.

What the runs show is in `ml2021.sweeps.summary`; each run can have its own report.

Legend: N completed runs.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml2021.config.schema import each_path
from ml2021.config.yaml_scalars import dump_value
from ml2021.evaluation.comparison import SEED, are_same_rows, best_of, comparison_cells
from ml2021.formatting import echo, heading, listed, number, plural, score_text
from ml2021.report.figures import slices, style
from ml2021.report.html import (
    Bars,
    Block,
    Column,
    Frame,
    Items,
    Listing,
    Picture,
    Section,
    Table,
    Text,
)
from ml2021.report.write import write_page
from ml2021.sweeps.directory import SweepDirectory
from ml2021.sweeps.results import setting_text, table
from ml2021.sweeps.summary import SweepSummary

MOST_SLICES = 12
MOST_GROUPS = 40
MOST_RUNS = 500
_SHORT_CONFIG = 30
"""Lines of a config that is shown open."""


def write_sweep_report(
    sweep: SweepDirectory,
    summary: SweepSummary,
    stop_signal: Callable[[], int | None],
    plots: Path | None = None,
) -> None:
    """Write report.html into the sweep, atomically, and its figures as PNG files into `plots`.

    The summary has completed runs, all of one task. Raises ResourceError if a file cannot be
    written, and RunInterruptedError once `stop_signal` returns a signal.
    """
    name = sweep.path.absolute().name
    runs = plural(len(summary.plan.texts), "run")
    findings = summary.findings(sweep.best)
    commands = [] if summary.best is None else [f"ml2021 report --run {sweep.best}"]
    frame = Frame(
        title=f"{name}: {_target(summary)}",
        subtitle=f"{summary.runs[0].result.task} · {runs} over {plural(len(summary.keys), 'key')}",
        summary=findings,
        footer=f"Made by ml2021 from the sweep {name}. This file is self-contained.",
        commands=commands,
        bars=_bars(summary),
    )
    write_page(sweep.report, frame, _sections(sweep, summary), stop_signal, plots)


def _bars(summary: SweepSummary) -> Bars | None:
    """Return the score of the best run and those of the baselines on the same rows."""
    split, metric = summary.splits[-1], summary.metric
    if summary.best is None or not are_same_rows(summary.runs, split):
        return None
    own, others = summary.best.score(split, metric), summary.baselines(split)
    if own is None or not others:
        return None
    scores = {"best run": own, **others}
    texts = [score_text(metric, value) for value in scores.values()]
    best = score_text(metric, min(scores.values()))
    found = frozenset(index for index, text in enumerate(texts) if text == best)
    title = f"{heading(metric)} on {split} rows: lower is better"
    return Bars(title, [*scores], [*scores.values()], texts, found)


def _sections(sweep: SweepDirectory, summary: SweepSummary) -> Iterator[Section]:
    yield _setup(sweep, summary)
    yield _slices(summary)
    yield _runs(summary)


def _setup(sweep: SweepDirectory, summary: SweepSummary) -> Section:
    first, scores = summary.done[0], summary.runs[0].result.splits
    config = summary.plan.configs[first.run - 1]
    rows = ", ".join(f"{scored.rows:,} {split}" for split, scored in scores.items())
    lines = [
        ["data", listed(each_path(config.data.path))],
        ["target", _target(summary)],
        ["rows", rows],
        ["runs", _completed(len(summary.done), len(summary.plan.texts))],
    ]
    for key in summary.keys:
        texts = [
            setting_text(key, own, each)
            for own, each in zip(summary.plan.settings, summary.plan.configs, strict=True)
        ]
        lines.append([key, _values(summary, key, list(dict.fromkeys(texts)))])
    blocks: list[Block] = [Table(("", ""), lines, is_text=True)]
    if sweep.config.is_file():
        text = sweep.config.read_text(encoding="utf-8", errors="replace").strip()
        folded = "The config as written" if text.count("\n") > _SHORT_CONFIG else None
        blocks.append(Column([Listing(text, folded)]))
    return Section(
        "setup", "Data and config", "The keys that vary, and the values tried for each.", blocks
    )


def _values(summary: SweepSummary, key: str, texts: list[str]) -> str:
    """Return a short description of the values tried for a key."""
    if (scale := summary.plan.scales.get(key)) is not None:
        sampled = sorted(float(text) for text in texts)
        ends = " to ".join(dump_value(end) for end in (sampled[0], sampled[-1]))
        return f"{plural(len(sampled), 'random value')} from {ends}, {scale}"
    return listed((text or "-" for text in texts), 12)


def _slices(summary: SweepSummary) -> Section:
    """Return a figure for each key, and one of the test scores against the validation scores."""
    splits = summary.splits
    if {"validation", "test"} <= {*splits}:
        splits = ["validation", "test"]
    scores = {split: _scores(summary, split) for split in splits}
    best = None
    if summary.best is not None:
        best = [result.run for result in summary.done].index(summary.best.run)
    baseline = None
    last = splits[-1]
    if are_same_rows(summary.runs, last) and (known := summary.baselines(last)):
        name = min(known, key=lambda each: known[each])
        baseline = (f"{name}, {last}", known[name])
    found = (_slice(summary, key, scores, best, baseline) for key in summary.keys[:MOST_SLICES])
    blocks: list[Block] = [picture for picture in found if picture is not None]
    if (more := len(summary.keys) - MOST_SLICES) > 0:
        blocks.append(Text(f"{plural(more, 'more key')} not drawn; sweep.csv has all of them."))
    if len(summary.done) > 2 and {"validation", "test"} <= scores.keys():
        labels = (_score_label(summary, "validation "), _score_label(summary, "test "))
        figure = slices.split_against_split(scores["validation"], scores["test"], best, labels)
        caption = "Each point is a run. If points rise to the right, validation score predicts "
        caption += "test score."
        blocks.append(Picture("validation_test", figure, caption))
    intro = "Each point is a run. A key matters if its medians differ by more than the spread of "
    intro += "the points. Lower is better."
    if len(summary.done) > style.MOST_POINTS:
        intro += f" {style.MOST_POINTS:,} of {len(summary.done):,} runs are drawn."
    return Section(
        "slices", "Effect of each key", intro, blocks or [Text("No key differs between the runs.")]
    )


def _slice(
    summary: SweepSummary,
    key: str,
    scores: dict[str, NDArray[np.float64]],
    best: int | None,
    baseline: slices.Baseline | None,
) -> Picture | None:
    """Return the figure of a key, or None if it has the same value in all runs."""
    labels = (key, _score_label(summary))
    name = "slice_" + key.replace(".", "_")
    numbers = summary.numbers(key)
    if numbers is not None:
        if len(set(numbers)) < 2:
            return None
        is_sampled = key in summary.plan.scales
        figure = slices.number_slice(
            np.array(numbers),
            scores,
            best,
            labels,
            baseline,
            is_log=summary.plan.scales.get(key) == "log",
            is_joined=key != SEED and not is_sampled,
        )
        caption = f"By {key}."
        if key == SEED:
            caption = "By seed: differences between seeds are noise."
        elif is_sampled:
            caption = f"By {key}, sampled at random."
        elif len(set(numbers)) <= slices.MOST_JOINED:
            caption += " Lines join the medians."
        return Picture(name, figure, caption)
    texts = [result.settings[key] for result in summary.runs]
    choices = list(dict.fromkeys(texts))
    if len(choices) < 2:
        return None
    kept = choices[: slices.MOST_CHOICES]
    chosen = np.array([kept.index(text) if text in kept else -1 for text in texts])
    figure = slices.choice_slice(
        chosen, [_short_value(text) for text in kept], scores, best, labels, baseline
    )
    caption = f"By {key}. Ticks mark medians."
    if len(kept) < len(choices):
        caption += f" The first {len(kept)} of {len(choices):,} choices."
    return Picture(name, figure, caption, wide=bool(figure.get_figwidth() > style.WIDTH))


def _short_value(text: str) -> str:
    """Shorten a value for a figure: {type: linear} becomes linear."""
    if text.startswith("{"):
        text = text.strip("{}").removeprefix("type: ").replace(": ", " ")
    return text or "-"


def _runs(summary: SweepSummary) -> Section:
    header, *cells = comparison_cells(summary.groups[:MOST_GROUPS], summary.columns)
    is_one_each = all(len(each.runs) == 1 for each in summary.groups)
    captions = [] if is_one_each else ["Runs that differ only in the seed: mean ± std."]
    if len(summary.groups) > MOST_GROUPS:
        captions.append(f"The first {MOST_GROUPS} of {len(summary.groups):,} settings.")
    first = len(header) - len(summary.columns)
    best = frozenset(
        (row, first + place)
        for place, column in enumerate(summary.columns)
        if (row := best_of(summary.groups[:MOST_GROUPS], *column)) is not None
    )
    blocks: list[Block] = [Table(header, cells, strong=best, caption=" ".join(captions))]
    if baselines := summary.baselines(summary.splits[-1]):
        score = f"{heading(summary.metric)} {summary.splits[-1]}"
        lines = [[name, number(value)] for name, value in baselines.items()]
        blocks.append(Table(("baseline", score), lines))
    plan = summary.plan
    names, rows = table(plan.settings, plan.configs, summary.results)
    shown = [[*map(_cell, row)] for row in rows[:MOST_RUNS]]
    caption = f"The first {MOST_RUNS} of {len(rows):,} runs." if len(rows) > MOST_RUNS else ""
    blocks.append(Table(names, shown, caption=caption, folded="All runs"))
    if odd := [result for result in summary.results.values() if result.lines]:
        blocks.append(Items([f"run {each.run}: {each.lines[0]}" for each in odd[:MOST_GROUPS]]))
    intro = "The settings" if summary.best is None else "The settings, best on validation first"
    return Section("runs", "Runs", f"{intro}.", blocks)


def _cell(text: str) -> str:
    """Return a cell of sweep.csv, with the digits of a long fraction cut."""
    try:
        value = float(text)
    except ValueError:
        return echo(text)
    return number(value) if len(text) > 7 and "." in text else text


def _scores(summary: SweepSummary, split: str) -> NDArray[np.float64]:
    """Return the score (N,) of each run on a split, NaN if it is undefined."""
    found = [result.score(split, summary.metric) for result in summary.done]
    return np.array([np.nan if value is None else value for value in found], np.float64)


def _target(summary: SweepSummary) -> str:
    """Return the targets of the completed runs, as text."""
    targets = {
        echo(dump_value(summary.plan.configs[result.run - 1].data.target))
        for result in summary.done
    }
    return ", ".join(sorted(targets))


def _score_label(summary: SweepSummary, split: str = "") -> str:
    unit = "nats" if summary.metric == "log_loss" else _target(summary)
    return f"{split}{heading(summary.metric)}: {unit}"


def _completed(done: int, planned: int) -> str:
    return f"{done:,}, all completed" if done == planned else f"{done:,} of {planned:,} completed"
