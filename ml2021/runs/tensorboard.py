"""Event files for TensorBoard: what metrics.csv has, as torch's own writer writes it.

They hold nothing of their own. A run that is resumed writes them anew from metrics.csv, so that
whatever a killed process left in them, no step is there twice.
"""

import importlib.util
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from ml2021.config.schema import Config
from ml2021.errors import ConfigError, ResourceError
from ml2021.files import cannot_write, make_folder
from ml2021.runs.directory import event_files

FLUSH_SECONDS = 10
"""How old what TensorBoard shows of a running training is at most."""
_NEEDED = "train.tensorboard needs the package tensorboard; pip install 'ml2021[tensorboard]'"


def check_tensorboard(config: Config, where: str) -> None:
    """Raise ConfigError where a config asks for event files and the package is not installed.

    where: the place of `train.tensorboard`.
    """
    if config.train.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(f"{where}: {_NEEDED}")


class EventWriter:
    """The event files of a run, open for its epochs; those that were there are replaced."""

    def __init__(self, folder: Path, rows: Iterable[Mapping[str, int | float | None]]) -> None:
        """Write the rows of metrics.csv so far. Raises ResourceError."""
        self._folder = folder
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ResourceError(f"{_NEEDED} ({error})") from None
        self._hook = threading.excepthook
        threading.excepthook = partial(_leave_to_caller, self._hook)
        try:
            make_folder(folder)
            for path in event_files(folder):
                path.unlink()
            # A TensorBoard that is running forgets what it has read before.
            place = str(folder.absolute())  # it opens the file again for each write
            self._writer = SummaryWriter(place, purge_step=0, flush_secs=FLUSH_SECONDS)
        except OSError as error:
            threading.excepthook = self._hook
            raise cannot_write(folder, error) from None
        for row in rows:
            self.append(row)

    def append(self, row: Mapping[str, int | float | None]) -> None:
        """Add an epoch: a scalar for each column but those without a value."""
        try:
            for name, value in row.items():
                if name != "epoch" and value is not None:
                    self._writer.add_scalar(name, value, row["epoch"])
        except OSError as error:
            raise cannot_write(self._folder, error) from None

    def add_run(
        self, settings: Mapping[str, float | str], scores: Mapping[str, float | None]
    ) -> None:
        """Add the settings of a run of a sweep, and what it scored; None is no number."""
        values = {name: float("nan") if v is None else v for name, v in scores.items()}
        try:
            self._writer.add_hparams(dict(settings), values, run_name=".")
        except OSError as error:
            raise cannot_write(self._folder, error) from None

    def close(self) -> None:
        """Write what is left, and close."""
        try:
            self._writer.flush()  # closing alone does not tell that writing failed
            self._writer.close()
        except OSError as error:
            raise cannot_write(self._folder, error) from None
        finally:
            threading.excepthook = self._hook


def _leave_to_caller(
    hook: Callable[[threading.ExceptHookArgs], object], args: threading.ExceptHookArgs
) -> None:
    """Print no traceback of the writer's thread: whoever writes next gets the error."""
    if not type(args.thread).__module__.startswith("tensorboard."):
        hook(args)
