"""Write the report last; its failure must not fail the command."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml2021.console import Console, write_message
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.errors import Ml2021Error, ResourceError, RunInterruptedError
from ml2021.files import replace_file
from ml2021.formatting import number, printable
from ml2021.inspection.diagnosis import describe_diagnosis, diagnose
from ml2021.inspection.evidence import evidence_of
from ml2021.inspection.importance import importance
from ml2021.report.contents import ReportContents
from ml2021.report.figures.style import to_png
from ml2021.report.html import Picture, Section, render
from ml2021.report.sections import function as about_function
from ml2021.report.sections import predictions as about_rows
from ml2021.report.sections import run as about_run
from ml2021.report.sections import worst_rows as about_errors
from ml2021.runs.directory import RunDirectory, write_text
from ml2021.runs.summary import PiecewiseFacts


def write_report(
    run: RunDirectory,
    contents: ReportContents,
    stop_signal: Callable[[], int | None],
    plots: Path | None = None,
) -> None:
    """Write report.html into the run, whole or not at all, and its figures as PNG into `plots`.

    Raises ResourceError where a file cannot be written, and
    RunInterruptedError when `stop_signal` has a signal.
    """
    heading = Heading(
        f"{contents.name}: {contents.preprocessing.target_name}",
        _subtitle(contents),
        _words(run, contents),
        f"Made by ml2021 from the run {contents.name}. Everything is in this one file.",
    )
    draw_page(run.report, heading, sections(contents), stop_signal, plots)


def _words(run: RunDirectory, contents: ReportContents) -> list[str]:
    if (built := contents.piecewise) is not None:
        return _words_of_built(built)
    if "train" not in contents.evaluations:
        return ["The run has not ended, and its data is not at hand: there are no scores yet."]
    evidence = evidence_of(
        contents.config,
        contents.preprocessing,
        contents.evaluations,
        contents.history,
        contents.model.network.layout.parameters,
    )
    return describe_diagnosis(diagnose(evidence), run)


def _words_of_built(built: PiecewiseFacts) -> list[str]:
    first = f"Built by ml2021 piecewise from {built.points:,} points, and not trained."
    if not (off := built.rms_difference):
        return [first, "Exact: every point is a bend of the network."]
    return [
        first,
        f"With {built.pieces:,} pieces it is off by {number(off)}, as root mean square along x, "
        f"of a range of {number(built.range)}.",
    ]


def sections(contents: ReportContents) -> Iterator[Section]:
    """Yield the sections of a report, each drawn when it is asked for."""
    yield about_run.setup_section(contents)
    if contents.evaluations:
        yield about_run.scores_section(contents)
    if contents.piecewise is None:
        yield about_run.training_section(contents)
    influence = None
    if (rows := contents.rows) is not None:
        influence = importance(contents.model, rows)
        seen = rows if contents.held_out is None else contents.held_out
        yield about_rows.predictions_section(contents, seen)
        yield about_errors.worst_rows_section(contents, seen, influence.columns, influence.total)
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


@dataclass(frozen=True)
class Heading:
    """What stands above the sections, and `footer` below them; `words` the most important first."""

    title: str
    subtitle: str
    words: Sequence[str]
    footer: str


def draw_page(
    page: Path,
    heading: Heading,
    sections: Iterable[Section],
    stop_signal: Callable[[], int | None],
    plots: Path | None,
) -> None:
    """Write the page, whole or not at all, and its figures as PNG into `plots`.

    Raises ResourceError where a file cannot be written, and RunInterruptedError when `stop_signal`
    has a signal.
    """
    if plots is not None:
        try:
            plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{plots}: cannot be made ({error.strerror})") from None

    def watched() -> Iterator[Section]:
        for section in sections:
            if (number_of_signal := stop_signal()) is not None:
                raise RunInterruptedError(
                    number_of_signal,
                    "stopped while drawing the report; all that it shows is saved; "
                    f"draw it with: ml2021 report --run {page.parent}",
                )
            yield section
            if plots is not None:  # after the page has it, which is then the same with them
                for block in section.blocks:
                    if isinstance(block, Picture):
                        replace_file(plots / f"{block.name}.png", to_png(block.figure))

    text = render(heading.title, heading.subtitle, heading.words, watched(), heading.footer)
    write_text(page, text)


def write_last(draw: Callable[[], None], page: Path, what: str, console: Console) -> None:
    """Draw the page of the run or sweep that it lies in, and say where it is, or why there is none.

    `what` is a run or a sweep, in a word. Raises RunInterruptedError after a signal.
    """
    try:
        draw()
    except RunInterruptedError:
        raise
    except Exception as error:
        why = str(error) if isinstance(error, Ml2021Error) else f"{type(error).__name__}: {error}"
        write_message(
            f"the {what} is saved, but its report could not be made ({printable(why)}); "
            f"to see why: ml2021 report --run {page.parent}"
        )
    else:
        console.say(f"to look at: {page}")
