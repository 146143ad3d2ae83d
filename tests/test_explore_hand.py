"""By hand in explore.html: its losses, slopes and steps, as the engine takes them, and its page."""

from collections.abc import Iterator
from pathlib import Path
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
from ml2021.report.explore.page import render
from ml2021.report.explore.payload import collect
from ml2021.runs.directory import open_run
from tests.chromium import chromium, computed
from tests.commands import run_well

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOSSES: dict[str, Loss] = {"mse": Mse(), "mae": Mae(), "huber": Huber(1.0)}
WIDTHS = (320, 400, 768, 1280)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as started:
        yield started


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
    np.testing.assert_allclose(*found, rtol=0, atol=1e-12)
    assert np.ptp(found[0]) > 1


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
    np.testing.assert_allclose(*np.array(found["slopes"]).T, rtol=0, atol=1e-7)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hand")
    x, y = pairs(160)
    other = np.random.default_rng(2).normal(size=160).round(3)
    columns = [f"{a},{c},{b}" for a, b, c in zip(x, y, other, strict=True)]
    (folder / "t.csv").write_text("\n".join(["<x>,other,y", *columns, ""]))
    (folder / "c.yaml").write_text(
        "data: {path: t.csv, target: y}\nmodel: {type: relu_stack, widths: [8]}\n"
        "train: {epochs: 2}\ndevice: cpu\npreset: fast\n"
    )
    run_well(folder, "train", "--quiet", "--config", "c.yaml", "--run-dir", "run")
    (folder / "page.html").write_text(render(collect(open_run(folder / "run")).data))
    return folder / "page.html"


@pytest.fixture
def opened(browser: "Browser", html: Path) -> "Iterator[Page]":
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[object] = []
    page.on("pageerror", lambda fault: faults.append(fault))
    page.goto(html.as_uri() + "#hand")
    yield page
    page.close()
    assert not faults


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_each_width(opened: "Page", width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    opened.get_by_role("button", name="a sigmoid").click()
    opened.wait_for_timeout(100)
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    cut = opened.evaluate(
        """() => [...document.querySelectorAll(".hand :is(p, button, select, label, output)")]
        .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.textContent)"""
    )
    assert cut == []


def test_each_control_has_a_name(opened: "Page") -> None:
    unnamed = opened.evaluate(
        """() => [...document.querySelectorAll(".hand :is(button, input, select, svg[role])")]
        .filter((node) => !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent.trim()
          || (node.tagName === "BUTTON" && node.textContent.trim())))
        .map((node) => node.outerHTML)"""
    )
    assert unnamed == []


def test_one_step_takes_the_step_that_was_shown(opened: "Page") -> None:
    for chapter in ("#one-parameter", "#line"):
        section = opened.locator(chapter)
        shown = section.locator(".update .next").all_inner_texts()
        section.get_by_role("button", name="One step").click()
        assert section.locator(".update .now").all_inner_texts() == shown


def test_the_start_decides_the_valley(opened: "Page") -> None:
    section = opened.locator("#one-parameter")
    section.get_by_role("button", name="a sigmoid").click()
    sentence = section.locator(".verdict")
    loss = section.locator(".loss-now b")
    found = {}
    for end in ("Home", "End"):
        section.get_by_role("slider", name="w", exact=True).press(end)
        assert "goes down" in sentence.inner_text()
        section.get_by_role("button", name="Run").click()
        section.get_by_role("button", name="Run").wait_for(timeout=60_000)
        found[float(loss.inner_text())] = sentence.inner_text()
    best, worse = (found[value] for value in sorted(found))
    assert "this is the minimum" in best
    assert "a local minimum" in worse


def test_too_large_a_step_is_said_to_be_one(opened: "Page") -> None:
    section = opened.locator("#line")
    section.get_by_role("slider", name="learning rate").press("End")
    assert "η is too large" in section.locator(".verdict").inner_text()
    section.get_by_role("button", name="Run").click()
    section.get_by_role("button", name="Run").wait_for()
    assert "Diverged" in section.locator(".verdict").inner_text()


def test_the_line_and_the_surface_are_dragged(opened: "Page") -> None:
    section = opened.locator("#line")
    now = section.locator(".update .now")
    before = now.all_inner_texts()
    section.scroll_into_view_if_needed()
    middle = section.locator(".grip").nth(1).bounding_box()
    assert middle is not None
    x, y = middle["x"] + middle["width"] / 2, middle["y"] + middle["height"] / 2
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x, y - 40, steps=3)
    opened.mouse.up()
    after = now.all_inner_texts()
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)
    section.locator(".surface").click(position={"x": 40, "y": 60})
    assert not set(now.all_inner_texts()) & set(after)


def test_without_rows_it_says_so(browser: "Browser", html: Path) -> None:
    path = html.parent / "empty.html"
    path.write_text(render(collect(open_run(html.parent / "run"), 0).data))
    page = browser.new_page()
    page.goto(path.as_uri() + "#hand")
    assert "the page holds none" in page.locator("#panel-hand").inner_text()
    page.close()
