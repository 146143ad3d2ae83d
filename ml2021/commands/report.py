"""The command `report`: a run or a sweep as a page to look at, made anew from what it left."""

from collections.abc import Callable
from pathlib import Path

from ml2021.console import Console, write_message
from ml2021.errors import CheckpointError, ConfigError, Ml2021Error, RunInterruptedError
from ml2021.runs.directory import find_run, open_run
from ml2021.runs.outputs import check_output_folder
from ml2021.runs.summary import refuse_saved_model
from ml2021.signals import stop_signals
from ml2021.sweeps.directory import is_sweep, load_results, open_sweep, read_plan
from ml2021.sweeps.summary import SweepSummary


def report(run_path: Path | None, plots: Path | None) -> Path:
    """Write the report of a run or a sweep, and its figures into the folder `plots`.

    Returns the page. Raises CheckpointError where there is no run, or none that has parameters yet.
    """
    if plots is not None:
        check_output_folder("--plots", plots)
    run_path = None if run_path is None else find_run(run_path)
    if run_path is not None and is_sweep(run_path):
        sweep = open_sweep(run_path)
        outcome = SweepSummary(plan := read_plan(sweep), load_results(sweep, plan))
        if not outcome.done:
            raise CheckpointError(f"{run_path}: none of its runs completed; nothing to draw")
        if not outcome.are_comparable:
            raise ConfigError(
                f"{run_path}: its runs have different tasks or targets, which no picture can hold; "
                "sweep one target at a time"
            )

        from ml2021.report.sweep import write_sweep_report

        with stop_signals() as stop_signal:
            write_sweep_report(sweep, outcome, stop_signal, plots)
        return sweep.report

    run = open_run(run_path)
    explore = f"see the function with: ml2021 explore --run {run.path}"
    refuse_saved_model(run, "the history that a report shows", explore)

    from ml2021.report.contents import from_disk
    from ml2021.report.write import write_report

    with stop_signals() as stop_signal:
        write_report(run, from_disk(run), stop_signal, plots)
    return run.report


def finish_with_report(draw: Callable[[], None], page: Path, what: str, console: Console) -> None:
    """Draw the page and print its path; a failure is reported and does not fail the command.

    what: "run" or "sweep". Raises RunInterruptedError after a signal.
    """
    try:
        draw()
    except RunInterruptedError:
        raise
    except Exception as error:
        cause = str(error) if isinstance(error, Ml2021Error) else f"{type(error).__name__}: {error}"
        write_message(
            f"the {what} is saved, but its report could not be written ({cause}); "
            f"to see why: ml2021 report --run {page.parent}"
        )
    else:
        console.say(f"report: {page}")
