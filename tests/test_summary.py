"""What a run and a sweep record of themselves: read back equal, and refused where damaged."""

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ml2021.errors import CheckpointError
from ml2021.files import FORMAT_VERSION
from ml2021.runs.directory import RunDirectory
from ml2021.runs.summary import read_environment, read_summary, write_record
from tests import commands
from tests.commands import run, run_well, write_rows
from tests.damage import change_somewhere

SMALL = "model: {widths: [4]}\ntrain: {epochs: 2, members: 2}\ndevice: cpu\n"
CONFIGS = {
    "number": "data: {path: t.csv, target: y, exclude: [id, kind, p*]}\n",
    "classes": "data: {path: t.csv, target: kind, exclude: [id, y, p*]}\n",
    "folds": "data: {path: t.csv, target: y, exclude: [id, kind, p*], "
    "split: {method: kfold, folds: 3}}\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of each config, and a sweep."""
    folder = tmp_path_factory.mktemp("records")
    write_rows(folder / "t.csv", commands.table(90))
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text + SMALL)
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    sweep = CONFIGS["number"] + SMALL.replace(", members: 2", "")
    (folder / "sweep.yaml").write_text(f"{sweep}sweep: {{grid: {{seed: [0, 1]}}}}\n")
    run_well(folder, "sweep", "--quiet", "--jobs", "1", "--config", "sweep.yaml", "--run-dir", "s")
    return folder


@pytest.mark.parametrize("name", CONFIGS)
def test_records_come_back_as_they_were_written(folder: Path, tmp_path: Path, name: str) -> None:
    place, again = RunDirectory(folder / name), RunDirectory(tmp_path)
    write_record(again.summary, read_summary(place))
    write_record(again.environment, read_environment(place))
    assert again.summary.read_bytes() == place.summary.read_bytes()
    assert again.environment.read_bytes() == place.environment.read_bytes()


@pytest.mark.parametrize("version", [None, FORMAT_VERSION - 1, FORMAT_VERSION + 1, "2", True])
def test_a_record_of_another_version_is_refused(
    folder: Path, tmp_path: Path, version: object
) -> None:
    plain = json.loads(RunDirectory(folder / "number").summary.read_text())
    plain["format_version"] = version
    (tmp_path / "summary.json").write_text(json.dumps(plain))
    with pytest.raises(CheckpointError, match=rf"reads format {FORMAT_VERSION}"):
        read_summary(RunDirectory(tmp_path))


READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "summary.json": (("compare", "NAME"), ("report", "--run", "NAME")),
    "environment.json": (("train", "--resume", "NAME"),),
}


def mutated(path: Path, draw: Callable[[random.Random], bytes], seed: int) -> Callable[[], object]:
    """Put something else into a file; return what puts it back."""
    kept = path.read_bytes()
    path.write_bytes(draw(random.Random(seed)))
    return partial(path.write_bytes, kept)


@pytest.mark.parametrize("file", READERS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_damaged_record_is_a_line_and_no_traceback(folder: Path, file: str, name: str) -> None:
    path = folder / name / file
    whole = json.loads(path.read_text())

    def draw(choose: random.Random) -> bytes:
        tree = json.loads(json.dumps(whole))
        for _ in range(choose.choice([1, 1, 2])):
            change_somewhere(tree, choose)
        return json.dumps(tree).encode()

    codes = []
    for seed in range(40):
        reader = READERS[file][0 if seed % 8 else -1]
        restore = mutated(path, draw, seed)
        outcome = run(folder, *(word.replace("NAME", name) for word in reader))
        restore()
        assert outcome.code in (0, 4), outcome.stderr
        assert outcome.code == 0 or len(outcome.stderr.splitlines()) == 1, outcome.stderr
        codes.append(outcome.code)
    assert codes.count(4) > 20


def test_damaged_results_of_a_sweep_are_a_line_and_no_traceback(folder: Path) -> None:
    path = folder / "s" / "results.jsonl"
    lines = path.read_text().splitlines()

    def draw(choose: random.Random) -> bytes:
        trees = [json.loads(line) for line in lines]
        change_somewhere(choose.choice(trees), choose)
        return "".join(f"{json.dumps(tree)}\n" for tree in trees).encode()

    codes = []
    for seed in range(60):
        restore = mutated(path, draw, seed)
        reader = ("compare", "s") if seed % 6 else ("report", "--run", "s")
        outcome = run(folder, *reader)
        restore()
        assert outcome.code in (0, 2, 4), outcome.stderr
        codes.append(outcome.code)
    assert codes.count(4) > 30
