"""The commands to begin with, before anything is trained: `check` and `schema`."""

from ml2021.cli.app import command
from ml2021.cli.options import Config, InitFrom, Overrides, Source, Target, source_of
from ml2021.console import write_data, write_result


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


@command("schema > ml2021.schema.json")
def schema() -> None:
    """Print the JSON Schema of a config, with which editors complete and check its keys.

    Where the first line of a config is `# yaml-language-server: $schema=ml2021.schema.json`, many
    editors use that file.
    """
    from ml2021.config.json_schema import schema_text

    write_data(schema_text())
