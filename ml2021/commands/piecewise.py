"""The command `piecewise`: build a curve as a network of hard sigmoids or pairs of ReLUs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import LoadedConfig, dump_yaml, load_config_text, set_format
from ml2021.config.schema import FORMAT_KEYS, Data
from ml2021.config.yaml_scalars import dump_document
from ml2021.console import Console
from ml2021.errors import DataError
from ml2021.files import replace_file
from ml2021.formatting import echo, number, plural
from ml2021.runs.content import write_text
from ml2021.runs.directory import RunDirectory, create_run, locked, refuse_undecodable, refuse_used

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ml2021.data.csv.scan import TableFormat
    from ml2021.engine.piecewise import Curve
    from ml2021.runs.summary import PiecewiseFacts
    from ml2021.training.trainer import Trainer

_POINTS_PER_PIECE = 8  # at which the saved network is compared with the curve, knots included


def _read_points(csv: Path, file_format: "TableFormat") -> tuple["Curve", tuple[str, str]]:
    """Read a curve and the names of x and y. Raises DataError if the file does not contain one."""
    import numpy as np

    from ml2021.data.tables import read_header, read_table

    header = read_header(csv, file_format)
    if (count := len(header.names)) != 2:
        raise DataError(f"{csv}: has {plural(count, 'column')}; a curve needs two, x and y")
    x_name, y_name = header.names
    frame = read_table(csv, file_format, types={x_name: "number", y_name: "number"}).frame
    x, y = (frame[name].to_numpy(np.float64) for name in header.names)
    for name, values in ((x_name, x), (y_name, y)):
        if (missing := np.flatnonzero(np.isnan(values))).size:
            (where,) = _positions(csv, file_format, [int(missing[0])])
            raise DataError(f"{where}: column '{echo(name)}' has no value; fill it in")
    if len(x) < 2:
        raise DataError(f"{csv}: has only one point; a curve needs at least two")
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if (same := np.flatnonzero(np.diff(x) == 0)).size:
        first, second = sorted(int(order[same[0] + i]) for i in (0, 1))
        repeated, earlier = _positions(csv, file_format, [second, first])
        raise DataError(
            f"{repeated}: {echo(x_name)} = {x[same[0]]:.15g} is repeated from {earlier}; a curve "
            f"has one {echo(y_name)} for each {echo(x_name)}"
        )

    from ml2021.engine.piecewise import Curve

    return Curve(x, y), (x_name, y_name)


def _positions(csv: Path, file_format: "TableFormat", rows: list[int]) -> list[str]:
    """Return the position of each row in the file, for a message."""
    from ml2021.data.passes import is_parquet
    from ml2021.data.tables import find_lines

    if is_parquet(csv):
        return [f"{csv}: row {row + 1}" for row in rows]
    lines = find_lines(csv, file_format, rows)
    return [f"{csv}:{lines[row]}" for row in rows]


def piecewise(
    csv: Path,
    pieces: int | None,
    relu: bool,
    overrides: Sequence[str],
    run_dir: Path | None,
    console: Console,
) -> Path:
    """Build a curve as a network, exactly or with `pieces` pieces; return its run directory."""
    refuse_undecodable()
    data = set_format(Data(path=str(csv), target="y"), overrides)
    refuse_used(run_dir, [csv])

    from ml2021.data.resolve import table_format_of

    given, names = _read_points(csv, table_format_of(data, by_option=True))

    from ml2021.engine.piecewise import approximate, to_ramps

    curve = given if pieces is None else approximate(given, pieces)
    changed = data.model_dump(include={*FORMAT_KEYS}, exclude_defaults=True)
    section = {"path": str(csv), **changed, "features": [names[0]], "target": names[1]}
    loaded = _config(section, len(to_ramps(curve).heights), relu)
    trainer = _build_trainer(csv, loaded, curve, relu)
    facts = _facts(trainer, given, curve, relu)
    console.say(*_describe(csv, given, names, trainer, facts))
    run = create_run(run_dir, csv.stem.removesuffix(".csv"))
    with locked(run):
        refuse_used(run.path)  # by a process that was quicker than we were
        _write(run, loaded, trainer, facts, _picture(given, curve, names, relu))
    return run.path


def _config(section: dict[str, Any], ramps: int, relu: bool) -> LoadedConfig:
    """Return the config of a run that would train such a network on these points."""
    sum_of_sigmoids = {"type": "sigmoid_sum", "units": ramps, "activation": "hard_sigmoid"}
    document = {
        "data": {**section, "split": {"validation": 0.0, "test": 0.0}},
        "task": "regression",
        "preset": "fast",
        "model": {"type": "relu_stack", "widths": [2 * ramps]} if relu else sum_of_sigmoids,
    }
    text = "# Built by ml2021 piecewise, not trained.\n" + dump_document(document)
    return load_config_text(text, f"the curve of {section['path']}")


def _build_trainer(csv: Path, loaded: LoadedConfig, curve: "Curve", relu: bool) -> "Trainer":
    """Return a trainer whose parameters are the curve.

    Raises DataError if float32 is not precise enough for the curve.
    """
    import numpy as np

    from ml2021.data.load import load_training_data
    from ml2021.data.preprocessing.records import NumberFeature, RealTargets
    from ml2021.engine.piecewise import Curve, to_ramps, to_relu_pairs, to_sigmoid_sum
    from ml2021.training.trainer import build_trainer

    data = load_training_data(loaded)
    trainer = build_trainer(data, str(csv), last=None, threads=None)
    (feature,), target = data.preprocessing.features, data.preprocessing.target
    assert isinstance(feature, NumberFeature)
    assert isinstance(target, RealTargets)
    x = (curve.x - feature.mean) / feature.scale
    if (close := np.flatnonzero(np.diff(x.astype(np.float32)) <= 0)).size:
        near, far = curve.x[close[0] : close[0] + 2]
        raise DataError(
            f"{csv}: {echo(feature.name)} = {near:.15g} and {far:.15g} are equal in float32, the "
            "precision of the network; move them apart, or remove one of them"
        )
    ramps = to_ramps(Curve(x, target.standardise(curve.y[:, None])[:, 0]))
    network, theta = to_sigmoid_sum(ramps)
    if relu:
        network, theta = to_relu_pairs(network, theta)
    assert network == trainer.network
    trainer.state.theta.copy_(theta)
    trainer.state.best.copy_(theta)
    if not bool(trainer.state.best.isfinite().all()):
        raise DataError(f"{csv}: a piece is too steep for float32; move its points apart")
    return trainer


def _facts(trainer: "Trainer", given: "Curve", curve: "Curve", relu: bool) -> "PiecewiseFacts":
    """Return what summary.json records about the curve, in the units of the data."""
    import numpy as np

    from ml2021.engine.piecewise import Curve, difference
    from ml2021.runs.summary import PiecewiseFacts

    shares = np.linspace(0, 1, _POINTS_PER_PIECE, endpoint=False)
    inside = (curve.x[:-1, None] + np.diff(curve.x)[:, None] * shares).ravel()
    beyond = 0.1 * (curve.x[-1] - curve.x[0])
    x = np.array([curve.x[0] - beyond, *inside, curve.x[-1], curve.x[-1] + beyond])
    pieces = len(curve.x) - 1
    even = np.linspace(given.x[0], given.x[-1], pieces + 1)
    of_even = None if curve is given else difference(given, Curve(even, given(even)))
    return PiecewiseFacts(
        points=len(given.x),
        pieces=pieces,
        hard_sigmoids=trainer.network.layout.hidden[0] // (2 if relu else 1),
        range=float(np.ptp(given.y)),
        rms_difference=0.0 if curve is given else difference(given, curve),
        rms_difference_of_even_pieces=of_even,
        largest_rounding_of_float32=float(np.abs(_network_at(trainer, x) - curve(x)).max()),
    )


def _network_at(trainer: "Trainer", x: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return the network's predictions at x, in the units of the data."""
    import numpy as np

    from ml2021.data.preprocessing.records import NumberFeature
    from ml2021.engine.inference import member_outputs
    from ml2021.evaluation.scoring import to_predictions

    preprocessing, theta = trainer.data.preprocessing, trainer.state.best
    (feature,) = preprocessing.features
    assert isinstance(feature, NumberFeature)
    rows = np.ones((len(x), 2), np.float32)
    rows[:, 0] = (x - feature.mean) / feature.scale
    (raw,) = member_outputs(trainer.network, theta, rows)
    return to_predictions(preprocessing, raw)[:, 0]


def _describe(
    csv: Path, given: "Curve", names: tuple[str, str], trainer: "Trainer", facts: "PiecewiseFacts"
) -> Iterator[str]:
    x_name, y_name = map(echo, names)
    low, high = float(given.x[0]), float(given.x[-1])
    hidden = trainer.network.layout.hidden[0]
    units = (
        f"{hidden:,} ReLUs, two for each hard sigmoid"
        if trainer.network.activation == "relu"
        else plural(hidden, "hard sigmoid")
    )
    yield f"{csv}: {facts.points:,} points, {y_name} over {x_name} from {low:.6g} to {high:.6g}"
    yield f"network: a constant and {units} ({trainer.network.layout.parameters:,} parameters)"

    def amount(value: float) -> str:
        share = f" ({number(100 * value / facts.range)} % of the range)" if facts.range else ""
        return f"{number(value)}{share}"

    if (even := facts.rms_difference_of_even_pieces) is None:
        yield "exact: the network passes through every point"
    else:
        yield (
            f"{plural(facts.pieces, 'piece')}: the RMS error of {y_name} along {x_name} is "
            f"{amount(facts.rms_difference)}; with evenly spaced pieces it would be {number(even)}"
        )
    yield f"float32 rounding error: at most {amount(facts.largest_rounding_of_float32)}"
    yield f"constant below {low:.6g} and above {high:.6g}"


def _picture(given: "Curve", curve: "Curve", names: tuple[str, str], relu: bool) -> bytes:
    """Return a PNG of the curve, the constant, the units and their sum."""
    from ml2021.engine.piecewise import to_ramps
    from ml2021.report.figures.curves import curve_and_parts
    from ml2021.report.figures.style import to_png

    ramps = to_ramps(curve)
    line, bends = (given.x, given.y), (curve.x, curve.y)
    parts = (ramps.starts, ramps.ends, ramps.heights)
    return to_png(curve_and_parts(line, bends, ramps.constant, parts, names, is_paired=relu))


def _write(
    run: RunDirectory,
    loaded: LoadedConfig,
    trainer: "Trainer",
    facts: "PiecewiseFacts",
    picture: bytes,
) -> None:
    """Fill the run directory. The resolved config comes last: it marks a complete run."""
    from ml2021.runs.checkpoints import best_checkpoint, save_checkpoint
    from ml2021.runs.summary import write_record
    from ml2021.training.trainer import environment, open_metrics, summarise

    write_text(run.config, loaded.text)
    write_record(run.environment, environment(trainer))
    open_metrics(trainer, run).close()
    summary = summarise(trainer, seconds=0.0, updates=0)
    built = {"stopped_early": False, "piecewise": facts}
    write_record(run.summary, summary.model_copy(update=built))
    replace_file(run.curve, picture)
    save_checkpoint(best_checkpoint(run.best, trainer.data, trainer.baselines, None, trainer.state))
    write_text(run.resolved_config, dump_yaml(trainer.data.config))
