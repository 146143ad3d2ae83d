"""What `train` does before the first update, and `check` does alone: from a config to a trainer.

What costs time to import is imported when it is needed: numpy once the config is known to be right,
torch once the column names are, so that a mistake in them is answered at once.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.commands.config_hints import config_hints
from ml2021.commands.from_table import load_table_config, table_hints
from ml2021.config.loading import LoadedConfig, dump_changes, load_config
from ml2021.config.schema import each_path
from ml2021.errors import ConfigError
from ml2021.files import followers_here
from ml2021.formatting import bulleted, plural, shortened_path
from ml2021.runs.directory import RUNS, open_run, refuse_run, refuse_undecodable, refuse_used
from ml2021.runs.tensorboard import check_tensorboard

if TYPE_CHECKING:
    from ml2021.data.table_source import TableSource
    from ml2021.training.init_from import InitialModel
    from ml2021.training.trainer import Trainer


@dataclass(frozen=True)
class Prepared:
    """A config whose data and network are ready to train; initial: what training starts from."""

    loaded: LoadedConfig
    trainer: "Trainer"
    initial: "InitialModel | None"


def prepare(
    source: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    init_from: Path | None,
    say: Callable[..., None],
    *,
    is_table: bool = False,
    target: Sequence[str] | None = None,
    with_columns: bool = False,
) -> Prepared:
    """Read the config, and go on as `prepare_config` does.

    The arguments are those of `ml2021.commands.train.train`. with_columns: as in
    `load_training_data`.
    """
    refuse_undecodable()
    if is_table:
        refuse_run(source, "resume it with --resume, or start from it with --init-from")
    hints = partial(table_hints, source) if is_table else partial(config_hints, source, overrides)
    with hints():
        if is_table:
            loaded, assumed = load_table_config(source, target, overrides)
            say(*assumed)
        else:
            loaded = load_config(source, overrides)
    if loaded.config.sweep is not None:
        raise ConfigError(
            f"{loaded.locate('sweep')}: this config has a sweep; run `ml2021 sweep --config "
            f"{source}`, or drop it with --set sweep=null"
        )
    check_tensorboard(loaded.config, loaded.locate("train", "tensorboard"))
    section = loaded.config.data
    tables = [*each_path(section.path), *each_path(section.test_path)]
    refuse_used(run_dir, [source, *map(Path, tables)])
    return prepare_config(
        loaded, init_from, say, hints=hints, with_columns=with_columns, beside=run_dir or RUNS
    )


def prepare_config(
    loaded: LoadedConfig,
    init_from: Path | None,
    say: Callable[..., None],
    *,
    source: "TableSource | None" = None,
    hints: Callable[[], AbstractContextManager[None]] = nullcontext,
    with_columns: bool = False,
    beside: Path | None = None,
    option: str = "--init-from",
) -> Prepared:
    """Read the table, split and encode the rows, and build the network.

    What is found is said on the way, by `say`, which takes lines. source: the table, in place of
    the file that the config names. hints: adds to an error about the table. beside: the directory
    of the run. option: what messages call `init_from`. Nothing is written.
    """
    initial = None
    if init_from is not None:
        initial, loaded = load_initial_model_for(loaded, init_from, source, option)

    from ml2021.data.load import Plan, describe, load_training_data

    known = None if initial is None else initial.model.preprocessing

    def check(plan: Plan) -> None:
        from ml2021.training.memory import Job, check_job

        where, followers = loaded.locate("model"), followers_here()
        check_job(Job(*plan), where, is_encoded=False, followers=followers)

    with hints():
        data = load_training_data(
            loaded, known, source=source, with_columns=with_columns, beside=beside, check=check
        )
    if initial is not None:
        initial.check_columns(data)
        data = replace(data, init_sha256=initial.sha256)
    from ml2021.evaluation.fitted_baselines import notes_on_baselines
    from ml2021.training.numbers import choose_numbers
    from ml2021.training.trainer import build_trainer

    data = choose_numbers(data)
    say("config, where it is not the default:")
    say(*(f"  {shortened_path(line)}" for line in dump_changes(loaded.config).splitlines()))
    say(*describe(data))
    theta = None if initial is None else initial.model.theta
    trainer = build_trainer(data, loaded.locate("model"), None, None, theta)
    say(*bulleted(notes_on_baselines(data.preprocessing, trainer.baselines)))
    return Prepared(loaded, trainer, initial)


def load_initial_model_for(
    loaded: LoadedConfig, path: Path, table: "TableSource | None", option: str
) -> tuple["InitialModel", LoadedConfig]:
    """Return the best parameters of the run at `path`, and the config, which they fit.

    table: in place of the file that the config names. What the config leaves to its preset is as in
    that run, as far as the parameters depend on it.
    """
    from ml2021.data.resolve import check_columns
    from ml2021.data.table_source import source_of

    source = open_run(path)
    check_columns(loaded, (table or source_of(loaded)).header())

    from ml2021.training.init_from import load_initial_model

    initial = load_initial_model(source.best, str(path), option)
    loaded = initial.completed(loaded)
    initial.check_config(loaded.config)
    return initial, loaded


def describe_training(trainer: "Trainer") -> str:
    """Say what is about to be trained, on what, and in how many updates an epoch."""
    network, members = trainer.network, len(trainer.hparams.seeds)
    ensemble = f"{members} ensemble members of " if members > 1 else ""
    return (
        f"training {ensemble}{trainer.data.config.model.type}, "
        f"{' → '.join(map(str, network.layout.sizes))} "
        f"({plural(network.layout.parameters, 'parameter')}), on {trainer.state.theta.device}, "
        f"{plural(trainer.hparams.batches(len(trainer.train)), 'update')} per epoch"
    )
