"""The command `explore`: the function of a run as one page to try it in, explore.html."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.errors import ConfigError
from ml2021.files import replace_file
from ml2021.formatting import plural
from ml2021.runs.directory import open_run
from ml2021.runs.outputs import check_output, tables_of, write_output

if TYPE_CHECKING:
    from ml2021.report.explore.payload import Payload

_OF_SPLIT = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Explored:
    """The run, the page that was written, and what it holds."""

    run: Path
    page: Path
    lines: tuple[str, ...]


def explore(run_path: Path | None, rows: int | None, output: Path | None) -> Explored:
    """Write the page of a run, with at most `rows` rows of a split, as many as fit by default.

    Raises ConfigError for an output that is no place for it.
    """
    if rows is not None and rows < 0:
        raise ConfigError(f"--rows {rows}: must be 0, for none, or more")
    run = open_run(run_path)
    if output is not None:
        check_output("--output", output, tables_of(run), replaced=b"<!DOCTYPE html>")

    from ml2021.report.explore.page import render
    from ml2021.report.explore.payload import collect

    payload = collect(run, rows)
    content = render(payload.data).encode()
    if output is None:
        replace_file(run.explore, content)
    else:
        write_output(output, content)
    return Explored(
        run.path,
        run.explore if output is None else output,
        (*_contents(payload), f"{len(content) / 1e6:.2f} MB, opens without a network"),
    )


def _contents(payload: "Payload") -> list[str]:
    """Say which rows the page holds, since whoever is given it can read them."""
    if payload.absent:
        return [f"holds no rows, and so no histograms: {payload.absent}"]
    held = [(part, count, total) for part, count, total in payload.parts if count]
    if not held:
        return ["holds no rows, but ranges and histograms of the columns"]
    texts = [
        f"{'' if count == total else f'{count:,} of '}{plural(total, f'{_OF_SPLIT[part]} row')}"
        for part, count, total in held
    ]
    return [f"holds {' and '.join(texts)}; --rows 0 leaves them out"]
