"""Measuring side by side: systems in turn, medians, the machine, and the tables of a report.

A machine that others use drifts by tens of per cent within a minute. So every round times one
block of each system, and ratios are taken within a round, then their median over the rounds.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TypeVar

T = TypeVar("T")
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Usage:
    """What a command took.

    peak_bytes: the most memory that was resident at once. cpu_seconds: of user and system.
    """

    seconds: float
    peak_bytes: int
    cpu_seconds: float


def alternate(
    blocks: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[T]]:
    """Call each block once a round, after a round that does not count."""
    samples: dict[str, list[T]] = {name: [] for name in blocks}
    for number in range(-warm_up, rounds):
        for name, block in blocks.items():
            sample = block()
            if number >= 0:
                samples[name].append(sample)
    return samples


def timed(work: Callable[[], object], synchronise: Callable[[], object]) -> float:
    """Return the seconds that the work takes, on a device that may lag behind the caller."""
    synchronise()
    begun = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - begun


def median_ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """Return the median over the rounds of value / base."""
    return median(value / other for value, other in zip(values, base, strict=True))


def run_command(command: Sequence[str], folder: Path, path: Path, expected: int = 0) -> Usage:
    """Run a command in `folder`, with `path` to import from, and return what it took.

    Modules are kept as bytecode after their first import, as those of an installed package are.
    Raises RuntimeError, with what the command said, when it does not end with `expected`.
    """
    result, said = folder / "took.json", folder / "said.txt"
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with said.open("w") as output:
        subprocess.run(
            [sys.executable, "-S", str(LAUNCHER), str(result), *command],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(path)},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
        )
    took = json.loads(result.read_text())
    if took["code"] != expected:
        raise RuntimeError(f"{command} ended with {took['code']}: {said.read_text()[-2000:]}")
    return Usage(took["seconds"], took["peak_bytes"], took["cpu_seconds"])


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine(packages: Sequence[str]) -> list[str]:
    """Return lines of Markdown: date, processor, cores, and the packages that are installed."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version}" for name in packages if (version := _version(name))]
    return [
        f"- {date.today().isoformat()}, {platform.system()}, {_processor()}, {cores()} cores",
        f"- {', '.join(versions)}",
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the model of the CPU, as Linux tells it, or else what Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        texts = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(texts)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(header), f"| {' | '.join(rule)} |", *map(line, rows)]


def verdict_table(verdicts: Sequence[tuple[str, float, float]]) -> list[str]:
    """Return the targets, each a text, what was measured, and the most that it may be."""
    rows = [
        (text, f"{value:.2f}", f"{limit:.2f}", "yes" if value <= limit else "NO")
        for text, value, limit in verdicts
    ]
    return markdown_table(("target", "measured", "at most", "met"), rows)
