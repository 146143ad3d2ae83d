"""A checkpoint cut, flipped, shuffled, rewritten: it is refused, or it is the same to the bit."""

import json
import random
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from ml2021.config.loading import load_config_text
from ml2021.data.load import load_training_data
from ml2021.errors import CheckpointError
from ml2021.runs import checkpoints
from ml2021.runs.checkpoints import best_checkpoint, load_checkpoint, save_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import TrainedModel, load_model
from ml2021.training.trainer import build_trainer, residuals
from tests import commands
from tests.finishing import scratch
from tests.suites import HangError, Tally

CONFIG = """data: {path: PATH, target: y, exclude: [id, kind, p*]}
model: {type: relu_stack, widths: [4]}
train: {members: 2}
"""
# Kinds of cases; `suite` draws as many of each as it is asked for, and every truncation.
DRAWN = ("flip", "structure", "splice", "signed")


def suite(count: int) -> Tally:
    """Put every truncation, `count` flipped bits, and half as many other changes to the loader."""
    tally = Tally()
    with scratch() as folder:
        path = make_checkpoint(folder)
        content, model = path.read_bytes(), load_model(path)
        for kind, changed in _cases(content, count):
            path.write_bytes(changed)
            verdict = judge(tally, path, model)
            is_right = verdict in ("refused", "same") or (kind == "signed" and verdict == "other")
            tally.add(f"{kind}: {verdict}", is_right=is_right)
    return tally


def make_checkpoint(folder: Path) -> Path:
    """Write the best parameters of a run that could be, with all that a checkpoint may hold."""
    table = commands.write_rows(folder / "t.csv", commands.table(40))
    loaded = load_config_text(CONFIG.replace("PATH", str(table)), "c")
    trainer = build_trainer(load_training_data(loaded), "model", None, None)
    trainer.state.best_epoch.fill_(1)
    run = RunDirectory(folder)
    run.best.parent.mkdir()
    data, kept = trainer.data, residuals(trainer)
    save_checkpoint(best_checkpoint(run.best, data, trainer.baselines, kept, trainer.state))
    return run.best


def judge(tally: Tally, path: Path, expected: TrainedModel) -> str:
    """Say what loading makes of a file: refused in a line, the same, another model, or a fault."""
    try:
        with tally.timed():
            model = load_model(path)
    except CheckpointError as error:
        (line,) = error.lines
        if line.startswith(str(path)) and line.isprintable():
            return "refused"
        return f"refused by {line!r}"
    except HangError:
        return "a hang"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"a traceback: {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
    return "same" if _same(model, expected) else "other"


def _same(one: TrainedModel, other: TrainedModel) -> bool:
    def bits(value: Any) -> bytes:
        array = np.ascontiguousarray(value)
        return f"{array.dtype}{array.shape}".encode() + array.tobytes()

    return (
        bits(one.theta.numpy()) == bits(other.theta.numpy())
        and {k: bits(v) for k, v in one.baselines.items()}
        == {k: bits(v) for k, v in other.baselines.items()}
        and bits(one.residuals) == bits(other.residuals)
        and (one.config, one.preprocessing, one.data_sha256, one.test_sha256)
        == (other.config, other.preprocessing, other.data_sha256, other.test_sha256)
    )


def _cases(content: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    for length in range(len(content)):
        yield "truncation", content[:length]
    choose = random.Random(0)
    for _ in range(count):
        yield "flip", flipped(content, choose)
    for _ in range(count // 2):
        yield "structure", rewritten(content, choose)
        yield "splice", spliced(content, choose)
    for _ in range(count // 5):
        yield "signed", signed(content, choose)


def flipped(content: bytes, choose: random.Random) -> bytes:
    """Return the file with one bit that is another."""
    bit = choose.randrange(8 * len(content))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def spliced(content: bytes, choose: random.Random) -> bytes:
    """Return the file with a piece of it taken out, doubled, zeroed, moved or made noise."""
    start = choose.randrange(len(content))
    stop = min(len(content), start + choose.choice([1, 4, 8, 64, 1000]))
    piece, to = content[start:stop], choose.randrange(len(content))
    rest = content[:start] + content[stop:]
    changed = choose.choice(
        [
            rest,
            content[:to] + piece + content[to:],
            content[:start] + bytes(len(piece)) + content[stop:],
            rest[:to] + piece + rest[to:],
            content[:start] + choose.randbytes(len(piece)) + content[stop:],
            content + piece,
        ]
    )
    return changed if changed != content else content[:-1]


def rewritten(content: bytes, choose: random.Random) -> bytes:
    """Return the file with a header that is well formed, and says something else."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    before = json.dumps(header)
    while json.dumps(header) == before:
        choose.choice([_change_entry, _change_description, _swap_entries])(header, choose)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _change_entry(header: dict[str, Any], choose: random.Random) -> None:
    """Change what the header says of a tensor."""
    name = choose.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    changes: list[Callable[[], object]] = [
        lambda: entry.update(dtype=choose.choice(["F16", "F32", "F64", "I32", "I64", "U8", "?"])),
        lambda: entry.update(shape=[int(np.prod(entry["shape"]))]),
        lambda: entry.update(shape=entry["shape"][::-1]),
        lambda: entry.update(shape=[*entry["shape"], choose.choice([0, 1, 2, -1, 1 << 40])]),
        lambda: entry.update(
            data_offsets=[o + choose.choice([-8, 4, 8]) for o in entry["data_offsets"]]
        ),
        lambda: header.update({f"{name}x": header.pop(name)}),
        lambda: header.update({"more": dict(entry)}),
        lambda: header.pop(name),
        lambda: entry.pop(choose.choice(list(entry))),
    ]
    choose.choice(changes)()


def _swap_entries(header: dict[str, Any], choose: random.Random) -> None:
    one, other = choose.sample([name for name in header if name != "__metadata__"], 2)
    header[one], header[other] = header[other], header[one]


def _change_description(header: dict[str, Any], choose: random.Random) -> None:
    """Change a value, or the name of one, somewhere in the metadata."""
    described = json.loads(header["__metadata__"]["ml2021"])
    change_somewhere(described, choose)
    header["__metadata__"]["ml2021"] = json.dumps(described)


def change_somewhere(tree: dict[str, Any], choose: random.Random) -> None:
    """Change a value, or the name of one, at a random place of a tree of JSON."""
    place: Any = tree
    while place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = choose.choice(keys)
        inner = place[key]
        if isinstance(inner, dict | list) and inner and choose.random() < 0.9:
            place = inner
            continue
        if isinstance(place, dict) and choose.random() < 0.3:
            del place[key]
            if choose.random() < 0.7:
                place[f"{key}'"] = inner
            return
        others: list[Any] = [None, True, 0, -1, 0.5, 1e308, 1 << 70, "", "x", [], {}, [[]]]
        others += [[inner], {"x": inner}]
        if isinstance(inner, int | float) and not isinstance(inner, bool):
            others += [inner + 1, -inner, inner * 2]
        place[key] = choose.choice(others)
        return


Tensors = dict[str, torch.Tensor]


def resigned(content: bytes, edit: Callable[[dict[str, Any], Tensors], object]) -> bytes:
    """Return a checkpoint with another description or other tensors, and the digest of these."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x"
        path.write_bytes(content)
        kept = dict(load_checkpoint(path).tensors)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    described = json.loads(header["__metadata__"]["ml2021"])
    del described["sha256"]
    edit(described, kept)
    digest = checkpoints._digest(described, kept)
    text = checkpoints._canonical({**described, "sha256": digest})
    return save(kept, {"ml2021": text})


_DTYPES = (
    *(torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.float8_e4m3fn),
    *(torch.int8, torch.int64, torch.bool, torch.complex64),
)


def signed(content: bytes, choose: random.Random) -> bytes:
    """Return a file of the right digest, but with nonsense in its description or its tensors.

    No digest tells that this is none of ours, so it may be another model; a fault it may not be.
    """

    def edit(described: dict[str, Any], kept: Tensors) -> None:
        if choose.random() < 0.6:
            change_somewhere(described, choose)
            return
        key = choose.choice(list(kept))
        tensor = kept.pop(key)
        kept[choose.choice([key, key, key, f"{key}x"])] = _changed_tensor(tensor, choose)

    return resigned(content, edit)


def _changed_tensor(tensor: torch.Tensor, choose: random.Random) -> torch.Tensor:
    def with_one_changed() -> torch.Tensor:
        changed = tensor.clone().flatten()
        if changed.numel():
            value = choose.choice([0.0, -1.0, 1e30, -1e30, 3e38, torch.inf, torch.nan])
            is_float = changed.dtype.is_floating_point
            changed[choose.randrange(len(changed))] = value if is_float else choose.choice([-1, 99])
        return changed.view(tensor.shape)

    edits: list[Callable[[], torch.Tensor]] = [
        with_one_changed,
        with_one_changed,
        lambda: tensor * choose.choice([1e30, torch.inf, torch.nan, 0.0, -1.0]),
        lambda: tensor.flatten(),
        lambda: tensor[:0] if tensor.ndim else tensor[None],
        lambda: tensor.to(choose.choice(_DTYPES)),
        lambda: torch.cat([tensor, tensor]) if tensor.ndim else tensor,
        lambda: tensor[None],
    ]
    return choose.choice(edits)()
