"""The shipped tables: each is what its script writes, and what data/README.md says it is."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits

from ml2021.evaluation.baselines import fit_least_squares
from ml2021.evaluation.metrics import regression_scores

DATA = Path(__file__).resolve().parent.parent / "data"


def read(name: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a shipped table."""
    header, *rows = ((DATA / name).read_text(encoding="ascii")).splitlines()
    return header.split(","), [row.split(",") for row in rows]


def views() -> tuple[list[date], NDArray[np.float64]]:
    header, rows = read("views.csv")
    assert header == ["date", "views"]
    days = [date.fromisoformat(day) for day, _ in rows]
    return days, np.array([int(count) for _, count in rows], dtype=np.float64)


@pytest.mark.parametrize(
    ("script", "names"),
    [("simulate_views.py", ["views.csv"]), ("bundled_tables.py", ["diabetes.csv", "digits.csv"])],
)
def test_the_script_writes_the_shipped_bytes(script: str, names: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "written"
    folder.mkdir()
    subprocess.run([sys.executable, str(DATA / script), "written"], cwd=tmp_path, check=True)
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        assert (folder / name).read_bytes() == (DATA / name).read_bytes(), name


def test_views_has_a_row_for_every_day() -> None:
    days, counts = views()
    assert days[0] == date(2017, 1, 1)
    assert days[-1] == date(2021, 3, 31)
    assert days == [days[0] + timedelta(days=number) for number in range(1551)]
    assert counts.min() > 1_000
    assert counts.max() < 10_000


def test_views_are_low_on_friday_and_saturday() -> None:
    days, counts = views()
    weekdays = np.array([day.weekday() for day in days])
    means = [counts[weekdays == weekday].mean() for weekday in range(7)]
    assert max(means[4], means[5]) < 0.85 * min(means[weekday] for weekday in (0, 1, 2, 3, 6))


def test_views_reward_a_longer_memory() -> None:
    # The first steps of the lecture's ladder: train on 2017-2020, score 2021.
    days, counts = views()
    training = sum(day.year < 2021 for day in days)
    first = 56  # the same target days for every memory
    train_error, test_error = {}, {}
    for lags in (1, 7, 28, 56):
        history = np.stack([counts[i - lags : i] for i in range(first, len(counts))]) / 1_000.0
        features = np.hstack([history, np.ones((len(history), 1))]).astype(np.float32)
        targets = counts[first:, np.newaxis]
        cut = training - first
        prediction = fit_least_squares(features[:cut], targets[:cut]).predict(features)
        train_error[lags] = regression_scores(targets[:cut], prediction[:cut])["mae"] or 0.0
        test_error[lags] = regression_scores(targets[cut:], prediction[cut:])["mae"] or 0.0
    assert train_error[1] > 1.5 * train_error[7]
    assert train_error[7] > 1.2 * train_error[28] > 1.2 * train_error[56] > 100.0
    assert test_error[1] > 1.4 * test_error[7] > 1.4 * test_error[28]
    assert test_error[56] == pytest.approx(test_error[28], rel=0.05)


def test_digits_is_scikit_learns() -> None:
    header, rows = read("digits.csv")
    assert header == [*(f"pixel_{number}" for number in range(64)), "digit"]
    table = np.array(rows, dtype=np.int64)
    bundled = load_digits()
    assert table.shape == (1797, 65)
    assert (table[:, :64].reshape(-1, 8, 8) == bundled.images).all()
    assert (table[:, 64] == bundled.target).all()
    assert table[:, :64].min() == 0
    assert table[:, :64].max() == 16


def test_diabetes_is_scikit_learns_unscaled() -> None:
    header, rows = read("diabetes.csv")
    assert header == ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "progression"]
    table = np.array(rows, dtype=np.float64)
    bundled = load_diabetes(scaled=False)
    assert table.shape == (442, 11)
    assert (table[:, :10] == bundled.data).all()
    assert (table[:, 10] == bundled.target).all()
    # In years and kg/m², not standardised.
    assert (table[:, 0].min(), table[:, 0].max()) == (19.0, 79.0)
    assert (table[:, 2].min(), table[:, 2].max()) == (18.0, 42.2)
