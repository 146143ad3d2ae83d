"""Write the HTML report of a run, and the page of any report to disk."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ml2021.data.preprocessing.records import ClassTarget
from ml2021.errors import ResourceError, RunInterruptedError
from ml2021.evaluation.scoring import Evaluation, best_available
from ml2021.evaluation.verdict import Outcome
from ml2021.files import replace_file
from ml2021.formatting import HIGHER_IS_BETTER, heading, number, plural, score_text
from ml2021.inspection.diagnosis import diagnose, suggested_command
from ml2021.inspection.evidence import evidence_of
from ml2021.inspection.importance import importance
from ml2021.report.contents import ReportContents
from ml2021.report.figures.style import OUR_PNG, to_png
from ml2021.report.html import Bars, Frame, Picture, Section, render
from ml2021.report.sections import function as about_function
from ml2021.report.sections import predictions as about_rows
from ml2021.report.sections import run as about_run
from ml2021.report.sections import worst_rows as about_errors
from ml2021.runs.content import write_text
from ml2021.runs.directory import RunDirectory
from ml2021.runs.outputs import check_output
from ml2021.runs.summary import PiecewiseFacts


def write_report(
    run: RunDirectory,
    contents: ReportContents,
    stop_signal: Callable[[], int | None],
    plots: Path | None = None,
) -> None:
    """Write report.html into the run, atomically, and its figures as PNG files into `plots`.

    Raises ResourceError if a file cannot be written, and RunInterruptedError once `stop_signal`
    returns a signal.
    """
    summary, command = _summary(run, contents)
    outcome, bars = _scores(contents.evaluations)
    frame = Frame(
        f"{contents.name}: {contents.preprocessing.target_name}",
        _subtitle(contents),
        summary,
        f"Made by ml2021 from the run {contents.name}. This file is self-contained. The command "
        "ml2021 explore writes explore.html, a page to try the run's function in: one row, many "
        "rows, or its parameters by hand.",
        outcome,
        [] if command is None else [command],
        bars,
    )
    write_page(run.report, frame, sections(contents), stop_signal, plots)


def _summary(run: RunDirectory, contents: ReportContents) -> tuple[list[str], str | None]:
    """Return the sentences at the top of the report, and the command that they suggest."""
    if (built := contents.piecewise) is not None:
        return _summary_of_built(built), None
    if "train" not in contents.evaluations:
        words = "The run has not finished and its data is not available, so there are no scores."
        return [words], None
    evidence = evidence_of(
        contents.config,
        contents.preprocessing,
        contents.evaluations,
        contents.history,
        contents.model.network.layout.parameters,
    )
    diagnosis = diagnose(evidence)
    return list(diagnosis.words), suggested_command(diagnosis, run)


def _scores(evaluations: Mapping[str, Evaluation]) -> tuple[Outcome | None, Bars | None]:
    """Return the outcome of the verdict, and the scores that decide it as bars."""
    if not evaluations:
        return None, None
    split = best_available(evaluations)
    verdict, table = evaluations[split].verdict, evaluations[split].table()
    if verdict is None:
        return None, None
    metric = verdict.decides.metric
    known = {name: value for name, each in table.items() if (value := each[metric]) is not None}
    texts = [score_text(metric, value) for value in known.values()]
    best = score_text(metric, (max if metric in HIGHER_IS_BETTER else min)(known.values()))
    better = "higher" if metric in HIGHER_IS_BETTER else "lower"
    rows = plural(verdict.rows, f"{split} row")
    return verdict.outcome, Bars(
        f"{heading(metric)} on {rows}: {better} is better",
        [name.replace("_", " ") for name in known],
        [*known.values()],
        texts,
        frozenset(index for index, text in enumerate(texts) if text == best),
    )


def _summary_of_built(built: PiecewiseFacts) -> list[str]:
    first = f"Built by ml2021 piecewise from {plural(built.points, 'point')}, not trained."
    if not (difference := built.rms_difference):
        return [first, "Exact: the network passes through every point."]
    return [
        first,
        f"With {plural(built.pieces, 'piece')} its RMS difference from the curve is "
        f"{number(difference)}; the curve's range is {number(built.range)}.",
    ]


def sections(contents: ReportContents) -> Iterator[Section]:
    """Yield the sections of a report; each is drawn only when it is needed."""
    yield about_run.setup_section(contents)
    if contents.evaluations:
        yield about_run.scores_section(contents)
    if contents.piecewise is None:
        yield about_run.training_section(contents)
    influence = None
    if (rows := contents.rows) is not None:
        influence = importance(contents.model.of_split(rows.split), rows)
        unseen = rows if contents.held_out is None else contents.held_out
        yield about_rows.predictions_section(contents, unseen)
        yield about_errors.worst_rows_section(contents, unseen, influence.columns, influence.total)
    yield about_function.function_section(contents, influence)
    yield about_run.network_section(contents)


def _subtitle(contents: ReportContents) -> str:
    target, net = contents.preprocessing.target, contents.model.network
    kind = contents.preprocessing.task
    classes = f", {target.width:,} classes" if isinstance(target, ClassTarget) else ""
    sizes = net.layout.sizes
    shown = [f"{size:,}" for size in (sizes if len(sizes) <= 8 else (*sizes[:4], *sizes[-3:]))]
    if len(sizes) > 8:
        shown.insert(4, "…")
    members = f"{len(contents.best_epochs)} members of " if len(contents.best_epochs) > 1 else ""
    return (
        f"{kind}{classes} · {members}{contents.config.model.type}, {' → '.join(shown)} · "
        f"{net.layout.parameters:,} parameters{' each' if members else ''}"
    )


def write_page(
    page: Path,
    frame: Frame,
    sections: Iterable[Section],
    stop_signal: Callable[[], int | None],
    plots: Path | None,
) -> None:
    """Write the page, atomically, and its figures as PNG files into `plots`.

    Raises ResourceError if a file cannot be written, and RunInterruptedError once `stop_signal`
    returns a signal.
    """
    if plots is not None:
        try:
            plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{plots}: cannot be created ({error.strerror})") from None

    def watched() -> Iterator[Section]:
        for section in sections:
            if (number_of_signal := stop_signal()) is not None:
                raise RunInterruptedError(
                    number_of_signal,
                    "interrupted while drawing the report; the results are saved. "
                    f"Draw it with: ml2021 report --run {page.parent}",
                )
            yield section
            if plots is not None:  # after the page has drawn it, so that the page stays the same
                for block in section.blocks:
                    if isinstance(block, Picture):
                        path = plots / f"{block.name}.png"
                        check_output("--plots", path, replaced=OUR_PNG)
                        replace_file(path, to_png(block.figure))

    write_text(page, render(frame, watched()))
