"""The command `sweep`: what it trains, saves and survives."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from ml2021.config.loading import load_config
from ml2021.sweeps.search_space import load_sweep
from tests.commands import (
    PROGRAM,
    Rows,
    contents,
    environment,
    read_rows,
    refusal,
    run,
    run_well,
    table,
    write_rows,
)
from tests.started import Started

CONFIG = """\
data: {path: t.csv, target: y, features: [a, b, colour]}
model: {type: relu_stack, widths: [8]}
train: {epochs: 30, early_stopping: {patience: 5}}
device: cpu
sweep:
  grid: {optimizer.lr: [0.001, 0.01], model.widths: [[8], [8, 8]], seed: [0, 1]}
"""
METRICS = ("mae", "rmse", "r2")


def write_config(folder: Path, text: str) -> None:
    write_rows(folder / "t.csv", table(120))
    (folder / "c.yaml").write_text(text)


def sweep_rows(path: Path) -> Rows:
    return read_rows(path / "sweep.csv")


def copy_of(sweep: Path, path: Path) -> Path:
    shutil.copytree(sweep, path)
    return path


def assert_same_runs(sweep: Path, other: Path) -> None:
    """Packed otherwise, a run is the same but for the last digits of its float32 numbers."""
    assert {path.name for path in sweep.iterdir()} == {path.name for path in other.iterdir()}
    for row, again in zip(sweep_rows(sweep), sweep_rows(other), strict=True):
        assert row.keys() == again.keys()
        for key, value in row.items():
            if key.partition("_")[2] in METRICS:
                assert float(value) == pytest.approx(float(again[key]), rel=1e-3, abs=1e-3)
            else:
                assert value == again[key]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sweep of CONFIG, made by two workers."""
    folder = tmp_path_factory.mktemp("sweep")
    write_config(folder, CONFIG)
    outcome = run_well(folder, "sweep", "--config", "c.yaml", "--jobs", 2)
    assert outcome.stdout == "runs/c-sweep-1\n"
    (folder / "stderr.txt").write_text(outcome.stderr)
    return folder


@pytest.fixture
def sweep_dir(swept: Path) -> Path:
    return swept / "runs" / "c-sweep-1"


def test_the_table_has_every_run_in_order(sweep_dir: Path) -> None:
    rows = sweep_rows(sweep_dir)
    assert [row["run"] for row in rows] == [str(n) for n in range(1, 9)]
    keys = ("optimizer.lr", "model.widths", "seed")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        (lr, widths, seed)
        for lr in ("0.001", "0.01")
        for widths in ("[8]", "[8, 8]")
        for seed in ("0", "1")
    ]
    assert {row["status"] for row in rows} == {"done"}
    for row in rows:
        inputs = 2 + 3  # two numbers, three colours
        shallow = (inputs + 1) * 8 + 9
        assert int(row["parameters"]) == (shallow if row["model.widths"] == "[8]" else shallow + 72)
        assert 1 <= int(row["best_epoch"]) <= int(row["epochs"]) <= 30
        for split in ("train", "validation", "test"):
            assert all(row[f"{split}_{metric}"] for metric in METRICS)


def test_a_run_of_the_sweep_is_the_run_alone(swept: Path, sweep_dir: Path) -> None:
    """The same config by `train`: float32, so the scores agree to a tolerance."""
    row = sweep_rows(sweep_dir)[5]
    run_well(
        swept,
        *("train", "--config", "c.yaml", "--quiet", "--run-dir", "alone", "--set", "sweep=null"),
        *("--set", "optimizer.lr=0.01", "--set", "model.widths=[8]", "--set", "seed=1"),
    )
    summary = json.loads((swept / "alone" / "summary.json").read_text())
    assert row["epochs"] == str(summary["epochs"])
    assert row["best_epoch"] == str(summary["best_epoch"])
    for split, evaluation in summary["scores"].items():
        for metric, score in evaluation["scores"].items():
            assert float(row[f"{split}_{metric}"]) == pytest.approx(score, rel=1e-3)


def test_packed_otherwise_the_table_is_the_same(swept: Path, sweep_dir: Path) -> None:
    run_well(swept, "sweep", "--config", "c.yaml", "--jobs", 1, "--quiet")
    assert_same_runs(sweep_dir, swept / "runs" / "c-sweep-2")


def test_the_best_is_an_ordinary_run(swept: Path, sweep_dir: Path) -> None:
    rows = sweep_rows(sweep_dir)
    best = min(rows, key=lambda row: float(row["validation_rmse"]))
    summary = json.loads((sweep_dir / "best" / "summary.json").read_text())
    for split, evaluation in summary["scores"].items():
        for metric, score in evaluation["scores"].items():
            assert score == float(best[f"{split}_{metric}"])
    outcome = run_well(swept, "evaluate", "--run", sweep_dir / "best", "--json")
    for metric, score in json.loads(outcome.stdout)["scores"].items():
        assert score == pytest.approx(float(best[f"test_{metric}"]), rel=1e-5)
    metrics = read_rows(sweep_dir / "best" / "metrics.csv")
    assert len(metrics) == int(best["epochs"])
    at_best = metrics[int(best["best_epoch"]) - 1]
    assert at_best["validation_loss"] == min((m["validation_loss"] for m in metrics), key=float)
    assert float(at_best["validation_mae"]) == pytest.approx(float(best["validation_mae"]))
    run_well(swept, "predict", "t.csv", "--run", sweep_dir, "--output", "p.csv")
    assert len(read_rows(swept / "p.csv")) == 120
    before = contents(sweep_dir)
    for command, path in (("train", sweep_dir / "best"), ("sweep", sweep_dir)):
        assert "nothing to do" in run_well(swept, command, "--resume", path).stderr
    assert contents(sweep_dir) == before
    config = (sweep_dir / "best" / "config.yaml").read_text()
    assert "sweep:" not in config
    assert f"lr: {best['optimizer.lr']}" in config


def test_the_best_can_be_trained_on(swept: Path, sweep_dir: Path, tmp_path: Path) -> None:
    """Its last checkpoint holds all of the member, and nothing of the others."""
    overrides = ["--set", "train.early_stopping=null", "--set", "train.epochs=3"]
    run_well(swept, "sweep", "--config", "c.yaml", "--run-dir", tmp_path / "s", *overrides)
    run_well(swept, "train", "--resume", tmp_path / "s" / "best", "--set", "train.epochs=6")
    assert len(read_rows(tmp_path / "s" / "best" / "metrics.csv")) == 6


def test_it_describes_the_sweep_once(swept: Path) -> None:
    stderr = (swept / "stderr.txt").read_text()
    for text in (
        "8 runs in 4 packs, by 2 workers of 1 thread",
        "regression of y: rows 84 train, 12 validation, 24 test",
        "standardised: a, b",
        "RMSE validation",
        "Best on validation: run",
    ):
        assert stderr.count(text) == 1
    assert "±" in stderr


def test_classes_shapes_and_runs_that_diverge(tmp_path: Path) -> None:
    """One diverges within a pack, the others continue; data and shapes differ between packs."""
    write_config(
        tmp_path,
        "data: {path: t.csv, target: kind, features: [a, b, colour]}\n"
        "train: {epochs: 4}\n"
        "device: cpu\n"
        "sweep:\n"
        "  runs: [{optimizer: {type: sgd, lr: 0.1}}, {optimizer: {type: sgd, lr: 1e300}}]\n"
        "  grid: {data.split.seed: [0, 1], model: [linear, {widths: [4]}]}\n",
    )
    outcome = run_well(tmp_path, "sweep", "--config", "c.yaml", "--run-dir", "s")
    rows = sweep_rows(tmp_path / "s")
    assert len(rows) == 8
    for row in rows:
        is_wild = "1.0e+300" in row["optimizer"]
        assert row["status"] == ("diverged" if is_wild else "done")
        assert (row["validation_accuracy"] == "") == is_wild
    assert "4 of 8 runs diverged" in outcome.stderr
    assert "different test rows" in outcome.stderr
    best = min(rows, key=lambda row: float(row["validation_log_loss"] or "inf"))
    summary = json.loads((tmp_path / "s" / "best" / "summary.json").read_text())
    scores = summary["scores"]["validation"]["scores"]
    assert scores["log_loss"] == float(best["validation_log_loss"])


def test_resume_trains_what_is_missing(swept: Path, sweep_dir: Path, tmp_path: Path) -> None:
    """As if a crash had cut the results short within a line, and had left a half-made run."""
    folder = copy_of(sweep_dir, tmp_path / "s")
    results = (folder / "results.jsonl").read_text()
    (folder / "results.jsonl").write_text(results[: len(results) // 2])
    kept = results[: len(results) // 2].count("\n")
    (folder / "sweep.csv").unlink()
    (folder / "candidates" / ".3").mkdir(parents=True)
    outcome = run_well(swept, "sweep", "--resume", folder)
    assert f"{8 - kept} of 8 runs" in outcome.stderr
    assert_same_runs(sweep_dir, folder)
    best = (swept / "stderr.txt").read_text().split("Best on validation: ")[1].split(" (")[0]
    assert f"Best on validation: {best} " in outcome.stderr


def test_a_sweep_killed_just_before_its_end_is_resumed(
    swept: Path, sweep_dir: Path, tmp_path: Path
) -> None:
    """All results are there, but the best run is still a candidate, and the table is an old one."""
    folder = copy_of(sweep_dir, tmp_path / "s")
    run = json.loads((folder / "best" / "sweep_run.json").read_text())["run"]
    (folder / "candidates").mkdir()
    (folder / "best").rename(folder / "candidates" / str(run))
    (folder / "sweep.csv").write_text("run\n")
    run_well(swept, "sweep", "--resume", folder)
    assert_same_runs(sweep_dir, folder)


def test_a_sweep_of_other_data_is_not_resumed(swept: Path, sweep_dir: Path, tmp_path: Path) -> None:
    results = copy_of(sweep_dir, tmp_path / "s") / "results.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    changed = [line.replace('"data_sha256": "', '"data_sha256": "0') for line in lines[:-1]]
    results.write_text("".join(changed))
    code, line = refusal(swept, "sweep", "--resume", results.parent, "--quiet")
    assert code == 4
    assert "t.csv has changed" in line


LONG = """\
data: {path: t.csv, target: y, features: [a, b]}
device: cpu
sweep:
  runs: [{train.epochs: 2, seed: 1}, {train.epochs: 1000000, train.early_stopping: null}]
"""


class TwoRuns:
    """A sweep in its own process, one of whose two runs never ends."""

    def __init__(self, folder: Path) -> None:
        write_config(folder, LONG)
        self.path = folder / "s"
        options = ("--config", "c.yaml", "--jobs", 2, "--run-dir", "s")
        self.process = Started(folder, "sweep", *options)
        wait_until(lambda: bool(self.results()))

    def results(self) -> str:
        """Return the results of the runs that have ended so far."""
        path = self.path / "results.jsonl"
        return path.read_text() if path.exists() else ""

    def workers(self) -> list[int]:
        """Return the ids of the worker processes."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("is_worker", "number", "code", "words", "status"),
    [
        (False, signal.SIGINT, 130, "1 of 2 runs", "missing"),
        (True, signal.SIGKILL, 5, "killed by signal 9", "failed"),
    ],
)
def test_finished_runs_outlive_the_sweep_and_its_workers(
    tmp_path: Path, *, is_worker: bool, number: int, code: int, words: str, status: str
) -> None:
    started = TwoRuns(tmp_path)
    wait_until(lambda: len(started.workers()) == 1)  # the other one has no pack left
    workers = started.workers()
    os.kill(workers[0] if is_worker else started.process.pid, number)
    stderr = started.process.communicate(timeout=30)[1]
    assert started.process.returncode == code
    assert words in stderr
    assert [row["status"] for row in sweep_rows(started.path)] == ["done", status]
    assert (started.path / "best" / "summary.json").exists()
    wait_until(lambda: not any(map(is_alive, workers)), 10)


def test_nothing_outlives_a_sweep_that_is_killed(tmp_path: Path) -> None:
    started = TwoRuns(tmp_path)
    workers = started.workers()
    assert workers
    started.process.kill()
    started.process.communicate(timeout=30)
    wait_until(lambda: not any(map(is_alive, workers)), 10)
    assert refusal(tmp_path, "evaluate", "--run", "s")[0] == 4


@pytest.mark.soak
def test_a_sweep_killed_at_random_ends_as_one_that_was_not(swept: Path, sweep_dir: Path) -> None:
    """Each is killed and resumed until it ends; a resume packs the runs anew."""
    random = Random(0)
    begun = time.monotonic()
    run_well(swept, "sweep", "--config", "c.yaml", "--run-dir", "timed")
    seconds = time.monotonic() - begun
    kills = 0
    for number in range(10):
        path = swept / f"killed-{number}"
        begin = ["--config", "c.yaml", "--run-dir", path.name]
        while True:
            options = ["--resume", path.name] if (path / "sweep.json").exists() else begin
            process = subprocess.Popen(
                [*PROGRAM, "sweep", *options, "--no-report", "--quiet"],
                cwd=swept,
                env=environment(),
                stdout=subprocess.DEVNULL,
            )
            try:
                code = process.wait(random.uniform(0.1, 1.0) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM]))
                process.wait()
                kills += 1
            else:
                break
        assert code == 0
        assert_same_runs(sweep_dir, path)
        run_well(swept, "evaluate", "--run", path.name)
    assert kills >= 5


def test_bad_data_fails_with_its_code(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    columns = {"a": [1, 2, "x", *range(30)], "b": range(33), "y": range(33), "colour": ["r"] * 33}
    write_rows(tmp_path / "t.csv", columns)
    outcome = run(tmp_path, "sweep", "--config", "c.yaml", "--jobs", 1, "--quiet")
    assert outcome.code == 3
    assert "8 of 8 runs failed" in outcome.stderr
    assert "t.csv:4" in outcome.stderr


def test_columns_are_checked_before_a_worker_starts(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG.replace("seed: [0, 1]", "data.target: [y, yy]"))
    code, line = refusal(tmp_path, "sweep", "--config", "c.yaml")
    assert code == 2
    assert line.startswith("c.yaml:6:")
    assert "'yy'" in line
    assert not (tmp_path / "runs").exists()


def test_train_and_sweep_refuse_each_others_configs(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    code, line = refusal(tmp_path, "train", "--config", "c.yaml")
    assert code == 2
    assert line.startswith("c.yaml:6:3: ")
    assert "ml2021 sweep" in line
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x").touch()
    assert refusal(tmp_path, "sweep", "--config", "c.yaml", "--run-dir", "s")[0] == 7
    assert refusal(tmp_path, "sweep", "--resume", "nowhere")[0] == 4
    write_config(tmp_path, CONFIG[: CONFIG.index("sweep")])
    assert refusal(tmp_path, "sweep", "--config", "c.yaml")[0] == 2


def test_the_ladder_is_its_files(tmp_path: Path) -> None:
    """Each run of ladder.yaml is a config of configs/ladder/, in the order of the README."""
    configs = Path(__file__).parent.parent / "configs"
    readme = (configs.parent / "README.md").read_text()
    named = [
        line.split("configs/ladder/")[1].split(")")[0]
        for line in readme.splitlines()
        if line.startswith("| [") and "configs/ladder/" in line
    ]
    runs = [variation.loaded.config for variation in load_sweep(configs / "ladder.yaml").variations]
    assert runs == [load_config(configs / "ladder" / name).config for name in named]
    assert len(runs) == len(list((configs / "ladder").iterdir()))
