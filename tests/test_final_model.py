"""The final model: trained again with the validation rows, and its probabilities calibrated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml2021.evaluation.calibration import fit_temperature
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import load_model
from ml2021.runs.summary import read_summary
from tests.commands import run

TABLE_ROWS = 60
EPOCHS = 6


def write_table(folder: Path, *, classes: bool = False) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(TABLE_ROWS, 2))
    y = x[:, 0] - x[:, 1] ** 2 + rng.normal(size=TABLE_ROWS) / 4
    named = [("yes" if value > -0.5 else "no") if classes else repr(float(value)) for value in y]
    lines = [f"{a},{b},{c}" for (a, b), c in zip(x.tolist(), named, strict=True)]
    (folder / "t.csv").write_text("a,b,y\n" + "\n".join(lines) + "\n")


def train(folder: Path, name: str, *lines: str) -> RunDirectory:
    """Train a small ensemble; `lines` are keys of train."""
    keys = (f"epochs: {EPOCHS}", "members: 2", "batch_size: 8", *lines)
    text = "\n".join(f"  {line}" for line in keys)
    (folder / f"{name}.yaml").write_text(
        f"data: {{path: t.csv, target: y}}\nmodel: {{type: relu_stack, widths: [8]}}\n"
        f"optimizer: {{type: adamw, lr: 0.05}}\ntrain:\n{text}\n"
    )
    done = run(folder, "train", "--config", f"{name}.yaml", "--run-dir", name)
    assert done.code == 0, done.stderr
    return RunDirectory(folder / name)
