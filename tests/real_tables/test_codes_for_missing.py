"""Values that stand far outside all others and repeat, as codes for "missing" do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from ml2021.data.plausibility import far_codes
from tests.tables import load, write_csv

Kind = Callable[[np.random.Generator, int], Any]


def codes_of(values: NDArray[np.float64]) -> list[float]:
    return [value for value, _, _ in far_codes(pd.Series(values))]


@pytest.mark.parametrize("code", [-9999, 9.96921e36, 999, -99, -200, 99999, 1e20])
def test_a_code_is_found_with_its_count(code: float) -> None:
    values = np.random.default_rng(0).normal(20, 10, 400).round(1)
    values[5:25] = code
    ((value, count, ranges),) = far_codes(pd.Series(values))
    assert (value, count, ranges < 0) == (code, 20, code < 0)
    low, high = np.quantile(np.delete(values, range(5, 25)), [0.25, 0.75])
    others = np.delete(values, range(5, 25))
    gap = others.min() - code if code < 0 else code - others.max()
    assert abs(ranges) == pytest.approx(gap / (high - low), rel=0.05)


def test_several_codes_in_one_column() -> None:
    values = np.random.default_rng(0).normal(20, 10, 400).round(1)
    values[:20], values[30:40], values[50:60] = -9999, -8888, 99999
    assert codes_of(values) == [-9999, -8888, 99999]


QUIET: dict[str, Kind] = {
    "heavy tails": lambda r, n: r.standard_cauchy(n),
    "rounded heavy tails": lambda r, n: r.standard_cauchy(n).round(),
    "long tails": lambda r, n: r.lognormal(0, 2, n).round(1),
    "counts": lambda r, n: r.negative_binomial(0.2, 0.02, n).astype(float),
    "counts with zeros": lambda r, n: 1.0 * r.poisson(5, n) * (r.random(n) < 0.1),
    "amounts with zeros": lambda r, n: r.lognormal(3, 1, n).round(1) * (r.random(n) < 0.1),
    "capped": lambda r, n: np.minimum(r.lognormal(0, 2, n), 20),
    "two values": lambda r, n: 1000.0 * (r.random(n) < 0.05),
    "three values": lambda r, n: r.choice([0.0, 1, 50], n, p=[0.6, 0.35, 0.05]),
    "prices": lambda r, n: np.round(r.lognormal(4, 1, n), -2) - 1,
    "one far value": lambda r, n: np.append(r.normal(size=n - 1), 1e6),
}


@pytest.mark.parametrize("kind", QUIET)
def test_no_false_alarm(kind: str) -> None:
    random = np.random.default_rng(1)
    found = [codes_of(QUIET[kind](random, n)) for n in (30, 300, 3000) for _ in range(10)]
    assert found == [[]] * 30


def test_features_targets_and_lags_are_named_together(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    y, x = random.normal(20, 5, (2, 100)).round(1)
    z = random.normal(size=100).round(2)
    y[3:9], x[20:40] = -200, -200
    path = write_csv(tmp_path / "t.csv", {"y": y.tolist(), "x": x.tolist(), "z": z.tolist()})
    for lines in ((), ("  lags: 2",)):
        data = load(path, "  target: y", *lines)
        (note,) = [note for note in data.notes if "-200" in note]
        assert note.startswith("y: -200 occurs 6 times, ")
        assert "below the rest" in note
        assert "x (20)" in note
        assert "data.missing" in note
    data = load(path, "  target: y", "  missing: ['', -200]")
    assert not any("-200" in note for note in data.notes)


def test_a_distance_beyond_counting_is_said_in_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=200).round(2), "y": rng.normal(size=200).round(2)}
    columns["a"][::20] = 9.96921e36
    write_csv(tmp_path / "t.csv", {name: column.tolist() for name, column in columns.items()})
    notes = load(tmp_path / "t.csv", "  target: y").notes
    (note,) = (note for note in notes if note.startswith("a: "))
    assert "9.96921e+36 occurs 10 times, far above the rest" in note
