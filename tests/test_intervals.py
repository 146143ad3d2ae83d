"""`predict --interval`: bounds around each prediction, as wide as the validation rows require."""

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
    configs = {name: f"data: {{{keys}}}\n{SMALL}" for name, keys in DATA.items()}
    return commands.train_runs(folder, configs)


def predicted(runs: Path, *arguments: object) -> list[dict[str, str]]:
    return parse_rows(run_well(runs, "predict", "--output", "-", *arguments).stdout)


def write_split(runs: Path, name: str) -> dict[str, list[object]]:
    """Write the rows of a split of train.csv to NAME.csv, and return their columns."""
    data = load(runs / "train.csv", "  target: y", "  exclude: [id, kind, p*]")
    rows = getattr(data.split, name).tolist()
    columns = {key: [cells[row] for row in rows] for key, cells in commands.table(400).items()}
    write_rows(runs / f"{name}.csv", columns)
    return columns


def test_an_interval_stands_beside_each_prediction(runs: Path) -> None:
    rows = predicted(runs, "new.csv", "--run", "number", "--interval", "0.9")
    assert list(rows[0]) == ["y", "y_low", "y_high"]
    plain = predicted(runs, "new.csv", "--run", "number")
    assert [row["y"] for row in rows] == [row["y"] for row in plain]
    widths = {round(float(row["y_high"]) - float(row["y_low"]), 3) for row in rows}
    assert max(widths) - min(widths) < 0.01
    assert all(float(row["y_low"]) < float(row["y"]) < float(row["y_high"]) for row in rows)


def test_the_width_covers_the_validation_rows(runs: Path) -> None:
    """37 of the 40 validation rows, ⌈41 · 0.9⌉, lie within the interval, found from the table."""
    truths = write_split(runs, "validation")["y"]
    rows = predicted(runs, "validation.csv", "--run", "number", "--interval", "0.9")
    inside = [
        float(row["y_low"]) - 1e-4 <= float(str(truth)) <= float(row["y_high"]) + 1e-4
        for row, truth in zip(rows, truths, strict=True)
    ]
    assert len(inside) == 40
    assert sum(inside) == 37


def test_each_target_has_its_own_width(runs: Path) -> None:
    rows = predicted(runs, "new.csv", "--run", "pixels", "--interval", "0.8")
    assert list(rows[0])[:6] == ["p0", "p0_low", "p0_high", "p1", "p1_low", "p1_high"]
    row = {name: float(cell) for name, cell in rows[0].items()}
    assert len({round(row[f"p{p}_high"] - row[f"p{p}_low"], 3) for p in range(6)}) > 1


def test_the_summary_has_widths_and_coverage(runs: Path) -> None:
    summary = json.loads((runs / "number/summary.json").read_text())
    interval = summary["interval"]
    assert (interval["calibrated_on"], interval["rows"]) == ("validation", 40)
    assert [level["level"] for level in interval["levels"]] == list(conformal.LEVELS)
    truth = np.array(write_split(runs, "test")["y"], float)
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
        ("number", ["interval", "± y", "coverage"]),
        ("pixels", ["interval", "coverage"]),
        ("clash", ["interval", "± y", "± y_low", "coverage"]),
    ],
)
def test_the_report_has_widths_and_coverage(runs: Path, name: str, headings: list[str]) -> None:
    run_well(runs, "report", "--run", name)
    page = (runs / name / "report.html").read_text()
    tables = re.findall(r"<table[^>]*>.*?</table>", page, re.DOTALL)
    (table,) = [table for table in tables if "<th>interval</th>" in table]
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


def test_only_the_first_step_ahead_has_an_interval(runs: Path) -> None:
    arguments = ("series.csv", "--run", "series", "--interval", "0.8", "--ahead", "3")
    outcome = run_well(runs, "predict", *arguments, "--output", "-")
    assert " without an interval: 2\n" in outcome.stderr
    rows = parse_rows(outcome.stdout)
    assert [row["views_low"] != "" for row in rows] == [False] * 7 + [True] * 114 + [False] * 2
    assert all(row["views"] for row in rows[7:])


@pytest.mark.parametrize(
    ("run", "level", "fact"),
    [
        ("number", "1", "--interval 1: "),
        ("number", "0", "--interval 0: "),
        ("number", "nan", "--interval nan: "),
        ("number", "0.99", "needs 99 validation rows; the 40 of this run allow 0.975 at most"),
        ("classes", "0.9", "--interval: only for regression; "),
        ("unheld", "0.9", "data.split.validation above 0"),
        ("clash", "0.9", "'y_low' would be ambiguous; "),
    ],
)
def test_invalid_intervals(runs: Path, run: str, level: str, fact: str) -> None:
    source = "clash.csv" if run == "clash" else "new.csv"
    arguments = ("--run", run, "--interval", level, "--output", "never.csv")
    code, line = refusal(runs, "predict", source, *arguments)
    assert code == 2
    assert fact in line
    assert not (runs / "never.csv").exists()
