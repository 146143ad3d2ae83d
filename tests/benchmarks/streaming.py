"""`predict` on a long table: its memory and its time, beside another version of ml2021.

    python tests/benchmarks/streaming.py [--rows 30000000] [--rounds 1] [--against REPOSITORY]
                                         [--output FILE]

Each version trains a run on the first rows of the table and predicts all of it, in turn, in a new
process. Memory is RssAnon, the most of it, above that of a process that has imported torch and
pandas. The ratios are those of the time of this version to that of the other. Prints the table and
writes it as Markdown. The table and its predictions take 40 bytes of disk a row, in $TMPDIR.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.measure import describe_machine, markdown_table, median_ratio

HERE = Path(__file__).resolve().parents[2]
CONFIG = """\
data: {path: head.csv, target: y}
model: {type: relu_stack, widths: [32]}
train: {epochs: 2}
"""
_ROWS_AT_ONCE = 1_000_000
_POLL_SECONDS = 0.02


class Took(NamedTuple):
    """What a process took: seconds, those of the CPU, and the most anonymous memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def write_table(path: Path, rows: int) -> None:
    """Write columns x and z of numbers, 18 bytes a row, and without them the target y."""
    block = np.random.default_rng(0).normal(size=(min(rows, _ROWS_AT_ONCE), 2))
    lines = "".join(f"{x:.6f},{z:.5f}\n" for x, z in block)
    with path.open("w") as file:
        file.write("x,z\n")
        for start in range(0, rows, _ROWS_AT_ONCE):
            left = rows - start
            file.write(lines if left >= len(block) else "".join(lines.splitlines(True)[:left]))
    with path.with_name("head.csv").open("w") as file:
        file.write("x,z,y\n")
        file.writelines(f"{x:.6f},{z:.5f},{np.sin(x) + z:.4f}\n" for x, z in block[:5000])


def watch(command: list[str], folder: Path, repository: Path) -> Took:
    """Run a command in `folder` with the package of a repository, and watch its memory."""
    begun, peak, before = time.perf_counter(), 0, getrusage(RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={"PYTHONPATH": str(repository)},
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:  # it has just ended
            break
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(_POLL_SECONDS)
    if process.wait():
        raise SystemExit(f"{' '.join(command)}: ended with {process.returncode}")
    after = getrusage(RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.perf_counter() - begun, cpu_seconds, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    versions = {"this version": HERE}
    if arguments.against is not None:
        versions[arguments.against.name] = arguments.against.resolve()
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_table(folder / "t.csv", arguments.rows)
        (folder / "c.yaml").write_text(CONFIG)
        size = (folder / "t.csv").stat().st_size
        plain = "import torch, pandas, time; time.sleep(1)"
        base = watch(["-c", plain], folder, HERE).peak_bytes
        for number, repository in enumerate(versions.values()):
            train = ["-m", "ml2021", "train", "--config", "c.yaml", "--quiet", "--no-report"]
            # one network: an older version knows neither presets nor another default
            single = ["--set", "preset=fast"] if repository == HERE else []
            watch([*train, "--run-dir", f"run-{number}", *single], folder, repository)
        samples: dict[str, list[Took]] = {name: [] for name in versions}
        for _ in range(arguments.rounds):
            for number, (name, repository) in enumerate(versions.items()):
                predict = ["-m", "ml2021", "predict", "--run", f"run-{number}", "t.csv"]
                took = watch([*predict, "--output", "p.csv"], folder, repository)
                samples[name].append(took)
    rows = []
    for name, taken in samples.items():
        peak = max(each.peak_bytes for each in taken) - base
        this = samples["this version"]
        cells = [name]
        for kind in ("seconds", "cpu_seconds"):
            numbers, own = ([getattr(each, kind) for each in some] for some in (taken, this))
            cells += [f"{median(numbers):.1f}", f"{median_ratio(own, numbers):.2f}"]
        rows.append([*cells, f"{peak / 1e6:,.0f}"])
    text = "\n".join(
        [
            "# predict on a long table",
            "",
            *describe_machine(["torch", "numpy", "pandas"]),
            f"- {arguments.rows:,} rows, {size / 1e6:,.0f} MB; one hidden layer of 32; "
            f"{arguments.rounds} round(s)",
            "",
            *markdown_table(
                ["version", "seconds", "ratio", "CPU seconds", "ratio", "MB above imports"], rows
            ),
            "",
        ]
    )
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
