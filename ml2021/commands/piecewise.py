"""The command `piecewise`: a curve as an exact network of hard sigmoids or pairs of ReLUs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import LoadedConfig, dump_yaml, load_config_text
from ml2021.config.yaml_scalars import dump_document
from ml2021.console import Console
from ml2021.errors import ConfigError, DataError
from ml2021.formatting import echo, number
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

    from ml2021.data.csv.headers import TableFormat
    from ml2021.engine.piecewise import Curve
    from ml2021.training.trainer import Trainer

_FORMAT_KEYS = ("separator", "decimal", "encoding", "header")


@dataclass(frozen=True)
class CurveFile:
    """The curve of a file of two columns, and their names: of x, and of y."""

    curve: "Curve"
    names: tuple[str, str]


def data_section(csv: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the keys of `section` that say where the points are and how the file is written."""
    keys = [text.partition("=")[0].strip() for text in overrides]
    known = {f"data.{key}" for key in _FORMAT_KEYS}
    if odd := [key for key in keys if key not in known]:
        raise ConfigError(
            f"--set {echo(odd[0])}: only how the file is written can be set here: "
            f"{', '.join(sorted(known))}"
        )
    text = dump_document({"data": {"path": str(csv), "target": "y"}})
    written = load_config_text(text, "the command line", overrides).config.data
    changed = {key: getattr(written, key) for key in _FORMAT_KEYS if f"data.{key}" in keys}
    return {"path": str(csv), **changed}


def read_points(csv: Path, section: dict[str, Any]) -> CurveFile:
    """Read a curve. Raises DataError where the file does not hold one, with the line."""
    import numpy as np

    from ml2021.data.csv.headers import TableFormat
    from ml2021.data.tables import read_header, read_table

    written = TableFormat(**{key: section[key] for key in _FORMAT_KEYS if key in section})
    header = read_header(csv, written)
    if (count := len(header.names)) != 2:
        columns = "column" if count == 1 else "columns"
        raise DataError(f"{csv}: {count:,} {columns}; a curve has two, first x and then its y")
    x_name, y_name = header.names
    frame = read_table(csv, written, types={x_name: "number", y_name: "number"}).frame
    x, y = (frame[name].to_numpy(np.float64) for name in header.names)
    for name, values in ((x_name, x), (y_name, y)):
        if (missing := np.flatnonzero(np.isnan(values))).size:
            (where,) = _places(csv, written, [int(missing[0])])
            raise DataError(f"{where}: column '{echo(name)}' has no value; fill it in")
    if len(x) < 2:
        raise DataError(f"{csv}: one point; a curve needs two or more")
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if (same := np.flatnonzero(np.diff(x) == 0)).size:
        first, second = sorted(int(order[same[0] + i]) for i in (0, 1))
        place, before = _places(csv, written, [second, first])
        raise DataError(
            f"{place}: {echo(x_name)} {x[same[0]]:.15g} is also at {before}; a curve has one "
            f"{echo(y_name)} for each {echo(x_name)}"
        )

    from ml2021.engine.piecewise import Curve

    return CurveFile(Curve(x, y), (x_name, y_name))


def _places(csv: Path, written: "TableFormat", rows: list[int]) -> list[str]:
    """Return where each row stands, for a message."""
    from ml2021.data.tables import find_lines

    if csv.suffix == ".parquet":
        return [f"{csv}: row {row + 1}" for row in rows]
    lines = find_lines(csv, written, rows)
    return [f"{csv}:{lines[row]}" for row in rows]


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
    section = data_section(csv, overrides)
    if run_dir is not None:
        refuse_used(run_dir)
    points = read_points(csv, section)

    from ml2021.engine.piecewise import approximate, to_ramps

    given = points.curve
    curve = given if pieces is None else approximate(given, pieces)
    loaded = _config(csv, section, points, len(to_ramps(curve).heights), relu)
    trainer = _build_trainer(csv, loaded, curve, relu)
    facts = _facts(trainer, given, curve, relu)
    _say(console, csv, points, trainer, facts)
    run = create_run(run_dir, csv.stem.removesuffix(".csv"))
    with locked(run):
        _write(run, loaded, trainer, facts, _picture(points, curve, relu))
    return run.path


def _config(
    csv: Path, section: dict[str, Any], points: CurveFile, ramps: int, relu: bool
) -> LoadedConfig:
    """Return the config of a run that would train this network on these points."""
    sum_of_sigmoids = {"type": "sigmoid_sum", "units": ramps, "activation": "hard_sigmoid"}
    document = {
        "data": {
            **section,
            "features": [points.names[0]],
            "target": points.names[1],
            "split": {"validation": 0.0, "test": 0.0},
        },
        "task": "regression",
        "model": {"type": "relu_stack", "widths": [2 * ramps]} if relu else sum_of_sigmoids,
    }
    text = "# Built by ml2021 piecewise, not trained.\n" + dump_document(document)
    return load_config_text(text, f"the curve of {csv}")


def _build_trainer(csv: Path, loaded: LoadedConfig, curve: "Curve", relu: bool) -> "Trainer":
    """Return a session whose parameters are the curve. Raises DataError where float32 fails it."""
    import numpy as np

    from ml2021.data.load import load_training_data
    from ml2021.data.preprocessing.records import NumberFeature, RealTargets
    from ml2021.engine.piecewise import Curve, to_ramps, to_relu_pairs, to_sigmoid_sum
    from ml2021.training.trainer import build_trainer

    data = load_training_data(loaded.config, loaded.locate)
    trainer = build_trainer(data, str(csv), last=None, threads=None)
    (feature,), target = data.preprocessing.features, data.preprocessing.target
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
    assert network == trainer.network
    trainer.state.theta.copy_(theta)
    trainer.state.best.copy_(theta)
    if not bool(trainer.state.best.isfinite().all()):
        raise DataError(f"{csv}: a piece too steep for float32; move its points apart")
    return trainer


def _facts(trainer: "Trainer", given: "Curve", curve: "Curve", relu: bool) -> dict[str, Any]:
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
        "hard_sigmoids": trainer.network.layout.hidden[0] // (2 if relu else 1),
        "range": float(np.ptp(given.y)),
        "rms_difference": 0.0 if is_exact else difference(given, curve),
        "rms_difference_of_even_pieces": (
            None if is_exact else difference(given, Curve(even, given(even)))
        ),
        "largest_rounding_of_float32": float(np.abs(_network_at(trainer, x) - curve(x)).max()),
    }


def _places_along(curve: "Curve") -> "NDArray[np.float64]":
    """Return the knots, some places between any two of them, and one beyond either end."""
    import numpy as np

    shares = np.linspace(0, 1, _INTERMEDIATE, endpoint=False)
    inside = (curve.x[:-1, None] + np.diff(curve.x)[:, None] * shares).ravel()
    beyond = 0.1 * (curve.x[-1] - curve.x[0])
    return np.array([curve.x[0] - beyond, *inside, curve.x[-1], curve.x[-1] + beyond])


def _network_at(trainer: "Trainer", x: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return what the network of the session, in float32, makes of x, in the units of the data."""
    import numpy as np
    import torch

    from ml2021.data.preprocessing.records import NumberFeature
    from ml2021.engine.networks import outputs
    from ml2021.evaluation.scoring import to_predictions

    preprocessing, theta = trainer.data.preprocessing, trainer.state.best
    (feature,) = preprocessing.features
    assert isinstance(feature, NumberFeature)
    rows = np.ones((len(x), 2), np.float32)
    rows[:, 0] = (x - feature.mean) / feature.scale
    raw = outputs(trainer.network, theta, torch.from_numpy(rows).to(theta.device))[0]
    return to_predictions(preprocessing, raw.cpu().numpy())[:, 0]


def _say(
    console: Console, csv: Path, points: CurveFile, trainer: "Trainer", facts: dict[str, Any]
) -> None:
    curve, (x_name, y_name) = points.curve, map(echo, points.names)
    low, high = float(curve.x[0]), float(curve.x[-1])
    hidden = trainer.network.layout.hidden[0]
    kind = (
        "ReLUs, two for each hard sigmoid"
        if trainer.network.activation == "relu"
        else (f"hard sigmoid{'s' if hidden > 1 else ''}")
    )
    console.say(
        f"{csv}: {facts['points']:,} points, {y_name} over {x_name} from {low:.6g} to {high:.6g}",
        f"a constant and {hidden:,} {kind} ({trainer.network.layout.parameters:,} parameters)",
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
    from ml2021.report.figures.curves import curve_and_parts
    from ml2021.report.figures.style import to_png

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
    trainer: "Trainer",
    facts: dict[str, Any],
    picture: bytes,
) -> None:
    """Fill the run directory. The resolved config comes last: without it there is no run."""
    from ml2021.files import replace_file
    from ml2021.runs.checkpoints import write_best
    from ml2021.training.trainer import environment, open_metrics, summarise

    write_text(run.config, loaded.text)
    write_json(run.environment, environment(trainer))
    open_metrics(trainer, run).close()
    _, summary = summarise(trainer, seconds=0.0, updates=0)
    write_json(run.summary, {**summary, "stopped_early": False, "piecewise": facts})
    replace_file(run.path / PICTURE, picture)
    write_best(run, trainer.data, trainer.baselines, None, trainer.state)
    write_text(run.resolved_config, dump_yaml(trainer.data.config))
