"""The command line: parse arguments, call a command, print its result, map errors to exit codes.

Each command is implemented in the module of its name in `ml2021.commands`, imported when it runs.
"""

import json
import signal
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Exit, Option, Typer

from ml2021 import __version__
from ml2021.console import Console, write_message, write_result
from ml2021.errors import Ml2021Error
from ml2021.formatting import bulleted, message, plural
from ml2021.signals import StoppedError, stoppable

if TYPE_CHECKING:
    from ml2021.commands.compare import Comparison
    from ml2021.commands.evaluate import ScoredRows

app = Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# readable=False: whoever opens the path reports in one line that it cannot be read.
InputArgument = partial(Argument, readable=False)
InputOption = partial(Option, readable=False)
KeysOption = partial(Option, "--set", metavar="KEY=VALUE")
Run = Annotated[Path | None, InputOption(help="Run directory (default: the newest under runs/).")]

Overrides = Annotated[
    list[str] | None, KeysOption(help="Override a config key, such as optimizer.lr=0.01.")
]

FileFormat = Annotated[
    list[str] | None,
    KeysOption(help="How the CSV is written, such as data.separator=; (default: as in training)."),
]
Report = Annotated[bool, Option("--report/--no-report", help="Write an HTML report, report.html.")]
Json = Annotated[bool, Option("--json", help="Print the result as one JSON object on stdout.")]
Quiet = Annotated[bool, Option("--quiet", help="Print only errors.")]


def _print_version(value: bool) -> None:
    if value:
        print(f"ml2021 {__version__}")
        raise Exit


@app.callback()
def _options(
    version: Annotated[
        bool, Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train small neural networks on tables."""


@app.command()
def train(
    config: Annotated[Path | None, InputOption(help="Config file (YAML).")] = None,
    resume: Annotated[
        Path | None, InputOption(help="Run directory to resume, instead of --config.")
    ] = None,
    init_from: Annotated[
        Path | None, InputOption(metavar="RUN", help="Start from the best parameters of this run.")
    ] = None,
    set_: Overrides = None,
    run_dir: Annotated[
        Path | None, Option(help="Directory for the run (default: runs/<config name>-<n>).")
    ] = None,
    with_report: Report = True,
    quiet: Quiet = False,
) -> None:
    """Train a network on a table, score it and save the run."""
    if (config is None) == (resume is None):
        raise BadParameter("give either --config FILE or --resume RUN")
    if resume is not None and run_dir is not None:
        raise BadParameter("--run-dir needs --config; a resumed run stays in its directory")
    if resume is not None and init_from is not None:
        raise BadParameter("--init-from needs --config; a resumed run has its own parameters")
    console = Console(quiet=quiet)
    if config is not None:
        from ml2021.commands import train as train_command

        path = train_command.train(
            config, set_ or [], run_dir, init_from, console, with_report=with_report
        )
    else:
        from ml2021.commands import resume as resume_command

        assert resume is not None
        path = resume_command.resume(resume, set_ or [], console, with_report=with_report)
    write_result(f"{path}\n")


@app.command()
def report(
    run: Run = None,
    plots: Annotated[
        Path | None, Option(help="Folder to write each figure to, as a PNG file.")
    ] = None,
) -> None:
    """Write the report of a run or a sweep, report.html."""
    from ml2021.commands import report as command

    write_result(f"{command.report(run, plots)}\n")


@app.command()
def sweep(
    config: Annotated[
        Path | None,
        InputOption(help="Config file (YAML) with a sweep section: what differs between the runs."),
    ] = None,
    resume: Annotated[
        Path | None, InputOption(help="Sweep directory to resume, instead of --config.")
    ] = None,
    set_: Overrides = None,
    run_dir: Annotated[
        Path | None, Option(help="Directory for the sweep (default: runs/<config name>-sweep-<n>).")
    ] = None,
    jobs: Annotated[
        int | None, Option(min=1, help="Worker processes (default: one per core).")
    ] = None,
    with_report: Report = True,
    quiet: Quiet = False,
) -> None:
    """Train many runs of one config in parallel and keep the best."""
    from ml2021.commands import sweep as command

    if (config is None) == (resume is None):
        raise BadParameter("give either --config FILE or --resume DIR")
    if resume is not None and (run_dir is not None or set_):
        raise BadParameter("--run-dir and --set need --config")
    console = Console(quiet=quiet)
    if config is not None:
        path = command.sweep(config, set_ or [], run_dir, jobs, console, with_report=with_report)
    else:
        assert resume is not None
        path = command.resume(resume, jobs, console, with_report=with_report)
    write_result(f"{path}\n")


@app.command()
def evaluate(
    csv: Annotated[
        Path | None, InputArgument(help="CSV to score (default: the run's own test rows).")
    ] = None,
    run: Run = None,
    set_: FileFormat = None,
    json_: Json = False,
) -> None:
    """Score a run, next to the baselines on the same rows."""
    from ml2021.commands import evaluate as command

    result = command.evaluate(csv, run, set_ or [])
    Console().say(f"run {result.run}", *bulleted(result.notes))
    _write_scores(result, json_)


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        InputArgument(help="Run directories; a sweep directory stands for all its runs."),
    ],
    json_: Json = False,
) -> None:
    """Compare the scores of runs, averaged over their seeds."""
    from ml2021.commands import compare as command

    result = command.compare(runs)
    Console().say(*bulleted(result.notes))
    _write_scores(result, json_)


def _write_scores(result: "ScoredRows | Comparison", json_: bool) -> None:
    if json_:
        write_result(json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False) + "\n")
    else:
        write_result("\n".join(result.lines()) + "\n")


@app.command()
def predict(
    csv: Annotated[list[Path], InputArgument(help="CSVs to predict; no target column needed.")],
    run: Run = None,
    output: Annotated[
        Path | None, Option(help="File to write, - for stdout, or a folder for several CSVs.")
    ] = None,
    id_: Annotated[
        list[str] | None, Option("--id", metavar="COLUMN", help="Copy this column to the output.")
    ] = None,
    ahead: Annotated[
        int, Option(metavar="N", min=0, help="Time series: forecast N rows after the last one.")
    ] = 0,
    interval: Annotated[
        float | None,
        Option(metavar="LEVEL", help="Add prediction intervals of this coverage, such as 0.9."),
    ] = None,
    threshold: Annotated[
        float | None,
        Option(
            metavar="P",
            help="Two classes: predict the second, in sorted order, from this probability on.",
        ),
    ] = None,
    set_: FileFormat = None,
) -> None:
    """Predict every row of new CSVs, in the same order."""
    from ml2021.commands import predict as command

    path, files = command.predict(
        csv, run, output, id_ or [], ahead, interval, set_ or [], threshold
    )
    console = Console()
    console.say(f"run {path}")
    for file in files:
        to = "stdout" if file.output == command.STDOUT else file.output
        console.say(f"{file.source}: {plural(file.rows, 'row')} to {to}", *bulleted(file.notes))


@app.command()
def surface(
    run: Run = None,
    x: Annotated[
        str | None, Option(metavar="PARAM", help="Parameter to vary, such as w1, w[age], b, c[3].")
    ] = None,
    y: Annotated[
        str | None, Option(metavar="PARAM", help="Second parameter; without it, draw a curve.")
    ] = None,
    output: Annotated[
        Path | None, Option(help="PNG to write (default: surface.png in the run directory).")
    ] = None,
) -> None:
    """Draw the loss over one or two parameters."""
    from ml2021.commands import surface as command

    write_result(f"{command.surface(run, x, y, output, Console())}\n")


@app.command()
def piecewise(
    csv: Annotated[Path, InputArgument(help="CSV of two columns: x and the curve's y.")],
    pieces: Annotated[
        int | None, Option(min=1, metavar="N", help="Approximate with N pieces (default: exact).")
    ] = None,
    relu: Annotated[
        bool, Option("--relu", help="Use pairs of ReLUs instead of hard sigmoids.")
    ] = False,
    set_: Annotated[
        list[str] | None, KeysOption(help="How to read the CSV, such as data.separator=;.")
    ] = None,
    run_dir: Annotated[
        Path | None, Option(help="Directory for the run (default: runs/<CSV name>-<n>).")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Build a piecewise-linear curve as a network, untrained."""
    from ml2021.commands import piecewise as command

    path = command.piecewise(csv, pieces, relu, set_ or [], run_dir, Console(quiet=quiet))
    write_result(f"{path}\n")


def main() -> None:
    """Run the command line; exit with the code of the error, see `ml2021.errors`."""
    try:
        with stoppable():
            app()
    except Ml2021Error as error:
        for line in error.lines:
            write_message(message(line))
        sys.exit(error.exit_code)
    except StoppedError as stop:
        write_message(f"stopped by {signal.Signals(stop.signal_number).name}")
        sys.exit(128 + stop.signal_number)
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        write_message(message(f"{where}{error.strerror or error}"))
        sys.exit(5)
    except MemoryError:
        write_message("out of memory; use fewer columns or rows, or a smaller model")
        sys.exit(5)
    except Exception:
        traceback.print_exc()
        write_message("this is a bug in ml2021; please report it with the lines above")
        sys.exit(1)
