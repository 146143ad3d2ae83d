"""The commands to begin with, before anything is trained: `check`."""

from pathlib import Path
from typing import Annotated

from typer import BadParameter, Option

from ml2021.cli.app import command
from ml2021.cli.options import InputArgument, InputOption, Overrides, RunOption, is_config, only_one
from ml2021.console import write_result

Source = Annotated[
    Path | None,
    InputArgument(
        metavar="[CONFIG|CSV]", help="Config file (YAML), or a table.", show_default=False
    ),
]
Config = Annotated[Path | None, InputOption(help="The config file, as an option.")]
Target = Annotated[
    list[str] | None,
    Option(metavar="COLUMN", help="With a table: the column to predict (default: the last one)."),
]


@command("check houses.yaml", "check houses.csv --target price")
def check(
    source: Source = None,
    config: Config = None,
    target: Target = None,
    init_from: Annotated[
        Path | None, RunOption("--init-from", help="Start from the best parameters of this run.")
    ] = None,
    set_: Overrides = None,
) -> None:
    """Say what `train` would do, how much memory and time it takes, and what it would refuse."""
    from ml2021.commands import check as check_command

    chosen = only_one(source, config, of=("a config", "a table"))
    is_table = config is None and not is_config(chosen)
    if target and not is_table:
        raise BadParameter("--target needs a table; a config has data.target")
    lines = check_command.check(chosen, set_ or [], init_from, is_table=is_table, target=target)
    write_result("\n".join(lines) + "\n")
