"""What may come between a long computation and its end: a signal, or memory that runs out."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ml2021.config.schema import Config
from ml2021.errors import ResourceError


@contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Note the first SIGINT, SIGTERM or SIGHUP instead of dying of it; a second one kills."""
    caught: list[int] = []
    watched = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

    def note(signal_number: int, frame: FrameType | None) -> None:
        caught.append(signal_number)
        for each in watched:
            signal.signal(each, signal.SIG_DFL)

    # What is ignored already stays so: SIGHUP under nohup, SIGINT in the background of a script.
    watched = [each for each in watched if signal.getsignal(each) != signal.SIG_IGN]
    previous = {each: signal.signal(each, note) for each in watched}
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


@contextmanager
def memory_errors(config: Config) -> Iterator[None]:
    """Turn running out of memory, on the host or on a GPU, into a line that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch raises either, and its own on a GPU
        if isinstance(error, RuntimeError) and not any(
            text in str(error) for text in ("out of memory", "can't allocate memory")
        ):
            raise
        raise ResourceError(
            f"out of memory with train.batch_size {config.train.batch_size} and model "
            f"{config.model.model_dump()}; make one of them smaller"
        ) from None
