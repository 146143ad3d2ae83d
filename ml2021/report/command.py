"""The command `report`: a run as a page to look at, made anew from what it left on disk."""

from pathlib import Path

from ml2021.errors import ConfigError
from ml2021.runs.directory import open_run


def report(run_path: Path | None, plots: Path | None) -> Path:
    """Write the report of a run, and its figures into the folder `plots`. Returns the page.

    Raises CheckpointError where there is no run, or none that has parameters yet.
    """
    run = open_run(run_path)
    if plots is not None and plots.exists() and not plots.is_dir():
        raise ConfigError(f"--plots {plots}: not a folder")

    from ml2021.report.gathering import from_disk
    from ml2021.report.writing import write_report
    from ml2021.signals import stop_signals

    with stop_signals() as stop_signal:
        write_report(run, from_disk(run), stop_signal, plots)
    return run.report
