"""The command `train --resume`: an interrupted run continues, bit for bit as if never stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import LoadedConfig, load_config
from ml2021.config.messages import differences
from ml2021.console import Console
from ml2021.errors import CheckpointError, ConfigError
from ml2021.files import is_there
from ml2021.formatting import echo
from ml2021.runs.directory import RunDirectory, locked, open_run, read_json

if TYPE_CHECKING:
    from ml2021.runs.checkpoint_file import Checkpoint
    from ml2021.training.init_from import InitialModel


def resume(path: Path, overrides: Sequence[str], console: Console, *, with_report: bool) -> Path:
    """Go on with a run, bit for bit as if it had not stopped. Only `train.epochs` may be raised."""
    run = open_run(path)
    if odd := [text for text in overrides if not text.startswith("train.epochs=")]:
        raise ConfigError(f"--set {odd[0]}: a run goes on with its own config but for train.epochs")
    loaded = load_config(run.resolved_config, overrides)
    with locked(run):
        _resume(run, loaded, overrides, console, with_report=with_report)
    return run.path


def _resume(
    run: RunDirectory,
    loaded: LoadedConfig,
    overrides: Sequence[str],
    console: Console,
    *,
    with_report: bool,
) -> None:
    from ml2021.commands.train import train_and_report
    from ml2021.data.load import load_training_data
    from ml2021.runs.checkpoints import config_without_paths
    from ml2021.training.trainer import build_trainer, device_name

    recorded = read_json(run.environment)
    last, begun, start = _read_progress(run, recorded)
    kept = None
    if begun is not None:
        kept = begun.description.preprocessing
    elif start is not None:
        kept = start.model.preprocessing
    data = load_training_data(loaded, reuse=kept)
    data = replace(data, init_sha256=recorded.get("init_sha256"))
    for file, now, then in (
        (data.data_path, data.data_sha256, recorded.get("data_sha256")),
        (data.config.data.test_path, data.test_sha256, recorded.get("test_sha256")),
    ):
        if now != then:
            raise CheckpointError(
                f"{run.path}: {file} has changed since the run began, its SHA-256 is "
                f"{str(now)[:8]}… and was {str(then)[:8]}…; restore the file, or train anew"
            )
    if overrides and data.folds is not None:
        raise ConfigError(
            f"--set {overrides[0]}: the folds say how long the final model is trained; train anew"
        )
    if begun is not None:
        own, then = config_without_paths(data.config), begun.description.config
        if changed := [
            f"{loaded.locate(*keys)}: {what}; put it back, or train anew"
            for keys, what in differences(own, then)
            if keys != ("train", "epochs")
        ]:
            raise CheckpointError(*changed)
        if begun.description.data_sha256 != data.data_sha256:
            raise CheckpointError(
                f"{run.last}: was trained on other data than {data.data_path}; train anew"
            )
    threads = recorded.get("threads")
    if type(threads) is not int or threads < 1:
        raise CheckpointError(f"{run.environment}: damaged, it names no number of threads")
    theta = None if start is None else start.model.theta
    trainer = build_trainer(data, loaded.locate("model"), last, threads, theta)
    done, epochs = trainer.state.epoch, trainer.hparams.epochs
    if epochs < done:
        raise ConfigError(f"--set train.epochs={epochs}: the run has done {done}; name more")
    is_done = data.folds is not None or trainer.state.is_finished(trainer.hparams)
    if is_done and is_there(run.summary):
        early = ", where early stopping ended it" if done < epochs else ""
        console.say(f"{run.path}: finished after {done} epochs{early}; nothing to do")
        if with_report and not is_there(run.report):
            console.say(f"draw its report with: ml2021 report --run {run.path}")
        return
    where = f"after {done} of {epochs} epochs"
    if data.folds is not None and last is None:
        where = "within its folds"
    console.say(f"going on with {run.path} {where}")
    if (device := device_name(trainer)) != (before := recorded.get("device")):
        console.say(
            f"it goes on on {device}, and was trained on {echo(before)} so far: it will not end "
            "with the same bits as a run on one device"
        )
    train_and_report(trainer, run, console, with_report=with_report)


def _read_progress(
    run: RunDirectory, recorded: Mapping[str, Any]
) -> "tuple[Checkpoint | None, Checkpoint | None, InitialModel | None]":
    """Return last.safetensors, else that of the first folds as well, else what the run began with.

    The second is the first, where there is one. Raises CheckpointError where there is nothing to go
    on with.
    """
    from ml2021.runs.checkpoint_file import load_checkpoint

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

    from ml2021.training.init_from import load_initial_model

    start = load_initial_model(run.init, str(run.path))
    if start.sha256 != init:
        raise CheckpointError(f"{run.init}: is not what the run began with; train anew")
    return None, None, start
