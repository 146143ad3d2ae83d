"""Train small neural networks on tables, from a YAML file and a CSV, and use them from Python.

`ml2021.train` trains a model, `ml2021.load` returns that of a run. What is listed in `__all__` is
public, all else private; each name is imported when it is first used, so that the command line does
not wait for it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml2021.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        DataWarning,
        DivergenceError,
        Ml2021Error,
        ResourceError,
        RunInUseError,
    )
    from ml2021.fitting import train
    from ml2021.model import Model, load

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DataWarning",
    "DivergenceError",
    "Ml2021Error",
    "Model",
    "ResourceError",
    "RunInUseError",
    "__version__",
    "load",
    "train",
]
_MODULES = {"Model": "model", "load": "model", "train": "fitting"}


if not TYPE_CHECKING:  # to which any name would then be one of the package

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'ml2021' has no attribute '{name}'")
        from importlib import import_module

        found = getattr(import_module(f"ml2021.{_MODULES.get(name, 'errors')}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
