"""Small tables for the tests: frames as `read_table` makes them, and configs over a CSV."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ml2021.config.loading import LoadedConfig, load_config_text
from ml2021.data.csv.scan import Header, make_header
from ml2021.data.load import TrainingData, load_training_data
from ml2021.data.preprocessing.records import Source

Cell = str | int | float | None


def header_of(*raw: str) -> Header:
    return make_header(Path("t.csv"), raw)


def sources_of(*names: str) -> dict[str, Source]:
    """Return the places of columns that are all that their file has, in this order."""
    return {name: Source(raw=name, occurrence=0, position=i) for i, name in enumerate(names)}


def frame_of(columns: Mapping[str, Iterable[Cell]]) -> pd.DataFrame:
    """Return columns of text as object with NaN where None, and of numbers as they come."""
    frame = pd.DataFrame()
    for name, cells in columns.items():
        values = [np.nan if cell is None else cell for cell in cells]
        is_text = any(isinstance(value, str) for value in values)
        frame[name] = pd.Series(values, dtype=object if is_text else None)
    return frame


def write_csv(path: Path, columns: Mapping[str, Sequence[Cell]]) -> Path:
    """Write a CSV, None as an empty cell."""
    lines = [",".join(columns)]
    for cells in zip(*columns.values(), strict=True):
        lines.append(",".join("" if cell is None else str(cell) for cell in cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def configure(path: Path, *lines: str) -> LoadedConfig:
    """Return a config of `data.path` and these lines, indented ones being keys of data.

    It is of `preset: fast`, unless a line has another.
    """
    if not any(line.startswith("preset:") for line in lines):
        lines = (*lines, "preset: fast")
    return load_config_text(f"data:\n  path: {path}\n" + "\n".join(lines) + "\n", "c.yaml")


def load(path: Path, *lines: str) -> TrainingData:
    return load_training_data(configure(path, *lines))
