"""The Python interface to training: `ml2021.train`.

It trains as the command does, with the same digits, as both share all but what is printed.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ml2021.commands.prepare import prepare_config
from ml2021.commands.train import write_run
from ml2021.config.loading import dump_yaml
from ml2021.config.mapping import load_from_python
from ml2021.config.schema import each_path
from ml2021.console import Console
from ml2021.data.frame_source import FrameSource
from ml2021.data.resolve import table_format_of
from ml2021.errors import ConfigError, ResourceError
from ml2021.model import Model, load, refuse_other_tables
from ml2021.runs.directory import create_run, refuse_undecodable, refuse_used
from ml2021.training.cross_validation import cross_validate
from ml2021.training.final_model import best_of, train_and_score
from ml2021.training.trainer import Trainer

if TYPE_CHECKING:
    import pandas as pd

_one_at_a_time = threading.Lock()


def train(
    config: Mapping[str, Any] | str | os.PathLike[str],
    frame: "pd.DataFrame | None" = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    init_from: str | os.PathLike[str] | None = None,
) -> Model:
    """Train as `ml2021 train` does, with the same digits, and return the model.

    config: what the YAML file of the command holds, as a mapping, or the path of such a file.
    frame: the table, in place of `data.path` and `data.test_path`, which are then left out; columns
    of any dtype under any index, whose cells mean what a CSV of them would. The run keeps a SHA-256
    of the columns that it reads. run_dir: a new or empty directory for what the command without its
    report leaves in one, to which an interrupted training can be resumed; None: nothing is written.
    init_from: a run whose best parameters training starts from.

    Nothing is printed. Threads of torch, random numbers, signals and warnings are left as they are;
    Ctrl-C raises KeyboardInterrupt at once.

    Raises ConfigError, whose lines begin with the dotted key that is at fault, or with its place in
    the file; DataError for the table; CheckpointError for `init_from`; RunInUseError for `run_dir`
    if it is not empty; ResourceError; DivergenceError if the loss is no longer a finite number;
    and TypeError for an argument of another type.
    """
    if frame is not None:
        refuse_other_tables(frame)
    loaded = load_from_python(config, with_frame=frame is not None)
    if loaded.config.sweep is not None:
        where = loaded.locate("sweep")
        raise ConfigError(f"{where}: this config has a sweep, but train makes one run; remove it")
    section = loaded.config.data
    place = None if run_dir is None else Path(run_dir)
    if place is not None:
        refuse_undecodable()
        files = [] if isinstance(config, Mapping) else [Path(config)]
        if frame is None:
            files += map(Path, (*each_path(section.path), *each_path(section.test_path)))
        refuse_used(place, files, option="run_dir")
    source = None if frame is None else FrameSource(frame, table_format_of(section))
    initial = None if init_from is None else Path(init_from)
    with _threads_kept(), _public_errors():
        prepared = prepare_config(
            loaded, initial, lambda *lines: None, source=source, beside=place, option="init_from"
        )
        if place is None:
            return _train_in_memory(prepared.trainer)
        run = create_run(place, "")
        write_run(prepared, run, Console(quiet=True), with_report=False)
    return load(run.path)


def _train_in_memory(trainer: Trainer) -> Model:
    """Train to the end without a directory, as `ml2021.commands.train.finish` does in one."""
    console, folds = Console(quiet=True), None
    if trainer.data.folds is not None:
        folds = cross_validate(trainer, None, console)
    summary = train_and_score(trainer, None, None, console)
    summary = summary.model_copy(update={"cross_validation": folds})
    best = best_of(trainer, Path("model"))
    return Model(best, dump_yaml(trainer.data.config), summary)


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Leave the number of torch's threads as it was, and wait for other trainings of the process.

    That number is one for all threads, and with another one a training has other last bits.
    """
    with _one_at_a_time:
        before = torch.get_num_threads()
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def _public_errors() -> Iterator[None]:
    """Raise ResourceError for an OSError, as the command line prints one."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        raise ResourceError(f"{where}{error.strerror or error}") from error
