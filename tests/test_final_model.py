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


def test_the_final_model_has_seen_the_validation_rows(tmp_path: Path) -> None:
    write_table(tmp_path)
    plain, final = train(tmp_path, "plain"), train(tmp_path, "final", "refit: true")
    before, after = load_model(plain.best), load_model(final.best)
    assert torch.equal(before.theta, before.selected)
    assert torch.equal(after.selected, before.theta)
    assert not torch.equal(after.theta, before.theta)
    scores, again = read_summary(plain), read_summary(final)
    for split in ("train", "validation"):  # by the parameters that had not seen them
        assert again.scores[split].scores == scores.scores[split].scores
    assert again.scores["test"].scores != scores.scores["test"].scores
    assert again.interval == scores.interval or again.interval is not None
    assert again.final_epochs is not None
    assert 1 <= again.final_epochs <= EPOCHS
    assert plain.metrics.read_bytes() == final.metrics.read_bytes()
    assert not plain.refit.exists()


def test_the_final_model_is_that_of_one_training_on_both(tmp_path: Path) -> None:
    """Without early stopping or a choice of epochs, an ordinary run of the same rows agrees."""
    from ml2021.config.loading import load_config
    from ml2021.data.load import load_training_data
    from ml2021.engine.fit import fit
    from ml2021.engine.state import start
    from ml2021.training.trainer import build_trainer

    write_table(tmp_path)
    final = train(tmp_path, "final", "refit: true")
    loaded = load_config(final.resolved_config)
    trainer = build_trainer(load_training_data(loaded), "model", None, 1)
    assert trainer.validation is not None
    both = replace(
        trainer.train,
        inputs=torch.cat([trainer.train.inputs, trainer.validation.inputs]),
        targets=torch.cat([trainer.train.targets, trainer.validation.targets]),
    )
    epochs = read_summary(final).final_epochs
    hparams = replace(trainer.hparams, last_epoch=epochs, patience=None)
    state = start(trainer.network, hparams, len(both), both.inputs)
    for _ in fit(trainer.network, hparams, state, both, None):
        pass
    assert torch.equal(load_model(final.best).theta, state.theta)


@pytest.mark.parametrize("kept", ["nothing", "the first stage", "both stages"])
def test_a_run_killed_between_the_stages_resumes_to_the_same_bits(
    tmp_path: Path, kept: str
) -> None:
    write_table(tmp_path, classes=True)
    lines = ("refit: true", "calibrate: true")
    whole, killed = train(tmp_path, "whole", *lines), train(tmp_path, "killed", *lines)
    killed.summary.unlink()
    killed.best.unlink()
    if kept != "both stages":
        killed.refit.unlink()
    if kept == "nothing":
        killed.last.unlink()
    done = run(tmp_path, "train", "--resume", "killed")
    assert done.code == 0, done.stderr
    assert killed.best.read_bytes() == whole.best.read_bytes()
    expected, found = read_summary(whole), read_summary(killed)
    assert found.scores == expected.scores
    assert (found.final_epochs, found.temperature) == (expected.final_epochs, expected.temperature)


def test_more_epochs_make_another_final_model(tmp_path: Path) -> None:
    """What is left of the final model of fewer epochs has no part in it."""
    write_table(tmp_path)
    kept, cleared = (train(tmp_path, name, "refit: true") for name in ("kept", "cleared"))
    before = kept.best.read_bytes()
    cleared.refit.unlink()
    for each in (kept, cleared):
        more = f"train.epochs={3 * EPOCHS}"
        done = run(tmp_path, "train", "--resume", each.path.name, "--set", more)
        assert done.code == 0, done.stderr
    assert kept.best.read_bytes() == cleared.best.read_bytes() != before


def test_calibration_divides_the_outputs(tmp_path: Path) -> None:
    write_table(tmp_path, classes=True)
    found = train(tmp_path, "c", "calibrate: true")
    model, temperature = load_model(found.best), read_summary(found).temperature
    assert temperature is not None
    assert temperature != 1
    inputs = np.array([[0.5, -1.0, 1.0]], np.float32)
    odds = [
        [np.log(p[0, 0] / p[0, 1]) for p in each.member_predictions(inputs)]
        for each in (model.of_split("validation"), model)
    ]
    np.testing.assert_allclose(odds[0], np.array(odds[1]) * temperature, rtol=1e-5)


def test_folds_calibrate_by_the_rows_that_they_held_out(tmp_path: Path) -> None:
    write_table(tmp_path, classes=True)
    (tmp_path / "k.yaml").write_text(
        "data: {path: t.csv, target: y, split: {method: kfold, folds: 3}}\n"
        "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 4, calibrate: true}\n"
    )
    done = run(tmp_path, "train", "--config", "k.yaml", "--run-dir", "k")
    assert done.code == 0, done.stderr
    assert read_summary(RunDirectory(tmp_path / "k")).temperature is not None


def test_a_temperature_is_the_one_that_the_labels_were_drawn_by() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 3)) * 2
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = (rng.random(len(true))[:, None] > true.cumsum(axis=1)).sum(axis=1)
    for temperature in (0.5, 1.0, 2.5):
        stated = np.exp(logits * temperature)
        stated /= stated.sum(axis=1, keepdims=True)
        assert fit_temperature([stated], classes) == pytest.approx(temperature, rel=0.05)


def test_a_handful_of_rows_chooses_no_extreme_temperature() -> None:
    sure = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert 0.3 < fit_temperature([sure], np.array([0, 1, 0])) < 1
    assert 1 < fit_temperature([sure], np.array([1, 0, 1])) < 4
