"""Event files for TensorBoard: what metrics.csv has, each step once, whatever became of the run."""

import contextlib
import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml2021.errors import ResourceError
from ml2021.runs.directory import RunDirectory, event_files, foreign_entries, remove_run
from ml2021.runs.tensorboard import EventWriter
from ml2021.sweeps.directory import SweepDirectory, read_plan
from ml2021.sweeps.pool import PackTask
from ml2021.sweeps.results import hyperparameters as hyperparameters_of
from ml2021.sweeps.worker import Worker
from tests import commands
from tests.commands import read_rows, refusal, run_well
from tests.ranks_group import as_ranks

if importlib.util.find_spec("tensorboard") is None:
    pytest.skip("tensorboard is not installed", allow_module_level=True)

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

REST = "preset: fast\nmodel: {type: relu_stack, widths: [4]}\n"
NUMBER = REST + "data: {path: t.csv, target: y, exclude: [id, kind, p*]}\n"
CONFIGS = {
    "number": NUMBER + "train: {epochs: 3, tensorboard: true}\n",
    "ensemble": NUMBER + "train: {epochs: 3, members: 3, refit: true, tensorboard: true}\n",
    "folds": NUMBER.replace("p*]", "p*], split: {method: kfold, folds: 3}")
    + "train: {epochs: 3, tensorboard: true}\n",
    "untested": NUMBER.replace("p*]", "p*], split: {validation: 0.0}")
    + "train: {epochs: 3, clip_norm: 0.01, tensorboard: true}\n",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    commands.write_rows(folder / "t.csv", commands.table(60))
    return commands.train_runs(folder, CONFIGS)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return every scalar of the event files, a value for each step that is there."""
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def of_metrics(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what metrics.csv has, as event files hold it: in float32, without empty cells."""
    rows = read_rows(run / "metrics.csv")
    found = {
        name: [(int(row["epoch"]), float(np.float32(row[name]))) for row in rows if row[name]]
        for name in rows[0]
        if name != "epoch"
    }
    return {name: values for name, values in found.items() if values}


@pytest.mark.parametrize("name", CONFIGS)
def test_event_files_are_metrics_csv(kept: Path, name: str) -> None:
    found = scalars(kept / name / "tensorboard")
    assert found == of_metrics(kept / name)
    assert len(found["train_loss"]) >= 1
    assert {"lr", "gradient_norm"} <= found.keys()
    assert ("members" in found) == (name == "ensemble")
    assert ("validation_rmse" in found) == (name in ("number", "ensemble"))
    if name == "untested":  # as the optimizer took it
        assert max(norm for _, norm in found["gradient_norm"]) == pytest.approx(0.01, rel=1e-4)


def test_nothing_else_changes(kept: Path) -> None:
    text = CONFIGS["ensemble"].replace(", tensorboard: true", "")
    commands.train_runs(kept, {"off": text})
    with_it, without = kept / "ensemble", kept / "off"
    assert not (without / "tensorboard").exists()
    columns = set(of_metrics(with_it)) - set(of_metrics(without))
    assert columns == {"gradient_norm"}
    assert {k: v for k, v in of_metrics(with_it).items() if k not in columns} == of_metrics(without)
    words = ("predict", "t.csv", "--output", "-", "--run")
    assert run_well(kept, *words, "ensemble").stdout == run_well(kept, *words, "off").stdout


def test_a_resumed_run_has_each_step_once(kept: Path) -> None:
    run = kept / "number"
    (old,) = event_files(run / "tensorboard")
    old.write_bytes(old.read_bytes()[:-5])  # as a kill may leave it
    (run / "tensorboard" / "notes.txt").write_text("of the user")
    run_well(kept, "train", "--quiet", "--resume", "number", "--set", "train.epochs=5")
    assert not old.exists()
    found = scalars(run / "tensorboard")
    assert found == of_metrics(run)
    assert [step for step, _ in found["train_loss"]] == [1, 2, 3, 4, 5]
    assert foreign_entries(RunDirectory(run)) == [run / "tensorboard" / "notes.txt"]
    commands.train_runs(kept, {"again": CONFIGS["number"]})
    remove_run(RunDirectory(kept / "again"))
    assert not (kept / "again").exists()


def test_a_link_in_place_of_events_is_not_followed(kept: Path) -> None:
    commands.train_runs(kept, {"linked": CONFIGS["number"]})
    outside = kept / "outside"
    outside.mkdir()
    (outside / "events.out.tfevents.1.host").write_text("of the user")
    (old,) = event_files(kept / "linked" / "tensorboard")
    words = ("train", "--quiet", "--resume", "linked", "--set", "train.epochs=5")
    old.unlink()
    old.symlink_to(outside / "events.out.tfevents.1.host")
    code, line = refusal(kept, *words)
    assert (code, "points outside the run directory" in line) == (4, True)
    old.unlink()
    old.parent.rmdir()
    old.parent.symlink_to(outside)
    code, line = refusal(kept, *words)
    assert (code, "points outside the run directory" in line) == (4, True)
    assert [path.read_text() for path in outside.iterdir()] == ["of the user"]


def test_a_disk_that_fails_is_told_in_a_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hook, folder = threading.excepthook, tmp_path / "events"
    events = EventWriter(folder, [{"epoch": 1, "lr": 0.1}])
    folder.rename(tmp_path / "gone")  # at once: the writer's own thread may just write
    with contextlib.suppress(ResourceError):  # or it fails at once
        events.append({"epoch": 2, "lr": 0.1})
    with pytest.raises(ResourceError, match="events: cannot be written"):
        events.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="file/events: cannot be written"):
        EventWriter(tmp_path / "file" / "events", [])
    assert capfd.readouterr().err == ""  # the writer's own thread has failed, too
    assert threading.excepthook is hook


def hyperparameters(folder: Path) -> dict[str, Any]:
    """Return the hyperparameters that the HPARAMS tab of TensorBoard reads of a run."""
    events = EventAccumulator(str(folder)).Reload()
    data = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
    values = HParamsPluginData.FromString(data.content).session_start_info.hparams
    kinds = {name: value.WhichOneof("kind") for name, value in values.items()}
    return {name: getattr(values[name], kind) for name, kind in kinds.items()}


def test_a_sweep_shows_its_runs_by_their_hyperparameters(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CONFIGS["number"] + (
        "sweep:\n  runs: [{optimizer.lr: 0.01}, {model.widths: [3]}, {optimizer.lr: 1.0e+9}]\n"
    )
    (kept / "s.yaml").write_text(text)
    words = ("sweep", "--quiet", "--jobs", "1", "--config", "s.yaml", "--run-dir", "swept")
    run_well(kept, *words)
    swept = kept / "swept"
    folders = [swept / "tensorboard" / str(run) for run in (1, 2, 3)]
    assert [hyperparameters(folder) for folder in folders] == [
        {"optimizer.lr": 0.01, "model.widths": "[4]"},
        {"optimizer.lr": 0.002, "model.widths": "[3]"},
        {"optimizer.lr": 1e9, "model.widths": "[4]"},
    ]
    best = int((swept / "best" / "sweep_run.json").read_text().split(":")[1].strip(" }\n"))
    found = scalars(folders[best - 1])
    assert {k: v for k, v in found.items() if "/" not in k} == of_metrics(swept / "best")
    row = read_rows(swept / "sweep.csv")[best - 1]
    assert found["scores/test_rmse"] == [(0, float(np.float32(row["test_rmse"])))]
    assert np.isnan(scalars(folders[2])["scores/test_rmse"][0][1])  # it diverged
    run_again(kept, swept, best)
    assert scalars(folders[best - 1]) == found
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, line = refusal(kept, "sweep", "--resume", "swept")
    assert (code, "pip install 'ml2021[tensorboard]'" in line) == (2, True)


def test_event_files_of_other_ranks_arrive(kept: Path) -> None:
    sweep = "sweep: {grid: {model.widths: [[3], [4], [5], [6]]}}\n"  # each is a pack
    (kept / "r.yaml").write_text(CONFIGS["number"] + sweep)
    trained = []
    for size in (1, 2):
        with as_ranks(size):
            run_well(kept, "sweep", "--config", "r.yaml", "--run-dir", f"on-{size}")
        trained.append(contents_of_sweep(kept / f"on-{size}"))
    assert trained[0] == trained[1]


def contents_of_sweep(sweep: Path) -> list[object]:
    """Return its table, the parameters of its best run, and its event files as they were made."""
    events = [sweep / "tensorboard" / str(run) for run in range(1, 5)]
    assert all(len(list(folder.iterdir())) == len(event_files(folder)) == 2 for folder in events)
    return [
        (sweep / "sweep.csv").read_text(),
        (sweep / "best/checkpoints/best.safetensors").read_bytes(),
        *((scalars(folder), hyperparameters(folder)) for folder in events),
    ]


def run_again(folder: Path, sweep: Path, run: int) -> None:
    """Train a run of a sweep again, as one that was killed before its result was kept."""
    plan = read_plan(SweepDirectory(sweep))
    texts, settings = plan.texts, hyperparameters_of(plan.settings, plan.configs)
    own = {run: texts[run - 1]}, texts[0], 1, 1.0, ["mse"], (-1.0, 1), {run: settings[run - 1]}
    with contextlib.chdir(folder):
        Worker(lambda reply: None).train(PackTask(str(sweep), *own))


@pytest.mark.parametrize("words", [("train",), ("check",), ("sweep",), ("train", "--resume")])
def test_a_missing_package_is_named_before_the_table_is_read(
    kept: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (kept / "c.yaml").write_text(CONFIGS["number"].replace("t.csv", "u.csv"))
    (kept / "u.csv").write_text("id,a,kind,y\n1,2\n")
    if words == ("sweep",):
        (kept / "c.yaml").write_text((kept / "c.yaml").read_text() + "sweep: {grid: {seed: [0]}}\n")
    named = ("folds",) if "--resume" in words else ("--config", "c.yaml")
    code, line = refusal(kept, *words, *named)
    assert code == 2
    assert "train.tensorboard" in line
    assert "pip install 'ml2021[tensorboard]'" in line
