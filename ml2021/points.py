"""A curve as people write it down: the points in a file of two columns, x and y."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import load_config_text
from ml2021.config.scalars import dump_document
from ml2021.errors import ConfigError, DataError, echo

if TYPE_CHECKING:
    from ml2021.data.tables import TableFormat
    from ml2021.engine.piecewise import Curve

_FORMAT_KEYS = ("separator", "decimal", "encoding", "header")


@dataclass(frozen=True)
class CurveFile:
    """The curve of a file of two columns, and their names: of x, and of y."""

    curve: "Curve"
    names: tuple[str, str]


def data_section(csv: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the keys of `data` that say where the points are and how the file is written."""
    keys = [text.partition("=")[0].strip() for text in overrides]
    known = {f"data.{key}" for key in _FORMAT_KEYS}
    if odd := [key for key in keys if key not in known]:
        raise ConfigError(
            f"--set {echo(odd[0])}: only how the file is written can be set here: "
            f"{', '.join(sorted(known))}"
        )
    text = dump_document({"data": {"path": str(csv), "target": "y"}})
    written = load_config_text(text, "the command line", overrides).config.data
    changed = {key: getattr(written, key) for key in _FORMAT_KEYS if f"data.{key}" in keys}
    return {"path": str(csv), **changed}


def read_points(csv: Path, data: dict[str, Any]) -> CurveFile:
    """Read a curve. Raises DataError where the file does not hold one, with the line."""
    import numpy as np

    from ml2021.data.tables import TableFormat, read_header, read_table

    written = TableFormat(**{key: data[key] for key in _FORMAT_KEYS if key in data})
    header = read_header(csv, written)
    if (count := len(header.names)) != 2:
        columns = "column" if count == 1 else "columns"
        raise DataError(f"{csv}: {count:,} {columns}; a curve has two, first x and then its y")
    x_name, y_name = header.names
    frame = read_table(csv, written, kinds={x_name: "number", y_name: "number"}).frame
    x, y = (frame[name].to_numpy(np.float64) for name in header.names)
    for name, values in ((x_name, x), (y_name, y)):
        if (missing := np.flatnonzero(np.isnan(values))).size:
            (where,) = _places(csv, written, [int(missing[0])])
            raise DataError(f"{where}: column '{echo(name)}' has no value; fill it in")
    if len(x) < 2:
        raise DataError(f"{csv}: one point; a curve needs two or more")
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if (same := np.flatnonzero(np.diff(x) == 0)).size:
        first, second = sorted(int(order[same[0] + i]) for i in (0, 1))
        place, before = _places(csv, written, [second, first])
        raise DataError(
            f"{place}: {echo(x_name)} {x[same[0]]:.15g} is also at {before}; a curve has one "
            f"{echo(y_name)} for each {echo(x_name)}"
        )

    from ml2021.engine.piecewise import Curve  # with torch, which a file that is none is spared

    return CurveFile(Curve(x, y), (x_name, y_name))


def _places(csv: Path, written: "TableFormat", rows: list[int]) -> list[str]:
    """Return where each row stands, for a message."""
    from ml2021.data.tables import find_lines

    if csv.suffix == ".parquet":
        return [f"{csv}: row {row + 1}" for row in rows]
    lines = find_lines(csv, written, rows)
    return [f"{csv}:{lines[row]}" for row in rows]
