"""How long an exported model takes for a row, and to start, beside `ml2021 predict`.

    python tests/benchmarks/export.py [--rounds 5]

Ten mixed columns: six numbers in 16 pieces, three of categories, a date; two layers of 100 units.
Needs onnx and onnxruntime. Prints the figures.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ml2021
from tests.benchmarks.measure import describe_machine, run_command

ROOT = Path(__file__).resolve().parents[2]
CALLS = 2_000
ML2021 = "from ml2021.__main__ import run; run()"
SERVE = """\
import json, numpy as np, onnxruntime
session = onnxruntime.InferenceSession("m.onnx")
row = json.load(open("row.json"))
types = {"number": np.float64, "text": object, "date": np.int64}
kinds = json.loads(session.get_modelmeta().custom_metadata_map["columns"])
session.run(None, {name: np.array([[row[name]]], types[kind]) for name, kind in kinds.items()})
"""


def write_table(path: Path, rows: int) -> None:
    """Write a table of ten mixed columns and the target y."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(rows, 6)).round(4)
    frame = pd.DataFrame(numbers, columns=[f"x{n}" for n in range(6)])
    for name, count in (("few", 4), ("some", 12), ("many", 60)):
        frame[name] = [f"{name} {n}" for n in random.integers(0, count, rows)]
    frame["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        random.integers(0, 20_000, rows), unit="h"
    )
    frame["y"] = np.sin(numbers.sum(axis=1)) + (frame["few"] == "few 1")
    frame.to_csv(path, index=False)


def row_of(frame: pd.DataFrame, kinds: dict[str, str]) -> dict[str, object]:
    """Return the first row as plain values."""
    row = frame.iloc[0]
    return {
        name: int(pd.Timestamp(row[name]).timestamp()) if kind == "date" else row[name]
        for name, kind in kinds.items()
    }


def main() -> None:
    """Train, export, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "t.csv", 2_000)
        config = {
            "data": {"path": str(folder / "t.csv"), "target": "y", "numbers": "piecewise"},
            "preset": "fast",
            "model": {"type": "relu_stack", "widths": [100, 100]},
            "train": {"epochs": 5},
        }
        ml2021.train(config, run_dir=folder / "run")
        export = [sys.executable, "-c", ML2021, "export", "run", "--output", "m.onnx"]
        subprocess.run(export, cwd=folder, env={"PYTHONPATH": str(ROOT)}, check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(folder / "m.onnx", options)
        kinds = json.loads(session.get_modelmeta().custom_metadata_map["columns"])
        frame = pd.read_csv(folder / "t.csv", dtype={"when": str})
        row = row_of(frame, kinds)
        (folder / "row.json").write_text(json.dumps(row))
        frame.head(1).to_csv(folder / "one.csv", index=False)
        types: dict[str, type] = {"number": np.float64, "text": object, "date": np.int64}
        given: dict[str, NDArray[Any]] = {
            name: np.array([[row[name]]], types[kind]) for name, kind in kinds.items()
        }
        micros = []
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            for _ in range(CALLS):
                session.run(None, given)
            micros.append((time.perf_counter() - begun) / CALLS * 1e6)
        predict = [sys.executable, "-c", ML2021, "predict", "one.csv", "--run", "run"]
        predict += ["--output", "p.csv"]
        serve = [sys.executable, "-c", SERVE]
        ratios = [
            run_command(serve, folder, ROOT).seconds / run_command(predict, folder, ROOT).seconds
            for _ in range(rounds)
        ]
    print(*describe_machine(("onnx", "onnxruntime", "numpy")), sep="\n")
    print(
        f"- a row of {len(kinds)} columns: {median(micros[1:]):.1f} us, {min(micros):.1f} at best"
    )
    print(f"- from import to the first prediction, of `ml2021 predict`: {median(ratios):.2f}")


if __name__ == "__main__":
    main()
