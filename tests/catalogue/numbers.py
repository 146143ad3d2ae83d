"""83 to 93: what training makes of odd numbers."""

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from ml2021.runs.checkpoints import load_checkpoint
from tests import commands
from tests.catalogue.case import Case, Check, Step, columns, put
from tests.commands import Outcome, read_rows, table, write_rows

REMEDY = "try a smaller optimizer.lr, or train.clip_norm"
NUMBER = "train --quiet --config number.yaml --run-dir run"
SERIES = "train --quiet --config series.yaml --set data.path=panel.csv --set data.group_by=s"
PANEL = put(
    "panel.csv",
    "date,views,s\n"
    + "".join(f"2021-01-{day:02d},{day + 5 * s},{s}\n" for s in range(9) for day in (1, 2, 3)),
)
CLASSES = "train --quiet --config classes.yaml --run-dir run"


def refused(number: int, name: str, line: str, command: str, *given: Step) -> Case:
    """Return the row of a table that cannot be trained on; nothing is left."""
    return Case(numbers=(number,), name=name, given=given, command=command, code=3, lines=(line,))


def trained(
    numbers: tuple[int, ...],
    name: str,
    *given: Step,
    settings: str = "",
    config: str = "number",
    lines: Sequence[str] = (),
    then: tuple[Check, ...] = (),
) -> Case:
    """Return the row of a table that trains, all its losses and scores finite."""
    return Case(
        numbers=numbers,
        name=name,
        given=given,
        command=f"train --config {config}.yaml --run-dir run {settings}",
        code=0,
        lines=tuple(lines),
        leaves=("run",),
        then=(all_finite, *then),
    )


def all_finite(folder: Path, outcome: Outcome) -> None:
    rows = read_rows(folder / "run" / "metrics.csv")
    assert rows
    assert all(math.isfinite(float(cell)) for row in rows for cell in row.values() if cell)
    assert all(row["train_loss"] and row["validation_loss"] for row in rows)
    json.loads((folder / "run" / "summary.json").read_text(), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} in summary.json")


def summary(check: Callable[[dict[str, object]], bool], *keys: str) -> Check:
    """Check something about a part of summary.json."""

    def look(folder: Path, outcome: Outcome) -> None:
        found = json.loads((folder / "run" / "summary.json").read_text())
        for key in keys:
            found = found[key]
        assert check(found), found

    return look


def has_no_best(folder: Path, outcome: Outcome) -> None:
    assert not list((folder / "run" / "checkpoints").iterdir())


def keeps_the_best(folder: Path, outcome: Outcome) -> None:
    """Check that the epoch with the lowest validation loss can still be scored."""
    losses = [float(row["validation_loss"]) for row in read_rows(folder / "run" / "metrics.csv")]
    kept = load_checkpoint(folder / "run" / "checkpoints" / "best.safetensors").description.epoch
    assert losses[kept - 1] == min(losses) < losses[-1]
    commands.run_well(folder, "evaluate", "--run", "run")


def shifted(by: float) -> Step:
    """Write train.csv with a and y moved far from 0."""

    def step(folder: Path) -> None:
        named = table(120)
        for name in ("a", "y"):
            named[name] = [repr(by + float(str(value))) for value in named[name]]
        write_rows(folder / "train.csv", named)

    return step


def scaled(by: float) -> Step:
    """Write train.csv with targets of another size."""

    def step(folder: Path) -> None:
        named = table(120)
        named["y"] = [repr(float(str(value)) * by) for value in named["y"]]
        write_rows(folder / "train.csv", named)

    return step


def digits_that_differ(folder: Path, outcome: Outcome) -> None:
    """Check that predictions near 1e9 show more than the digits that are always the same."""
    arguments = ("predict", "train.csv", "--run", "run", "--output", "-")
    found = commands.run_well(folder, *arguments).stdout
    values = [float(row["y"]) for row in csv.DictReader(found.splitlines())]
    truth = [float(row["y"]) for row in read_rows(folder / "train.csv")]
    errors = [abs(one - other) for one, other in zip(values, truth, strict=True)]
    assert sum(errors) / len(errors) < 8
    assert len(set(values)) > 100


CASES = [
    Case(
        numbers=(83,),
        name="a loss that is not a number",
        command=f"{NUMBER} --set 'optimizer={{type: sgd, lr: 1e30}}'",
        code=6,
        lines=(
            "training diverged: the loss is not a finite number in epoch 1, update {n}; "
            f"{REMEDY}; no checkpoint was saved in run",
        ),
        leaves=("run",),
        then=(has_no_best,),
    ),
    Case(
        numbers=(83,),
        name="a loss that is not a number after good epochs",
        command=f"{NUMBER} --set 'optimizer={{type: sgd, lr: 1.0, momentum: 0.99}}' "
        "--set 'train={epochs: 500, save_seconds: 1e-9, early_stopping: null}'",
        code=6,
        lines=(
            "training diverged: {any} in epoch {n}, update {n}; "
            f"{REMEDY}; the best parameters, of epoch {{n}}, are saved in run",
        ),
        leaves=("run",),
        then=(keeps_the_best,),
    ),
    Case(
        numbers=(84,),
        name="weights at 1e24, and a finite loss",
        command=f"{NUMBER} --set model=linear --set loss=mae "
        "--set 'optimizer={type: sgd, lr: 1e24}' --set train.batch_size=full",
        code=6,
        lines=(
            "training diverged: a parameter exceeds 1e+12 in epoch 1, update 1; "
            f"{REMEDY}; no checkpoint was saved in run",
        ),
        leaves=("run",),
        then=(has_no_best,),
    ),
    trained((85,), "targets of 1e36", scaled(1e34)),
    trained(
        (85,),
        "gradients whose squares overflow",
        settings="--set train.clip_norm=1e-3 --set 'loss={type: huber, delta: 1e30}'",
    ),
    trained(
        (86,),
        "a large mean and a tiny deviation",
        shifted(1e9),
        settings="--set train.epochs=60 --set optimizer.lr=0.05",
        then=(digits_that_differ,),
    ),
    trained(
        (87,),
        "a constant column",
        columns("train.csv", 120, 0, a=[0.1] * 120),
        lines=("  - excluded: a (constant in the training rows)",),
    ),
    trained(
        (88,),
        "a constant target",
        columns("train.csv", 120, 0, y=[7.5] * 120),
        lines=("  - target y is constant in the training rows; R2 is undefined",),
        then=(summary(lambda scores: scores["r2"] is None, "scores", "test", "scores"),),
    ),
    refused(
        89,
        "a single row",
        "1 of 1 row can be used; training needs at least 2",
        NUMBER,
        columns("train.csv", 1, 0),
    ),
    trained(
        (90,),
        "fewer rows than a batch",
        columns("train.csv", 10, 0),
        settings="--set train.batch_size=64",
        lines=("training relu_stack, {any}, 1 update per epoch",),
    ),
    refused(
        91,
        "a single class",
        "column 'kind': every training row has the class 'low'; classification needs at least two",
        CLASSES,
        columns("train.csv", 120, 0, kind=["low"] * 120),
    ),
    trained(
        (92,),
        "probabilities of 0 and 1",
        config="classes",
        settings="--set model=linear --set 'optimizer={type: sgd, lr: 1e6}'",
    ),
    trained(
        (92,),
        "sigmoids that overflow",
        settings="--set 'model={type: sigmoid_sum, units: 8}' --set loss=mae "
        "--set 'optimizer={type: sgd, lr: 1e4}'",
    ),
    refused(
        93,
        "a fraction that gives no row",
        "data.split.validation: 0.001 of 120 rows is less than one row; "
        "set data.split.validation: 0.0083, or 0.0 for none",
        f"{NUMBER} --set data.split.validation=0.001",
    ),
    refused(
        93,
        "fewer groups than parts",
        "data.group_by: 2 groups cannot be divided into train, validation, test; set "
        "data.split.validation: 0.0, or set data.split.test: 0.0",
        f"{NUMBER} --set data.group_by=kind",
        columns("train.csv", 120, 0, kind=["a", "b"] * 60),
    ),
    refused(
        93,
        "fewer dates than parts",
        "data.order_by: 2 values cannot be divided into train, validation, test; set "
        "data.split.validation: 0.0, or set data.split.test: 0.0",
        f"{SERIES} --set data.order_by=date --set data.lags=1",
        PANEL,
    ),
    refused(
        93,
        "series too short for a fraction",
        "data.split.validation: 0.1 of the 2 rows of the longest series is less than one row; "
        "set data.split.validation: 0.0",
        f"{SERIES} --set data.lags=1 --set data.split.test=0.3",
        PANEL,
    ),
    refused(
        93,
        "fewer groups than folds",
        "data.split.folds: 10 folds need at least 10 groups of data.group_by, not 3; lower it, or "
        "remove data.group_by",
        f"{NUMBER} --set data.group_by=kind --set data.split=kfold",
    ),
    refused(
        93,
        "folds that leave a single group",
        "data.split.folds: with 2 folds of 3 groups one fold leaves a single group to train and "
        "validate; raise it, or set data.split.validation to 0.0",
        f"{NUMBER} --set data.group_by=kind --set 'data.split={{method: kfold, folds: 2}}'",
    ),
    refused(
        93,
        "a column that divides a group",
        "column 'part', used as data.split.column, divides group 'red' of data.group_by between "
        "train and test; give all its rows one part, or remove data.group_by",
        f"{NUMBER} --set data.group_by=colour --set 'data.split={{method: column, column: part}}'",
        columns("train.csv", 120, 0, colour=["red"] * 120, part=["train", "test"] * 60),
    ),
    Case(
        numbers=(93,),
        name="a fraction of 0",
        command=f"{NUMBER} --set data.split.validation=0.0 --set data.split.test=0.0",
        code=0,
        leaves=("run",),
        then=(summary(lambda split: split["train"] == 120, "split"),),
    ),
]
