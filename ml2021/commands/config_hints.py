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
            if isinstance(data, dict) and isinstance(data.get("path"), str | list):
                is_table = isinstance(error, DataError)
                hints = _place(config, data["path"]) if is_table else _columns(data)
        if not hints:
            raise
        raise type(error)(*error.lines, *hints) from None


def _columns(data: dict[str, object]) -> list[str]:
    """List the columns, if the config lacks its target and is else right."""
    if "target" in data or not data.keys() <= Data.model_fields.keys():
        return []
    config, _ = check_draft(Draft({"data": {**data, "target": "-"}}, {}))
    if config is None:
        return []

    from ml2021.data.parts import find_parts
    from ml2021.data.resolve import table_format_of
    from ml2021.data.tables import read_header

    header = read_header(find_parts(config.data.path), table_format_of(config.data))
    where = config.data.path if isinstance(config.data.path, str) else header.path
    return [f"{printable(str(where))}: its columns are {listed(header.names, _SHOWN_COLUMNS)}"]


def _place(config: Path, named: str | list[object]) -> list[str]:
    """Say from where to run a config whose path to a table is of another working directory."""
    tables = [Path(p) for p in ([named] if isinstance(named, str) else named) if isinstance(p, str)]
    lost = [table for table in tables if not table.is_absolute() and not _is_in(Path(), table)]
    return [
        f"data.path is relative to the working directory, but {table} is in {folder}; run it there"
        for table in lost[:1]
        for folder in [folder for folder in config.resolve().parents if _is_in(folder, table)][:1]
    ]


def _is_in(folder: Path, table: Path) -> bool:
    """Whether a path or glob names something in a folder."""
    return (folder / table).exists() or next(folder.glob(str(table)), None) is not None
