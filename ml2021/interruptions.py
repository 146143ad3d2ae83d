"""Memory that runs out in the middle of a long computation."""

from collections.abc import Iterator
from contextlib import contextmanager

from ml2021.config.schema import Config
from ml2021.errors import ResourceError


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
