"""What a config's table adds to an error: its columns, and where it is if not where it was sought.

A config alone does not tell; the table is read only where the config lacks its target.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml2021.config.loading import Draft, check_draft, read_draft, read_text
from ml2021.config.schema import Data
from ml2021.errors import ConfigError, DataError, Ml2021Error
from ml2021.formatting import listed, printable

_SHOWN_COLUMNS = 20


@contextlib.contextmanager
def config_hints(config: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Add to an error about a config, or about its table, a line on what its data.path explains."""
    try:
        yield
    except (ConfigError, DataError) as error:
        hints: list[str] = []
        with contextlib.suppress(Ml2021Error):
            tree = read_draft(read_text(config), str(config), overrides).tree or {}
            data = tree.get("data")
            if isinstance(data, dict) and isinstance(data.get("path"), str):
                is_table = isinstance(error, DataError)
                hints = _place(config, Path(data["path"])) if is_table else _columns(data)
        if not hints:
            raise
        raise type(error)(*error.lines, *hints) from None


def _columns(data: dict[str, object]) -> list[str]:
    """List the columns, if the config lacks its target and is else right."""
    if "target" in data or not data.keys() <= Data.model_fields.keys():
        return []
    config, _ = check_draft(Draft({"data": {**data, "target": "-"}}, {}))
    if config is None or not Path(config.data.path).is_file():
        return []

    from ml2021.data.resolve import table_format_of
    from ml2021.data.tables import read_header

    path = Path(config.data.path)
    names = listed(read_header(path, table_format_of(config.data)).names, _SHOWN_COLUMNS)
    return [f"{printable(str(path))}: its columns are {names}"]


def _place(config: Path, table: Path) -> list[str]:
    """Say from where to run a config whose path to a table is of another working directory."""
    if table.is_absolute() or table.exists():
        return []
    folders = [folder for folder in config.resolve().parents if (folder / table).is_file()]
    return [
        f"data.path is relative to the working directory, but {table} is in {folder}; run it there"
        for folder in folders[:1]
    ]
