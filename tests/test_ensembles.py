"""Ensembles: each member is the run with its seed alone, and they predict together."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml2021.console import Console
from ml2021.data.load import load_training_data
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit_members
from ml2021.engine.state import start
from ml2021.errors import CheckpointError
from ml2021.evaluation.ensembles import combine
from ml2021.evaluation.scoring import mean_scores, standard_errors
from ml2021.runs.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import TrainedModel, load_model
from ml2021.training.final_model import train_and_score
from ml2021.training.trainer import Trainer, build_trainer, open_metrics
from tests import commands
from tests.commands import parse_rows, read_rows, refusal, run_well, write_rows
from tests.tables import configure

MEMBERS, SEED, EPOCHS = 3, 7, 4
DATA = {
    "number": "data: {path: train.csv, target: y, exclude: [id, kind, p*]}\n",
    "classes": "data: {path: train.csv, target: kind, exclude: [id, y, p*]}\n",
}
SMALL = f"model: {{type: relu_stack, widths: [8]}}\nseed: {SEED}\ntrain: {{epochs: {EPOCHS}}}\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an ensemble for each task, and its members as runs of their own."""
    folder = tmp_path_factory.mktemp("ensembles")
    write_rows(folder / "train.csv", commands.table(200))
    write_rows(folder / "new.csv", commands.table(30, seed=1))
    for name, data in DATA.items():
        (folder / f"{name}.yaml").write_text(data + SMALL)
        train = ("train", "--quiet", "--config", f"{name}.yaml", "--run-dir")
        run_well(folder, *train, name, "--set", f"train.members={MEMBERS}")
        for member in range(MEMBERS):
            run_well(folder, *train, f"{name}-{member}", "--set", f"seed={SEED + member}")
    return folder


def model_of(run: Path) -> TrainedModel:
    return load_model(run / "checkpoints" / "best.safetensors")


def predicted(runs: Path, run: str, *more: object) -> list[dict[str, str]]:
    arguments = ("predict", "new.csv", "--run", run, "--output", "-", *more)
    return parse_rows(run_well(runs, *arguments).stdout)


def evaluated(runs: Path, run: str) -> Any:
    return json.loads(run_well(runs, "evaluate", "new.csv", "--run", run, "--json").stdout)


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], float)


def trainer_of(runs: Path, *lines: str) -> Trainer:
    data = ("  target: y", "  exclude: [id, kind, p*]", f"seed: {SEED}")
    model = "model: {type: relu_stack, widths: [8]}"
    loaded = configure(runs / "train.csv", *data, model, *lines)
    return build_trainer(load_training_data(loaded), "model", None, None)


def test_a_member_is_the_run_alone_in_float64_to_1e_9(runs: Path) -> None:
    """After at least 200 updates; some members stop early."""
    trainer = trainer_of(
        runs,
        "optimizer: {type: adamw, lr: 0.05}",
        "train: {epochs: 60, members: 3, early_stopping: {patience: 8}}",
    )
    network, hparams = trainer.network, trainer.hparams
    assert hparams.seeds == (SEED, SEED + 1, SEED + 2)
    assert trainer.validation is not None
    train, validation = (
        Dataset(rows.inputs.double(), rows.targets.double())
        for rows in (trainer.train, trainer.validation)
    )
    together = start(network, hparams, len(train), train.inputs)
    ends = [
        len(step.members)
        for step in fit_members(network, hparams, together, train, validation)
        if step.progress.is_epoch_end
    ]
    assert len(ends) * hparams.batches(len(train)) >= 200
    assert ends[0] == 3
    assert ends[-1] < 3
    for member in range(3):
        alone = hparams.select(torch.tensor([member]))
        state = start(network, alone, len(train), train.inputs)
        for _ in fit_members(network, alone, state, train, validation):
            pass
        assert int(state.best_epoch) == int(together.best_epoch[member])
        assert float((state.best[0] - together.best[member]).abs().max()) < 1e-9


def test_metrics_are_the_means_of_the_members(runs: Path) -> None:
    rows = read_rows(runs / "number" / "metrics.csv")
    alone = [read_rows(runs / f"number-{member}" / "metrics.csv") for member in range(MEMBERS)]
    assert [row["members"] for row in rows] == [str(MEMBERS)] * EPOCHS
    assert "members" not in alone[0][0]
    for name in ("train_loss", "validation_loss", "validation_mae", "lr"):
        expected = np.mean([column(one, name) for one in alone], axis=0)
        assert column(rows, name) == pytest.approx(expected, rel=1e-4)


def test_numbers_come_with_the_spread_of_the_members(runs: Path) -> None:
    assert len(model_of(runs / "number").theta) == MEMBERS
    rows = predicted(runs, "number", "--interval", "0.9")
    assert list(rows[0]) == ["y", "y_std", "y_low", "y_high"]
    alone = [column(predicted(runs, f"number-{member}"), "y") for member in range(MEMBERS)]
    assert column(rows, "y") == pytest.approx(np.mean(alone, axis=0), rel=1e-4)
    assert column(rows, "y_std") == pytest.approx(np.std(alone, axis=0, ddof=1), rel=1e-2, abs=1e-3)
    assert list(predicted(runs, "number-0")[0]) == ["y"]


def test_probabilities_are_the_members_mean(runs: Path) -> None:
    rows = predicted(runs, "classes")
    names = ["high", "low", "middle"]
    assert list(rows[0]) == ["kind", *(f"kind_probability_{name}" for name in names), "kind_std"]
    assert "kind_std" not in predicted(runs, "classes-0")[0]
    alone = [predicted(runs, f"classes-{member}") for member in range(MEMBERS)]
    means = np.stack(
        [np.mean([column(a, f"kind_probability_{n}") for a in alone], axis=0) for n in names]
    )
    for place, name in enumerate(names):
        assert column(rows, f"kind_probability_{name}") == pytest.approx(means[place], abs=1e-4)
    for number, row in enumerate(rows):
        of_named = [float(a[number][f"kind_probability_{row['kind']}"]) for a in alone]
        assert float(row["kind_std"]) == pytest.approx(np.std(of_named, ddof=1), abs=1e-4)
    assert [row["kind"] for row in rows] == [names[place] for place in means.argmax(axis=0)]


def test_the_mean_and_each_member_are_scored(runs: Path) -> None:
    ensemble = evaluated(runs, "number")
    alone = [evaluated(runs, f"number-{member}") for member in range(MEMBERS)]
    assert set(ensemble) - set(alone[0]) == {"members"}
    for member, one in enumerate(alone):
        assert ensemble["members"][member]["mae"] == pytest.approx(one["scores"]["mae"], rel=1e-4)
    truth = np.array(commands.table(30, seed=1)["y"], float)
    mean = column(predicted(runs, "number"), "y")
    assert ensemble["scores"]["mae"] == pytest.approx(np.abs(mean - truth).mean(), rel=1e-6)
    lines = run_well(runs, "evaluate", "new.csv", "--run", "number").stdout.splitlines()
    assert lines[1].startswith("network")
    assert lines[2].startswith("one member")
    summary = json.loads((runs / "number" / "summary.json").read_text())
    assert [m["seed"] for m in summary["members"]] == [SEED + k for k in range(MEMBERS)]
    assert summary["best_epoch"] == max(m["best_epoch"] for m in summary["members"])
    assert len(summary["scores"]["test"]["members"]) == MEMBERS


def test_a_member_that_diverges_leaves_the_ensemble(runs: Path, tmp_path: Path) -> None:
    trainer = trainer_of(runs, f"train: {{epochs: {EPOCHS}, members: {MEMBERS}}}")
    trainer.state.theta[1] = torch.nan
    place = RunDirectory(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    metrics = open_metrics(trainer, place)
    summary = train_and_score(trainer, place, metrics, Console(quiet=True))
    metrics.close()
    assert [m.diverged_at_update for m in summary.members][::2] == [None, None]
    assert (summary.members[1].diverged_at_update or 0) >= 1
    assert len(summary.scores["test"].members) == MEMBERS - 1
    kept, whole = load_model(place.best).theta, model_of(runs / "number").theta
    assert torch.allclose(kept, whole[[0, 2]], rtol=1e-4, atol=1e-5)
    assert all(math.isfinite(float(row["train_loss"])) for row in read_rows(place.metrics))


def test_a_run_fails_if_all_members_diverge(runs: Path) -> None:
    wild = ("--set", f"train.members={MEMBERS}", "--set", "optimizer={type: sgd, lr: 1e30}")
    train = ("train", "--quiet", "--config", "number.yaml", "--run-dir", "wild")
    assert refusal(runs, *train, *wild)[0] == 6


def test_more_members_than_the_config_has_are_refused(runs: Path, tmp_path: Path) -> None:
    kept = load_checkpoint(runs / "number-0" / "checkpoints" / "best.safetensors")
    theta = kept.tensors["theta"].repeat(2, 1)
    save_checkpoint(Checkpoint(kept.description, {**kept.tensors, "theta": theta}, tmp_path / "x"))
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "x")


def test_an_ensemble_resumes_bit_for_bit(runs: Path) -> None:
    train = ("train", "--quiet", "--config", "number.yaml", "--set", f"train.members={MEMBERS}")
    constant = ("--set", "train.schedule=constant")
    for name, epochs in (("constant-long", 6), ("constant", 3)):
        run_well(runs, *train, *constant, "--run-dir", name, "--set", f"train.epochs={epochs}")
    run_well(runs, "train", "--quiet", "--resume", "constant", "--set", "train.epochs=6")
    first, second = (
        load_checkpoint(runs / name / "checkpoints" / "last.safetensors").tensors
        for name in ("constant", "constant-long")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=1, max_size=9))
def test_mean_and_deviation_are_numpys(members: list[list[float]]) -> None:
    arrays = [np.array([member]) for member in members]
    mean, spread = combine(arrays)
    assert mean == pytest.approx(np.mean(arrays, axis=0), rel=1e-9, abs=1e-9)
    if len(arrays) == 1:
        assert mean is arrays[0]
        assert spread is None
    else:
        assert spread is not None
        assert spread == pytest.approx(np.std(arrays, axis=0, ddof=1), rel=1e-9, abs=1e-7)


def test_means_and_errors_leave_out_what_is_undefined() -> None:
    scores: list[dict[str, float | None]] = [
        {"mae": 1.0, "r2": None, "auroc": None},
        {"mae": 2.0, "r2": 0.5, "auroc": None},
        {"mae": 6.0, "r2": 0.7, "auroc": None},
    ]
    assert mean_scores(scores) == {"mae": 3.0, "r2": 0.6, "auroc": None}
    errors = standard_errors(scores)
    assert errors["mae"] == pytest.approx(np.std([1, 2, 6], ddof=1) / 3**0.5)
    assert errors["r2"] == pytest.approx(0.1)
    assert errors["auroc"] is None
    assert standard_errors(scores[:1])["mae"] is None
