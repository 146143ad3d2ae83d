"""`predict` block by block writes and says what it does for the whole table at once."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from ml2021.commands import predict_rows
from ml2021.data import passes
from ml2021.data.csv import source
from tests import commands
from tests.benchmarks import streaming
from tests.commands import Outcome, run, run_well, write_rows

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 2, members: 2, spread: true}\n"
CONFIGS = {
    "number": f"data: {{path: train.csv, target: y, exclude: [id, kind, p*]}}\n{SMALL}",
    "classes": f"data: {{path: train.csv, target: kind, exclude: [id, y, p*]}}\n{SMALL}",
    "coded": f"data: {{path: train.csv, target: y, features: [a, code], "
    f"types: {{code: category}}}}\n{SMALL}",
    "dates": f"data: {{path: train.csv, target: y, features: [a, day], dates: [year]}}\n{SMALL}",
}
ROWS = 300


def table(rows: int, seed: int) -> dict[str, list[object]]:
    columns = commands.table(rows, seed)
    columns["code"] = [(5, 7, 9)[row % 3] for row in range(rows)]
    columns["day"] = [f"20{10 + row % 9}-03-{1 + row % 28:02d}" for row in range(rows)]
    return columns


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_rows(folder / "train.csv", table(120, 0))
    write_rows(folder / "series.csv", commands.series(80))
    series = f"data: {{path: series.csv, target: views, exclude: [date], lags: 7}}\n{SMALL}"
    return commands.train_runs(folder, {**CONFIGS, "series": series})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a table of all that is odd but not wrong."""
    columns = table(ROWS, 1)
    columns["id"] = [f'"{row}"\nsays, {row}' if row % 50 == 3 else f"0{row}" for row in range(ROWS)]
    columns["colour"][7::40] = ["teal"] * len(columns["colour"][7::40])
    columns["colour"][9::80] = ["mauve"] * len(columns["colour"][9::80])
    columns["a"][5::60] = [""] * len(columns["a"][5::60])
    columns["b"][11::90] = [99.5] * len(columns["b"][11::90])
    columns["code"][13::90] = [2] * len(columns["code"][13::90])
    write_rows(tmp_path / "new.csv", columns)
    return tmp_path


def both(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[Outcome, Outcome]:
    """Return the outcome of `predict` in one block, and in many."""
    command = ("predict", "--output", "-", *arguments)
    whole = run(folder, *command)
    with monkeypatch.context() as context:
        context.setattr(source, "CHUNK", 5000)
        context.setattr("ml2021.data.csv.parser._STREAMED_BYTES", 1)
        context.setattr("ml2021.runs.model._CELLS", 2000)
        context.setattr(passes, "_PARQUET_ROWS", 77)
        return whole, run(folder, *command)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("form", ["csv", "crlf.gz"])
def test_blocks_do_not_show(
    name: str, form: str, runs: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "new.csv"
    if form == "crlf.gz":
        plain = path.read_bytes().replace(b"\n", b"\r\n")
        path = path.with_name("new.csv.gz")
        path.write_bytes(gzip.compress(plain))
    ids = ("--id", "id", "--id", "a") if name == "number" else ("--id", "id")
    whole, parts = both(folder, monkeypatch, path.name, "--run", runs / name, *ids)
    assert whole.code == 0, whole.stderr
    assert parts == whole
    assert len(commands.parse_rows(whole.stdout)) == ROWS


def test_blocks_of_parquet_do_not_show(
    runs: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.read_csv(folder / "new.csv", dtype={"id": str})
    frame.to_parquet(folder / "t.parquet", row_group_size=90)
    arguments = ("t.parquet", "--run", runs / "number", "--id", "id", "--interval", "0.5")
    whole, parts = both(folder, monkeypatch, *arguments)
    assert whole.code == 0, whole.stderr
    assert parts == whole


BAD: dict[str, Callable[[dict[str, list[object]]], dict[str, list[object]]]] = {
    "a cell in the last row": lambda rows: {**rows, "a": [*rows["a"][:-1], "oops"]},
    "cells in three columns": lambda rows: {
        **rows,
        "a": ["n/k" if row % 100 == 40 else cell for row, cell in enumerate(rows["a"])],
        "b": ["1e39" if row in (200, 300) else cell for row, cell in enumerate(rows["b"])],
    },
    "units below the names": lambda rows: {
        **rows,
        "a": ["kg", *rows["a"][1:]],
        "b": ["mm", *rows["b"][1:]],
    },
    "other spellings": lambda rows: {**rows, "colour": [str(c).upper() for c in rows["colour"]]},
    "words for codes": lambda rows: {**rows, "code": ["five"] * ROWS},
    "a day that is none": lambda rows: {**rows, "day": [*rows["day"][:-3], *["soon"] * 3]},
    "far from the mean": lambda rows: {**rows, "a": [*rows["a"][:-1], "1e30"]},
    "a row too short": lambda rows: rows,
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused_at_once_is_refused_in_blocks(
    kind: str, runs: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rows(folder / "bad.csv", BAD[kind](table(ROWS, 2)))
    if kind == "a row too short":
        path.write_text(path.read_text() + "1,2\n")
    run_name = "coded" if "code" in kind else "dates" if "day" in kind else "number"
    before = commands.contents(folder)
    whole, parts = both(folder, monkeypatch, "bad.csv", "--run", runs / run_name)
    assert (whole.code, whole.stdout) == (3, "")
    assert parts == whole
    refused = run(folder, "predict", "bad.csv", "--run", runs / run_name, "--output", "p.csv")
    assert refused.code == 3
    assert commands.contents(folder) == before


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_nothing_has_a_name_before_all_is_predicted(
    runs: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing is left over, whatever ends the process."""
    seen: list[set[str]] = []
    text = predict_rows._text

    def watched(*arguments: object, **options: object) -> object:
        seen.append(names_in(folder))
        return text(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(predict_rows, "_text", watched)
    monkeypatch.setattr(source, "CHUNK", 5000)
    monkeypatch.setattr("ml2021.data.csv.parser._STREAMED_BYTES", 1)
    before = names_in(folder)
    run_well(folder, "predict", "new.csv", "--run", runs / "number", "--output", "p.csv")
    assert len(seen) > 4
    assert all(names == before for names in seen)
    assert names_in(folder) == before | {"p.csv"}


def test_a_series_that_cannot_fit_is_refused_with_both_numbers(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "long.csv", commands.series(2000))
    monkeypatch.setattr("ml2021.memory.free_memory", lambda: 100_000)
    refused = run(tmp_path, "predict", "long.csv", "--run", runs / "series")
    assert (refused.code, refused.stdout) == (5, "")
    assert "1 MB" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["long.csv"]


@pytest.mark.soak
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Read and predicted whole, 3 million rows took 530 MB."""
    streaming.write_table(tmp_path / "t.csv", 3_000_000)
    (tmp_path / "c.yaml").write_text(f"{streaming.CONFIG}preset: fast\n")
    train = ["-m", "ml2021", "train", "--config", "c.yaml", "--quiet", "--no-report"]
    streaming.watch([*train, "--run-dir", "run"], tmp_path, streaming.HERE)
    plain = "import torch, pandas, time; time.sleep(1)"
    base = streaming.watch(["-c", plain], tmp_path, streaming.HERE).peak_bytes
    predict = ["-m", "ml2021", "predict", "t.csv", "--run", "run", "--output", "p.csv"]
    assert streaming.watch(predict, tmp_path, streaming.HERE).peak_bytes - base < 200e6
