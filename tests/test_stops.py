"""A run that is stopped anywhere, any number of times, and resumed ends like an uninterrupted one.

Together the configs cover every part of the state: each optimizer's memory, the schedule, the
losses of the current epoch, the best epoch so far and the remaining patience.
"""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml2021.runs.checkpoints import load_checkpoint
from tests import mutants
from tests.commands import read_rows
from tests.conftest import Record
from tests.finishing import (
    RESUME,
    RUN,
    SETTINGS,
    TRAIN,
    WHOLE,
    begin_again,
    different,
    finish,
    prepare,
    scratch,
)
from tests.forks import Forks, Injection

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
DATA = "path: t.csv, exclude: [id, colour, p*]"
TRAINING = "epochs: 3, batch_size: 8, save_seconds: 1e-9"
CONFIGS = {
    "adamw": f"""preset: fast
data: {{{DATA}, target: y}}
model: {{type: relu_stack, widths: [4, 3]}}
optimizer: {{type: adamw, lr: 0.05}}
train: {{{TRAINING}, clip_norm: 0.5}}""",
    "adam": f"""preset: fast
data: {{{DATA}, target: kind}}
model: {{type: sigmoid_sum, units: 3}}
optimizer: {{type: adam, lr: 0.05, weight_decay: 0.01}}
train: {{{TRAINING}, schedule: {{type: step, every: 1, factor: 0.5}}}}""",
    "sgd": f"""preset: fast
data: {{{DATA}, target: y, split: {{validation: 0.0}}}}
model: linear
optimizer: {{type: sgd, lr: 0.02, momentum: 0.9, nesterov: true}}
train: {{{TRAINING}, schedule: constant}}""",
    "adagrad": f"""preset: fast
data: {{{DATA}, target: [a, b, y]}}
model: {{type: sigmoid_sum, units: 4, activation: hard_sigmoid}}
loss: mae
optimizer: {{type: adagrad, lr: 0.1}}
train: {{{TRAINING}}}""",
    "rmsprop": f"""preset: fast
data: {{{DATA}, target: y}}
model: {{type: relu_stack, widths: [5]}}
loss: huber
optimizer: {{type: rmsprop, lr: 0.02, momentum: 0.5}}
train: {{epochs: 6, batch_size: full, save_seconds: 1e-9}}""",
    "early stopping": f"""preset: fast
data: {{{DATA}, target: y}}
model: {{type: relu_stack, widths: [8]}}
optimizer: {{type: adam, lr: 0.3}}
train: {{epochs: 40, batch_size: 16, save_seconds: 1e-9, early_stopping: {{patience: 4}}}}""",
    "series": f"""preset: fast
data: {{{DATA}, target: y, features: [], lags: 5}}
model: {{type: relu_stack, widths: [4]}}
train: {{{TRAINING}}}""",
}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


@pytest.fixture(scope="module")
def folders(forks: Forks) -> Iterator[dict[str, Path]]:
    with scratch() as place:
        folders = {name: place / name.replace(" ", "-") for name in CONFIGS}
        for name, folder in folders.items():
            folder.mkdir()
            prepare(folder, forks, CONFIGS[name])
        yield folders


def stop_until_it_ends(
    forks: Forks, folder: Path, choose: random.Random, mutant: str | None = None
) -> tuple[list[str], list[tuple[int, int]]]:
    """Train and resume until the run ends; return what is wrong, and the stops.

    An update or two after each start it is killed while it writes a checkpoint, or gets a SIGTERM.
    A stop is the epoch and the batch of the last checkpoint.
    """
    begin_again(folder)
    stops: list[tuple[int, int]] = []
    command = TRAIN
    last = folder / RUN / "checkpoints" / "last.safetensors"
    while True:
        # Two files are renamed before a resume trains, four before a new run does, each synced
        # twice; a save syncs metrics.csv and renames one checkpoint or both.
        before = 2 if command == RESUME else 4
        if choose.random() < 0.5:
            inject = Injection("rename", "signal=SIGKILL", before + choose.randint(2, 3))
        else:
            inject = Injection("fsync", "signal=SIGTERM", 2 * before + choose.randint(2, 5))
        outcome, _ = forks.trace(
            folder, *command, calls=inject.syscall, inject=inject, mutant=mutant, settings=SETTINGS
        )
        if outcome.code == 0:
            return different(folder / RUN, folder / WHOLE), stops
        if outcome.code not in (-9, 143):
            return [f"{outcome}"], stops
        if last.exists():
            described = load_checkpoint(last).description
            stops.append((described.epoch, described.batch))
            command = RESUME
            if stops[-3:] == [stops[-1]] * 3:  # only scores and report are left
                return finish(forks, folder, mutant), stops
        else:
            begin_again(folder)
        if len(stops) > 40:
            return ["too many stops"], stops


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_stopped_often_ends_like_an_uninterrupted_one(
    forks: Forks, folders: dict[str, Path], name: str
) -> None:
    wrong, stops = stop_until_it_ends(forks, folders[name], random.Random(name))
    assert wrong == []
    assert len(stops) >= 3
    if name not in ("rmsprop", "series", "early stopping"):  # few updates per epoch
        within = [stop for stop in stops if stop[1]]
        assert len({epoch for epoch, _ in within}) < len(within), "several stops in one epoch"


@pytest.mark.parametrize("mutant", mutants.names("test_stops"))
def test_a_mutant_is_caught(forks: Forks, folders: dict[str, Path], mutant: str) -> None:
    assert any(
        stop_until_it_ends(forks, folders[name], random.Random(name), mutant)[0]
        for name in ("adamw", "early stopping")
    )


def test_event_files_of_a_run_that_was_killed_twice_have_each_step_once(forks: Forks) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with scratch() as folder:
        config = CONFIGS["early stopping"].replace("epochs: 40", "epochs: 9, tensorboard: true")
        prepare(folder, forks, config)
        for first, second in [(8, 5), (13, 4)]:
            begin_again(folder)
            for command, when in [(TRAIN, first), (RESUME, second)]:
                kill = Injection("rename", "signal=SIGKILL", when)
                outcome, _ = forks.trace(
                    folder, *command, calls="rename", inject=kill, settings=SETTINGS
                )
                assert outcome.code == -9
            assert all("tensorboard" in name for name in finish(forks, folder))
            rows = read_rows(folder / RUN / "metrics.csv")
            events = accumulator.EventAccumulator(str(folder / RUN / "tensorboard")).Reload()
            assert set(events.Tags()["scalars"]) == rows[0].keys() - {"epoch"}
            for name in events.Tags()["scalars"]:
                found = [(event.step, event.value) for event in events.Scalars(name)]
                kept = [(int(row["epoch"]), float(np.float32(row[name]))) for row in rows]
                assert found == kept
            assert len(rows) > 5


REAL = f"""preset: fast
data: {{{DATA}, target: y}}
model: {{type: relu_stack, widths: [16, 16]}}
train: {{epochs: 15, batch_size: 16, save_seconds: 0.02, early_stopping: null}}
"""


@pytest.mark.parametrize(
    "count", [4, pytest.param(100, marks=pytest.mark.soak)], ids=["some", "a hundred"]
)
def test_kills_at_random_times_lose_nothing(forks: Forks, record: Record, count: int) -> None:
    """Runs of 1,000 different rows, shuffled, each killed once or several times."""
    with scratch() as folder:
        prepare(folder, forks, REAL, rows=1_000)
        kill_at_random(forks, folder, record, count)


def kill_at_random(forks: Forks, folder: Path, record: Record, count: int) -> None:
    choose = random.Random(count)
    settings = {"report_seconds": 0.001}
    begun = time.monotonic()
    assert forks.run(folder, *TRAIN, settings=settings).code == 0
    seconds = time.monotonic() - begun
    identical = done = kills = 0
    while done < count:
        begin_again(folder)
        for command in (TRAIN, RESUME, RESUME)[: choose.randint(1, 3)]:
            after = choose.uniform(0.05, 1.0) * seconds
            outcome = forks.run(folder, *command, settings=settings, kill_after=after)
            kills += outcome.code == -9
            if not (folder / RUN / "config.resolved.yaml").exists():
                break
        done += 1
        identical += finish(forks, folder) == []
    record("kills at random times", f"{identical} of {count} runs identical, {kills} kills")
    assert identical == count
    assert kills >= 0.5 * count
