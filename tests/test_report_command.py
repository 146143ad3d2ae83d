"""`report.html` by `train` and by `ml2021 report`: its contents, and failures."""

import json
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml2021.evaluation.scoring import ALONE
from ml2021.formatting import number, score_text
from ml2021.report.contents import from_disk
from ml2021.report.html import Table
from ml2021.report.sections import predictions as about_rows
from ml2021.report.sections.worst_rows import worst_rows_section
from ml2021.runs.directory import RunDirectory
from tests import commands
from tests.commands import contents, refusal, run, run_well, text_of, write_rows
from tests.started import Started

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\n"
LINEAR = "model: linear\ntrain: {epochs: 3}\n"
CONFIGS = {
    "regression": f"data: {{path: train.csv, target: y, exclude: [id, kind, p*]}}\n{SMALL}",
    "linear": f"data: {{path: train.csv, target: y, exclude: [id, kind, p*]}}\n{LINEAR}",
    "classes": f"data: {{path: train.csv, target: kind, exclude: [id, y, p*]}}\n{SMALL}",
    "linear_classes": f"data: {{path: train.csv, target: kind, exclude: [id, y, p*]}}\n{LINEAR}",
    "pieces": "data: {path: train.csv, target: y, features: [a, b], numbers: piecewise}\n" + LINEAR,
    "pieces_of_one": "data: {path: train.csv, target: y, features: [a], numbers: piecewise}\n"
    + LINEAR,
    "images": "data: {path: train.csv, target: 'p*', target_shape: [2, 3], "
    f"exclude: [id, y, kind]}}\n{SMALL}",
    "targets": f"data: {{path: train.csv, target: [y, p0], features: [a, b]}}\n{SMALL}",
    "series": "data: {path: series.csv, target: views, lags: 7, horizon: 5, order_by: date}\n"
    f"loss: mae\n{SMALL}",
    "sigmoids": "data: {path: train.csv, target: y, features: [a]}\n"
    "model: {type: sigmoid_sum, units: 20}\ntrain: {epochs: 3}\n",
    "no_rows_held_out": "data: {path: train.csv, target: y, features: [a, b], "
    f"split: {{method: random, validation: 0.0, test: 0.0}}}}\n{SMALL}",
    "constant": f"data: {{path: constant.csv, target: y}}\n{SMALL}",
}
POINTS = {"truth_prediction", "residuals"}
PICTURES = {
    "regression": {*POINTS, "importance", "dependence_1", "unit"},
    "linear": {*POINTS, "effects", "importance"},
    "classes": {"confusion", "reliability", "importance", "dependence_1"},
    "linear_classes": {"confusion", "reliability", "coefficients", "importance"},
    "pieces": {*POINTS, "column_1", "column_2", "importance"},
    "pieces_of_one": {*POINTS, "curve", "parts"},
    "images": {*POINTS, "images", "worst_rows", "targets", "importance", "unit"},
    "targets": {*POINTS, "targets", "importance", "unit"},
    "series": {*POINTS, "over_time", "curves", "targets", "importance", "unit"},
    "sigmoids": {*POINTS, "curve", "parts", "unit"},
    "no_rows_held_out": {*POINTS, "importance", "unit"},
    "constant": {*POINTS, "curve", "parts", "unit"},
}
ALWAYS = {"learning_curves", "updates", "gradients", "loss_surface", "network"}


def prepare(folder: Path) -> Path:
    write_rows(folder / "train.csv", commands.table(120))
    write_rows(folder / "series.csv", commands.series(120))
    write_rows(folder / "constant.csv", {"x": range(40), "y": [3.5] * 40})
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of each config, without reports."""
    folder = prepare(tmp_path_factory.mktemp("trained"))
    for name in CONFIGS:
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return prepare(tmp_path)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_run_has_its_pictures(trained: Path, name: str) -> None:
    outcome = run_well(trained, "report", "--run", name)
    assert outcome.stdout == f"{name}/report.html\n"
    page = (trained / name / "report.html").read_text()
    drawn = set(re.findall(r'<figure id="(\w+)"', page))
    expected = PICTURES[name] | ALWAYS
    assert expected <= drawn
    assert drawn - expected <= {f"dependence_{place}" for place in range(1, 5)}
    assert page.count("<svg ") - page.count('class="small"') == len(drawn)
    assert page.count("<section ") == 7
    assert len(page) < 2_000_000


def test_the_pictures_of_a_page_as_png_files(trained: Path) -> None:
    run_well(trained, "report", "--run", "linear", "--plots", "plots/linear")
    files = [*(trained / "plots" / "linear").iterdir()]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files)
    assert {path.name for path in files} == {f"{name}.png" for name in PICTURES["linear"] | ALWAYS}


def test_train_ends_with_the_report_that_the_command_makes(fresh: Path) -> None:
    outcome = run_well(fresh, "train", "--config", "series.yaml", with_report=True)
    page = fresh / "runs" / "series-1" / "report.html"
    assert f": {page.relative_to(fresh)}\n" in outcome.stderr
    made = page.read_bytes()
    page.unlink()
    run_well(fresh, "report")
    assert page.read_bytes() == made


def test_the_report_has_the_scores_and_the_rows_of_the_file(trained: Path) -> None:
    path = trained / run_well(trained, "report", "--run", "regression").stdout.strip()
    summary = json.loads((trained / "regression" / "summary.json").read_text())
    mae = f"{summary['scores']['test']['scores']['mae']:.4g}"
    facts = (mae, "ml2021 train --config", "id, kind, p0", "least squares", "colour", "84 train")
    assert [fact for fact in facts if fact not in text_of(path)] == []
    page = path.read_text()
    section = page[page.index('id="worst"') : page.index('id="function"')]
    lines = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in section.split("<tr>")[2:]]
    heads = re.findall(r"<th>(.*?)</th>", section)
    assert len(lines) == 10
    cells = commands.table(120)
    for line in lines:
        row = dict(zip(heads, line, strict=True))
        place = int(row["row"]) - 1
        assert float(row["truth"]) == pytest.approx(cells["y"][place], rel=1e-3)
        for name in ("a", "b"):
            assert float(row[name]) == pytest.approx(cells[name][place], abs=1e-3)
        assert row["colour"] == cells["colour"][place]
    errors = [abs(float(line[heads.index("error")])) for line in lines]
    assert errors == sorted(errors, reverse=True)


def test_a_linear_model_of_pieces_is_a_sum_of_curves(trained: Path) -> None:
    run_well(trained, "report", "--run", "pieces")
    words = text_of(trained / "pieces" / "report.html")
    assert re.search(r"y = [\d.]+ \+ f\(a\) \+ f\(b\) ", words)
    assert "standardised, and in 16 pieces" in words
    assert "16 hard sigmoids" in words
    assert "Coefficients in the units" not in words


def test_worst_rows_of_pixels_are_shown_as_images(fresh: Path) -> None:
    random = np.random.default_rng(0)
    columns = {f"pixel_{place}": random.integers(0, 17, 60).tolist() for place in range(16)}
    write_rows(fresh / "pixels.csv", {**columns, "kind": ["odd", "even", "prime"] * 20})
    (fresh / "pixels.yaml").write_text(f"data: {{path: pixels.csv, target: kind}}\n{SMALL}")
    run_well(fresh, "train", "--quiet", "--config", "pixels.yaml", with_report=True)
    page = (fresh / "runs" / "pixels-1" / "report.html").read_text()
    assert page.index('id="worst"') < page.index('id="worst_rows"') < page.index('id="function"')


def test_only_wrong_predictions_are_shown(trained: Path) -> None:
    found = from_disk(RunDirectory(trained / "classes"))
    assert found.rows is not None
    truth = found.rows.classes
    for wrong, shown in ((2, 2), (0, 10)):
        predicted = np.where(np.arange(len(truth)) < wrong, (truth + 1) % 3, truth)
        rows = replace(found.rows, predictions=0.1 + 0.7 * np.eye(3)[predicted])
        section = worst_rows_section(found, rows, [], 0)
        (table,) = (block for block in section.blocks if isinstance(block, Table))
        assert len(table.rows) == shown
        assert [line[1] != line[2] for line in table.rows] == [bool(wrong)] * shown
        assert ("Right" in section.title) == (wrong == 0)


def test_images_are_shown_as_given_predicted_and_true(fresh: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (60, 32))
    rows = {f"pixel_{i}": values[:, i].tolist() for i in range(32)}
    write_rows(fresh / "halves.csv", rows)
    targets = ", ".join(f"pixel_{i}" for i in range(16, 32))
    (fresh / "halves.yaml").write_text(
        f"data: {{path: halves.csv, target: [{targets}], target_shape: [2, 8]}}\n{SMALL}"
    )
    run_well(fresh, "train", "--quiet", "--config", "halves.yaml", with_report=True)
    page = (fresh / "runs" / "halves-1" / "report.html").read_text()
    for name in ("images", "worst_rows"):
        figure = page[page.index(f'<figure id="{name}"') :]
        words = re.findall(r"<text[^>]*>(.*?)</text>", figure[: figure.index("</figure>")])
        assert {"given", "predicted", "true"} <= set(words)
    assert "dependence_1" not in page
    assert "Each square is a pixel" in page


def test_the_folds_have_their_scores(fresh: Path) -> None:
    text = CONFIGS["regression"].replace("p*]", "p*], split: {method: kfold, folds: 4}")
    (fresh / "folds.yaml").write_text(text)
    run_well(fresh, "train", "--quiet", "--config", "folds.yaml", with_report=True)
    found = json.loads((fresh / "runs" / "folds-1" / "summary.json").read_text())
    folds = found["cross_validation"]
    words = text_of(fresh / "runs" / "folds-1" / "report.html")
    assert "over 4 folds" in words
    for scores, errors in (
        (folds["scores"], folds["standard_errors"]),
        (folds["baselines"]["least_squares"], folds["baseline_standard_errors"]["least_squares"]),
    ):
        assert score_text("mae", scores["mae"], errors["mae"]) in words
    assert words.count("120 held-out rows") >= 4  # scores, predictions, largest errors, importance


@pytest.mark.parametrize("options", [[], ["--set", "train.members=2"]])
@pytest.mark.parametrize("name", ["regression", "classes"])
def test_the_held_out_rows_are_those_that_the_folds_were_scored_on(
    fresh: Path, name: str, options: list[str]
) -> None:
    folds = ("--set", "data.split={method: kfold, folds: 4}", "--run-dir", "folds")
    run_well(fresh, "train", "--quiet", "--config", f"{name}.yaml", *folds, *options)
    run_directory = RunDirectory(fresh / "folds")
    found = from_disk(run_directory).held_out
    assert found is not None
    pooled = json.loads(run_directory.summary.read_text())["cross_validation"]["pooled"]["scores"]
    if name == "classes":
        right = found.predictions.argmax(axis=1) == found.classes
        assert right.mean() == pytest.approx(pooled["accuracy"])
        chances = found.predictions[range(len(found)), found.classes]
        assert -np.log(chances).mean() == pytest.approx(pooled["log_loss"], rel=1e-6)
    else:
        errors = found.values - found.predictions
        assert np.abs(errors).mean() == pytest.approx(pooled["mae"], rel=1e-6)


def test_members_have_a_line_for_one_alone_and_each_its_epoch(fresh: Path) -> None:
    members = ("--set", "train.members=3")
    run_well(fresh, "train", "--quiet", "--config", "regression.yaml", *members, with_report=True)
    folder = fresh / "runs" / "regression-1"
    words = text_of(folder / "report.html")
    assert "3 members" in words
    assert ALONE in words
    summary = json.loads((folder / "summary.json").read_text())
    epochs = ", ".join(str(member["best_epoch"]) for member in summary["members"])
    assert f"epochs are {epochs}." in words


@pytest.mark.parametrize("options", [[], ["--relu"], ["--pieces", "2"]])
def test_a_network_that_was_built_shows_its_curve(tmp_path: Path, options: list[str]) -> None:
    write_rows(tmp_path / "curve.csv", {"x": [3, 0, 1, 5], "y": [2, 1, 4, 0]})
    run_well(tmp_path, "piecewise", "curve.csv", *options)
    page = tmp_path / run_well(tmp_path, "report").stdout.strip()
    drawn = set(re.findall(r'<figure id="(\w+)"', page.read_text()))
    assert "curve_and_parts" in drawn
    assert drawn.isdisjoint({"learning_curves", "updates", "loss_surface", "curve", "parts"})
    words = text_of(page)
    assert "from 4 points" in words
    off = json.loads((page.parent / "summary.json").read_text())["piecewise"]["rms_difference"]
    assert (number(off) if off else "Exact") in words


def remove(data: Path) -> None:
    data.unlink()


def change(data: Path) -> None:
    data.write_text(data.read_text().replace("red", "RED", 1))


@pytest.mark.parametrize(("harm", "why"), [(remove, "no such file"), (change, "has changed since")])
def test_without_its_data_a_run_still_has_a_report(
    fresh: Path, harm: Callable[[Path], None], why: str
) -> None:
    run_well(fresh, "train", "--quiet", "--config", "regression.yaml")
    harm(fresh / "train.csv")
    run_well(fresh, "report", "--plots", "plots")
    assert why in text_of(fresh / "runs" / "regression-1" / "report.html").lower()
    assert {path.stem for path in (fresh / "plots").iterdir()} == {*ALWAYS, "unit"} - {
        "loss_surface"
    }


def test_a_run_that_was_stopped_has_a_report_too(fresh: Path) -> None:
    run_well(fresh, "train", "--quiet", "--config", "linear.yaml")
    (fresh / "runs" / "linear-1" / "summary.json").unlink()
    run_well(fresh, "report")
    assert "least squares" in text_of(fresh / "runs" / "linear-1" / "report.html")
    (fresh / "train.csv").unlink()
    run_well(fresh, "report")
    assert "no scores" in text_of(fresh / "runs" / "linear-1" / "report.html")


def test_refusals(trained: Path, tmp_path: Path) -> None:
    assert refusal(tmp_path, "report")[0] == 4
    code, line = refusal(trained, "report", "--run", "regression", "--plots", "train.csv")
    assert (code, line.startswith("--plots train.csv: ")) == (2, True)


def test_a_failure_to_draw_does_not_lose_the_run(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("no\x1bink")

    monkeypatch.setattr(about_rows, "predictions_section", fail)
    outcome = run(fresh, "train", "--quiet", "--config", "linear.yaml", with_report=True)
    assert (outcome.code, outcome.stdout) == (0, "runs/linear-1\n")
    assert "ValueError: no\\x1bink" in outcome.stderr
    assert outcome.stderr.endswith("ml2021 report --run runs/linear-1\n")
    run_well(fresh, "evaluate")
    assert not [*fresh.glob("runs/linear-1/*report*")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_drawing_ends_cleanly(fresh: Path, number: int, code: int) -> None:
    process = Started(fresh, "train", "--config", "regression.yaml")
    while "For example" not in process.said():  # the last line before the report is begun
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(number)
    _, stderr = process.communicate()
    folder = fresh / "runs" / "regression-1"
    left = {path.name for path in folder.iterdir()}
    assert process.wait() == code, stderr
    assert "ml2021 report --run" in stderr
    assert "report.html" not in left
    assert not [name for name in left if name.startswith(".")]
    run_well(fresh, "report")


def test_a_resumed_run_is_drawn_again_and_a_finished_one_is_left_alone(fresh: Path) -> None:
    run_well(fresh, "train", "--quiet", "--config", "linear.yaml", "--run-dir", "run")
    before = contents(fresh / "run")
    assert "report.html" not in before
    outcome = run_well(fresh, "train", "--resume", "run", with_report=True)
    assert outcome.stderr.endswith("ml2021 report --run run\n")
    assert contents(fresh / "run") == before
    arguments = ("train", "--quiet", "--resume", "run", "--set", "train.epochs=5")
    run_well(fresh, *arguments, with_report=True)
    assert "over 5 epochs" in text_of(fresh / "run" / "report.html")
    outcome = run_well(fresh, "train", "--resume", "run", with_report=True)
    assert "ml2021 report" not in outcome.stderr
