"""Run the command line: print errors in one line, and map them to exit codes."""

import signal
import sys
import traceback

from typer import BadParameter

from ml2021.cli import results, starting, training  # noqa: F401 (they add their commands)
from ml2021.cli.app import app
from ml2021.console import write_message, write_result
from ml2021.errors import Ml2021Error, lacks_memory
from ml2021.files import is_one_of_several
from ml2021.formatting import message
from ml2021.signals import StoppedError, stoppable

UsageError: type[Exception] = BadParameter.__bases__[0]  # which typer does not export


def main() -> None:
    """Run the command line, on one rank of several if torchrun has started them."""
    if is_one_of_several():
        from ml2021.commands.ranks import run_as_rank

        run_as_rank(run)
    run()


def run() -> None:
    """Run the command line; exit with the code of the error, see `ml2021.errors`."""
    try:
        with stoppable():
            sys.exit(app(prog_name="ml2021", standalone_mode=False))
    except UsageError as error:
        from ml2021.cli.hints import usage_line

        if type(error).__name__ == "NoArgsIsHelpError":
            write_result(*str(error).split("\n"))
            sys.exit(2)
        write_message(message(usage_line(error, sys.argv[1:])))
        sys.exit(2)
    except Ml2021Error as error:
        for line in error.lines:
            write_message(message(line))
        sys.exit(error.exit_code)
    except StoppedError as stop:
        write_message(f"stopped by {signal.Signals(stop.signal_number).name}")
        sys.exit(128 + stop.signal_number)
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        write_message(message(f"{where}{error.strerror or error}"))
        sys.exit(5)
    except MemoryError:
        write_message("out of memory; use fewer columns or rows, or a smaller model")
        sys.exit(5)
    except Exception as error:
        if lacks_memory(error):
            write_message(
                "out of memory, or of address space for a library; end other programs, or raise "
                "the limit (ulimit -v)"
            )
            sys.exit(5)
        for line in traceback.format_exc().rstrip().split("\n"):
            write_message(line)
        write_message("this is a bug in ml2021; please report it with the lines above")
        sys.exit(1)
