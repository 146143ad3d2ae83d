"""The verdict: what it says of functions whose worth is known, and of the tables that fooled it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml2021.evaluation import metrics
from ml2021.evaluation.verdict import Metric, Verdict, judge, metrics_to_judge, student_quantile
from tests.commands import run_well, write_rows

Values = NDArray[np.float64]


def verdict_of(
    network: Values,
    baseline: Values,
    order: tuple[Metric, ...] = ("rmse", "mae"),
    *,
    weights: Values | None = None,
    clusters: NDArray[np.int64] | None = None,
    is_ordered: bool = False,
) -> Verdict:
    """Return the verdict on errors (N,)."""
    truth = np.zeros((len(network), 1))
    predictions = {"network": network[:, None], "line": baseline[:, None]}
    scores = {name: metrics.regression_scores(truth, p) for name, p in predictions.items()}
    found = judge(
        order, truth, predictions, scores, weights=weights, clusters=clusters, is_ordered=is_ordered
    )
    assert found is not None
    return found


def classes_of(
    truth: NDArray[np.int64], network: Values, baseline: Values, loss: str = "cross_entropy"
) -> Verdict:
    """Return the verdict on probabilities (N, C)."""
    each = {"network": network, "line": baseline}
    predictions = {name: metrics.class_answers(truth, p) for name, p in each.items()}
    scores = {name: metrics.scores_of_answers(answers) for name, answers in predictions.items()}
    found = judge(metrics_to_judge(loss, truth), truth, predictions, scores)
    assert found is not None
    return found


def count(outcome: str, draw: Callable[[np.random.Generator], Verdict], draws: int = 100) -> int:
    random = np.random.default_rng(11)
    return sum(draw(random).outcome == outcome for _ in range(draws))


def errors(random: np.random.Generator, rows: int, correlation: float) -> tuple[Values, Values]:
    first, other = random.normal(size=(2, rows))
    return first, correlation * first + (1 - correlation**2) ** 0.5 * other


@pytest.mark.parametrize("metric", ["rmse", "mae"])
@pytest.mark.parametrize("rows", [20, 90, 1000])
def test_two_functions_of_the_same_expected_error_are_too_close_to_tell(
    metric: Metric, rows: int
) -> None:
    assert (
        count("too close to tell", lambda r: verdict_of(*errors(r, rows, 0.7), order=(metric,)))
        >= 90
    )


@pytest.mark.parametrize("correlation", [0.5, 0.9])
@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_a_function_that_is_a_tenth_better_on_a_thousand_rows_is_better(
    metric: Metric, correlation: float
) -> None:
    def draw(random: np.random.Generator) -> Verdict:
        network, baseline = errors(random, 1000, correlation)
        return verdict_of(0.9 * network, baseline, (metric,))

    assert count("better", draw) >= 90


def test_errors_that_resemble_their_neighbours_widen_the_interval() -> None:
    def draw(random: np.random.Generator, *, is_ordered: bool) -> Verdict:
        both = random.normal(size=(300, 2))
        for row in range(1, len(both)):
            both[row] += 0.8 * both[row - 1]
        return verdict_of(*both.T, is_ordered=is_ordered)

    assert count("too close to tell", lambda r: draw(r, is_ordered=True)) >= 88
    assert count("too close to tell", lambda r: draw(r, is_ordered=False)) <= 75


def test_rows_of_one_cluster_count_as_one() -> None:
    random = np.random.default_rng(0)
    network, baseline = errors(random, 40, 0.2)
    alone = verdict_of(network, baseline)
    copies = np.repeat(np.arange(40), 25)
    repeated = verdict_of(network[copies], baseline[copies], clusters=copies)
    assert repeated.decides.low == pytest.approx(alone.decides.low, rel=1e-9)
    assert repeated.decides.high == pytest.approx(alone.decides.high, rel=1e-9)


def test_a_weight_of_0_is_an_absent_row_and_equal_weights_are_none() -> None:
    network, baseline = errors(np.random.default_rng(0), 60, 0.2)
    expected = verdict_of(network, baseline)
    weighted = verdict_of(network, baseline, weights=np.full(60, 7.0))
    assert weighted.decides.low == pytest.approx(expected.decides.low)
    half = verdict_of(network, baseline, weights=(np.arange(60) < 30).astype(np.float64))
    width = verdict_of(network[:30], baseline[:30]).decides
    assert half.rows == 30
    assert half.decides.high - half.decides.low == pytest.approx(width.high - width.low)


def test_the_interval_is_the_paired_t_interval_of_a_mean() -> None:
    network, baseline = errors(np.random.default_rng(3), 25, 0.4)
    found = verdict_of(network, baseline, ("mae",)).decides
    differences = abs(network) - abs(baseline)
    half = 2.0639 * differences.std(ddof=1) / 5  # 24 degrees of freedom
    expected = (differences.mean() - half, differences.mean() + half)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-4)
    assert found.error == pytest.approx(abs(network).std(ddof=1) / 5)


def test_the_interval_of_an_rmse_is_that_of_a_bootstrap() -> None:
    random = np.random.default_rng(5)
    network, baseline = errors(random, 400, 0.4)
    found = verdict_of(network, baseline).decides
    drawn = random.integers(0, 400, (4000, 400))
    roots = [np.sqrt(np.square(each)[drawn].mean(axis=1)) for each in (network, baseline)]
    assert (found.low, found.high) == pytest.approx(
        np.quantile(roots[0] - roots[1], [0.025, 0.975]), abs=0.01
    )


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (30, 2.042), (1000, 1.962)],
)
def test_the_quantile_is_that_of_the_printed_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, rel=0.01)


def test_a_second_score_that_disagrees_is_named() -> None:
    random = np.random.default_rng(0)
    network = random.normal(size=500) * 0.3
    network[:5] += 15  # few large errors: a lower MAE, a higher RMSE
    found = verdict_of(network, random.normal(size=500), ("mae", "rmse"))
    assert found.outcome == "better"
    assert [each.metric for each in found.disagreeing] == ["rmse"]
    assert any(sentence.startswith("By RMSE it is ") for sentence in found.sentences("test"))
    agreeing = verdict_of(0.5 * random.normal(size=500), random.normal(size=500))
    assert agreeing.disagreeing == ()
    assert len(agreeing.sentences("test")) == 1


def test_a_difference_that_no_table_shows_is_none() -> None:
    random = np.random.default_rng(0)
    baseline = random.normal(size=1000)
    assert verdict_of(baseline * (1 + 1e-6), baseline).outcome == "too close to tell"
    assert verdict_of(baseline, baseline).outcome == "too close to tell"


def test_few_rows_are_said_and_three_hits_are_no_proof() -> None:
    network, baseline = errors(np.random.default_rng(0), 8, 0.5)
    assert any("8 rows are few" in each for each in verdict_of(network, baseline).sentences())
    truth = np.array([0, 1, 2])
    assert classes_of(truth, np.eye(3), np.eye(3)[[1, 2, 0]]).outcome == "too close to tell"


@pytest.mark.parametrize(
    ("rare", "unknown", "metric"),
    [(0.5, False, "accuracy"), (0.1, False, "log_loss"), (0.1, True, "balanced_accuracy")],
)
def test_where_one_class_holds_most_rows_accuracy_does_not_decide(
    rare: float, unknown: bool, metric: str
) -> None:
    truth = (np.arange(1000) < 1000 * rare).astype(np.int64)
    if unknown:
        truth[-1] = -1
    network = np.eye(2)[np.maximum(truth, 0)] * 0.8 + 0.1
    found = classes_of(truth, network, np.tile([1 - rare, rare], (1000, 1)))
    assert found.decides.metric == metric
    assert found.outcome == "better"
    assert found.minority == 1000 * rare + unknown


def test_one_class_in_nearly_all_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 900)).round(2)
    fraud = (np.hypot(*x) > 2.3).astype(int)
    assert 0.02 < fraud.mean() < 0.1
    write_rows(tmp_path / "t.csv", {"x1": x[0].tolist(), "x2": x[1].tolist(), "fraud": fraud})
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: fraud}\nmodel: {type: relu_stack, widths: [30, 30]}\n"
        "train: {epochs: 40}\n"
    )
    said = run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r").stderr
    assert "The network is better than the best baseline on 180 test rows: log loss" in said
    assert "does not carry over" not in said
    evaluated = json.loads(run_well(tmp_path, "evaluate", "--run", "r", "--json").stdout)
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert evaluated["verdict"] == summary["scores"]["test"]["verdict"]
    assert evaluated["verdict"]["decides"]["outcome"] == "better"
    assert "log loss" in run_well(tmp_path, "evaluate", "--run", "r").stdout.splitlines()[-1]


def test_a_network_that_is_least_squares_is_neither_better_nor_worse(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=300).round(3)
    y = (3 * x + random.normal(size=300)).round(3)
    write_rows(tmp_path / "t.csv", {"x": x.tolist(), "y": y.tolist()})
    for name, lr in (("a", 0.3), ("b", 0.6)):
        (tmp_path / f"{name}.yaml").write_text(
            "data: {path: t.csv, target: y}\nmodel: linear\nloss: mse\n"
            f"optimizer: {{type: sgd, lr: {lr}}}\ntrain: {{epochs: 30, batch_size: full}}\n"
        )
        said = run_well(tmp_path, "train", "--config", f"{name}.yaml", "--run-dir", name).stderr
        assert "Too close to tell on 60 test rows: RMSE" in said


def test_rows_of_one_patient_are_judged_together(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    patient = np.repeat(np.arange(30), 10)
    x = random.normal(size=30)[patient].round(3)
    y = (3 * x**2 + random.normal(size=30)[patient]).round(3)
    write_rows(tmp_path / "t.csv", {"p": patient.tolist(), "x": x.tolist(), "y": y.tolist()})
    errors = {}
    for name, more in (("alone", "exclude: [p]"), ("grouped", "group_by: p")):
        (tmp_path / "c.yaml").write_text(
            f"data: {{path: t.csv, target: y, {more}, split: {{method: kfold, folds: 3}}}}\n"
            "model: linear\ntrain: {epochs: 3}\n"
        )
        run_well(tmp_path, "train", "--quiet", "--config", "c.yaml", "--run-dir", name)
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        errors[name] = summary["cross_validation"]["pooled"]["verdict"]["decides"]["error"]
    assert errors["grouped"] > 2 * errors["alone"]


def test_folds_have_one_number_for_one_thing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=60).round(3)
    y = (2 * x + random.standard_cauchy(size=60)).round(3)  # whose folds differ most
    write_rows(tmp_path / "t.csv", {"x": x.tolist(), "y": y.tolist()})
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y, split: {method: kfold, folds: 3}}\n"
        "model: linear\ntrain: {epochs: 3}\n"
    )
    said = run_well(tmp_path, "train", "--config", "c.yaml").stderr
    table = next(line for line in said.splitlines() if line.startswith("network "))
    rmse = table.split("±")[1].split()[-1]
    assert f"60 held-out rows: RMSE {rmse} vs " in said
