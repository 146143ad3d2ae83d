"""Files of the user: a directory is ours by its mark, outputs are guarded, links lead nowhere."""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml2021.config.schema import Config
from ml2021.errors import ResourceError
from ml2021.evaluation.comparison import RunResult
from ml2021.files import FORMAT_VERSION, MARK, is_marked, mark, mark_of
from ml2021.runs.directory import RunDirectory, create_run, foreign_entries
from ml2021.runs.outputs import write_output
from ml2021.sweeps.directory import (
    ResultsFile,
    SweepDirectory,
    SweepPlan,
    begin_candidates,
    begin_draft,
    create_sweep,
    keep_best,
    write_plan,
)
from ml2021.sweeps.results import Result
from ml2021.sweeps.search_space import load_sweep
from tests import commands
from tests.catalogue.case import snapshot
from tests.commands import refusal, run, run_well

CONFIG = """data: {path: t.csv, target: y, features: [a], split: {test: 0.0}}
model: linear
train: {epochs: 1}
preset: fast
"""
SWEEP = CONFIG + "sweep: {grid: {seed: [0, 1, 2]}}\n"
TRAIN = ("train", "--quiet", "--config", "c.yaml", "--run-dir")
OURS = ["summary.json", "environment.json", "metrics.csv", "config.yaml", "config.resolved.yaml"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table, configs, the runs r and other, a curve's run and a sweep s."""
    folder = tmp_path_factory.mktemp("made")
    commands.write_rows(folder / "t.csv", commands.table(24))
    commands.write_rows(folder / "curve.csv", {"x": [0, 1, 2], "y": [0, 1, 0]})
    (folder / "c.yaml").write_text(CONFIG)
    (folder / "s.yaml").write_text(SWEEP)
    run_well(folder, *TRAIN, "r")
    shutil.copytree(folder / "r", folder / "other")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = plan_of(Path("s.yaml"))
        sweep = create_sweep(Path("s"), "s")
        write_plan(sweep, plan)
        sweep.config.write_text(SWEEP)
    for name in ("results.jsonl", "sweep.csv"):
        (folder / "s" / name).touch()
    shutil.copytree(folder / "r", folder / "s" / "best")
    (folder / "s" / "best" / "sweep_run.json").write_text('{"run": 2}')
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, beside one of the user's with files in it."""
    home = tmp_path / "h"
    shutil.copytree(made, home)
    for name in ("environment.json", "config.resolved.yaml", "sweep.json"):
        for path in home.rglob(name):
            path.write_text(path.read_text().replace(str(made), str(home)))
    for name in ("photos/1.jpg", "thesis/a.tex", "notes.txt"):
        (tmp_path / "victim" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "victim" / name).write_text("mine")
    return home


def plan_of(config: Path) -> SweepPlan:
    loaded = load_sweep(config)
    return SweepPlan(
        tuple(each.settings for each in loaded.variations),
        tuple(each.loaded.text for each in loaded.variations),
        loaded.scales,
    )


@pytest.fixture(autouse=True)
def watch(tmp_path: Path) -> Iterator[None]:
    """See that no file of the user's changed."""
    yield
    victim = tmp_path / "victim"
    assert not victim.exists() or len([p for p in victim.rglob("*") if p.is_file()]) == 3
    assert all(path.read_text() == "mine" for path in victim.rglob("*") if path.is_file())


# Whose a directory is.


COMMANDS = {
    "train": TRAIN,
    "sweep": ("sweep", "--quiet", "--config", "s.yaml", "--run-dir"),
    "piecewise": ("piecewise", "--quiet", "curve.csv", "--run-dir"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_of_another_tool_is_not_taken(folder: Path, name: str) -> None:
    """A1: names that other tools use too are no mark, nor is a file of the name of ours."""
    for number, marked in enumerate(
        [None, "", "a tag of mine\n", f"ml2021 {name}, format {FORMAT_VERSION}"]
    ):
        theirs = folder / f"theirs-{number}"
        (theirs / "checkpoints").mkdir(parents=True)
        for file in ("config.yaml", "environment.json", "metrics.csv"):
            (theirs / file).write_text("of another tool")
        if marked is not None:
            (theirs / MARK).write_text(marked)
        before = snapshot(folder)
        code, line = refusal(folder, *COMMANDS[name], theirs.name)
        assert (code, snapshot(folder)) == (7, before)
        assert "not an empty directory" in line


def test_a_mark_is_a_plain_file_with_our_words(tmp_path: Path) -> None:
    assert not is_marked(tmp_path)
    mark(tmp_path, "sweep")
    assert mark_of(tmp_path) == ("sweep", FORMAT_VERSION)
    (tmp_path / MARK).rename(tmp_path / "away")
    (tmp_path / MARK).symlink_to("away")
    assert not is_marked(tmp_path)
    (tmp_path / MARK).unlink()
    os.mkfifo(tmp_path / MARK)
    assert not is_marked(tmp_path)


def test_a_process_killed_around_the_mark_leaves_a_folder_that_is_used(folder: Path) -> None:
    for name, content in (("empty", None), ("half", "ml2021 r"), ("marked", "")):
        (folder / name).mkdir()
        if name == "half":
            (folder / name / f".{MARK}.123.ml2021").write_text(content or "")
        if name == "marked":
            mark(folder / name, "run")
        run_well(folder, *TRAIN, name)
        assert {path.name for path in (folder / name).iterdir()} == {
            path.name for path in (folder / "r").iterdir()
        }


def test_a_marked_folder_with_more_in_it_is_not_taken(folder: Path) -> None:
    for name in ("notes.txt", ".hidden.7", "checkpoints/mine.bin", ".environment.json.99"):
        begun = create_run(folder / name.replace("/", "-"), "c").path
        (begun / name).write_text("mine")
        before = snapshot(folder)
        assert refusal(folder, *TRAIN, begun.name)[0] == 7
        assert snapshot(folder) == before
    (folder / "sweeping").mkdir()
    mark(folder / "sweeping", "sweep")
    assert refusal(folder, *TRAIN, "sweeping")[0] == 7


def test_only_temporary_files_of_ours_are_removed(folder: Path) -> None:
    """A2: hidden files and folders of the user stay, however they are called."""
    (folder / "r" / "summary.json").unlink()
    kept = [".archive.2024", ".backup.20260101", ".v.1", ".metrics.csv.7", ".x.1.ml2021", ".a"]
    for name in (*kept, *(f"checkpoints/{name}" for name in kept)):
        (folder / "r" / name).write_text("mine")
    (folder / "r" / ".dir.1").mkdir()
    (folder / "r" / ".metrics.csv.8.ml2021").mkdir()
    (folder / "r" / ".metrics.csv.9.ml2021").symlink_to("../../victim/notes.txt")
    ours = [".metrics.csv.7.ml2021", "checkpoints/.best.safetensors.12.ml2021"]
    for name in ours:
        (folder / "r" / name).write_text("half")
    before = snapshot(folder / "r")
    run_well(folder, "train", "--quiet", "--resume", "r")
    after = snapshot(folder / "r")
    for name in ours:
        assert before.pop(name)
    unlike = {name for name in before if after.get(name) != before[name]}
    assert unlike <= {"summary.json", "report.html"}


def test_a_directory_that_lost_its_mark_is_no_run(folder: Path) -> None:
    (folder / "r" / MARK).unlink()
    for command in (("evaluate", "--run", "r"), ("train", "--resume", "r")):
        code, line = refusal(folder, *command)
        assert (code, MARK in line) == (4, True)
    (folder / "r" / MARK).write_text("ml2021 run, format 3\n")
    code, line = refusal(folder, "evaluate", "--run", "r")
    assert (code, "format 3" in line) == (4, True)


# Outputs.


GUARDED = [f"r/{name}" for name in OURS]
GUARDED += ["r/new.csv", "r/surface.png", "r/checkpoints/new.png", "r", "s/best", "s/new"]
GUARDED += ["other/checkpoints/best.safetensors", "s/sweep.json", "s/results.jsonl", "s/sweep.csv"]
GUARDED += ["s/best/report.html", "s/candidates/x", "c.yaml", "s.yaml", "t.csv", "other/../t.csv"]
GUARDED += ["r/../c.yaml", "r/../other/summary.json", "way/summary.json", "soft.csv", "hard.csv"]
GUARDED += ["twice.csv", "into.csv", "soft.yaml", "broken.yaml", "base.YML", "broken.csv"]


def make_links(folder: Path) -> None:
    (folder / "soft.csv").symlink_to("t.csv")
    (folder / "hard.csv").hardlink_to(folder / "t.csv")
    (folder / "twice.csv").symlink_to("hard.csv")
    (folder / "way").symlink_to("r")
    (folder / "into.csv").symlink_to("s/not-there")
    (folder / "soft.yaml").symlink_to("c.yaml")
    (folder / "broken.yaml").write_text("data: {path: t.csv\n target")
    (folder / "broken.csv").symlink_to("broken.yaml")
    (folder / "base.YML").write_text("preset: fast\n")


@pytest.mark.parametrize("command", [("surface",), ("predict", "new.csv")], ids=" ".join)
def test_no_output_replaces_what_must_be_kept(folder: Path, command: tuple[str, ...]) -> None:
    """A5, A6: inputs, configs, runs, sweeps and what they hold, by whatever path."""
    shutil.copy(folder / "t.csv", folder / "new.csv")
    make_links(folder)
    before = snapshot(folder)
    for output in (*GUARDED, *(["new.csv"] if command[0] == "predict" else [])):
        code, line = refusal(folder, *command, "--run", "r", "--output", output)
        assert (code, line.startswith(f"--output {output}: ")) == (2, True), line
        assert snapshot(folder) == before


def test_an_output_may_replace_a_file_that_is_neither(folder: Path) -> None:
    shutil.copy(folder / "t.csv", folder / "new.csv")
    (folder / "old.csv").write_text("data: of an earlier time\nx,y\n")
    (folder / "link.csv").symlink_to("old.csv")
    run_well(folder, "predict", "new.csv", "--run", "r", "--output", "link.csv")
    assert (folder / "link.csv").is_symlink()
    assert (folder / "old.csv").read_text().startswith("y\n")


def test_the_default_places_are_guarded(folder: Path) -> None:
    """In a folder of ours, nothing new is begun, and a link that leads nowhere is a file, too."""
    for inside in ("r", "s/best", "r/checkpoints"):
        here = folder / inside
        for command in (
            (
                "train",
                "--quiet",
                "--config",
                folder / "c.yaml",
                "--set",
                f"data.path={folder}/t.csv",
            ),
            ("piecewise", "--quiet", folder / "curve.csv"),
            ("predict", folder / "t.csv", "--run", folder / "other"),
        ):
            code, line = refusal(here, *command)
            assert (code, "is in a run directory" in line) == (2, True), line
    (folder / "t.predictions.csv").symlink_to("../victim/new.csv")
    assert refusal(folder, "predict", "t.csv", "--run", "r")[0] == 2


def test_a_picture_or_page_replaces_its_kind_alone(folder: Path) -> None:
    """Those of the user's in a folder of plots stay."""
    surface = ("surface", "--run", "r", "--output")
    (folder / "more.csv").write_text("x,y\n1,2\n")
    (folder / "plots").mkdir()
    run_well(folder, *surface, "plots/loss.png")
    picture = (folder / "plots/loss.png").read_bytes()
    theirs = picture.replace(b"ml2021", b"theirs")
    for name in ("learning_curves", "effects"):
        (folder / "plots" / f"{name}.png").write_bytes(theirs)
    before = snapshot(folder)
    assert refusal(folder, *surface, "more.csv")[0] == 2
    assert refusal(folder, "explore", "r", "--output", "more.csv")[0] == 2
    code, line = refusal(folder, "report", "--run", "r", "--plots", "plots")
    assert (code, "already exists" in line) == (2, True), line
    assert snapshot(folder).items() >= before.items()
    run_well(folder, *surface, "plots/loss.png")
    assert (folder / "plots/loss.png").read_bytes() == picture
    run_well(folder, "report", "--run", "r", "--plots", "ours")
    run_well(folder, "report", "--run", "r", "--plots", "ours")


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_output(tmp_path / "pipe", b"predicted")
    assert os.read(reader, 100) == b"predicted"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_config_is_written_where_nothing_is(folder: Path) -> None:
    before = snapshot(folder)
    assert refusal(folder, "init", "t.csv", "--output", "r/new.yaml")[0] == 2
    assert refusal(folder / "r", "init", folder / "t.csv")[0] == 2
    assert refusal(folder, "init", "t.csv", "--output", "c.yaml")[0] == 2
    assert snapshot(folder) == before
    (folder / "link.yaml").symlink_to("not-there")
    assert refusal(folder, "init", "t.csv", "--output", "link.yaml")[0] == 2
    assert (folder / "link.yaml").is_symlink()


def test_no_folder_of_an_output_is_in_a_run(folder: Path) -> None:
    (folder / "way").symlink_to("r")
    before = snapshot(folder)
    for place in ("r/plots", "r", "s/best/plots", "way/plots", "c.yaml", "s"):
        code, line = refusal(folder, "report", "--run", "other", "--plots", place)
        assert (code, line.startswith(f"--plots {place}: ")) == (2, True), line
        two = ("t.csv", "curve.csv")
        assert refusal(folder, "predict", *two, "--run", "r", "--output", place)[0] == 2
    for name, command in COMMANDS.items():
        for place in ("r/new", "s/new", "s/best/new", "way/new", "r/checkpoints", "c.yaml"):
            code, line = refusal(folder, *command, place)
            assert (code, line.startswith(f"--run-dir {place}: ")) == (2, True), (name, line)
    assert snapshot(folder) == before


# Links.


def put_link(folder: Path, name: str, target: Path) -> None:
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


RUN_COMMANDS = [
    ("evaluate", "--run"),
    ("predict", "t.csv", "--output", "new.csv", "--run"),
    ("surface", "--run"),
    ("report", "--run"),
    ("compare",),
    ("train", "--quiet", "--resume"),
    ("train", "--quiet", "--config", "c.yaml", "--init-from"),
]
LINKS = [path.relative_to("r") for path in RunDirectory(Path("r")).entries() if path.name != MARK]


@pytest.mark.parametrize("command", RUN_COMMANDS, ids=" ".join)
def test_no_link_leads_out_of_a_run(folder: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A7: whatever is a link in a received run, nothing is read or written through it."""
    for name in LINKS:
        received = folder / "received"
        shutil.copytree(folder / "r", received)
        put_link(received, str(name), tmp_path / "victim" / "notes.txt")
        before = snapshot(tmp_path)
        code, line = refusal(folder, *command, "received")
        assert (code, str(name) in line) == (4, True), line
        assert snapshot(tmp_path) == before
        shutil.rmtree(received)


@pytest.mark.parametrize("name", ["candidates", "best", "sweep.json", "results.jsonl", "sweep.csv"])
def test_no_link_leads_out_of_a_sweep(folder: Path, tmp_path: Path, name: str) -> None:
    """A3: neither a folder of a sweep nor a file of it."""
    put_link(folder / "s", name, tmp_path / "victim")
    before = snapshot(tmp_path)
    for options in (("sweep", "--resume"), ("compare",), ("report", "--run")):
        assert refusal(folder, *options, "s")[0] == 4
    if name == "best":
        for command in RUN_COMMANDS:
            assert refusal(folder, *command, "s/best")[0] == 4
    assert snapshot(tmp_path) == before


def test_a_link_within_a_run_is_replaced_where_it_is_written(folder: Path) -> None:
    best = (folder / "r" / "checkpoints" / "best.safetensors").read_bytes()
    (folder / "r" / "surface.png").symlink_to("checkpoints/best.safetensors")
    run_well(folder, "surface", "--run", "r")
    assert (folder / "r" / "checkpoints" / "best.safetensors").read_bytes() == best
    assert not (folder / "r" / "surface.png").is_symlink()


# What a sweep moves and removes.


ORIGINS = [
    *('{"run": "/any/path"}', '{"run": "../../../up"}', "{}", '{"run": 0}', '{"run": 4}', "[]", ""),
    *('{"run": true}', '{"run": 1.5}', '{"run": null}', '{"run": 1, "more": 2}', '{"run": -1}'),
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_best_of_a_received_sweep_goes_nowhere(
    folder: Path, tmp_path: Path, origin: str
) -> None:
    """A4: what sweep_run.json says is a run of the sweep, or it is damaged."""
    (folder / "s" / "best" / "sweep_run.json").write_text(origin)
    before = snapshot(tmp_path)
    code, line = refusal(folder, "sweep", "--quiet", "--resume", "s")
    assert (code, "sweep_run.json" in line) == (4, True)
    assert snapshot(tmp_path) == before


def ended(number: int) -> Result:
    found = RunResult.model_construct(config=Config.model_construct(), splits={"train": 1})
    return Result.model_construct(run=number, status="done", result=found)


def test_what_the_user_keeps_beside_runs_of_a_sweep_stays(folder: Path) -> None:
    """Notes in best/ stay in best/, whichever run is the best; folders in candidates/ stay."""
    sweep = SweepDirectory(folder / "s")
    (sweep.best / "notes.txt").write_text("mine")
    (sweep.best / "checkpoints" / "mine.bin").write_text("mine")
    (sweep.candidates / "photos").mkdir(parents=True)
    (sweep.candidates / "photos" / ".7").write_text("mine")
    (sweep.candidates / ".1").mkdir()  # of a process that was killed before it had marked it
    plan = plan_of(folder / "s.yaml")
    begin_candidates(sweep, plan, [2])
    assert not (sweep.candidates / ".1").exists()
    for number in (1, 3):
        draft = begin_draft(sweep, number)
        (draft.path / "config.yaml").write_text(str(number))
        draft.path.replace(sweep.candidate(number))
    keep_best(sweep, plan, ended(3))
    assert (sweep.best / "config.yaml").read_text() == "3"
    assert (sweep.best / "notes.txt").read_text() == "mine"
    assert (sweep.best / "checkpoints" / "mine.bin").read_text() == "mine"
    assert [path.name for path in sweep.candidates.rglob("*")] == ["photos", ".7"]
    keep_best(sweep, plan, ended(3))
    assert len(foreign_entries(RunDirectory(sweep.best))) == 2


@pytest.mark.parametrize("name", ["candidates/1", "candidates/.3", "candidates", "best"])
def test_what_is_in_the_way_of_a_sweep_is_named(folder: Path, name: str) -> None:
    place = folder / "s" / name
    if name == "best":
        shutil.rmtree(place)
    if name == "candidates":
        place.write_text("mine")
    else:
        place.mkdir(parents=True)
        (place / "mine").write_text("mine")
    before = snapshot(folder)
    code, line = refusal(folder, "sweep", "--quiet", "--resume", "s")
    assert (code, f"s/{name}: " in line) == (4, True)
    assert snapshot(folder) == before


# Names and messages.


ODD = os.fsdecode(b"\xe9")


@pytest.mark.parametrize("name", COMMANDS)
def test_not_utf_8(folder: Path, name: str) -> None:
    """C1: in an option or the working directory."""
    (folder / ODD).mkdir()
    for file in ("c.yaml", "s.yaml", "t.csv", "curve.csv"):
        shutil.copy(folder / file, folder / ODD / file)
    before = snapshot(folder)
    command, *rest = COMMANDS[name]
    named = [argument.replace("c.yaml", f"{ODD}/c.yaml") for argument in rest]
    named = [argument.replace("s.yaml", f"{ODD}/s.yaml") for argument in named]
    attempts = [(folder, (command, *rest, f"{ODD}/new")), (folder / ODD, (command, *rest, "new"))]
    if name != "piecewise":
        attempts.append((folder, (command, *named, "new")))
    for place, arguments in attempts:
        code, line = refusal(place, *arguments)
        assert (code, "UTF-8" in line, "\\udce9" in line) == (2, True, True), line
    assert snapshot(folder) == before


def test_a_sweep_names_its_tables_by_absolute_paths(folder: Path) -> None:
    """C11: so that it is resumed from any working directory."""
    configs = plan_of(folder / "s.yaml").configs
    assert {Path(str(config.data.path)).is_absolute() for config in configs} == {True}


def test_a_full_disk_is_named_by_what_it_refused(tmp_path: Path) -> None:
    """E1: whenever the line is written, and closing the file writes nothing more."""
    sweep = create_sweep(tmp_path / "s", "s")
    file = ResultsFile(sweep, [])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ResourceError, match=r"results\.jsonl: cannot be written"):
            file.append(Result(run=1, status="failed", lines=("x" * 9000,), exit_code=3))
        file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


LONG = "x" * 200_000


@pytest.mark.parametrize(
    "command",
    [
        ("predict", LONG, "--run", "r"),
        ("evaluate", "--run", LONG),
        ("train", "--config", LONG),
        ("compare", "/".join(["long" * 20] * 40)),
        ("predict", "t.csv", "--run", "r", "--output", "r/" + "y" * 240),
        ("report", "--run", "r", "--plots", "r/" + "y" * 240),
    ],
    ids=range(6),
)
def test_a_long_path_is_cut_in_a_message(folder: Path, command: tuple[str, ...]) -> None:
    """E5: as values are."""
    outcome = run(folder, *command)
    assert outcome.code in (2, 3, 4, 5)
    assert 10 < len(outcome.stderr) < 260
