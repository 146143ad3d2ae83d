"""The command `compare`: which runs make one line, which is best, and what cannot be compared."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from ml2021.config.schema import Config
from ml2021.evaluation.comparison import (
    ComparedRun,
    RunResult,
    best_of,
    comparison_table,
    group,
    shared_baselines,
)
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import SplitScores
from ml2021.files import FORMAT_VERSION
from ml2021.runs.directory import create_run
from tests.commands import refusal, run_well, table, write_rows

CONFIG = """\
data: {path: t.csv, target: y, features: [a, b]}
model: {widths: [4]}
train: {epochs: 2}
device: cpu
"""
RUNS = {
    "a": [],
    "b": ["seed=1"],
    "c": ["optimizer.lr=0.01"],
    "other": ["data.split.seed=1"],
    "classes": ["data.target=kind"],
    "untested": ["data.split.test=0.0"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    write_rows(folder / "t.csv", table(100))
    (folder / "c.yaml").write_text(CONFIG)
    for name, overrides in RUNS.items():
        options = [option for text in overrides for option in ("--set", text)]
        run_well(folder, "train", "--config", "c.yaml", "--run-dir", name, "--quiet", *options)
    return folder


def scores(folder: Path, name: str, part: str = "test") -> dict[str, float]:
    summary = json.loads((folder / name / "summary.json").read_text())
    found: dict[str, float] = summary["scores"][part]["scores"]
    return found


def compared(folder: Path, *names: str) -> dict[str, Any]:
    outcome = run_well(folder, "compare", *names, "--json")
    assert outcome.stdout.count("\n") == 1
    result: dict[str, Any] = json.loads(outcome.stdout)
    return result


def test_runs_that_differ_in_the_seed_alone_make_one_line(folder: Path) -> None:
    result = compared(folder, "a", "c", "b")
    assert (result["split"], result["task"], result["same_rows"]) == ("test", "regression", True)
    assert [each["runs"] for each in result["groups"]] == [["a", "b"], ["c"]]
    assert [each["seeds"] for each in result["groups"]] == [[0, 1], [0]]
    assert [each["settings"] for each in result["groups"]] == [
        {"optimizer.lr": "0.002"},
        {"optimizer.lr": "0.01"},
    ]
    values = [scores(folder, name)["mae"] for name in ("a", "b")]
    assert result["groups"][0]["scores"]["mae"] == {"mean": mean(values), "std": stdev(values)}
    assert result["groups"][1]["scores"]["mae"] == {"mean": scores(folder, "c")["mae"], "std": None}
    means = [each["scores"]["mae"]["mean"] for each in result["groups"]]
    assert result["best"]["mae"] == means.index(min(means))
    r2 = [each["scores"]["r2"]["mean"] for each in result["groups"]]
    assert result["best"]["r2"] == r2.index(max(r2))


def test_the_table_has_the_spread_a_star_and_the_baselines(folder: Path) -> None:
    lines = run_well(folder, "compare", "a", "b", "c").stdout.splitlines()
    assert lines[0].split() == ["run", "optimizer.lr", "n", "parameters", "MAE", "RMSE", "R2"]
    assert lines[1].startswith("a and 1 more")
    assert lines[1].count("±") == 3
    assert sum(line.count("*") for line in lines) == 3
    assert lines[4].startswith("baselines, 20 test rows")
    assert lines[5].startswith("mean")


def test_a_run_named_twice_counts_once(folder: Path) -> None:
    assert compared(folder, "a", str(folder / "a"), "a", "c") == compared(folder, "a", "c")


def test_without_test_rows_in_all_validation_is_compared(folder: Path) -> None:
    result = compared(folder, "a", "untested")
    assert result["split"] == "validation"
    assert result["groups"][0]["scores"]["mae"]["mean"] == scores(folder, "a", "validation")["mae"]


def test_other_rows_are_said_and_nothing_is_marked(folder: Path) -> None:
    outcome = run_well(folder, "compare", "a", "other")
    assert "scored on different test rows" in outcome.stderr
    assert "*" not in outcome.stdout
    assert "baselines" not in outcome.stdout
    result = compared(folder, "a", "other")
    assert result["same_rows"] is False
    assert set(result["best"].values()) == {None}


def test_what_cannot_be_compared_is_refused(folder: Path) -> None:
    code, line = refusal(folder, "compare", "a", "classes")
    assert code == 2
    assert line == (
        "classes: its task is classification, but that of a is regression; compare runs of one task"
    )
    assert refusal(folder, "compare", "a", "nowhere")[0] == 4
    create_run(folder / "half", "half")
    resolved = f"{CONFIG}task: regression\nloss: mse\n"
    (folder / "half" / "config.resolved.yaml").write_text(resolved)
    code, line = refusal(folder, "compare", "a", "half")
    assert code == 4
    assert line == "half: not finished; resume it with: ml2021 train --resume half"
    (folder / "half" / "summary.json").write_text(
        f'{{"format_version": {FORMAT_VERSION}, "task": "number"}}'
    )
    code, line = refusal(folder, "compare", "half")
    assert code == 4
    assert "damaged" in line


def test_a_sweep_stands_for_its_runs(folder: Path) -> None:
    (folder / "s.yaml").write_text(
        CONFIG + "sweep: {grid: {optimizer.lr: [0.002, 1e300], seed: [0, 1]}}\n"
    )
    run_well(folder, "sweep", "--config", "s.yaml", "--run-dir", "s", "--jobs", 1, "--quiet")
    outcome = run_well(folder, "compare", "s")
    assert "s: 2 unfinished or failed runs left out" in outcome.stderr
    one, two = compared(folder, "s", "a", "b")["groups"]  # the same configs and seeds twice
    assert [one["runs"], two["runs"]] == [["s run 1", "s run 2"], ["a", "b"]]
    assert one["scores"]["mae"]["mean"] == pytest.approx(
        mean(scores(folder, name)["mae"] for name in ("a", "b")), rel=1e-3
    )


def compared_run(name: str, mae: float | None, **keys: object) -> ComparedRun:
    config = Config.model_validate({"data": {"path": "a.csv", "target": "y"}, **keys})

    def scores(mae: float | None) -> Scores:
        return {"mae": mae, "rmse": 1.0, "r2": None}

    test = SplitScores(
        rows=5,
        truth_sha256="x",
        scores=scores(mae),
        baselines={"mean": scores(3.0), "least_squares": scores(mae)},
    )
    return ComparedRun(
        name,
        {},
        RunResult(
            config=config,
            task="regression",
            parameters=10,
            epochs=1,
            best_epoch=1,
            splits={"test": test},
        ),
    )


def test_runs_of_one_config_and_seed_have_a_row_each() -> None:
    groups = group([compared_run(name, 1.0) for name in "abc"])
    assert [[run.name for run in each.runs] for each in groups] == [["a"], ["b"], ["c"]]
    others = [compared_run(name, 1.0, seed=1) for name in "de"]
    groups = group([*groups[0].runs, *others])
    assert [[run.name for run in each.runs] for each in groups] == [["a", "d"], ["e"]]


def test_without_settings_all_keys_that_differ_are_shown_else_those_that_tell_apart() -> None:
    runs = [
        compared_run("a", 1.0, preset="best", train={"members": 8, "epochs": 9}),
        compared_run("b", 1.0, preset="fast", train={"members": 3, "epochs": 9}),
    ]
    assert list(group(runs)[0].settings) == ["preset", "train.members"]
    swept = [replace(run, settings={"preset": run.result.config.preset}) for run in runs]
    assert list(group(swept)[0].settings) == ["preset"]


def test_keys_that_only_some_models_have_are_shown_too() -> None:
    groups = group(
        [
            compared_run(
                "a", 1.0, model="linear", data={"path": "a.csv", "target": "y", "lags": 1}
            ),
            compared_run("b", 2.0, model="linear"),
            compared_run("c", 3.0, model={"type": "sigmoid_sum", "units": 10}),
            compared_run("d", 4.0, model={"type": "sigmoid_sum", "units": 20}, device="cpu"),
        ]
    )
    assert list(groups[0].settings) == [
        "data.lags",
        "model.type",
        "model.units",
        "model.activation",
    ]
    assert [each.settings["model.units"] for each in groups] == ["", "", "10", "20"]


def test_an_undefined_score_is_never_the_best() -> None:
    groups = group([compared_run("a", None), compared_run("b", 2.0, model="linear")])
    assert best_of(groups, "test", "mae") == 1
    assert best_of(groups[:1], "test", "mae") is None
    table = comparison_table(groups, [("test", "mae")], marked=[("test", "mae")])
    assert table[1].split()[-1] == "-"
    assert table[2].endswith("2.000 *")


def test_only_answers_that_all_share_are_shown() -> None:
    groups = group([compared_run("a", 1.0), compared_run("b", 2.0, model="linear")])
    assert shared_baselines(groups, "test") == {"mean": {"mae": 3.0, "rmse": 1.0, "r2": None}}
