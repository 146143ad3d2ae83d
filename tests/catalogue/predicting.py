"""44 to 53: predicting and scoring tables other than the training table."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import yaml

import ml2021
from tests import commands
from tests.catalogue.case import SMALL, Case, Step, change, columns, copy, put
from tests.commands import Outcome, parse_rows, read_rows, write_rows

PREDICT = "predict new.csv --run runs/number"
OUTPUT = "new.predictions.csv"


def refused(number: int, name: str, edit: Step, *lines: str, command: str = PREDICT) -> Case:
    """Return the row of a table that cannot be predicted."""
    return Case(numbers=(number,), name=name, given=(edit,), command=command, code=3, lines=lines)


def predicted(
    number: int,
    name: str,
    *given: Step,
    lines: Sequence[str] = (),
    run: str = "number",
    options: str = "",
) -> Case:
    """Return the row of a table for which the predictions are those of new.csv as it was."""
    return Case(
        numbers=(number,),
        name=name,
        given=(copy("new.csv", "plain.csv"), *given),
        command=f"predict new.csv --run runs/{run} {options}",
        code=0,
        lines=tuple(lines),
        leaves=(OUTPUT,),
        then=(as_for_the_plain_table,),
    )


def as_for_the_plain_table(folder: Path, outcome: Outcome) -> None:
    run = outcome.stderr.splitlines()[0].removeprefix("run ")
    plain = commands.run_well(folder, "predict", "plain.csv", "--run", run, "--output", "-")
    assert (folder / OUTPUT).read_text() == plain.stdout


def train_on_a_frame(folder: Path) -> None:
    """Train two members from Python, and save one of them as a run of its own."""
    config = {"data": {"target": "y", "features": ["a", "b"]}, **yaml.safe_load(SMALL)}
    config["train"]["members"] = 2
    frame = pd.read_csv(folder / "train.csv")
    model = ml2021.train(config, frame, folder / "runs" / "frame")
    model.members[0].save(folder / "member")


def reordered(order: Callable[[list[str]], list[str]]) -> Step:
    """Write new.csv with its columns in another order, or fewer or more of them."""

    def step(folder: Path) -> None:
        rows = read_rows(folder / "new.csv")
        cells: dict[str, list[object]] = {
            name: [*(row.get(name, "x") for row in rows)] for name in order(list(rows[0]))
        }
        write_rows(folder / "new.csv", cells)

    return step


def rows_kept(folder: Path, outcome: Outcome) -> None:
    rows = read_rows(folder / "new.csv")
    out = read_rows(folder / OUTPUT)
    assert [row["id"] for row in out] == [row["id"] for row in rows]
    alone = commands.run_well(folder, *f"{PREDICT} --output -".split()).stdout
    assert [row["y"] for row in out] == [row["y"] for row in parse_rows(alone)]


def harmless(folder: Path, outcome: Outcome) -> None:
    """Check that no cell but those carried over would be run, and numbers are as they were."""
    header, *rows = csv.reader(io.StringIO(outcome.stdout))
    assert header[:2] == ["id", "'=kind"]
    assert all(row[0] == "=1+1" for row in rows)
    assert {row[1] for row in rows} <= {"'=cmd", "'@x", "-1", "plain"}
    assert "-1" in {row[1] for row in rows}
    for row in rows:
        assert abs(sum(map(float, row[2:])) - 1) < 1e-6


def minus_signs(folder: Path, outcome: Outcome) -> None:
    values = [row["p3"] for row in parse_rows(outcome.stdout)]
    assert any(value.startswith("-") for value in values)
    assert all(float(value) == float(value) for value in values)


def train_dates(folder: Path) -> None:
    """Train on a column of dates, and write the table to predict with dates in another form."""
    days = [f"2021-{row % 12 + 1:02}-{row % 28 + 1:02}" for row in range(60)]
    write_rows(folder / "dated.csv", {"sold": days, "y": [*range(60)]})
    (folder / "dated.yaml").write_text(f"data: {{path: dated.csv, target: y}}\n{SMALL}")
    commands.run_well(folder, "train", "--quiet", "--config", "dated.yaml", "--run-dir", "dates")
    write_rows(folder / "dates.csv", {"sold": ["20.06.2021", "21.06.2021"]})


def train_formulas(folder: Path) -> None:
    """Train on classes that a spreadsheet would run, under a name that it would run too."""
    table = commands.table(120)
    labels = ["=cmd", "-1", "@x", "plain"]
    classes = [labels[int(value > 0) * 2 + int(other > 0)] for value, other in pairs(table)]
    named: dict[str, Sequence[object]] = {
        "id": ["=1+1"] * 120,
        "a": table["a"],
        "b": table["b"],
        "=kind": classes,
    }
    write_rows(folder / "formulas.csv", named)
    config = f"data: {{path: formulas.csv, target: =kind, exclude: [id]}}\n{SMALL}"
    (folder / "formulas.yaml").write_text(config)
    settings = ("--set", "train.epochs=40", "--set", "optimizer.lr=0.02", "--run-dir", "formulas")
    commands.run_well(folder, "train", "--quiet", "--config", "formulas.yaml", *settings)


def train_headerless(folder: Path) -> None:
    """Train on a table of four columns without a header, the third of them the target."""
    table = commands.table(60)
    rows = zip(table["id"], table["a"], table["y"], table["b"], strict=True)
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    (folder / "bare.csv").write_text(text)
    (folder / "two.csv").write_text("0.5,1.5\n")
    (folder / "three.csv").write_text("x,0.5,1.5\n")
    config = f"data: {{path: bare.csv, header: false, target: 2, exclude: [0]}}\n{SMALL}"
    (folder / "bare.yaml").write_text(config)
    commands.run_well(folder, "train", "--quiet", "--config", "bare.yaml", "--run-dir", "bare")


def train_below_zero(folder: Path) -> None:
    """Train on a target that is mostly below zero."""
    settings = ("--set", "data.target=p3", "--set", "data.exclude=[id, kind, y]")
    arguments = ("--config", "number.yaml", "--run-dir", "below", *settings)
    commands.run_well(folder, "train", "--quiet", *arguments)


def pairs(table: dict[str, list[object]]) -> list[tuple[float, float]]:
    return [(float(str(a)), float(str(b))) for a, b in zip(table["a"], table["b"], strict=True)]


ONLY_FORMAT = (
    "only how the file is written can be set here: data.separator, data.decimal, data.thousands, "
    "data.encoding, data.header, data.skip_rows, data.missing"
)

CASES = [
    Case(
        numbers=(44,),
        name="a threshold for three classes",
        command="predict new.csv --run runs/classes --threshold 0.3",
        code=2,
        lines=("--threshold: only for two classes, but this run predicts 3 classes; omit it",),
    ),
    Case(
        numbers=(44,),
        name="a threshold that is no probability",
        command="predict new.csv --run runs/classes --threshold 30",
        code=2,
        lines=("--threshold 30: must be between 0 and 1, such as 0.3",),
    ),
    Case(
        numbers=(44,),
        name="a key that does not say how the file is written",
        command=f"{PREDICT} --set data.target=b",
        code=2,
        lines=(f"--set data.target: {ONLY_FORMAT}",),
    ),
    Case(
        numbers=(44,),
        name="a key for a file that is not named",
        command="evaluate --run runs/number --set 'data.separator=;'",
        code=2,
        lines=("--set: says how a CSV is written; name the CSV to score",),
    ),
    refused(
        44,
        "fewer columns, without a header",
        train_headerless,
        "two.csv: 2 columns, but the training file has 4; without a header the position counts, "
        "so give all of them, or all but the target (column 2)",
        command="predict two.csv --run bare",
    ),
    refused(
        48,
        "no target to score by, without a header",
        train_headerless,
        "three.csv: the target (column 2) is missing; give all 4 columns",
        command="evaluate three.csv --run bare",
    ),
    refused(
        44,
        "another separator",
        change("new.csv", lambda content: content.replace(b",", b";")),
        "new.csv:1: the header has only 1 field; use --set 'data.separator=\";\"'",
    ),
    predicted(
        44,
        "another separator, with the key set",
        change("new.csv", lambda content: content.replace(b",", b";")),
        options="--set 'data.separator=;'",
    ),
    refused(
        44,
        "a missing column",
        reordered(lambda names: [n for n in names if n != "b"]),
        "new.csv: column 'b' is missing",
    ),
    Case(
        numbers=(44,),
        name="a missing column, and no run named",
        command="predict new.csv",
        code=3,
        lines=(
            "new.csv: column 'views' is missing",
            "the run is runs/series, the newest; choose another with --run",
        ),
    ),
    predicted(
        45,
        "extra columns",
        reordered(lambda names: ["more", *names, "even more"]),
        lines=(
            "  - ignoring columns that the model does not use: more, id, kind, p0, p1, p2, p3, "
            "p4 and 2 more",
        ),
    ),
    predicted(46, "columns in another order", reordered(lambda names: names[::-1])),
    predicted(46, "classes, columns in another order", reordered(sorted), run="classes"),
    refused(
        47,
        "a name off by case and a space",
        change("new.csv", lambda content: content.replace(b"id,a,b", b"id,A ,b")),
        "new.csv: column 'a' is missing; did you mean 'A '?",
    ),
    predicted(48, "no target", reordered(lambda names: [n for n in names if n != "y"])),
    refused(
        48,
        "no target to score by",
        reordered(lambda names: [n for n in names if n != "y"]),
        "new.csv: column 'y' is missing",
        command="evaluate new.csv --run runs/number",
    ),
    Case(
        numbers=(49,),
        name="a category never seen in training",
        given=(columns("new.csv", colour=["purple"] * 3),),
        command=PREDICT,
        code=0,
        lines=("  - categories not seen in training, encoded as none: colour 3 (purple × 3)",),
        leaves=(OUTPUT,),
    ),
    Case(
        numbers=(49,),
        name="a class never seen in training",
        given=(columns("new.csv", kind=["other"] * 4),),
        command="evaluate new.csv --run runs/classes",
        code=0,
        lines=("  - rows of a class never seen in training, counted as wrong: 4 (other × 4)",),
    ),
    refused(
        49,
        "categories that are all spelled otherwise",
        columns("new.csv", colour=["RED", " Blue", "green."] * 10),
        "new.csv: column 'colour': categories here RED, ' Blue', green.; in training blue, green, "
        "red; write them as in training, or train without this column",
    ),
    refused(
        49,
        "twenty rows without a known category",
        columns("new.csv", rows=20, colour=["pink", "teal"] * 10),
        "new.csv: column 'colour': categories here pink, teal; in training blue, green, red; "
        "check that this is the right file, or train without this column",
    ),
    refused(
        49,
        "classes that are all spelled otherwise",
        columns("new.csv", rows=4, kind=["LOW", "LOW", "HIGH", "LOW"]),
        "new.csv: column 'kind': classes here LOW, HIGH; in training high, low, middle; "
        "write them as in training",
        command="evaluate new.csv --run runs/classes",
    ),
    Case(
        numbers=(50,),
        name="values outside the training range",
        given=(columns("new.csv", a=[1e4, -1e4, 0.5] + [0.1] * 27),),
        command=PREDICT,
        code=0,
        lines=("  - values outside the training range: a 2",),
        leaves=(OUTPUT,),
    ),
    Case(
        numbers=(51,),
        name="as many rows out as in, in the same order",
        given=(change("new.csv", lambda content: content + content.split(b"\n", 1)[1]),),
        command=f"{PREDICT} --id id",
        code=0,
        lines=("new.csv: 60 rows to new.predictions.csv",),
        leaves=(OUTPUT,),
        then=(rows_kept,),
    ),
    Case(
        numbers=(52,),
        name="a failure midway",
        given=(copy("new.csv", "good.csv"), columns("new.csv", a=[0.5] * 20 + ["bad"])),
        command="predict good.csv new.csv --run runs/number --output out",
        code=3,
        lines=(
            "new.csv:22: column 'a': 'bad' is not a number; correct it, or list it by "
            '--set \'data.missing=["", "NA", "N/A", "null", "None", "NaN", "bad"]\'',
        ),
    ),
    Case(
        numbers=(52,),
        name="a failure midway, and predictions that are there",
        given=(put("out.csv", "old\n"), columns("new.csv", a=[0.5] * 20 + ["bad"])),
        command=f"{PREDICT} --output out.csv",
        code=3,
        lines=(
            "new.csv:22: column 'a': 'bad' is not a number; correct it, or list it by "
            '--set \'data.missing=["", "NA", "N/A", "null", "None", "NaN", "bad"]\'',
        ),
    ),
    Case(
        numbers=(44,),
        name="dates in another form",
        given=(train_dates,),
        command="predict dates.csv --run dates",
        code=3,
        lines=(
            "dates.csv: column 'sold': '20.06.2021' is not a date with the year first, as in "
            "training; correct it, or list it by "
            '--set \'data.missing=["", "NA", "N/A", "null", "None", "NaN", "20.06.2021"]\'',
        ),
    ),
    Case(
        numbers=(53,),
        name="text that a spreadsheet would run",
        given=(train_formulas,),
        command="predict formulas.csv --run formulas --id id --output -",
        code=0,
        lines=(
            "  - texts that a spreadsheet would run as formulas, prefixed with ': =kind, =cmd, @x",
        ),
        then=(harmless,),
    ),
    Case(
        numbers=(53,),
        name="numbers keep their minus sign",
        given=(train_below_zero,),
        command="predict new.csv --run below --output -",
        code=0,
        then=(minus_signs,),
    ),
    *(
        Case(
            numbers=(44,),
            name=f"a run of a DataFrame: {command}",
            given=(train_on_a_frame,),
            command=command,
            code=3,
            lines=(
                "runs/frame/config.resolved.yaml:2:9: the table of this run was a DataFrame, "
                f"which it does not keep; {remedy}",
            ),
        )
        for command, remedy in {
            "evaluate --run runs/frame": "name a CSV to score",
            "train --resume runs/frame": "train again with ml2021.train",
            "surface --run runs/frame": "train on a file of it for this",
            "check runs/frame/config.resolved.yaml": "set data.path to a file that holds it",
        }.items()
    ),
    *(
        Case(
            numbers=(44,),
            name=f"a model saved from Python: {command}",
            given=(train_on_a_frame,),
            command=command,
            code=4,
            lines=(f"member: a model saved from Python, without {what}",),
        )
        for command, what in {
            "report --run member": "the history that a report shows; see the function with: "
            "ml2021 explore --run member",
            "train --resume member": "what training resumes from; train again, or start from its "
            "parameters with --init-from member",
            "compare member": "scores; score it with: ml2021 evaluate CSV --run member",
        }.items()
    ),
    Case(
        numbers=(44,),
        name="scores of a model saved from Python",
        given=(train_on_a_frame,),
        command="evaluate train.csv --run member",
        code=0,
    ),
    Case(
        numbers=(44,),
        name="intervals of one member of an ensemble",
        given=(train_on_a_frame,),
        command="predict new.csv --run member --interval 0.5",
        code=2,
        lines=("--interval: a member of an ensemble has no intervals; use the whole ensemble",),
    ),
]
