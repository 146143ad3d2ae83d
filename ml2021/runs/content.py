"""The files of a run or sweep as bytes, text and JSON: written whole, read within bounds.

A directory may be somebody else's. A JSON file is the model that it was written from, so that what
is read from it needs no further check.
"""

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ml2021.errors import CheckpointError, ResourceError
from ml2021.files import FORMAT_VERSION, replace_file
from ml2021.formatting import echo

if TYPE_CHECKING:
    from pydantic import BaseModel

MOST_BYTES = 256 << 20
"""Of a file that is no checkpoint."""


def write_text(path: Path, text: str) -> None:
    """Replace a small text file whole."""
    replace_file(path, text.encode())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file whole; nan or inf in it is a bug of ours."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_bytes(path: Path, missing: str, most: int | None = MOST_BYTES) -> bytes:
    """Return the content of a file of at most `most` bytes.

    Raises CheckpointError(missing) if there is none, CheckpointError where it is no file or too
    large, or ResourceError.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # opening a FIFO would wait for its writer
            raise CheckpointError(f"{path}: not a file; train the run again")
        if most is not None and found.st_size > most:
            size, limit = (f"{number / 2**20:,.0f} MiB" for number in (found.st_size, most))
            raise CheckpointError(f"{path}: {size} are more than the {limit} that can be read")
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(missing) from None
    except OSError as error:
        raise ResourceError(f"{path}: cannot be read ({error.strerror})") from None


Recorded = TypeVar("Recorded", bound="BaseModel")


def read_record(path: Path, kind: type[Recorded], remedy: str = "train the run again") -> Recorded:
    """Read a JSON file as the model that it was written from.

    Raises CheckpointError if it is missing, damaged or outdated, with the key that is wrong.
    """
    content = read_bytes(path, f"{path.absolute()}: missing; {remedy}")
    try:
        return kind.model_validate_json(content)
    except ValueError as error:
        found = error
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: damaged, not JSON; {remedy}") from None
    if not isinstance(plain, dict):
        raise CheckpointError(f"{path}: damaged, not a JSON object; {remedy}")
    written = plain.get("format_version")
    if "format_version" in kind.model_fields and written != FORMAT_VERSION:
        what = "no format version" if written is None else f"format {echo(written)}"
        raise CheckpointError(
            f"{path}: {what}, but this ml2021 reads format {FORMAT_VERSION}; "
            f"use the version that wrote it, or {remedy}"
        )
    from pydantic import ValidationError

    assert isinstance(found, ValidationError)
    where = echo(".".join(map(str, found.errors()[0]["loc"])))
    raise CheckpointError(f"{path}: damaged{f' at {where}' if where else ''}; {remedy}")
