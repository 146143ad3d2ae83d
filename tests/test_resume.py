"""Going on with a run: bit for bit as if it had not stopped, and with nothing else."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ml2021.runs.checkpoints import load_checkpoint
from ml2021.runs.directory import create_run
from tests import commands
from tests.commands import Outcome, contents, refusal, run, run_well, write_rows
from tests.started import Started

COMPARED = ("checkpoints/best.safetensors", "checkpoints/last.safetensors", "metrics.csv")
DATA = "preset: fast\ndata: {path: train.csv, target: y, exclude: [id, kind, p*]}\n"
# Many epochs, saved after every one; and one epoch of 14,000 updates.
MANY = f"""{DATA}model: {{type: relu_stack, widths: [8]}}
train: {{epochs: 150, batch_size: 16, save_seconds: 1e-9, early_stopping: null}}
"""
LONG = f"""{DATA}model: {{type: relu_stack, widths: [8]}}
optimizer: {{type: sgd, momentum: 0.9, nesterov: true}}
train: {{epochs: 1, batch_size: 1, save_seconds: 1e-9}}
"""
SHORT = f"{DATA}model: {{type: relu_stack, widths: [8]}}\ntrain: {{epochs: 4}}\n"


def prepare(folder: Path) -> Path:
    write_rows(folder / "train.csv", commands.table(200))
    write_rows(folder / "long.csv", commands.table(20_000))
    (folder / "many.yaml").write_text(MANY)
    (folder / "long.yaml").write_text(LONG.replace("train.csv", "long.csv"))
    (folder / "short.yaml").write_text(SHORT)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs that were never stopped."""
    folder = prepare(tmp_path_factory.mktemp("whole"))
    for name in ("many", "long", "short"):
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path)


# The program, saving after every update: on any machine an epoch is then long.
CAREFUL = "import ml2021.engine.fit; ml2021.engine.fit.PROGRESS_SECONDS = -1"


def stop(
    folder: Path, name: str, is_time: Callable[[], bool], number: int, before: str = ""
) -> Outcome:
    """Train in a process of its own until it is time, and then send it a signal."""
    options = ("--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    process = Started(folder, "train", *options, before=before)
    deadline = time.monotonic() + 60
    while process.poll() is None and not is_time():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    stdout, stderr = process.communicate()
    return Outcome(process.wait(), stdout, stderr)


def has_saved_some(folder: Path, name: str, epochs: int) -> Callable[[], bool]:
    metrics = folder / name / "metrics.csv"
    last = folder / name / "checkpoints" / "last.safetensors"
    return lambda: last.exists() and metrics.read_text().count("\n") > epochs


def assert_same_run(one: Path, other: Path) -> None:
    first, second = contents(one), contents(other)
    for file in COMPARED:
        assert first[file] == second[file], file
    summaries = [json.loads((path / "summary.json").read_text()) for path in (one, other)]
    for summary in summaries:
        del summary["seconds"], summary["rows_per_second"]
    assert summaries[0] == summaries[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    whole: Path, folder: Path, number: int, code: int
) -> None:
    outcome = stop(folder, "many", has_saved_some(folder, "many", 10), number)
    assert (outcome.code, outcome.stdout) == (code, "")
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("interrupted at epoch ")
    assert line.endswith("Resume with: ml2021 train --resume many")
    assert not (folder / "many" / "summary.json").exists()
    epochs = load_checkpoint(folder / "many/checkpoints/last.safetensors").description.epoch
    assert 10 <= epochs < 150
    resumed = run_well(folder, "train", "--resume", "many")
    assert resumed.stdout == "many\n"
    assert resumed.stderr.startswith(f"resuming many after {epochs} of 150 epochs\n")
    assert_same_run(folder / "many", whole / "many")


def test_a_run_that_was_killed_ends_as_one_that_was_not(whole: Path, folder: Path) -> None:
    outcome = stop(folder, "many", has_saved_some(folder, "many", 10), signal.SIGKILL)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (-signal.SIGKILL, "", "")
    run_well(folder, "train", "--quiet", "--resume", "many")
    assert_same_run(folder / "many", whole / "many")


def test_a_run_that_was_stopped_within_an_epoch_goes_on_there(whole: Path, folder: Path) -> None:
    last = folder / "long" / "checkpoints" / "last.safetensors"
    outcome = stop(folder, "long", last.exists, signal.SIGHUP, CAREFUL)
    assert outcome.code == 129
    assert 0 < load_checkpoint(last).description.batch < 14_000
    run_well(folder, "train", "--quiet", "--resume", "long")
    assert_same_run(folder / "long", whole / "long")


def test_a_run_without_a_checkpoint_yet_starts_anew(whole: Path, folder: Path) -> None:
    run_well(folder, "train", "--quiet", "--config", "short.yaml", "--run-dir", "short")
    (folder / "short/checkpoints/best.safetensors").unlink()
    (folder / "short/checkpoints/last.safetensors").unlink()
    (folder / "short/summary.json").unlink()
    run_well(folder, "train", "--quiet", "--resume", "short")
    assert_same_run(folder / "short", whole / "short")


def test_a_finished_run_is_not_touched(whole: Path) -> None:
    path = whole / "short"
    before = contents(path), {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    outcome = run_well(whole, "train", "--resume", "short")
    assert outcome.stdout == "short\n"
    assert outcome.stderr == "short: finished after 4 epochs; nothing to do\n"
    assert refusal(whole, "train", "--resume", "short", "--set", "train.epochs=2") == (
        2,
        "--set train.epochs=2: the run has already done 4 epochs; choose a larger number",
    )
    assert (contents(path), {p: p.stat().st_mtime_ns for p in path.rglob("*")}) == before


def test_a_finished_run_takes_more_epochs(whole: Path, folder: Path) -> None:
    run_well(folder, "train", "--quiet", "--config", "short.yaml", "--run-dir", "short")
    run_well(folder, "train", "--quiet", "--resume", "short", "--set", "train.epochs=6")
    assert json.loads((folder / "short/summary.json").read_text())["epochs"] == 6
    lines = (folder / "short/metrics.csv").read_text().splitlines()
    assert len(lines) == 7
    assert lines[:5] == (whole / "short/metrics.csv").read_text().splitlines()
    assert run_well(folder, "train", "--resume", "short").stderr == (
        "short: finished after 6 epochs; nothing to do\n"
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("finished"))
    run_well(folder, "train", "--quiet", "--config", "short.yaml", "--run-dir", "run")
    return folder


def refused(folder: Path, *arguments: object) -> tuple[int, str]:
    before = contents(folder / "run")
    outcome = refusal(folder, "train", "--resume", "run", *arguments)
    assert contents(folder / "run") == before
    return outcome


@pytest.mark.parametrize("override", ["seed=1", "optimizer.lr=0.1", "train.batch_size=8", "train"])
def test_only_the_epochs_can_be_set(finished: Path, override: str) -> None:
    assert refused(finished, "--set", "train.epochs=9", "--set", override) == (
        2,
        f"--set {override}: only train.epochs can be changed when resuming",
    )


def test_epochs_are_checked_as_ever(finished: Path) -> None:
    code, line = refused(finished, "--set", "train.epochs=0")
    assert code == 2
    assert line.startswith("--set train.epochs: ")


def changed(path: Path, content: bytes) -> Callable[[], None]:
    """Write other content, and return what puts the old one back."""
    kept = path.read_bytes()
    path.write_bytes(content)

    def restore() -> None:
        path.write_bytes(kept)

    return restore


def test_changed_test_file(folder: Path) -> None:
    """It takes part in the scores, so a resume and a scoring both count on it."""
    write_rows(folder / "test.csv", commands.table(30, seed=1))
    arguments = ("--config", "short.yaml", "--run-dir", "run", "--set", "data.test_path=test.csv")
    run_well(folder, "train", "--quiet", *arguments)
    run_well(folder, "evaluate", "--run", "run")
    write_rows(folder / "test.csv", commands.table(30, seed=2))
    code, line = refused(folder)
    assert code == 4
    assert line.startswith(f"run: {folder}/test.csv")
    assert " has changed since the run began, its SHA-256 " in line
    assert refusal(folder, "evaluate", "--run", "run") == (
        3,
        f"{folder}/test.csv: has changed since the run was trained, so its rows are no longer "
        "known; restore it, or name a CSV to score",
    )


def test_another_device_is_mentioned(folder: Path) -> None:
    run_well(folder, "train", "--quiet", "--config", "short.yaml", "--run-dir", "run")
    path = folder / "run" / "environment.json"
    recorded = json.loads(path.read_text())
    device = recorded["device"]
    path.write_text(json.dumps({**recorded, "device": "NVIDIA Imaginary"}))
    outcome = run_well(folder, "train", "--resume", "run", "--set", "train.epochs=5")
    assert outcome.stderr.splitlines()[1] == (
        f"resuming on {device}, but the run started on NVIDIA Imaginary; "
        "results will not be bit-identical"
    )


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        ("config.resolved.yaml", b"\xff", 4, "run/config.resolved.yaml:1:1: not UTF-8"),
        ("environment.json", b"{", 4, "run/environment.json: damaged, not JSON"),
        ("checkpoints/last.safetensors", b"x", 4, "run/checkpoints/last.safetensors: damaged"),
    ],
)
def test_a_damaged_run_is_refused(
    finished: Path, name: str, content: bytes, code: int, line: str
) -> None:
    restore = changed(finished / "run" / name, content)
    said = refused(finished)
    restore()
    assert said[0] == code
    assert said[1].startswith(line)


@pytest.mark.parametrize("threads", [0, -1, "1", None, True])
def test_a_number_of_threads_that_is_none_is_refused(finished: Path, threads: object) -> None:
    path = finished / "run" / "environment.json"
    recorded = json.loads(path.read_text())
    restore = changed(path, json.dumps({**recorded, "threads": threads}).encode())
    said = refused(finished)
    restore()
    assert said == (4, "run/environment.json: damaged at threads; train the run again")


def test_metrics_that_were_cut_are_refused(finished: Path) -> None:
    path = finished / "run" / "metrics.csv"
    restore = changed(path, b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    said = refused(finished, "--set", "train.epochs=9", "--quiet")
    restore()
    assert said == (
        4,
        "run/metrics.csv: lacks the 4 epochs of the checkpoint; "
        "restore the file, or start a new run",
    )


def test_the_checkpoint_of_a_run_on_other_data_is_refused(finished: Path) -> None:
    write_rows(finished / "other.csv", commands.table(200, seed=1))
    config = f"{SHORT}".replace("train.csv", "other.csv")
    (finished / "other.yaml").write_text(config)
    run_well(finished, "train", "--quiet", "--config", "other.yaml", "--run-dir", "other")
    last = "checkpoints/last.safetensors"
    restore = changed(finished / "run" / last, (finished / "other" / last).read_bytes())
    said = refused(finished)
    restore()
    data = finished / "train.csv"
    assert said == (4, f"run/{last}: was trained on other data than {data}; start a new run")


def test_what_a_killed_process_left_is_undone(whole: Path, folder: Path) -> None:
    """Lines of epochs that no checkpoint has, half a line, and files that were being written."""
    run_well(folder, "train", "--quiet", "--config", "short.yaml", "--run-dir", "short")
    path = folder / "short"
    (path / "summary.json").unlink()
    with (path / "metrics.csv").open("a") as file:
        file.write("5,50,0.001,1.0,1.0,1.0,1.0,1.0\n6,6")
    for name in (".metrics.csv.7.ml2021", "checkpoints/.last.safetensors.123.ml2021"):
        (path / name).write_bytes(b"half a fi")
    run_well(folder, "train", "--quiet", "--resume", "short")
    assert_same_run(path, whole / "short")
    assert contents(path).keys() == contents(whole / "short").keys()


def test_a_run_that_was_killed_before_it_began_is_started_again(whole: Path, folder: Path) -> None:
    begin = ["train", "--quiet", "--config", "short.yaml", "--run-dir", "short"]
    create_run(folder / "short", "short")
    (folder / "short" / "config.yaml").write_text(SHORT)
    (folder / "short" / ".environment.json.99.ml2021").write_text("{")
    assert refusal(folder, "train", "--resume", "short") == (
        4,
        f"{folder / 'short'}: interrupted before it began; "
        "start it again with --config FILE --run-dir DIR",
    )
    run_well(folder, *begin)
    assert_same_run(folder / "short", whole / "short")
    assert contents(folder / "short").keys() == contents(whole / "short").keys()
    code, line = refusal(folder, *begin)
    assert code == 7
    assert line.startswith("short: not an empty directory; ")


def test_a_run_that_is_being_trained_is_busy(folder: Path) -> None:
    said: list[Outcome] = []

    def try_to_resume() -> bool:
        if not has_saved_some(folder, "many", 1)():
            return False
        said.append(run(folder, "train", "--resume", "many"))
        return True

    stop(folder, "many", try_to_resume, signal.SIGKILL)
    assert said == [Outcome(7, "", "many: another process is training this run\n")]


def test_signals_that_are_ignored_stay_ignored(folder: Path) -> None:
    before = """
import signal, threading, time
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def hang_up():
    while not Path("run/metrics.csv").exists():
        time.sleep(0.001)
    for _ in range(50):
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.001)
threading.Thread(target=hang_up, daemon=True).start()
"""
    options = ("--no-report", "--config", "many.yaml", "--run-dir", "run")
    process = Started(folder, "train", *options, "--set", "train.epochs=60", before=before)
    assert process.communicate()[0] == "run\n"
    assert process.wait() == 0
    assert (folder / "run" / "summary.json").exists()
