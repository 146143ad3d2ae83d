"""Options and arguments that several commands share, and the completion of their values."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option

CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


def complete_run(incomplete: str) -> list[str]:
    """Return the names of the runs and sweeps under runs/, or their paths once `runs/` is typed."""
    runs = Path("runs")
    if not runs.is_dir():
        return []
    names = sorted(entry.name for entry in runs.iterdir() if (entry / "config.yaml").is_file())
    prefix = "runs/" if incomplete.startswith("runs/") else ""
    return [prefix + name for name in names]


# readable=False: whoever opens the path reports in one line that it cannot be read.
InputArgument = partial(Argument, readable=False)
InputOption = partial(Option, readable=False)
RunOption = partial(InputOption, metavar="RUN", autocompletion=complete_run)
KeysOption = partial(Option, "--set", metavar="KEY=VALUE")

Run = Annotated[
    Path | None, RunOption(help="Run directory or its name (default: the newest under runs/).")
]
RunArgument = Annotated[
    Path | None,
    InputArgument(
        metavar="[RUN]",
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


def one_run(run: Path | None, named: Path | None) -> Path | None:
    """Return the run that was given as an argument or by --run."""
    if run is not None and named is not None and run != named:
        raise BadParameter(f"names two runs, {run} and {named}; name one")
    return run if run is not None else named


def is_config(path: Path) -> bool:
    """Whether a file is a config rather than a table, by its name."""
    return path.suffix.lower() in CONFIG_SUFFIXES


def only_one(*sources: Path | None, of: Sequence[str]) -> Path:
    """Return the one source that was given; `of` says which there are."""
    given = [source for source in sources if source is not None]
    if len(given) != 1:
        raise BadParameter(f"give one of {', '.join(of)}")
    return given[0]
