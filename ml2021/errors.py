"""The errors of ml2021 and their exit codes.

An error has one line for each fault: `where: what; what to do`. Any other exception is a bug of
ours. `ml2021.cli.main` prints the lines and exits with the code.
"""

import errno


class Ml2021Error(Exception):
    """A fault that the user can cause and fix; `lines` has one line for each."""

    exit_code = 1

    def __init__(self, *lines: str) -> None:
        assert lines, "an error has at least one line"
        super().__init__("\n".join(lines))
        self.lines = lines


class ConfigError(Ml2021Error, ValueError):
    """The config file, an override or the command line is invalid."""

    exit_code = 2


class DataError(Ml2021Error, ValueError):
    """A data file cannot be read, or lacks what the config or the model needs."""

    exit_code = 3


class CheckpointError(Ml2021Error):
    """A checkpoint or run directory is damaged, or from another program or version."""

    exit_code = 4


class ResourceError(Ml2021Error):
    """The machine cannot do it: disk, memory, permissions or device."""

    exit_code = 5


class DivergenceError(Ml2021Error, ValueError):
    """The training loss is no longer a finite number."""

    exit_code = 6


class RunInUseError(Ml2021Error):
    """The run directory is locked by another process, or contains another run."""

    exit_code = 7


class SweepFailedError(Ml2021Error):
    """Runs of a sweep failed; `exit_code` is that of the first one."""

    def __init__(self, exit_code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.exit_code = exit_code


class RunInterruptedError(Ml2021Error):
    """A signal stopped training; the run has been saved. 130 for SIGINT, 143 for SIGTERM."""

    def __init__(self, signal_number: int, *lines: str) -> None:
        super().__init__(*lines)
        self.exit_code = 128 + signal_number


class DataWarning(UserWarning):
    """From Python: a table that can be used, but not all of it means what the user may think."""


_LACKS_MEMORY = (
    *("cannot allocate memory", "can't allocate memory", "failed to map segment", "bad_alloc"),
    "can't start new thread",
)
"""What Python, the loader of libraries and numpy say, in lower case, where memory is lacking."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, such as one of an import, is for want of memory or address space."""
    while True:
        is_of_system = isinstance(error, ImportError | OSError | RuntimeError)
        if isinstance(error, MemoryError) or (
            is_of_system and any(text in str(error).lower() for text in _LACKS_MEMORY)
        ):
            return True
        if (cause := error.__cause__ or error.__context__) is None:
            return False
        error = cause


def is_of_machine(error: OSError) -> bool:
    """Whether an OSError is the fault of the machine rather than of the path or the file."""
    machine = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
    return error.errno in machine
