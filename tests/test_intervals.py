"""`predict --interval`: columns around each prediction, as wide as the validation rows say."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ml2021.evaluation import intervals as conformal
from tests import commands
from tests.commands import parse_rows, refusal, run_well, write_rows
from tests.tables import load

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 5}\n"
DATA = {
    "number": "path: train.csv, target: y, exclude: [id, kind, p*]",
    "classes": "path: train.csv, target: kind, exclude: [id, y, p*]",
    "pixels": 'path: train.csv, target: "p*", exclude: [id, y, kind]',
    "series": "path: series.csv, target: views, exclude: [date], lags: 7",
    "unheld": "path: train.csv, target: y, exclude: [id, kind, p*], split: {validation: 0.0}",
    "clash": "path: clash.csv, target: [y, y_low]",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tables and a run of each config, under its name."""
    folder = tmp_path_factory.mktemp("runs")
    columns = commands.table(400)
    write_rows(folder / "train.csv", columns)
    write_rows(folder / "new.csv", commands.table(30, seed=1))
    write_rows(folder / "series.csv", commands.series(120))
    clash = {"x": columns["a"], "y": columns["y"], "y_low": columns["b"]}
    write_rows(folder / "clash.csv", clash)
    for name, keys in DATA.items():
        (folder / f"{name}.yaml").write_text(f"data: {{{keys}}}\n{SMALL}")
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    return folder


def predicted(runs: Path, *arguments: object) -> list[dict[str, str]]:
    return parse_rows(run_well(runs, "predict", "--output", "-", *arguments).stdout)


def test_an_interval_stands_beside_each_prediction(runs: Path) -> None:
    rows = predicted(runs, "new.csv", "--run", "number", "--interval", "0.9")
    assert list(rows[0]) == ["y", "y_low", "y_high"]
    plain = predicted(runs, "new.csv", "--run", "number")
    assert [row["y"] for row in rows] == [row["y"] for row in plain]
    widths = {round(float(row["y_high"]) - float(row["y_low"]), 3) for row in rows}
    assert max(widths) - min(widths) < 0.01
    assert all(float(row["y_low"]) < float(row["y"]) < float(row["y_high"]) for row in rows)


def test_the_width_is_what_the_validation_rows_say(runs: Path) -> None:
    """37 of the 40 validation rows, ⌈41 · 0.9⌉, lie within the interval, found from the table."""
    data = load(runs / "train.csv", "  target: y", "  exclude: [id, kind, p*]")
    table = commands.table(400)
    kept = data.split.validation.tolist()
    chosen = {name: [cells[row] for row in kept] for name, cells in table.items()}
    write_rows(runs / "validation.csv", chosen)
    rows = predicted(runs, "validation.csv", "--run", "number", "--interval", "0.9")
    inside = [
        float(row["y_low"]) - 1e-4 <= float(str(truth)) <= float(row["y_high"]) + 1e-4
        for row, truth in zip(rows, chosen["y"], strict=True)
    ]
    assert len(inside) == 40
    assert sum(inside) == 37


def test_each_target_has_its_own_width(runs: Path) -> None:
    rows = predicted(runs, "new.csv", "--run", "pixels", "--interval", "0.8")
    assert list(rows[0])[:6] == ["p0", "p0_low", "p0_high", "p1", "p1_low", "p1_high"]
    row = {name: float(cell) for name, cell in rows[0].items()}
    assert len({round(row[f"p{p}_high"] - row[f"p{p}_low"], 3) for p in range(6)}) > 1


def test_the_summary_tells_widths_and_coverage(runs: Path) -> None:
    summary = json.loads((runs / "number/summary.json").read_text())
    interval = summary["interval"]
    assert (interval["calibrated_on"], interval["rows"]) == ("validation", 40)
    assert [level["level"] for level in interval["levels"]] == list(conformal.LEVELS)
    data = load(runs / "train.csv", "  target: y", "  exclude: [id, kind, p*]")
    table = commands.table(400)
    rows = data.split.test.tolist()
    chosen = {name: [cells[row] for row in rows] for name, cells in table.items()}
    write_rows(runs / "test.csv", chosen)
    truth = np.array(chosen["y"], float)
    for level in interval["levels"]:
        found = predicted(runs, "test.csv", "--run", "number", "--interval", level["level"])
        low, high = (
            np.array([row[f"y_{side}"] for row in found], float) for side in ("low", "high")
        )
        assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(level["coverage"])
        assert (high - low) / 2 == pytest.approx(level["half_width"]["y"], rel=1e-4)
    for name in ("classes", "unheld"):
        assert "interval" not in json.loads((runs / name / "summary.json").read_text())


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        ("number", ["interval", "± y", "test rows inside"]),
        ("pixels", ["interval", "test rows inside"]),
        ("clash", ["interval", "± y", "± y_low", "test rows inside"]),
    ],
)
def test_the_report_tells_widths_and_coverage(runs: Path, name: str, headings: list[str]) -> None:
    run_well(runs, "report", "--run", name)
    page = (runs / name / "report.html").read_text()
    tables = re.findall(r"<table[^>]*>.*?</table>", page, re.DOTALL)
    (table,) = [part for part in tables if "<th>interval</th>" in part]
    assert re.findall("<th>(.*?)</th>", table) == headings
    lines = [re.findall("<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    levels = json.loads((runs / name / "summary.json").read_text())["interval"]["levels"]
    assert len(lines) == len(levels) == 4
    for line, level in zip(lines, levels, strict=True):
        assert line[0] == f"{100 * level['level']:g} %"
        assert line[-1] == f"{100 * level['coverage']:.1f} %"
        for heading, cell in zip(headings[1:-1], line[1:-1], strict=True):
            width = level["half_width"][heading.removeprefix("± ")]
            assert float(cell.replace(",", "")) == pytest.approx(width, rel=1e-3)


@pytest.mark.parametrize("name", ["classes", "unheld"])
def test_a_report_without_intervals(runs: Path, name: str) -> None:
    run_well(runs, "report", "--run", name)
    assert "<th>interval</th>" not in (runs / name / "report.html").read_text()


def test_a_forecast_from_forecasts_has_no_interval(runs: Path) -> None:
    arguments = ("series.csv", "--run", "series", "--interval", "0.8", "--ahead", "3")
    outcome = run_well(runs, "predict", *arguments, "--output", "-")
    assert "  - rows forecast from forecasts, without an interval: 2" in outcome.stderr.splitlines()
    rows = parse_rows(outcome.stdout)
    assert [row["views_low"] != "" for row in rows] == [False] * 7 + [True] * 114 + [False] * 2
    assert all(row["views"] for row in rows[7:])


@pytest.mark.parametrize(
    ("run", "level", "line"),
    [
        ("number", "1", "--interval 1: name a share between 0 and 1, such as 0.9"),
        ("number", "0", "--interval 0: name a share between 0 and 1, such as 0.9"),
        ("number", "nan", "--interval nan: name a share between 0 and 1, such as 0.9"),
        (
            "number",
            "0.99",
            "--interval 0.99: needs 99 validation rows, and this run keeps 40, enough for 0.975; "
            "ask for less, or train with more",
        ),
        (
            "classes",
            "0.9",
            "--interval: is for numbers, and this run predicts classes, which have probabilities; "
            "leave it out",
        ),
        (
            "unheld",
            "0.9",
            "--interval: this run had no validation rows to learn the width from; "
            "train with data.split.validation above 0",
        ),
        (
            "clash",
            "0.9",
            "'y_low' is a target, and would be the name of a column about another one too; "
            "rename it in the table",
        ),
    ],
)
def test_an_interval_that_cannot_be(runs: Path, run: str, level: str, line: str) -> None:
    source = "clash.csv" if run == "clash" else "new.csv"
    said = refusal(
        runs, "predict", source, "--run", run, "--interval", level, "--output", "never.csv"
    )
    assert said == (2, line)
    assert not (runs / "never.csv").exists()
