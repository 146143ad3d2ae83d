"""The commands about runs, from `evaluate` and `predict` to `explore`, `export` and `surface`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import BadParameter, Option

from ml2021.cli.app import command
from ml2021.cli.options import (
    FileFormat,
    InputArgument,
    Json,
    Run,
    RunAgain,
    RunArgument,
    RunOption,
    complete_run,
    one_run,
)
from ml2021.console import VERDICT_COLOURS, Console, write_json, write_path, write_result
from ml2021.formatting import bulleted, plural


@command(
    "evaluate",
    "evaluate new.csv --run houses-1",
    "evaluate new.csv --set 'data.separator=\";\"' --json",
)
def evaluate(
    csv: Annotated[
        list[Path] | None,
        InputArgument(
            metavar="CSV",
            help="CSV to score, - for stdin, or the parts of one table (default: the run's own "
            "test rows).",
        ),
    ] = None,
    run: Run = None,
    set_: FileFormat = None,
    json_: Json = False,
) -> None:
    """Score a run, next to the baselines on the same rows."""
    from ml2021.commands import evaluate as evaluate_command
    from ml2021.commands.stdin import NAME, is_stdin, spooled_stdin

    with spooled_stdin(csv or []) as sources:
        result = evaluate_command.evaluate(sources, run, set_ or [])
    if csv is not None and len(csv) == 1 and is_stdin(csv[0]):
        result = replace(result, split=NAME)
    Console().say(f"run {result.run}", *bulleted(result.notes))
    if json_:
        write_json(result.to_json())
    else:
        *tables, last = result.lines()
        verdict = result.evaluation.verdict
        write_result(*tables)
        write_result(last, colour=VERDICT_COLOURS[verdict.outcome] if verdict else None)


@command(
    "predict new.csv",
    "predict new.csv --run houses-1 --id '*' --output prices.csv",
    "predict monday.csv tuesday.csv --output predictions/",
)
def predict(
    csv: Annotated[
        list[Path],
        InputArgument(
            metavar="CSV",
            help="CSVs to predict, - for stdin, or folders of parts; no target column needed.",
        ),
    ],
    run: Run = None,
    output: Annotated[
        Path | None,
        Option(
            help="File to write, - for stdout, or a folder for several CSVs (default: "
            "<CSV name>.predictions.csv, which is not overwritten; stdout for stdin)."
        ),
    ] = None,
    id_: Annotated[
        list[str] | None,
        Option(
            "--id",
            metavar="COLUMN",
            help="Copy this column to the output, or all that match, such as '*' (default: none); "
            "repeat for more.",
        ),
    ] = None,
    ahead: Annotated[
        int, Option(metavar="N", min=0, help="Time series: forecast N rows after the last one.")
    ] = 0,
    interval: Annotated[
        float | None,
        Option(
            metavar="LEVEL",
            help="Add prediction intervals of this coverage, such as 0.9 (default: none).",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        Option(
            metavar="P",
            help="Two classes: predict the second, in sorted order, from this probability on "
            "(default: the more probable one).",
        ),
    ] = None,
    parts: Annotated[
        bool, Option("--parts", help="Take all CSVs as the parts of one table, with one output.")
    ] = False,
    set_: FileFormat = None,
) -> None:
    """Predict every row of new CSVs, in the same order."""
    from ml2021.commands import predict as predict_command
    from ml2021.commands.stdin import NAME, is_stdin, spooled_stdin

    if output is None and len(csv) == 1 and is_stdin(csv[0]):
        output = predict_command.STDOUT
    with spooled_stdin(csv) as sources:
        path, files = predict_command.predict(
            sources, run, output, id_ or [], ahead, interval, set_ or [], threshold, as_parts=parts
        )
    console = Console()
    console.say(f"run {path}")
    for source, file in zip(csv, files, strict=False):
        name = NAME if is_stdin(source) else file.source
        to = "stdout" if file.output == predict_command.STDOUT else file.output
        console.say(f"{name}: {plural(file.rows, 'row')} to {to}", *bulleted(file.notes))


@command("report", "report houses-1", "report houses-1 --plots figures")
def report(
    run: RunArgument = None,
    run_: RunAgain = None,
    plots: Annotated[
        Path | None, Option(help="Folder to write each figure to, as a PNG file (default: none).")
    ] = None,
) -> None:
    """Write the report of a run or a sweep, report.html."""
    from ml2021.commands import report as report_command

    write_path(report_command.report(one_run(run, run_), plots))


@command("explore houses-1", "explore houses-1 --rows 0 --output houses.html")
def explore(
    run: RunArgument = None,
    run_: RunAgain = None,
    rows: Annotated[
        int | None,
        Option(
            metavar="N",
            help="Rows of each split that the page holds at most, 0 for none (default: 500, less "
            "where they have many columns).",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, Option(help="Page to write (default: explore.html in the run directory).")
    ] = None,
) -> None:
    """Write a page to try a run in, explore.html."""
    from ml2021.commands import explore as explore_command

    explored = explore_command.explore(one_run(run, run_), rows, output)
    Console().say(f"run {explored.run}", *bulleted(explored.lines))
    write_path(explored.page)


@command("export houses-1", "export houses-1 --output houses.onnx --interval 0.8 --card houses.md")
def export(
    run: RunArgument = None,
    run_: RunAgain = None,
    output: Annotated[Path, Option(help="ONNX file to write.")] = Path("model.onnx"),
    interval: Annotated[
        float | None,
        Option(
            metavar="LEVEL",
            help="Share of new rows that low and high contain (default: 0.9, if the run has rows "
            "to tell).",
        ),
    ] = None,
    matrix: Annotated[
        bool, Option("--matrix", help="Take all columns as one input, if all of them are numbers.")
    ] = False,
    card: Annotated[
        Path | None,
        Option(metavar="FILE", help="Write a model card beside it, a page of Markdown."),
    ] = None,
) -> None:
    """Write a run as an ONNX model, its preprocessing inside."""
    from ml2021.commands import export as export_command

    run_path = one_run(run, run_)
    exported = export_command.export(run_path, output, interval, is_matrix=matrix, card=card)
    Console().say(f"run {exported.run}", *bulleted(exported.lines))
    write_path(exported.output)


@command("compare houses-1 houses-2", "compare houses-sweep-1 houses-2 --json")
def compare(
    runs: Annotated[
        list[Path] | None,
        InputArgument(
            metavar="RUN",
            autocompletion=complete_run,
            help="Runs; a sweep stands for all its runs.",
            show_default=False,
        ),
    ] = None,
    run_: Annotated[
        list[Path] | None, RunOption("--run", help="The same, as an option; repeat for several.")
    ] = None,
    json_: Json = False,
) -> None:
    """Compare the scores of runs, averaged over their seeds."""
    from ml2021.commands import compare as compare_command

    if not (named := [*(runs or []), *(run_ or [])]):
        raise BadParameter("name the runs to compare")
    result = compare_command.compare(named)
    Console().say(*bulleted(result.notes))
    if json_:
        write_json(result.to_json())
    else:
        write_result(*result.lines())


@command("surface houses-1", "surface houses-1 --x 'w[rooms]' --y b --output surface.png")
def surface(
    run: RunArgument = None,
    run_: RunAgain = None,
    x: Annotated[
        str | None,
        Option(
            metavar="PARAM",
            help="Parameter to vary, such as w1, w[age], b, c[3] (default: two directions that "
            "show the way of training).",
        ),
    ] = None,
    y: Annotated[
        str | None,
        Option(metavar="PARAM", help="Second parameter (default: none, a curve over --x)."),
    ] = None,
    output: Annotated[
        Path | None, Option(help="PNG to write (default: surface.png in the run directory).")
    ] = None,
) -> None:
    """Draw the loss over one or two parameters."""
    from ml2021.commands import surface as surface_command

    write_path(surface_command.surface(one_run(run, run_), x, y, output, Console()))
