"""The tables of `accuracy`: a CSV, what is asked of it, and the rows to train and to test on."""

import csv
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Split:
    """Rows to train on and to test on, from 0."""

    name: str
    train: list[int]
    test: list[int]


@dataclass(frozen=True)
class Table:
    """A CSV as text, and what is asked of it. options: as given on the command line."""

    path: Path
    options: Mapping[str, str]

    @property
    def target(self) -> str:
        """The column to predict, as ml2021 names it."""
        return self.options["target"]

    @property
    def lags(self) -> int:
        """The number of previous values, 0 where it is not a series."""
        return int(self.options.get("lags", 0))

    @cached_property
    def content(self) -> tuple[list[str], list[list[str]]]:
        """The names of the columns, repeated ones numbered, and the rows that have a target."""
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            raw, *rows = (line for line in csv.reader(file) if line)
        names = [f"{n}.{raw[:i].count(n)}" if raw.count(n) > 1 else n for i, n in enumerate(raw)]
        if self.target not in names:
            raise SystemExit(f"{self.path}: no column '{self.target}'; there are {names}")
        empty = set(filter(None, self.options.get("missing", "").split(",")))
        rows = [["" if cell in empty else cell for cell in row] for row in rows] if empty else rows
        place = names.index(self.target)
        kept = [row for row in rows if row[place] not in MISSING or self.lags]
        return names, kept

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        names, rows = self.content
        place = names.index(name)
        return [row[place] for row in rows]

    @cached_property
    def task(self) -> str:
        """The task: as given, else classification for texts and for two values."""
        if (given := self.options.get("task")) is not None:
            return given
        values = set(self.column(self.target)) - MISSING
        is_text = any(not is_number(value) for value in values)
        return "classification" if is_text or len(values) == 2 else "regression"

    def splits(self) -> Iterator[Split]:
        """Yield the splits: of files, of random draws, or the one of a series."""
        options, count = self.options, len(self.content[1])
        if self.lags:
            yield self._series_split()
        elif "splits" in options:
            for path in _matching(options["splits"]):
                held = {int(float(line)) for line in Path(path).read_text().split()}
                yield _split(Path(path).stem, count, held)
        else:
            is_stratified = "stratified" in options
            draws = int(options.get("stratified" if is_stratified else "random", 5))
            labels = self.column(self.target) if is_stratified else [""] * count
            for draw in range(draws):
                order = np.random.default_rng(draw).permutation(count)
                held = _held_out(order, labels, float(options.get("test", 0.2)))
                yield _split(f"random {draw}", count, held)

    def _series_split(self) -> Split:
        """Return the rows with a full history, before and from `test_from` on."""
        target = [nan if cell in MISSING else float(cell) for cell in self.column(self.target)]
        known = np.isfinite(target)
        full = [
            row for row in range(self.lags, len(known)) if known[row - self.lags : row + 1].all()
        ]
        border, when = self.options["test_from"], self.column(self.options["by"])
        is_later = [
            float(cell) >= float(border) if is_number(border) else cell >= border for cell in when
        ]
        train, test = ([row for row in full if is_later[row] == later] for later in (False, True))
        return Split("series", train, test)


MISSING = {"", "NA", "N/A", "null", "None", "NaN"}


def _matching(pattern: str) -> list[Path]:
    """Return the files that a path with `*`, `?` or `[...]` in its last part matches."""
    path = Path(pattern)
    return sorted(path.parent.glob(path.name))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _split(name: str, count: int, held: set[int]) -> Split:
    return Split(name, [row for row in range(count) if row not in held], sorted(held))


def _held_out(order: np.ndarray[Any, Any], labels: Sequence[str], share: float) -> set[int]:
    """Return the first rows in that order, the same share of each label."""
    held: set[int] = set()
    for label in set(labels):
        rows = [int(row) for row in order if labels[row] == label]
        held.update(rows[: round(share * len(rows))])
    return held


def parse_table(text: str) -> Table:
    """Return the table that an argument of `--table` describes."""
    path, *words = shlex.split(text)
    options = dict(word.split("=", 1) for word in words)
    known = {
        "target",
        "task",
        "splits",
        "random",
        "stratified",
        "test",
        "exclude",
        "lags",
        "by",
        "missing",
    }
    if wrong := options.keys() - known - {"validation_from", "test_from"}:
        raise SystemExit(f"--table {text}: unknown {', '.join(sorted(wrong))}")
    if "target" not in options:
        raise SystemExit(f"--table {text}: needs target=COLUMN")
    return Table(Path(path), options)
