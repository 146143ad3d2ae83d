"""The page at the end of a command: whatever befalls it, what the command was for is saved."""

from collections.abc import Callable
from pathlib import Path

from ml2021.console import Console, write_message
from ml2021.errors import Ml2021Error, RunInterruptedError, printable


def draw_last(draw: Callable[[], None], page: Path, what: str, console: Console) -> None:
    """Draw the page of the run or sweep that it lies in, and say where it is, or why there is none.

    `what` is a run or a sweep, in a word. Raises RunInterruptedError after a signal.
    """
    try:
        draw()
    except RunInterruptedError:
        raise
    except Exception as error:
        why = str(error) if isinstance(error, Ml2021Error) else f"{type(error).__name__}: {error}"
        write_message(
            f"the {what} is saved, but its report could not be made ({printable(why)}); "
            f"to see why: ml2021 report --run {page.parent}"
        )
    else:
        console.say(f"to look at: {page}")
