"""A table larger than memory: an epoch of W3's network from the disk, its memory and its time.

    python tests/benchmarks/disk.py --against REPOSITORY [--gigabytes 10] [--parts-gigabytes 1]
                                    [--small-gigabytes 0.3] [--rounds 3] [--output FILE]

REPOSITORY is a checkout of 69a5728. Time is compared with its `read_table` for as many bytes, of a
table of a gigabyte, plus the engine's updates, as many; both are measured before and after the
command. Memory is RssAnon, the most of it, above that of a process that has imported torch and
pandas. Then the same table in three parts, CSV, gzip and Parquet, and a small table in memory and
on the disk: the same parameters and optimizer state, to the bit, and the time of an epoch. Takes
1.6 bytes in $TMPDIR for a byte of the table. Prints the tables and writes them as Markdown.
"""

import argparse
import gzip
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.runs.checkpoints import load_checkpoint
from tests.benchmarks.measure import describe_machine, markdown_table
from tests.benchmarks.scale import engine_updates
from tests.benchmarks.streaming import watch
from tests.benchmarks.workloads import WORKLOADS

HERE = Path(__file__).resolve().parents[2]
FEATURES, BATCH = WORKLOADS["W3"].features, WORKLOADS["W3"].batch_size
CELL = len("5.123456,")
LINE = (FEATURES + 1) * CELL
BLOCK = 100_000
CONFIG = f"""\
data: {{path: t.csv, target: y, numbers: standardise, memory: disk}}
preset: fast
device: cpu
model: {{type: relu_stack, widths: {list(WORKLOADS["W3"].widths)}}}
train: {{epochs: 1, batch_size: {BATCH}, early_stopping: null}}
"""
READ = """
import json, sys, time
from pathlib import Path
from ml2021.data.files.headers import TableFormat
from ml2021.data.tables import read_table
begun = time.perf_counter()
read_table(Path(sys.argv[1]), TableFormat(separator=","))
print(json.dumps(time.perf_counter() - begun))
"""


def write_table(path: Path, size: float) -> int:
    """Write about so many bytes: 28 normal features and a bent sum of them; return the rows.

    All are millionths between 0 and 10, in eight characters, made of digits at once.
    """
    rows, random = int(size / LINE), np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(",".join([*(f"x{index}" for index in range(FEATURES)), "y"]).encode() + b"\n")
        for start in range(0, rows, BLOCK):
            x = random.normal(size=(min(BLOCK, rows - start), FEATURES))
            y = np.sin(x[:, :4].sum(axis=1)) + 0.3 * x[:, 4] * x[:, 5]
            values = 0.8 * np.column_stack([x, y]) + 5  # far from 0 and 10, even of 10^9
            left = np.rint(values * 1e6).astype(np.int64)
            text = np.full((*left.shape, CELL), ord(","), np.uint8)
            for place in (7, 6, 5, 4, 3, 2, 0):
                text[..., place] = ord("0") + left % 10
                left //= 10
            text[..., 1] = ord(".")
            text[:, -1, -1] = ord("\n")
            file.write(text.tobytes())
    return rows


def train(folder: Path, run: str, *settings: str) -> list[str]:
    """Return the words of a training."""
    words = ["-m", "ml2021", "train", "--quiet", "--no-report", "--config", "c.yaml"]
    sets = [word for each in settings for word in ("--set", each)]
    shutil.rmtree(folder / run, ignore_errors=True)
    return [*words, "--run-dir", run, *sets]


def tensors(run: Path) -> dict[str, bytes]:
    """Return the parameters and the optimizer state that a run has saved."""
    found = {}
    for name in ("best", "last"):
        checkpoint = load_checkpoint(run / "checkpoints" / f"{name}.safetensors")
        for key, tensor in checkpoint.tensors.items():
            found[f"{name} {key}"] = tensor.numpy().tobytes()
    return found


def read_seconds(path: Path, repository: Path) -> float:
    """Return the seconds that `read_table` of 69a5728 takes for a table."""
    said = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        cwd=path.parent,
        env={"PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(json.loads(said.stdout))


def of_large(folder: Path, size: float, against: Path, plain: int) -> list[str]:
    """Train an epoch of the large table from the disk, and predict it."""
    head = folder / "head.csv"
    write_table(head, min(size, 1e9))
    rows = write_table(folder / "t.csv", size)
    written, scale = (folder / "t.csv").stat().st_size, size / min(size, 1e9)
    updates = -(-int(rows * 0.7) // BATCH)

    def floor() -> tuple[float, float]:
        seconds = engine_updates(WORKLOADS["W3"], rounds=3)
        return read_seconds(head, against) * scale, seconds * updates

    before = floor()
    took = watch(train(folder, "large"), folder, HERE)
    after = floor()
    read, engine = ((a + b) / 2 for a, b in zip(before, after, strict=True))
    words = ["-m", "ml2021", "predict", "--run", "large", "t.csv", "--output", "p.csv"]
    predicted = watch(words, folder, HERE)
    (folder / "p.csv").unlink()
    cells = [f"{took.seconds:.0f}", f"{read:.0f}", f"{engine:.0f}"]
    cells += [f"{took.seconds / (read + engine):.2f}", f"{(took.peak_bytes - plain) / 1e6:,.0f}"]
    cells += [f"{predicted.seconds:.0f}", f"{(predicted.peak_bytes - plain) / 1e6:,.0f}"]
    header = ["`train`, s", "69a5728's `read_table`, s", f"engine, {updates:,} updates, s"]
    header += ["ratio (asked: 1.5)", "MB (asked: 1,074)", "`predict`, s", "MB"]
    title = f"## {written / 1e9:.1f} GB: {rows:,} rows x {FEATURES}, W3's network, one epoch"
    return [title, "", *markdown_table(header, [cells]), ""]


def of_parts(folder: Path, size: float) -> list[str]:
    """Train on one file and on three parts of it."""
    rows, parts = write_table(folder / "t.csv", size), folder / "parts"
    parts.mkdir()
    with (
        (folder / "t.csv").open("rb") as table,
        (parts / "a.csv").open("wb") as plain,
        gzip.open(parts / "b.csv.gz", "wb", compresslevel=1) as packed,
    ):
        head = table.readline()
        for file in (plain, packed):
            file.write(head)
            for start in range(0, rows // 3, BLOCK):
                file.write(table.read(LINE * min(BLOCK, rows // 3 - start)))
        rest = pd.read_csv(table, header=None, names=head.decode().strip().split(","))
    rest.to_parquet(parts / "c.parquet")
    del rest
    watch(train(folder, "one"), folder, HERE)
    watch(train(folder, "three", "data.path=parts"), folder, HERE)
    shutil.rmtree(parts)
    same = tensors(folder / "one") == tensors(folder / "three")
    what = "the same bits" if same else "OTHER BITS"
    return [f"Three parts, CSV, gzip and Parquet, of {size / 1e9:g} GB: {what} as one file.", ""]


def of_memory(folder: Path, size: float, rounds: int) -> list[str]:
    """Train on a small table in memory and on the disk, in turn."""
    rows = write_table(folder / "t.csv", size)
    seconds: dict[str, list[float]] = {"ram": [], "disk": []}
    for _ in range(rounds):
        for memory, taken in seconds.items():
            words = train(folder, memory, f"data.memory={memory}", "train.epochs=3")
            watch(words, folder, HERE)
            taken.append(json.loads((folder / memory / "summary.json").read_text())["seconds"] / 3)
    same = tensors(folder / "ram") == tensors(folder / "disk")
    ratio = median(d / r for r, d in zip(seconds["ram"], seconds["disk"], strict=True))
    cells = [f"{median(taken):.2f}" for taken in seconds.values()]
    header = ["in memory, s an epoch", "on the disk, s an epoch", "ratio (asked: 1.15)"]
    return [
        f"## {size / 1e6:,.0f} MB: {rows:,} rows, W3's network, in memory and on the disk",
        "",
        *markdown_table(header, [[*cells, f"{ratio:.2f}"]]),
        "",
        "Parameters and optimizer state: " + ("the same bits." if same else "OTHER BITS."),
        "",
    ]


def main() -> None:
    """Measure, print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--parts-gigabytes", type=float, default=1)
    parser.add_argument("--small-gigabytes", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    lines = ["# Tables on the disk", "", *describe_machine(("torch", "numpy", "pandas")), ""]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "c.yaml").write_text(CONFIG)
        imports = "import torch, pandas, time; time.sleep(1)"
        plain = watch(["-c", imports], folder, HERE).peak_bytes
        large, parts, small = (
            1e9 * size for size in (given.gigabytes, given.parts_gigabytes, given.small_gigabytes)
        )
        for found in (
            partial(of_memory, folder, small, given.rounds),
            partial(of_parts, folder, parts),
            partial(of_large, folder, large, given.against.resolve(), plain),
        ):
            own = found()
            print(*own, sep="\n", flush=True)
            lines += own
    given.output.write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {given.output}")


if __name__ == "__main__":
    main()
