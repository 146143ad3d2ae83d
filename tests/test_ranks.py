"""Training on several ranks, as torchrun starts them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import mutants
from tests.commands import contents, read_rows, run_well, table, write_rows
from tests.forks import ROOT
from tests.ranks_faults import END_SECONDS, launched, listening, run_on_ranks
from tests.ranks_group import CASES_OF, FEW

NEAR = 1e-9


@pytest.fixture(scope="module")
def differences() -> dict[str, Any]:
    """How far trainings on several ranks are from those on one, as `tests.ranks_group` says."""
    return differences_of("few")


def differences_of(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.ranks_group", *words]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_some_ranks_agree_with_one_to_rounding(differences: dict[str, Any]) -> None:
    for size in CASES_OF:
        found = differences["right"][str(size)]
        assert set(found) == set(FEW)
        assert max(found.values()) < NEAR, found


@pytest.mark.soak
def test_ranks_agree_with_one_to_rounding() -> None:
    differences = differences_of()
    for size, cases in CASES_OF.items():
        found = differences["right"][str(size)]
        assert set(found) == set(cases)
        assert max(found.values()) < NEAR, found


@pytest.mark.parametrize("mutant", mutants.names("test_ranks"))
def test_broken_ranks_are_noticed(mutant: str, differences: dict[str, Any]) -> None:
    found = differences["broken"][mutant]
    assert found is None or max(found.values()) > NEAR


CONFIG = """preset: fast
data: {path: t.csv, target: y, exclude: [id, kind, p*]}
model: {type: relu_stack, widths: [8]}
train: {epochs: EPOCHS, batch_size: 16, save_seconds: 1e-9, early_stopping: null}
"""
"""Saved at every chance, so that a kill may come anywhere."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table, a config, and the run of it on two ranks that nobody killed."""
    folder = tmp_path_factory.mktemp("ranks")
    write_rows(folder / "t.csv", table(200))
    (folder / "c.yaml").write_text(CONFIG.replace("EPOCHS", "60"))
    code, text = run_on_ranks(folder, *TRAIN, "--run-dir", "whole")
    assert code == 0, text
    assert "2 ranks: an update takes" in text
    return folder


TRAIN = ("train", "--config", "c.yaml", "--no-report")


def parameters(run: Path) -> dict[str, str]:
    """Return the digests of what training left: both checkpoints and the metrics."""
    kept = ("best.safetensors", "last.safetensors", "metrics.csv")
    return {name: value for name, value in contents(run).items() if name.endswith(kept)}


def kill_and_resume(folder: Path, seed: int, whole: str = "whole", *changes: str) -> None:
    """Kill a rank at a random time; the others end, and a resume ends like the whole run."""
    draw = random.Random(seed)
    run = folder / f"killed-{whole}-{seed}"
    first = "folds-1" if changes else "last"
    with launched(folder, *TRAIN, "--run-dir", run.name, *changes) as command:
        command.wait_for(run / f"checkpoints/{first}.safetensors")
        time.sleep(draw.uniform(0, 0.5))
        os.kill(draw.choice(command.ranks), signal.SIGKILL)
        assert command.seconds_to_end(command.ranks) < END_SECONDS
    code, text = run_on_ranks(folder, "train", "--resume", run.name, "--no-report")
    assert code == 0, text
    assert "bit for bit" not in text
    assert parameters(run) == parameters(folder / whole)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100))
def test_ranks_killed_at_random_times(place: Path, seed: int) -> None:
    kill_and_resume(place, seed)


FOLDS = (
    *("--set", "data.split.method=kfold", "--set", "data.split.folds=4"),
    *("--set", "train.members=3", "--set", "train.early_stopping.patience=20"),
)


@pytest.fixture(scope="module")
def folds(place: Path) -> Path:
    """Return the run of folds and members on two ranks, of which each trains some."""
    code, text = run_on_ranks(place, *TRAIN, "--run-dir", "folds", *FOLDS)
    assert code == 0, text
    assert "each rank trains some of the folds" in text
    return place / "folds"


@pytest.mark.soak
def test_folds_on_ranks_agree_with_those_of_one(place: Path, folds: Path) -> None:
    run_well(place, *TRAIN, "--run-dir", "folds-alone", *FOLDS)
    ours, alone = (read_rows(run / "folds.csv") for run in (folds, place / "folds-alone"))
    for one, other in zip(ours, alone, strict=True):
        assert {k: float(v) for k, v in one.items()} == pytest.approx(
            {k: float(v) for k, v in other.items()}, rel=1e-3
        )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_ranks_killed_while_folds_are_trained(folds: Path, seed: int) -> None:
    kill_and_resume(folds.parent, seed, "folds", *FOLDS)


def test_a_data_error_is_printed_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("EPOCHS", "1"))
    code, text = run_on_ranks(tmp_path, *TRAIN)
    assert code != 0
    assert text.count("t.csv: no such file") == 1
    assert "exitcode  : 3" in text


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["stopped", "launcher killed", "interrupted"])
def test_all_end_after_a_fault(place: Path, fault: str) -> None:
    (place / "long.yaml").write_text(CONFIG.replace("EPOCHS", "100000"))
    run = place / fault.replace(" ", "-")
    with launched(place, "train", "--config", "long.yaml", "--run-dir", run.name) as command:
        command.wait_for(run / "checkpoints/last.safetensors")
        heard = listening(command.ranks[0]) | listening(command.ranks[1])
        assert heard
        assert heard <= {"0100007F", "00000000000000000000000001000000"}  # the loopback
        if fault == "stopped":
            os.kill(command.ranks[1], signal.SIGSTOP)
            assert command.seconds_to_end(command.ranks[:1]) < END_SECONDS
            assert "rank 1 does not respond" in command.text()
        elif fault == "interrupted":
            os.kill(command.ranks[1], signal.SIGINT)
            assert command.seconds_to_end(command.ranks) < END_SECONDS
            assert "progress is saved" in command.text()
        else:
            command.launcher.kill()
            assert command.seconds_to_end(command.ranks) < END_SECONDS
            assert "torchrun has ended" in command.text()


@pytest.mark.soak
def test_another_number_of_ranks_resumes_with_a_note(place: Path) -> None:
    run = place / "fewer"
    shutil.copytree(place / "whole", run)
    code, text = run_on_ranks(
        place, "train", "--resume", "fewer", "--set", "train.epochs=65", "--no-report", ranks=3
    )
    assert code == 0, text
    assert "resuming on 3 ranks, but the run started on 2" in text


@pytest.mark.soak
def test_a_sweep_on_ranks_is_that_of_one_machine(place: Path) -> None:
    grid = "sweep: {grid: {model.widths: [[4], [8]], seed: [0, 1]}}\n"
    (place / "s.yaml").write_text(CONFIG.replace("EPOCHS", "5") + grid)
    code, text = run_on_ranks(place, "sweep", "--config", "s.yaml", "--run-dir", "on-ranks")
    assert code == 0, text
    run_well(place, "sweep", "--config", "s.yaml", "--run-dir", "alone", "--jobs", "2")
    ours, alone = (place / name / "sweep.csv" for name in ("on-ranks", "alone"))
    assert ours.read_text() == alone.read_text()
    best = "best/checkpoints/best.safetensors"
    assert (place / "on-ranks" / best).read_bytes() == (place / "alone" / best).read_bytes()


@pytest.mark.soak
@pytest.mark.parametrize("rank", [0, 1])
def test_a_sweep_resumes_after_a_rank_was_killed(place: Path, rank: int) -> None:
    grid = "sweep: {grid: {model.widths: [[3], [4], [5], [6], [7], [8]]}}\n"  # a pack each
    (place / "g.yaml").write_text(CONFIG.replace("EPOCHS", "600") + grid)
    run_well(place, "sweep", "--config", "g.yaml", "--run-dir", f"unhurt-{rank}", "--jobs", "2")
    swept = place / f"hurt-{rank}"
    with launched(place, "sweep", "--config", "g.yaml", "--run-dir", swept.name) as command:
        command.wait_for(swept / "results.jsonl")
        while not (swept / "results.jsonl").read_text():
            time.sleep(0.02)
        os.kill(command.ranks[rank], signal.SIGKILL)
        assert command.seconds_to_end(command.ranks) < END_SECONDS
    code, text = run_on_ranks(place, "sweep", "--resume", swept.name)
    assert code == 0, text
    assert "of 6 runs missing" in text
    table_of = [(folder / "sweep.csv").read_text() for folder in (swept, place / f"unhurt-{rank}")]
    assert table_of[0] == table_of[1]
