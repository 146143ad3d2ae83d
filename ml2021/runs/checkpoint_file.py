"""A checkpoint: one safetensors file that is enough to predict, checked when read, replaced whole.

Its metadata has one key, whose value is one canonical JSON string with a SHA-256 over that JSON,
the tensors' names, dtypes and shapes, and their bytes. It holds no clock, path, host, run name or
thread count, so two runs of one config write the same bytes. Nothing in it is ever executed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml2021.data.preprocessing.records import Preprocessing
from ml2021.errors import CheckpointError
from ml2021.files import replace_file
from ml2021.runs.directory import read_bytes

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 2

_METADATA_KEY = "ml2021"
_LARGEST_HEADER = 100 << 20
_MOST_TENSORS = 1000


class Description(BaseModel):
    """The description of a checkpoint.

    config: the resolved config as plain values, without the paths of the data. data_sha256: of the
    training file. test_sha256: of the file at data.test_path, if any. init_sha256: of the
    checkpoint file that training started from, if any. epoch, batch: how far training had come.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format_version: int
    config: dict[str, Any]
    preprocessing: Preprocessing
    data_sha256: str
    test_sha256: str | None = None
    init_sha256: str | None = None
    epoch: Annotated[int, Field(ge=0)]
    batch: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Checkpoint:
    """The description and the tensors, by name; `path` is the file that holds them."""

    description: Description
    tensors: Mapping[str, "Tensor"]
    path: Path


def save_checkpoint(checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all. Raises ResourceError when the disk refuses it."""
    from safetensors.torch import save

    tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    description = checkpoint.description.model_dump(mode="json")
    signed = {**description, "sha256": _digest(description, tensors)}
    replace_file(checkpoint.path, save(tensors, {_METADATA_KEY: _canonical(signed)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint, onto the CPU. Raises CheckpointError, ResourceError."""
    return parse_checkpoint(read_content(path), path)


def read_content(path: Path) -> bytes:
    """Return the bytes of a checkpoint, unchecked. Raises as `load_checkpoint` does."""
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a file")
    missing = f"{path.absolute()}: no such checkpoint; resume the run, or train again"
    return read_bytes(path, missing)


def parse_checkpoint(content: bytes, path: Path) -> Checkpoint:
    """Check the bytes read from `path`. Raises CheckpointError where anything is wrong."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    damaged = CheckpointError(f"{path}: damaged or not a checkpoint of ml2021; train the run again")
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, _LARGEST_HEADER):
        raise damaged
    if content.count(b'"data_offsets"', 8, 8 + length) > _MOST_TENSORS:
        raise damaged  # before a million of them fill the memory
    try:
        header = json.loads(content[8 : 8 + length])
        signed = json.loads(header["__metadata__"][_METADATA_KEY])
        version, digest = signed["format_version"], signed.pop("sha256")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {version!r}, but this ml2021 reads {FORMAT_VERSION}; "
            "use the version that wrote it, or train again"
        )
    try:
        tensors = load(content)
        description = Description.model_validate_json(json.dumps(signed))
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError):
        raise damaged from None
    if digest != _digest(signed, tensors):
        raise damaged
    return Checkpoint(description, tensors, path)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(description: Mapping[str, Any], tensors: Mapping[str, "Tensor"]) -> str:
    """Return the SHA-256 over the description and all tensors, in the order of their names."""
    import torch

    digest = hashlib.sha256(_canonical(description).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(_canonical([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
