"""The commands from the command line: files, output, exit codes and errors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ml2021.engine.hardware import choose_threads
from ml2021.engine.networks import relu_stack
from ml2021.formatting import echo
from tests import commands
from tests.commands import contents, refusal, run, run_apart, run_well, write_rows

ROOT = Path(__file__).parent.parent
DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\n"
REGRESSION = f"data: {{path: train.csv, target: y, exclude: [id, kind, p*]}}\n{SMALL}"
RUNS = {
    "regression": REGRESSION,
    "classes": f"data: {{path: train.csv, target: kind, exclude: [id, y, p*]}}\n{SMALL}",
    "structured": "data: {path: train.csv, target: 'p*', target_shape: [2, 3], "
    f"exclude: [id, y, kind]}}\n{SMALL}",
    "lags": "data: {path: series.csv, target: views, exclude: [date], lags: 7, horizon: 3}\n"
    f"loss: mae\n{SMALL}",
}

RUN_FILES = {
    "ml2021.tag",
    "config.yaml",
    "config.resolved.yaml",
    "environment.json",
    "metrics.csv",
    "summary.json",
    "checkpoints/best.safetensors",
    "checkpoints/last.safetensors",
}


def prepare(folder: Path) -> Path:
    write_rows(folder / "train.csv", commands.table(120))
    write_rows(folder / "new.csv", commands.table(30, seed=1))
    write_rows(folder / "series.csv", commands.series(80))
    for name, text in RUNS.items():
        (folder / f"{name}.yaml").write_text(text + "preset: fast\n")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four configs, their tables, and a run of each."""
    folder = prepare(tmp_path_factory.mktemp("trained"))
    for name in RUNS:
        outcome = run_well(folder, "train", "--config", f"{name}.yaml")
        assert outcome.stdout == f"runs/{name}-1\n"
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def summary_of(folder: Path, name: str) -> dict[str, object]:
    summary = json.loads((folder / "runs" / f"{name}-1" / "summary.json").read_text())
    assert isinstance(summary, dict)
    return summary


# Files of a run.


@pytest.mark.parametrize("name", RUNS)
def test_the_files_of_a_run(trained: Path, name: str) -> None:
    run_folder = trained / "runs" / f"{name}-1"
    assert set(contents(run_folder)) == RUN_FILES
    assert (run_folder / "config.yaml").read_text() == (trained / f"{name}.yaml").read_text()
    environment = json.loads((run_folder / "environment.json").read_text())
    data = "series.csv" if name == "lags" else "train.csv"
    assert environment["data"] == str(trained / data)
    assert environment["data_sha256"] == contents(trained)[data]
    assert environment["command"][1:] == ["train", "--config", f"{name}.yaml", "--no-report"]


@pytest.mark.parametrize("name", RUNS)
def test_the_summary_of_a_run(trained: Path, name: str) -> None:
    summary = summary_of(trained, name)
    expected = {
        *("task", "parameters", "split", "left_out", "epochs", "stopped_early", "best_epoch"),
        *("seconds", "rows_per_second", "scores", "format_version"),
    }
    expected |= {"classes" if name == "classes" else "interval"}
    assert set(summary) - {"notes"} == expected
    tasks = {"regression": "regression", "classes": "classification"}
    assert summary["task"] == tasks.get(name, "structured")
    assert summary["epochs"] == 3
    split, scores = summary["split"], summary["scores"]
    assert isinstance(split, dict)
    assert isinstance(scores, dict)
    assert list(scores) == ["train", "validation", "test"]
    assert [scores[name]["rows"] for name in scores] == [split[name] for name in scores]
    if name == "classes":
        assert summary["classes"] == ["high", "low", "middle"]
        assert split["method"] == "stratified"
    if name == "lags":
        # 71 windows: 14 for testing, 7 for validation; 2 before each split would overlap it.
        assert split == {"method": "sequential", "train": 48, "validation": 5, "test": 14}
        assert "previous_value" in scores["test"]["baselines"]


def test_metrics_csv_has_a_line_per_epoch(trained: Path) -> None:
    rows = commands.read_rows(trained / "runs" / "classes-1" / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == [
        *("epoch", "updates", "lr", "train_loss", "validation_loss"),
        *("validation_accuracy", "validation_balanced_accuracy", "validation_macro_f1"),
        *("validation_log_loss", "validation_auroc"),
    ]
    assert {row["validation_auroc"] for row in rows} == {""}
    # Both are the cross-entropy, one computed in float32.
    assert [float(row["validation_loss"]) for row in rows] == pytest.approx(
        [float(row["validation_log_loss"]) for row in rows], rel=1e-5
    )


@pytest.mark.parametrize(("loss", "metric", "power"), [("mae", "mae", 1), ("mse", "rmse", 2)])
def test_losses_are_in_the_units_of_the_data(
    fresh: Path, loss: str, metric: str, power: int
) -> None:
    settings = ("--set", f"loss={loss}", "--run-dir", "run")
    outcome = run_well(fresh, "train", "--config", "regression.yaml", *settings)
    for row in commands.read_rows(fresh / "run" / "metrics.csv"):
        score = float(row[f"validation_{metric}"])
        assert float(row["validation_loss"]) == pytest.approx(score**power, rel=1e-5)
    assert re.search(rf" on 24 test rows: {metric.upper()} ", outcome.stderr)


def test_training_describes_the_data_and_the_result(fresh: Path) -> None:
    lines = run_well(fresh, "train", "--config", "classes.yaml").stderr.splitlines()
    assert lines[0] == "config, where it is not the default:"
    assert "  preset: fast" in lines
    assert "  loss:" not in "\n".join(lines)
    for facts in (
        ("classification of kind", "high, low, middle", "84 train", "12 validation", "24 test"),
        ("standardised", "a, b"),
        ("one-hot", "colour (3)"),
        ("relu_stack", "5 → 8 → 3", "75 parameters", DEVICE),
        (" on 24 test rows: accuracy ",),
        ("ml2021 train --config classes.yaml --set ",),
    ):
        assert any(all(fact in line for fact in facts) for line in lines), facts


def test_a_second_run_gets_the_next_number_and_a_named_one_its_name(fresh: Path) -> None:
    train = ("train", "--quiet", "--config", "regression.yaml", "--set", "train.epochs=1")
    assert run_well(fresh, *train).stdout == "runs/regression-1\n"
    before = contents(fresh / "runs" / "regression-1")
    assert run_well(fresh, *train).stdout == "runs/regression-2\n"
    assert run_well(fresh, *train, "--run-dir", "deep/here").stdout == "deep/here\n"
    assert contents(fresh / "runs" / "regression-1") == before
    assert set(contents(fresh / "deep" / "here")) - {"report.html"} == RUN_FILES


# Determinism.


def test_the_same_seed_gives_the_same_bytes_wherever_it_is_run(
    trained: Path, tmp_path: Path
) -> None:
    elsewhere = prepare(tmp_path)
    (elsewhere / "renamed.csv").write_bytes((elsewhere / "train.csv").read_bytes())
    for name, path in (("regression", "renamed.csv"), ("classes", "train.csv")):
        override = f"data.path={path}"
        run_well(elsewhere, "train", "--quiet", "--config", f"{name}.yaml", "--set", override)
        first = contents(trained / "runs" / f"{name}-1")
        again = contents(elsewhere / "runs" / f"{name}-1")
        for file in ("checkpoints/best.safetensors", "checkpoints/last.safetensors", "metrics.csv"):
            assert again[file] == first[file], (name, file)


def test_another_seed_gives_other_bytes_on_the_same_rows(trained: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    run_well(folder, "train", "--quiet", "--config", "regression.yaml", "--set", "seed=1")
    first = contents(trained / "runs" / "regression-1")
    other = contents(folder / "runs" / "regression-1")
    for file in ("checkpoints/best.safetensors", "checkpoints/last.safetensors", "metrics.csv"):
        assert other[file] != first[file]
    baselines = [
        json.loads((place / "runs" / "regression-1" / "summary.json").read_text())["scores"][
            "test"
        ]["baselines"]
        for place in (trained, folder)
    ]
    assert baselines[0] == baselines[1]


# Scoring a run.


@pytest.mark.parametrize("name", RUNS)
def test_evaluate_prints_one_json_object(trained: Path, name: str) -> None:
    outcome = run_well(trained, "evaluate", "--run", f"runs/{name}-1", "--json")
    assert outcome.stdout.count("\n") == 1
    result = json.loads(outcome.stdout)
    keys = ["run", "split", "rows", "task", "scores", "targets", "baselines", "verdict"]
    assert list(result) == keys
    assert (result["run"], result["split"]) == (f"runs/{name}-1", "test")
    scores = ["mae", "rmse", "r2"]
    if name == "classes":
        scores = ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc"]
        assert result["scores"]["auroc"] is None
    assert list(result["scores"]) == scores
    recorded = summary_of(trained, name)["scores"]
    assert isinstance(recorded, dict)
    test = recorded["test"]
    assert {key: result[key] for key in test if key in result} == {
        key: value for key, value in test.items() if key in result
    }
    assert outcome.stderr.splitlines()[0] == f"run runs/{name}-1"


def test_evaluate_prints_a_table_for_people(trained: Path) -> None:
    outcome = run_well(trained, "evaluate", "--run", "runs/structured-1")
    lines = outcome.stdout.splitlines()
    assert lines[0].split() == ["24", "rows,", "test", "MAE", "RMSE", "R2"]
    assert [line.split()[0] for line in lines[1:5]] == ["network", "mean", "median", "least"]
    assert lines[6].startswith("network, by target")
    assert [line.split()[0] for line in lines[7:13]] == [f"p{pixel}" for pixel in range(6)]
    assert lines[13] == ""
    assert " on 24 test rows: " in lines[14]


def test_evaluate_without_a_run_takes_the_newest(trained: Path) -> None:
    outcome = run_well(trained, "evaluate")
    assert outcome.stderr == "run runs/lags-1\n"


def test_evaluate_scores_another_csv(trained: Path) -> None:
    arguments = ("evaluate", "new.csv", "--run", "runs/regression-1", "--json")
    result = json.loads(run_well(trained, *arguments).stdout)
    assert (result["split"], result["rows"]) == ("new.csv", 30)
    # The same predictions as `predict` makes, scored by hand.
    predicting = ("predict", "new.csv", "--run", "runs/regression-1", "--output", "-")
    predicted = [
        float(row["y"]) for row in commands.parse_rows(run_well(trained, *predicting).stdout)
    ]
    truth = [float(row["y"]) for row in commands.read_rows(trained / "new.csv")]
    errors = [abs(p - t) for p, t in zip(predicted, truth, strict=True)]
    assert result["scores"]["mae"] == pytest.approx(sum(errors) / 30, rel=1e-6)


def test_own_rows_are_known_only_while_the_file_is_the_same(fresh: Path) -> None:
    run_well(fresh, "train", "--quiet", "--config", "regression.yaml")
    write_rows(fresh / "train.csv", commands.table(120, seed=9))
    code, line = refusal(fresh, "evaluate", "--run", "runs/regression-1")
    assert code == 3
    assert line.startswith(f"{fresh}/train.csv: has changed since the run was trained")
    assert run_well(fresh, "evaluate", "train.csv").code == 0


def test_validation_rows_stand_in_for_test_rows(fresh: Path) -> None:
    run_well(
        fresh, "train", "--quiet", "--config", "regression.yaml", "--set", "data.split.test=0.0"
    )
    assert json.loads(run_well(fresh, "evaluate", "--json").stdout)["split"] == "validation"


# Every command in a process of its own, from the installed package.


def test_the_commands_in_their_own_process(fresh: Path) -> None:
    train = run_apart(fresh, "train", "--config", "regression.yaml", "--quiet")
    assert (train.code, train.stdout, train.stderr) == (0, "runs/regression-1\n", "")
    evaluate = run_apart(fresh, "evaluate", "--json")
    assert (evaluate.code, evaluate.stderr.splitlines()[0]) == (0, "run runs/regression-1")
    assert json.loads(evaluate.stdout)["task"] == "regression"
    predict = run_apart(fresh, "predict", "new.csv")
    assert (predict.code, predict.stdout) == (0, "")
    assert predict.stderr.splitlines()[:2] == [
        "run runs/regression-1",
        "new.csv: 30 rows to new.predictions.csv",
    ]
    assert len(commands.read_rows(fresh / "new.predictions.csv")) == 30


@pytest.mark.parametrize(
    ("arguments", "code", "never"),
    [
        (["--help"], 0, ["torch", "pandas", "matplotlib", "pydantic", "numpy", "yaml"]),
        (["train", "--help"], 0, ["torch", "pandas", "matplotlib", "numpy", "yaml"]),
        (["--version"], 0, ["torch", "pandas", "matplotlib", "pydantic"]),
        (["train", "--config", "wrong.yaml"], 2, ["torch", "pandas", "matplotlib"]),
        (["train", "--config", "name.yaml"], 2, ["torch", "pandas", "matplotlib"]),
        (["evaluate", "--run", "nowhere"], 4, ["torch", "pandas", "matplotlib"]),
        (["explore", "nowhere"], 4, ["torch", "pandas", "matplotlib"]),
    ],
)
def test_what_needs_no_torch_does_not_wait_for_it(
    fresh: Path, arguments: list[str], code: int, never: list[str]
) -> None:
    (fresh / "wrong.yaml").write_text(REGRESSION + "optimizer: {learning_rate: 1}\n")
    (fresh / "name.yaml").write_text(REGRESSION.replace("target: y", "target: z"))
    program = f"""
import sys
from ml2021.cli.main import main
sys.argv = ["ml2021", *{arguments!r}]
try:
    main()
finally:
    print(sorted(set({never!r}) & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=fresh,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


# Errors: an exit code, a line, and no files.


def refused_training(
    folder: Path, *arguments: object, config: str = "regression"
) -> tuple[int, str]:
    before = contents(folder)
    outcome = refusal(folder, "train", "--quiet", "--config", f"{config}.yaml", *arguments)
    assert contents(folder) == before
    assert not (folder / "runs").exists()
    return outcome


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "--config", "regression.yaml", "--resume", "runs/x"],
        ["train", "--resume", "runs/x", "--run-dir", "y"],
        ["predict"],
        ["train", "--confg", "regression.yaml"],
        ["trian"],
        ["predict", "new.csv", "--ahead", "-1"],
    ],
    ids=" ".join,
)
def test_2_an_invalid_command_line(fresh: Path, arguments: list[str]) -> None:
    outcome = run(fresh, *arguments)
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert not (fresh / "runs").exists()


def test_3_a_missing_file_is_named_with_its_whole_path(fresh: Path) -> None:
    code, line = refused_training(fresh, "--set", "data.path=deep/no.csv")
    assert code == 3
    assert line.startswith(f"{fresh}/deep/no.csv: ")


def test_4_a_missing_run(fresh: Path) -> None:
    for arguments, place in (
        (("train", "--resume", "nowhere"), "nowhere"),
        (("evaluate", "--run", "nowhere"), "nowhere"),
        (("predict", "new.csv", "--run", "nowhere"), "nowhere"),
        (("evaluate",), "runs"),
    ):
        code, line = refusal(fresh, *arguments)
        assert (code, line.split(": ")[0]) == (4, f"{fresh}/{place}")


def test_5_a_name_that_no_disk_takes(fresh: Path) -> None:
    code, line = refusal(fresh, "evaluate", "--run", "x" * 300)
    assert code in (4, 5)
    assert line.endswith(("File name too long", "no such run directory"))


@pytest.mark.parametrize("validation", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("lr", [1, 3, 10, 1e6])
def test_6_divergence_is_seen_wherever_it_happens(
    fresh: Path, lr: float, momentum: float, validation: float
) -> None:
    """Also after the last update of an epoch, where only outputs are no longer finite."""
    settings = (
        *("--set", f"optimizer={{type: sgd, lr: {lr}, momentum: {momentum}}}"),
        *("--set", "train={epochs: 12, early_stopping: null, schedule: constant}"),
        *("--set", f"data.split.validation={validation}"),
    )
    outcome = run(fresh, "train", "--quiet", "--config", "regression.yaml", *settings)
    assert outcome.code in (0, 6)
    if outcome.code == 6:
        assert outcome.stderr.startswith("training diverged: ")
        assert outcome.stderr.count("\n") == 1


def test_a_number_too_far_from_the_training_rows_is_named(trained: Path) -> None:
    columns = commands.table(30, seed=1)
    columns["a"][4] = 3e38
    write_rows(trained / "far.csv", columns)
    for command in ("evaluate", "predict"):
        code, line = refusal(trained, command, "far.csv", "--run", "runs/regression-1")
        assert code == 3
        assert line.startswith("column 'a': 3e+38 is out of range")


def test_evaluate_refuses_another_split_than_the_one_trained_with(fresh: Path) -> None:
    run_well(fresh, "train", "--quiet", "--config", "regression.yaml", "--run-dir", "run")
    resolved = fresh / "run" / "config.resolved.yaml"
    text = resolved.read_text()
    assert "seed: 0}" in text
    resolved.write_text(text.replace("seed: 0}", "seed: 5}"))
    code, line = refusal(fresh, "evaluate", "--run", "run")
    assert code == 4
    assert line.startswith("run/config.resolved.yaml:")
    assert "data.split.seed is 5, but was 0" in line


def test_no_error_echoes_control_characters(fresh: Path) -> None:
    columns = commands.table(120)
    columns["a"][3] = "\x1b[31mred\x1b[0m" * 20
    write_rows(fresh / "train.csv", columns)
    code, line = refused_training(fresh)
    assert code == 3
    assert "\x1b" not in line
    assert echo("\x1b") in line
    assert len(line) < 250


# Shipped configs.


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shipped_config_trains(path: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    options = ("--set", "train.epochs=1", "--set", "sweep=null", "--run-dir", place, "--quiet")
    outcome = run(ROOT, "train", "--config", path.relative_to(ROOT), *options)
    assert outcome.code == 0, outcome.stderr
    summary = json.loads((place / "summary.json").read_text())
    assert summary["epochs"] == 1
    assert summary["scores"]["train"]["rows"] > 0


def test_configs_ship() -> None:
    assert len(CONFIGS) >= 10


def test_a_small_update_takes_one_thread_and_a_large_one_every_core() -> None:
    cores = len(os.sched_getaffinity(0))
    assert choose_threads(relu_stack(56, 1, [100]), 32) == 1
    assert choose_threads(relu_stack(28, 1, [256] * 3), 4096) == cores
