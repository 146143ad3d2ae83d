"""Folds: columns from all rows, statistics from each fold's training rows."""

from pathlib import Path

import numpy as np
import pytest

from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    NumberFeature,
    RealTargets,
)
from ml2021.data.samples import Folds
from ml2021.errors import ConfigError
from tests.tables import Cell, configure, load, write_csv

ROWS = 23


@pytest.fixture
def table(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    x = random.normal(size=ROWS).round(3).tolist()
    gap: list[Cell] = random.normal(5, 2, ROWS).round(3).tolist()
    gap[4] = None
    colour = ["rare", *["red", "green"] * 11]
    kind = ["seldom", "seldom", *["a", "b", "c"] * 7]
    y = (random.normal(100, 10, ROWS)).round(3).tolist()
    columns: dict[str, list[Cell]] = {"x": x, "gap": gap, "colour": [*colour], "y": y, "z": y[::-1]}
    return write_csv(tmp_path / "t.csv", {**columns, "kind": [*kind]})


def folds_of(data: TrainingData) -> Folds:
    assert data.folds is not None
    return data.folds


def test_the_final_model_has_all_rows_and_each_fold_its_own(table: Path) -> None:
    data = load(table, "  target: y", "  exclude: [z, kind]", "  split: {method: kfold, folds: 4}")
    assert data.split.sizes() == {"train": ROWS, "validation": 0, "test": 0}
    folds = folds_of(data)
    assert len(folds) == 4
    frame = np.genfromtxt(table, delimiter=",", skip_header=1)
    for index, split in enumerate(folds.splits):
        fold = folds.load(index)
        x, gap, colour = fold.preprocessing.features
        assert isinstance(x, NumberFeature)
        assert isinstance(gap, NumberFeature)
        assert isinstance(colour, CategoryFeature)
        assert x.mean == pytest.approx(frame[split.train, 0].mean())
        assert x.scale == pytest.approx(frame[split.train, 0].std())
        assert gap.fill == pytest.approx(np.nanmedian(frame[split.train, 1]))
        assert gap.has_indicator  # in the columns of every fold, or their networks would differ
        assert colour.categories == ("green", "rare", "red")
        target = fold.preprocessing.target
        assert isinstance(target, RealTargets)
        assert target.means[0] == pytest.approx(frame[split.train, 3].mean())
        assert fold.preprocessing.inputs == data.preprocessing.inputs
        standardised = fold.train.inputs[:, 0].astype(np.float64)
        assert standardised.mean() == pytest.approx(0, abs=1e-6)
        assert standardised.std() == pytest.approx(1, abs=1e-6)
        assert fold.held_out.values[:, 0] == pytest.approx(frame[split.test, 3])
        assert len(fold.validation) == len(split.validation)
    assert sum(len(folds.load(index).held_out) for index in range(4)) == ROWS


def test_classes_are_those_of_all_rows_and_rare_ones_are_named(table: Path) -> None:
    data = load(table, "  target: kind", "  exclude: [y, z]", "  split: {method: kfold, folds: 4}")
    assert any("fewer than 4 rows" in note and "seldom" in note for note in data.notes)
    for index in range(4):
        fold = folds_of(data).load(index)
        assert isinstance(fold.preprocessing.target, ClassTarget)
        assert fold.preprocessing.target.classes == ("a", "b", "c", "seldom")
        assert (fold.validation.classes >= 0).all()
        counts = np.bincount(fold.held_out.classes, minlength=4)
        assert counts[:3].min() >= 1


def test_an_image_keeps_its_one_scale(table: Path) -> None:
    data = load(
        table,
        "  target: [y, z]",
        "  target_shape: [2]",
        "  exclude: [kind]",
        "  split: {method: kfold, folds: 3}",
    )
    scales = [folds_of(data).load(index).preprocessing.target for index in range(3)]
    found = {target.scales for target in scales if isinstance(target, RealTargets)}
    assert all(len(set(pair)) == 1 for pair in found)
    assert len(found) == 3


def test_a_series_is_not_dealt_out_at_random(table: Path) -> None:
    with pytest.raises(ConfigError, match=r"^c\.yaml:5:10: .*data.lags"):
        configure(table, "  target: y", "  lags: 3", "  split: kfold")


def test_fewer_than_two_folds_are_refused(table: Path) -> None:
    with pytest.raises(ConfigError, match="must be at least 2, not 1"):
        configure(table, "  target: y", "  split: {method: kfold, folds: 1}")
