"""What a run of a sweep may be, before any of them begins."""

from ml2021.config.variations import LoadedSweep
from ml2021.errors import ConfigError
from ml2021.resolution import check_columns


def check_runs(loaded: LoadedSweep) -> None:
    """Hold the column names of every run against the header of its file, each data but once.

    Raises ConfigError with a line for each name that is wrong, and for what makes a run several
    networks: its members here are the runs.
    """
    seen = set()
    lines: dict[str, None] = {}
    for variation in loaded.variations:
        config = variation.loaded.config
        locate = variation.loaded.locate
        if config.train.members > 1:
            lines[
                f"{locate('train', 'members')}: a run of a sweep is one network; leave "
                "train.members out, and sweep seed"
            ] = None
        if config.data.split.method == "kfold":
            lines[
                f"{locate('data', 'split', 'method')}: a sweep chooses by validation rows, which "
                "kfold has none of; use another method, and kfold for the best"
            ] = None
        key = (config.data.model_dump_json(), config.task)
        if key not in seen:
            seen.add(key)
            try:
                check_columns(config, variation.loaded.locate)
            except ConfigError as error:
                lines |= dict.fromkeys(error.lines)
    if lines:
        raise ConfigError(*lines)
