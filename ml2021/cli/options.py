"""Options and arguments that several commands share, and the completion of their values."""

import contextlib
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option

from ml2021.formatting import listed

_CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
_TABLE_SUFFIXES = (".csv", ".tsv", ".gz", ".parquet")


def complete_run(incomplete: str) -> list[str]:
    """Return the names of the runs and sweeps under runs/, or their paths once `runs/` is typed."""
    from ml2021.files import is_marked

    names: list[str] = []
    with contextlib.suppress(OSError):
        entries = [entry for entry in Path("runs").iterdir() if entry.name.isprintable()]
        names = sorted(entry.name for entry in entries if is_marked(entry))
    prefix = "runs/" if incomplete.startswith("runs/") else ""
    return [prefix + name for name in names]


# readable=False: whoever opens the path reports in one line that it cannot be read.
InputArgument = partial(Argument, readable=False)
InputOption = partial(Option, readable=False)
RunOption = partial(InputOption, metavar="RUN", autocompletion=complete_run)
KeysOption = partial(Option, "--set", metavar="KEY=VALUE")

Source = Annotated[
    Path | None,
    InputArgument(metavar="CSV|CONFIG", help="Table, or config (YAML).", show_default=False),
]
Config = Annotated[Path | None, InputOption(help="The config, as an option.")]
Target = Annotated[
    list[str] | None,
    Option(
        metavar="COLUMN",
        help="Column of the CSV to predict (default: the last one); repeat for several.",
    ),
]
InitFrom = Annotated[Path | None, RunOption(help="Start from the best parameters of this run.")]
Run = Annotated[
    Path | None, RunOption(help="Run directory or its name (default: the newest under runs/).")
]
RunArgument = Annotated[
    Path | None,
    InputArgument(
        metavar="RUN",
        autocompletion=complete_run,
        help="Run directory or its name (default: the newest under runs/).",
    ),
]
RunAgain = Annotated[Path | None, RunOption("--run", help="The same, as an option.")]
Overrides = Annotated[
    list[str] | None,
    KeysOption(help="Override a config key, such as optimizer.lr=0.01; repeat for several."),
]
FileFormat = Annotated[
    list[str] | None,
    KeysOption(help="How the CSV is written, such as data.separator=; (default: as in training)."),
]
WithReport = Annotated[
    bool, Option("--report/--no-report", help="Write an HTML report, report.html.")
]
Json = Annotated[bool, Option("--json", help="Print the result as one JSON object on stdout.")]
Quiet = Annotated[
    bool, Option("--quiet", help="Print only errors, and the path of the result on stdout.")
]
Verbose = Annotated[
    bool, Option("--verbose", help="Print the whole config, with every default, too.")
]


def one_run(run: Path | None, named: Path | None) -> Path | None:
    """Return the run that was given as an argument or by --run."""
    if run is not None and named is not None and run != named:
        raise BadParameter(f"names two runs, {run} and {named}; name one")
    return run if run is not None else named


def only_one(source: Path | None, config: Path | None, resume: Path | None, *, of: str) -> Path:
    """Return the one path that was given; `of` says which could be."""
    named = {"": source, "--config ": config, "--resume ": resume}
    given = {option: path for option, path in named.items() if path is not None}
    if not given:
        raise BadParameter(f"give one of: {of}")
    if len(given) > 1:
        typed = listed(f"{option}{path}" for option, path in given.items())
        raise BadParameter(f"give only one of: {typed}")
    return next(iter(given.values()))


def refuse_table(config: Path | None, remedy: str) -> None:
    """Refuse a table where a config is expected, by its name; `remedy` says what to do."""
    if config is not None and config.suffix.lower() in _TABLE_SUFFIXES:
        raise BadParameter(f"{config} is a table by its name; {remedy}")


def refuse_config(table: Path) -> None:
    """Refuse a config where a table is expected, by its name."""
    if table.suffix.lower() in _CONFIG_SUFFIXES:
        raise BadParameter(f"{table} is a config by its name; give the table that it is for")


def source_of(
    source: Path | None, config: Path | None, target: list[str] | None, resume: Path | None = None
) -> tuple[Path, bool]:
    """Return what to train on, and whether that is a table rather than a config."""
    chosen = only_one(source, config, resume, of="CSV [--target COLUMN], CONFIG, --resume RUN")
    refuse_table(config, "give it without --config")
    is_table = source is not None and chosen.suffix.lower() not in _CONFIG_SUFFIXES
    if is_table and str(chosen) in ("-", "/dev/stdin"):
        raise BadParameter("a run reads its table again; save standard input to a file first")
    if target and not is_table:
        raise BadParameter("--target needs a CSV; with a config, use --set data.target=COLUMN")
    return chosen, is_table
