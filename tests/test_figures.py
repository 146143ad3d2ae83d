"""What is given is what is drawn, on axes that have names and units."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import AxLine
from numpy.typing import NDArray

from ml2021.report.figures import functions, learning, predictions, style
from ml2021.report.figures import functions as networks
from ml2021.report.figures import predictions as classes
from ml2021.report.figures.style import cjk_families, to_svg
from ml2021.report.figures.surfaces import Mark, loss_surface

Floats = NDArray[np.float64]

X = np.linspace(0.0, 4.0, 5)
ERRORS = np.array([3.0, 1.0, 2.0])
RANDOM = np.random.default_rng(0)
TRUTH, SAID = RANDOM.normal(50, 10, (2, 40))


def names_of(axes: Axes) -> tuple[str, str]:
    return axes.get_xlabel(), axes.get_ylabel()


def data_of(axes: Axes, line: int = 0) -> tuple[Floats, Floats]:
    x, y = (np.asarray(values, np.float64) for values in axes.lines[line].get_data())
    return x, y


def test_learning_curves() -> None:
    epochs = np.arange(1, 6)
    training, validation = np.array([9.0, 5, 4, 3, 2]), np.array([9.0, 6, 5, 6, 7])
    lr = np.array([0.1, 0.08, 0.06, 0.04, 0.02])
    figure = learning.learning_curves(epochs, training, validation, lr, 3, "mse: views, squared")
    upper, lower = figure.axes
    assert upper.get_ylabel() == "mse: views, squared"
    assert names_of(lower) == ("epoch", "learning rate")
    np.testing.assert_array_equal(data_of(upper, 0), (epochs, training))
    np.testing.assert_array_equal(data_of(upper, 1), (epochs, validation))
    np.testing.assert_array_equal(data_of(lower), (epochs, lr))
    np.testing.assert_array_equal(data_of(upper, 3), ([3], [5]))
    texts = [text.get_text() for text in upper.get_legend().get_texts()]  # type: ignore[union-attr]
    assert texts == ["training", "validation", "best: epoch 3"]


def test_gradient_sizes_go_from_back_to_front() -> None:
    updates, norms = np.array([0, 10, 20]), np.array([[1.0, 7], [2, 8], [3, 9]])
    figure = learning.gradient_sizes(updates, norms, ["layer 1", "layer 2, the output"])
    (axes,) = figure.axes
    assert names_of(axes) == ("update", "gradient norm")
    assert [line.get_label() for line in axes.lines] == ["layer 2, the output", "layer 1"]
    np.testing.assert_array_equal(data_of(axes, 0), (updates, norms[:, 1]))
    np.testing.assert_array_equal(data_of(axes, 1), (updates, norms[:, 0]))


@pytest.mark.parametrize(
    ("rows", "batch", "drawn", "said"),
    [
        (64, 32, 2, ["64 rows in batches of 32: 2 updates per epoch", ""]),
        (70, 32, 3, ["70 rows in batches of 32: 3 updates per epoch", "the last batch has 6"]),
        (6, 6, 1, ["6 rows in batches of 6: 1 update per epoch", ""]),
        (
            3_201,
            32,
            60,
            [
                "3,201 rows in batches of 32: 101 updates per epoch",
                "the first 60 are shown; the last batch has 1",
            ],
        ),
    ],
)
def test_the_updates_of_an_epoch(rows: int, batch: int, drawn: int, said: list[str]) -> None:
    (axes,) = learning.updates_of_an_epoch(rows, batch).axes
    assert len(axes.patches) == drawn
    assert [text.get_text() for text in axes.texts] == said


def test_a_network_has_all_of_its_numbers() -> None:
    (axes,) = networks.network((3, 100, 2), (400, 202), "relu", ("inputs", "outputs")).axes
    texts = [text.get_text() for text in axes.texts]
    for text in ("400", "202", "3", "100", "2", "inputs", "relu", "outputs", "⋮"):
        assert text in texts
    assert [np.size(line.get_xdata()) for line in axes.lines] == [3, 8, 2]


def test_a_small_network_is_drawn_small_and_nothing_of_it_overlaps() -> None:
    small = networks.network((1, 1), (2,), "", ("input", "output"))
    large = networks.network((1, 100, 1), (200, 101), "relu", ("input", "output"))
    assert small.get_figheight() < 0.6 * large.get_figheight()
    for figure in (small, large):
        figure.draw_without_rendering()
        boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text() not in "⋮…"]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_truth_against_prediction() -> None:
    (axes,) = predictions.truth_against_prediction(TRUTH, SAID, "views").axes
    assert names_of(axes) == ("truth: views", "prediction: views")
    np.testing.assert_array_equal(data_of(axes, 1), (TRUTH, SAID))
    line = axes.lines[0]
    assert isinstance(line, AxLine)
    ends = line.get_xy1(), line.get_xy2()
    assert all(end is not None and end[0] == end[1] for end in ends)  # where both agree


def test_residuals() -> None:
    left, right = predictions.residuals(TRUTH, SAID, "views").axes
    assert names_of(left) == ("prediction: views", "residual: views")
    assert right.get_xlabel() == "rows"
    np.testing.assert_allclose(data_of(left, 1), (SAID, TRUTH - SAID))
    assert sum(patch.get_width() for patch in right.patches) == len(TRUTH)  # type: ignore[attr-defined]


def test_of_very_many_points_some_are_drawn() -> None:
    many = RANDOM.normal(size=(2, 9_000))
    (axes,) = predictions.truth_against_prediction(many[0], many[1], "views").axes
    truth, said = data_of(axes, 1)
    assert len(truth) == style.MOST_POINTS
    pairs = set(zip(*many.tolist(), strict=True))
    assert set(zip(truth.tolist(), said.tolist(), strict=True)) <= pairs


def test_over_time() -> None:
    when = np.datetime64("2021-01-01") + np.arange(40)
    panels = {"views+1": (TRUTH, SAID), "views+7": (SAID, TRUTH)}
    upper, lower = predictions.over_time(when, panels, "views", "date").axes
    assert (upper.get_ylabel(), upper.get_title(loc="left")) == ("views", "views+1")
    assert (names_of(lower), lower.get_title(loc="left")) == (("date", "views"), "views+7")
    for axes, pair in zip((upper, lower), panels.values(), strict=True):
        for line, values in zip(axes.lines, pair, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), values)
            assert np.asarray(line.get_xdata()).astype("datetime64[D]").tolist() == when.tolist()


def test_images_stand_as_they_are() -> None:
    truth = RANDOM.normal(size=(2, 3, 4))
    figure = predictions.images(truth, -truth, ["row 1", "row 2"], "grey")
    drawn = [axes.images[0].get_array() for axes in figure.axes[:4]]
    for values, expected in zip(drawn, [truth[0], truth[1], -truth[0], -truth[1]], strict=True):
        np.testing.assert_array_equal(np.asarray(values), expected)
    assert [axes.get_ylabel() for axes in figure.axes[:4:2]] == ["truth", "prediction"]
    assert figure.axes[4].get_ylabel() == "grey"
    limits = {axes.images[0].get_clim() for axes in figure.axes[:4]}
    assert len(limits) == 1  # one scale of colours for all


def test_a_gallery() -> None:
    values = RANDOM.normal(size=(7, 4, 4))
    figure = predictions.gallery(values, [f"row {place}" for place in range(7)], "grey")
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in drawn] == [f"row {place}" for place in range(7)]
    for axes, image in zip(drawn, values, strict=True):
        np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), image)
    assert figure.axes[-1].get_ylabel() == "grey"


def test_curves() -> None:
    truth = RANDOM.normal(size=(2, 7))
    figure = predictions.curves(truth, 2 * truth, ["a", "b"], "views", "step")
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("step", "views")
    for axes, values in zip(figure.axes, truth, strict=False):
        np.testing.assert_array_equal(data_of(axes, 0), (np.arange(1, 8), values))
        np.testing.assert_array_equal(data_of(axes, 1)[1], 2 * values)


@pytest.mark.parametrize("count", [3, 20])
def test_errors_by_target(count: int) -> None:
    errors, spread = np.arange(1.0, count + 1), np.full(count, 5.0)
    names = [f"t{place}" for place in range(count)]
    (axes,) = predictions.errors_by_target(errors, spread, names, "MAE: views").axes
    if count == 3:
        assert axes.get_xlabel() == "MAE: views"
        assert [tick.get_text() for tick in axes.get_yticklabels()] == names
        widths = [patch.get_width() for patch in axes.patches]  # type: ignore[attr-defined]
        assert widths == [5, 5, 5, 1, 2, 3]
        tops = [patch.get_y() for patch in axes.patches[3:]]  # type: ignore[attr-defined]
        assert tops == sorted(tops, reverse=True)  # the first is on top
    else:
        assert names_of(axes) == ("target, t0 to t19", "MAE: views")
        np.testing.assert_array_equal(data_of(axes, 1)[1], errors)


def test_a_confusion_matrix() -> None:
    counts = np.array([[8, 2], [0, 5]])
    figure = classes.confusion(counts, ["ham", "spam"])
    axes, bar = figure.axes
    assert names_of(axes) == ("predicted class", "true class")
    assert bar.get_ylabel() == "share of the true class"
    shares = np.array([[0.8, 0.2], [0, 1]])
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array(), np.float64), shares)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "8", (1, 0): "2", (1, 1): "5"}  # (predicted, true)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["ham", "spam"]


def test_reliability() -> None:
    stated, came, counts = np.array([0.1, 0.9]), np.array([0.0, 0.8]), np.array([10, 40])
    figure = classes.reliability(stated, came, counts, "a class with a very long name indeed")
    upper, lower = figure.axes
    assert upper.get_ylabel() == "observed frequency"
    assert lower.get_xlabel().startswith("probability of a class wi")
    assert lower.get_ylabel() == "rows"
    np.testing.assert_array_equal(data_of(upper, 0), ([0, 1], [0, 1]))
    np.testing.assert_array_equal(data_of(upper, 1), (stated, came))
    assert [patch.get_height() for patch in lower.patches] == [10, 40]  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 3, 15])
def test_bars(count: int) -> None:
    values = np.linspace(4, -1, count)
    names = [f"column {place}" for place in range(count)]
    figure = functions.bars(names, values, "rise of the MAE: views")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "rise of the MAE: views"
    drawn = {
        round(patch.get_y() + patch.get_height() / 2): patch.get_width()  # type: ignore[attr-defined]
        for patch in axes.patches
    }
    ticks = {
        round(at): text.get_text()
        for at, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    }
    assert {ticks[at]: width for at, width in drawn.items()} == dict(
        zip(names, values, strict=True)
    )
    assert ticks[count - 1] == names[0]  # on top
    figure.draw_without_rendering()
    thickness = axes.patches[0].get_window_extent().height
    assert 0.1 < thickness / figure.dpi < 0.3  # inches


def test_coefficients_of_a_series() -> None:
    (axes,) = functions.lag_coefficients(np.array([0.5, -0.2]), "views").axes
    assert names_of(axes) == ("lag, in rows", "coefficient of views")
    heights = [patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined]
    assert heights == [0.5, -0.2]


def test_a_table_of_coefficients() -> None:
    values = np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])
    axes, bar = functions.coefficient_table(values, ["a", "b", "c"], ["x", "y"], "log-odds").axes
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), values)
    assert bar.get_ylabel() == "effect: log-odds"
    low, high = axes.images[0].get_clim()
    assert low == -high  # zero has the colour in the middle


def test_a_function_and_its_parts() -> None:
    curves = np.array([X, X**2])
    (axes,) = functions.sum_of_parts(X, X**2, (X[:3], X[:3]), ("age", "views")).axes
    assert names_of(axes) == ("age", "views")
    np.testing.assert_array_equal(data_of(axes, 1), (X, X**2))
    (axes,) = functions.parts(X, 7.0, curves, ["one", "two"], -X, ("age", "views")).axes
    assert names_of(axes) == ("age", "views")
    constant, one, two, rest, total = (data_of(axes, line)[1] for line in range(5))
    assert set(constant) == {7.0}
    np.testing.assert_allclose(total, 7.0 + one + two + rest)


def test_dependences() -> None:
    rows = RANDOM.normal(size=(3, 5))
    figure = functions.partial_dependence(X, X**2, rows, X[1:3], ("age", "views"))
    (axes,) = figure.axes
    assert names_of(axes) == ("age", "views")
    for line, values in enumerate([*rows, X**2]):
        np.testing.assert_array_equal(data_of(axes, line), (X, values))
    (axes,) = functions.category_dependence(["red", "blue"], np.array([1.0, 4.0]), ("c", "y")).axes
    assert names_of(axes) == ("y", "c")
    np.testing.assert_array_equal(data_of(axes), ([1, 4], [1, 0]))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["red", "blue"]


def test_one_unit() -> None:
    curves = np.array([X, 2 * X, 3 * X])
    panels = {name: (["low", "own", "high"], curves) for name in ("w", "b", "c")}
    figure = functions.one_unit(X, panels, ("age", "views"))
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("age", "views")
    for axes in figure.axes:
        for line in range(3):
            np.testing.assert_array_equal(data_of(axes, line), (X, curves[line]))


def test_the_surface_has_x_across_and_y_up() -> None:
    # A loss that depends on x alone is the same all along y.
    x, y = np.linspace(0, 1, 6), np.linspace(10, 30, 6)
    across = np.broadcast_to(x, (6, 6))
    labels, best = ("a weight", "a bias"), Mark("best", (0.5, 20.0), "best: 1")
    for losses, axis, other in ((across, 0, 1), (across.T, 1, 0)):
        figure = loss_surface(
            x, y, losses, np.zeros((0, 2)), [best], labels, "mse: views²", "title"
        )
        axes, bar = figure.axes
        assert names_of(axes) == labels
        assert bar.get_ylabel() == "mse: views²"
        filled = axes.collections[0]
        areas = [np.asarray(path.vertices, np.float64) for path in filled.get_paths()]
        spans = [np.ptp(area, axis=0) for area in areas]
        whole = (1, 20)
        assert all(span[other] == pytest.approx(whole[other]) for span in spans)
        assert all(span[axis] < 0.5 * whole[axis] for span in spans)
        places = [float(area[:, axis].mean()) for area in areas]
        assert all(left < right for left, right in pairwise(places))  # the levels climb along it


LONG = "a column with a name that is far too long to be written beside any axis at all"


CHINESE = "一个非常非常非常非常长的列名用来测试图表的边界在哪里"


@pytest.mark.parametrize("name", [LONG, CHINESE])
@pytest.mark.parametrize(
    "draw",
    [
        lambda name: predictions.truth_against_prediction(TRUTH, SAID, name),
        lambda name: predictions.residuals(TRUTH, SAID, name),
        lambda name: predictions.over_time(np.arange(40), {name: (TRUTH, SAID)}, name, name),
        lambda name: predictions.errors_by_target(ERRORS, ERRORS, [name] * 3, name),
        lambda name: predictions.errors_by_target(np.ones(20), np.ones(20), [name] * 20, name),
        lambda name: functions.bars([name] * 4, np.arange(4.0), name),
        lambda name: functions.lag_coefficients(ERRORS, name),
        lambda name: functions.coefficient_table(np.ones((2, 3)), [name] * 2, [name] * 3, name),
        lambda name: functions.partial_dependence(X, X, np.ones((1, 5)), X, (name, name)),
        lambda name: functions.category_dependence([name] * 2, np.arange(2.0), (name, name)),
        lambda name: classes.confusion(np.eye(3, dtype=np.int64), [name] * 3),
        lambda name: classes.reliability(X[:2] / 4, X[:2] / 4, np.array([1, 2]), name),
        lambda name: learning.learning_curves(np.arange(5), X, X, X, 2, name),
    ],
)
def test_a_long_name_stays_within_the_picture(draw: Callable[[str], Figure], name: str) -> None:
    if name == CHINESE and not cjk_families():
        pytest.skip("no font with Chinese characters is installed")
    figure = draw(name)
    assert to_svg(figure)
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        for label in (axes.xaxis.label, axes.yaxis.label):
            box = label.get_window_extent()
            if label.get_text():
                assert -1 <= box.x0 <= box.x1 <= width + 1, label.get_text()
                assert -1 <= box.y0 <= box.y1 <= height + 1, label.get_text()
