"""The command `surface`: draw the loss over two parameters, or one, with the training trajectory.

The loss is the config's, over the rows that the run was trained on, without the L2 penalty. If no
parameters are named, the axes are the weight and the bias of a linear model of one feature, or the
directions that `ml2021.inspection.loss_surface` chooses.
"""

import time
from pathlib import Path

from ml2021.console import Console
from ml2021.errors import ConfigError
from ml2021.files import replace_file
from ml2021.inspection.features import ParameterNames
from ml2021.inspection.loss_surface import (
    LossSurface,
    load_trajectory,
    named_plane,
    trajectory_plane,
)
from ml2021.report.sections.loss_surface import CURVE, GRID, draw_curve, draw_surface, rows_text
from ml2021.runs.directory import chosen_run, open_run
from ml2021.runs.model import load_model, reload_training_data
from ml2021.runs.outputs import PNG, check_output, tables_of, write_output
from ml2021.runs.summary import is_saved_model


def surface(
    run_path: Path | None, x: str | None, y: str | None, output: Path | None, console: Console
) -> Path:
    """Draw the loss of a run over parameters `x` and `y`, or `x` alone; return the picture's path.

    Raises ConfigError for an unknown parameter name.
    """
    if y is not None and x is None:
        raise ConfigError("--y: needs --x; name that parameter too")
    run = open_run(run_path)
    model = load_model(run.best)
    names = ParameterNames(model.config.model.type, model.network.layout, model.preprocessing)
    named = [names.find(text, f"--{axis}") for axis, text in (("x", x), ("y", y)) if text]
    if len({parameter.index for parameter in named}) < len(named):
        raise ConfigError(f"--y {y}: is the parameter of --x; choose another")
    if not named and model.network.layout.parameters == 2:
        named = [names.at(0), names.at(1)]
    if output is not None:
        check_output("--output", output, tables_of(run), replaced=PNG)
    with chosen_run(run, run_path):
        data = reload_training_data(run, model)
    trajectory = load_trajectory(run, model)
    console.say(f"run {run.path}")
    begun = time.perf_counter()
    is_curve = len(named) == 1
    loss_surface = LossSurface(model, data.train, CURVE if is_curve else GRID * GRID)
    plane = (
        named_plane(trajectory, named, model.network.layout)
        if named
        else trajectory_plane(trajectory, loss_surface.downhill)
    )
    draw = draw_curve if is_curve else draw_surface
    figure = draw(model, trajectory, plane, loss_surface)
    seconds = time.perf_counter() - begun
    size = f"{CURVE} points" if is_curve else f"{GRID} x {GRID} points"
    console.say(f"{plane.title}: {size} on {rows_text(loss_surface)}, {seconds:.1f} s")
    if len(plane.centre) > 2 and not is_curve:
        console.say("marked losses are at the actual parameters, not at their projections")
    if trajectory.start is None:
        origin = "saved from Python" if is_saved_model(run) else "built by piecewise, not trained"
        console.say(f"{origin}: no trajectory")
    elif not len(trajectory.path):
        console.say(
            "no trajectory was saved: train.keep_path was false, the run belongs to a sweep, or "
            "the network is too large"
        )
    if len(model.theta) > 1:
        console.say(f"showing the first of {len(model.theta)} members")

    from ml2021.report.figures.style import to_png

    if output is None:
        replace_file(run.surface, to_png(figure))
        return run.surface
    write_output(output, to_png(figure))
    return output
