"""The command line: parse, call, print, and map errors to exit codes.

What a command does is left to the module of its name, which is imported when it is called.
"""

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from ml2021 import __version__
from ml2021.console import Console, write_message, write_result
from ml2021.errors import Ml2021Error
from ml2021.formatting import bulleted, printable
from ml2021.signals import StoppedError, stoppable

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find the function from some columns of a table to others, with a small neural network.",
)


# readable=False: a path that may not be read is left to whoever reads it, who says so in one line.
RunOption = Annotated[
    Path | None,
    typer.Option(help="Run directory; left out, the newest under runs/.", readable=False),
]

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key: optimizer.lr=0.01."),
]

NoReportOption = Annotated[
    bool, typer.Option("--no-report", help="Write no report.html to look at.")
]

QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only errors.")]


def _print_version(value: bool) -> None:
    if value:
        print(f"ml2021 {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Find the function from some columns of a table to others, with a small neural network."""


@app.command()
def train(
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file that says what to train on, and how.", readable=False),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Run directory to go on with, instead of --config.", readable=False),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Run directory whose best parameters the training begins with.",
            readable=False,
        ),
    ] = None,
    set_: SetOption = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where to put the run; default runs/<config name>-<n>.")
    ] = None,
    no_report: NoReportOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train on a table, score the result, and keep both in a run directory."""
    if (config is None) == (resume is None):
        raise typer.BadParameter("give one of --config FILE and --resume RUN")
    if resume is not None and run_dir is not None:
        raise typer.BadParameter("--run-dir belongs to --config; --resume stays where the run is")
    if resume is not None and init_from is not None:
        raise typer.BadParameter("--init-from belongs to --config; --resume has its own parameters")
    console = Console(quiet=quiet)
    if config is not None:
        from ml2021.commands.train import train as start

        path = start(config, set_ or [], run_dir, init_from, console, with_report=not no_report)
    else:
        from ml2021.commands.resume import resume as go_on

        assert resume is not None
        path = go_on(resume, set_ or [], console, with_report=not no_report)
    write_result(f"{path}\n")


@app.command()
def report(
    run: RunOption = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder to write every figure to, as a PNG file.")
    ] = None,
) -> None:
    """Draw a run, or a sweep, as one page to look at: report.html in its directory."""
    from ml2021.commands import report as command

    path = command.report(run, plots)
    write_result(f"{path}\n")


@app.command()
def sweep(
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with a section sweep: what differs, run by run.", readable=False
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Directory of a sweep to go on with, instead of --config.", readable=False
        ),
    ] = None,
    set_: SetOption = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where to put it; default runs/<config name>-sweep-<n>.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; default one per core.")
    ] = None,
    no_report: NoReportOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a config's many runs side by side, and keep the best."""
    from ml2021.commands import sweep as command

    if (config is None) == (resume is None):
        raise typer.BadParameter("give one of --config FILE and --resume DIR")
    if resume is not None and (run_dir is not None or set_):
        raise typer.BadParameter("--run-dir and --set belong to --config")
    console = Console(quiet=quiet)
    if config is not None:
        path = command.sweep(config, set_ or [], run_dir, jobs, console, with_report=not no_report)
    else:
        assert resume is not None
        path = command.resume(resume, jobs, console, with_report=not no_report)
    write_result(f"{path}\n")


@app.command()
def evaluate(
    csv: Annotated[
        Path | None,
        typer.Argument(help="CSV to score; left out, the run's own test rows.", readable=False),
    ] = None,
    run: RunOption = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """Score a run, beside the trivial answers on the same rows."""
    from ml2021.commands import evaluate as command

    result = command.evaluate(csv, run)
    Console().say(f"run {result.run}", *bulleted(result.notes))
    if json_:
        write_result(json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False) + "\n")
    else:
        write_result("\n".join(result.lines()) + "\n")


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Directories of runs, and of sweeps for all their runs.", readable=False
        ),
    ],
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """Hold the scores of runs against each other; those that differ in the seed make one line."""
    from ml2021.commands import compare as command

    result = command.compare(runs)
    Console().say(*bulleted(result.notes))
    if json_:
        write_result(json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False) + "\n")
    else:
        write_result("\n".join(result.lines()) + "\n")


@app.command()
def predict(
    csv: Annotated[
        list[Path], typer.Argument(help="CSVs to predict; they need no target.", readable=False)
    ],
    run: RunOption = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, - for stdout, or for several CSVs a folder."),
    ] = None,
    id_: Annotated[
        list[str] | None,
        typer.Option("--id", metavar="COLUMN", help="Column to carry over, first."),
    ] = None,
    ahead: Annotated[
        int, typer.Option(min=0, help="With lags: rows to forecast after the last one.")
    ] = 0,
    interval: Annotated[
        float | None,
        typer.Option(metavar="LEVEL", help="Add intervals that hold this share of the truth: 0.9."),
    ] = None,
) -> None:
    """Apply a run to new CSVs: as many rows out as in, in the same order."""
    from ml2021.commands import predict as command

    path, files = command.predict(csv, run, output, id_ or [], ahead, interval)
    console = Console()
    console.say(f"run {path}")
    for file in files:
        to = "stdout" if file.output == command.STDOUT else file.output
        console.say(f"{file.source}: {file.rows:,} rows to {to}", *bulleted(file.notes))


@app.command()
def surface(
    run: RunOption = None,
    x: Annotated[
        str | None, typer.Option(metavar="PARAM", help="Parameter to vary: w1, w[age], b, c[3].")
    ] = None,
    y: Annotated[
        str | None, typer.Option(metavar="PARAM", help="A second one; left out, draw a curve.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="PNG to write; default surface.png in the run directory.")
    ] = None,
) -> None:
    """Draw the training loss over two parameters, or one, with the path that training took."""
    from ml2021.commands import surface as command

    write_result(f"{command.surface(run, x, y, output, Console())}\n")


@app.command()
def piecewise(
    csv: Annotated[
        Path, typer.Argument(help="CSV of two columns: x, and the curve's y there.", readable=False)
    ],
    pieces: Annotated[
        int | None,
        typer.Option(min=1, help="Come near with so many straight pieces; left out, be exact."),
    ] = None,
    relu: Annotated[
        bool, typer.Option("--relu", help="Of pairs of ReLUs instead of hard sigmoids.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="How the CSV is written: data.separator=;"),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where to put the run; default runs/<CSV name>-<n>.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Build a piecewise-linear curve as a network, without training, and keep it as a run."""
    from ml2021.commands import piecewise as command

    path = command.piecewise(csv, pieces, relu, set_ or [], run_dir, Console(quiet=quiet))
    write_result(f"{path}\n")


def main() -> None:
    """Run the command line and exit with the code that the errors module names."""
    try:
        with stoppable():
            app()
    except Ml2021Error as error:
        for line in error.lines:
            write_message(printable(line))
        sys.exit(error.exit_code)
    except StoppedError as stop:
        write_message(f"stopped by {stop.name}")
        sys.exit(128 + stop.signal_number)
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        write_message(f"{where}{error.strerror or error}")
        sys.exit(5)
    except MemoryError:
        write_message("out of memory; use fewer columns or rows, or a smaller model")
        sys.exit(5)
    except Exception:
        traceback.print_exc()
        write_message("this is a bug of ml2021; please report it with the lines above")
        sys.exit(1)
