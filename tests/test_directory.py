"""Run directories: numbered, never overwritten, locked by the kernel, and small files in them."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml2021.errors import CheckpointError, ResourceError, RunInUseError
from ml2021.files import MARK
from ml2021.runs.content import read_record, write_json
from ml2021.runs.directory import RunDirectory, create_run, locked, open_run
from ml2021.runs.metrics_csv import MetricsWriter
from ml2021.runs.summary import Environment

COLUMNS = ["epoch", "lr", "train_loss", "validation_loss", "validation_auroc"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(name: str, modified: float) -> Path:
    """Make a run that has a model, its config written at that time."""
    run = create_run(None, name)
    run.resolved_config.write_text("")
    run.best.write_bytes(b"")
    os.utime(run.resolved_config, (modified, modified))
    return run.path


def test_runs_are_numbered_and_never_overwritten() -> None:
    assert create_run(None, "c").path == Path("runs/c-1")
    assert create_run(None, "c").path == Path("runs/c-2")
    assert create_run(None, "d").path == Path("runs/d-1")
    (Path("runs") / "c-9").write_text("a file takes a number too")
    assert create_run(None, "c").path == Path("runs/c-10")
    assert create_run(None, "c.x").path == Path("runs/c.x-1")
    assert create_run(None, "cyx").path == Path("runs/cyx-1")
    assert (Path("runs/c-1") / "checkpoints").is_dir()


def test_a_number_taken_between_looking_and_making_is_left_alone() -> None:
    code = "from ml2021.runs.directory import create_run\nprint(create_run(None, 'c').path)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    made = [process.communicate(timeout=60)[0].strip() for process in started]
    assert sorted(made) == [f"runs/c-{number}" for number in range(1, 7)]


def test_a_folder_is_used_only_where_it_is_empty(tmp_path: Path) -> None:
    assert create_run(tmp_path / "deep" / "run", "c").path == tmp_path / "deep" / "run"
    (tmp_path / "empty").mkdir()
    made = create_run(tmp_path / "empty", "c")
    assert made.best.parent.is_dir()
    assert create_run(Path("empty"), "c").path == Path("empty")  # no run has begun in it
    made.resolved_config.write_text("")
    with pytest.raises(RunInUseError) as caught:
        create_run(Path("empty"), "c")
    assert caught.value.lines == (
        "empty: not an empty directory; choose another --run-dir, "
        "or resume its run with --resume empty",
    )


def test_a_folder_that_cannot_be_made_is_named() -> None:
    Path("file").write_text("")
    with pytest.raises(ResourceError) as caught:
        create_run(Path("file"), "c")
    assert caught.value.lines == ("file: cannot be made (File exists)",)
    with pytest.raises(ResourceError) as caught:
        create_run(Path("file/run"), "c")
    assert caught.value.lines == ("file: cannot be made (File exists)",)


def test_the_newest_run_is_the_one_whose_config_was_written_last() -> None:
    older, newest = trained("b", 2_000), trained("a", 3_000)
    trained("c", 1_000)
    assert open_run(None).path == newest
    os.utime(older / "config.resolved.yaml", (4_000, 4_000))
    assert open_run(None).path == older


def test_a_run_without_a_model_is_not_the_newest() -> None:
    kept = trained("a", 1_000)
    diverged = create_run(None, "b")
    diverged.resolved_config.write_text("")
    assert open_run(None).path == kept
    assert open_run(diverged.path).path == diverged.path


def test_where_there_is_no_run_the_tried_path_is_named(tmp_path: Path) -> None:
    cases = {
        None: f"{tmp_path}/runs: no trained run here; name one with --run",
        Path("no"): f"{tmp_path}/no: no such run directory",
        Path(): f"{tmp_path}: not a run directory",
    }
    for path, line in cases.items():
        with pytest.raises(CheckpointError) as caught:
            open_run(path)
        assert caught.value.lines == (line,)


LOCK = """
import sys
from pathlib import Path
from ml2021.files import MARK
from ml2021.runs.directory import RunDirectory, locked

with locked(RunDirectory(Path("run"))):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def lock_holder() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_a_run_belongs_to_one_process_until_that_ends_however_it_ends() -> None:
    run = create_run(Path("run"), "c")
    with lock_holder() as owner:
        with pytest.raises(RunInUseError) as caught, locked(run):
            pass
        assert caught.value.lines == ("run: another process is training this run",)
        owner.kill()
        owner.wait(timeout=60)
        with locked(run):
            pass
    assert {entry.name for entry in run.path.iterdir()} == {"checkpoints", MARK}


def test_a_lock_is_given_back() -> None:
    run = create_run(Path("run"), "c")
    with pytest.raises(KeyError), locked(run):
        raise KeyError
    with locked(run):
        pass


def test_a_run_that_is_gone_cannot_be_locked() -> None:
    with pytest.raises(ResourceError) as caught, locked(RunDirectory(Path("gone"))):
        pass
    assert caught.value.lines == ("gone: cannot be opened (No such file or directory)",)


def metrics(epochs: int) -> MetricsWriter:
    return MetricsWriter(Path("metrics.csv"), COLUMNS, epochs)


def append(file: MetricsWriter, *epochs: int) -> None:
    for epoch in epochs:
        losses = {"train_loss": 1 / epoch, "validation_loss": 0.5, "validation_auroc": None}
        file.append({"epoch": epoch, "lr": 0.1, **losses})
    file.close()


def test_metrics_are_in_full_precision_and_empty_where_undefined() -> None:
    append(metrics(0), 1, 2, 3)
    assert Path("metrics.csv").read_text() == (
        ",".join(COLUMNS) + "\n1,0.1,1.0,0.5,\n2,0.1,0.5,0.5,\n3,0.1,0.3333333333333333,0.5,\n"
    )


def test_metrics_are_cut_back_to_the_checkpoint_and_go_on() -> None:
    append(metrics(0), 1, 2, 3, 4)
    whole = Path("metrics.csv").read_text()
    with Path("metrics.csv").open("a") as file:
        file.write("5,0.2")  # a line that a kill cut off
    append(metrics(2), 3, 4)
    assert Path("metrics.csv").read_text() == whole
    append(metrics(0))
    assert Path("metrics.csv").read_text() == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    "content", ["", f"{','.join(COLUMNS)}\n1,0.1,1.0,0.5,\n", "epoch,mae\n1,1\n2,1\n"]
)
def test_metrics_that_lack_the_epochs_of_the_checkpoint_are_refused(content: str) -> None:
    Path("metrics.csv").write_text(content)
    with pytest.raises(CheckpointError) as caught:
        metrics(2)
    line = "metrics.csv: lacks the 2 epochs of the checkpoint; restore the file, or start a new run"
    assert caught.value.lines == (line,)
    assert Path("metrics.csv").read_text() == content


def test_json_comes_back_and_holds_no_nan() -> None:
    path = Path("x.json")
    write_json(path, {"größe": [1, None, 0.5]})
    assert json.loads(path.read_text()) == {"größe": [1, None, 0.5]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text()) == {"größe": [1, None, 0.5]}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "missing; train the run again"),
        (b"", "damaged, not JSON; train the run again"),
        (b'{"a": 1', "damaged, not JSON; train the run again"),
        (b"\xff\xfe\xfd", "damaged, not JSON; train the run again"),
        (b"[1, 2]", "damaged, not a JSON object; train the run again"),
    ],
)
def test_json_that_is_missing_or_damaged_is_refused(content: bytes | None, what: str) -> None:
    if content is not None:
        Path("x.json").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_record(Path("x.json"), Environment)
    path = Path("x.json") if content is not None else Path("x.json").absolute()
    assert caught.value.lines == (f"{path}: {what}",)
