"""The command `train`: config, table and network in, a run directory out.

What costs time to import comes in when it is needed: numpy once the config is known to be right,
torch once the column names are, so that a mistake in them is answered at once. The training itself
is left to `ml2021.training`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.differences import differences
from ml2021.config.loading import LoadedConfig, dump_yaml, load_config
from ml2021.console import Console
from ml2021.errors import CheckpointError, ConfigError, echo
from ml2021.runs.directory import (
    RunDirectory,
    create_run,
    locked,
    open_run,
    read_json,
    refuse_used,
    write_json,
    write_text,
)
from ml2021.runs.files import is_there, replace_file

if TYPE_CHECKING:
    from ml2021.problem import LoadedProblem
    from ml2021.runs.checkpoints import Checkpoint
    from ml2021.starting import Start


def train(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    init_from: Path | None,
    console: Console,
    *,
    is_reported: bool,
) -> Path:
    """Train as the config file says. Returns the run directory that was made.

    With `init_from` it begins with the best parameters of that run. With `is_reported` the run gets
    a report to look at, once everything else is saved.
    """
    loaded = load_config(config, overrides)
    if loaded.config.sweep is not None:
        raise ConfigError(
            f"{loaded.locate('sweep')}: train makes one run; for all of them: "
            f"ml2021 sweep --config {config}; for the config alone: --set sweep=null"
        )
    if run_dir is not None:
        data = loaded.config.data
        tables = [Path(path) for path in (data.path, data.test_path) if path is not None]
        refuse_used(run_dir, [config, *tables])

    start = None if init_from is None else _read_start(init_from, loaded)

    from ml2021.problem import load_problem

    if start is None:
        problem = load_problem(loaded.config, loaded.locate)
    else:
        problem = load_problem(loaded.config, loaded.locate, start.choose)
        problem = replace(problem, init_sha256=start.sha256)
    _say_problem(console, problem)

    from ml2021.session import environment, start_session
    from ml2021.training import train_run

    theta = None if start is None else start.model.theta
    session = start_session(problem, loaded.locate("model"), None, None, theta)
    run = create_run(run_dir, config.stem)
    with locked(run):
        refuse_used(run.path)  # by a process that was quicker than we were
        write_text(run.config, loaded.text)
        write_json(run.environment, environment(session))
        run.init.unlink(missing_ok=True)  # of a run that was killed before it had begun
        if start is not None:
            replace_file(run.init, start.content)
            _say_start(console, problem, start)
        train_run(session, run, console, is_reported=is_reported)
    return run.path


def _read_start(path: Path, loaded: LoadedConfig) -> "Start":
    """Return the best parameters of the run at `path`, held against the config."""
    from ml2021.resolution import check_columns

    source = open_run(path)
    check_columns(loaded.config, loaded.locate)

    from ml2021.starting import read_start

    start = read_start(source.best, str(path))
    start.check_config(loaded.config)
    return start


def resume(path: Path, overrides: Sequence[str], console: Console, *, is_reported: bool) -> Path:
    """Go on with a run, bit for bit as if it had not stopped. Only `train.epochs` may be raised."""
    run = open_run(path)
    if odd := [text for text in overrides if not text.startswith("train.epochs=")]:
        raise ConfigError(f"--set {odd[0]}: a run goes on with its own config but for train.epochs")
    loaded = load_config(run.resolved_config, overrides)
    with locked(run):
        _resume(run, loaded, overrides, console, is_reported=is_reported)
    return run.path


def _resume(
    run: RunDirectory,
    loaded: LoadedConfig,
    overrides: Sequence[str],
    console: Console,
    *,
    is_reported: bool,
) -> None:
    from ml2021.data.adoption import adopt_if_agreed
    from ml2021.problem import load_problem
    from ml2021.saving import config_without_paths
    from ml2021.session import device_name, start_session
    from ml2021.training import train_run

    recorded = read_json(run.environment)
    last, begun, start = _read_progress(run, recorded)
    kept = None
    if begun is not None:
        kept = begun.description.preprocessing
    elif start is not None:
        kept = start.model.preprocessing
    problem = load_problem(
        loaded.config, loaded.locate, lambda own: adopt_if_agreed(own, kept) if kept else own
    )
    problem = replace(problem, init_sha256=recorded.get("init_sha256"))
    for file, now, then in (
        (problem.data_path, problem.data_sha256, recorded.get("data_sha256")),
        (problem.config.data.test_path, problem.test_sha256, recorded.get("test_sha256")),
    ):
        if now != then:
            raise CheckpointError(
                f"{run.path}: {file} has changed since the run began, its SHA-256 is "
                f"{str(now)[:8]}… and was {str(then)[:8]}…; restore the file, or train anew"
            )
    if overrides and problem.folds is not None:
        raise ConfigError(
            f"--set {overrides[0]}: the folds say how long the final model is trained; train anew"
        )
    if begun is not None:
        own, then = config_without_paths(problem.config), begun.description.config
        if changed := [
            f"{loaded.locate(*keys)}: {what}; put it back, or train anew"
            for keys, what in differences(own, then)
            if keys != ("train", "epochs")
        ]:
            raise CheckpointError(*changed)
        if begun.description.data_sha256 != problem.data_sha256:
            raise CheckpointError(
                f"{run.last}: was trained on other data than {problem.data_path}; train anew"
            )
    threads = recorded.get("threads")
    if type(threads) is not int or threads < 1:
        raise CheckpointError(f"{run.environment}: damaged, it names no number of threads")
    theta = None if start is None else start.model.theta
    session = start_session(problem, loaded.locate("model"), last, threads, theta)
    done, epochs = session.state.epoch, session.training.epochs
    if epochs < done:
        raise ConfigError(f"--set train.epochs={epochs}: the run has done {done}; name more")
    is_done = problem.folds is not None or session.state.is_finished(session.training)
    if is_done and is_there(run.summary):
        early = ", where early stopping ended it" if done < epochs else ""
        console.say(f"{run.path}: finished after {done} epochs{early}; nothing to do")
        if is_reported and not is_there(run.report):
            console.say(f"draw its report with: ml2021 report --run {run.path}")
        return
    where = f"after {done} of {epochs} epochs"
    if problem.folds is not None and last is None:
        where = "within its folds"
    console.say(f"going on with {run.path} {where}")
    if (device := device_name(session)) != (before := recorded.get("device")):
        console.say(
            f"it goes on on {device}, and was trained on {echo(before)} so far: it will not end "
            "with the same bits as a run on one device"
        )
    train_run(session, run, console, is_reported=is_reported)


def _read_progress(
    run: RunDirectory, recorded: Mapping[str, Any]
) -> "tuple[Checkpoint | None, Checkpoint | None, Start | None]":
    """Return last.safetensors, else that of the first folds as well, else what the run began with.

    The second is the first, where there is one. Raises CheckpointError where there is nothing to go
    on with.
    """
    from ml2021.runs.checkpoints import load_checkpoint

    last = load_checkpoint(run.last) if is_there(run.last) else None
    if last is None and is_there(run.summary):  # as piecewise leaves it
        raise CheckpointError(
            f"{run.path}: was not trained, or its {run.last.name} is gone, so there is nothing to "
            f"go on with; train anew with --config {run.config}, and with --init-from {run.path} "
            "from its best parameters"
        )
    begun = last
    if last is None and is_there(run.fold_pack(1)):
        begun = load_checkpoint(run.fold_pack(1))
    init = recorded.get("init_sha256")
    if begun is not None and begun.description.init_sha256 != init:
        raise CheckpointError(
            f"{run.last}: did not begin with the parameters that {run.environment.name} names; "
            "train anew"
        )
    if begun is not None or init is None:
        return last, begun, None

    from ml2021.starting import read_start

    start = read_start(run.init, str(run.path))
    if start.sha256 != init:
        raise CheckpointError(f"{run.init}: is not what the run began with; train anew")
    return None, None, start


def _say_start(console: Console, problem: "LoadedProblem", start: "Start") -> None:
    """Say what training begins with."""
    console.say(f"beginning with the best parameters of {start.name}, and with its preprocessing")
    if start.has_seen(problem):
        console.say(
            "they come from this very table, split otherwise: they may have been trained on rows "
            "that are held out here, and the scores then say too much good"
        )


def _say_problem(console: Console, problem: "LoadedProblem") -> None:
    """Say what was understood of config and table, before the time is spent."""
    from ml2021.description import describe_problem

    console.say("config, with every default:")
    console.say(*(f"  {line}" for line in dump_yaml(problem.config).splitlines()))
    console.say(*describe_problem(problem))
