"""Rows on what is whose: marks of runs and sweeps, what no output replaces, links, names."""

import os
import shutil
from pathlib import Path

from ml2021.files import FORMAT_VERSION, MARK, mark
from ml2021.runs.content import write_json
from tests.catalogue import runners
from tests.catalogue.case import Case, put

SWEEP = "data: {path: train.csv, target: y}\nmodel: linear\nsweep: {grid: {seed: [0, 1]}}\n"
ODD = os.fsdecode(b"caf\xe9.yaml")


def sweep(folder: Path) -> None:
    """Make the directory of a sweep whose best run is runs/number, and nothing is left to do."""
    place = folder / "sweep"
    place.mkdir()
    mark(place, "sweep")
    config = f"data: {{path: {folder}/train.csv, target: y}}\nmodel: linear\n"
    runs = [{"settings": {"seed": seed}, "config": config} for seed in (0, 1)]
    write_json(place / "sweep.json", {"format_version": FORMAT_VERSION, "scales": {}, "runs": runs})
    shutil.copytree(folder / "runs/number", place / "best")
    (place / "best/sweep_run.json").write_text('{"run": 1}')


def without_mark(folder: Path) -> None:
    (folder / "runs/number" / MARK).unlink()


def older_mark(folder: Path) -> None:
    (folder / "runs/number" / MARK).write_text("ml2021 run, format 3\n")


def of_another_tool(folder: Path) -> None:
    (folder / "theirs/checkpoints").mkdir(parents=True)
    (folder / "theirs/config.yaml").write_text("theirs: true\n")


def runs_in_file(folder: Path) -> None:
    (folder / "runs").rename(folder / "aside")
    (folder / "runs").write_text("mine\n")


BAD = put("bad.csv", "a,y\n1\n")  # the table is not read before
IN_FILE = {
    "a run": "train --config number.yaml --set data.path=bad.csv --run-dir new.csv/x/y",
    "a run of a table": "train bad.csv --target y --run-dir new.csv/x/y",
    "a sweep": "sweep --config s.yaml --run-dir new.csv/x/y",
    "a curve": "piecewise bad.csv --run-dir new.csv/x/y",
    "predictions": "predict bad.csv --run runs/number --output new.csv/x/y",
    "a plot": "surface --run runs/number --output new.csv/x/y",
    "plots": "report --run runs/number --plots new.csv/x/y",
    "a page": "explore --run runs/number --output new.csv/x/y",
    "a config": "init bad.csv --target y --output new.csv/x/y",
}
CASES = [
    *(
        Case(
            numbers=(15,),
            name=f"{what} within a file",
            given=(BAD, put("s.yaml", SWEEP)),
            command=command,
            code=2,
            lines=(
                f"{command.split()[-2]} new.csv/x/y: new.csv is not a folder; choose another place",
            ),
        )
        for what, command in IN_FILE.items()
    ),
    *(
        Case(
            numbers=(15,),
            name=f"{command.split()[0]} where `runs` is a file",
            given=(BAD, put("s.yaml", SWEEP), runs_in_file),
            command=command,
            code=2,
            lines=("runs: is not a folder; change to another folder",),
        )
        for command in ("train bad.csv --target y", "sweep --config s.yaml", "piecewise bad.csv")
    ),
    Case(
        numbers=(15,),
        name="a run in place of a link that leads nowhere",
        given=(BAD, lambda folder: (folder / "lost").symlink_to("nothing")),
        command="train bad.csv --target y --run-dir lost",
        code=2,
        lines=("--run-dir lost: is a link to nothing; name a new or empty folder",),
    ),
    Case(
        numbers=(15,),
        name="a plot onto a config",
        command="surface --run runs/number --output classes.yaml",
        code=2,
        lines=("--output classes.yaml: is a config; choose another file",),
    ),
    Case(
        numbers=(15,),
        name="predictions onto a broken config",
        given=(put("broken.yaml", "data: {path: new.csv"),),
        command="predict new.csv --run runs/number --output broken.yaml",
        code=2,
        lines=("--output broken.yaml: is a config; choose another file",),
    ),
    Case(
        numbers=(15,),
        name="a plot onto a table",
        command="surface --run runs/number --output new.csv",
        code=2,
        lines=("--output new.csv: already exists; choose another place",),
    ),
    Case(
        numbers=(15,),
        name="a plot onto the results of a sweep",
        given=(sweep,),
        command="surface --run runs/number --output sweep/sweep.json",
        code=2,
        lines=("--output sweep/sweep.json: is in a sweep directory; choose another place",),
    ),
    Case(
        numbers=(15,),
        name="plots into a run",
        command="report --run runs/number --plots runs/classes/plots",
        code=2,
        lines=("--plots runs/classes/plots: is in a run directory; choose another place",),
    ),
    Case(
        numbers=(15,),
        name="a run within another",
        command="train --config number.yaml --run-dir runs/classes/new",
        code=2,
        lines=("--run-dir runs/classes/new: is in a run directory; choose another place",),
    ),
    Case(
        numbers=(14,),
        name="a config whose name is not UTF-8",
        given=(put(ODD, SWEEP),),
        command=f"train --config {ODD}",
        code=2,
        lines=("caf\\udce9.yaml: is not UTF-8, in which a run keeps names; use others",),
    ),
    Case(
        numbers=(62,),
        name="a link for the runs of a sweep",
        given=(sweep, lambda folder: (folder / "sweep/candidates").symlink_to(folder / "runs")),
        command="sweep --quiet --resume sweep",
        code=4,
        lines=(
            "sweep/candidates: points outside the sweep directory, to {here}/runs; "
            "replace the link with a copy",
        ),
    ),
    Case(
        numbers=(62,),
        name="a best run of a sweep that is to be moved elsewhere",
        given=(sweep, put("sweep/best/sweep_run.json", '{"run": "../../up"}')),
        command="sweep --quiet --resume sweep",
        code=4,
        lines=("sweep/best/sweep_run.json: damaged at run; run the sweep again",),
    ),
    Case(
        numbers=(62,),
        name="a best run of a sweep that the sweep has not",
        given=(sweep, put("sweep/best/sweep_run.json", '{"run": 3}')),
        command="sweep --quiet --resume sweep",
        code=4,
        lines=("sweep/best/sweep_run.json: names run 3 of 2; run the sweep again",),
    ),
    Case(
        numbers=(62,),
        name="a file of the user's where a sweep keeps a run",
        given=(sweep, put("sweep/candidates/2/1.jpg", "a photo")),
        command="sweep --quiet --resume sweep",
        code=4,
        lines=("sweep/candidates/2: is not of this sweep; move it away, and resume the sweep",),
    ),
    Case(
        numbers=(64,),
        name="a run without its mark",
        given=(without_mark,),
        command="predict new.csv --run runs/number --output -",
        code=4,
        lines=(
            f"{{here}}/runs/number: not a run directory, as it lacks the file {MARK}; train again",
        ),
    ),
    Case(
        numbers=(64,),
        name="a run of an older format",
        given=(older_mark,),
        command="predict new.csv --run runs/number --output -",
        code=4,
        lines=(
            "runs/number: a run of format 3, but this ml2021 reads 5; use the version that wrote "
            "it, or train again",
        ),
    ),
    Case(
        numbers=(74,),
        name="a sweep on a disk that is full",
        given=(put("s.yaml", SWEEP),),
        command="sweep --quiet --config s.yaml --jobs 1 --run-dir small/s",
        code=5,
        lines=("small/s/sweep.csv: cannot be written (No space left on device)",),
        run=runners.mounted("small", "size=24k"),
        needs=runners.without_mounts,
    ),
    Case(
        numbers=(81,),
        name="a directory of another tool, with files of the same names",
        given=(of_another_tool,),
        command="train --config number.yaml --run-dir theirs",
        code=7,
        lines=("theirs: not an empty directory; choose another --run-dir",),
    ),
    Case(
        numbers=(81,),
        name="a directory that holds a sweep",
        given=(sweep,),
        command="train --config number.yaml --run-dir sweep",
        code=7,
        lines=(
            "sweep: not an empty directory; choose another --run-dir, "
            "or resume its sweep with --resume sweep",
        ),
    ),
]
