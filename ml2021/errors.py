"""What can go wrong, and the exit code of each.

    Ml2021Error
    ├── ConfigError        2   the config or the command line
    ├── DataError          3   the data
    ├── CheckpointError    4   what a checkpoint or a run directory holds
    ├── ResourceError      5   disk, device or environment
    ├── DivergenceError    6   training diverged
    ├── RunInUseError      7   the run directory is busy or already used
    ├── SweepFailedError       runs of a sweep failed: the code of the first one
    └── RunInterruptedError    stopped by a signal, after saving: 130 SIGINT, 143 SIGTERM

An error carries one line for each thing that is wrong: where, what, what to do. Anything else
that is raised is a bug of ours. Mapping errors to exit codes is left to `ml2021.cli`.
"""

import errno


class Ml2021Error(Exception):
    """Something that a user can cause and can mend; `lines` says what, a line for each."""

    exit_code = 1

    def __init__(self, *lines: str) -> None:
        assert lines, "an error says at least one thing"
        super().__init__("\n".join(lines))
        self.lines = lines


class ConfigError(Ml2021Error):
    """The config file, an override or the command line asks for something that cannot be."""

    exit_code = 2


class DataError(Ml2021Error):
    """A data file cannot be read, or does not hold what the config or the model needs."""

    exit_code = 3


class CheckpointError(Ml2021Error):
    """A checkpoint or a run directory is damaged, foreign or of another version."""

    exit_code = 4


class ResourceError(Ml2021Error):
    """The machine cannot do it: disk, memory, permissions, device."""

    exit_code = 5


class DivergenceError(Ml2021Error):
    """Training reached a loss that is not a finite number."""

    exit_code = 6


class RunInUseError(Ml2021Error):
    """Another process holds the run directory, or it holds another run."""

    exit_code = 7


class SweepFailedError(Ml2021Error):
    """Runs of a sweep failed; `exit_code` is that of the first one."""

    def __init__(self, exit_code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.exit_code = exit_code


class RunInterruptedError(Ml2021Error):
    """A signal asked training to stop, and the run has been saved."""

    def __init__(self, signal_number: int, *lines: str) -> None:
        super().__init__(*lines)
        self.exit_code = 128 + signal_number


def is_of_machine(error: OSError) -> bool:
    """Whether the machine is to blame for what the system refused, and not the path or the file."""
    machine = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
    return error.errno in machine
