"""The report of a sweep: a picture for each key, and the table of its runs.

What the runs have come to is in `ml2021.sweeps.summary`; a run of its own has its own report.

Legend: N runs that have ended well.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml2021.config.yaml_scalars import dump_value
from ml2021.evaluation.comparison import SEED, are_same_rows, comparison_cells
from ml2021.formatting import echo, heading, number
from ml2021.report.figures import slices
from ml2021.report.figures.style import WIDTH
from ml2021.report.html import Block, Frame, Items, Listing, Picture, Section, Table, Text
from ml2021.report.write import write_page
from ml2021.sweeps.directory import SweepDirectory
from ml2021.sweeps.results import setting_text, table
from ml2021.sweeps.summary import SweepSummary

MOST_SLICES = 12

MOST_GROUPS = 40

MOST_RUNS = 500


def write_sweep_report(
    sweep: SweepDirectory,
    outcome: SweepSummary,
    stop_signal: Callable[[], int | None],
    plots: Path | None = None,
) -> None:
    """Write report.html into the sweep, whole or not at all, and its figures as PNG into `plots`.

    The outcome has runs that ended well, of one task. Raises ResourceError where a file cannot be
    written, and RunInterruptedError when `stop_signal` has a signal.
    """
    name = sweep.path.absolute().name
    runs, keys = len(outcome.plan.texts), len(outcome.keys)
    words = outcome.findings(sweep.best)
    if outcome.best is not None:
        words.append(f"The best run by itself: ml2021 report --run {sweep.best}")
    frame = Frame(
        title=f"{name}: {_target(outcome)}",
        subtitle=f"{outcome.done[0].task} · {runs:,} runs over {keys} key" + "s" * (keys != 1),
        summary=words,
        footer=f"Made by ml2021 from the sweep {name}. Everything is in this one file.",
    )
    write_page(sweep.report, frame, _sections(sweep, outcome), stop_signal, plots)


def _sections(sweep: SweepDirectory, outcome: SweepSummary) -> Iterator[Section]:
    yield _asked(sweep, outcome)
    yield _slices(outcome)
    yield _runs(outcome)


def _asked(sweep: SweepDirectory, outcome: SweepSummary) -> Section:
    first = outcome.done[0]
    config = outcome.plan.configs[first.run - 1]
    rows = ", ".join(f"{count:,} {part}" for part, count in first.rows.items())
    lines = [
        ["data", config.data.path],
        ["target", _target(outcome)],
        ["rows", rows],
        ["runs", f"{len(outcome.plan.texts):,}, of which {len(outcome.done):,} have ended well"],
    ]
    for key in outcome.keys:
        texts = [
            setting_text(key, own, each)
            for own, each in zip(outcome.plan.settings, outcome.plan.configs, strict=True)
        ]
        lines.append([key, _values(outcome, key, list(dict.fromkeys(texts)))])
    blocks: list[Block] = [Table(("", ""), lines, is_text=True)]
    if sweep.config.is_file():
        text = sweep.config.read_text(encoding="utf-8", errors="replace").strip()
        blocks.append(Listing(text, "The config as it was written"))
    return Section(
        "asked",
        "What was asked",
        "The keys that differ from run to run, and what was tried for each.",
        blocks,
    )


def _values(outcome: SweepSummary, key: str, texts: list[str], limit: int = 12) -> str:
    """Return what was tried for a key in a few words."""
    if (scale := outcome.plan.scales.get(key)) is not None:
        drawn = sorted(float(text) for text in texts)
        ends = " to ".join(dump_value(end) for end in (drawn[0], drawn[-1]))
        return f"{len(drawn):,} drawn from {ends}, {scale}"
    said = ", ".join(echo(text) or "-" for text in texts[:limit])
    return said + (f" and {len(texts) - limit:,} more" if len(texts) > limit else "")


def _slices(outcome: SweepSummary) -> Section:
    """Return a picture for each key, and how far validation tells what the test rows will say."""
    parts = outcome.splits
    if {"validation", "test"} <= {*parts}:
        parts = ["validation", "test"]
    scores = {part: _scores(outcome, part) for part in parts}
    best = None
    if outcome.best is not None:
        best = [result.run for result in outcome.done].index(outcome.best.run)
    trivial = None
    if are_same_rows(outcome.run_results, parts[-1]) and (known := outcome.baselines(parts[-1])):
        name = min(known, key=lambda each: known[each])
        trivial = (f"{name}, {parts[-1]}", known[name])
    found = (_slice(outcome, key, scores, best, trivial) for key in outcome.keys[:MOST_SLICES])
    blocks: list[Block] = [picture for picture in found if picture is not None]
    if (more := len(outcome.keys) - MOST_SLICES) > 0:
        blocks.append(Text(f"{more:,} more keys are not drawn; sweep.csv has them all."))
    if len(outcome.done) > 2 and {"validation", "test"} <= scores.keys():
        labels = tuple(_score_label(outcome, f"{part} ") for part in ("validation", "test"))
        figure = slices.part_against_part(
            scores["validation"], scores["test"], best, (labels[0], labels[1])
        )
        caption = "Each point is a run. Where the cloud rises to the right, choosing by validation "
        caption += "rows chooses what is good on rows that nobody has chosen by."
        blocks.append(Picture("validation_test", figure, caption))
    see = "Each point is a run, whatever it is in the other keys: a key matters where its medians "
    see += "move by more than its points are spread. Lower is better."
    if len(outcome.done) > slices.MOST_POINTS:
        see += f" {slices.MOST_POINTS:,} of {len(outcome.done):,} runs are drawn."
    return Section(
        "slices",
        "What each key does",
        see,
        blocks or [Text("One run has no slices.")],
    )


def _slice(
    outcome: SweepSummary,
    key: str,
    scores: dict[str, NDArray[np.float64]],
    best: int | None,
    trivial: slices.Trivial | None,
) -> Picture | None:
    """Return the picture of a key, None where all runs have one value of it."""
    labels = (key, _score_label(outcome))
    name = "slice_" + key.replace(".", "_")
    numbers = outcome.numbers(key)
    if numbers is not None:
        if len(set(numbers)) < 2:
            return None
        is_drawn = key in outcome.plan.scales
        is_joined = key != SEED and not is_drawn
        figure = slices.number_slice(
            np.array(numbers),
            scores,
            best,
            labels,
            trivial,
            is_log=outcome.plan.scales.get(key) == "log",
            is_joined=is_joined,
        )
        caption = f"By {key}."
        if key == SEED:
            caption = "By seed: what differs here is chance, and no reason to prefer one."
        elif is_drawn:
            caption = f"By {key}, which was drawn at random."
        elif len(set(numbers)) <= slices.MOST_JOINED:
            caption += " The lines join the medians."
        return Picture(name, figure, caption)
    texts = [contender.settings[key] for contender in outcome.run_results]
    choices = list(dict.fromkeys(texts))
    if len(choices) < 2:
        return None
    kept = choices[: slices.MOST_CHOICES]
    places = np.array([kept.index(text) if text in kept else -1 for text in texts])
    names = [_name(text) for text in kept]
    figure = slices.choice_slice(places, names, scores, best, labels, trivial)
    caption = f"By {key}. The strokes are the medians."
    if len(kept) < len(choices):
        caption += f" The first {len(kept)} of {len(choices):,} choices."
    return Picture(name, figure, caption, wide=bool(figure.get_figwidth() > WIDTH))


def _name(text: str) -> str:
    """Return a value as it is named in a picture: {type: linear} is linear."""
    if text.startswith("{"):
        text = text.strip("{}").removeprefix("type: ").replace(": ", " ")
    return text or "-"


def _runs(outcome: SweepSummary) -> Section:
    header, *cells = comparison_cells(outcome.groups[:MOST_GROUPS], outcome.columns)
    is_one_each = all(len(each.members) == 1 for each in outcome.groups)
    caption = "" if is_one_each else "Those that differ in the seed alone: mean ± deviation."
    if len(outcome.groups) > MOST_GROUPS:
        caption += f" The first {MOST_GROUPS} of {len(outcome.groups):,}."
    is_ranked = outcome.best is not None
    blocks: list[Block] = [
        Table(header, cells, strong=frozenset({0} if is_ranked else ()), caption=caption.strip())
    ]
    if trivial := outcome.baselines(outcome.splits[-1]):
        score = f"{heading(outcome.metric)} {outcome.splits[-1]}"
        lines = [[name, number(value)] for name, value in trivial.items()]
        blocks.append(Table(("trivial answers", score), lines))
    plan = outcome.plan
    names, rows = table(plan.settings, plan.configs, outcome.results)
    shown = [[*map(_cell, row)] for row in rows[:MOST_RUNS]]
    caption = f"The first {MOST_RUNS} of {len(rows):,}." if len(rows) > MOST_RUNS else ""
    blocks.append(Table(names, shown, caption=caption, folded="Run by run"))
    if odd := [result for result in outcome.results.values() if result.lines]:
        blocks.append(Items([f"run {each.run}: {each.lines[0]}" for each in odd[:MOST_GROUPS]]))
    see = (
        "The settings, the best by validation first." if is_ranked else "The settings, one by one."
    )
    return Section("runs", "The runs", see, blocks)


def _cell(text: str) -> str:
    """Return a cell of sweep.csv as people read it: the digits of a long fraction are cut."""
    try:
        value = float(text)
    except ValueError:
        return echo(text)
    return number(value) if len(text) > 7 and "." in text else text


def _scores(outcome: SweepSummary, part: str) -> NDArray[np.float64]:
    """Return the score (N,) of each run on a part, NaN where it is undefined."""
    found = [result.scores.get(part, {}).get(outcome.metric) for result in outcome.done]
    return np.array([np.nan if value is None else value for value in found], np.float64)


def _target(outcome: SweepSummary) -> str:
    """Return what is predicted, in a few words."""
    targets = {
        echo(dump_value(outcome.plan.configs[result.run - 1].data.target))
        for result in outcome.done
    }
    return ", ".join(sorted(targets))


def _score_label(outcome: SweepSummary, part: str = "") -> str:
    unit = "nats" if outcome.metric == "log_loss" else _target(outcome)
    return f"{part}{heading(outcome.metric)}: {unit}"
