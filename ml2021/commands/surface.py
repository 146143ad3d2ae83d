"""The command `surface`: the loss over two parameters, or one, and the way that training took.

What is drawn is the training loss that the config names, over the rows that the run was trained on;
an L2 penalty is no part of it. Without names the axes are the two parameters that a linear model of
one feature has, or else those of `ml2021.inspection.trajectory`.
"""

import time
from pathlib import Path

from ml2021.console import Console
from ml2021.errors import ConfigError
from ml2021.files import replace_file
from ml2021.inspection.features import ParameterNames
from ml2021.inspection.loss_surface import LossSurface
from ml2021.inspection.trajectory import load_trajectory, named_plane, trajectory_plane
from ml2021.report.sections.loss_surface import CURVE, GRID, draw_curve, draw_surface, rows_text
from ml2021.runs.directory import RunDirectory, chosen_run, open_run
from ml2021.runs.model import load_model, reload_training_data

PICTURE = "surface.png"


def surface(
    run_path: Path | None, x: str | None, y: str | None, output: Path | None, console: Console
) -> Path:
    """Draw the loss of a run over parameters `x` and `y`, or `x` alone; return the picture's path.

    Raises ConfigError for a name that no parameter has, which lists the names.
    """
    if y is not None and x is None:
        raise ConfigError("--y: goes with --x; name that parameter first")
    run = open_run(run_path)
    model = load_model(run.best)
    names = ParameterNames(model.config.model.type, model.network.layout, model.preprocessing)
    named = [names.find(text, f"--{axis}") for axis, text in (("x", x), ("y", y)) if text]
    if len({parameter.index for parameter in named}) < len(named):
        raise ConfigError(f"--y {y}: is the parameter of --x too; name another")
    if not named and model.network.layout.parameters == 2:
        named = [names.at(0), names.at(1)]
    place = _output_place(run, output)
    with chosen_run(run, run_path):
        data = reload_training_data(run, model)
    _refuse_input(place, [data.data_path, run.best, run.last])
    way = load_trajectory(run, model)
    console.say(f"run {run.path}")
    begun = time.perf_counter()
    settings = CURVE if len(named) == 1 else GRID * GRID
    ground = LossSurface(model, data.train, settings)
    plane = (
        named_plane(way, named, model.network.layout)
        if named
        else trajectory_plane(way, ground.downhill)
    )
    figure = (draw_curve if len(named) == 1 else draw_surface)(model, way, plane, ground)
    seconds = time.perf_counter() - begun
    size = f"{CURVE} settings" if len(named) == 1 else f"{GRID} x {GRID} settings"
    console.say(f"{plane.title}: {size} on {rows_text(ground)}, {seconds:.1f} s")
    if len(plane.centre) > 2 and len(named) != 1:
        console.say("the losses of start, end and best are their own, not those of their shadows")
    if way.start is None:
        console.say("it was built and not trained: there is no path")
    elif not len(way.path):
        console.say(
            "no path was kept: train.keep_path was false, the run is one of a sweep, or the "
            "network is too large"
        )
    if len(model.theta) > 1:
        console.say(f"of {len(model.theta)} members the first is drawn")

    from ml2021.report.figures.style import to_png

    replace_file(place.resolve(), to_png(figure))  # a link stays one
    return place


def _output_place(run: RunDirectory, output: Path | None) -> Path:
    if output is None:
        return run.path / PICTURE
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a directory; name a file, such as {PICTURE}")
    return output


def _refuse_input(place: Path, inputs: list[Path]) -> None:
    if any(place.exists() and path.exists() and place.samefile(path) for path in inputs):
        raise ConfigError(f"--output {place}: is an input; name another file")
