"""What is given is what is drawn, on axes with names and units."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import AxLine
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from ml2021.report.figures import functions, learning, networks, predictions, style
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


def image_of(axes: Axes) -> Floats:
    return np.asarray(axes.images[0].get_array(), np.float64)


def bars_of(axes: Axes, what: str) -> list[float]:
    """Return that property of each bar: its width, height or y."""
    return [getattr(patch, f"get_{what}")() for patch in axes.patches]


def texts_of(found: Sequence[Any]) -> list[str]:
    return [text.get_text() for text in found]


def test_learning_curves() -> None:
    epochs = np.arange(1, 6)
    training, validation = np.array([9.0, 5, 4, 3, 2]), np.array([9.0, 6, 5, 6, 7])
    lr = np.array([0.1, 0.08, 0.06, 0.04, 0.02])
    figure = learning.learning_curves(epochs, training, validation, lr, [3], "mse: views, squared")
    upper, lower = figure.axes
    assert upper.get_ylabel() == "mse: views, squared"
    assert names_of(lower) == ("epoch", "learning rate")
    assert_array_equal(data_of(upper, 0), (epochs, training))
    assert_array_equal(data_of(upper, 1), (epochs, validation))
    assert_array_equal(data_of(lower), (epochs, lr))
    assert_array_equal(data_of(upper, 3), ([3], [5]))
    (legend,) = figure.legends
    assert texts_of(legend.get_texts()) == ["training", "validation", "best: epoch 3"]
    figure = learning.learning_curves(epochs, training, validation, lr, [4, 2, 4], "mse")
    assert_array_equal(data_of(figure.axes[0], 4), ([2, 4], [6, 6]))  # below two lines
    assert texts_of(figure.legends[0].get_texts())[2] == "best: epochs 2 to 4"


def test_gradient_sizes_go_from_back_to_front() -> None:
    updates, norms = np.array([0, 10, 20]), np.array([[1.0, 7], [2, 8], [3, 9]])
    (axes,) = learning.gradient_sizes(updates, norms, ["layer 1", "layer 2, the output"]).axes
    assert names_of(axes) == ("update", "gradient norm")
    named = [line.get_label() for line in axes.lines[1::2]]
    assert named == ["layer 2, the output", "layer 1"]
    for line, own in ((0, norms[:, 1]), (1, norms[:, 1]), (2, norms[:, 0]), (3, norms[:, 0])):
        assert_allclose(data_of(axes, line), (updates, own))  # too few for a mean of several
    assert axes.get_yscale() == "log"


def test_gradients_are_always_logarithmic_and_have_a_moving_mean() -> None:
    norms = np.exp(RANDOM.normal(size=(100, 1)))
    norms[40] = 0.0  # has no logarithm
    (axes,) = learning.gradient_sizes(np.arange(100), norms, ["layer 1"]).axes
    raw, mean = data_of(axes, 0)[1], data_of(axes, 1)[1]
    assert np.isnan(raw[40])
    assert np.isfinite(mean).all()
    around = np.log(norms[18:23, 0])
    assert mean[20] == pytest.approx(np.exp(around.mean()))
    assert axes.get_yscale() == "log"
    (axes,) = learning.gradient_sizes(np.arange(3), np.zeros((3, 1)), ["layer 1"]).axes
    assert axes.get_yscale() == "linear"


def covered(figure: Figure) -> list[str]:
    """Return the legends of the figure that overlap an area with data."""
    figure.draw_without_rendering()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    return [
        legend.get_texts()[0].get_text()
        for legend in legends
        if any(legend.get_window_extent().overlaps(box) for box in boxes)
    ]


def test_no_legend_is_over_data() -> None:
    x = np.linspace(0, 1, 30)
    pair = (TRUTH, SAID)
    panels = {"w": (["w = 1", "w = 2", "w = 3"], np.stack([x, x**2, 1 - x]))}
    marks = {"0.5": 3, "recommended": 9}
    drawn = [
        learning.learning_curves(np.arange(1, 31), x, 1 - x, x, [3], "mse"),
        predictions.truth_against_prediction(*pair, "views"),
        predictions.over_time(np.arange(len(TRUTH)), {"": pair}, "views", "day"),
        predictions.reliability(x[:5], x[:5], np.arange(1, 6), "a"),
        predictions.roc(x, x**0.5, marks, "yes"),
        predictions.precision_recall(x, 1 - x, marks, 0.2, "yes"),
        functions.sum_of_parts(x, x, (x, x), ("x", "y")),
        functions.parts(x, 0.0, np.stack([x] * 3), ["a", "b", "c"], x, ("x", "y")),
        functions.column_curve(x, x, np.stack([x, x]), x[::10], ("x", "y")),
        functions.one_unit(x, panels, ("x", "y")),
    ]
    assert [covered(figure) for figure in drawn] == [[]] * len(drawn)


@pytest.mark.parametrize(
    ("first", "step", "unit", "below"),
    [("2021-01-20", 1, "D", "2021"), ("2021-04-01", 1, "h", "2021"), ("2021-04-04", 8, "m", None)],
)
def test_a_date_is_not_repeated_below_the_axis(
    first: str, step: int, unit: Literal["D", "h", "m"], below: str | None
) -> None:
    when = np.datetime64(first, "s") + np.arange(80) * np.timedelta64(step, unit)
    values = np.arange(80.0)
    figure = predictions.over_time(when, {"": (values, values)}, "views", "day")
    figure.draw_without_rendering()
    offset = figure.axes[0].xaxis.get_major_formatter().get_offset()
    labels = {label.get_text() for label in figure.axes[0].get_xticklabels()}
    assert offset not in labels
    assert below is None or offset == below


def test_large_numbers_are_written_as_in_tables() -> None:
    (axes,) = (figure := predictions.truth_against_prediction(1e6 * TRUTH, SAID, "views")).axes
    axes.set_xlim(-2e6, 2e6)
    axes.secondary_xaxis("top", functions=(partial(np.multiply, 2), partial(np.multiply, 0.5)))
    svg = style.to_svg(figure)
    assert ">1,000,000<" in svg
    assert ">-1,000,000<" in svg
    assert ">4,000,000<" in svg


@pytest.mark.parametrize(
    ("rows", "batch", "drawn", "text", "remark"),
    [
        (64, 32, 2, "64 rows in batches of 32: 2 updates per epoch", ""),
        (70, 32, 3, "70 rows in batches of 32: 3 updates per epoch", "the last batch has 6"),
        (6, 6, 1, "6 rows in batches of 6: 1 update per epoch", ""),
        (
            3_201,
            32,
            60,
            "3,201 rows in batches of 32: 101 updates per epoch",
            "the first 60 are shown; the last batch has 1",
        ),
    ],
)
def test_the_updates_of_an_epoch(rows: int, batch: int, drawn: int, text: str, remark: str) -> None:
    (axes,) = learning.updates_of_an_epoch(rows, batch).axes
    assert len(axes.patches) == drawn
    assert texts_of(axes.texts) == [text, remark]


def test_a_network_has_all_of_its_numbers() -> None:
    (axes,) = drawn_network((3, 100, 2)).axes
    expected = {"400", "202", "3", "100", "2", "inputs", "relu", "outputs", "⋮", "in 3", "out 2"}
    assert expected <= {*texts_of(axes.texts)}
    assert [np.size(line.get_xdata()) for line in axes.lines] == [3, 8, 2]


def drawn_network(sizes: tuple[int, ...], weights: Sequence[Floats] = ()) -> Figure:
    return networks.network(
        sizes,
        weights or [RANDOM.normal(size=pair[::-1]) for pair in pairwise(sizes)],
        "relu",
        ("inputs", "outputs"),
        ([f"in {i + 1}" for i in range(sizes[0])], [f"out {i + 1}" for i in range(sizes[-1])]),
    )


def test_a_small_network_is_drawn_whole_with_the_sign_and_size_of_its_weights() -> None:
    weights = [np.arange(-4.0, 6.0)[:, None], np.full((1, 10), -1.0)]
    (axes,) = drawn_network((1, 10, 1), weights).axes
    assert "⋮" not in texts_of(axes.texts)
    assert [np.size(line.get_xdata()) for line in axes.lines] == [1, 10, 1]
    first, last = (each for each in axes.collections if isinstance(each, LineCollection))
    assert len(first.get_segments()) == len(last.get_segments()) == 10
    widths = np.atleast_1d(first.get_linewidth())
    colours = [*map(to_hex, np.asarray(first.get_colors(), np.float64))]
    assert widths[0] < widths[5] < widths[-1]  # the strongest is drawn last
    ends = {
        float(line[1, 1]): colour
        for line, colour in zip(first.get_segments(), colours, strict=True)
    }
    assert ends[max(ends)] == style.VERMILION  # the first unit, whose weight is −4
    assert ends[min(ends)] == style.BLUE
    assert {*map(to_hex, np.asarray(last.get_colors(), np.float64))} == {style.VERMILION}


def test_a_small_network_is_drawn_small_and_nothing_of_it_overlaps() -> None:
    small, large = drawn_network((1, 1)), drawn_network((1, 100, 1))
    assert small.get_figheight() < 0.6 * large.get_figheight()
    for figure in (small, large, drawn_network((16, 16, 16))):
        figure.draw_without_rendering()
        boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text() not in "⋮…"]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_truth_against_prediction() -> None:
    (axes,) = predictions.truth_against_prediction(TRUTH, SAID, "views").axes
    assert names_of(axes) == ("truth: views", "prediction: views")
    assert_array_equal(data_of(axes, 1), (TRUTH, SAID))
    line = axes.lines[0]
    assert isinstance(line, AxLine)
    ends = line.get_xy1(), line.get_xy2()
    assert all(end is not None and end[0] == end[1] for end in ends)  # where both agree


def test_residuals() -> None:
    left, right = predictions.residuals(TRUTH, SAID, "views").axes
    assert names_of(left) == ("prediction: views", "residual: views")
    assert right.get_xlabel() == "rows"
    assert_allclose(data_of(left, 1), (SAID, TRUTH - SAID))
    assert sum(bars_of(right, "width")) == len(TRUTH)


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
            assert_array_equal(line.get_ydata(), values)
            assert np.asarray(line.get_xdata()).astype("datetime64[D]").tolist() == when.tolist()


def test_images_stand_as_they_are() -> None:
    truth = RANDOM.normal(size=(2, 3, 4))
    given = np.full((2, 1, 4), 9.0)
    lines = {"given": given, "predicted": -truth, "true": truth}
    *panels, bar = predictions.images(lines, ["row 1", "row 2"], "grey").axes
    for axes, expected in zip(panels, [*given, *-truth, *truth], strict=True):
        assert_array_equal(image_of(axes), expected)
    assert [axes.get_ylabel() for axes in panels[::2]] == ["given", "predicted", "true"]
    assert [axes.get_title(loc="left") for axes in panels[:2]] == ["row 1", "row 2"]
    assert bar.get_ylabel() == "grey"
    assert len({axes.images[0].get_clim() for axes in panels}) == 1  # one colour scale for all


def test_a_gallery() -> None:
    values, names = RANDOM.normal(size=(7, 4, 4)), [f"row {place}" for place in range(7)]
    figure = predictions.gallery(values, names, "grey")
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in drawn] == names
    assert_array_equal([image_of(axes) for axes in drawn], values)
    assert figure.axes[-1].get_ylabel() == "grey"


def test_curves() -> None:
    truth = RANDOM.normal(size=(2, 7))
    figure = predictions.curves(truth, 2 * truth, ["a", "b"], "views", "step")
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("step", "views")
    for axes, values in zip(figure.axes, truth, strict=False):
        assert_array_equal(data_of(axes, 0), (np.arange(1, 8), values))
        assert_array_equal(data_of(axes, 1)[1], 2 * values)


def test_errors_by_target() -> None:
    def draw(errors: Floats) -> Axes:
        names = [f"t{place}" for place in range(len(errors))]
        spread = np.full(len(errors), 5.0)
        (axes,) = predictions.errors_by_target(errors, spread, names, "MAE: views").axes
        return axes

    few = draw(np.arange(1.0, 4.0))
    assert few.get_xlabel() == "MAE: views"
    assert texts_of(few.get_yticklabels()) == ["t0", "t1", "t2"]
    assert bars_of(few, "width") == [5, 5, 5, 1, 2, 3]
    tops = bars_of(few, "y")[3:]
    assert tops == sorted(tops, reverse=True)  # the first is on top
    many = draw(np.arange(1.0, 21.0))
    assert names_of(many) == ("target, t0 to t19", "MAE: views")
    assert_array_equal(data_of(many, 1)[1], np.arange(1.0, 21.0))


def test_a_confusion_matrix() -> None:
    axes, bar = predictions.confusion(np.array([[8, 2], [0, 5]]), ["ham", "spam"]).axes
    assert names_of(axes) == ("predicted class", "true class")
    assert bar.get_ylabel() == "share of the true class"
    assert_allclose(image_of(axes), np.array([[0.8, 0.2], [0.0, 1.0]]))
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "8", (1, 0): "2", (1, 1): "5"}  # (predicted, true)
    assert texts_of(axes.get_xticklabels()) == ["ham", "spam"]


def test_reliability() -> None:
    stated, came, counts = np.array([0.1, 0.9]), np.array([0.0, 0.8]), np.array([10, 40])
    name = "a class with a very long name indeed"
    upper, lower = predictions.reliability(stated, came, counts, name).axes
    assert upper.get_ylabel() == "observed frequency"
    assert lower.get_xlabel().startswith("probability of a class wi")
    assert lower.get_ylabel() == "rows"
    assert_array_equal(data_of(upper, 0), ([0, 1], [0, 1]))
    assert_array_equal(data_of(upper, 1), (stated, came))
    assert bars_of(lower, "height") == [10, 40]


@pytest.mark.parametrize("count", [1, 3, 15])
def test_bars(count: int) -> None:
    values, names = np.linspace(4, -1, count), [f"column {place}" for place in range(count)]
    figure = functions.bars(names, values, "rise of the MAE: views")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "rise of the MAE: views"
    assert bars_of(axes, "width") == values.tolist()
    middles = np.array(bars_of(axes, "y")) + np.array(bars_of(axes, "height")) / 2
    assert_allclose(middles, axes.get_yticks())
    assert texts_of(axes.get_yticklabels()) == names
    assert (np.diff(middles) < 0).all()  # the first is on top
    figure.draw_without_rendering()
    thickness = axes.patches[0].get_window_extent().height
    assert 0.1 < thickness / figure.dpi < 0.3  # inches


def test_coefficients_of_a_series() -> None:
    (axes,) = functions.lag_coefficients(np.array([0.5, -0.2]), (1, 2), "views").axes
    assert names_of(axes) == ("lag, in rows", "coefficient of views")
    assert bars_of(axes, "height") == [0.5, -0.2]


def test_a_table_of_coefficients() -> None:
    values = np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])
    axes, bar = functions.coefficient_table(values, ["a", "b", "c"], ["x", "y"], "log-odds").axes
    assert_array_equal(image_of(axes), values)
    assert bar.get_ylabel() == "effect: log-odds"
    low, high = axes.images[0].get_clim()
    assert low == -high  # zero has the colour in the middle


def test_a_function_and_its_terms() -> None:
    (axes,) = functions.sum_of_parts(X, X**2, (X[:3], X[:3]), ("age", "views")).axes
    assert names_of(axes) == ("age", "views")
    assert_array_equal(data_of(axes, 1), (X, X**2))
    curves = np.array([X, X**2])
    (axes,) = functions.parts(X, 7.0, curves, ["one", "two"], -X, ("age", "views")).axes
    assert names_of(axes) == ("age", "views")
    constant, one, two, rest, total = (data_of(axes, line)[1] for line in range(5))
    assert set(constant) == {7.0}
    assert_allclose(total, 7.0 + one + two + rest)


def test_a_curve_of_pieces_and_its_terms() -> None:
    ramps = np.array([np.clip(X - 1, 0, 1), 3 * np.clip(X - 2, 0, 1)])
    edges = np.array([1.0, 2.0, 3.0])
    (axes,) = functions.column_curve(X, -X, ramps, edges, ("age", "views")).axes
    assert names_of(axes) == ("age", "views")
    assert list(axes.get_xticks(minor=True)) == list(edges)
    drawn = [data_of(axes, line)[1] for line in range(1, 5)]
    for line, values in zip(drawn, [*ramps, -X, ramps.sum(axis=0) - X], strict=True):
        assert_array_equal(line, values)


def test_partial_dependence() -> None:
    rows = RANDOM.normal(size=(3, 5))
    limits, linear = (-5.0, 20.0), ("least squares", 2 * X)
    (axes,) = functions.partial_dependence(
        X, X**2, rows, X[1:3], X[:0], ("age", "views"), linear, limits
    ).axes
    assert names_of(axes) == ("age", "views")
    (lines,) = (each for each in axes.collections if isinstance(each, LineCollection))
    assert_array_equal([line[:, 1] for line in lines.get_segments()], rows)
    for line, values in enumerate([X**2, 2 * X]):
        assert_array_equal(data_of(axes, line), (X, values))
    assert axes.get_ylim() == limits
    (axes,) = functions.partial_dependence(
        X, X, rows, X, X[1:3] - 0.5, ("a", "y"), None, limits
    ).axes
    assert [data_of(axes, line)[0][0] for line in range(2)] == [0.5, 1.5]
    (axes,) = functions.category_dependence(
        ["red", "blue"],
        np.array([1.0, 4.0]),
        ("c", "y"),
        ("least squares", np.array([2.0, 3])),
        limits,
    ).axes
    assert names_of(axes) == ("y", "c")
    assert_array_equal(data_of(axes), ([1, 4], [1, 0]))
    assert_array_equal(data_of(axes, 1), ([2, 3], [1, 0]))
    assert axes.get_xlim() == limits
    assert texts_of(axes.get_yticklabels()) == ["red", "blue"]


def test_importance_stands_beside_that_of_the_baseline() -> None:
    own, linear = np.array([3.0, 1.0]), np.array([2.0, -1.0])
    (axes,) = functions.paired_bars(["a", "b"], own, linear, ("network", "linear"), "MAE").axes
    assert bars_of(axes, "width") == [3, 1, 2, -1]
    assert bars_of(axes, "y")[0] > bars_of(axes, "y")[2] > bars_of(axes, "y")[1]


def test_the_importance_of_pixels_is_a_map_on_one_scale() -> None:
    own = np.array([[0.5, np.nan, 0.1], [0.2, -0.3, 0.0]])
    first, second, bar = functions.pixel_maps({"network": own, "linear": 2 * own}, "MAE").axes
    assert_array_equal(image_of(first), own)
    assert_array_equal(image_of(second), 2 * own)
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-1, 1)
    assert bar.get_ylabel() == "MAE"


def test_one_unit() -> None:
    curves = np.array([X, 2 * X, 3 * X])
    panels = {name: (["low", "own", "high"], curves) for name in ("w", "b", "c")}
    figure = functions.one_unit(X, panels, ("age", "views"))
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("age", "views")
    for axes in figure.axes:
        for line in range(3):
            assert_array_equal(data_of(axes, line), (X, curves[line]))


def test_the_surface_has_x_across_and_y_up() -> None:
    # A loss that depends on x alone is the same all along y.
    x, y = np.linspace(0, 1, 6), np.linspace(10, 30, 6)
    across = np.broadcast_to(x, (6, 6))
    labels, best = ("a weight", "a bias"), Mark("best", (0.5, 20.0), "best: 1")
    for losses, axis, other in ((across, 0, 1), (across.T, 1, 0)):
        path = np.zeros((0, 2))
        axes, bar = loss_surface(x, y, losses, path, [best], labels, "mse: views²", "title").axes
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
        lambda name: functions.lag_coefficients(ERRORS, range(len(ERRORS)), name),
        lambda name: functions.coefficient_table(np.ones((2, 3)), [name] * 2, [name] * 3, name),
        lambda name: functions.partial_dependence(
            X, X, np.ones((1, 5)), X, X, (name, name), (name, X), (0, 1)
        ),
        lambda name: functions.column_curve(X, X, np.ones((2, 5)), X, (name, name)),
        lambda name: functions.category_dependence(
            [name] * 2, X[:2], (name, name), (name, X[:2]), (0, 1)
        ),
        lambda name: functions.paired_bars([name] * 3, ERRORS, ERRORS, (name, "b"), name),
        lambda name: predictions.confusion(np.eye(3, dtype=np.int64), [name] * 3),
        lambda name: predictions.reliability(X[:2] / 4, X[:2] / 4, np.array([1, 2]), name),
        lambda name: learning.learning_curves(np.arange(5), X, X, X, [2], name),
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
