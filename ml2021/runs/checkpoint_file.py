"""A checkpoint: one safetensors file that is enough to predict, checked when read, replaced whole.

Its metadata has one key, whose value is one canonical JSON string with a SHA-256 over that JSON,
the tensors' names, dtypes and shapes, and their bytes. It holds no clock, path, host, run name or
thread count, so two runs of one config write the same bytes. Nothing in it is ever executed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml2021.data.preprocessing.records import Preprocessing
from ml2021.errors import CheckpointError, ResourceError
from ml2021.files import replace_file

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1

_METADATA_KEY = "ml2021"

_LARGEST_HEADER = 100 << 20

_MOST_TENSORS = 1000


class Description(BaseModel):
    """What a checkpoint says of itself.

    config: the resolved config as plain values, without the paths of the data.
    data_sha256: of the training file. test_sha256: of the file at data.test_path, where there is
    one. init_sha256: of the checkpoint file whose parameters training began with, where there was
    one. epoch, batch: how far training had come.
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
    """The description and the tensors, by name."""

    description: Description
    tensors: Mapping[str, "Tensor"]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all. Raises ResourceError when the disk refuses it."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    description = checkpoint.description.model_dump(mode="json")
    signed = {**description, "sha256": _digest(description, tensors)}
    replace_file(path, *_serialised(tensors, _canonical(signed)))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint, onto the CPU. Raises CheckpointError where anything is off.

    ResourceError where the disk does not give it.
    """
    return parse_checkpoint(read_content(path), path)


def read_content(path: Path) -> bytes:
    """Return the bytes of a checkpoint, unchecked. Raises as `load_checkpoint` does."""
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a file")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(
            f"{path.absolute()}: no such checkpoint; train the run further, or anew"
        ) from None
    except OSError as error:
        raise ResourceError(f"{path}: cannot be read ({error.strerror})") from None


def parse_checkpoint(content: bytes, path: Path) -> Checkpoint:
    """Check what was read from `path`. Raises CheckpointError where anything is off."""
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
            f"{path}: checkpoint format {version!r}, and this ml2021 reads {FORMAT_VERSION}; "
            "use the version that wrote it, or train again"
        )
    try:
        tensors = load(content)
        description = Description.model_validate_json(json.dumps(signed))
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError):
        raise damaged from None
    if digest != _digest(signed, tensors):
        raise damaged
    return Checkpoint(description, tensors)


def _serialised(tensors: Mapping[str, "Tensor"], metadata: str) -> Iterator[bytes | memoryview]:
    """Yield a file in the safetensors format, the tensors' own memory among the pieces.

    The library copies all of it first, which takes longer than writing it. The format: the length
    of the header in 8 bytes, the header as JSON, and the bytes of the tensors without a gap.
    https://huggingface.co/docs/safetensors#format
    """
    # Wide numbers first, so that each tensor lies where its dtype is aligned.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header: dict[str, object] = {"__metadata__": {_METADATA_KEY: metadata}}
    end = 0
    for name, tensor in ordered:
        kind = "F" if tensor.is_floating_point() else "I"
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": f"{kind}{8 * tensor.itemsize}",
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for _, tensor in ordered:
        yield _bytes_of(tensor)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(description: Mapping[str, Any], tensors: Mapping[str, "Tensor"]) -> str:
    """Return the SHA-256 over the description and all tensors, in the order of their names."""
    digest = hashlib.sha256(_canonical(description).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(_canonical([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def _bytes_of(tensor: "Tensor") -> memoryview:
    """Return the memory of a contiguous tensor on the CPU."""
    import torch

    return tensor.contiguous().flatten().view(torch.uint8).numpy().data
