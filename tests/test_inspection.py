"""Coefficients, terms, units, importance: held to the network's predictions and closed forms."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import RealTargets
from ml2021.engine.build import build_network
from ml2021.engine.networks import initial_parameters
from ml2021.evaluation.fitted_baselines import baseline_predictions, fit_baselines
from ml2021.inspection.coefficients import coefficients, terms, typical_unit
from ml2021.inspection.features import (
    InspectedColumn,
    column_text,
    columns_of,
    halves,
    image_shape,
    pixel_map,
)
from ml2021.inspection.importance import dependence, importance
from ml2021.inspection.rows import select_rows
from ml2021.runs.model import TrainedModel
from tests.tables import Cell, load, write_csv

ROWS = 80

REGRESSION = ("  target: y", "  exclude: [kind, three]")


def columns(seed: int = 0) -> dict[str, list[Cell]]:
    random = np.random.default_rng(seed)
    a, b = random.normal(50, 10, ROWS), random.normal(size=ROWS)
    colour = [("red", "green", "blue")[i % 3] for i in range(ROWS)]
    y = 3 * a + 20 * b + np.array([100.0 * (c == "red") for c in colour])
    gaps: list[Cell] = [None if i % 7 == 0 else round(v, 3) for i, v in enumerate(b)]
    return {
        "a": a.round(3).tolist(),
        "b": gaps,
        "colour": [*colour],
        "y": y.round(3).tolist(),
        "kind": [("low", "high")[int(v > 150)] for v in y],
        "three": [("p", "q", "r")[i % 3] for i in range(ROWS)],
    }


def model_of(data: TrainingData) -> TrainedModel:
    """Return a network with the parameters that a training starts from."""
    network = build_network(data.config.model, *data.preprocessing.sizes)
    theta = initial_parameters(network, [torch.Generator().manual_seed(1)])
    return TrainedModel(
        config=data.config,
        preprocessing=data.preprocessing,
        network=network,
        theta=theta,
        selected=theta,
        baselines=fit_baselines(data.config, data.preprocessing, data.train, 10),
        residuals=None,
        data_sha256=data.data_sha256,
        test_sha256=None,
    )


def prepared(folder: Path, *lines: str) -> tuple[TrainingData, TrainedModel]:
    data = load(write_csv(folder / "t.csv", columns()), *lines)
    return data, model_of(data)


def inputs_in_units(data: TrainingData) -> np.ndarray:
    """Return each input as people know it: numbers in their units, the others as 0 or 1."""
    values = data.train.inputs[:, :-1].astype(np.float64)
    for column in columns_of(data.preprocessing):
        if column.categories is None:
            place = column.start
            values[:, place] = column.mean + column.scale * values[:, place]
    return values


def test_coefficients_are_the_linear_model_in_units_of_the_data(tmp_path: Path) -> None:
    data, model = prepared(tmp_path, *REGRESSION, "model: linear")
    found = coefficients(model)
    assert found is not None
    by_formula = found.constants + inputs_in_units(data) @ found.weights
    np.testing.assert_allclose(by_formula, model.predict(data.train.inputs), rtol=1e-5)
    assert found.names == data.preprocessing.inputs
    target = data.preprocessing.target
    assert isinstance(target, RealTargets)
    deviations = model.theta[0, :-1].numpy() * target.scales[0]
    np.testing.assert_allclose(found.effects[:, 0], deviations, rtol=1e-6)


@pytest.mark.parametrize("target", ["y", "kind", "three"])
def test_a_linear_model_of_pieces_is_a_curve_for_each_column(tmp_path: Path, target: str) -> None:
    others = sorted({"y", "kind", "three"} - {target})
    lines = (f"  target: {target}", f"  exclude: [{', '.join(others)}]", "  numbers: {pieces: 5}")
    data, model = prepared(tmp_path, *lines, "model: linear")
    found = coefficients(model)
    assert found is not None
    assert found.names == ("b is missing", "colour=blue", "colour=green", "colour=red")
    assert [curve.column.name for curve in found.curves] == ["a", "b"]
    a, b = found.curves
    for curve in found.curves:
        assert (curve.x[1:-1] == curve.column.edges).all()
        at_mean = np.interp(curve.column.mean, curve.x, curve.total[:, 0])
        assert at_mean == pytest.approx(0, abs=1e-9)
        # Beyond the ends, and within each piece but its own, a hard sigmoid is level.
        for place, ramp in enumerate(curve.ramps):
            assert (np.ptp(ramp[: place + 2], axis=0) == 0).all()
            assert (np.ptp(ramp[place + 2 :], axis=0) == 0).all()
    cells = columns()
    rows = [row for row in data.train.places if cells["b"][row] is not None]
    outputs = np.tile(found.constants, (len(rows), 1))
    for index, row in enumerate(rows):
        for curve in (a, b):
            value = float(str(cells[curve.column.name][row]))
            outputs[index] += [np.interp(value, curve.x, line) for line in curve.total.T]
        outputs[index] += found.weights[found.names.index(f"colour={cells['colour'][row]}")]
    kept = np.isin(data.train.places, rows)
    predictions = model.predict(data.train.inputs[kept])
    if target == "y":
        np.testing.assert_allclose(outputs, predictions, rtol=1e-4)
    else:
        logits = np.log(predictions)
        expected = logits[:, 1:] - logits[:, :1] if target == "kind" else logits
        gap = outputs - expected
        np.testing.assert_allclose(gap, gap[:, :1].repeat(gap.shape[1], axis=1), atol=1e-4)


def test_the_terms_of_a_column_in_pieces_are_a_line_and_hard_sigmoids(tmp_path: Path) -> None:
    lines = ("  target: y", "  features: [a]", "  numbers: {pieces: 3}", "model: linear")
    data, model = prepared(tmp_path, *lines)
    found = terms(model, 20, 80)
    assert found is not None
    (column,) = columns_of(data.preprocessing)
    inputs = np.hstack([column.encode(found.x), np.ones((len(found.x), 1))]).astype(np.float32)
    total = found.constant + found.curves.sum(axis=0)
    np.testing.assert_allclose(total, model.predict(inputs)[:, 0], rtol=1e-4)
    assert len(found.curves) == 1 + 3


@pytest.mark.parametrize("target", ["kind", "three"])
def test_coefficients_of_classes_are_log_odds(tmp_path: Path, target: str) -> None:
    other = "three" if target == "kind" else "kind"
    data, model = prepared(
        tmp_path, f"  target: {target}", f"  exclude: [y, {other}]", "model: linear"
    )
    found = coefficients(model)
    assert found is not None
    logits = found.constants + inputs_in_units(data) @ found.weights
    probabilities = model.predict(data.train.inputs)
    labels = data.preprocessing.target.labels
    if target == "kind":  # the log-odds of the second class
        logits = np.hstack([np.zeros((len(logits), 1)), logits])
        labels = labels[1:]
    assert found.outputs == labels
    powers = np.exp(logits)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected, probabilities, rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("{type: sigmoid_sum, units: 5}", 5),
        ("{type: sigmoid_sum, units: 4, activation: hard_sigmoid}", 4),
        ("{type: relu_stack, widths: [7]}", 7),
        ("{type: relu_stack, widths: [6, 3]}", 3),
        ("linear", 1),
    ],
)
def test_the_terms_add_up_to_the_function(tmp_path: Path, text: str, units: int) -> None:
    data, model = prepared(tmp_path, "  target: y", "  features: [a]", f"model: {text}")
    assert (coefficients(model) is None) == (text != "linear")
    found = terms(model, 20, 80)
    assert found is not None
    assert len(found.curves) == units
    (column,) = columns_of(data.preprocessing)
    inputs = np.ones((len(found.x), 2), np.float32)
    inputs[:, 0] = (found.x - column.mean) / column.scale
    total = found.constant + found.curves.sum(axis=0)
    np.testing.assert_allclose(total, model.predict(inputs)[:, 0], rtol=1e-4)
    if units > 1:  # and each is one unit: what is left without its output weight
        *_, last = model.network.layout.views(model.theta)
        last[0, 0, 0] = 0
        np.testing.assert_allclose(
            total - found.curves[0], model.predict(inputs)[:, 0], rtol=1e-4, atol=1e-2
        )


@pytest.mark.parametrize(
    ("target", "features"),
    [("y", "[a, b]"), ("y", "[colour]"), ("y", "[b]"), ("kind", "[a]"), ("[y, a]", "[b]")],
    ids=["two columns", "categories", "with an indicator", "classes", "two targets"],
)
def test_other_functions_have_no_terms(tmp_path: Path, target: str, features: str) -> None:
    _, model = prepared(tmp_path, f"  target: {target}", f"  features: {features}")
    assert terms(model, 0, 1) is None


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid"])
def test_a_unit_in_units_of_the_data(tmp_path: Path, activation: str) -> None:
    text = f"model: {{type: sigmoid_sum, units: 3, activation: {activation}}}"
    _, model = prepared(tmp_path, "  target: y", "  features: [a]", text)
    unit = typical_unit(model)
    assert unit is not None
    numbers = {name: values for name, (values, _) in unit.curves.items()}
    w, b, c = (numbers[name][1] for name in "wbc")
    z = unit.x * w + b
    shape = 1 / (1 + np.exp(-z)) if activation == "sigmoid" else np.clip(z / 6 + 0.5, 0, 1)
    for _, curves in unit.curves.values():
        np.testing.assert_allclose(curves[1], c * shape, rtol=1e-4, atol=1e-4 * abs(c))
    np.testing.assert_allclose(unit.curves["c"][1][2], 2 * c * shape, rtol=1e-4, atol=1e-3)
    assert numbers["w"][2] == pytest.approx(2 * w)
    found = terms(model, unit.x[0], unit.x[-1])
    assert found is not None
    spans = np.ptp(found.curves, axis=1)
    assert np.ptp(unit.curves["w"][1][1]) <= 1.01 * spans.max()


def test_importance_by_hand(tmp_path: Path) -> None:
    data, model = prepared(tmp_path, *REGRESSION, "model: linear")
    rows = select_rows(model, data)
    found = importance(model, rows)
    assert found.total == len(found.columns) == 3
    assert (np.diff(found.increases) <= 0).all()
    order = np.random.default_rng(0).permutation(len(rows))
    for column, increase in zip(found.columns, found.increases, strict=True):
        shuffled = rows.inputs.copy()
        shuffled[:, column.places] = rows.inputs[order][:, column.places]
        error = np.abs(model.predict(shuffled) - rows.values).mean()
        plain = np.abs(rows.predictions - rows.values).mean()
        assert increase == pytest.approx(error - plain, abs=1e-4)


def test_importance_and_dependence_of_the_linear_baseline_by_hand(tmp_path: Path) -> None:
    data, model = prepared(tmp_path, *REGRESSION, "model: {type: relu_stack, widths: [5]}")
    rows = select_rows(model, data)
    order = np.random.default_rng(0).permutation(len(rows))

    def baseline(inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        samples = replace(data.scored_split[1], inputs=inputs.astype(np.float32))
        found = baseline_predictions(model.preprocessing, model.baselines, samples)
        return np.asarray(found["least_squares"])

    found = importance(model, rows)
    assert found.linear is not None
    plain = np.abs(baseline(rows.inputs) - rows.values).mean()
    for column, increase in zip(found.columns, found.linear, strict=True):
        shuffled = rows.inputs.copy()
        shuffled[:, column.places] = rows.inputs[order][:, column.places]
        error = np.abs(baseline(shuffled) - rows.values).mean()
        assert increase == pytest.approx(error - plain, abs=1e-9)
        curve = dependence(model, rows, column)
        assert curve is not None
        assert curve.linear is not None
        inputs = rows.inputs.copy()
        inputs[:, column.places] = 0
        if column.categories is None:
            inputs[:, column.start] = (curve.grid[-1] - column.mean) / column.scale
        else:
            inputs[:, column.start + int(curve.grid[-1])] = 1
        assert curve.linear[-1] == pytest.approx(baseline(inputs).mean(), abs=1e-4)


def test_times_have_the_parts_that_some_row_needs(tmp_path: Path) -> None:
    data, model = prepared(tmp_path, *REGRESSION, "model: linear")
    rows = select_rows(model, data)
    steps: dict[Literal["D", "h"], str] = {"D": "2024-04-02", "h": "2024-04-01 01:00"}
    for step, second in steps.items():
        when = np.datetime64("2024-04-01", "s") + np.arange(len(rows)) * np.timedelta64(1, step)
        texts = [replace(rows, when=when, when_name="t").time_text(i) for i in (0, 1)]
        assert texts == ["2024-04-01" + " 00:00" * (step == "h"), second]
    when = np.datetime64("2024-04-01", "s") + np.arange(len(rows)) * np.timedelta64(1, "s")
    assert replace(rows, when=when, when_name="t").time_text(1) == "2024-04-01 00:00:01"


def test_a_column_without_weight_does_not_matter(tmp_path: Path) -> None:
    lines = ("  target: kind", "  exclude: [y, three]", "model: {type: relu_stack, widths: [5]}")
    data, model = prepared(tmp_path, *lines)
    (column,) = (c for c in columns_of(data.preprocessing) if c.name == "a")
    first, *_ = model.network.layout.views(model.theta)
    first[0, :, column.start] = 0
    rows = select_rows(model, data)
    found = importance(model, rows)
    assert found.increases[[c.name for c in found.columns].index("a")] == pytest.approx(
        0, abs=1e-12
    )
    curve = dependence(model, rows, column)
    assert curve is not None
    assert np.ptp(curve.mean) < 1e-6


def test_partial_dependence_by_hand(tmp_path: Path) -> None:
    data, model = prepared(tmp_path, *REGRESSION, "model: {type: relu_stack, widths: [5]}")
    rows = select_rows(model, data)
    for column in columns_of(data.preprocessing):
        found = dependence(model, rows, column)
        assert found is not None
        for place in (0, len(found.grid) // 2, -1):
            inputs = rows.inputs.copy()
            inputs[:, column.places] = 0
            if column.categories is None:
                value = (found.grid[place] - column.mean) / column.scale
                inputs[:, column.start] = value
            else:
                inputs[:, column.start + int(found.grid[place])] = 1
            assert found.mean[place] == pytest.approx(model.predict(inputs).mean(), rel=1e-4)
    colours = next(c for c in columns_of(data.preprocessing) if c.name == "colour")
    assert colours.categories == ("blue", "green", "red")


def test_partial_dependence_bends_at_the_edges_of_pieces(tmp_path: Path) -> None:
    lines = ("  numbers: {pieces: 4}", "model: {type: relu_stack, widths: [5]}")
    data, model = prepared(tmp_path, *REGRESSION, *lines)
    rows = select_rows(model, data)
    a, b = (c for c in columns_of(data.preprocessing) if c.categories is None)
    assert (a.is_flagged, b.is_flagged) == (False, True)
    for column in (a, b):
        found = dependence(model, rows, column)
        assert found is not None
        assert set(column.edges[1:-1]) <= set(found.grid)
        inputs = rows.inputs.copy()
        inputs[:, column.places] = column.encode(found.grid[7:8])
        assert found.mean[7] == pytest.approx(model.predict(inputs).mean(), rel=1e-4)
    shuffled = importance(model, rows)
    assert [column.name for column in shuffled.columns if column.name in "ab"] != []
    assert len(shuffled.columns) == len(data.preprocessing.features)  # each column once


def test_cells_are_written_as_they_stand_in_the_file(tmp_path: Path) -> None:
    data, model = prepared(tmp_path, *REGRESSION)
    rows = select_rows(model, data)
    cells = columns()
    a, b, colour = columns_of(data.preprocessing)
    for place, inputs in zip(rows.places, rows.inputs, strict=True):
        assert float(column_text(a, inputs)) == pytest.approx(cells["a"][place], abs=1e-3)
        assert column_text(colour, inputs) == cells["colour"][place]
        expected = cells["b"][place]
        if expected is None:
            assert column_text(b, inputs) == "(missing)"
        else:
            assert float(column_text(b, inputs)) == pytest.approx(expected, abs=1e-5)
    pixel = InspectedColumn("pixel", 0, 1, mean=4.2, scale=5.3)
    for above in (-1e-8, 0, 1e-8):
        assert column_text(pixel, np.array([-4.2 / 5.3 + above, 1], np.float32)) == "0"


@pytest.mark.parametrize(
    ("count", "features", "target", "shape"),
    [
        (16, "[p*]", "y", (4, 4)),
        (17, "[p*]", "y", None),
        (16, "[p*, a]", "y", None),
        (16, "[a]", "y", None),
        (16, "[r*]", "y", None),
        (16, "[p*]", "q*\n  target_shape: [2, 8]", (2, 8)),
    ],
)
def test_inputs_that_are_an_image(
    tmp_path: Path, count: int, features: str, target: str, shape: tuple[int, int] | None
) -> None:
    random = np.random.default_rng(0)
    cells: dict[str, list[Cell]] = {"a": random.normal(size=ROWS).round(2).tolist()}
    for letter in "pq":
        for pixel in range(count):
            cells[f"{letter}{pixel}"] = random.integers(0, 256, ROWS).tolist()
            cells[f"r{pixel}"] = random.normal(scale=pixel + 1, size=ROWS).round(2).tolist()
    cells["y"] = random.normal(size=ROWS).round(2).tolist()
    lines = (f"  features: {features}", f"  target: {target}", "  types: {'p*': pixel}")
    data = load(write_csv(tmp_path / "t.csv", cells), *lines)
    assert image_shape(data.preprocessing) == shape


@pytest.mark.parametrize(
    ("features", "target", "expected"),
    [("p0*", "p1*", "above"), ("p1*", "p0*", "below"), ("p0*", "q*", None)],
)
def test_where_the_inputs_stand_in_a_whole_image(
    tmp_path: Path, features: str, target: str, expected: str | None
) -> None:
    random = np.random.default_rng(0)
    names = [f"{letter}{half}{place:02}" for letter in "pq" for half in "01" for place in range(16)]
    cells: dict[str, list[Cell]] = {
        name: random.integers(0, 256, ROWS).tolist() for name in names if name[:2] != "q1"
    }
    lines = (
        f"  features: ['{features}']",
        f"  target: '{target}'",
        "  target_shape: [4, 4]",
        f"  types: {{'{features}': pixel}}",
    )
    data = load(write_csv(tmp_path / "t.csv", cells), *lines)
    assert halves(data.preprocessing) == expected
    drawn = pixel_map(data.preprocessing, np.arange(16.0))
    assert drawn.tolist() == np.arange(16.0).reshape(4, 4).tolist()
