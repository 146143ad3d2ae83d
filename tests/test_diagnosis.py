"""The diagnosis: from scores to a finding and the settings to try next."""

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml2021.config.loading import dump_yaml, load_config_text
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS, Scores
from ml2021.evaluation.scoring import Evaluation
from ml2021.evaluation.verdict import Judgement, Metric, Verdict
from ml2021.inspection import evidence as evidences
from ml2021.inspection.diagnosis import Finding, diagnose
from ml2021.inspection.evidence import EarlyBest, Evidence, difficulty_ratio
from ml2021.inspection.next_command import next_command
from ml2021.runs.metrics_csv import History
from tests.tables import load, write_csv

RELU = "model: {type: relu_stack, widths: [40, 20]}\nloss: mae\n"
LINEAR = "model: linear\nloss: mae\n"
SIGMOIDS = "model: {type: sigmoid_sum, units: 10}\nloss: mae\n"
CLASSES = "model: relu_stack\nloss: cross_entropy\n"

Errors = tuple[float | None, float, float]
"""Of the network, of the mean or the majority, of least squares."""


def evaluation_of(metric: Metric, errors: Errors, rows: int = 400) -> Evaluation:
    """Return scores with the standard error that such errors usually have, and their verdict."""
    undefined: Scores = dict.fromkeys(CLASS_METRICS if metric == "accuracy" else REAL_METRICS)
    network, constant, linear = ({**undefined, metric: error} for error in errors)
    verdict = None
    if (own := errors[0]) is not None:
        is_share = metric == "accuracy"
        best = max(errors[1:]) if is_share else min(errors[1:])
        error = (own * (1 - own)) ** 0.5 if is_share else 0.8 * own
        error /= rows**0.5
        low, high = own - best - 2 * error, own - best + 2 * error
        ahead, behind = (low > 0, high < 0) if is_share else (high < 0, low > 0)
        verdict = Verdict(
            rows=rows,
            minority=rows // 2 if is_share else None,
            decides=Judgement(
                metric=metric,
                baseline="least_squares" if best == errors[2] else "mean",
                network=own,
                best=best,
                low=low,
                high=high,
                error=error,
                outcome="better" if ahead else "worse" if behind else "too close to tell",
            ),
        )
    return Evaluation(
        rows=rows,
        truth_sha256="",
        scores=network,
        targets={"y": network},
        baselines={"mean": constant, "least_squares": linear},
        verdict=verdict,
    )


def given(
    text: str,
    train: Errors,
    validation: Errors | None = None,
    test: Errors | None = None,
    *,
    rows: int = 400,
    lowest: float | None = None,
    is_falling: bool = False,
    is_rising: bool = False,
    inputs: int = 50,
    split: str = "sequential",
    early: EarlyBest | None = None,
) -> Evidence:
    """Return the evidence of these scores on 400 training rows and `rows` others."""
    data = f"data: {{path: t.csv, target: y, split: {{method: {split}}}}}\n"
    if "preset" not in text:
        text += "preset: best\n"
    config = load_config_text(data + text, "c.yaml").config
    assert config.loss is not None
    metric: Metric = "mae" if config.loss.type == "mae" else "accuracy"
    evaluations = {"train": evaluation_of(metric, train)}
    for name, errors in (("validation", validation), ("test", test)):
        if errors is not None:
            evaluations[name] = evaluation_of(metric, errors, rows)
    return Evidence(
        config, metric, evaluations, inputs, 1234, 17, lowest, is_falling, is_rising, early
    )


MEMBERS = "train.members=5"
MEMORISING = EarlyBest(2, 22, training=(0.6, 0.2), validation=(0.7, 0.9))
BARELY_MEMORISING = EarlyBest(2, 22, training=(0.6, 0.587), validation=(0.7, 0.71))
STALLED = EarlyBest(2, 22, training=(0.6, 0.589), validation=(0.7, 0.9))
JUMPING = EarlyBest(1, 21, training=(0.6, 0.62), validation=(0.7, 0.9))

CASES: dict[str, tuple[Evidence, tuple[Finding, str, str]]] = {
    "least squares has a lower training loss": (
        given(RELU, (60, 90, 50), test=(61, 90, 51)),
        ("optimisation", "MAE is 60.00 (least squares: 50.00)", "optimizer.lr=0.006"),
    ),
    "and training loss was still falling": (
        given(RELU, (60, 90, 50), test=(61, 90, 51), is_falling=True),
        ("optimisation", "60.00", "train.epochs=300"),
    ),
    "a linear model that did not reach least squares": (
        given(LINEAR, (60, 90, 50), test=(61, 90, 51)),
        ("optimisation", "50.00", "optimizer.lr=0.006"),
    ),
    "a linear model that did": (
        given(LINEAR, (50, 90, 50), test=(51, 90, 51)),
        ("model bias", "50.00", "model=relu_stack"),
    ),
    "a flexible model that is only as good as a line": (
        given(SIGMOIDS, (50, 90, 50), test=(51, 90, 51)),
        ("model bias or optimisation", "50.00", "model.units=20"),
    ),
    "training went low, and the best epoch was before that": (
        given(RELU, (50, 90, 50), (51, 90, 51), lowest=20.0),
        ("overfitting", "20.00, but validation stopped improving after epoch 17", MEMBERS),
    ),
    "low on training rows, high on validation rows": (
        given(RELU, (10, 90, 50), (40, 90, 51)),
        ("overfitting", "10.00 on the training rows and 40.00 on the validation rows", MEMBERS),
    ),
    "and it is an ensemble already": (
        given(RELU + "train: {members: 5}\n", (10, 90, 50), (40, 90, 51)),
        ("overfitting", "Next: more rows, fewer parameters (1,234", "model.widths=[10, 5]"),
    ),
    "a linear model of many columns": (
        given(LINEAR, (10, 90, 40), test=(30, 90, 45)),
        ("overfitting", "fewer parameters (1,234 for 400 rows)", "optimizer.weight_decay=1"),
    ),
    "rows that are harder for every baseline are no overfitting": (
        given(RELU, (20, 90, 50), (31, 140, 80)),
        ("mismatch", "least squares goes from 50.00 to 80.00", ""),
    ),
    "nor a mismatch, if they were drawn at random": (
        given(RELU, (20, 90, 50), (31, 140, 80), split="random"),
        ("fine", "least squares goes from 50.00 to 80.00", MEMBERS),
    ),
    "nor are test rows that were drawn at random": (
        given(RELU, (20, 90, 50), (21, 90, 50), (40, 90, 50), split="stratified"),
        ("fine", "21.00 on the validation rows", MEMBERS),
    ),
    "nor are rows that are harder for least squares, which has few inputs": (
        given(RELU, (20, 90, 50), (31, 90, 80), inputs=39),
        ("mismatch", "is not overfitting", ""),
    ),
    "with many inputs least squares overfits too": (
        given(RELU, (20, 90, 50), (31, 90, 80), inputs=40),
        ("overfitting", "least squares goes from 50.00 to 80.00", MEMBERS),
    ),
    "a gap that chance explains": (
        given(RELU, (20, 90, 50), (26, 90, 50), rows=25),
        ("fine", "26.00", MEMBERS),
    ),
    "the same gap over more rows": (
        given(RELU, (20, 90, 50), (26, 90, 50), rows=2_500),
        ("overfitting", "26.00", MEMBERS),
    ),
    "what it learned beyond a line does not carry over": (
        given(RELU, (44, 90, 50), test=(50, 90, 50), rows=80),
        ("overfitting", "advantage over least squares", MEMBERS),
    ),
    "hardly better in training, no better elsewhere": (
        given(RELU, (48, 90, 50), test=(51, 90, 50), rows=64),
        ("inconclusive", "the difference on the test rows can be chance", ""),
    ),
    "hardly better in training, clearly worse elsewhere, on later rows": (
        given(RELU, (48, 90, 50), test=(52, 90, 50), rows=2_500),
        ("inconclusive", "advantage in training is lost", ""),
    ),
    "a training loss that rose": (
        given(RELU, (80, 90, 50), test=(81, 90, 50), is_rising=True),
        ("optimisation", "learning rate is too high", "optimizer.lr=0.0002"),
    ),
    "the best epoch was at the start, and the training loss fell on": (
        given(RELU, (20, 90, 50), (21, 90, 50), early=MEMORISING),
        ("overfitting", "the best epoch was 2 of 22; after it the training loss", MEMBERS),
    ),
    "the best epoch was at the start, and the training loss fell on by more than 2 %": (
        given(RELU, (48, 90, 50), test=(51, 90, 50), rows=64, early=BARELY_MEMORISING),
        ("overfitting", "the training loss went from 0.6", MEMBERS),
    ),
    "the best epoch was at the start, and the training loss stayed where it was": (
        given(RELU, (48, 90, 50), test=(51, 90, 50), rows=64, early=STALLED),
        ("optimisation", "learning rate is probably too high", "optimizer.lr=0.00067"),
    ),
    "the best epoch was at the start, and nothing fell after it": (
        given(RELU, (48, 90, 50), test=(51, 90, 50), rows=64, early=JUMPING),
        ("optimisation", "learning rate is probably too high", "optimizer.lr=0.00067"),
    ),
    "no better than a line, at a best epoch at the start": (
        given(CLASSES, (0.80, 0.5, 0.9), test=(0.80, 0.5, 0.9), early=MEMORISING),
        ("overfitting", "the best epoch was 2 of 22", MEMBERS),
    ),
    "a gap that the baselines share in part": (
        given(RELU, (20, 90, 50), (23, 99, 54), rows=400, inputs=30),
        ("inconclusive", "the baselines do not show", ""),
    ),
    "the same gap on rows drawn at random": (
        given(RELU, (20, 90, 50), (23, 99, 54), rows=400, inputs=30, split="random"),
        ("fine", "23.00 on the validation rows", MEMBERS),
    ),
    "the last epoch is the best": (
        given(RELU, (20, 90, 50), (21, 90, 50), is_falling=True),
        ("fine", "last epoch", MEMBERS),
    ),
    "validation rows unlike the test rows": (
        given(RELU, (20, 90, 50), (21, 90, 50), (40, 90, 50)),
        ("mismatch", "40.00 on the test rows", ""),
    ),
    "nothing was held out": (
        given(RELU, (20, 90, 50)),
        ("inconclusive", "without validation or test rows", ""),
    ),
    "hardly anything was held out": (
        given(RELU, (20, 90, 50), (25, 90, 50), rows=12),
        ("inconclusive", "12 validation rows", ""),
    ),
    "a score that is undefined": (
        given(RELU, (None, 90, 50)),
        ("inconclusive", "MAE is undefined on the training rows", ""),
    ),
    "classes no better than least squares": (
        given(CLASSES, (0.80, 0.5, 0.9), test=(0.80, 0.5, 0.9)),
        ("optimisation", "accuracy is 0.8000 (least squares: 0.9000)", "optimizer.lr=0.006"),
    ),
    "classes known by heart": (
        given(CLASSES, (1.0, 0.5, 0.8), (0.9, 0.5, 0.8)),
        ("overfitting", "accuracy is 1.000 on the training rows and 0.9000", MEMBERS),
    ),
    "fine, and as thorough as it gets": (
        given(RELU + "train: {members: 5}\n", (20, 90, 50), (21, 90, 50)),
        ("fine", "21.00 on the validation rows", "model.widths=[80, 40]"),
    ),
    "the last epoch is the best of an ensemble": (
        given(RELU + "train: {members: 5}\n", (20, 90, 50), (21, 90, 50), is_falling=True),
        ("fine", "last epoch", "train.epochs=200"),
    ),
    "fine, with the default preset": (
        given(RELU + "preset: default\n", (20, 90, 50), (21, 90, 50)),
        ("fine", "a more thorough preset (best)", "preset=best"),
    ),
    "overfitting, with the fast preset": (
        given(RELU + "preset: fast\n", (10, 90, 50), (40, 90, 51)),
        ("overfitting", "a more thorough preset (default)", "preset=default"),
    ),
    "classes all right": (
        given(CLASSES, (0.97, 0.5, 0.8), (0.965, 0.5, 0.8)),
        ("fine", "0.9650", MEMBERS),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_lead_to_a_finding_and_to_a_config_that_loads(case: str) -> None:
    evidence, (finding, fact, setting) = CASES[case]
    diagnosis = diagnose(evidence)
    assert diagnosis.finding == finding, diagnosis.words
    assert fact in " ".join(diagnosis.words)
    assert diagnosis.settings == ((setting,) if setting else ())
    assert all(line.endswith(".") for line in diagnosis.words)
    changed = load_config_text(dump_yaml(evidence.config), "c.yaml", diagnosis.settings).config
    assert (changed != evidence.config) == bool(setting)


def test_the_first_sentence_is_the_verdict_on_unseen_rows() -> None:
    first, *_ = diagnose(given(RELU, (20, 90, 50), test=(40, 90, 50))).words
    assert first.startswith("The network is better")
    assert {"40.00", "50.00"} <= set(first.split())
    first, *_ = diagnose(given(RELU, (20, 90, 50))).words
    assert "held out" in first


def test_the_difficulty_ratio_is_that_of_the_least_affected_baseline() -> None:
    here, there = evaluation_of("mae", (1, 10, 20)), evaluation_of("mae", (1, 15, 22))
    assert difficulty_ratio("mae", here, there, 50) == pytest.approx(1.1)
    assert difficulty_ratio("mae", there, here, 50) == 1.0
    assert difficulty_ratio("mae", evaluation_of("mae", (1, 0, 0)), there, 50) == 1.0


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ["/bin/ml2021", "train", "--config", "a b.yaml", "--quiet"],
            "ml2021 train --config 'a b.yaml' --set seed=1",
        ),
        (
            ["ml2021", "train", "--config=c.yaml", "--set", "seed=5", "--set=train.epochs=9"],
            "ml2021 train --config c.yaml --set train.epochs=9 --set seed=1",
        ),
        (
            ["ml2021", "train", "--quiet", "my.yaml", "--run-dir", "x", "--set", "loss=mae"],
            "ml2021 train my.yaml --set loss=mae --set seed=1",
        ),
        (
            ["ml2021", "train", "h.csv", "--target=price", "--target", "rent"],
            "ml2021 train h.csv --target price --target rent --set seed=1",
        ),
        (["pytest"], "ml2021 train --config run/config.yaml --set seed=1"),
        (["ml2021", "--config"], "ml2021 train --config run/config.yaml --set seed=1"),
    ],
)
def test_the_next_command_is_the_last_with_other_settings(
    command: list[str], expected: str
) -> None:
    text = next_command(command, str(Path("run") / "config.yaml"), ["seed=1"])
    assert text == expected
    assert shlex.split(text)[:2] == ["ml2021", "train"]


@pytest.mark.parametrize(
    ("losses", "is_rising"), [([3, 2, 1], False), ([1, 3, 2], True), ([2], False)]
)
def test_a_loss_that_ends_higher_than_it_began_is_rising(
    tmp_path: Path, losses: list[float], is_rising: bool
) -> None:
    values = list(range(40))
    data = load(write_csv(tmp_path / "t.csv", {"x": values, "y": values}), "  target: y")
    epochs = np.arange(1, len(losses) + 1)
    history = History(epochs, np.array(losses, np.float64), None, np.ones(len(losses)))
    found = evidences.evidence_of(data.config, data.preprocessing, {}, history, 2)
    assert found.is_rising == is_rising


@pytest.mark.parametrize(
    ("training", "validation", "expected"),
    [
        ([9, 5, *[4 - i / 10 for i in range(20)]], [8, 4, *[5 + i / 10 for i in range(20)]], True),
        ([5, 9, *[5.1] * 20], [4, *[6] * 21], False),  # it jumped
        ([9, 5, *[4.92] * 20], [4, *[6] * 21], False),
        ([9, 5, *[4.88] * 20], [4, *[6] * 21], True),
        ([9, 5, *[5] * 20], [8, 4, *[4.01] * 20], None),  # it has arrived
        ([9, *[5] * 21], [4, *[4.01] * 21], None),  # so it has, at the end of the first epoch
        ([9, 5, *[4] * 20], [8, 7, *[6 - i / 10 for i in range(20)]], None),
        ([9, 5, *[4] * 20], None, None),
    ],
)
def test_a_best_epoch_at_the_very_start_is_evidence(
    tmp_path: Path, training: list[float], validation: list[float] | None, expected: bool | None
) -> None:
    values = list(range(40))
    data = load(write_csv(tmp_path / "t.csv", {"x": values, "y": values}), "  target: y")
    epochs = np.arange(1, len(training) + 1)
    losses = None if validation is None else np.array(validation, np.float64)
    history = History(epochs, np.array(training, np.float64), losses, np.ones(len(training)))
    found = evidences.evidence_of(data.config, data.preprocessing, {}, history, 2)
    assert (None if found.early is None else found.early.is_memorising) == expected


def test_the_best_epoch_of_members_is_not_that_of_the_last_ones_alone(tmp_path: Path) -> None:
    values, epochs = list(range(40)), np.arange(1, 101)
    data = load(write_csv(tmp_path / "t.csv", {"x": values, "y": values}), "  target: y")
    losses = np.where(epochs < 60, 5.0, 1 / epochs)  # two members with high losses have stopped
    history = History(epochs, losses, losses, np.ones(100))
    for kept, best in (((), 100), ((40, 10, 40, 100), 40), ((40, 10, 30, 100), 30)):
        found = replace(history, kept=kept)
        assert found.best_epoch == best
        evidence = evidences.evidence_of(data.config, data.preprocessing, {}, found, 2)
        assert evidence.is_falling == (not kept)
