"""Tables with many columns or classes: time and memory grow no faster than the table."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed import HashStore  # type: ignore[attr-defined]

from ml2021 import memory
from ml2021.commands import prepare
from ml2021.data import samples
from ml2021.data.new_table import read_new_table
from ml2021.data.resolve import table_format_of
from ml2021.disk import use_disk
from ml2021.engine.distributed import Ranks
from ml2021.engine.ranks import Follower
from ml2021.errors import ResourceError
from ml2021.report.contents import from_disk
from ml2021.report.write import write_report
from ml2021.runs.directory import open_run
from ml2021.sweeps.pool import PackTask
from ml2021.sweeps.worker import Worker
from ml2021.training.memory import Job
from tests.commands import PROGRAM, contents, environment, run
from tests.tables import load, write_csv

ROWS = 60


def wide_table(path: Path, columns: int) -> Path:
    """Write a table of that many columns of each kind, and a target."""
    random = np.random.default_rng(0)
    table: dict[str, list[str | int | float | None]] = {}
    for index in range(columns):
        numbers = random.standard_normal(ROWS).round(4).tolist()
        table[f"number_{index}"] = numbers
        table[f"gaps_{index}"] = [
            None if row % 7 == index % 7 else numbers[row] for row in range(ROWS)
        ]
        table[f"count_{index}"] = random.integers(0, 5, ROWS).tolist()
        table[f"text_{index}"] = random.choice(["red", "green", "blue"], ROWS).tolist()
        table[f"constant_{index}"] = [1] * ROWS
    table["y"] = random.standard_normal(ROWS).round(4).tolist()
    return write_csv(path, table)


def calls_of(function: Callable[[], object]) -> int:
    """Return how many calls of Python and C functions a call makes: time without a clock."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("settings", [(), ("  numbers: auto",), ("  order_by: number_0",)])
def test_loading_takes_as_many_calls_for_each_column(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    def work(columns: int) -> tuple[int, int]:
        path = wide_table(tmp_path / f"{columns}.csv", columns)
        found = []
        training = calls_of(lambda: found.append(load(path, "  target: y", *settings)))
        (data,) = found
        form = table_format_of(data.config.data)
        new = read_new_table(data.preprocessing, path, form, "scored")
        return training, calls_of(lambda: new.table.samples(np.arange(ROWS)))

    for few, many in zip(work(10), work(40), strict=True):
        assert many < 4.15 * few


def test_what_does_not_fit_is_refused_before_it_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 600
    columns: dict[str, list[str | int | float | None]] = {
        "k": [f"k{row % 300}" for row in range(rows)],
        "x": [row % 17 for row in range(rows)],
        "y": [row % 23 for row in range(rows)],
    }
    write_csv(tmp_path / "t.csv", columns)
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y, types: {k: category}}\n"
        "preset: fast\nmodel: {widths: [4]}\ntrain: {epochs: 1}\n"
    )
    wide = ["--set", "data.max_categories=1000"]
    monkeypatch.setattr(memory, "free_memory", lambda: 1_500_000)
    encoded = []
    monkeypatch.setattr(samples, "encode_splits", lambda *args: encoded.append(args))
    refused = run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r", *wide)
    assert refused.code == 5
    assert "about 7 MB" in refused.stderr
    assert "only 2 MB are free; reduce data.max_categories" in refused.stderr
    assert not encoded
    assert not (tmp_path / "r").exists()
    monkeypatch.undo()
    assert run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r", *wide).code == 0


CODED = "data: {path: t.csv, target: y, types: {k: category}, max_categories: 1000"
LITTLE = "preset: fast\nmodel: {widths: [4]}\ntrain: {epochs: 1}\n"


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of a category, in 300 inputs, and its table."""
    folder = tmp_path_factory.mktemp("coded")
    columns: dict[str, list[str | int | float | None]] = {
        "k": [f"k{row % 300}" for row in range(600)],
        "y": [row % 23 for row in range(600)],
    }
    write_csv(folder / "t.csv", columns)
    (folder / "c.yaml").write_text(f"{CODED}}}\n{LITTLE}")
    (folder / "apart.yaml").write_text(f"{CODED}, test_path: t.csv}}\n{LITTLE}")
    (folder / "folds.yaml").write_text(f"{CODED}, split: {{method: kfold, folds: 3}}}}\n{LITTLE}")
    assert run(folder, "train", "--config", "c.yaml", "--run-dir", "r").code == 0
    return folder


@pytest.fixture
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 90_000)
    monkeypatch.setattr(samples, "_CERTAIN_TO_FIT", 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "t.csv", "--run", "r"),
        ("evaluate", "--run", "r"),
        ("train", "--resume", "r", "--set", "train.epochs=2"),
        ("report", "--run", "r"),
        ("surface", "--run", "r", "--output", "s.svg"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("short_memory")
def test_a_run_whose_rows_do_not_fit_is_refused(coded: Path, arguments: tuple[str, ...]) -> None:
    before = contents(coded)
    refused = run(coded, *arguments)
    if arguments[0] == "report":  # which leaves out what needs the rows, and does not fit either
        assert "the pictures of the report need about" in refused.stderr
    assert refused.code == 5
    assert re.search(r"need about \d+ MB of memory, but only 1 MB are free; ", refused.stderr)
    assert contents(coded) == before


def test_scores_that_do_not_fit_are_refused(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 90_000)
    monkeypatch.setattr(samples, "_CERTAIN_TO_FIT", 1 << 30)
    refused = run(coded, "evaluate", "t.csv", "--run", "r")
    assert refused.code == 5
    assert "the scores of 600 rows need about" in refused.stderr


def test_a_test_file_that_does_not_fit_is_refused(
    coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(needed: int, what: str, remedy: str) -> None:
        seen.append(what)
        if len(seen) == 2:  # the rows of the first file fit
            monkeypatch.setattr(memory, "free_memory", lambda: 1000)
        memory.check_fits(needed, what, remedy)

    monkeypatch.setattr(samples, "check_fits", watched)
    refused = run(coded, "train", "--config", "apart.yaml", "--run-dir", "apart")
    assert refused.code == 5
    assert len(seen) == 2
    assert re.search(r"600 rows of \d+ inputs need about", refused.stderr)
    assert not (coded / "apart").exists()


def test_folds_that_do_not_fit_are_refused(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: dict[str, int] = {}
    found = Job.steps

    def noted(job: Job, followers: int = 0) -> dict[str, int]:
        steps.update(found(job, followers))
        return steps

    monkeypatch.setattr(Job, "steps", noted)
    monkeypatch.setattr(memory, "free_memory", lambda: steps["folds"] - 1)
    refused = run(coded, "train", "--config", "folds.yaml", "--run-dir", "folds")
    assert max(steps, key=lambda name: steps[name]) == "folds"
    assert refused.code == 5
    assert "600 rows of 300 inputs" in refused.stderr
    assert not (coded / "folds").exists()


def test_the_rows_of_other_ranks_count(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []
    found = Job.steps

    def noted(job: Job, followers: int = 0) -> dict[str, int]:
        jobs.append(job)
        return found(job, followers)

    with monkeypatch.context() as patched:
        patched.setattr(Job, "steps", noted)
        patched.setattr(prepare, "followers_here", lambda: 2)
        patched.setattr(memory, "free_memory", lambda: max(found(jobs[-1]).values()))
        refused = run(coded, "train", "--config", "folds.yaml", "--run-dir", "many")
    assert refused.code == 5
    assert "are free; start fewer ranks on this machine, or reduce" in refused.stderr
    assert not (coded / "many").exists()
    alone, three = found(jobs[-1]), found(jobs[-1], 2)
    assert alone["encoding"] == three["encoding"]
    rows = 4 * jobs[-1].rows["train"] * (300 + 1 + 1)
    assert three["training"] - alone["training"] > 2 * rows
    assert three["folds"] - alone["folds"] > 3 * 2 * rows


def test_a_rank_refuses_rows_that_do_not_fit_or_has_them_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alone(Ranks):
        def broadcast(self, tensor: torch.Tensor) -> None:
            tensor.fill_(1)

    rank = Alone(1, 2, HashStore())
    shapes = [["float32", [9000, 3]], ["int64", [9000]]]
    message = {"do": "rows", "tensors": shapes, "device": "cpu", "folder": str(tmp_path)}
    monkeypatch.setattr(memory, "free_memory", lambda: 100_000)
    inputs, targets = received(rank, message)
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    assert (float(inputs.sum()), int(targets.sum())) == (27_000, 9000)
    with pytest.raises(ResourceError, match="fewer ranks"):
        received(rank, message | {"folder": None})


def received(ranks: Ranks, message: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    follower = Follower(ranks)
    try:
        follower.handle(message)
        assert follower._rows is not None
        return follower._rows.tensors
    finally:
        use_disk(None)


@pytest.mark.usefixtures("short_memory")
def test_a_sweep_whose_rows_do_not_fit_is_refused(
    coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(coded)
    text = (coded / "c.yaml").read_text()
    replies: list[dict[str, Any]] = []
    encoded: list[object] = []
    monkeypatch.setattr(samples, "encode_splits", lambda *args: encoded.append(args))
    task = PackTask("sweep", {3: text}, text, 1, 1.0, ["mse"], None, {})
    Worker(lambda reply: replies.append(dict(reply))).train(task)
    (result,) = (reply["result"] for reply in replies if reply["event"] == "result")
    assert (result["run"], result["status"], result["exit_code"]) == (3, "failed", 5)
    assert "of memory, but only 1 MB are free" in result["lines"][0]
    assert not encoded


def test_a_report_that_does_not_fit_is_left_out(
    coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 50 << 20)
    trained = run(coded, "train", "--config", "c.yaml", "--run-dir", "bare", with_report=True)
    assert trained.code == 0
    assert "its report could not be written (the pictures of the report need" in trained.stderr
    assert (coded / "bare" / "summary.json").exists()
    assert not (coded / "bare" / "report.html").exists()


@pytest.mark.soak
@pytest.mark.parametrize(
    ("classes", "rows", "settings", "most"),
    [
        (361, 5_000, ["preset=fast", "train.epochs=20"], 600),
        (10_000, 25_000, ["preset=fast", "train.epochs=2"], 3_000),
        (10_000, 25_000, ["train.epochs=2"], 3_000),
    ],
)
def test_many_classes_are_trained_scored_and_drawn_in_bounded_memory(
    tmp_path: Path, classes: int, rows: int, settings: list[str], most: int
) -> None:
    random = np.random.default_rng(0)
    labels = random.permutation(np.arange(rows) % classes)
    inputs = random.standard_normal((rows, 6)).round(4).T.tolist()
    table = dict(zip("abcdef", inputs, strict=True))
    write_csv(tmp_path / "t.csv", {**table, "y": [f"c{label}" for label in labels]})
    (tmp_path / "c.yaml").write_text("data: {path: t.csv, target: y}\n")
    command = [*PROGRAM, "train", "--config", "c.yaml", "--run-dir", "r", "--quiet"]
    # Of a process of its own, whose only child this is: the largest child counts.
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    sets = [part for setting in settings for part in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-c", program, *command, *sets],
        cwd=tmp_path,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert (tmp_path / "r" / "report.html").exists()
    assert int(done.stdout.split()[-1]) / 1000 < most


def report_of(folder: Path, columns: int) -> int:
    """Train on that many columns; return the calls of drawing its report, beyond reading it."""
    wide_table(folder / f"{columns}.csv", columns)
    (folder / f"{columns}.yaml").write_text(f"data: {{path: {columns}.csv, target: y}}\n{LITTLE}")
    assert run(folder, "train", "--config", f"{columns}.yaml", "--run-dir", f"{columns}").code == 0
    directory = open_run(folder / f"{columns}")
    view = from_disk(directory)
    calls = calls_of(lambda: write_report(directory, view, lambda: None))
    assert directory.report.stat().st_size < 1_000_000
    return calls


def test_notes_name_few_of_many_columns(tmp_path: Path) -> None:
    names = [f"x{index}" for index in range(500)]
    rows = {name: [row % 7 for row in range(40)] for name in names}
    write_csv(tmp_path / "t.csv", {**rows, "y": [row % 11 for row in range(40)]})
    far = {name: [100, 100 if name == "x400" else 1] for name in names}
    write_csv(tmp_path / "new.csv", {**far, "y": [1, 2]})
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.csv, target: y}}\n{LITTLE}")
    assert run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r").code == 0
    for command in ("predict", "evaluate"):
        said = run(tmp_path, command, "new.csv", "--run", "r").stderr
        (note,) = [line for line in said.splitlines() if "outside" in line]
        assert ": x400 2, x0 1, " in note
        assert note.endswith("and 488 more columns")


@pytest.mark.soak
def test_a_report_of_more_columns_takes_hardly_more_calls(tmp_path: Path) -> None:
    few, many = (report_of(tmp_path, columns) for columns in (40, 160))
    assert many < 1.5 * few


def test_limits_of_the_process_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free = memory.free_memory()
    assert free is not None
    limited = {resource.RLIMIT_AS: (1 << 40, -1), resource.RLIMIT_DATA: (-1, -1)}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limited[kind])
    (left,) = memory._of_limits()
    assert 0 < left < 1 << 40

    group = tmp_path / "outer" / "inner"
    group.mkdir(parents=True)
    for folder, most, used in ((group, "max", 10), (group.parent, "5000", 3000)):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 500\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    lines = memory._lines
    monkeypatch.setattr(
        memory, "_lines", lambda path: ["0::/outer/inner"] if path.name == "cgroup" else lines(path)
    )
    assert list(memory._of_groups()) == [5000 - 3000 + 500]
    assert memory.free_memory() == 2500


def test_many_classes_are_summed_up_in_little(tmp_path: Path) -> None:
    classes = [f"c{row // 3}" for row in range(1_200)]
    write_csv(tmp_path / "t.csv", {"x": [row % 50 for row in range(1_200)], "y": classes})
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y}\npreset: fast\nmodel: {widths: [4]}\ntrain: {epochs: 1}\n"
    )
    assert run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r").code == 0
    # A table of all 400 x 400 counts of each split took 6 MB.
    assert (tmp_path / "r" / "summary.json").stat().st_size < 400_000
