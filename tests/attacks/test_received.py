"""Received directories: what is read from a run or sweep of somebody else is checked."""

import filecmp
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ml2021.files import FORMAT_VERSION
from ml2021.runs.content import MOST_BYTES
from tests import commands
from tests.commands import refusal, run_well
from tests.conftest import Record
from tests.damage import Tensors, resigned
from tests.finishing import scratch
from tests.received import forked, suite
from tests.suites import run_suite

_REST = "preset: fast\ndevice: cpu\nmodel: {type: relu_stack, widths: [4]}\n"
CONFIGS = {
    "number": "data: {path: t.csv, target: y, exclude: [id, kind, p*]}\n"
    "train: {epochs: 3, members: 2}\n",
    "classes": "data: {path: t.csv, target: kind, exclude: [id, y, p*]}\ntrain: {epochs: 2}\n",
    "series": "data: {path: s.csv, target: views, lags: 3, order_by: date, horizon: 2}\n"
    "train: {epochs: 2}\n",
    "folds": "data: {path: t.csv, target: y, exclude: [id, kind, p*], "
    "split: {method: kfold, folds: 3}}\ntrain: {epochs: 2}\n",
}
Edit = Callable[[dict[str, Any], Tensors], object]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of each config, and a sweep."""
    folder = tmp_path_factory.mktemp("received")
    commands.write_rows(folder / "t.csv", commands.table(60))
    commands.write_rows(folder / "s.csv", commands.series(40))
    commands.train_runs(folder, {name: text + _REST for name, text in CONFIGS.items()})
    sweep = "sweep: {grid: {optimizer.lr: [0.01, 0.02], seed: [0, 1]}}\n"
    text = CONFIGS["number"].replace(", members: 2", "") + _REST + sweep
    (folder / "sweep.yaml").write_text(text)
    words = "sweep --quiet --jobs 1 --config sweep.yaml --run-dir sweep"
    run_well(folder, *words.split())
    return folder


@pytest.fixture
def folder(kept: Path) -> Iterator[Path]:
    """Return that folder; what a test does to the runs is undone."""
    aside = kept.with_name("aside")
    if not aside.exists():
        shutil.copytree(kept, aside)
    yield kept
    for path in aside.rglob("*"):
        here = kept / path.relative_to(aside)
        if path.is_file() and not (here.is_file() and filecmp.cmp(path, here)):
            shutil.copy2(path, here)


def signed(folder: Path, name: str, edit: Edit) -> Path:
    """Sign a checkpoint anew, with something else in it."""
    path = folder / name
    path.write_bytes(resigned(path.read_bytes(), edit))
    return path


def refused(folder: Path, name: str, *words: str) -> str:
    """Run a command on the directory of a file; return the line that refuses the file."""
    code, line = refusal(folder, *words)
    assert code == 4, line
    assert line.startswith(name), line
    return line


PREDICT = ("predict", "t.csv", "--output", "-", "--run")
BEST, LAST = "checkpoints/best.safetensors", "checkpoints/last.safetensors"


def put(*keys: str | int, value: object) -> Edit:
    """Return what puts a value into the description of a checkpoint."""

    def edit(described: dict[str, Any], kept: Tensors) -> None:
        place: Any = described
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return edit


def change(name: str, to: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    """Return what changes a tensor."""
    return lambda described, kept: kept.update({name: to(kept[name]).contiguous()})


@pytest.mark.parametrize("members", [10**6, 10**9, 10**12])
def test_members_are_counted_by_the_parameters_not_by_the_config(
    folder: Path, members: int
) -> None:
    signed(folder, f"number/{BEST}", put("config", "train", "members", value=members))
    if members > 10**6:  # beyond what any config can ask for
        refused(folder, f"number/{BEST}", *PREDICT, "number")
    else:
        run_well(folder, *PREDICT, "number")


@pytest.mark.parametrize("words", [("predict", "s.csv", "--output", "-"), ("evaluate",)])
@pytest.mark.parametrize("lags", [4, 10**8, 10**9, 10**15])
def test_lags_are_those_of_the_inputs(folder: Path, words: tuple[str, ...], lags: int) -> None:
    signed(folder, f"series/{BEST}", put("preprocessing", "history", "lags", value=lags))
    refused(folder, f"series/{BEST}", *words, "--run", "series")


def test_lags_of_config_and_history_alike_ask_for_no_memory(folder: Path) -> None:
    def edit(described: dict[str, Any], kept: Tensors) -> None:
        described["config"]["data"]["lags"] = 10**9
        described["preprocessing"]["history"]["lags"] = 10**9

    signed(folder, f"series/{BEST}", edit)
    words = ("predict", "s.csv", "--output", "-", "--run", "series")
    assert "left empty: 40" in run_well(folder, *words).stderr


@pytest.mark.parametrize("threads", [0, 100_000, 2**31, 10**9, 2.5, "2"])
def test_threads_are_bounded(folder: Path, threads: object) -> None:
    path = folder / "number/environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threads": threads}))
    words = ("train", "--quiet", "--resume", "number")
    assert "at threads" in refused(folder, "number/environment.json", *words)


@pytest.mark.parametrize(
    "content", ['{"run": "/tmp"}', '{"run": "../../up"}', "{}", '{"run": 0}', '{"run": 99}', "[1]"]
)
def test_the_best_run_of_a_sweep_is_one_of_its_runs(folder: Path, content: str) -> None:
    (folder / "sweep/best/sweep_run.json").write_text(content)
    (folder / "sweep/sweep.csv").unlink()
    refused(folder, "sweep/best/sweep_run.json", "sweep", "--quiet", "--resume", "sweep")


@pytest.mark.parametrize("split", [{}, {"method": "random"}, {"test": "6"}, {"test": -6}])
def test_the_rows_of_each_split_are_counted(folder: Path, split: dict[str, object]) -> None:
    path = folder / "number/summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "split": split}))
    refused(folder, "number/summary.json", "evaluate", "t.csv", "--run", "number")


@pytest.mark.parametrize("words", ["surface --run", "report --run"])
def test_a_loss_that_is_infinite_is_shown_as_such(folder: Path, words: str) -> None:
    for name in (BEST, LAST):
        signed(folder, f"classes/{name}", change("theta", lambda theta: theta * 1e30))
    result = commands.run(folder, *words.split(), "classes")
    assert result.code in (0, 3, 4), result.stderr


def cast(dtype: torch.dtype, tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(dtype)


DTYPES = [torch.bfloat16, torch.float8_e4m3fn, torch.float32, torch.int64, torch.bool]
BASELINES: dict[str, tuple[str, Edit]] = {
    **{
        f"of {dtype}": ("number", change("baselines.mean", partial(cast, dtype)))
        for dtype in DTYPES
    },
    "complex": ("number", change("baselines.median", lambda t: t.to(torch.complex64))),
    "not a number": ("number", change("baselines.least_squares", lambda t: t * torch.nan)),
    "infinite": ("number", change("baselines.mean", lambda t: t * torch.inf)),
    "that overflow": ("number", change("baselines.least_squares", lambda t: t + 1e200)),
    "of no rows": ("classes", change("baselines.frequencies", lambda t: t * 0)),
    "of negative shares": (
        "classes",
        change("baselines.frequencies", lambda t: t.new_tensor([-1, 1, 1])),
    ),
}


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("words", [("evaluate", "--run"), PREDICT], ids=["evaluate", "predict"])
def test_baselines_are_such_as_are_fitted(folder: Path, name: str, words: tuple[str, ...]) -> None:
    run, edit = BASELINES[name]
    signed(folder, f"{run}/{BEST}", edit)
    assert "baselines." in refused(folder, f"{run}/{BEST}", *words, run)


def at(*keys: str | int, value: object) -> Edit:
    return put("preprocessing", *keys, value=value)


TWICE = ["blue", "green", "green"]
PREPROCESSING: dict[str, tuple[str, Edit]] = {
    "categories twice": ("number", at("features", 2, "categories", value=TWICE)),
    "numbers among texts": ("number", at("features", 2, "storage", value="number")),
    "classes twice": ("classes", at("target", "classes", value=["high", "low", "low"])),
    "no sources": ("number", at("sources", value={})),
    "one source for two": ("number", at("sources", "a", "position", value=2)),
    "a source beyond the table": ("number", at("sources", "a", "position", value=99)),
    "a feature twice": ("number", at("features", 0, "name", value="b")),
    "a target that is a feature": ("number", at("features", 0, "name", value="y")),
    "a tiny scale": ("number", at("features", 0, "scale", value=5e-324)),
    "a huge mean": ("number", at("features", 0, "mean", value=1e308)),
    "a huge scale of the target": ("number", at("target", "scales", value=[1e308])),
    "a huge mean of the target": ("number", at("target", "means", value=[-1e308])),
    "another task": ("number", at("task", value="classification")),
    "a shape of other outputs": ("series", at("target", "shape", value=[3, 3])),
    "a horizon of other outputs": ("series", at("history", "horizon", value=1)),
    "steps back out of order": ("series", at("history", "used", value=[3, 2, 1])),
    "steps back beyond the lags": ("series", at("history", "used", value=[1, 2, 9])),
    "a gap of all rows": ("series", at("history", "gap_limit", value=2**62)),
}


@pytest.mark.parametrize("name", PREPROCESSING)
def test_preprocessing_is_such_as_is_fitted(folder: Path, name: str) -> None:
    run, edit = PREPROCESSING[name]
    signed(folder, f"{run}/{BEST}", edit)
    table = "s.csv" if run == "series" else "t.csv"
    refused(folder, f"{run}/{BEST}", "evaluate", table, "--run", run)
    refused(folder, f"{run}/{BEST}", "predict", table, "--output", "-", "--run", run)


STATES: dict[str, tuple[str, Edit]] = {
    "a negative epoch": ("report", put("epoch", value=-1)),
    "an epoch beyond the last": ("resume", put("epoch", value=10**9)),
    "a batch beyond the last": ("resume", put("batch", value=10**9)),
    "a negative best epoch": ("resume", change("best_epoch", lambda t: -t)),
    "a best epoch to come": ("resume", change("best_epoch", lambda t: t + 10**9)),
    "a negative divergence": ("resume", change("diverged", lambda t: t - 1)),
    "parameters not finite": ("resume", change("theta", lambda t: t * torch.inf)),
    "best parameters not finite": ("resume", change("best", lambda t: t * torch.nan)),
    "a best loss that is no number": ("resume", change("best_loss", lambda t: t * torch.nan)),
    "slots not finite": ("resume", change("slots.mean", lambda t: t + torch.nan)),
    "negative squares": ("resume", change("slots.squares", lambda t: t - 1)),
    "norms in one row": ("report", change("trajectory.gradient_norms", lambda t: t.flatten())),
    "negative norms": ("report", change("trajectory.gradient_norms", lambda t: -t)),
    "updates in two rows": ("surface", change("trajectory.updates", lambda t: t[None])),
    "updates unevenly spaced": ("report", change("trajectory.updates", lambda t: t**2)),
    "updates backwards": ("surface", change("trajectory.updates", lambda t: -t)),
    "points of other networks": ("surface", change("trajectory.points", lambda t: t[:, 1:])),
    "a lost path": ("report", lambda described, kept: kept.pop("trajectory.points")),
    "flags for members": ("surface", change("diverged", lambda t: t.bool())),
}


@pytest.mark.parametrize("name", STATES)
def test_the_state_is_such_as_training_leaves(folder: Path, name: str) -> None:
    command, edit = STATES[name]
    signed(folder, f"number/{LAST}", edit)
    (folder / "number/summary.json").unlink()
    words = ("train", "--quiet", "--resume") if command == "resume" else (command, "--run")
    refused(folder, f"number/{LAST}", *words, "number")


SUMMARIES: dict[str, tuple[str, str, list[str | int], object]] = {
    "no levels": ("number", "report", ["interval", "levels"], None),
    "a level of two targets": ("number", "report", ["interval", "levels", 0, "half_width"], {}),
    "no number of a member": ("number", "report", ["members", 0, "diverged_at_update"], "3"),
    "other baselines": ("number", "report", ["scores", "test", "baselines"], {}),
    "other metrics": ("number", "compare", ["scores", "test", "scores"], {"mae": 1.0}),
    "a score of text": ("number", "compare", ["scores", "test", "scores", "mae"], "1"),
    "rows without end": ("number", "compare", ["scores", "test", "rows"], -1),
    "no confusion": ("classes", "report", ["scores", "test", "confusion"], None),
    "a confusion of text": ("classes", "report", ["scores", "test", "confusion"], [["1"]]),
    "no pooled rows": ("folds", "report", ["cross_validation", "pooled"], {}),
    "other errors": ("folds", "evaluate", ["cross_validation", "standard_errors"], {"mae": 0.1}),
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_is_such_as_is_written(folder: Path, name: str) -> None:
    run, command, keys, value = SUMMARIES[name]
    path = folder / run / "summary.json"
    tree = json.loads(path.read_text())
    place: Any = tree
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(tree))
    words = (command, run) if command == "compare" else (command, "--run", run)
    refused(folder, f"{run}/summary.json", *words)


CELLS = ["1" * 200_000, "-1.0", "nan", "inf", "1e400", "\x1b[31m", "١"]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: ascii(cell[:8]))
def test_metrics_are_such_as_are_written(folder: Path, cell: str) -> None:
    path = folder / "number/metrics.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[2][lines[0].index("train_loss")] = cell
    path.write_text("".join(f"{','.join(line)}\n" for line in lines))
    assert refused(folder, "number/metrics.csv:3:", "report", "--run", "number")
    words = ("train", "--quiet", "--resume", "number", "--set", "train.epochs=5")
    assert refused(folder, "number/metrics.csv:3:", *words)


def without_last(lines: list[str]) -> list[str]:
    plan = json.loads("".join(lines))
    return [json.dumps({**plan, "runs": plan["runs"][:1]})]


def swapped(lines: list[str]) -> list[str]:
    """Return the results of other runs under the numbers of these."""
    trees = [json.loads(line) for line in lines]
    numbers = [tree["run"] for tree in trees]
    return [json.dumps({**t, "run": n}) for t, n in zip(trees[::-1], numbers, strict=True)]


def changed(**values: object) -> Callable[[list[str]], list[str]]:
    """Return what changes the first result."""

    def edit(lines: list[str]) -> list[str]:
        return [json.dumps({**json.loads(lines[0]), **values}), *lines[1:]]

    return edit


NO_RUNS = json.dumps({"format_version": FORMAT_VERSION, "scales": {}, "runs": []})
SWEEPS: dict[str, tuple[str, Callable[[list[str]], list[str]]]] = {
    "fewer runs than results": ("sweep.json", without_last),
    "no runs": ("sweep.json", lambda lines: [NO_RUNS]),
    "no plan": ("sweep.json", lambda lines: ["[]"]),
    "results of other runs": ("results.jsonl", swapped),
    "a run of text": ("results.jsonl", changed(run="1")),
    "run 0": ("results.jsonl", changed(run=0)),
    "no result": ("results.jsonl", changed(result=None)),
    "a result without scores": ("results.jsonl", changed(result={})),
    "an error without a code": ("results.jsonl", changed(status="failed", result=None)),
    "a code out of bounds": ("results.jsonl", changed(exit_code=10**30, lines=["x"])),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_is_such_as_is_written(folder: Path, name: str) -> None:
    file, edit = SWEEPS[name]
    path = folder / "sweep" / file
    path.write_text("".join(f"{line}\n" for line in edit(path.read_text().splitlines())))
    for words in (("compare", "sweep"), ("sweep", "--quiet", "--resume", "sweep")):
        refused(folder, "sweep/", *words)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("number/summary.json", ("compare", "number")),
        ("number/environment.json", ("train", "--quiet", "--resume", "number")),
        ("number/metrics.csv", ("report", "--run", "number")),
        ("sweep/sweep.json", ("compare", "sweep")),
        ("sweep/results.jsonl", ("compare", "sweep")),
        (f"number/{BEST}", ("predict", "t.csv", "--output", "-", "--run", "number")),
    ],
)
def test_files_are_bounded_before_they_are_read(
    folder: Path, file: str, words: tuple[str, ...]
) -> None:
    os.truncate(folder / file, 1 << 40 if file.endswith("s") else MOST_BYTES + 1)
    assert "more than" in refusal(folder, *words)[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("task: regression", "task: auto"),
        ("type: mse", "type: mae"),
        ("widths:\n    - 4", "widths:\n    - 5"),
        ("lags: 0", "lags: 1000000000"),
        ("target: y", "target: b"),
    ],
)
def test_a_config_is_that_of_the_checkpoint(folder: Path, before: str, after: str) -> None:
    path = folder / "number/config.resolved.yaml"
    text = path.read_text()
    if before not in text:  # a list in one line
        before, after = (
            before.replace("\n    - ", " [") + "]",
            after.replace("\n    - ", " [") + "]",
        )
    assert before in text
    path.write_text(text.replace(before, after, 1))
    for words in (("report", "--run"), ("train", "--quiet", "--resume")):
        refused(folder, "number/config.resolved.yaml", *words, "number")


def test_mutations_are_refused_or_handled() -> None:
    """As many as half a minute of processor time allows."""
    tally = run_suite("received", 300)[""]
    assert tally.cases == 300
    assert not tally.wrong, "\n".join(tally.wrong)
    assert sum(n for verdict, n in tally.right.items() if verdict.endswith("code 4")) > 120


@pytest.mark.soak
def test_ten_thousand_mutations_are_refused_or_handled(record: Record) -> None:
    with scratch() as place, forked(place) as mutations:
        tally = suite(mutations, range(1000, 11_000))
    right = tally.cases - tally.wrong_cases
    record("received runs and sweeps with a file changed", f"{right:,} of {tally.cases:,} right")
    assert not tally.wrong, "\n".join(tally.wrong)
