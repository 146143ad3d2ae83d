"""`ml2021 surface`: the losses and the trajectory that it draws, and its refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ml2021.engine.networks import Layout
from ml2021.inspection.features import Parameter
from ml2021.inspection.loss_surface import LossSurface, Trajectory, load_trajectory, named_plane
from ml2021.report.figures.style import to_png
from ml2021.report.figures.surfaces import (
    Mark,
    TangentStep,
    contour_levels,
    loss_curve,
    loss_surface,
)
from ml2021.report.sections.loss_surface import losses_at, tangent_steps
from ml2021.runs.checkpoints import load_checkpoint, save_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import load_model, reload_training_data
from ml2021.runs.outputs import PNG
from tests.commands import contents, read_rows, refusal, run_well, table, write_rows

LINE = """data: {path: line.csv, target: score, split: {validation: 0.0, test: 0.2}}
model: linear
optimizer: {type: sgd, lr: 0.3}
train: {epochs: 12, batch_size: full, schedule: constant}
"""
CLASSES = """data: {path: train.csv, target: kind, exclude: [id, y, p*]}
model: {type: relu_stack, widths: [6]}
train: {epochs: 3}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of a linear model of one feature, and one of a classifier."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    hours = random.normal(50, 12, 80).round(2)
    score = (300 + 7 * hours + random.normal(0, 40, 80)).round(2)
    write_rows(folder / "line.csv", {"hours": hours.tolist(), "score": score.tolist()})
    write_rows(folder / "train.csv", table(120))
    for name, text in (("line", LINE), ("classes", CLASSES)):
        (folder / f"{name}.yaml").write_text(text)
        run_well(folder, "train", "--config", f"{name}.yaml", "--run-dir", name, "--quiet")
    no_path = ("--set", "train.keep_path=false", "--run-dir", "pathless", "--quiet")
    run_well(folder, "train", "--config", "line.yaml", *no_path)
    return folder


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def surface_and_trajectory(folder: Path, settings: int = 1) -> tuple[LossSurface, Trajectory]:
    """Read a run as the command reads it."""
    run = RunDirectory(folder)
    model = load_model(run.best)
    data = reload_training_data(run, model)
    return LossSurface(model, data.train, settings), load_trajectory(run, model)


def test_the_loss_along_the_path_is_the_one_that_training_saw(trained: Path) -> None:
    surface, trajectory = surface_and_trajectory(trained / "line")
    # With full batches an epoch is one update, and its loss is that before the update.
    seen = [float(row["train_loss"]) for row in read_rows(trained / "line" / "metrics.csv")]
    assert len(trajectory.path) == len(seen) + 1 == 13
    losses = [surface.loss_of(theta) for theta in trajectory.path]
    assert losses[:-1] == pytest.approx(seen, rel=1e-5)
    assert surface.unit.name == "mse"
    assert surface.loss_of(trajectory.ends["start"]) == losses[0]
    assert surface.loss_of(trajectory.ends["end"]) == losses[-1]


def test_without_a_path_the_start_is_what_the_seed_gives(trained: Path) -> None:
    _, kept = surface_and_trajectory(trained / "line")
    _, found = surface_and_trajectory(trained / "pathless")
    assert len(found.path) == 0
    assert found.ends["start"].tolist() == kept.ends["start"].tolist()


def test_the_trajectory_is_that_of_the_first_member_that_predicts(trained: Path) -> None:
    options = ("--set", "train.members=3", "--run-dir", "members", "--quiet")
    run_well(trained, "train", "--config", "line.yaml", *options)
    run = RunDirectory(trained / "members")
    last, best = load_checkpoint(run.last), load_checkpoint(run.best)
    model = load_model(run.best)
    first = load_trajectory(run, model)
    assert first.path[:-1].tolist() == last.tensors["trajectory.points"].tolist()
    assert first.ends["start"].tolist() == first.path[0].tolist()
    # If the first member diverges, the path that was kept is not that of the one shown.
    last.tensors["diverged"][0] = 7
    last.tensors["theta"][0] = torch.nan
    save_checkpoint(last)
    others = {**best.tensors, "theta": best.tensors["theta"][1:].clone()}
    save_checkpoint(replace(best, tensors=others))
    second = load_trajectory(run, load_model(run.best))
    assert len(second.path) == 0
    assert second.ends["end"].tolist() == last.tensors["theta"][1].tolist()
    assert second.ends["start"].tolist() != first.ends["start"].tolist()
    assert second.best.tolist() == model.theta[1].tolist()


def test_a_long_path_is_thinned_to_as_many_points(trained: Path) -> None:
    run = RunDirectory(trained / "line")
    model = load_model(run.best)
    whole, thin = load_trajectory(run, model), load_trajectory(run, model, 4)
    assert thin.path.tolist() == whole.path[[0, 3, 6, 9, 12]].tolist()


def test_the_tangents_have_the_slope_of_the_loss(trained: Path) -> None:
    surface, trajectory = surface_and_trajectory(trained / "line")
    weight = Parameter(index=0, layer=0, unit=0, input=0, name="w")
    plane = named_plane(trajectory, [weight], Layout((1, 1)))
    x = np.linspace(-1, 2, 50)
    square, straight, _ = np.polyfit(x, surface.losses(plane, x[:, None]), 2)  # the loss is an mse
    steps = tangent_steps(plane.coordinates(trajectory.path)[:, 0], x, plane, surface)
    assert len(steps) >= 1
    for step in steps:
        assert step.slope == pytest.approx(2 * square * step.start + straight, rel=1e-2)


def test_the_grid_has_a_line_for_each_y_and_along_it_those_of_x(trained: Path) -> None:
    surface, trajectory = surface_and_trajectory(trained / "line")
    both = [Parameter(0, 0, 0, 0, "w"), Parameter(1, 0, 0, None, "b")]
    plane = named_plane(trajectory, both, Layout((1, 1)))
    w, b = np.array([-1.0, 0.5, 3.0]), np.array([0.0, 2.0])
    losses = losses_at(plane, surface, w, b)
    assert losses.shape == (2, 3)
    for line, column in np.ndindex(2, 3):
        expected = surface.loss_of(torch.tensor([w[column], b[line]], dtype=torch.float64))
        assert losses[line, column] == pytest.approx(expected, rel=1e-6)


def test_too_much_work_leaves_rows_out(trained: Path) -> None:
    few, trajectory = surface_and_trajectory(trained / "classes", settings=10**8)
    everything, _ = surface_and_trajectory(trained / "classes")
    assert (len(few.rows), few.total) == (64, len(everything.rows))
    assert few.loss_of(trajectory.best) == pytest.approx(
        everything.loss_of(trajectory.best), rel=0.5
    )


@pytest.mark.parametrize(
    ("name", "options", "facts"),
    [
        ("line", [], ("Loss over w and b:", "61 x 61", "64 training rows")),
        ("line", ["--x", "w"], ("Loss over w,", "401")),
        ("line", ["--x", "b", "--y", "w[hours]"], ("Loss over b and w:", "61 x 61")),
        ("classes", [], ("two principal directions", "61 x 61")),
        ("classes", ["--x", "W1[2,a]", "--y", "b2[low]"], ("Loss over W1[2,a] and b2[low],",)),
        ("pathless", [], ("train.keep_path",)),
        ("pathless", ["--x", "w1"], ("Loss over w,",)),
    ],
)
def test_a_picture_is_written_and_its_path_printed(
    trained: Path, tmp_path: Path, name: str, options: list[str], facts: tuple[str, ...]
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(PNG + b"replaced")
    before = contents(trained)
    outcome = run_well(trained, "surface", "--run", name, *options, "--output", picture)
    assert outcome.stdout == f"{picture}\n"
    assert all(fact in outcome.stderr for fact in facts), outcome.stderr
    assert is_png(picture)
    assert contents(trained) == before


def test_a_network_that_was_built_is_drawn_too_unless_its_data_has_changed(tmp_path: Path) -> None:
    write_rows(tmp_path / "curve.csv", {"x": [0, 1, 2], "y": [1, 3, 0]})
    run_well(tmp_path, "piecewise", "curve.csv")
    for options, title in (
        ([], "around the network's parameters"),
        (["--x", "c[1]", "--y", "b"], "Loss over c[1] and b,"),
        (["--x", "w[2]"], "Loss over w[2,x],"),
    ):
        outcome = run_well(tmp_path, "surface", *options)
        assert is_png(tmp_path / outcome.stdout.strip())
        assert title in outcome.stderr
        assert "not trained" in outcome.stderr
        assert "train.keep_path" not in outcome.stderr
    write_rows(tmp_path / "curve.csv", {"x": [0, 1, 2], "y": [1, 3, 1]})
    code, line = refusal(tmp_path, "surface", "--run", "runs/curve-1")
    assert (code, line.startswith(f"{tmp_path / 'curve.csv'}: has changed")) == (3, True)


@pytest.mark.parametrize(
    ("options", "place", "fact"),
    [
        (["--y", "w"], "--y: ", "--x"),
        (["--x", "w", "--y", "w[hours]"], "--y w[hours]: ", "--x"),
        (["--x", "v"], "--x v: ", "w, b"),
        (["--x", "w", "--y", "w[hour]"], "--y w[hour]: ", "w, b"),
        (["--output", "."], "--output .: ", "directory"),
        (["--output", "line.csv"], "--output line.csv: ", "input"),
    ],
)
def test_a_wrong_request_is_refused(
    trained: Path, options: list[str], place: str, fact: str
) -> None:
    before = contents(trained)
    code, line = refusal(trained, "surface", "--run", "line", *options)
    assert (code, line.startswith(place), fact in line) == (2, True, True), line
    assert contents(trained) == before


# The pictures themselves.


def test_levels_are_close_where_the_valley_is() -> None:
    bowl = np.add.outer(np.linspace(-1, 1, 9) ** 2, np.linspace(-1, 1, 9) ** 2) + 5
    steps = np.diff(contour_levels(bowl))
    assert (steps[1:] > steps[:-1]).all()
    levels = contour_levels(np.array([[1e-3, np.inf], [np.nan, 1e5]]))
    assert (levels[0], levels[-1]) == pytest.approx((0.1, 1e5))  # six decades
    np.testing.assert_allclose(levels[1:] / levels[:-1], levels[1] / levels[0])


@pytest.mark.parametrize("losses", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones((3, 3))])
def test_a_flat_or_undefined_loss_is_drawn(losses: NDArray[np.float64]) -> None:
    assert (np.diff(contour_levels(losses)) > 0).all()
    axis, best = np.arange(3.0), Mark("best", (1.0, 1.0), "best: 0")
    figure = loss_surface(axis, axis, losses, np.zeros((0, 2)), [best], ("x", "y"), "mse", "flat")
    assert to_png(figure)


def test_the_path_and_the_marks_are_where_they_belong() -> None:
    axis, path = np.linspace(0, 1, 5), np.array([[0.1, 0.2], [0.5, 0.6], [0.4, 0.9]])
    losses = np.add.outer(axis**2, 10 * axis**2)
    marks = [Mark("start", (0.1, 0.2), "start: 5"), Mark("best", (0.4, 0.9), "best: 1")]
    figure = loss_surface(axis, axis, losses, path, marks, ("$w$", "b"), "mse", "t")
    axes = figure.axes[0]
    drawn_path, start, best = axes.lines
    np.testing.assert_array_equal(np.array(drawn_path.get_data()).T, path)
    np.testing.assert_array_equal(np.array(start.get_data()).ravel(), [0.1, 0.2])
    assert (start.get_label(), best.get_label()) == ("start: 5", "best: 1")
    assert axes.get_xlabel() == "$w$"
    assert to_png(figure)


def test_tangents_have_the_slope_of_the_curve() -> None:
    x = np.linspace(-1, 1, 21)
    step = TangentStep(start=-0.5, end=0.1, loss=1.25, slope=-1.0, loss_at_end=1.01)
    figure = loss_curve(x, 1 + x**2, [step], [], "w", "mse", "t")
    _, tangent, line, fall, _ = figure.axes[0].lines
    tx, ty = (np.asarray(values) for values in tangent.get_data())
    np.testing.assert_allclose(np.diff(ty) / np.diff(tx), -1.0)
    np.testing.assert_allclose(np.diff(line.get_ydata()) / np.diff(line.get_xdata()), -1.0)
    assert (tx[0], ty[0], tx[-1]) == pytest.approx((-0.5, 1.25, 0.1))
    assert np.asarray(fall.get_ydata()).tolist() == pytest.approx([0.65, 1.01])
