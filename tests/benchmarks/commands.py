"""How long whole commands take, and how much memory: each beside a script that does the same.

    python tests/benchmarks/commands.py [GROUP ...] [--rounds 5] [--memory-mb 1000] [--output FILE]

Groups: start, W1, W2, predict, read, memory. Every command is a process of its own; those of a
group run in turn. Prints the tables and writes them as Markdown.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.data.csv.scan import TableFormat, open_scan
from ml2021.data.tables import read_table
from tests.benchmarks.measure import (
    Usage,
    alternate,
    describe_machine,
    markdown_table,
    run_command,
    verdict_table,
)
from tests.benchmarks.workloads import WORKLOADS, Workload, make_rows, write_csv

ROOT = Path(__file__).resolve().parents[2]
ML2021 = "from ml2021.__main__ import run; run()"
"""What the console script `ml2021` runs."""
UNTIL_TRAINING = """\
import os, ml2021.training.final_model
ml2021.training.final_model.train_and_score = lambda *arguments: os._exit(0)
"""
"""Put before the above, it ends the process where the first update would begin."""
PEER = str(Path(__file__).with_name("sklearn_peer.py"))
PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "pyarrow")

PASS, HELP, ERROR = "python -c pass", "ml2021 --help", "ml2021 train, config error"
TORCH, TORCH_AND_READ = "import torch", "import torch, read_table, os._exit"
TRAIN, FIRST = "ml2021 train", "ml2021 train, up to its first update"
PREDICT, READ, PANDAS = "ml2021 predict", "ml2021 read_table", "pandas read_csv"
PANDAS_ALONE = "pandas read_csv, one thread"
SCAN, HASH = "of that, SHA-256 and structure alone", "of that, SHA-256 alone"
SKLEARN = "scikit-learn script"

NOTES = """\
- Seconds: median, fastest and slowest round; in each round every row of a table runs once, in turn.
  Memory: peak resident memory, median.
- train: `--quiet`, no early stopping, validation scored after every epoch, the run saved and
  scored. The script: pandas, train_test_split, StandardScaler, MLPRegressor, score. Both use the
  same sizes, epochs and batch size, and Adam.
- Up to the first update: the process ends there by `os._exit`, as does the command that it is
  compared with, because Python needs half a second to unload torch.
- predict: 28 features, widths [100, 100]. The script: joblib, pandas, predict, to_csv.
- read: in one process, from a cached file to one float32 matrix. Since version 3.1 pandas reads
  large files with several threads; "one thread" is its C engine as before. ml2021 scans the file
  while pandas parses it."""


@dataclass(frozen=True)
class Work:
    """What a group works with: a folder of its own, and how large the data for memory is."""

    folder: Path
    memory_mb: int

    def run(self, *arguments: str, expected: int = 0) -> Usage:
        """Run Python with these arguments."""
        return run_command([sys.executable, *arguments], self.folder, ROOT, expected)

    def ml2021(self, *arguments: str, before: str = "", expected: int = 0) -> Usage:
        """Run the command line."""
        return self.run("-c", before + ML2021, *arguments, expected=expected)

    def python(self, code: str) -> Callable[[], Usage]:
        """Return a function that runs this code."""
        return lambda: self.run("-c", code)

    def write_config(self, csv: Path, widths: Sequence[int], epochs: int, batch_size: int) -> Path:
        """Write the config for a table whose target is y, and return where."""
        path = csv.with_suffix(".yaml")
        path.write_text(
            f"data: {{path: {csv}, target: y}}\n"
            f"model: {{type: relu_stack, widths: {list(widths)}}}\n"
            "optimizer: {type: adam, lr: 0.001}\n"
            f"train: {{epochs: {epochs}, batch_size: {batch_size}, early_stopping: null}}\n"
            "device: cpu\n"
        )
        return path


Blocks = Mapping[str, Callable[[], Usage]]


@dataclass(frozen=True)
class Group:
    """Commands that are timed in turn, under a title."""

    title: str
    blocks: Blocks
    rounds: int | None = None


def start_group(work: Work) -> list[Group]:
    """Return what never gets to the work."""
    bad = work.folder / "bad.yaml"
    bad.write_text("data: {path: none.csv, targt: y}\n")
    blocks: Blocks = {
        PASS: work.python("pass"),
        HELP: partial(work.ml2021, "--help"),
        ERROR: partial(work.ml2021, "train", "--config", str(bad), expected=2),
    }
    return [Group("Start", blocks)]


def train_group(work: Work, workload: Workload, epochs: int) -> list[Group]:
    """Return the whole of training on a workload's rows, written as CSV."""
    csv = work.folder / f"{workload.name}.csv"
    write_csv(csv, make_rows(workload, workload.rows))
    config = work.write_config(csv, workload.widths, epochs, workload.batch_size)
    whole = partial(work.ml2021, "train", "--quiet", "--no-report", "--config", str(config))
    sizes = ["--epochs", str(epochs), "--batch-size", str(workload.batch_size), "--widths"]
    blocks: Blocks = {
        TORCH: work.python("import torch"),
        TORCH_AND_READ: work.python(f"import os, torch\n{_reading(csv)}\nos._exit(0)"),
        FIRST: partial(whole, before=UNTIL_TRAINING),
        TRAIN: whole,
        SKLEARN: partial(work.run, PEER, "train", str(csv), *sizes, *map(str, workload.widths)),
    }
    return [Group(f"{workload.name}: {workload.describe()}, {epochs} epochs", blocks)]


def _reading(csv: Path) -> str:
    """Return code that reads a table as ml2021 does."""
    return (
        "from pathlib import Path\nfrom ml2021.data.csv.scan import TableFormat\n"
        "from ml2021.data.tables import read_table\n"
        f"read_table(Path({str(csv)!r}), TableFormat())"
    )


def predict_group(work: Work) -> list[Group]:
    """Return predictions for few and for many rows, by models that are trained here, untimed."""
    workload = Workload("predict", 1_000_000, 28, (100, 100), 256, None, 1, 1, 1)
    rows = make_rows(workload, 10_000)
    small, run, model = work.folder / "small.csv", work.folder / "run", work.folder / "model"
    write_csv(small, rows.first(1_000))
    config = work.write_config(small, workload.widths, 2, 32)
    work.ml2021("train", "--quiet", "--no-report", "--config", str(config), "--run-dir", str(run))
    sizes = ["--epochs", "2", "--batch-size", "32", "--widths", *map(str, workload.widths)]
    work.run(PEER, "train", str(small), *sizes, "--save", str(model))
    large = work.folder / "large.csv"
    write_csv(large, rows, workload.rows // 10_000)
    groups = []
    for csv, count in ((small, 1_000), (large, workload.rows)):
        own, peer = (str(work.folder / name) for name in ("own.csv", "peer.csv"))
        blocks: Blocks = {
            PREDICT: partial(work.ml2021, "predict", str(csv), "--run", str(run), "--output", own),
            SKLEARN: partial(
                work.run, PEER, "predict", str(csv), "--model", str(model), "--output", peer
            ),
        }
        groups.append(Group(f"Predict {count:,} x {workload.features} rows", blocks))
    return groups


def read_group(work: Work) -> list[Group]:
    """Return reading a CSV of floats, in this process."""
    workload = Workload("read", 10_000, 28, (), 1, None, 1, 1, 1)
    csv = work.folder / "read.csv"
    rows = make_rows(workload, 10_000)
    write_csv(csv, rows)
    write_csv(csv, rows, round(165e6 / csv.stat().st_size))
    size, format = csv.stat().st_size, TableFormat()
    blocks: Blocks = {
        PANDAS: partial(_timed, lambda: _as_matrix(pd.read_csv(csv, engine="c"))),
        PANDAS_ALONE: partial(_timed, lambda: _as_matrix(_read_alone(csv))),
        READ: partial(_timed, lambda: _as_matrix(read_table(csv, format).frame)),
        SCAN: partial(_timed, lambda: _scan(csv, format)),
        HASH: partial(_timed, lambda: _hash(csv)),
    }
    return [Group(f"Read a CSV of {size / 1e6:.0f} MB", blocks)]


def _read_alone(csv: Path) -> pd.DataFrame:
    """Read a CSV with pandas in one thread."""
    if version("pandas") < "3.1":
        return pd.read_csv(csv, engine="c")
    with pd.option_context("mode.max_threads", 1):
        return pd.read_csv(csv, engine="c")


def _as_matrix(frame: pd.DataFrame) -> None:
    frame.to_numpy(np.float32)


def _scan(csv: Path, format: TableFormat) -> None:
    """Hash the file and check the structure of all of it, and parse nothing."""
    with open_scan(csv, format) as scan:
        for _ in scan.blocks():
            pass


def _hash(csv: Path) -> None:
    with csv.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def _timed(work: Callable[[], None]) -> Usage:
    begun = time.perf_counter()
    work()
    return Usage(time.perf_counter() - begun, 0, 0.0)


def memory_group(work: Work) -> list[Group]:
    """Return the memory of training on a large table; it hardly varies, so one round does."""
    features = 28
    count = max(1, round(work.memory_mb * 1e6 / 4 / (features + 1) / 10_000))
    workload = Workload("memory", count * 10_000, features, (32,), 4096, None, 1, 1, 1)
    csv = work.folder / "memory.csv"
    write_csv(csv, make_rows(workload, 10_000), count)
    config = work.write_config(csv, workload.widths, 1, workload.batch_size)
    blocks: Blocks = {
        TORCH: work.python("import torch"),
        TRAIN: partial(work.ml2021, "train", "--quiet", "--no-report", "--config", str(config)),
    }
    return [Group(f"Memory: {work.memory_mb} MB of float32", blocks, rounds=1)]


GROUPS: Mapping[str, Callable[[Work], list[Group]]] = {
    "start": start_group,
    "W1": lambda work: train_group(work, WORKLOADS["W1"], 20),
    "W2": lambda work: train_group(work, WORKLOADS["W2"], 5),
    "predict": predict_group,
    "read": read_group,
    "memory": memory_group,
}

Samples = Mapping[str, Sequence[Usage]]


def result_table(samples: Samples) -> list[str]:
    """Return the table of one group, with ratios to its first row."""
    base = next(iter(samples.values()))
    rows = []
    for name, usages in samples.items():
        seconds = [usage.seconds for usage in usages]
        peak = median(usage.peak_bytes for usage in usages)
        rows.append(
            (
                name,
                f"{median(seconds):.3f}",
                f"{min(seconds):.3f}-{max(seconds):.3f}",
                f"{_ratio(usages, base):.2f}",
                f"{peak / 1e6:,.0f} MB" if peak else "",
            )
        )
    return markdown_table(
        ("command", "seconds", "fastest-slowest", "x first row", "peak memory"), rows
    )


def _seconds(usages: Sequence[Usage]) -> float:
    return median(usage.seconds for usage in usages)


def _ratio(usages: Sequence[Usage], base: Sequence[Usage]) -> float:
    pairs = zip(usages, base, strict=True)
    return median(usage.seconds / other.seconds for usage, other in pairs)


def _over(usages: Sequence[Usage], base: Sequence[Usage]) -> float:
    pairs = zip(usages, base, strict=True)
    return median(usage.seconds - other.seconds for usage, other in pairs)


def verdicts(results: Mapping[str, Samples], memory_mb: int) -> list[tuple[str, float, float]]:
    """Return the targets of the performance issue: text, measured, and the most that it may be."""
    found = []
    for name, of in results.items():
        if HELP in of:
            found.append((f"{HELP}: seconds over {PASS}", _over(of[HELP], of[PASS]), 0.2))
            found.append((f"{ERROR}: seconds over {PASS}", _over(of[ERROR], of[PASS]), 0.4))
        elif FIRST in of:
            text = f"{name[:2]}, up to the first update: seconds over {TORCH_AND_READ}"
            found.append((text, _over(of[FIRST], of[TORCH_AND_READ]), 1.2))
            if name.startswith("W1"):
                text = f"W1, {TRAIN}: seconds over {TORCH}"
                found.append((text, _over(of[TRAIN], of[TORCH]), 1.2))
            else:
                text = f"W2, {TRAIN} / {SKLEARN}"
                found.append((text, _ratio(of[TRAIN], of[SKLEARN]), 0.85))
        elif PREDICT in of:
            if "1,000,000" in name:
                found.append((f"{name}: ml2021 / script", _ratio(of[PREDICT], of[SKLEARN]), 1.0))
        elif READ in of:
            for pandas in (PANDAS, PANDAS_ALONE):
                found.append((f"{READ} / {pandas}", _ratio(of[READ], of[pandas]), 1.5))
        else:
            grown = median(u.peak_bytes for u in of[TRAIN]) - median(
                u.peak_bytes for u in of[TORCH]
            )
            text = f"{TRAIN}: memory over {TORCH} / data"
            found.append((text, grown / (memory_mb * 1e6), 2.5))
    return found


def report(results: Mapping[str, Samples], arguments: argparse.Namespace) -> list[str]:
    """Return the lines of the Markdown file."""
    lines = ["# Whole commands: seconds and memory", "", *describe_machine(PACKAGES)]
    lines += [f"- {arguments.rounds} rounds after a warm-up", ""]
    for title, samples in results.items():
        lines += [f"## {title}", "", *result_table(samples), ""]
    targets = verdict_table(verdicts(results, arguments.memory_mb))
    return [*lines, "## Targets", "", *targets, "", *NOTES.splitlines()]


def measure(names: Sequence[str], rounds: int, memory_mb: int) -> dict[str, Samples]:
    """Time the groups, each in a folder that is removed after it."""
    results: dict[str, Samples] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            for group in GROUPS[name](Work(Path(folder), memory_mb)):
                samples = alternate(group.blocks, min(rounds, group.rounds or rounds))
                results[group.title] = samples
                print(group.title, *result_table(samples), "", sep="\n", flush=True)
    return results


def main() -> None:
    """Measure the groups that are named, print the report and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="all when left out")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--memory-mb", type=int, default=1000, help="size of the float32 data")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    names = arguments.groups or list(GROUPS)
    if unknown := set(names) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    results = measure(names, arguments.rounds, arguments.memory_mb)
    lines = report(results, arguments)
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*verdict_table(verdicts(results, arguments.memory_mb)), "", sep="\n")
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    main()
