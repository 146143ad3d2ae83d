"""The commands to begin with, before anything is trained: `init`, `check`, `keys` and `schema`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option

from ml2021.cli.app import command
from ml2021.cli.options import (
    Config,
    InitFrom,
    InputArgument,
    Overrides,
    Source,
    Target,
    refuse_config,
    source_of,
)
from ml2021.console import Console, write_data, write_result


@command("init houses.csv --target price", "init houses.csv --output first.yaml", "init --example")
def init(
    csv: Annotated[
        Path | None, InputArgument(metavar="CSV", help="The table.", show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None,
        Option(metavar="COLUMN", help="Column to predict; repeat for several (default: the last)."),
    ] = None,
    output: Annotated[
        Path | None, Option(help="Config to write (default: <name of the CSV>.yaml).")
    ] = None,
    example: Annotated[
        bool, Option("--example", help="Write a small table, houses.csv, and its config.")
    ] = False,
    set_: Overrides = None,
) -> None:
    """Write a commented config for a table, which trains as it stands.

    It says what each column holds, and how the file is written: separator, decimal mark, encoding,
    and what stands for a missing value. No file is overwritten.
    """
    from ml2021.commands import init as init_command

    if (csv is None) != example:
        raise BadParameter("give a CSV, or --example")
    if example and (target or output or set_):
        raise BadParameter("--example takes no other option")
    if csv is None:
        written = init_command.init_example()
    else:
        refuse_config(csv)
        written = init_command.init(csv, target, set_ or [], output)
    Console().say(*written.notes)
    write_result(str(written.config))


@command("check houses.yaml", "check houses.csv --target price")
def check(
    source: Source = None,
    config: Config = None,
    target: Target = None,
    init_from: InitFrom = None,
    set_: Overrides = None,
) -> None:
    """Say what `train` would do, how much memory and time it takes, and what it would refuse."""
    from ml2021.commands import check as check_command

    chosen, is_table = source_of(source, config, target)
    lines = check_command.check(chosen, set_ or [], init_from, is_table=is_table, target=target)
    write_result(*lines)


@command("keys", "keys optimizer.lr", "keys optimizer", "keys --markdown > configs/README.md")
def keys(
    key: Annotated[
        str | None,
        Argument(metavar="KEY", help="A key, or a section for all in it.", show_default=False),
    ] = None,
    as_markdown: Annotated[
        bool, Option("--markdown", help="Print all keys as a page of Markdown.")
    ] = False,
) -> None:
    """Explain the keys of a config: type, default, unit, meaning and an example."""
    from ml2021.commands import keys as keys_command

    if as_markdown:
        if key is not None:
            raise BadParameter("--markdown prints all keys; leave out the key")
        write_data(keys_command.markdown())
    else:
        lines = keys_command.list_keys() if key is None else keys_command.describe_keys(key)
        write_data("\n".join(lines) + "\n")


@command("schema > ml2021.schema.json")
def schema() -> None:
    """Print the JSON Schema of a config, with which editors complete and check its keys.

    Where the first line of a config is `# yaml-language-server: $schema=ml2021.schema.json`, many
    editors use that file.
    """
    from ml2021.config.json_schema import schema_text

    write_data(schema_text())
