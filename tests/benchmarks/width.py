"""What a column costs in a wide table: `train --no-report` of 60 rows with up to 20,000 columns.

    python tests/benchmarks/width.py [COLUMNS ...] [--preset fast] [--output FILE]

Each table is trained by a process of its own. Its CPU time is that of the command beyond importing
the program and beyond training the network itself. Prints the table and writes it as Markdown.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.measure import describe_machine, markdown_table

ROWS = 60
COLUMNS = (250, 1_000, 4_000, 20_000)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(
    function: Callable[..., Iterator[Any]], spent: list[float]
) -> Callable[..., Iterator[Any]]:
    """Return the generator function, which adds the CPU time that it takes to `spent`."""

    def wrapped(*arguments: Any, **options: Any) -> Iterator[Any]:
        steps = function(*arguments, **options)
        while True:
            begun = cpu_seconds()
            step = next(steps, None)
            spent.append(cpu_seconds() - begun)
            if step is None:
                return
            yield step

    return wrapped


def train_one(table: Path, preset: str) -> None:
    """Train on a table in this process; print the CPU seconds of the command and of its network."""
    from ml2021.commands.train import train
    from ml2021.console import Console
    from ml2021.engine.fit import fit_members
    from ml2021.training import loop, numbers

    spent: list[float] = []
    begun = cpu_seconds()
    with (
        patch.object(loop, "fit_members", timed(fit_members, spent)),
        patch.object(numbers, "fit_members", timed(fit_members, spent)),
    ):
        config = table.with_suffix(".yaml")
        train(
            config, [f"preset={preset}"], table.with_suffix(""), None, Console(), with_report=False
        )
    print(cpu_seconds() - begun - sum(spent), sum(spent))


def write_table(path: Path, columns: int) -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal((ROWS, columns)).round(4)
    names = [*(f"x{index}" for index in range(columns - 1)), "y"]
    lines = [",".join(names), *(",".join(map(str, row)) for row in values.tolist())]
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".yaml").write_text(f"data: {{path: {path}, target: y}}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("columns", nargs="*", type=int, default=COLUMNS)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        train_one(options.one, options.preset)
        return
    rows = []
    with TemporaryDirectory() as folder:
        for columns in (8, *options.columns):
            table = Path(folder) / f"{columns}.csv"
            write_table(table, columns)
            command = [sys.executable, __file__, "--one", str(table), "--preset", options.preset]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            beyond, network = map(float, done.stdout.split())
            rows.append((columns, beyond, network))
            print(rows[-1], file=sys.stderr, flush=True)
    fixed = rows[0][1]
    cells = [
        [
            f"{columns:,}",
            f"{beyond:.2f}",
            f"{network:.2f}",
            f"{1000 * (beyond - fixed) / columns:.2f}",
        ]
        for columns, beyond, network in rows[1:]
    ]
    headings = ["columns", "CPU s beyond the network", "CPU s of the network", "ms a column"]
    text = "\n".join(
        [
            "# The cost of a column",
            "",
            *describe_machine(["torch", "numpy", "pandas"]),
            f"- {ROWS} rows, preset {options.preset}, no report; a table of 8 columns takes "
            f"{fixed:.2f} s, which is not counted in the last column",
            "",
            *markdown_table(headings, cells),
            "",
        ]
    )
    print(text)
    (options.output or Path(__file__).with_suffix(".md")).write_text(text)


if __name__ == "__main__":
    main()
