"""`ml2021 piecewise`: the run that it saves, the other commands on that run, its errors."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ml2021.report.figures.curves import curve_and_parts
from tests.commands import contents, parse_rows, refusal, run, run_well, write_rows

Floats = NDArray[np.float64]

X = [4.0, 0.0, 6.0, 1.0, 3.0, 2.5]
Y = [1400.0, 1100.0, 1200.0, 1300.0, 1050.0, 1050.0]
PLACES = np.linspace(-3, 9, 97).round(3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a curve, out of order and with a flat piece, and places to predict."""
    write_rows(tmp_path / "curve.csv", {"day": X, "views": Y})
    write_rows(tmp_path / "places.csv", {"day": PLACES.tolist()})
    return tmp_path


def predicted(folder: Path, run_folder: str) -> Floats:
    rows = parse_rows(
        run_well(folder, "predict", "places.csv", "--run", run_folder, "--output", "-").stdout
    )
    return np.array([float(row["views"]) for row in rows])


def facts(folder: Path, run_folder: str) -> dict[str, float]:
    summary = json.loads((folder / run_folder / "summary.json").read_text())
    assert summary["epochs"] == summary["best_epoch"] == 0
    found = summary["piecewise"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("options", [[], ["--relu"]])
def test_the_run_is_the_curve_and_serves_as_any_other(folder: Path, options: list[str]) -> None:
    outcome = run_well(folder, "piecewise", "curve.csv", *options)
    assert outcome.stdout == "runs/curve-1\n"
    assert set(contents(folder / "runs" / "curve-1")) - {"report.html"} == {
        *("config.yaml", "config.resolved.yaml", "environment.json", "metrics.csv"),
        *("ml2021.tag", "summary.json", "piecewise.png", "checkpoints/best.safetensors"),
    }
    order = np.argsort(X)
    expected = np.interp(PLACES, np.array(X)[order], np.array(Y)[order])
    np.testing.assert_allclose(predicted(folder, "runs/curve-1"), expected, atol=1e-6 * 350)
    result = json.loads(run_well(folder, "evaluate", "--json").stdout)
    assert (result["rows"], result["split"]) == (6, "train")
    assert result["scores"]["rmse"] < 1e-6 * 350
    found = facts(folder, "runs/curve-1")
    assert (found["points"], found["pieces"], found["hard_sigmoids"]) == (6, 5, 4)
    assert found["rms_difference"] == 0.0
    assert found["largest_rounding_of_float32"] < 1e-6 * 350


def test_the_config_of_the_run_trains(folder: Path) -> None:
    run_well(folder, "piecewise", "curve.csv")
    config = "runs/curve-1/config.yaml"
    outcome = run_well(folder, "train", "--config", config, "--set", "train.epochs=1", "--quiet")
    assert outcome.stdout == "runs/curve-2\n"


def test_fewer_pieces_come_with_their_error(folder: Path) -> None:
    x = np.linspace(0, 6, 200)
    write_rows(folder / "wave.csv", {"day": x.tolist(), "views": (1000 * np.sin(x)).tolist()})
    outcome = run_well(folder, "piecewise", "wave.csv", "--pieces", "12", "--run-dir", "w")
    found = facts(folder, "w")
    assert (found["points"], found["pieces"], found["hard_sigmoids"]) == (200, 12, 12)
    assert found["rms_difference"] < 10 < found["rms_difference_of_even_pieces"]
    assert f"\n12 pieces: the RMS error of views along day is {found['rms_difference']:.3f} (" in (
        outcome.stderr
    )
    inside = (PLACES > 0) & (PLACES < 6)
    network, sine = predicted(folder, "w"), 1000 * np.sin(PLACES)
    assert np.sqrt(np.mean(np.square(network - sine)[inside])) < 10


@pytest.mark.parametrize("options", [[], ["--pieces", "1"], ["--pieces", "9"]])
def test_two_points_are_a_curve(folder: Path, options: list[str]) -> None:
    write_rows(folder / "two.csv", {"day": [2, 0], "views": [1000, 5000]})
    run_well(folder, "piecewise", "two.csv", *options)
    ramp = np.interp(PLACES, [0, 2], [5000, 1000])
    np.testing.assert_allclose(predicted(folder, "runs/two-1"), ramp, atol=4e-3)
    run_well(folder, "evaluate")


def test_a_flat_curve_is_a_constant(folder: Path) -> None:
    write_rows(folder / "flat.csv", {"day": [0, 1, 5], "views": [7, 7, 7]})
    run_well(folder, "piecewise", "flat.csv")
    assert set(predicted(folder, "runs/flat-1")) == {7.0}


def test_points_of_another_format_are_read_as_set(folder: Path) -> None:
    (folder / "comma.csv").write_text("1,5;100\n0,5;300\n")
    options = ("data.separator=;", 'data.decimal=","', "data.header=false")
    sets = [text for option in options for text in ("--set", option)]
    run_well(folder, "piecewise", "comma.csv", *sets)
    outcome = run_well(folder, "evaluate", "--json")
    assert json.loads(outcome.stdout)["scores"]["mae"] < 1e-4


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("x,y,z\n1,2,3\n2,3,4\n", "t.csv: has 3 columns; "),
        ("x\n1\n2\n", "t.csv: has 1 column; "),
        ("x,y\n1,2\n", "t.csv: has only one point; "),
        ("x,y\n1,2\n2,\n", "t.csv:3: column 'y' has no value; "),
        ("x,y\n1,2\nNaN,2\n3,4\n", "t.csv:3: column 'x' has no value; "),
        ("x,y\n1,2\n2,three\n", "t.csv:3: column 'y': 'three' is not a number; "),
        ("x,y\n3,2\n1,2\n\n3.0,4\n", "t.csv:5: x = 3 is repeated from t.csv:2; "),
        ("x,y\n0,1\n1,2\n1.00000000001,3\n", "t.csv: x = 1 and 1.00000000001 are equal "),
    ],
)
def test_points_that_are_not_a_curve(tmp_path: Path, text: str, facts: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    code, line = refusal(tmp_path, "piecewise", "t.csv")
    assert code == 3
    assert line.startswith(facts)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize(
    ("arguments", "code", "fact"),
    [
        (["curve.csv", "--set", "model.units=3"], 2, "--set model.units: "),
        (["nowhere.csv"], 3, "{folder}/nowhere.csv"),
        (["curve.csv", "--run-dir", "used"], 7, "used"),
    ],
)
def test_invalid_arguments(folder: Path, arguments: list[str], code: int, fact: str) -> None:
    run_well(folder, "piecewise", "curve.csv", "--run-dir", "used")
    before = contents(folder)
    found, line = refusal(folder, "piecewise", *arguments)
    assert found == code
    assert fact.format(folder=folder) in line
    assert run(folder, "piecewise", "curve.csv", "--pieces", "0").code == 2
    assert refusal(folder, "train", "--resume", "used")[0] == 4  # it has no state of training
    assert contents(folder) == before


def test_the_picture_has_the_curve_the_constant_the_parts_and_the_sum() -> None:
    bends = np.array([0.0, 2.0, 3.0]), np.array([1.0, 5.0, 4.0])
    ramps = np.array([0.0, 2.0]), np.array([2.0, 3.0]), np.array([4.0, -1.0])
    plain = curve_and_parts(bends, bends, 1.0, ramps, ("day", "views"), is_paired=False)
    upper, lower = plain.axes
    assert [len(axes.lines) for axes in (upper, lower)] == [2, 4]  # zero, the constant, two parts
    assert (lower.get_xlabel(), lower.get_ylabel(), upper.get_ylabel()) == ("day", "views", "views")
    x, total = (np.asarray(values) for values in upper.lines[1].get_data())
    np.testing.assert_allclose(x, [-0.3, 0, 2, 3, 3.3])
    np.testing.assert_array_equal(total, [1, 1, 5, 4, 4])
    places = np.linspace(-0.3, 3.3, 50)

    def drawn(line: Line2D) -> Floats:
        x, y = (np.asarray(values, np.float64) for values in line.get_data())
        return np.asarray(np.interp(places, x, y), np.float64)

    _, constant, *parts = lower.lines
    together = drawn(constant) + sum(map(drawn, parts))
    np.testing.assert_allclose(together, np.interp(places, x, total))
    assert [text.get_text() for text in lower.texts] == ["2", "0", "1"]
    paired = curve_and_parts(bends, bends, 1.0, ramps, ("x", "y"), is_paired=True).axes[1]
    assert len(paired.lines) == 8
    _, _, first, climb, stop, second, start, end = paired.lines
    for part, relus in ((first, (climb, stop)), (second, (start, end))):
        np.testing.assert_allclose(drawn(part), sum(map(drawn, relus)), atol=1e-12)
