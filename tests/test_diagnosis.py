"""The diagnosis: from scores to what the course's guide says of them."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ml2021.config.loading import load_config_text
from ml2021.config.schema import Config
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS, Scores, verdict_metric
from ml2021.evaluation.scoring import Evaluation
from ml2021.inspection import evidence as evidences
from ml2021.inspection.diagnosis import Finding, diagnose, next_command
from ml2021.inspection.evidence import Evidence, chance, how_much_harder
from ml2021.runs.metrics_csv import History
from tests.tables import load, write_csv

RELU = "model: {type: relu_stack, widths: [40, 20]}\nloss: mae\n"
LINEAR = "model: linear\nloss: mae\n"
SIGMOIDS = "model: {type: sigmoid_sum, units: 10}\nloss: mae\n"
CLASSES = "model: relu_stack\nloss: cross_entropy\n"

Errors = tuple[float | None, float, float]
"""Of the network, of the mean or the majority, of least squares."""


def config_of(text: str, split: str = "{method: sequential}") -> Config:
    data = f"data: {{path: t.csv, target: y, split: {split}}}\n"
    return load_config_text(data + text, "c.yaml").config


def report_of(score: str, errors: Errors, rows: int = 400) -> Evaluation:
    undefined: Scores = dict.fromkeys(CLASS_METRICS if score == "accuracy" else REAL_METRICS)
    network, constant, linear = ({**undefined, score: error} for error in errors)
    return Evaluation(
        rows=rows,
        truth_sha256="",
        scores=network,
        targets={"y": network},
        baselines={"mean": constant, "least_squares": linear},
    )


def evidence_of(
    text: str,
    parts: Mapping[str, Errors],
    *,
    rows: int = 400,
    lowest: float | None = None,
    is_falling: bool = False,
    is_rising: bool = False,
    inputs: int = 50,
    split: str = "{method: sequential}",
) -> Evidence:
    config = config_of(text, split)
    assert config.loss is not None
    score = verdict_metric(config.loss.type)
    evaluations = {
        part: report_of(score, errors, 400 if part == "train" else rows)
        for part, errors in parts.items()
    }
    return Evidence(config, score, evaluations, inputs, 1234, 17, lowest, is_falling, is_rising)


CASES: dict[str, tuple[Evidence, Finding, str, tuple[str, ...]]] = {
    "least squares has a lower training loss": (
        evidence_of(RELU, {"train": (60, 90, 50), "test": (61, 90, 51)}),
        "optimisation",
        "MAE is 60.00, and 50.00 of least squares",
        ("optimizer.lr=0.006",),
    ),
    "and training loss was still falling": (
        evidence_of(RELU, {"train": (60, 90, 50), "test": (61, 90, 51)}, is_falling=True),
        "optimisation",
        "training did not find it",
        ("train.epochs=300",),
    ),
    "a linear model that did not reach least squares": (
        evidence_of(LINEAR, {"train": (60, 90, 50), "test": (61, 90, 51)}),
        "optimisation",
        "50.00 of least squares",
        ("optimizer.lr=0.006",),
    ),
    "a linear model that did": (
        evidence_of(LINEAR, {"train": (50, 90, 50), "test": (51, 90, 51)}),
        "model bias",
        "A linear model can hardly do better",
        ("model=relu_stack",),
    ),
    "a flexible model that is only as good as a line": (
        evidence_of(SIGMOIDS, {"train": (50, 90, 50), "test": (51, 90, 51)}),
        "model bias or optimisation",
        "If it reaches a lower training loss, this one was too simple",
        ("model.units=20",),
    ),
    "training went low, and the best epoch was before that": (
        evidence_of(RELU, {"train": (50, 90, 50), "validation": (51, 90, 51)}, lowest=20.0),
        "overfitting",
        "Training went on to 20.00, but from epoch 17 on",
        ("train.members=5",),
    ),
    "low on training rows, high on validation rows": (
        evidence_of(RELU, {"train": (10, 90, 50), "validation": (40, 90, 51)}),
        "overfitting",
        "10.00 on the rows that it trained on, and 40.00 on validation rows; least squares goes "
        "from 50.00 to 51.00",
        ("train.members=5",),
    ),
    "and several members are": (
        evidence_of(
            RELU + "train: {members: 5}\n", {"train": (10, 90, 50), "validation": (40, 90, 51)}
        ),
        "overfitting",
        "Next: more rows, fewer parameters (1,234 for 400 rows)",
        ("model.widths=[10, 5]",),
    ),
    "a linear model of many columns": (
        evidence_of(LINEAR, {"train": (10, 90, 40), "test": (30, 90, 45)}),
        "overfitting",
        "fewer parameters (1,234 for 400 rows)",
        ("optimizer.weight_decay=1",),
    ),
    "rows that are harder for every answer are no overfitting": (
        evidence_of(RELU, {"train": (20, 90, 50), "validation": (31, 140, 80)}),
        "mismatch",
        "least squares goes from 50.00 to 80.00. The validation rows are harder",
        (),
    ),
    "nor of another kind, where chance alone chose them": (
        evidence_of(
            RELU, {"train": (20, 90, 50), "validation": (31, 140, 80)}, split="{method: random}"
        ),
        "fine",
        "least squares goes from 50.00 to 80.00. Neither the training loss nor the gap stands out",
        ("model.widths=[80, 40]",),
    ),
    "nor are test rows, where chance chose those": (
        evidence_of(
            RELU,
            {"train": (20, 90, 50), "validation": (21, 90, 50), "test": (40, 90, 50)},
            split="{method: stratified}",
        ),
        "fine",
        "21.00 on validation rows",
        ("model.widths=[80, 40]",),
    ),
    "nor those that are for least squares, which has few inputs": (
        evidence_of(RELU, {"train": (20, 90, 50), "validation": (31, 90, 80)}, inputs=39),
        "mismatch",
        "the gap is no overfitting",
        (),
    ),
    "with many inputs least squares overfits too": (
        evidence_of(RELU, {"train": (20, 90, 50), "validation": (31, 90, 80)}, inputs=40),
        "overfitting",
        "least squares goes from 50.00 to 80.00",
        ("train.members=5",),
    ),
    "a gap that chance explains": (
        evidence_of(RELU, {"train": (20, 90, 50), "validation": (26, 90, 50)}, rows=25),
        "fine",
        "Neither",
        ("model.widths=[80, 40]",),
    ),
    "the same gap over more rows": (
        evidence_of(RELU, {"train": (20, 90, 50), "validation": (26, 90, 50)}, rows=2_500),
        "overfitting",
        "26.00 on validation rows",
        ("train.members=5",),
    ),
    "what it learned beyond a line does not carry over": (
        evidence_of(RELU, {"train": (44, 90, 50), "test": (50, 90, 50)}, rows=80),
        "overfitting",
        "does not carry over",
        ("train.members=5",),
    ),
    "hardly better in training, no better elsewhere": (
        evidence_of(RELU, {"train": (48, 90, 50), "test": (51, 90, 50)}, rows=64),
        "cannot tell",
        "with 64 rows a difference of 10.20 is chance",
        (),
    ),
    "hardly better in training, clearly worse elsewhere, on later rows": (
        evidence_of(RELU, {"train": (48, 90, 50), "test": (52, 90, 50)}, rows=2_500),
        "cannot tell",
        "it gained little in training, and lost it here",
        (),
    ),
    "a training loss that rose": (
        evidence_of(RELU, {"train": (80, 90, 50), "test": (81, 90, 50)}, is_rising=True),
        "optimisation",
        "the steps are too large",
        ("optimizer.lr=0.0002",),
    ),
    "the last epoch is the best": (
        evidence_of(RELU, {"train": (20, 90, 50), "validation": (21, 90, 50)}, is_falling=True),
        "fine",
        "The last epoch was the best",
        ("train.epochs=200",),
    ),
    "validation rows unlike the test rows": (
        evidence_of(
            RELU, {"train": (20, 90, 50), "validation": (21, 90, 50), "test": (40, 90, 50)}
        ),
        "mismatch",
        "40.00 on test rows",
        (),
    ),
    "nothing was held out": (
        evidence_of(RELU, {"train": (20, 90, 50)}),
        "cannot tell",
        "without validation or test rows nothing shows overfitting",
        (),
    ),
    "hardly anything was held out": (
        evidence_of(RELU, {"train": (20, 90, 50), "validation": (25, 90, 50)}, rows=12),
        "cannot tell",
        "12 validation rows are too few",
        (),
    ),
    "a score that is undefined": (
        evidence_of(RELU, {"train": (None, 90, 50)}),
        "cannot tell",
        "MAE is undefined on the training rows",
        (),
    ),
    "classes no better than least squares": (
        evidence_of(CLASSES, {"train": (0.80, 0.5, 0.9), "test": (0.80, 0.5, 0.9)}),
        "optimisation",
        "accuracy is 0.8000, and 0.9000 of least squares",
        ("optimizer.lr=0.006",),
    ),
    "classes known by heart": (
        evidence_of(CLASSES, {"train": (1.0, 0.5, 0.8), "validation": (0.9, 0.5, 0.8)}),
        "overfitting",
        "accuracy is 1.000 on the rows that it trained on, and 0.9000 on validation rows",
        ("train.members=5",),
    ),
    "classes all right": (
        evidence_of(CLASSES, {"train": (0.97, 0.5, 0.8), "validation": (0.965, 0.5, 0.8)}),
        "fine",
        "Neither the training loss nor the gap stands out",
        ("model.widths=[200, 200]",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_lead_to_a_finding(case: str) -> None:
    evidence, finding, words, settings = CASES[case]
    diagnosis = diagnose(evidence)
    assert diagnosis.finding == finding, diagnosis.words
    assert words in " ".join(diagnosis.words)
    assert diagnosis.settings == settings
    assert all(line.endswith((".", "good")) for line in diagnosis.words)


@pytest.mark.parametrize("case", [name for name, (_, _, _, settings) in CASES.items() if settings])
def test_what_to_try_is_a_config_that_loads(case: str) -> None:
    evidence, _, _, settings = CASES[case]
    text = {"mae": RELU, "cross_entropy": CLASSES}[evidence.config.loss.type]  # type: ignore[union-attr]
    if evidence.config.model.type == "sigmoid_sum":
        text = SIGMOIDS
    loaded = load_config_text("data: {path: t.csv, target: y}\n" + text, "c.yaml", settings)
    assert loaded.config != config_of(text)


def test_the_first_sentence_is_the_verdict_on_unseen_rows() -> None:
    evidence = evidence_of(RELU, {"train": (20, 90, 50), "test": (40, 90, 50)})
    first = "The network beats every baseline: MAE 40.00 vs 50.00 (least squares)."
    assert diagnose(evidence).words[0] == first
    evidence = evidence_of(RELU, {"train": (20, 90, 50)})
    assert diagnose(evidence).words[0].startswith("No row was held out")


def test_chance_by_hand() -> None:
    assert chance("accuracy", 0.5, 100) == pytest.approx(0.05)
    assert chance("rmse", 10.0, 25) == pytest.approx(2.0)
    assert chance("mae", 10.0, 64) == pytest.approx(1.0)


def test_how_much_harder_is_what_the_least_affected_answer_suffers() -> None:
    here, there = report_of("mae", (1, 10, 20)), report_of("mae", (1, 15, 22))
    assert how_much_harder("mae", here, there, 50) == pytest.approx(1.1)
    assert how_much_harder("mae", there, here, 50) == 1.0
    assert how_much_harder("mae", report_of("mae", (1, 0, 0)), there, 50) == 1.0


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
    problem = load(write_csv(tmp_path / "t.csv", {"x": values, "y": values}), "  target: y")
    epochs = np.arange(1, len(losses) + 1)
    history = History(epochs, np.array(losses, np.float64), None, np.ones(len(losses)))
    found = evidences.evidence_of(problem.config, problem.preprocessing, {}, history, 2)
    assert found.is_rising == is_rising
