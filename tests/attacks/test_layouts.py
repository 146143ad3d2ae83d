"""Random layouts: files and links of the user's in and around runs and sweeps, and any command.

A list of the whole tree, with what every file holds, is taken before and after each command:
nothing that was the user's may have changed, but an output that is named, plain and not kept.
"""

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from ml2021.config.loading import load_config_text
from ml2021.files import FORMAT_VERSION, is_marked, is_temporary, mark
from ml2021.runs.content import write_json
from ml2021.runs.directory import MarkedDirectory, RunDirectory
from ml2021.runs.summary import read_summary
from ml2021.sweeps.directory import SweepDirectory
from ml2021.sweeps.results import Result
from tests import commands
from tests.catalogue.case import snapshot
from tests.commands import run, run_well
from tests.conftest import Record

CONFIG = """data: {path: t.csv, target: y, features: [a], split: {test: 0.0}}
model: linear
train: {epochs: 1}
preset: fast
"""
QUICK, SOAK = 10, 1500
QUICK_COMMANDS = [
    "predict new.csv --run RUN --output PLACE",
    "predict new.csv t.csv --run RUN --output PLACE",
    "predict PLACE --run RUN",
    "evaluate --run RUN",
    "compare RUN r",
    "train --quiet --config c.yaml --run-dir PLACE",
    "train --quiet --resume RUN",
    "train --quiet --resume RUN --set train.epochs=3",
    "sweep --quiet --resume RUN",
    "sweep --quiet --resume s",
]
COMMANDS = [
    *QUICK_COMMANDS,
    "train --quiet --config c.yaml --init-from RUN",
    "surface --run RUN --x b --output PLACE",
    "surface --run RUN --x b",
    "report --run RUN --plots PLACE",
    "piecewise --quiet curve.csv --run-dir PLACE",
]
"""RUN is a run or sweep, PLACE any path."""
NAMES = ["notes.txt", ".hidden", ".v.1", ".archive.2024", "config.yaml", "metrics.csv", "best"]
NAMES += ["summary.json", "candidates", "checkpoints", "1", "2", ".2", "sweep.json", "große.csv"]
NAMES += ["-", ".metrics.csv.7", ".summary.json.12.ml2021", ".x.3.ml2021", "surface.png"]
NAMES += ["report.html", "sweep_run.json", "last.safetensors"]
"""What the user calls files, folders and links: by chance as we call ours."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tables, a config, two runs and a sweep that has ended."""
    folder = tmp_path_factory.mktemp("layouts") / "home"
    folder.mkdir()
    commands.write_rows(folder / "t.csv", commands.table(24))
    commands.write_rows(folder / "new.csv", commands.table(8, seed=1))
    commands.write_rows(folder / "curve.csv", {"x": [0, 1, 2], "y": [0, 1, 0]})
    (folder / "c.yaml").write_text(CONFIG)
    run_well(folder, "train", "--quiet", "--config", "c.yaml", "--run-dir", "r")
    shutil.copytree(folder / "r", folder / "other")
    sweep = SweepDirectory(folder / "s")
    sweep.candidates.mkdir(parents=True)
    mark(sweep.path, "sweep")
    text = CONFIG.replace("t.csv", str(folder / "t.csv"))
    runs = [{"settings": {"seed": seed}, "config": text} for seed in (0, 1)]
    write_json(sweep.plan, {"format_version": FORMAT_VERSION, "scales": {}, "runs": runs})
    result = read_summary(RunDirectory(folder / "r")).result(load_config_text(text, "r").config)
    lines = [Result(run=n, status="done", result=result).to_line() for n in (1, 2)]
    sweep.results.write_text("".join(lines))
    sweep.table.touch()
    for place in (sweep.best, sweep.candidate(2)):
        shutil.copytree(folder / "r", place)
    (sweep.best / "sweep_run.json").write_text('{"run": 1}')
    return folder


def furnish(folder: Path, chance: random.Random) -> None:
    """Put files, folders and links of the user's into a tree."""
    inside = ["r", "r/checkpoints", "s", "s/best", "s/best/checkpoints", "s/candidates", "."]
    inside += ["s/candidates/2"]
    targets = [folder / "../victim", folder / "../victim/1.jpg", *sorted(folder.rglob("*"))]
    for _ in range(chance.randint(1, 8)):
        path, target = folder / chance.choice(inside) / chance.choice(NAMES), chance.choice(targets)
        if not path.parent.is_dir():
            continue
        if os.path.lexists(path):
            if path.is_dir() or chance.random() < 0.7:
                continue
            path.unlink()  # what is received may have a link where a file of ours is
        match chance.choice(["file", "file", "folder", "link", "hard link"]):
            case "folder":
                (path / "deep").mkdir(parents=True)
                (path / "deep" / chance.choice(NAMES)).write_text("mine")
            case "link":
                path.symlink_to(target)
            case "hard link" if target.is_file():
                path.hardlink_to(target)
            case _:
                path.write_text("mine")


def any_place(folder: Path, chance: random.Random) -> str:
    """Return a path for an output: a new one, one of ours or of the user's, by a detour too."""
    known = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))]
    place = chance.choice([*known, "new", "new/x.csv", "out.csv", "../victim", "../victim/1.jpg"])
    detour = chance.choice(["", "", "./", "r/../", "s/best/../../", f"{folder}/"])
    more = chance.choice(["", "", "", "/new.csv", "/checkpoints/best.safetensors"])
    return f"{detour}{place}{more}"


def names_of_ours(folder: Path) -> set[str]:
    """Return the paths at which the runs and the sweep write and remove."""
    found: set[Path] = set()
    directories: list[MarkedDirectory] = [SweepDirectory(folder / "s")]
    directories += [RunDirectory(folder / name) for name in ("r", "s/best", "s/candidates/2")]
    for directory in directories:
        if not is_marked(directory.path):
            continue
        entries = {*directory.entries()}
        found |= {directory.path, *entries}
        names = {path.name for path in entries}
        for place in {path.parent for path in entries}:
            if place.is_dir() and not place.is_symlink():
                found |= {path for path in place.iterdir() if is_temporary(path, names)}
    return {os.path.relpath(path, folder.parent) for path in found}


def play(made: Path, place: Path, seed: int, templates: Sequence[str]) -> tuple[int, list[str]]:
    """Play a layout and a command in it; return its exit code and what was wrong."""
    chance = random.Random(seed)
    folder = place / "home"
    shutil.copytree(made, folder)
    for path in [*folder.rglob("*.json"), *folder.rglob("*.resolved.yaml")]:
        path.write_text(path.read_text().replace(str(made), str(folder)))
    (place / "victim").mkdir()
    for name in ("1.jpg", "2.jpg", "checkpoints"):
        (place / "victim" / name).write_text("mine")
    furnish(folder, chance)
    words = {
        "RUN": chance.choice(["r", "s", "s/best", "s/candidates/2", f"{folder}/r"]),
        "PLACE": any_place(folder, chance),
    }
    arguments = [words.get(word, word) for word in chance.choice(templates).split()]
    ours, before = names_of_ours(folder), snapshot(place)
    written = {os.path.relpath(os.path.realpath(folder / words["PLACE"]), place)}
    if ("predict" not in arguments and "surface" not in arguments) or "--output" not in arguments:
        written = set()
    outcome = run(folder, *arguments)
    after = snapshot(place)
    wrong = [] if outcome.code in (0, 2, 3, 4, 5, 7) else [f"exit {outcome.code}: {outcome.stderr}"]
    inputs = {f"home/{name}" for name in ("t.csv", "new.csv", "c.yaml", "other/config.yaml")}
    for name, what in before.items():
        may_change = name in ours or (name in written and name not in inputs)
        if after.get(name) != what and not may_change:
            wrong.append(f"{name}: {what[:9]} -> {str(after.get(name))[:9]}")
    return outcome.code, [f"{seed}: {' '.join(arguments)}: {line}" for line in wrong]


def failures(made: Path, place: Path, count: int, templates: Sequence[str]) -> list[str]:
    wrong, codes = [], set()
    for seed in range(count):
        (place / str(seed)).mkdir()
        code, lines = play(made, place / str(seed), seed, templates)
        codes.add(code)
        wrong += lines
        shutil.rmtree(place / str(seed))
    assert {0, 2, 4} <= codes
    return wrong


def test_some_layouts_keep_what_is_the_users(made: Path, tmp_path: Path) -> None:
    assert failures(made, tmp_path, QUICK, QUICK_COMMANDS) == []


@pytest.mark.soak
def test_many_layouts_keep_what_is_the_users(made: Path, tmp_path: Path, record: Record) -> None:
    assert failures(made, tmp_path, SOAK, COMMANDS) == []
    record("layouts of files and links, a command in each", f"{SOAK:,}, nothing of the user's lost")
