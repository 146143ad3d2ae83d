"""Cross-validation from the command: every score beside one that is found in another way."""

import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from ml2021.data.load import TrainingData
from ml2021.data.samples import Folds
from ml2021.engine.build import build_hyperparameters, build_network
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit_members
from ml2021.engine.hardware import worth_dividing
from ml2021.engine.losses import Mse
from ml2021.engine.networks import relu_stack
from ml2021.engine.optimizers import Adam
from ml2021.engine.schedules import Constant
from ml2021.engine.state import Hyperparameters, start
from ml2021.evaluation import intervals as conformal
from ml2021.evaluation.confusion import Confusion
from ml2021.runs.checkpoints import load_checkpoint
from ml2021.training.cross_validation import stack_folds
from ml2021.training.trainer import to_dataset
from tests import commands
from tests.commands import contents, parse_rows, read_rows, refusal, run, run_well, write_rows
from tests.tables import load
from tests.test_resume import stop

ROWS, FOLDS = 122, 4
SPLIT = f"split: {{method: kfold, folds: {FOLDS}}}"
NUMBER = f"data: {{path: train.csv, target: y, exclude: [id, kind, p*], {SPLIT}}}\npreset: fast\n"
CLASSES = f"data: {{path: train.csv, target: kind, exclude: [id, y, p*], {SPLIT}}}\npreset: fast\n"
SMALL = "model: {type: relu_stack, widths: [8]}\n"
CONSTANT = "train: {epochs: 12, schedule: constant, save_seconds: 1e-9}\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    write_rows(folder / "train.csv", commands.table(ROWS))
    write_rows(folder / "other.csv", commands.table(30, seed=1))
    (folder / "number.yaml").write_text(NUMBER + SMALL + CONSTANT)
    (folder / "classes.yaml").write_text(CLASSES + SMALL + CONSTANT.replace("12", "5"))
    for name in ("number", "classes"):
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    return folder


def problem_of(runs: Path) -> TrainingData:
    return load(runs / "train.csv", "  target: y", "  exclude: [id, kind, p*]", f"  {SPLIT}")


def folds_of(runs: Path) -> Folds:
    folds = problem_of(runs).folds
    assert folds is not None
    return folds


def found_in(run: Path) -> dict[str, Any]:
    found = json.loads((run / "summary.json").read_text())["cross_validation"]
    assert isinstance(found, dict)
    return found


def fold_column(run: Path, name: str) -> np.ndarray:
    return np.array([row[name] for row in read_rows(run / "folds.csv")], float)


def test_scores_are_the_means_of_the_folds_with_their_standard_errors(runs: Path) -> None:
    found = found_in(runs / "number")
    assert (found["folds"], found["rows"]) == (FOLDS, ROWS)
    assert fold_column(runs / "number", "held_out").tolist() == [31, 31, 30, 30]
    for score in ("mae", "rmse", "r2"):
        values = fold_column(runs / "number", score)
        assert found["scores"][score] == pytest.approx(values.mean())
        error = values.std(ddof=1) / FOLDS**0.5
        assert found["standard_errors"][score] == pytest.approx(error)
    weights = fold_column(runs / "number", "held_out")
    mae = float((fold_column(runs / "number", "mae") * weights).sum() / ROWS)
    assert found["pooled"]["rows"] == ROWS
    assert found["pooled"]["scores"]["mae"] == pytest.approx(mae)


def test_a_fold_of_its_own_size_is_named_alone(runs: Path, tmp_path: Path) -> None:
    settings = ("data.split={method: kfold, folds: 3}", "train.epochs=1")
    options = [option for text in settings for option in ("--set", text)]
    place = ("--config", "number.yaml", "--run-dir", str(tmp_path / "run"))
    said = run_well(runs, "train", *place, *options).stderr
    assert "\nfolds 1 to 2: 2 side by side, 73 training rows each, " in said
    assert "\nfold 3: 74 training rows, " in said


def test_baselines_are_fitted_in_each_fold(runs: Path) -> None:
    folds = folds_of(runs)
    squares, means = [], []
    for index in range(FOLDS):
        fold = folds.load(index)
        fitted = LinearRegression().fit(fold.train.inputs[:, :-1], fold.train.values)
        predicted = fitted.predict(fold.held_out.inputs[:, :-1])
        squares.append(np.abs(predicted - fold.held_out.values).mean())
        means.append(np.abs(fold.train.values.mean() - fold.held_out.values).mean())
    assert fold_column(runs / "number", "least_squares_mae") == pytest.approx(squares, rel=1e-5)
    assert fold_column(runs / "number", "mean_mae") == pytest.approx(means)
    found = found_in(runs / "number")
    assert found["baselines"]["least_squares"]["mae"] == pytest.approx(np.mean(squares), rel=1e-5)
    error = np.std(squares, ddof=1) / FOLDS**0.5
    errors = found["baseline_standard_errors"]["least_squares"]
    assert errors["mae"] == pytest.approx(error, rel=1e-4)


def test_the_final_model_is_that_of_all_rows_and_the_median_epoch(runs: Path) -> None:
    found = found_in(runs / "number")
    best = [epoch for fold in found["best_epochs"] for epoch in fold]
    assert found["final_epochs"] == int(np.median(best) + 0.5)
    assert len(read_rows(runs / "number" / "metrics.csv")) == found["final_epochs"]
    whole = NUMBER.replace(SPLIT, "split: {validation: 0.0, test: 0.0}") + SMALL
    (runs / "whole.yaml").write_text(whole + CONSTANT)
    epochs = f"train.epochs={found['final_epochs']}"
    if not (runs / "whole").exists():
        run_well(
            runs,
            "train",
            "--quiet",
            "--config",
            "whole.yaml",
            "--run-dir",
            "whole",
            "--set",
            epochs,
        )
    final, other = (
        load_checkpoint(runs / name / "checkpoints" / "best.safetensors")
        for name in ("number", "whole")
    )
    assert torch.equal(final.tensors["theta"], other.tensors["theta"])
    assert final.description.preprocessing == other.description.preprocessing


def test_evaluate_tells_the_folds_and_keeps_its_keys(runs: Path) -> None:
    found = found_in(runs / "number")
    said = json.loads(run_well(runs, "evaluate", "--run", "number", "--json").stdout)
    plain = json.loads(run_well(runs, "evaluate", "other.csv", "--run", "number", "--json").stdout)
    assert set(said) == set(plain) | {"cross_validation"}
    assert (said["split"], said["rows"]) == ("folds", ROWS)
    assert said["scores"] == found["scores"]
    assert said["baselines"] == found["baselines"]
    assert said["cross_validation"] == found
    lines = run_well(runs, "evaluate", "--run", "number").stdout.splitlines()
    assert lines[0].split() == [
        f"{ROWS}",
        "rows,",
        "each",
        "held",
        "out",
        "once",
        "MAE",
        "RMSE",
        "R2",
    ]
    assert [line.split()[0] for line in lines[1:5]] == ["network", "mean", "median", "least"]
    assert all(line.count("±") == 3 for line in lines[1:5])
    assert lines[5] == f"mean ± standard error over {FOLDS} folds"


def test_intervals_are_calibrated_on_held_out_rows(runs: Path) -> None:
    summary = json.loads((runs / "number/summary.json").read_text())
    assert summary["interval"]["calibrated_on"] == "folds"
    assert summary["interval"]["rows"] == ROWS
    rows = parse_rows(
        run_well(
            runs, "predict", "other.csv", "--run", "number", "--interval", "0.9", "--output", "-"
        ).stdout
    )
    half = (float(rows[0]["y_high"]) - float(rows[0]["y_low"])) / 2
    levels = {level["level"]: level["half_width"]["y"] for level in summary["interval"]["levels"]}
    assert half == pytest.approx(levels[0.9], rel=1e-5)
    kept = load_checkpoint(runs / "number/checkpoints/best.safetensors").tensors["residuals"]
    assert float(kept[conformal.rank(ROWS, 0.9) - 1]) == levels[0.9]
    assert float(kept.mean()) == pytest.approx(found_in(runs / "number")["pooled"]["scores"]["mae"])


def test_classes_are_counted_once_each(runs: Path) -> None:
    found = found_in(runs / "classes")
    confusion = Confusion.model_validate_json(json.dumps(found["pooled"]["confusion"]))
    assert confusion.table().sum() == sum(confusion.rows) == ROWS
    accuracy = np.trace(confusion.table()) / ROWS
    assert found["pooled"]["scores"]["accuracy"] == pytest.approx(accuracy)
    assert found["standard_errors"]["accuracy"] > 0
    assert "interval" not in json.loads((runs / "classes/summary.json").read_text())


def test_a_test_file_is_scored_by_the_final_model(runs: Path) -> None:
    config = NUMBER.replace("target", "test_path: other.csv, target")
    (runs / "tested.yaml").write_text(config + SMALL + CONSTANT.replace("12", "3"))
    run_well(runs, "train", "--quiet", "--config", "tested.yaml", "--run-dir", "tested")
    said = json.loads(run_well(runs, "evaluate", "--run", "tested", "--json").stdout)
    assert (said["split"], said["rows"]) == ("test", 30)
    assert said["cross_validation"] == found_in(runs / "tested")
    assert run_well(runs, "evaluate", "--run", "tested").stdout.count("\nnetwork ") == 2
    summary = json.loads((runs / "tested/summary.json").read_text())
    assert summary["interval"]["levels"][0]["coverage"] is not None


def test_members_of_each_fold_predict_together(runs: Path) -> None:
    (runs / "several.yaml").write_text(NUMBER + SMALL + CONSTANT.replace("12", "3, members: 2"))
    run_well(runs, "train", "--quiet", "--config", "several.yaml", "--run-dir", "several")
    found = found_in(runs / "several")
    assert [len(epochs) for epochs in found["best_epochs"]] == [2] * FOLDS
    assert found["members"]["scores"]["rmse"] > found["scores"]["rmse"]
    assert "one member" in run_well(runs, "evaluate", "--run", "several").stdout


# Parity.


def double(dataset: Dataset) -> Dataset:
    return Dataset(dataset.inputs.double(), dataset.targets.double())


def test_a_fold_of_a_pack_is_the_run_alone_on_its_rows(runs: Path) -> None:
    """float64, at least 200 updates, to 1e-9."""
    data = problem_of(runs)
    folds = [folds_of(runs).load(index) for index in (2, 3)]  # of one size
    network = build_network(data.config.model, *data.preprocessing.sizes)
    alone = build_hyperparameters(
        data.config.model_copy(
            update={"train": data.config.train.model_copy(update={"epochs": 75})}
        )
    )
    assert alone.batches(len(folds[0].train)) * 75 >= 200
    pack = stack_folds(data.config, folds, "train", members=1)
    held = stack_folds(data.config, folds, "validation", members=1)
    together = alone.__class__(**{**vars(alone), "seeds": alone.seeds * 2})
    state = start(network, together, len(pack), double(pack).inputs)
    for _ in fit_members(network, together, state, double(pack), double(held)):
        pass
    for member, fold in enumerate(folds):
        train = double(to_dataset(fold.preprocessing, fold.train, None))
        validation = double(to_dataset(fold.preprocessing, fold.validation, None))
        one = start(network, alone, len(train), train.inputs)
        for _ in fit_members(network, alone, one, train, validation):
            pass
        assert int(one.best_epoch) == int(state.best_epoch[member])
        assert float((one.best[0] - state.best[member]).abs().max()) < 1e-9
        assert float((one.best_loss[0] - state.best_loss[member]).abs()) < 1e-9


# Going on, and refusals.


def assert_same_run(one: Path, other: Path) -> None:
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"environment.json", "summary.json"}
    summaries = [json.loads((path / "summary.json").read_text()) for path in (one, other)]
    for summary in summaries:
        for part in (summary, summary["cross_validation"]):
            part.pop("seconds")
            part.pop("rows_per_second", None)
    assert summaries[0] == summaries[1]


def test_a_run_killed_within_its_folds_ends_as_one_that_was_not(runs: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "train.csv", commands.table(ROWS))
    slow = CONSTANT.replace("12", "25, early_stopping: null, batch_size: 4")
    (tmp_path / "many.yaml").write_text(NUMBER + SMALL + slow)
    run_well(tmp_path, "train", "--quiet", "--config", "many.yaml", "--run-dir", "whole")
    checkpoints = tmp_path / "many" / "checkpoints"
    first = checkpoints / "folds-1.safetensors"
    outcome = stop(tmp_path, "many", first.exists, signal.SIGKILL)
    assert outcome.code == -signal.SIGKILL
    assert not (checkpoints / "last.safetensors").exists()
    assert run(tmp_path, "evaluate", "--run", "many").code == 4
    assert load_checkpoint(first).description.epoch < 25
    outcome = run_well(tmp_path, "train", "--resume", "many")
    assert outcome.stderr.count("resuming many during its cross-validation\n") == 1
    assert_same_run(tmp_path / "many", tmp_path / "whole")


def test_a_run_goes_on_from_its_folds_and_a_finished_one_is_not_touched(
    runs: Path, tmp_path: Path
) -> None:
    place = tmp_path / "number"
    last, best = "checkpoints/last.safetensors", "checkpoints/best.safetensors"
    for removed in (["summary.json"], ["summary.json", "folds.csv", last, best]):
        shutil.copytree(runs / "number", place)
        for name in removed:
            (place / name).unlink()
        run_well(runs, "train", "--quiet", "--resume", place)
        assert_same_run(place, runs / "number")
        shutil.rmtree(place)
    before = contents(runs / "number")
    outcome = run_well(runs, "train", "--resume", "number")
    assert outcome.stderr.splitlines()[-1].endswith("nothing to do")
    assert contents(runs / "number") == before


def test_the_length_of_the_final_model_is_the_folds_to_say(runs: Path) -> None:
    before = contents(runs / "number")
    said = refusal(runs, "train", "--resume", "number", "--set", "train.epochs=99")
    assert said == (
        2,
        "--set train.epochs=99: with kfold the folds determine the number of epochs; "
        "start a new run",
    )
    assert contents(runs / "number") == before


def test_a_fold_that_diverges_is_named(runs: Path) -> None:
    outcome = run(
        runs, "train", "--quiet", "--config", "number.yaml", "--run-dir", "wild",
        "--set", "optimizer={type: sgd, lr: 1e30}",
    )  # fmt: skip
    assert outcome.code == 6
    assert outcome.stderr.startswith("training diverged: ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("split", "code", "line"),
    [
        ("{method: kfold, folds: 500}", 3, "data.split.folds: 500 folds "),
        ("{method: kfold, folds: 1}", 2, "--set data.split: "),
        ("{method: kfold, test: 0.1}", 2, "--set data.split: "),
        ("{method: kfold, validation: 0.001}", 3, "data.split.validation: 0.001 of the 109 rows "),
    ],
)
def test_folds_that_cannot_be(runs: Path, split: str, code: int, line: str) -> None:
    said = refusal(
        runs, "train", "--config", "number.yaml", "--run-dir", "never", "--quiet",
        "--set", f"data.split={split}",
    )  # fmt: skip
    assert said[0] == code
    assert said[1].startswith(line), said[1]
    assert not (runs / "never").exists()


def test_runs_with_folds_are_compared_by_their_held_out_rows(runs: Path) -> None:
    linear = NUMBER + "model: linear\n" + CONSTANT
    (runs / "linear.yaml").write_text(linear)
    run_well(runs, "train", "--quiet", "--config", "linear.yaml", "--run-dir", "linear")
    said = run_well(runs, "compare", "number", "linear")
    assert "baselines, 122 held-out rows" in said.stdout, said.stdout
    assert "NOT the same" not in said.stderr


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("train.members=2", "--set train.members: a sweep trains one network per run; "),
        (
            "data.split.method=kfold",
            "--set data.split.method: a sweep selects by validation score, ",
        ),
    ],
)
def test_a_sweep_has_neither_folds_nor_members(runs: Path, setting: str, line: str) -> None:
    plain = NUMBER.replace(f", {SPLIT}", "") + SMALL + "sweep: {grid: {seed: [0, 1]}}\n"
    (runs / "sweep.yaml").write_text(plain)
    code, said = refusal(
        runs, "sweep", "--config", "sweep.yaml", "--set", setting, "--run-dir", "never"
    )
    assert code == 2
    assert said.startswith(line), said
    assert not (runs / "never").exists()


def test_a_small_final_model_is_not_divided_among_ranks() -> None:
    ranks: Any = SimpleNamespace(size=2)

    def found(widths: list[int], members: int) -> Any:
        hparams = Hyperparameters(
            loss=Mse(),
            optimizer=Adam(0.001),
            schedule=Constant(),
            epochs=1,
            batch_size=512,
            clip_norm=None,
            patience=None,
            seeds=tuple(range(members)),
        )
        return worth_dividing(ranks, relu_stack(28, 1, widths), hparams, 10_000)

    assert found([100], 1) is None
    assert found([100], 2) is ranks  # each trains one of them
    assert found([512, 512], 1) is ranks
