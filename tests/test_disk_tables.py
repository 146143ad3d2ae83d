"""Tables on the disk: the same frames, orders, parameters and lines as in memory."""

import errno
import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ml2021 import disk
from ml2021.data import placement
from ml2021.data.csv.scan import TableFormat
from ml2021.data.preprocessing import transform
from ml2021.data.samples import one_of_each
from ml2021.data.tables import read_table
from ml2021.engine import dataset, updates
from ml2021.engine.dataset import EpochOrder, epoch_order, generator
from ml2021.training import trainer
from tests.commands import run, run_well

ODD = {
    "numbers": ["a,b", *(f"{i},{i / 3}" for i in range(50))],
    "integers beyond 2^53": ["a,b", *(f"{2**53 + i},{2**63 + i}" for i in range(50))],
    "floats from row 30 on": ["a,b", *(f"{i},{i}" for i in range(30)), "1.5,2e3", "-999,"],
    "text from row 30 on": ["a,b", *(f"{i},{i}" for i in range(30)), "x,NA", "y,"],
    "thousands": ["a;b", *(f'"{i},{i:03}";{i}' for i in range(1, 40))],
    "writings": ["a,b", *(f"{i} kg,{i}%" for i in range(40))],
    "dates and booleans": ["a,b", *(f"2021-01-{1 + i % 28:02},{i % 2 == 0}" for i in range(40))],
    "nine tenths": [
        "a,b",
        *(f"{'?' if i % 10 == 0 else i},{'' if i % 3 else 'n/a'}" for i in range(60)),
    ],
    "nothing": ["a,b", *(f",{i}" for i in range(20))],
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put arrays of any size on the disk, encode and gather few rows at a time."""
    monkeypatch.setattr(disk, "_LEAST_BYTES", 1)
    monkeypatch.setattr(disk, "_CHUNK_BYTES", 4096)
    monkeypatch.setattr(disk, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(transform, "_BLOCK", 64)
    monkeypatch.setattr(updates, "GATHERED_BYTES", 1)
    yield
    disk.use_disk(None)


@pytest.mark.parametrize("lines", ODD.values(), ids=ODD.keys())
def test_the_same_frame(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    format = TableFormat(separator=";" if ";" in lines[0] else ",", missing=("", "NA", -999))
    found: list[Any] = []
    for folder in (None, tmp_path):
        disk.use_disk(folder)
        try:
            found.append(read_table(path, format))
        except Exception as error:
            found.append((type(error), str(error)))
    if isinstance(found[0], tuple):
        assert found[0] == found[1]
        return
    ram, own = found
    pd.testing.assert_frame_equal(ram.frame, own.frame, check_exact=True)
    assert [c.dtype for _, c in ram.frame.items()] == [c.dtype for _, c in own.frame.items()]
    assert (ram.writings, ram.rounded, ram.notes) == (own.writings, own.rounded, own.notes)
    numbers = [c for _, c in own.frame.items() if c.dtype != object]
    assert all(disk.is_on_disk(column.to_numpy()) for column in numbers)
    assert [*tmp_path.iterdir()] == [path]


def test_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = torch.randperm(1000, generator=generator(3, "order", 5))
    assert torch.equal(epoch_order(3, 5, 1000), plain)
    monkeypatch.setattr(dataset, "WINDOWED_ABOVE", 100)
    monkeypatch.setattr(dataset, "_BLOCK_ROWS", 8)
    monkeypatch.setattr(dataset, "_WINDOW_BLOCKS", 4)
    for rows in (101, 128, 160, 163, 1000, 1001):
        for epoch in range(6):  # the short block is in any of the windows
            whole = epoch_order(3, epoch, rows)
            assert torch.equal(whole.sort().values, torch.arange(rows))
            order = EpochOrder(3, epoch, rows)
            cuts = [0, 1, 5, 30, 33, 64, 97, 100, rows]
            parts = [order.rows(*cut) for cut in pairwise(cuts)]
            assert torch.equal(torch.cat(parts), whole)
            assert torch.equal(EpochOrder(3, epoch, rows).rows(90, rows), whole[90:])
            assert len(set((whole[:25] // 8).tolist())) <= 4  # of a window
        assert not torch.equal(whole, epoch_order(4, epoch, rows))
        assert not torch.equal(whole, epoch_order(3, 0, rows))


def _table(folder: Path, rows: int = 700) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": random.normal(size=rows),
            "b": random.integers(0, 40, rows),
            "c": random.choice(["red", "blue", "green", ""], rows),
            "d": np.where(random.random(rows) < 0.2, np.nan, random.random(rows)),
            "when": random.choice(["2021-03-01", "2021-07-15", "2022-01-31"], rows),
            "w": random.integers(0, 3, rows),
            "label": random.choice(["yes", "no"], rows),
        }
    )
    frame["y"] = (frame.a + 0.1 * frame.b).round(4)
    frame.to_csv(folder / "t.csv", index=False)


CASES = {
    "weights and pieces": "target: y, weight: w, numbers: piecewise",
    "classes": "target: label, exclude: [y]",
    "lags in the order of a column": "target: y, lags: 3, order_by: a, gaps: interpolate",
    "groups": "target: y, group_by: c",
    "a trial": "target: y, numbers: auto, test_path: t.csv",
}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES.keys())
def test_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.setattr(dataset, "WINDOWED_ABOVE", 100)
    monkeypatch.setattr(dataset, "_BLOCK_ROWS", 8)
    monkeypatch.setattr(dataset, "_WINDOW_BLOCKS", 4)
    _table(tmp_path)
    (tmp_path / "c.yaml").write_text(
        f"data: {{path: t.csv, {data}}}\n"
        "model: {type: relu_stack, widths: [4]}\n"
        "train: {epochs: 2, batch_size: 7, members: 2}\n"
    )
    files: list[list[bytes]] = []
    said: list[list[str]] = []
    for memory in ("ram", "disk"):
        where = ("--config", "c.yaml", "--run-dir", memory, "--set", f"data.memory={memory}")
        trained = run_well(tmp_path, "train", *where)
        scored = run_well(tmp_path, "evaluate", "--run", memory, "--json")
        saved = tmp_path / memory / "checkpoints"
        files.append([(saved / f"{name}.safetensors").read_bytes() for name in ("best", "last")])
        texts = (trained.stderr, scored.stdout)
        said.append([re.sub(r"\b(ram|disk)\b", "", text) for text in texts])
    assert files[0] == files[1]
    assert said[0] == said[1]


def test_gathered_at_once_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _table(tmp_path)
    text = "data: {path: t.csv, target: y, memory: disk}\ntrain: {epochs: 2, batch_size: 9}\n"
    (tmp_path / "c.yaml").write_text(text)
    run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "some")
    monkeypatch.setattr(updates, "GATHERED_BYTES", 1 << 30)
    run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "all")
    some, every = (tmp_path / n / "checkpoints/last.safetensors" for n in ("some", "all"))
    assert some.read_bytes() == every.read_bytes()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _table(tmp_path)
    (tmp_path / "c.yaml").write_text("data: {path: t.csv, target: y, memory: disk}\n")
    monkeypatch.setattr(os, "posix_fallocate", full)
    outcome = run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r")
    assert outcome.code == 5
    assert "data.cache" in outcome.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c.yaml", "t.csv"]


def test_what_auto_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _table(tmp_path)
    (tmp_path / "c.yaml").write_text("data: {path: t.csv, target: y}\ntrain: {epochs: 1}\n")
    arguments = ("train", "--config", "c.yaml", "--run-dir")
    assert "data.memory" not in run_well(tmp_path, *arguments, "fits").stderr
    monkeypatch.setattr(placement, "free_memory", lambda: 60_000)
    outcome = run_well(tmp_path, *arguments, "large")
    (line,) = [line for line in outcome.stderr.splitlines() if "data.memory: auto" in line]
    assert re.search(r"about \d+ rows of 8 columns", line), line
    assert str(tmp_path) in line
    scored = run_well(tmp_path, "evaluate", "t.csv", "--run", "large")
    assert "data.memory: auto" in scored.stdout + scored.stderr
    monkeypatch.setattr(placement, "free_memory", lambda: None)
    again = run_well(tmp_path, "evaluate", "t.csv", "--run", "large", "--json")
    monkeypatch.setattr(placement, "free_memory", lambda: 60_000)
    assert (
        run_well(tmp_path, "evaluate", "t.csv", "--run", "large", "--json").stdout == again.stdout
    )
    folds = run_well(tmp_path, *arguments, "folds", "--set", "data.split={method: kfold, folds: 2}")
    assert "data.memory" not in folds.stderr


KEPT = "data: {path: t.csv, target: y, memory: disk, cache: kept}\ntrain: {epochs: 1}\n"
USED = "are used (data.cache)"
ANEW = "so they are encoded anew"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a folder with a run, `first`, whose rows are kept."""
    _table(tmp_path, 200)
    (tmp_path / "c.yaml").write_text(KEPT)
    outcome = run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "first")
    assert "data.cache" not in outcome.stderr
    return tmp_path


def _train(folder: Path, name: str) -> str:
    said = run_well(folder, "train", "--config", "c.yaml", "--run-dir", name).stderr
    (place,) = (folder / "kept").iterdir()
    assert re.fullmatch(r"[0-9a-f]{32}\.rows", place.name)
    return said


def _best(folder: Path, name: str) -> bytes:
    return (folder / name / "checkpoints/last.safetensors").read_bytes()


def test_kept_rows_are_used_again(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = kept / "kept" / f".{'0' * 32}.rows.123.ml2021"  # of a process that was killed
    left.mkdir()
    (left / "train-inputs").write_bytes(b"half")
    with monkeypatch.context() as context:
        context.delattr("ml2021.data.table_source.read_table")
        assert USED in _train(kept, "second")
        evaluated = [run_well(kept, "evaluate", "--run", n).stdout for n in ("first", "second")]
        run_well(kept, "train", "--resume", "second", "--set", "train.epochs=2")
    assert _best(kept, "first") != _best(kept, "second")
    assert evaluated[0] == evaluated[1]
    run_well(kept, "train", "--resume", "first", "--set", "train.epochs=2")
    assert _best(kept, "first") == _best(kept, "second")


@pytest.mark.parametrize("name", ["train-inputs", "test-targets", "validation-rows", "meta.json"])
@pytest.mark.parametrize("kind", ["shorter", "another byte", "gone"])
def test_damaged_rows_are_encoded_anew(kept: Path, name: str, kind: str) -> None:
    if name != "train-inputs" and kind != "another byte":
        pytest.skip("the same for each file")
    (place,) = (kept / "kept").iterdir()
    content = bytearray((place / name).read_bytes())
    content[len(content) // 2] ^= 1
    (place / name).unlink()
    if kind != "gone":
        (place / name).write_bytes(content[:-1] if kind == "shorter" else content)
    assert ANEW in _train(kept, "second")
    assert _best(kept, "first") == _best(kept, "second")
    assert USED in _train(kept, "third")


def test_rows_of_other_data_are_encoded_anew(kept: Path) -> None:
    _table(kept, 210)
    said = _train(kept, "second")
    assert ANEW in said
    assert USED not in said
    assert "damaged" not in said
    assert USED in _train(kept, "third")
    assert _best(kept, "third") == _best(kept, "second")


def test_a_disk_that_fills_while_rows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _table(tmp_path, 200)
    (tmp_path / "c.yaml").write_text(KEPT)
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("ml2021.data.cache.os.fsync", full)
    outcome = run(tmp_path, "train", "--config", "c.yaml", "--run-dir", "r")
    assert outcome.code == 5
    assert ".rows: cannot be written" in outcome.stderr
    assert [*(tmp_path / "kept").iterdir()] == []


def test_two_processes_keep_the_same_rows(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(kept / "kept")
    first = True

    def meanwhile(*_: object) -> None:
        nonlocal first
        if first:  # while the rows of `second` are written, another process keeps them
            first = False
            with monkeypatch.context() as context:
                context.setattr("ml2021.data.cache.os.getpid", lambda: 1)
                run_well(kept, "train", "--config", "c.yaml", "--run-dir", "third")

    monkeypatch.setattr("ml2021.data.cache.reserve", meanwhile)
    assert USED not in _train(kept, "second")
    assert _best(kept, "second") == _best(kept, "third") == _best(kept, "first")
    assert USED in _train(kept, "fourth")


def test_many_training_rows_are_scored_by_some_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = one_of_each(1000, 300)
    assert len(some) == 300
    assert (np.arange(300) * 1000 // 300 <= some).all()
    assert (some < np.arange(1, 301) * 1000 // 300).all()
    _table(tmp_path)
    sets = ("--set", "preset=fast", "--set", "train.epochs=2")
    words = ("train", "t.csv", "--target", "y", *sets, "--run-dir")
    all_rows = run_well(tmp_path, *words, "all", with_report=True)
    monkeypatch.setattr(trainer, "MOST_ROWS", 100)
    sampled = run_well(tmp_path, *words, "some", with_report=True)
    assert _best(tmp_path, "all") == _best(tmp_path, "some")
    assert "train, 100 rows" in sampled.stderr
    assert "train, 490 rows" not in all_rows.stderr
    whole, part = (
        json.loads((tmp_path / name / "summary.json").read_text())["scores"]
        for name in ("all", "some")
    )
    assert whole["test"] == part["test"]
    assert (part["train"]["rows"], part["train"]["sampled_from"]) == (100, whole["train"]["rows"])
    errors = [each["train"]["scores"]["rmse"] for each in (whole, part)]
    assert errors[0] != errors[1] == pytest.approx(errors[0], rel=0.3)
    for name in ("all", "some"):  # the page says of how many rows, too
        page = (tmp_path / name / "report.html").read_text()
        assert f"{whole['train']['rows']:,} train" in page
        assert ("train, 100 rows" in page) == (name == "some")
