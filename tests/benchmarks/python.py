"""What predicting from Python costs: a row alone, many rows, and the import.

Usage: python tests/benchmarks/python.py [--rows N]

Of many rows, beside the time that the command takes for the same columns once it has read them.
The times are CPU times of this thread, and of one thread of torch, so that a busy machine changes
them little.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

import ml2021


def table(rows: int) -> pd.DataFrame:
    """Return ten mixed columns and a target."""
    random = np.random.default_rng(0)
    numbers = {f"n{place}": random.normal(size=rows) for place in range(7)}
    texts = {f"c{place}": random.choice(list("abcd"), rows) for place in range(3)}
    return pd.DataFrame(numbers | texts).assign(y=numbers["n0"] + numbers["n1"] ** 2)


def fastest(work: Callable[[], object], times: int) -> float:
    """Return the shortest CPU time of `work` in milliseconds."""
    found = []
    for _ in range(times):
        begun = time.thread_time()
        work()
        found.append(time.thread_time() - begun)
    return 1000 * min(found)


def predict_blocks(model: ml2021.Model, read: pd.DataFrame) -> None:
    """Predict as the command does, between reading and writing."""
    for _ in model._model.predict_blocks(read, len(read)):
        pass


def import_ms(code: str) -> float:
    """Return the shortest CPU time of a Python that runs `code`, in milliseconds."""
    found = []
    for _ in range(7):
        call = f"import time; {code}; print(time.process_time())"
        done = subprocess.run([sys.executable, "-c", call], capture_output=True, check=True)
        found.append(float(done.stdout))
    return 1000 * min(found)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    many = table(parser.parse_args().rows)
    torch.set_num_threads(1)
    print(f"import: {import_ms('import ml2021') - import_ms('pass'):.1f} ms beyond a bare Python")
    classes = many.assign(y=np.where(many["y"] > 1, "more", "less"))
    texts = [name for name in many if str(name).startswith("c")]
    numbers = many.drop(columns=texts).assign(n7=many["n1"], n8=many["n2"], n9=many["n3"])
    moments = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(many)) % 1000, "D")
    five = {"train": {"members": 5}}
    kinds: dict[str, tuple[pd.DataFrame, dict[str, Any]]] = {
        "one network": (many, {}),
        "in pieces": (many, {"data": {"numbers": "piecewise"}}),
        "five members": (many, five),
        "five members, classes": (classes, five),
        "ten numbers": (numbers, {}),
        "texts as objects": (many.astype(dict.fromkeys(texts, object)), {}),
        "texts as categories": (many.astype(dict.fromkeys(texts, "category")), {}),
        "with moments": (many.assign(n6=moments), {}),
    }
    for name, (frame, settings) in kinds.items():
        config = {
            "data": {"target": "y", "numbers": "standardise", **settings.get("data", {})},
            "train": {"epochs": 2, **settings.get("train", {})},
            "model": {"type": "relu_stack", "widths": [64, 64]},
            "preset": "fast",
        }
        model = ml2021.train(config, frame[:2000])
        alone = fastest(partial(model.predict, frame.iloc[[5]]), 300)
        read = model._read(frame).frame
        by_command = fastest(partial(predict_blocks, model, read), 3)
        from_python = fastest(partial(model.predict, frame), 3)
        print(
            f"{name}: one row {alone:.2f} ms; {len(frame):,} rows {from_python:,.0f} ms, "
            f"{from_python / by_command:.2f} of the command's {by_command:,.0f} ms"
        )


if __name__ == "__main__":
    main()
