"""The command `piecewise`: a curve, given as points, as a network, without any training.

The points are read by `ml2021.points`; the curve and its parts are the matter of
`ml2021.engine.piecewise`. The network is kept as a run that `evaluate` and `predict` take like any
other. What a run holds is written by the same code as for `train`, but for last.safetensors: there
is no training to go on with.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import LoadedConfig, dump_yaml, load_config_text
from ml2021.config.scalars import dump_document
from ml2021.console import Console, number
from ml2021.errors import DataError, echo
from ml2021.points import CurveFile, data_section, read_points
from ml2021.runs.directory import (
    RunDirectory,
    create_run,
    locked,
    refuse_used,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ml2021.engine.piecewise import Curve
    from ml2021.session import Session

    Floats = NDArray[np.float64]

PICTURE = "piecewise.png"
_INTERMEDIATE = 8  # places within each piece at which the saved network is held to the curve


def piecewise(
    csv: Path,
    pieces: int | None,
    relu: bool,
    overrides: Sequence[str],
    run_dir: Path | None,
    console: Console,
) -> Path:
    """Build the network of a curve, exactly or with `pieces` pieces; return its run directory."""
    data = data_section(csv, overrides)
    if run_dir is not None:
        refuse_used(run_dir)
    points = read_points(csv, data)

    from ml2021.engine.piecewise import approximate, to_ramps

    given = points.curve
    curve = given if pieces is None else approximate(given, pieces)
    loaded = _config(csv, data, points, len(to_ramps(curve).heights), relu)
    session = _build_session(csv, loaded, curve, relu)
    facts = _facts(session, given, curve, relu)
    _say(console, csv, points, session, facts)
    run = create_run(run_dir, csv.stem.removesuffix(".csv"))
    with locked(run):
        _write(run, loaded, session, facts, _picture(points, curve, relu))
    return run.path


def _config(
    csv: Path, data: dict[str, Any], points: CurveFile, ramps: int, relu: bool
) -> LoadedConfig:
    """Return the config of a run that would train this network on these points."""
    sum_of_sigmoids = {"type": "sigmoid_sum", "units": ramps, "activation": "hard_sigmoid"}
    document = {
        "data": {
            **data,
            "features": [points.names[0]],
            "target": points.names[1],
            "split": {"validation": 0.0, "test": 0.0},
        },
        "task": "regression",
        "model": {"type": "relu_stack", "widths": [2 * ramps]} if relu else sum_of_sigmoids,
    }
    text = "# Built by ml2021 piecewise, not trained.\n" + dump_document(document)
    return load_config_text(text, f"the curve of {csv}")


def _build_session(csv: Path, loaded: LoadedConfig, curve: "Curve", relu: bool) -> "Session":
    """Return a session whose parameters are the curve. Raises DataError where float32 fails it."""
    import numpy as np

    from ml2021.data.preprocessing import NumberFeature, RealTargets
    from ml2021.engine.piecewise import Curve, to_ramps, to_relu_pairs, to_sigmoid_sum
    from ml2021.problem import load_problem
    from ml2021.session import start_session

    problem = load_problem(loaded.config, loaded.locate)
    session = start_session(problem, str(csv), last=None, threads=None)
    (feature,), target = problem.preprocessing.features, problem.preprocessing.target
    assert isinstance(feature, NumberFeature)
    assert isinstance(target, RealTargets)
    x = (curve.x - feature.mean) / feature.scale
    if (close := np.flatnonzero(np.diff(x.astype(np.float32)) <= 0)).size:
        near, far = curve.x[close[0] : close[0] + 2]
        raise DataError(
            f"{csv}: {echo(feature.name)} {near:.15g} and {far:.15g} are one number in float32, "
            "with which networks compute; move them apart, or leave one of them out"
        )
    ramps = to_ramps(Curve(x, target.standardise(curve.y[:, None])[:, 0]))
    network, theta = to_sigmoid_sum(ramps)
    if relu:
        network, theta = to_relu_pairs(network, theta)
    assert network == session.network
    session.state.theta.copy_(theta)
    session.state.best.copy_(theta)
    if not bool(session.state.best.isfinite().all()):
        raise DataError(f"{csv}: a piece too steep for float32; move its points apart")
    return session


def _facts(session: "Session", given: "Curve", curve: "Curve", relu: bool) -> dict[str, Any]:
    """Return what summary.json says of the curve, in the units of the data."""
    import numpy as np

    from ml2021.engine.piecewise import Curve, difference

    x = _places_along(curve)
    pieces = len(curve.x) - 1
    even = np.linspace(given.x[0], given.x[-1], pieces + 1)
    is_exact = curve is given
    return {
        "points": len(given.x),
        "pieces": pieces,
        "hard_sigmoids": session.network.layout.hidden[0] // (2 if relu else 1),
        "range": float(np.ptp(given.y)),
        "rms_difference": 0.0 if is_exact else difference(given, curve),
        "rms_difference_of_even_pieces": (
            None if is_exact else difference(given, Curve(even, given(even)))
        ),
        "largest_rounding_of_float32": float(np.abs(_network_at(session, x) - curve(x)).max()),
    }


def _places_along(curve: "Curve") -> "Floats":
    """Return the knots, some places between any two of them, and one beyond either end."""
    import numpy as np

    shares = np.linspace(0, 1, _INTERMEDIATE, endpoint=False)
    inside = (curve.x[:-1, None] + np.diff(curve.x)[:, None] * shares).ravel()
    beyond = 0.1 * (curve.x[-1] - curve.x[0])
    return np.array([curve.x[0] - beyond, *inside, curve.x[-1], curve.x[-1] + beyond])


def _network_at(session: "Session", x: "Floats") -> "Floats":
    """Return what the network of the session, in float32, makes of x, in the units of the data."""
    import numpy as np
    import torch

    from ml2021.data.preprocessing import NumberFeature
    from ml2021.engine.networks import outputs
    from ml2021.scoring import to_predictions

    preprocessing, theta = session.problem.preprocessing, session.state.best
    (feature,) = preprocessing.features
    assert isinstance(feature, NumberFeature)
    rows = np.ones((len(x), 2), np.float32)
    rows[:, 0] = (x - feature.mean) / feature.scale
    raw = outputs(session.network, theta, torch.from_numpy(rows).to(theta.device))[0]
    return to_predictions(preprocessing, raw.cpu().numpy())[:, 0]


def _say(
    console: Console, csv: Path, points: CurveFile, session: "Session", facts: dict[str, Any]
) -> None:
    curve, (x_name, y_name) = points.curve, map(echo, points.names)
    low, high = float(curve.x[0]), float(curve.x[-1])
    hidden = session.network.layout.hidden[0]
    kind = (
        "ReLUs, two for each hard sigmoid"
        if session.network.activation == "relu"
        else (f"hard sigmoid{'s' if hidden > 1 else ''}")
    )
    console.say(
        f"{csv}: {facts['points']:,} points, {y_name} over {x_name} from {low:.6g} to {high:.6g}",
        f"a constant and {hidden:,} {kind} ({session.network.layout.parameters:,} parameters)",
    )
    spread = facts["range"]

    def amount(value: float) -> str:
        share = f" ({number(100 * value / spread)} % of its range)" if spread else ""
        return f"{number(value)}{share}"

    if (even := facts["rms_difference_of_even_pieces"]) is None:
        console.say("exact: every point is a bend of the network")
    else:
        console.say(
            f"{facts['pieces']:,} pieces: {y_name} is off by {amount(facts['rms_difference'])}, "
            f"as root mean square along {x_name}; with evenly spaced bends it would be "
            f"{number(even)}"
        )
    console.say(
        f"rounding to float32 moves it by at most {amount(facts['largest_rounding_of_float32'])}",
        f"below {low:.6g} and above {high:.6g} it stays constant",
    )


def _picture(points: CurveFile, curve: "Curve", relu: bool) -> bytes:
    """Return the picture of the curve, the constant, the parts and their sum, as PNG."""
    from ml2021.engine.piecewise import to_ramps
    from ml2021.figures.curves import curve_and_parts
    from ml2021.figures.style import to_png

    ramps = to_ramps(curve)
    figure = curve_and_parts(
        (points.curve.x, points.curve.y),
        (curve.x, curve.y),
        ramps.constant,
        (ramps.starts, ramps.ends, ramps.heights),
        points.names,
        is_paired=relu,
    )
    return to_png(figure)


def _write(
    run: RunDirectory,
    loaded: LoadedConfig,
    session: "Session",
    facts: dict[str, Any],
    picture: bytes,
) -> None:
    """Fill the run directory. The resolved config comes last: without it there is no run."""
    from ml2021.runs.files import replace_file
    from ml2021.saving import write_best
    from ml2021.session import environment, open_metrics, summarise

    write_text(run.config, loaded.text)
    write_json(run.environment, environment(session))
    open_metrics(session, run).close()
    _, summary = summarise(session, seconds=0.0, updates=0)
    write_json(run.summary, {**summary, "stopped_early": False, "piecewise": facts})
    replace_file(run.path / PICTURE, picture)
    write_best(run, session.problem, session.answers, None, session.state)
    write_text(run.resolved_config, dump_yaml(session.problem.config))
