"""The command `train --resume`: an interrupted run continues, bit for bit as if never stopped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.config.loading import LoadedConfig, load_saved_config
from ml2021.console import Console
from ml2021.errors import CheckpointError, ConfigError
from ml2021.files import followers_here, is_there
from ml2021.formatting import echo, plural
from ml2021.runs.directory import RunDirectory, locked, open_run, refuse_undecodable
from ml2021.runs.tensorboard import check_tensorboard

if TYPE_CHECKING:
    from ml2021.data.load import TrainingData
    from ml2021.data.preprocessing.records import Preprocessing
    from ml2021.runs.checkpoints import Checkpoint
    from ml2021.runs.summary import Environment
    from ml2021.training.init_from import InitialModel
    from ml2021.training.trainer import Trainer


@dataclass(frozen=True)
class Progress:
    """What a run has left of its training.

    last: last.safetensors, None before the first save. begun: the checkpoint that shows what the
    run was trained on so far: `last`, or that of the first folds. initial: what training starts
    from, where nothing has been saved yet and the run was made with --init-from.
    """

    last: "Checkpoint | None"
    begun: "Checkpoint | None"
    initial: "InitialModel | None"

    @property
    def preprocessing(self) -> "Preprocessing | None":
        """The preprocessing that the saved parameters belong to."""
        if self.begun is not None:
            return self.begun.description.preprocessing
        return None if self.initial is None else self.initial.model.preprocessing


def resume(path: Path, overrides: Sequence[str], console: Console, *, with_report: bool) -> Path:
    """Resume a run. Only `train.epochs` may be raised. Returns its directory."""
    refuse_undecodable()
    run = open_run(path)
    if odd := [text for text in overrides if not text.startswith("train.epochs=")]:
        raise ConfigError(f"--set {odd[0]}: only train.epochs can be changed when resuming")
    from ml2021.runs.summary import read_environment, refuse_saved_model

    anew = f"train again, or start from its parameters with --init-from {run.path}"
    refuse_saved_model(run, "what training resumes from", anew)
    loaded = load_saved_config(run.resolved_config, overrides)
    check_tensorboard(loaded.config, loaded.locate("train", "tensorboard"))
    with locked(run):
        from ml2021.commands.train import finish
        from ml2021.data.table_source import refuse_frame

        refuse_frame(loaded, "train again with ml2021.train")
        from ml2021.data.load import Plan, load_training_data
        from ml2021.engine.hardware import current_ranks
        from ml2021.training.memory import Job, check_job
        from ml2021.training.trainer import build_trainer

        where = loaded.locate("model")

        def check(plan: Plan) -> None:
            followers = followers_here()
            check_job(Job(*plan), where, is_encoded=False, is_begun=True, followers=followers)

        environment = read_environment(run)
        progress = read_progress(run, environment)
        check_same_run(loaded, progress.begun)
        data = load_training_data(
            loaded, reuse=progress.preprocessing, beside=run.path, check=check
        )
        data = replace(data, init_sha256=environment.init_sha256)
        check_unchanged(run, data, environment, progress.begun)
        if overrides and data.folds is not None:
            raise ConfigError(
                f"--set {overrides[0]}: with kfold the folds determine the number of epochs; "
                "start a new run"
            )
        initial = progress.initial
        if initial is None and data.config.train.refit and environment.init_sha256 is not None:
            initial = read_initial(run, environment)  # the final model starts there too
        theta = None if initial is None else initial.model.theta
        ranks = current_ranks()
        are_same = environment.ranks == (1 if ranks is None else ranks.size)
        threads = environment.threads if are_same else None
        trainer = build_trainer(data, where, progress.last, threads, theta)
        done, epochs = trainer.state.epoch, trainer.hparams.epochs
        if epochs < done and not overrides:
            raise CheckpointError(
                f"{loaded.locate('train', 'epochs')}: is {epochs}, but {run.last.name} has done "
                f"{plural(done, 'epoch')}; restore it"
            )
        if epochs < done:
            raise ConfigError(
                f"--set train.epochs={epochs}: the run has already done {done} epochs; "
                "choose a larger number"
            )
        is_trained = data.folds is not None or trainer.state.is_finished(trainer.hparams)
        if is_trained and is_there(run.summary):
            console.say(*describe_finished(trainer, run, with_report=with_report))
        else:
            console.say(*describe_resumption(trainer, run, environment, progress))
            finish(trainer, run, console, with_report=with_report)
    return run.path


def read_progress(run: RunDirectory, environment: "Environment") -> Progress:
    """Return what the run has left of its training.

    Raises CheckpointError where there is nothing to resume from.
    """
    from ml2021.runs.checkpoints import load_checkpoint

    last = load_checkpoint(run.last) if is_there(run.last) else None
    if last is None and is_there(run.summary):  # as piecewise leaves it
        raise CheckpointError(
            f"{run.path}: has no checkpoint to resume from; start again with --config "
            f"{run.config}, or from its best parameters with --init-from {run.path}"
        )
    begun = last
    if begun is None and is_there(run.fold_pack(1)):
        begun = load_checkpoint(run.fold_pack(1))
    if begun is not None and begun.description.init_sha256 != environment.init_sha256:
        raise CheckpointError(
            f"{begun.path}: did not start from the parameters named in {run.environment.name}; "
            "start a new run"
        )
    if begun is not None or environment.init_sha256 is None:
        return Progress(last, begun, None)
    return Progress(None, None, read_initial(run, environment))


def read_initial(run: RunDirectory, environment: "Environment") -> "InitialModel":
    """Return what training started from. Raises CheckpointError where it is not that any more."""
    from ml2021.training.init_from import load_initial_model

    initial = load_initial_model(run.init, str(run.path))
    if initial.sha256 != environment.init_sha256:
        raise CheckpointError(
            f"{run.init}: not the parameters that the run started from; start a new run"
        )
    return initial


def check_same_run(loaded: LoadedConfig, begun: "Checkpoint | None") -> None:
    """Raise CheckpointError where the config is not what the run was trained with."""
    from ml2021.runs.model import check_same_config, of_training

    if begun is not None:
        trained, remedy = begun.description.config, "restore it, or start a new run"
        check_same_config(loaded, trained, remedy, of_training)


def check_unchanged(
    run: RunDirectory, data: "TrainingData", environment: "Environment", begun: "Checkpoint | None"
) -> None:
    """Raise CheckpointError where the data is not what the run was trained on."""
    from ml2021.runs.model import changed_file

    file = changed_file(data, environment.data_sha256, environment.test_sha256, environment)
    if file is not None:
        hashes = ""
        if file.now is not None and file.then is not None:
            hashes = f", its SHA-256 is {file.now[:8]}… and was {file.then[:8]}…"
        raise CheckpointError(
            f"{run.path}: {file.path} {file.what} since the run began{hashes}; {file.remedy}, or "
            "start a new run"
        )
    if begun is not None and begun.description.data_sha256 != data.data_sha256:
        raise CheckpointError(
            f"{begun.path}: was trained on other data than {data.data_path}; start a new run"
        )


def describe_finished(trainer: "Trainer", run: RunDirectory, *, with_report: bool) -> list[str]:
    """Say that nothing is left to do, and how to make a report that is missing."""
    done, epochs = trainer.state.epoch, trainer.hparams.epochs
    early = ", stopped early" if done < epochs else ""
    lines = [f"{run.path}: finished after {plural(done, 'epoch')}{early}; nothing to do"]
    if with_report and not is_there(run.report):
        lines.append(f"write its report with: ml2021 report --run {run.path}")
    return lines


def describe_resumption(
    trainer: "Trainer", run: RunDirectory, environment: "Environment", progress: Progress
) -> list[str]:
    """Say where the run continues, and whether on another device."""
    from ml2021.training.trainer import device_name

    where = f"after {trainer.state.epoch} of {plural(trainer.hparams.epochs, 'epoch')}"
    if trainer.data.folds is not None and progress.last is None:
        where = "during its cross-validation"
    lines = [f"resuming {run.path} {where}"]
    if (device := device_name(trainer)) != environment.device:
        lines.append(
            f"resuming on {device}, but the run started on {echo(environment.device)}; "
            "results will not be bit-identical"
        )
    now = 1 if trainer.ranks is None else trainer.ranks.size
    if now != environment.ranks:
        lines.append(
            f"resuming on {plural(now, 'rank')}, but the run started on {environment.ranks}; "
            "results will agree to rounding, not bit for bit"
        )
    return lines
