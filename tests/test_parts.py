"""One table in several files: the same rows, types, parameters and messages as in one file."""

import gzip
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.scan import TableFormat
from ml2021.data.parts import files_of, find_parts
from ml2021.data.table_stream import TableStream
from ml2021.data.tables import read_table
from ml2021.files import mark
from ml2021.runs.checkpoints import load_checkpoint
from tests.commands import refusal, run_well

pytest.importorskip("pyarrow")
NAMES = ["code", "size", "kind", "day", "big", "price"]
CONFIG = "data: {path: parts, target: price}\ntrain: {epochs: 2}\npreset: fast\ndevice: cpu\n"


def rows(count: int = 90) -> list[list[str]]:
    """Rows of which no third has the types of the whole: see `test_types_are_of_the_whole`."""
    random = np.random.default_rng(5)
    return [
        [
            "x7" if i >= 60 and i % 2 else f"{i % 7:03d}",  # numbers in two thirds
            "" if i % 11 == 5 else f"{random.normal():.3f}",
            ["red", "green", "7"][i // 30 if i % 3 else 0],
            f"2021-{1 + i % 12:02d}-{1 + i % 28:02d}",
            str(2**53 + i) if i < 30 else "" if i == 80 else str(i),
            f"{random.normal():.4f}",
        ]
        for i in range(count)
    ]


def write(path: Path, given: Sequence[Sequence[str]], order: Sequence[int] = range(6)) -> None:
    lines = [NAMES, *given]
    text = "".join(",".join(row[i] for i in order) + "\n" for row in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one.csv, and the same rows in parts of three kinds."""
    table = rows()
    write(tmp_path / "one.csv", table)
    parts = tmp_path / "parts"
    parts.mkdir()
    write(parts / "a.csv", table[:30])
    write(parts / "b.csv.gz", table[30:60], [5, 3, 1, 0, 2, 4])
    frame = pd.DataFrame(table[60:], columns=NAMES)
    for name in ("size", "price"):
        frame[name] = pd.to_numeric(frame[name])
    frame["big"] = pd.to_numeric(frame["big"]).astype("Int64")
    frame.to_parquet(parts / "c.parquet", row_group_size=7)
    for name in ("_SUCCESS", ".hidden.csv", "README"):
        (parts / name).write_text("not a part")
    (tmp_path / "parts.yaml").write_text(CONFIG)
    (tmp_path / "one.yaml").write_text(CONFIG.replace("parts", "one.csv"))
    return tmp_path


def test_three_parts_give_the_parameters_of_the_one_file_and_what_follows(folder: Path) -> None:
    run_well(folder, "train", "one.yaml", "--run-dir", "one")
    run_well(folder, "train", "parts.yaml", "--run-dir", "some")
    one, some = (
        load_checkpoint(folder / d / "checkpoints" / "last.safetensors") for d in ("one", "some")
    )
    assert one.tensors.keys() == some.tensors.keys()
    for name, tensor in one.tensors.items():
        assert tensor.numpy().tobytes() == some.tensors[name].numpy().tobytes(), name
    for given, output in (("one.csv", "1.csv"), ("parts", "2.csv"), ("parts/[a-c]*", "3.csv")):
        run_well(folder, "predict", given, "--run", "some", "--id", "kind", "--output", output)
    expected = (folder / "1.csv").read_bytes()
    assert (folder / "2.csv").read_bytes() == (folder / "3.csv").read_bytes() == expected


def test_types_are_of_the_whole(folder: Path) -> None:
    one = read_table(folder / "one.csv", TableFormat(), compared=["big"])
    some = read_table(find_parts(folder / "parts"), TableFormat(), compared=["big"])
    pd.testing.assert_frame_equal(one.frame, some.frame, check_exact=True)
    assert some.rounded == one.rounded
    assert some.rounded
    assert some.header.names == one.header.names


def test_pieces_are_those_of_the_one_file(folder: Path) -> None:
    def joined(path: Path) -> pd.DataFrame:
        types: dict[str, StorageType] = dict.fromkeys(NAMES, "text")
        types |= {"size": "number", "price": "number"}
        stream = TableStream(find_parts(path), TableFormat(), [types])
        return pd.concat([piece.frames[0] for piece in stream.pieces()], ignore_index=True)

    pd.testing.assert_frame_equal(joined(folder / "one.csv"), joined(folder / "parts"))


def test_the_digest_is_that_of_the_parts(folder: Path) -> None:
    files = [folder / "parts" / name for name in ("a.csv", "b.csv.gz", "c.parquet")]
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    table = read_table(find_parts(folder / "parts"), TableFormat())
    assert table.parts == dict(zip(files, hashes, strict=True))
    assert table.sha256 == hashlib.sha256("".join(f"{h}\n" for h in hashes).encode()).hexdigest()
    assert read_table(find_parts([files[0]]), TableFormat()).sha256 == hashes[0]


def test_what_changed_among_the_parts_is_named(folder: Path) -> None:
    run_well(folder, "train", "parts.yaml", "--run-dir", "some")
    again = ("train", "--resume", "some", "--set", "train.epochs=3")
    write(folder / "parts" / "d.csv", rows(3))
    code, line = refusal(folder, *again)
    assert (code, "d.csv is new" in line) == (4, True), line
    (folder / "parts" / "d.csv").unlink()
    write(folder / "parts" / "a.csv", rows(3))
    code, line = refusal(folder, "evaluate", "--run", "some")
    assert (code, "a.csv: has changed" in line) == (3, True), line
    (folder / "parts" / "a.csv").unlink()
    code, line = refusal(folder, *again)
    assert (code, "a.csv is gone" in line) == (4, True), line
    write(folder / "parts" / "a.csv", rows()[:30])
    run_well(folder, *again)


def test_no_part_is_an_output(folder: Path) -> None:
    run_well(folder, "train", "parts.yaml", "--run-dir", "some")
    before = (folder / "parts" / "a.csv").read_bytes()
    for output in ("parts/a.csv", "parts/new.csv"):
        code, line = refusal(folder, "predict", "one.csv", "--run", "some", "--output", output)
        assert (code, output in line) == (2, True), line
    assert (folder / "parts" / "a.csv").read_bytes() == before
    assert not (folder / "parts" / "new.csv").exists()


def test_a_list_is_in_the_order_of_names_and_scored_or_predicted_as_one(folder: Path) -> None:
    files = ["parts/c.parquet", "parts/b.csv.gz", "parts/a.csv"]
    config = CONFIG.replace("path: parts", f"path: [{', '.join(files)}], test_path: 'parts/[a-b]*'")
    (folder / "list.yaml").write_text(config)
    assert (
        "in order of their names" in run_well(folder, "train", "list.yaml", "--run-dir", "l").stderr
    )
    for given in (["one.csv"], ["parts"], files):
        scores = run_well(folder, "evaluate", *given, "--run", "l", "--json").stdout
        assert '"rows": 90' in scores
    run_well(folder, "predict", *files, "--parts", "--run", "l", "--output", "1.csv")
    run_well(folder, "predict", "one.csv", "--run", "l", "--output", "2.csv")
    assert (folder / "1.csv").read_bytes() == (folder / "2.csv").read_bytes()


def test_what_exists_is_no_pattern_and_runs_are_no_parts(folder: Path) -> None:
    shutil.copy(folder / "one.csv", folder / "parts" / "[ab].csv")
    shutil.copy(folder / "one.csv", folder / "parts" / "_skipped.csv")
    assert find_parts(folder / "parts" / "[ab].csv") == folder / "parts" / "[ab].csv"
    (folder / "parts" / "[ab].csv").unlink()
    (run := folder / "parts" / "run").mkdir()
    mark(run, "run")
    shutil.copy(folder / "one.csv", run / "one.csv")
    names = ["a.csv", "b.csv.gz", "c.parquet"]
    for written in ("parts", "parts/[a-z]*", "parts/**/*.[cgp]*"):
        found = find_parts(folder / written)
        assert [file.name for file in files_of(found)] == names, written
