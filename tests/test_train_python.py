"""`ml2021.train`: from Python, on a file or a data frame, with the same bits as the command."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ml2021
from tests.commands import contents, run_well

QUICK: dict[str, Any] = {
    "model": {"type": "relu_stack", "widths": [4]},
    "train": {"epochs": 3},
    "preset": "fast",
    "device": "cpu",
}
KINDS = ("plain", "classes", "folds", "auto", "refit")


def config_of(kind: str, **data: object) -> dict[str, Any]:
    section: dict[str, object] = {"target": "y", "exclude": ["z"], **data}
    config = {**QUICK, "data": section}
    if kind == "classes":
        section |= {"target": "text", "exclude": ["y"]}
    elif kind == "folds":
        section["split"] = {"method": "kfold", "folds": 3}
    elif kind == "auto":
        section["numbers"] = "auto"
    elif kind == "refit":
        config["train"] = {"epochs": 3, "members": 2, "refit": True}
    return config


def table(rows: int = 120) -> pd.DataFrame:
    """Return a frame with columns of many dtypes, missing cells, and an index of its own."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": random.normal(size=rows),
            "short": random.normal(size=rows).astype(np.float32),
            "whole": random.integers(0, 1000, rows).astype(np.int16),
            "text": random.choice(["x", "y", "z"], rows),
            "kind": pd.Categorical(random.choice(["u", "v"], rows)),
            "level": pd.Categorical(random.choice([1, 2, 3], rows)),
            "count": pd.array(random.integers(0, 50, rows), dtype="Int64"),
            "flag": pd.array(random.random(rows) > 0.5, dtype="boolean"),
            "yes": random.random(rows) > 0.5,
            "when": pd.date_range("2020-01-01", periods=rows, freq="7h"),
            "mixed": [*random.normal(size=rows - 1), "12"],
            "z": random.choice(["p", "q"], rows),
        }
    )
    frame["y"] = frame["a"] * 2 + frame["whole"] / 100
    for row, name in enumerate(("a", "short", "text", "kind", "count", "flag", "when", "y")):
        frame.loc[row, name] = None
    frame.index = pd.Index(np.arange(rows)[::-1] // 2)
    return frame


def bits(model: ml2021.Model) -> dict[str, bytes]:
    """Return the parameters, the baselines and the residuals of a model."""
    return {name: each.numpy().tobytes() for name, each in model._checkpoint.tensors.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("python")
    table().to_csv(place / "table.csv", index=False)
    return place


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_trains_as_the_file_of_it_does(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    frame, config = table(), config_of(kind)
    of_frame = ml2021.train(config, frame)
    in_file = folder / f"{kind}.yaml"
    in_file.write_text(str(config_of(kind, path="table.csv")).replace("True", "true"))
    run_well(folder, "train", "--config", in_file, "--run-dir", kind, "--quiet")
    by_command = ml2021.load(kind)
    for other in (ml2021.train(in_file), ml2021.train(in_file, run_dir=f"{kind}-2"), of_frame):
        assert bits(other) == bits(by_command)
        assert other.scores == by_command.scores
        assert other.notes == by_command.notes
    told = contents(folder / kind)
    assert {*told} == {*contents(folder / f"{kind}-2")}
    again = pd.read_csv("table.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml2021.DataWarning)
        assert np.array_equal(of_frame.predict(frame), by_command.predict(again))
    pd.testing.assert_frame_equal(frame, table())
