"""What training costs as rows, columns, parameters, members and ranks grow, and how fast it grows.

    python tests/benchmarks/scale.py [GROUP ...] [--most-rows 1000000] [--most-columns 1000]
                                     [--most-ranks 2] [--rounds 3] [--output FILE]

Groups: rows, columns, parameters, members, ranks; all when left out. Rows and columns are whole
commands on a CSV that is written first, in $TMPDIR: 60 bytes a row, so 2.4 GB for 40,000,000. The
slope is that of the logarithms between a line and the one above: 1 where the cost is proportional.
What 10^9 rows would take on 8 and 64 machines is computed from the figures, and marked as such.
Prints the tables and writes them as Markdown.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.engine.hardware import choose_threads
from tests.benchmarks.measure import alternate, describe_machine, markdown_table, run_command, timed
from tests.benchmarks.systems import build_engine
from tests.benchmarks.workloads import WORKLOADS, Workload, make_rows, to_dataset

ROOT = Path(__file__).resolve().parents[2]
TRAIN = "from ml2021.__main__ import run; run()"
CONFIG = """\
data: {path: table.csv, target: y, numbers: standardise}
preset: fast
device: cpu
model: {type: relu_stack, widths: [100]}
train: {epochs: 1, batch_size: 256, early_stopping: null}
"""
COLUMNS, ROWS = 10, 2_000
BATCHES = 20
"""Of an engine's epoch: enough for a tenth of a second, few enough for 10^7 parameters."""
MACHINE_ROWS, GIGABITS, LATENCY = 1e9, 10.0, 50e-6
"""On paper: the rows, and what is assumed of the network between machines."""


@dataclass(frozen=True)
class Point:
    """A size, what it took in seconds, median of the rounds, and the most memory, if known."""

    size: int
    seconds: float
    peak_bytes: int | None = None


def powers(first: int, last: int) -> Iterator[int]:
    """Yield first, 10 first, ..., as far as `last`, and `last` itself."""
    size = first
    while size < last:
        yield size
        size *= 10
    yield last


def slope(before: Point, after: Point) -> float:
    """Return the exponent with which the cost grows from one size to the next."""
    return math.log(after.seconds / before.seconds) / math.log(after.size / before.size)


def table(what: str, unit: str, points: Sequence[Point]) -> list[str]:
    """Return the table of a group: seconds, and microseconds a row, column, parameter, ..."""
    rows = []
    for before, point in zip([None, *points], points, strict=False):
        memory = "" if point.peak_bytes is None else f"{point.peak_bytes / 1e6:,.0f}"
        grows = "" if before is None else f"{slope(before, point):.2f}"
        each = point.seconds / point.size * 1e6
        rows.append((f"{point.size:,}", f"{point.seconds:,.4g}", f"{each:,.3g}", grows, memory))
    header = (what, "seconds", f"us a {unit}", "slope", "peak MB")
    shown = len(header) - (points[0].peak_bytes is None)
    return markdown_table(header[:shown], [row[:shown] for row in rows])


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write normal numbers x0, x1, ... and a bent sum of them y; rows repeat after 100,000."""
    random = np.random.default_rng(0)
    block = random.normal(size=(min(rows, 100_000), columns))
    target = np.sin(block.sum(axis=1) / math.sqrt(columns))
    lines = [
        ",".join([*(f"{value:.3g}" for value in row), f"{y:.4g}"]) + "\n"
        for row, y in zip(block, target, strict=True)
    ]
    text = "".join(lines)
    with path.open("w") as file:
        file.write(",".join([*(f"x{index}" for index in range(columns)), "y"]) + "\n")
        for _ in range(rows // len(lines)):
            file.write(text)
        file.writelines(lines[: rows % len(lines)])


def whole_commands(sizes: Sequence[tuple[int, int, int]], rounds: int) -> list[Point]:
    """Return what `ml2021 train` took for each (size, rows, columns); the start-up is in it."""
    points = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "c.yaml").write_text(CONFIG)
        for size, rows, columns in sizes:
            write_table(folder / "table.csv", rows, columns)
            words = [sys.executable, "-c", TRAIN, "train", "--quiet", "--no-report"]
            words += ["--config", "c.yaml"]
            took = [run_command(words, folder, ROOT) for _ in range(rounds)]
            seconds = median(each.seconds for each in took)
            points.append(Point(size, seconds, max(each.peak_bytes for each in took)))
    return points


def engine_updates(workload: Workload, rounds: int, members: int = 1) -> float:
    """Return the seconds of an update of that many members, with ml2021's number of threads."""
    train = to_dataset(make_rows(workload, BATCHES * workload.batch_size), torch.device("cpu"))
    torch.set_num_threads(choose_threads(workload.network, workload.batch_size * members))
    epoch = build_engine(workload, train, range(members))
    (seconds,) = alternate({"": partial(timed, epoch, lambda: None)}, rounds).values()
    return median(seconds) / BATCHES


def of_rows(most: int, rounds: int) -> list[Point]:
    """Return what whole commands took from 10^4 rows on."""
    return whole_commands([(rows, rows, COLUMNS) for rows in powers(10_000, most)], rounds)


def of_columns(most: int, rounds: int) -> list[Point]:
    """Return what whole commands took from 10 columns on."""
    return whole_commands([(columns, ROWS, columns) for columns in powers(10, most)], rounds)


def of_parameters(rounds: int) -> list[Point]:
    """Return what an update at W2 took, of three layers from 10 to 1,000 units wide."""
    points = []
    for width in (10, 32, 100, 320, 1_000):
        workload = replace(WORKLOADS["W2"], widths=(width,) * 3)
        seconds = engine_updates(workload, rounds)
        points.append(Point(workload.network.layout.parameters, seconds))
    return points


def of_members(rounds: int) -> list[Point]:
    """Return what an update at W1 took, of 1 to 1,024 members."""
    workload = WORKLOADS["W1"]
    return [Point(k, engine_updates(workload, rounds, k)) for k in (1, 4, 16, 64, 256, 1024)]


def of_ranks(most: int, rounds: int) -> list[Point]:
    """Return what whole commands took on 1, 2, ... ranks of one thread, with W3's network."""
    points = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = CONFIG.replace("[100]", "[256, 256, 256]").replace("256, early", "4096, early")
        (folder / "c.yaml").write_text(config)
        write_table(folder / "table.csv", WORKLOADS["W3"].rows, WORKLOADS["W3"].features)
        ranks = 1
        while ranks <= most:
            words = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            words += ["--nproc-per-node", str(ranks), "-m", "ml2021", "train", "--quiet"]
            words += ["--no-report", "--config", "c.yaml"]
            took = [run_command(words, folder, ROOT).seconds for _ in range(rounds)]
            points.append(Point(ranks, median(took)))
            ranks *= 2
    return points


def on_paper(rounds: int) -> list[str]:
    """Return what an epoch of 10^9 rows would take, computed from an update at W3.

    Each batch is divided over the machines; an update then waits for one all-reduce of the
    gradient around a ring (Patarasu and Yuan 2009): 2 (M - 1) / M of its bytes, and 2 (M - 1)
    latencies.
    """
    workload = WORKLOADS["W3"]
    update = engine_updates(workload, rounds)
    gradient = 4 * workload.network.layout.parameters
    rows = []
    for machines in (1, 8, 64):
        ring = 2 * (machines - 1)
        exchange = ring / machines * gradient * 8 / (GIGABITS * 1e9) + ring * LATENCY
        for batch in (workload.batch_size, workload.batch_size * machines):
            work = update * batch / workload.batch_size / machines
            hours = MACHINE_ROWS / batch * (work + exchange) / 3600
            share = work / (work + exchange)
            rows.append((str(machines), f"{batch:,}", f"{hours:.2f}", f"{share:.0%}"))
    header = ("machines", "batch", "hours an epoch", "of them computing")
    return [
        "## On paper: an epoch of 10^9 rows x 28, W3's network",
        "",
        f"Computed, not run: from {update * 1e3:.1f} ms for an update of {workload.batch_size:,} "
        f"rows on this machine, and a network of {GIGABITS:g} Gbit/s and {LATENCY * 1e6:g} us that "
        "is assumed. Reading the table is not in it.",
        "",
        *markdown_table(header, list(dict.fromkeys(rows))),
        "",
    ]


def main() -> None:
    """Measure the groups that are named, print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--most-rows", type=int, default=1_000_000)
    parser.add_argument("--most-columns", type=int, default=1_000)
    parser.add_argument("--most-ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    rounds = given.rounds
    groups: Mapping[str, tuple[str, str, Callable[[], list[Point]]]] = {
        "rows": (
            f"`train`, one epoch, rows x {COLUMNS}, 100 units",
            "row",
            partial(of_rows, given.most_rows, rounds),
        ),
        "columns": (
            f"`train`, one epoch, {ROWS:,} rows x columns, 100 units",
            "column",
            partial(of_columns, given.most_columns, rounds),
        ),
        "parameters": (
            "An update of 256 rows: parameters of three layers",
            "parameter",
            partial(of_parameters, rounds),
        ),
        "members": ("An update at W1: members", "member", partial(of_members, rounds)),
        "ranks": (
            f"`torchrun`, W3 as a CSV of {WORKLOADS['W3'].rows:,} rows, one epoch: ranks",
            "rank",
            partial(of_ranks, given.most_ranks, rounds),
        ),
    }
    names = given.groups or list(groups)
    if unknown := set(names) - set(groups):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(groups)}")
    lines = ["# Scale", "", *describe_machine(("torch", "numpy", "pandas"))]
    lines += [f"- medians of {rounds} rounds", ""]
    for name in names:
        title, unit, measure = groups[name]
        found = [f"## {title}", "", *table(name, unit, measure()), ""]
        print(*found, sep="\n", flush=True)
        lines += found
    lines += on_paper(rounds)
    given.output.write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {given.output}")


if __name__ == "__main__":
    main()
