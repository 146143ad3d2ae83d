"""Checkpoints: what is written comes back, and nothing else is ever believed."""

import json
import os
import pickle
import random
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors

from ml2021.config.loading import load_config_text
from ml2021.data.preprocessing.records import NumberFeature, Preprocessing, RealTargets
from ml2021.errors import CheckpointError, ResourceError
from ml2021.files import FORMAT_VERSION, replace_file
from ml2021.runs.checkpoints import (
    Checkpoint,
    Description,
    config_without_paths,
    load_checkpoint,
    save_checkpoint,
)
from ml2021.runs.model import load_model
from tests.tables import sources_of

DAMAGED = "damaged or not a checkpoint of ml2021; train the run again"
CONFIG = """data: {path: a.csv, target: größe}
task: regression
loss: mse
model: {type: relu_stack, widths: [2]}
"""
PREPROCESSING = Preprocessing(
    task="regression",
    features=(
        NumberFeature(
            name="x", mean=0.5, scale=2.0, fill=0.0, has_indicator=False, minimum=0, maximum=1
        ),
    ),
    history=None,
    target=RealTargets(names=("größe",), labels=("größe",), means=(1.0,), scales=(3.0,)),
    sources=sources_of("x", "größe"),
    width=2,
    numbered=False,
)


def description(**changed: Any) -> Description:
    config = config_without_paths(load_config_text(CONFIG, "c").config)
    values = {
        "format_version": FORMAT_VERSION,
        "config": config,
        "preprocessing": PREPROCESSING,
        "data_sha256": "0" * 64,
        "epoch": 3,
        "batch": 1,
    }
    return Description(**{**values, **changed})


def tensors() -> dict[str, torch.Tensor]:
    return {
        "theta": torch.arange(7, dtype=torch.float32)[None] / 7,
        "baselines.mean": torch.tensor([1.0], dtype=torch.float64),
        "baselines.median": torch.tensor([1.5], dtype=torch.float64),
        "baselines.least_squares": torch.tensor([[0.25], [0.5]], dtype=torch.float64),
        "best_epoch": torch.tensor([2]),
    }


PLACE = Path("best.safetensors")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "best.safetensors"
    save_checkpoint(Checkpoint(description(), tensors(), place))
    return place


def refusal(path: Path) -> str:
    """Return the only line of the error that loading has to end in."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    (line,) = caught.value.lines
    assert "\n" not in line
    assert line.startswith(str(path))
    return line.removeprefix(f"{path}: ")


def assert_equal(read: Checkpoint, written: Checkpoint) -> None:
    assert read.description == written.description
    assert read.tensors.keys() == written.tensors.keys()
    for name, tensor in written.tensors.items():
        assert read.tensors[name].dtype == tensor.dtype
        assert torch.equal(read.tensors[name].nan_to_num(7.5), tensor.nan_to_num(7.5))


def test_what_is_written_comes_back(path: Path) -> None:
    assert_equal(load_checkpoint(path), Checkpoint(description(), tensors(), PLACE))


def test_views_and_empty_tensors_come_back(tmp_path: Path) -> None:
    kept = {"a": torch.arange(6.0).view(2, 3).mT, "b": torch.empty(0, 3), "c": torch.tensor(1)}
    save_checkpoint(Checkpoint(description(), kept, tmp_path / "x"))
    assert_equal(load_checkpoint(tmp_path / "x"), Checkpoint(description(), kept, PLACE))


def test_the_same_content_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    reversed_order = dict(reversed(list(tensors().items())))
    save_checkpoint(Checkpoint(description(), reversed_order, tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    config = dict(reversed(description().config.items()))
    save_checkpoint(Checkpoint(description(config=config), tensors(), tmp_path / "keys"))
    assert (tmp_path / "keys").read_bytes() == path.read_bytes()
    save_checkpoint(Checkpoint(description(epoch=4), tensors(), tmp_path / "other"))
    assert (tmp_path / "other").read_bytes() != path.read_bytes()


def test_the_metadata_is_one_key_and_names_no_path(path: Path) -> None:
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"]) == ["ml2021"]
    assert b"a.csv" not in content
    assert str(path.parent).encode() not in content


def test_a_file_cut_short_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert refusal(path) == DAMAGED, length


def test_flipped_bits_are_refused(path: Path) -> None:
    content = path.read_bytes()
    written = Checkpoint(description(), tensors(), PLACE)
    choose = random.Random(0)
    refused = 0
    for _ in range(2000):
        bit = choose.randrange(8 * len(content))
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            read = load_checkpoint(path)
        except CheckpointError:
            assert refusal(path)
            refused += 1
        else:
            # An escape like \u00f6 may be written \u00F6: another byte, and the same value.
            assert_equal(read, written)
    assert refused > 1990


def test_every_bit_of_the_numbers_counts(path: Path) -> None:
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    assert len(content) - start == 7 * 4 + 4 * 8 + 8
    for bit in range(8 * start, 8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert refusal(path) == DAMAGED


@pytest.mark.parametrize("added", [b"\0", b"x", b"\n", bytes(4096)])
def test_trailing_bytes_are_refused(path: Path, added: bytes) -> None:
    path.write_bytes(path.read_bytes() + added)
    assert refusal(path) == DAMAGED


def test_a_zeroed_hole_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for start in range(0, len(content), 32):
        hole = content[:start] + bytes(32) + content[start + 32 :]
        path.write_bytes(hole[: len(content)])
        assert refusal(path) == DAMAGED


def rewritten(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return the file with its header changed, the payload as it was."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def put(name: str, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header[name][key] = value

    return change


STRUCTURAL: dict[str, Callable[[dict[str, Any]], None]] = {
    "a tensor renamed": lambda h: h.update({"thetb": h.pop("theta")}),
    "a tensor left out": lambda h: h.pop("theta"),
    "tensors swapped": lambda h: h.update(
        {"baselines.mean": h["baselines.median"], "baselines.median": h["baselines.mean"]}
    ),
    "another shape": put("theta", "shape", [7, 1]),
    "an absurd shape": put("theta", "shape", [1 << 62, 4]),
    "a negative shape": put("theta", "shape", [-7]),
    "an empty absurd shape": put("theta", "shape", [1 << 63, 0]),
    "another dtype": put("theta", "dtype", "I32"),
    "a narrow dtype": put("theta", "dtype", "F8_E8M0"),
    "half a byte": put("theta", "dtype", "F4"),
    "no such dtype": put("theta", "dtype", "F31"),
    "overlapping tensors": put("theta", "data_offsets", [0, 28]),
    "offsets beyond the end": put("theta", "data_offsets", [0, 1 << 40]),
    "metadata that is a list": put("__metadata__", "ml2021", "[]"),
    "metadata that is no JSON": put("__metadata__", "ml2021", "{"),
    "metadata nested deeply": put("__metadata__", "ml2021", "[" * 100_000),
    "no version": put("__metadata__", "ml2021", '{"sha256": ""}'),
    "no digest": put("__metadata__", "ml2021", '{"format_version": 1}'),
    "no metadata": lambda h: h.pop("__metadata__"),
    "another key": lambda h: h.update({"__metadata__": {"format": "pt"}}),
}


@pytest.mark.parametrize("name", STRUCTURAL)
def test_a_changed_structure_is_refused(path: Path, name: str) -> None:
    content = path.read_bytes()
    path.write_bytes(rewritten(content, STRUCTURAL[name]))
    assert path.read_bytes() != content
    assert refusal(path) == DAMAGED


def test_a_description_that_lies_is_refused(path: Path) -> None:
    def change(header: dict[str, Any]) -> None:
        said = json.loads(header["__metadata__"]["ml2021"])
        said["epoch"] = 4
        header["__metadata__"]["ml2021"] = json.dumps(said)

    path.write_bytes(rewritten(path.read_bytes(), change))
    assert refusal(path) == DAMAGED


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1, "1", None, [1]])
def test_another_format_version_is_named(path: Path, version: object) -> None:
    def change(header: dict[str, Any]) -> None:
        said = json.loads(header["__metadata__"]["ml2021"])
        said["format_version"] = version
        header["__metadata__"]["ml2021"] = json.dumps(said)

    path.write_bytes(rewritten(path.read_bytes(), change))
    assert refusal(path) == (
        f"checkpoint format {version!r}, but this ml2021 reads {FORMAT_VERSION}; "
        "use the version that wrote it, or train again"
    )


class _Witness:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.trace,)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "x").write_bytes(pickle.dumps(_Witness(str(trace))))
    assert refusal(tmp_path / "x") == DAMAGED
    torch.save({"theta": torch.zeros(1)}, tmp_path / "y.pt")
    assert refusal(tmp_path / "y.pt") == DAMAGED
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        b"\xff" * 16,
        (1 << 63).to_bytes(8, "little") + b"{}",
        (200 << 20).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"null",
        (2).to_bytes(8, "little") + b"\xff\xfe",
    ],
    ids=lambda content: content[:12].hex() or "empty",
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert refusal(tmp_path / "x") == DAMAGED


def test_safetensors_of_somebody_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(save_tensors({"theta": torch.zeros(2)}))
    assert refusal(tmp_path / "x") == DAMAGED


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "x")
        == "no such checkpoint; resume the run if it was stopped, else train again"
    )
    assert refusal(tmp_path) == "not a file; train the run again"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "not a file; train the run again"


def refused_model(path: Path, checkpoint: Checkpoint) -> str:
    save_checkpoint(replace(checkpoint, path=path))
    assert_equal(load_checkpoint(path), checkpoint)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    (line,) = caught.value.lines
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_numbers_make_no_model(path: Path, value: float) -> None:
    broken = tensors()
    broken["theta"][0, 3] = value
    line = refused_model(path, Checkpoint(description(), broken, PLACE))
    assert line == "its parameters are not finite numbers"


@pytest.mark.parametrize(
    "theta",
    [
        torch.zeros(7),
        torch.zeros(1, 8),
        torch.zeros(2, 7),
        torch.zeros(1, 7, dtype=torch.float64),
        torch.zeros(1, 7, dtype=torch.int32),
        None,
    ],
    ids=["flat", "long", "two", "float64", "int32", "missing"],
)
def test_weights_of_another_shape_make_no_model(path: Path, theta: torch.Tensor | None) -> None:
    kept = tensors()
    del kept["theta"]
    if theta is not None:
        kept["theta"] = theta
    line = refused_model(path, Checkpoint(description(), kept, PLACE))
    assert line == "its parameters do not fit its config"


@pytest.mark.parametrize("name", ["mean", "median", "least_squares"])
def test_baselines_of_another_shape_make_no_model(path: Path, name: str) -> None:
    line = "its baselines do not fit its preprocessing; train the run again"
    kept = tensors()
    kept[f"baselines.{name}"] = torch.zeros(3, 3, dtype=torch.float64)
    assert refused_model(path, Checkpoint(description(), kept, PLACE)) == line
    del kept[f"baselines.{name}"]
    assert refused_model(path, Checkpoint(description(), kept, PLACE)) == line


@pytest.mark.parametrize("config", [{}, {"data": 3}, {"data": {}}, {"data": {"target": 3.5}}])
def test_a_config_that_is_none_makes_no_model(path: Path, config: dict[str, Any]) -> None:
    line = refused_model(path, Checkpoint(description(config=config), tensors(), PLACE))
    assert line == "its config cannot be read by this ml2021"


def test_a_scale_of_zero_is_refused(path: Path) -> None:
    target = PREPROCESSING.target.model_copy(update={"scales": (0.0,)})
    broken = PREPROCESSING.model_copy(update={"target": target})
    save_checkpoint(Checkpoint(description(preprocessing=broken), tensors(), path))
    assert refusal(path) == DAMAGED


def test_what_was_trained_on_a_gpu_is_read_without_one(path: Path) -> None:
    config = {**description().config, "device": "cuda:7"}
    save_checkpoint(Checkpoint(description(config=config), tensors(), path))
    assert load_model(path).theta.shape == (1, 7)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "x"
    replace_file(place, b"old")
    replace_file(place, b"new")
    assert place.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    assert stat.S_IMODE(place.stat().st_mode) & 0o600 == 0o600


def test_what_cannot_be_written_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_text("kept")
    with pytest.raises(ResourceError) as caught:
        replace_file(tmp_path / "folder", b"new")
    assert caught.value.lines == (f"{tmp_path / 'folder'}: cannot be written (Is a directory)",)
    with pytest.raises(ResourceError) as caught:
        replace_file(tmp_path / "no" / "x", b"new")
    reason = "No such file or directory"
    assert caught.value.lines == (f"{tmp_path / 'no' / 'x'}: cannot be written ({reason})",)
    assert (tmp_path / "folder" / "inside").read_text() == "kept"
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


REPLACE = """
import resource, signal, sys
from pathlib import Path
from ml2021.errors import ResourceError
from ml2021.files import FORMAT_VERSION, replace_file

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    replace_file(Path(sys.argv[1]), b"n" * 100_000)
except ResourceError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"old")
    command = [sys.executable, "-c", REPLACE, str(place), "50000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"{place}: cannot be written (File too large)\n"
    assert place.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "log"
    place = tmp_path / "x"
    calls = "openat,write,fsync,rename,renameat,renameat2"
    traced = [strace, "-f", "-y", "-o", str(log), "-e", f"trace={calls}"]
    command = [*traced, sys.executable, "-c", REPLACE, str(place), "1000000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "ptrace" in done.stderr:
        pytest.skip(f"strace cannot trace here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    temporary = f"{tmp_path}/.x."
    kinds = {"write(": "write", "fsync(": "fsync", "rename": "rename"}
    seen = []
    for line in log.read_text().splitlines():
        call = line.split(maxsplit=1)[1]
        kind = next((name for start, name in kinds.items() if call.startswith(start)), None)
        if kind == "fsync" and f"<{tmp_path}>" in call:
            seen.append("fsync of the folder")
        elif kind is not None and temporary in call:
            seen.append(kind)
    assert seen == ["write", "fsync", "rename", "fsync of the folder"]


def test_killed_at_any_call_the_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    place = tmp_path / "x"
    new = b"n" * 100_000
    for call in ("write", "fsync", "rename"):
        place.write_bytes(b"old")
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when=1"]
        command = [strace, "-f", "-o", os.devnull, *inject]
        done = subprocess.run(
            [*command, sys.executable, "-c", REPLACE, str(place), "1000000"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if "ptrace" in done.stderr:
            pytest.skip(f"strace cannot trace here: {done.stderr.splitlines()[0]}")
        assert done.returncode == -signal.SIGKILL
        assert place.read_bytes() in (b"old", new)
