"""The numbers of By hand in explore.html: losses, slopes and steps, as the engine has them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit
from ml2021.engine.losses import Huber, Loss, Mae, Mse
from ml2021.engine.networks import Network, linear, sigmoid_sum
from ml2021.engine.optimizers import Adam, Optimizer, Sgd
from ml2021.engine.schedules import Constant
from ml2021.engine.state import Hyperparameters, start
from tests.chromium import computed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOSSES: dict[str, Loss] = {"mse": Mse(), "mae": Mae(), "huber": Huber(1.0)}


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Iterator[Page]":
    page = browser.new_page()
    yield page
    page.close()


def pairs(rows: int = 60) -> tuple[list[float], list[float]]:
    """Return x and y of rows whose curve is none of the lessons'."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=rows) * 3 + 20
    y = np.sin(x) * 40 + 5 * x + rng.normal(size=rows) * 9 + 300
    return x.tolist(), y.tolist()


def trained(
    network: Network, loss: Loss, optimizer: Optimizer, theta: list[float], u: Any, v: Any
) -> list[list[float]]:
    """Return the parameters after each of ten full-batch updates of the engine in float64."""
    inputs = torch.tensor([[each, 1.0] for each in u], dtype=torch.float64)
    data = Dataset(inputs, torch.tensor(v, dtype=torch.float64)[:, None])
    settings = Hyperparameters(loss, optimizer, Constant(), 10, None, None, None, (0,))
    begin = torch.tensor([theta], dtype=torch.float64)
    state = start(network, settings, len(data), data.inputs, theta=begin)
    found = [state.theta[0].tolist() for _ in fit(network, settings, state, data, None)]
    assert len(found) == 10
    return found


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("standardised", [True, False])
def test_a_line_takes_the_same_ten_steps_as_the_engine(
    page: "Page", loss: str, standardised: bool
) -> None:
    x, y = pairs()
    found = computed(
        page,
        ("hand_descent.js", "hand_columns.js"),
        """
        const [x, y, settings] = argument;
        const pairs = pairsOf({ name: "x", values: x }, { name: "y", values: y });
        const descent = new LineDescent(pairs, { ...settings, size: null, outlier: 0 });
        const { u, v } = descent.data;
        for (let i = 0; i < 10; i++) descent.step();
        return { u, v, eta: descent.eta, way: descent.way };
        """,
        [x, y, {"loss": loss, "standardised": standardised}],
    )
    u, v = np.array(x), np.array(y)
    if standardised:
        u, v = (u - u.mean()) / u.std(), (v - v.mean()) / v.std()
    np.testing.assert_allclose([found["u"], found["v"]], [u, v], rtol=1e-12, atol=1e-12)
    (b, w), *steps = found["way"]
    expected = trained(
        linear(1, 1), LOSSES[loss], Sgd(found["eta"]), [w, b], found["u"], found["v"]
    )
    np.testing.assert_allclose(np.array(steps)[:, ::-1], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hard", [0, 1])
def test_a_curve_is_trained_as_by_the_engine(page: "Page", loss: str, hard: int) -> None:
    x, y = pairs()
    found = computed(
        page,
        ("hand_training.js", "hand_columns.js", "hand_curve.js"),
        """
        const [x, y, settings] = argument;
        const pairs = pairsOf({ name: "x", values: x }, { name: "y", values: y });
        const training = new CurveTraining(pairs);
        training.change(settings);
        const way = [parametersOf(training.network)];
        for (let i = 0; i < 10; i++) {
          training.train();
          way.push(parametersOf(training.network));
        }
        return { u: pairs.u, v: pairs.v, eta: training.adam.eta, way };
        """,
        [x, y, {"loss": loss, "hard": hard}],
    )
    # constant, w, b, c, w, b, c: the engine has the units' (w, b) first, then (c, c, constant)
    first, *steps = np.array(found["way"])[:, [1, 2, 4, 5, 3, 6, 0]]
    network = sigmoid_sum(1, 1, 2, "hard_sigmoid" if hard else "sigmoid")
    expected = trained(
        network, LOSSES[loss], Adam(found["eta"]), first.tolist(), found["u"], found["v"]
    )
    np.testing.assert_allclose(steps, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["sigmoid", "between", "hard", "relu"])
def test_each_slope_is_the_product_of_its_factors(page: "Page", loss: str, activation: str) -> None:
    slopes = computed(
        page,
        ("hand_backward.js", "hand_curve.js", "hand_losses.js"),
        """
        const [loss, activation] = argument;
        const hard = { sigmoid: 0, between: 0.4, hard: 1, relu: 1 }[activation];
        const sigmoids = { ...withOneMore(firstCurve(), { u: [-1, 2], v: [3, -1] }),
          activation: betweenSigmoids(hard) };
        const network = activation === "relu" ? asReluPairs(sigmoids) : sigmoids;
        const theta = parametersOf(network);
        const error = (own, x, y) =>
          thereAndBack(withParameters(network, own), ROW_LOSSES[loss], x, y).e;
        const keys = theta.map((_, i) => i === 0 ? { kind: "constant" }
          : { kind: ["w", "b", "c"][(i - 1) % 3], j: Math.floor((i - 1) / 3) });
        const step = 1e-6;
        return [[0.37, 1.3], [-0.81, -2.2], [1.7, 0.4], [-0.2, 0.11]].flatMap(([x, y]) => {
          const pass = thereAndBack(network, ROW_LOSSES[loss], x, y);
          return keys.map((key, i) => {
            const moved = [step, -step].map((d) => error(theta.with(i, theta[i] + d), x, y));
            const product = productOf(factorsOf(network, ROW_LOSSES[loss], pass, key));
            return [product, (moved[0] - moved[1]) / (2 * step)];
          });
        });
        """,
        [loss, activation],
    )
    products, differences = np.array(slopes).T
    assert np.abs(products).max() > 0.1
    np.testing.assert_allclose(products, differences, rtol=0, atol=1e-7)


def test_two_relus_are_a_hard_sigmoid(page: "Page") -> None:
    found = computed(
        page,
        ("hand_curve.js",),
        """
        const network = { ...firstCurve(), activation: betweenSigmoids(1) };
        const places = Array.from({ length: 81 }, (_, i) => i / 10 - 4);
        return [network, asReluPairs(network)].map((each) => places.map((u) => curveAt(each, u)));
        """,
    )
    hard, relus = found
    np.testing.assert_allclose(relus, hard, rtol=0, atol=1e-12)
    assert np.ptp(hard) > 1


def test_each_added_sigmoid_has_a_place_of_its_own(page: "Page") -> None:
    x, y = pairs()
    units = computed(
        page,
        ("hand_training.js", "hand_columns.js"),
        """
        const [x, y] = argument;
        const pairs = pairsOf({ name: "x", values: x }, { name: "y", values: y });
        const training = new CurveTraining(pairs);
        while (training.network.units.length < MOST_UNITS) training.add();
        for (let i = 0; i < 300; i++) training.train();
        const trained = training.network.units;
        training.restart();
        while (training.network.units.length < MOST_UNITS) training.add();
        return [training.network.units, trained].map((all) => all.map(({ w, b }) => [w, b]));
        """,
        [x, y],
    )
    for w, b in np.array(units).transpose(0, 2, 1):
        places = np.sort(-b / w)
        assert np.diff(places).min() > 0.01


def test_an_outlier_pulls_the_line_of_the_squared_error_most(page: "Page") -> None:
    x, y = pairs()
    found = computed(
        page,
        ("hand_line.js", "hand_descent.js", "hand_columns.js"),
        """
        const [x, y] = argument;
        const pairs = pairsOf({ name: "x", values: x }, { name: "y", values: y });
        const settings = { loss: "mse", size: null, standardised: true, outlier: 0 };
        const descent = new LineDescent(pairs, settings);
        const best = () => ["mse", "mae", "huber"].map((loss) => {
          const theta = bestLine(descent.data, loss);
          const around = [[0.02, 0], [-0.02, 0], [0, 0.02], [0, -0.02]];
          const value = lineLoss(descent.data, loss, theta).value;
          const isLowest = around.every(([b, w]) =>
            lineLoss(descent.data, loss, [theta[0] + b, theta[1] + w]).value > value - 1e-9);
          return { theta, isLowest };
        });
        const before = best();
        descent.change({ outlier: 10 });
        return [before, best()];
        """,
        [x, y],
    )
    before, after = ([each["theta"] for each in part] for part in found)
    assert all(each["isLowest"] for part in found for each in part)
    mse, mae, huber = np.abs(np.array(after) - before)[:, 1]
    assert mse > 2 * huber
    assert mse > 2 * mae


SHAPES = {
    "curve": pairs(),
    "line": ([*np.linspace(0, 9, 40)], [*(3 * np.linspace(0, 9, 40))]),
    "noise": (np.random.default_rng(1).normal(size=(2, 200)).tolist()),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_sigmoid_has_two_valleys(page: "Page", name: str) -> None:
    found = computed(
        page,
        ("hand_valley.js", "hand_columns.js"),
        """
        const [x, y] = argument;
        const pairs = pairsOf({ name: "x", values: x }, { name: "y", values: y });
        const shape = twoValleys(pairs);
        const valleys = valleysOf(pairs, shape);
        const step = 1e-5;
        return {
          range: shape.range,
          valleys: valleys.map(({ w, value }) => [w, value, lossAt(pairs, shape, w).slope]),
          slopes: lossCurve(pairs, shape, shape.range, 9).map(([w]) => {
            const [after, before] = [step, -step].map((d) => lossAt(pairs, shape, w + d).value);
            return [lossAt(pairs, shape, w).slope, (after - before) / (2 * step)];
          }),
        };
        """,
        [*map(list, SHAPES[name])],
    )
    (best, low, flat), (worse, high, also_flat) = found["valleys"]
    assert high > low
    assert abs(flat) + abs(also_flat) < 1e-9
    assert found["range"][0] < min(best, worse) < max(best, worse) < found["range"][1]
    slopes, differences = np.array(found["slopes"]).T
    np.testing.assert_allclose(slopes, differences, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("kind", ["line", "sigmoid"])
def test_a_run_as_it_begins_ends_in_the_valley(page: "Page", name: str, kind: str) -> None:
    found = computed(
        page,
        ("hand_parameter.js", "hand_columns.js"),
        """
        const [x, y, kind] = argument;
        const pairs = pairsOf({ name: "x", values: x }, { name: "y", values: y });
        const one = new OneParameter(pairs);
        one.use(pairs, kind);
        let pictures = 1;
        while (one.advanceMore()) pictures++;
        const far = Math.abs(one.at - one.valleys.at(-1).w) / one.span;
        return { pictures, far, isAtRest: one.isAtRest, steps: one.steps };
        """,
        [*map(list, SHAPES[name]), kind],
    )
    assert found["isAtRest"], found
    assert found["far"] < 1e-3, found
    assert found["pictures"] < 200, found


def test_columns_are_numbers_that_differ_and_classes(page: "Page") -> None:
    number = {"kind": "number", "value": True}
    payload = {
        "columns": [
            {"name": "a", **number},
            {"name": "constant", **number},
            {"name": "colour", "kind": "category"},
            {"name": "known", "kind": "number", "value": False},
            {"name": "like y", **number},
        ],
        "target": {"kind": "classes", "label": "y", "labels": ["no", "yes"]},
        "background": {
            "values": [[1, 7, 0, 0, 3], [None, 7, 1, 1, 4], [4, 7, 0, 0, 9], [2, 7, 1, 0, 4]],
            "truth": [[0], [0], [1], [0]],
        },
    }
    found = computed(
        page,
        ("hand_columns.js",),
        """
        const columns = lessonColumns(argument);
        const chosen = firstChoice(columns);
        const { u, v, x } = pairsOf(columns[0], columns[2]);
        return { names: columns.map(({ name }) => name), chosen, u, v, mean: x.mean };
        """,
        payload,
    )
    assert found["names"] == ["a", "like y", "y = yes"]
    assert found["chosen"] == [1, 2]
    assert found["mean"] == pytest.approx(7 / 3)
    assert len(found["u"]) == len(found["v"]) == 3
