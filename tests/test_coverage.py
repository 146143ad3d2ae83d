"""Prediction intervals hold on new rows what they promise, whatever the preset."""

from pathlib import Path

import numpy as np
import pytest

from tests.commands import read_rows, run_well, write_rows

LEVEL = 0.9
ROWS, NEW_ROWS = 600, 1_000
CONFIG = """\
data: {{path: t.csv, target: y, split: {{validation: 0.2, test: 0.0}}}}
preset: {preset}
model: {{type: relu_stack, widths: [16, 16]}}
seed: {seed}
"""


def table(random: np.random.Generator, rows: int, weights: np.ndarray) -> dict[str, list[object]]:
    """Return a curved function of three columns, with noise that may be heavy and uneven."""
    x = random.normal(size=(rows, 3))
    noise = random.standard_t(4, size=rows) * (0.3 + 0.2 * np.abs(x[:, 2]))
    y = np.sin(2 * x[:, 0]) + x @ weights + 0.5 * x[:, 1] ** 2 + noise
    return {**{name: x[:, i].tolist() for i, name in enumerate("abc")}, "y": y.tolist()}


def coverage(folder: Path, preset: str, seed: int) -> float:
    """Train on a table, and return the share of new rows inside their intervals."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=3)
    write_rows(folder / "t.csv", table(random, ROWS, weights))
    new = table(random, NEW_ROWS, weights)
    truth = np.array(new.pop("y"), float)
    write_rows(folder / "new.csv", new)
    (folder / "c.yaml").write_text(CONFIG.format(preset=preset, seed=seed))
    run_well(folder, "train", "--quiet", "--config", "c.yaml", "--run-dir", f"r{seed}")
    arguments = ("--run", f"r{seed}", "--interval", LEVEL, "--output", "p.csv")
    run_well(folder, "predict", "new.csv", *arguments)
    rows = read_rows(folder / "p.csv")
    low, high = (np.array([float(row[name]) for row in rows]) for name in ("y_low", "y_high"))
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("preset", ["fast", "default"])
def test_intervals_cover_new_rows(tmp_path: Path, preset: str) -> None:
    found = [coverage(tmp_path, preset, seed) for seed in range(3)]
    assert 0.83 <= np.mean(found) <= 0.97


@pytest.mark.soak
@pytest.mark.parametrize("preset", ["fast", "default", "best"])
def test_intervals_cover_nine_tenths_over_200_tables(tmp_path: Path, preset: str) -> None:
    found = [coverage(tmp_path, preset, seed) for seed in range(200)]
    assert 0.88 <= np.mean(found) <= 0.92
