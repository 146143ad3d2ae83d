"""How long an update takes: ml2021, the floor under it, and its peers, in turn, in one run.

    python tests/benchmarks/training.py [W1 W2 W3 W4] [--rounds 5] [--device cpu] [--output FILE]

The peers come with `pip install ml2021[bench]`; those that are absent are left out. Prints the
tables and writes them as Markdown.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.engine.hardware import choose_threads
from tests.benchmarks.measure import (
    alternate,
    describe_machine,
    markdown_table,
    median_ratio,
    timed,
    verdict_table,
)
from tests.benchmarks.peers import build_peers
from tests.benchmarks.systems import System, build_engine, build_fit, build_floor, repeated
from tests.benchmarks.workloads import WORKLOADS, Rows, Workload, make_rows, to_dataset

FLOOR = "floor: the matrix products"
ENGINE = "ml2021 engine"
FIT = "ml2021 fit"
MEMBERS = "ml2021 engine, 32 members"
MEMBER_COUNT = 32
MEMBER_EPOCHS = 5
FLOOR_BATCHES_LARGE = 40
LARGE_BATCH = 1024
DEFAULT_THREADS = f"default of torch: {torch.get_num_threads()} threads"
PACKAGES = ("torch", "numpy", "scikit-learn", "jax", "skorch", "lightning")

LOOP, SKLEARN, JAX = "torch autograd + DataLoader", "scikit-learn", "JAX"
TARGETS = (
    ("W1", ENGINE, FLOOR, 3.0),
    ("W1", ENGINE, SKLEARN, 1 / 4),
    ("W1", ENGINE, LOOP, 1 / 10),
    ("W1", FIT, ENGINE, 1.3),
    ("W1", MEMBERS, FLOOR, 1.5),
    ("W2", ENGINE, FLOOR, 1.4),
    ("W2", ENGINE, JAX, 1.0),
    ("W2", FIT, ENGINE, 1.1),
    ("W3", ENGINE, FLOOR, 1.15),
    ("W3", ENGINE, JAX, 1.0),
)

NOTES = """\
- Microseconds per update: median, fastest and slowest round. In each round every system trains for
  one block, in turn. Ratios are taken within a round; the table has their median.
- floor: only the matrix products of an update, by `torch.bmm` with `out=`. ml2021 uses oneDNN for
  large products where it is faster, and can therefore be below the floor.
- engine: rows gathered once per epoch, forward, loss recorded, backward, Adam. fit: the same with a
  schedule, early stopping and validation on a seventh as many rows, as in `ml2021 train`.
- 32 members: each with its own batch order; microseconds per member, ratio to the floor of one.
- Threads: ml2021's rule for the floor and ml2021, the machine's default for the peers.
- JAX: compilation is listed separately and not counted. JAX and ml2021 train on all rows; the other
  peers, which take longer, and the floor at W3 only on the first ones: see the column "rows"."""


@dataclass(frozen=True)
class Result:
    """A system, and its microseconds an update (of one member) in each round."""

    system: System
    micros: list[float]


Results = Mapping[str, Result]


def build_systems(workload: Workload, device: torch.device) -> list[System]:
    """Return all that is timed on a workload."""
    rows = make_rows(workload, workload.rows)
    return [*own_systems(workload, rows, device), *build_peers(workload, rows, device)]


def own_systems(workload: Workload, rows: Rows, device: torch.device) -> Iterator[System]:
    """Yield the floor and ml2021."""
    train = to_dataset(rows, device)
    validation = to_dataset(make_rows(workload, workload.rows // 7, part=1), device)
    threads = choose_threads(workload.network, workload.batch_size)
    count, epochs = len(train), workload.epochs
    batches = workload.batches(count)
    few = min(batches, FLOOR_BATCHES_LARGE if workload.batch_size > LARGE_BATCH else batches)
    products = repeated(build_floor(workload, train, few), epochs)
    yield System(FLOOR, products, few * epochs, min(count, few * workload.batch_size), threads)
    work = repeated(build_engine(workload, train), epochs)
    yield System(ENGINE, work, batches * epochs, count, threads)
    work = repeated(build_fit(workload, train, validation), epochs)
    yield System(FIT, work, batches * epochs, count, threads)
    if workload.name == "W1":
        work = repeated(build_engine(workload, train, range(MEMBER_COUNT)), MEMBER_EPOCHS)
        threads = choose_threads(workload.network, workload.batch_size * MEMBER_COUNT)
        yield System(MEMBERS, work, batches * MEMBER_EPOCHS, count, threads, MEMBER_COUNT)


def measure(workload: Workload, device: torch.device, rounds: int) -> Results:
    """Time every system in turn, each with its own number of threads."""
    default = torch.get_num_threads()

    def synchronise() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def block(system: System) -> float:
        torch.set_num_threads(system.threads or default)
        seconds = timed(system.work, synchronise)
        torch.set_num_threads(default)
        return seconds / system.updates / system.members * 1e6

    systems = build_systems(workload, device)
    samples = alternate({system.name: partial(block, system) for system in systems}, rounds)
    return {system.name: Result(system, samples[system.name]) for system in systems}


def result_table(results: Results) -> list[str]:
    """Return the table of one workload."""
    floor = results[FLOOR].micros
    header = ("system", "us an update", "fastest-slowest", "x floor", "threads", "rows", "compile")
    return markdown_table(header, [_table_row(result, floor) for result in results.values()])


def _table_row(result: Result, floor: Sequence[float]) -> tuple[str, ...]:
    system, micros = result.system, result.micros
    compiled = system.compile_seconds
    return (
        system.name,
        f"{median(micros):,.1f}",
        f"{min(micros):,.1f}-{max(micros):,.1f}",
        f"{median_ratio(micros, floor):.2f}",
        "default" if system.threads is None else str(system.threads),
        f"{system.rows:,}",
        "" if compiled is None else f"{compiled:.1f} s",
    )


def verdicts(results: Mapping[str, Results]) -> list[tuple[str, float, float]]:
    """Return the targets of the performance issue: text, ratio, and the most that it may be."""
    found = []
    for workload, name, base, limit in TARGETS:
        named = results.get(workload, {})
        first, second = _find(named, name), _find(named, base)
        if first is not None and second is not None:
            ratio = median_ratio(first.micros, second.micros)
            found.append((f"{workload}: {name} / {base}", ratio, limit))
    return found


def _find(results: Results, name: str) -> Result | None:
    """Return the result of the system whose name begins so."""
    return next((result for key, result in results.items() if key.startswith(name)), None)


def report(results: Mapping[str, Results], device: torch.device, rounds: int) -> list[str]:
    """Return the lines of the Markdown file."""
    where = "CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)
    lines = ["# Training: microseconds an update", ""]
    lines += describe_machine(PACKAGES)
    lines += [f"- on the {where}, {rounds} rounds after a warm-up, {DEFAULT_THREADS}", ""]
    for name, result in results.items():
        lines += [f"## {name}: {WORKLOADS[name].describe()}", "", *result_table(result), ""]
    return [*lines, "## Targets", "", *verdict_table(verdicts(results)), "", *NOTES.splitlines()]


def main() -> None:
    """Measure the workloads that are named, print the report and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("workloads", nargs="*", metavar="W", help="W1 to W4; all when left out")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    names = arguments.workloads or list(WORKLOADS)
    if unknown := set(names) - set(WORKLOADS):
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    device = torch.device(arguments.device)
    results = {}
    for name in names:
        results[name] = measure(WORKLOADS[name], device, arguments.rounds)
        print(f"{name}: {WORKLOADS[name].describe()}", *result_table(results[name]), "", sep="\n")
    lines = report(results, device, arguments.rounds)
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*verdict_table(verdicts(results)), "", f"written to {arguments.output}", sep="\n")


if __name__ == "__main__":
    main()
