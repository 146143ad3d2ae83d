"""Writing the report of a run: its sections one by one, as a page and as PNG files."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml2021.console import number
from ml2021.data.preprocessing import ClassTarget
from ml2021.report import about_errors, about_function, about_rows, about_run
from ml2021.report.blocks import Section
from ml2021.report.diagnosis import diagnose, say
from ml2021.report.drawing import Heading, draw_page
from ml2021.report.evidence import evidence_of
from ml2021.report.influence import importance
from ml2021.report.material import Material
from ml2021.runs.directory import RunDirectory


def write_report(
    run: RunDirectory,
    material: Material,
    stop_signal: Callable[[], int | None],
    plots: Path | None = None,
) -> None:
    """Write report.html into the run, whole or not at all, and its figures as PNG into `plots`.

    Raises ResourceError where a file cannot be written, and
    RunInterruptedError when `stop_signal` has a signal.
    """
    heading = Heading(
        f"{material.name}: {material.target_name}",
        _subtitle(material),
        _words(run, material),
        f"Made by ml2021 from the run {material.name}. Everything is in this one file.",
    )
    draw_page(run.report, heading, sections(material), stop_signal, plots)


def _words(run: RunDirectory, material: Material) -> list[str]:
    if (built := material.built) is not None:
        return _words_of_built(built)
    if "train" not in material.reports:
        return ["The run has not ended, and its data is not at hand: there are no scores yet."]
    evidence = evidence_of(
        material.config,
        material.preprocessing,
        material.reports,
        material.history,
        material.model.network.layout.parameters,
    )
    return say(diagnose(evidence), run)


def _words_of_built(built: Mapping[str, Any]) -> list[str]:
    first = f"Built by ml2021 piecewise from {built['points']:,} points, and not trained."
    if not (off := built["rms_difference"]):
        return [first, "Exact: every point is a bend of the network."]
    return [
        first,
        f"With {built['pieces']:,} pieces it is off by {number(off)}, as root mean square along x, "
        f"of a range of {number(built['range'])}.",
    ]


def sections(material: Material) -> Iterator[Section]:
    """Yield the sections of a report, each drawn when it is asked for."""
    yield about_run.asked(material)
    if material.reports:
        yield about_run.scores(material)
    if material.built is None:
        yield about_run.learning(material)
    influence = None
    if (rows := material.rows) is not None:
        influence = importance(material.model, rows)
        seen = rows if material.held_out is None else material.held_out
        yield about_rows.predictions(material, seen)
        yield about_errors.worst(material, seen, influence.columns, influence.of)
    yield about_function.function(material, influence)
    yield about_run.drawn_network(material)


def _subtitle(material: Material) -> str:
    target, net = material.preprocessing.target, material.model.network
    kind = material.preprocessing.task
    classes = f", {target.width:,} classes" if isinstance(target, ClassTarget) else ""
    sizes = net.layout.sizes
    shown = [f"{size:,}" for size in (sizes if len(sizes) <= 8 else (*sizes[:4], *sizes[-3:]))]
    if len(sizes) > 8:
        shown.insert(4, "…")
    members = f"{len(material.best_epochs)} members of " if len(material.best_epochs) > 1 else ""
    return (
        f"{kind}{classes} · {members}{material.config.model.type}, {' → '.join(shown)} · "
        f"{net.layout.parameters:,} parameters{' each' if members else ''}"
    )
