"""The commands that make runs: `train`, `sweep` and `piecewise`."""

from pathlib import Path
from typing import Annotated

from typer import BadParameter, Option

from ml2021.cli.app import command
from ml2021.cli.options import (
    Config,
    InitFrom,
    InputArgument,
    KeysOption,
    Overrides,
    Quiet,
    RunOption,
    Source,
    Target,
    Verbose,
    WithReport,
    only_one,
    refuse_table,
    source_of,
)
from ml2021.console import Console, write_path


@command(
    "train houses.csv --target price",
    "train houses.yaml",
    "train houses.yaml --set optimizer.lr=0.01 --set train.epochs=100",
    "train --resume houses-1",
)
def train(
    source: Source = None,
    config: Config = None,
    target: Target = None,
    resume: Annotated[Path | None, RunOption(help="Run to resume.")] = None,
    init_from: InitFrom = None,
    set_: Overrides = None,
    run_dir: Annotated[
        Path | None, Option(help="Directory for the run (default: runs/<name>-<n>).")
    ] = None,
    with_report: WithReport = True,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a network on a table, score it and save the run."""
    chosen, is_table = source_of(source, config, target, resume)
    if resume is not None and run_dir is not None:
        raise BadParameter("--run-dir needs a config; a resumed run stays in its directory")
    if resume is not None and init_from is not None:
        raise BadParameter("--init-from needs a config; a resumed run has its own parameters")
    console = Console(quiet=quiet, verbose=verbose)
    if resume is None:
        from ml2021.commands import train as train_command

        path = train_command.train(
            chosen,
            set_ or [],
            run_dir,
            init_from,
            console,
            with_report=with_report,
            is_table=is_table,
            target=target,
        )
    else:
        from ml2021.commands import resume as resume_command

        path = resume_command.resume(chosen, set_ or [], console, with_report=with_report)
    write_path(path)


@command(
    "sweep widths.yaml", "sweep widths.yaml --jobs 2 --no-report", "sweep --resume widths-sweep-1"
)
def sweep(
    source: Annotated[
        Path | None, InputArgument(metavar="CONFIG", help="Config (YAML).", show_default=False)
    ] = None,
    config: Config = None,
    resume: Annotated[Path | None, RunOption(help="Sweep to resume.")] = None,
    set_: Overrides = None,
    run_dir: Annotated[
        Path | None, Option(help="Directory for the sweep (default: runs/<config name>-sweep-<n>).")
    ] = None,
    jobs: Annotated[
        int | None, Option(min=1, metavar="N", help="Worker processes (default: one per core).")
    ] = None,
    with_report: WithReport = True,
    quiet: Quiet = False,
) -> None:
    """Train many runs of one config in parallel and keep the best.

    What differs between the runs stands in the config's section `sweep`.
    """
    from ml2021.commands import sweep as sweep_command

    chosen = only_one(source, config, resume, of="CONFIG, --resume SWEEP")
    if resume is None:
        refuse_table(chosen, "write a config for it, with a section sweep")
    if resume is not None and (run_dir is not None or set_):
        raise BadParameter("--run-dir and --set need a config")
    console = Console(quiet=quiet)
    if resume is None:
        path = sweep_command.sweep(
            chosen, set_ or [], run_dir, jobs, console, with_report=with_report
        )
    else:
        path = sweep_command.resume(chosen, jobs, console, with_report=with_report)
    write_path(path)


@command("piecewise curve.csv", "piecewise curve.csv --pieces 20 --relu")
def piecewise(
    csv: Annotated[
        Path, InputArgument(metavar="CSV", help="CSV of two columns: x and the curve's y.")
    ],
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
    from ml2021.commands import piecewise as piecewise_command

    path = piecewise_command.piecewise(csv, pieces, relu, set_ or [], run_dir, Console(quiet=quiet))
    write_path(path)
