"""Match another file to the training file: its columns by name, or by position without a header.

`ml2021.data.new_table` reads the columns that are found here.
"""

from collections.abc import Mapping

from ml2021.data.csv.scan import Header
from ml2021.data.parts import TablePath
from ml2021.data.preprocessing.records import Preprocessing, sources_of
from ml2021.errors import DataError
from ml2021.formatting import echo, listed, plural, suggest


def match_columns(
    path: TablePath,
    preprocessing: Preprocessing,
    header: Header,
    others: Mapping[tuple[str, int], str] = {},
) -> dict[str, str]:
    """Return the name in another file of each training column that it has.

    Positions are no names: where one of the files has no header, the other must have the same
    columns in the same order, with or without the targets. Raises DataError if it does not.
    others: names of columns by the name in training and its occurrence, where the file itself has
    no such column.
    """
    sources = preprocessing.sources
    if not (header.numbered or preprocessing.numbered):
        names = {
            (source.raw, source.occurrence): name
            for source, name in zip(sources_of(header), header.names, strict=True)
        }
        keys = {name: (source.raw, source.occurrence) for name, source in sources.items()}
        names = {**others, **names}
        return {name: names[key] for name, key in keys.items() if key in names}
    width, positions = preprocessing.width, _target_positions(preprocessing)
    given = [i for i in range(width) if len(header.names) == width or i not in positions]
    if len(given) != len(header.names):
        targets = f"the target{'s' * (len(positions) > 1)} ({_columns(positions)})"
        raise DataError(
            f"{path}: {plural(len(header.names), 'column')}, but the training file has {width:,}; "
            f"without a header the position counts, so give all of them, or all but {targets}"
        )
    found = dict(zip(given, header.names, strict=True))
    return {name: found[s.position] for name, s in sources.items() if s.position in found}


def explain_absent(path: TablePath, preprocessing: Preprocessing, header: Header, name: str) -> str:
    """Return the message about a training column that is not found."""
    raw = preprocessing.sources[name].raw
    if header.numbered or preprocessing.numbered:
        width, columns = preprocessing.width, _columns(_target_positions(preprocessing))
        return f"{path}: the target ({columns}) is missing; give all {width:,} columns"
    if raw in header.raw:
        times = plural(header.raw.count(raw), "time")
        return f"{path}: column '{echo(name)}' is missing; '{echo(raw)}' occurs only {times}"
    return f"{path}: column '{echo(name)}' is missing{suggest(raw, header.raw)}"


def _target_positions(preprocessing: Preprocessing) -> list[int]:
    targets = set(preprocessing.target_columns)
    return sorted(preprocessing.sources[name].position for name in targets)


def _columns(positions: list[int]) -> str:
    return f"column{'s' * (len(positions) > 1)} {listed(positions, 8)}"
