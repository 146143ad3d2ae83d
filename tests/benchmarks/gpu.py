"""All that is to be known of one GPU, in one command of at most eight minutes.

    python tests/benchmarks/gpu.py [--device cuda] [--rounds 3] [--minutes 8] [--output FILE]

It makes its own data, downloads nothing, and needs only what ml2021 does; JAX is the peer where it
is installed, and the CUDA tests run where pytest is. What no time is left for is left out, and
said. With `--device cpu` the same code runs without a GPU, to try the script. Prints the page and
writes it as Markdown.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.measure import (
    alternate,
    describe_machine,
    markdown_table,
    median_ratio,
    run_command,
    timed,
)
from tests.benchmarks.peers import build_graphed_step, build_jax, is_installed
from tests.benchmarks.systems import System, build_engine, build_fit, repeated
from tests.benchmarks.workloads import WORKLOADS, Workload, make_rows, to_dataset, write_csv

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "numpy", "pandas", "jax")
WIDE = Workload("wide", 262_144, 28, (1024,) * 4, 16_384, None, 1, 1, 4)
MEMBERS = 1024
MEMBER_ROWS = 32
"""Batches of the 1,024 members: their rows are gathered for each, 1 GB at 100 batches."""
SIDE = 8192
"""Of the square matrices whose product is the peak that a card attains."""
ML2021 = "from ml2021.__main__ import run; run()"
CONFIG = """\
data: {{path: table.csv, target: y, numbers: standardise}}
preset: fast
device: {device}
model: {{type: relu_stack, widths: [256, 256, 256]}}
train: {{epochs: 5, batch_size: 4096, early_stopping: null}}
"""


@dataclass(frozen=True)
class Clock:
    """How much of the time is left."""

    ends: float

    def has(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return time.monotonic() + seconds <= self.ends


def cuda_tests(clock: Clock) -> list[str]:
    """Run tests/test_cuda.py; return a line on how it ended."""
    if importlib.util.find_spec("pytest") is None:
        return ["- The CUDA tests did not run: pytest is not installed."]
    begun = time.monotonic()
    try:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_cuda.py"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=max(30.0, clock.ends - begun - 300),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ["- The CUDA tests took too long and were stopped."]
    ended = (result.stdout.strip().splitlines() or [result.stderr[-200:]])[-1]
    lines = [f"- `pytest tests/test_cuda.py`: {ended.strip('= ')}"]
    failed = re.findall(r"^(?:FAILED|ERROR) .*$", result.stdout, re.MULTILINE)
    return [*lines, *(f"  - {line}" for line in failed)]


def systems_of(workload: Workload, device: torch.device) -> Iterator[System]:
    """Yield ml2021 and its peers on that device."""
    rows = make_rows(workload, workload.rows)
    train = to_dataset(rows, device)
    validation = to_dataset(make_rows(workload, workload.rows // 7, part=1), device)
    updates = workload.batches(len(train)) * workload.epochs
    work = repeated(build_fit(workload, train, validation), workload.epochs)
    yield System("ml2021 fit", work, updates, len(train))
    work = repeated(build_engine(workload, train), workload.epochs)
    yield System("ml2021 engine, a kernel at a time", work, updates, len(train))
    if device.type == "cuda":
        yield build_graphed_step(workload, rows, device, workload.epochs)
    if is_installed("jax"):
        yield build_jax(workload, rows, workload.epochs)


def measure(
    systems: list[System], device: torch.device, rounds: int
) -> dict[str, tuple[System, list[float]]]:
    """Return the seconds of each system's work in each round."""
    synchronise: Callable[[], None] = lambda: None  # noqa: E731
    if device.type == "cuda":
        synchronise = partial(torch.cuda.synchronize, device)
    blocks = {each.name: partial(timed, each.work, synchronise) for each in systems}
    seconds = alternate(blocks, rounds)
    return {each.name: (each, seconds[each.name]) for each in systems}


def flops_per_row(workload: Workload) -> int:
    """Return the floating-point operations of a row's update: those of the matrix products.

    Forward, the gradient of the weights, and, but for the first layer, that of the inputs.
    """
    sizes = [workload.features + 1, *(w + 1 for w in workload.widths)]
    outs = [*workload.widths, workload.outputs]
    products = [2 * a * b for a, b in zip(sizes, outs, strict=True)]
    return 3 * sum(products) - products[0]


def attained_peak(device: torch.device) -> float:
    """Return the operations per second of a product of large float32 matrices."""
    side = SIDE if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device) for _ in range(2))
    out = torch.empty_like(left)
    work = repeated(lambda: torch.mm(left, right, out=out), 5)
    system = System("product", work, 5, 0)
    _, seconds = measure([system], device, 3)["product"]
    return 5 * 2 * side**3 / min(seconds)


def update_tables(
    device: torch.device, rounds: int, clock: Clock, peak: float
) -> Iterator[list[str]]:
    """Yield the section of each workload."""
    for workload in (*WORKLOADS.values(), WIDE):
        title = f"## {workload.name}: {workload.describe()}"
        if not clock.has(40):
            yield [title, "", "- left out: no time was left", ""]
            continue
        results = measure(list(systems_of(workload, device)), device, rounds)
        base = results["ml2021 fit"][1]
        rows = []
        for name, (system, seconds) in results.items():
            each = median(seconds) / system.updates
            per_second = system.rows * workload.epochs / median(seconds)
            rows.append(
                (
                    name,
                    f"{each * 1e6:,.1f}",
                    f"{1 / each:,.0f}",
                    f"{median_ratio(seconds, base):.2f}",
                    f"{per_second:,.0f}",
                    f"{per_second * flops_per_row(workload) / peak:.1%}",
                )
            )
        header = ("system", "us an update", "updates/s", "x fit", "rows/s", "of the peak")
        yield [title, "", *markdown_table(header, rows), ""]


def many_members(device: torch.device, rounds: int) -> list[str]:
    """Return the section on 1,024 members at W1."""
    members = MEMBERS if device.type == "cuda" else 32
    workload = WORKLOADS["W1"]
    train = to_dataset(make_rows(workload, MEMBER_ROWS * workload.batch_size), device)
    one = System("one member", build_engine(workload, train), MEMBER_ROWS, len(train))
    name = f"{members:,} members"
    many = System(name, build_engine(workload, train, range(members)), MEMBER_ROWS, len(train))
    rows = []
    for label, (system, seconds) in measure([one, many], device, rounds).items():
        count = 1 if label == "one member" else members
        each = median(seconds) / system.updates
        rows.append((label, f"{each * 1e6:,.1f}", f"{each / count * 1e6:,.2f}"))
    header = ("W1", "us an update", "us a member")
    return [f"## {name} at once", "", *markdown_table(header, rows), ""]


def end_to_end(device: torch.device) -> list[str]:
    """Return the section on `ml2021 train` of a CSV, on this device and on the CPU."""
    rows = []
    with TemporaryDirectory() as name:
        folder, workload = Path(name), WORKLOADS["W3"]
        write_csv(folder / "table.csv", make_rows(workload, workload.rows // 4), repeats=4)
        for place in dict.fromkeys((device.type, "cpu")):
            (folder / f"{place}.yaml").write_text(CONFIG.format(device=place))
            words = ["train", "--quiet", "--no-report", "--config", f"{place}.yaml"]
            words += ["--run-dir", f"run-{place}"]
            took = run_command([sys.executable, "-c", ML2021, *words], folder, ROOT)
            rows.append((place, f"{took.seconds:.1f}", f"{took.cpu_seconds:.1f}"))
    title = f"## `ml2021 train` on a CSV: {workload.describe()}, 5 epochs"
    return [title, "", *markdown_table(("device", "seconds", "CPU seconds"), rows), ""]


def page(device: torch.device, rounds: int, minutes: float) -> Iterator[str]:
    """Yield the lines of the page, as they are known."""
    clock = Clock(time.monotonic() + 60 * minutes)
    begun = time.monotonic()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    yield from ("# One GPU", "", *describe_machine(PACKAGES), f"- on the {where}, {rounds} rounds")
    peak = attained_peak(device)
    yield f"- peak: {peak / 1e12:.1f} TFLOP/s, those of a product of large float32 matrices"
    if device.type == "cuda":
        yield from cuda_tests(clock)
    yield ""
    for lines in update_tables(device, rounds, clock, peak):
        yield from lines
    for section in (partial(many_members, device, rounds), partial(end_to_end, device)):
        yield from section() if clock.has(60) else ["- left out: no time was left", ""]
    yield f"{time.monotonic() - begun:.0f} seconds in all; the rounds' medians."


def main() -> None:
    """Measure, print the page line by line, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--minutes", type=float, default=8.0, help="how long it may take")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX leaves room for torch
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; --device cpu tries the script")
    lines = []
    for line in page(device, arguments.rounds, arguments.minutes):
        print(line, flush=True)
        lines.append(line)
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
