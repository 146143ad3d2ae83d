"""Values: what stands in a cell is what is carried over, compared and refused."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ml2021.data.csv.scan import TableFormat
from ml2021.data.output_names import escape_formula
from ml2021.data.series import in_series_order
from ml2021.data.tables import read_table
from tests import commands
from tests.commands import refusal, run_well, write_rows

SMALL = "model: {type: relu_stack, widths: [4]}\ntrain: {epochs: 1}\n"
PLAIN = f"data: {{path: train.csv, target: y, features: [a, b]}}\n{SMALL}"
FORMAT = "separator: ';', decimal: ',', thousands: '.', missing: ['', '?', -999]"
MARKED = f"data: {{path: marked.csv, target: y, features: [a], {FORMAT}}}\n{SMALL}"
SERIES = f"data: {{path: series.csv, target: y, lags: 2, order_by: t, group_by: g}}\n{SMALL}"
CELLS = [
    *("NA", "None", "null", "NaN", "N/A", "?", "-999", "-999.0", "nan", "true", "False", ""),
    *("00601", "007", "1.000,50", "1e5", "+1", " x ", "\t", "9007199254740993", "2020-02-30"),
    *(
        'say "NA"',
        '"NA"',
        "a;b",
        "a,b",
        "a\rb",
        "a\r\nb",
        "a\nb",
        "\ufeffx",
        "é",
        "e\u0301",
        "=1+1",
    ),
]
"""Cells that mean something to one reader or another, and that a writer has to quote."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds a run of each config, under its name."""
    folder = tmp_path_factory.mktemp("runs")
    write_rows(folder / "train.csv", commands.table(30))
    with (folder / "marked.csv").open("w") as file:
        file.write("id;a;y\n" + "".join(f"i;{row % 7},5;{row}\n" for row in range(30)))
    groups: list[object] = [*["NA"] * 15, *["x"] * 15]
    times: list[object] = [*range(15), *range(15)]
    values: list[object] = [row % 4 for row in range(30)]
    write_rows(folder / "series.csv", {"g": groups, "t": times, "y": values})
    return commands.train_runs(folder, {"plain": PLAIN, "marked": MARKED, "series": SERIES})


def carried(text: str, name: str) -> list[str]:
    """Return a column of a CSV, as Python's reader takes it."""
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return [row[header.index(name)] for row in rows]


@pytest.mark.parametrize("run", ["plain", "marked"])
def test_carried_cells_come_out_as_they_stand(runs: Path, tmp_path: Path, run: str) -> None:
    """A8: whatever the config says about missing cells, marks and separators."""
    with (tmp_path / "new.csv").open("w", newline="", encoding="utf-8") as file:
        mark = ";" if run == "marked" else ","
        writer = csv.writer(file, delimiter=mark, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "a", "b", "country"])
        writer.writerows([cell, 1, 2, cell] for cell in CELLS)
    given = ("predict", "new.csv", "--run", runs / run, "--output", "-")
    text = run_well(tmp_path, *given, "--id", "id", "--id", "country", "--id", "a").stdout
    assert carried(text, "id") == carried(text, "country") == CELLS
    assert carried(text, "a") == ["1"] * len(CELLS)


def test_carried_parquet_cells_are_not_those_of_data_missing(runs: Path, tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "id": ["NA", "None", None, "00601"],
        "n": pa.array([-999, 2**53 + 1, None, 5]),
        "when": pa.array([0, 1, None, 3], pa.date32()),
        "kind": pa.array(["NA", "x", None, "x"]).dictionary_encode(),
        "a": [1.0, 2.0, 3.0, 4.0],
    }
    parquet.write_table(pa.table(columns), tmp_path / "new.parquet")
    ids = [part for name in ("id", "n", "when", "kind") for part in ("--id", name)]
    given = ("predict", "new.parquet", "--run", runs / "marked", "--output", "-")
    text = run_well(tmp_path, *given, *ids).stdout
    assert carried(text, "id") == ["NA", "None", "", "00601"]
    assert carried(text, "n") == ["-999", "9007199254740993", "", "5"]
    assert carried(text, "when") == ["1970-01-01", "1970-01-02", "", "1970-01-04"]
    assert carried(text, "kind") == ["NA", "x", "", "x"]


def test_series_keep_the_name_of_their_group(runs: Path, tmp_path: Path) -> None:
    """The column that tells series apart is carried over unasked."""
    text = run_well(runs, "predict", "series.csv", "--run", "series", "--output", "-").stdout
    assert carried(text, "g") == ["NA"] * 15 + ["x"] * 15


def test_ids_that_are_named_twice_come_out_once(runs: Path, tmp_path: Path) -> None:
    """C3: `--id x --id x`."""
    ids = ("--id", "id", "--id", "a", "--id", "id")
    text = run_well(runs, "predict", "train.csv", "--run", "plain", "--output", "-", *ids).stdout
    assert text.splitlines()[0] == "id,a,y"
    write_rows(tmp_path / "new.csv", {"é": ["k"], "a": [1], "b": [2]})
    twice = ("--id", "é", "--id", "e\u0301")  # one name in two forms of Unicode
    given = ("predict", "new.csv", "--run", runs / "plain", "--output", "-")
    assert run_well(tmp_path, *given, *twice).stdout.splitlines()[0] == "é,y"


BINARY = ["binary", "large_binary", "binary_view", "binary(2)", "list", "dictionary", "extension"]


@pytest.mark.parametrize("kind", BINARY)
def test_bytes_in_parquet_are_refused(tmp_path: Path, kind: str) -> None:
    """A10: every type that holds bytes, and every type around it."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    cells = [b"a0", b"b1"] * 15
    column = {
        "list": lambda: pa.array([[cell] for cell in cells]),
        "dictionary": lambda: pa.array(cells, pa.large_binary()).dictionary_encode(),
        "extension": lambda: pa.ExtensionArray.from_storage(
            pa.opaque(pa.binary(), "own", "nobody"), pa.array(cells)
        ),
        "binary(2)": lambda: pa.array(cells, pa.binary(2)),
    }.get(kind, lambda: pa.array(cells, getattr(pa, kind)()))()
    table = pa.table({"a": list(range(30)), "y": column})
    parquet.write_table(table, tmp_path / "t.parquet")
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.parquet, target: y}}\n{SMALL}")
    code, line = refusal(tmp_path, "train", "--config", "c.yaml")
    assert code == 3
    assert "'y'" in line
    assert "neither numbers nor text" in line


def test_parquet_cells_that_nothing_can_hold_are_refused_with_their_row(tmp_path: Path) -> None:
    """C4: moments beyond the year 9999, and text that is not UTF-8."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    ends = pa.py_buffer(bytes(np.array([0, 1, 2, 3], "i4")))
    text = pa.Array.from_buffers(pa.string(), 3, [None, ends, pa.py_buffer(b"a\xffb")])
    columns = {
        "date32": pa.array([0, 2**31 - 1, 1], pa.date32()),
        "date64": pa.array([0, 86_400_000 * 10**7, 0], pa.date64()),
        "timestamp": pa.array([0, 2**62, 1], pa.timestamp("us")),
        "zone": pa.array([0, 2**62, 1], pa.timestamp("ms", "Asia/Taipei")),
        "text": text,
        "kinds": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), text),
    }
    for name, column in columns.items():
        table = pa.table({"a": pa.array([1, 2, 3]), "y": pa.array([1, 2, 4]), name: column})
        parquet.write_table(table, tmp_path / "t.parquet")
        (tmp_path / "c.yaml").write_text(f"data: {{path: t.parquet, target: y}}\n{SMALL}")
        code, line = refusal(tmp_path, "train", "--config", "c.yaml")
        assert code == 3
        assert name == "kinds" or f"column '{name}'" in line  # dictionaries are read as a whole
        assert name == "kinds" or "row 2" in line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("header", [True, False])
def test_only_the_start_of_the_file_is_a_byte_order_mark(
    tmp_path: Path, encoding: str, end: str, mark: str, header: bool
) -> None:
    """A11: everywhere else U+FEFF is part of a cell, first in its line or not."""
    cells = ["\ufeffx", "\ufeff\ufeffy", "\ufeff"]
    lines = [*(["k,n"] if header else ["\ufeffz,0"] if mark else ["z,0"])]
    text = end.join([*lines, *(f"{cell},1" for cell in cells)]) + end
    path = tmp_path / "t.csv"
    path.write_bytes((mark + text).encode(encoding))  # "utf-16" writes one mark by itself
    table = read_table(path, TableFormat(header=header, encoding=encoding))
    beside = mark if encoding == "utf-16" else ""  # the second one is part of a name, or a cell
    if header:
        assert table.frame.columns[0] == f"{beside}k"
    first = [] if header else [beside + lines[0].partition(",")[0]]
    assert table.frame.iloc[:, 0].tolist() == [*first, *cells]


# A9: integers beyond 2^53, of which float64 holds every second one, or fewer.

KNOWN, BETWEEN = 2**53, 2**53 + 1
CLASSES = f"data: {{path: k.csv, target: k, split: {{validation: 0.0, test: 0.0}}}}\n{SMALL}"


def train_on_large(folder: Path, config: str = CLASSES, cells: object = KNOWN) -> Path:
    """Train a run on two classes, of which float64 holds both."""
    half: list[object] = [KNOWN + 2, cells]
    write_rows(folder / "k.csv", {"a": [*range(20)], "k": half * 10})
    (folder / "k.yaml").write_text(config)
    run_well(folder, "train", "--config", "k.yaml", "--run-dir", "k")
    return folder / "k"


@pytest.mark.parametrize("beside", ["csv", "missing", "parquet", "parquet with a null"])
def test_a_large_class_is_no_other(tmp_path: Path, beside: str) -> None:
    """Beside a missing cell a column of integers is one of floats."""
    run = train_on_large(tmp_path)
    cells: list[object] = [BETWEEN, KNOWN, KNOWN, KNOWN + 2]
    if beside.startswith("parquet"):
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        cells += [None] if beside.endswith("null") else []
        table = pa.table({"a": list(range(len(cells))), "k": pa.array(cells, pa.int64())})
        parquet.write_table(table, tmp_path / "new.parquet")
    else:
        cells += [""] if beside == "missing" else []
        write_rows(tmp_path / "new.csv", {"a": [*range(len(cells))], "k": cells})
    table_file = "new.parquet" if beside.startswith("parquet") else "new.csv"
    done = run_well(tmp_path, "evaluate", table_file, "--run", run)
    assert f"never seen in training, counted as wrong: 1 ({BETWEEN} × 1)" in done.stderr


@pytest.mark.parametrize(
    "config", ["target: k}, task: classification", "target: a, features: [b], group_by: k}"]
)
@pytest.mark.parametrize(
    "cells", [[BETWEEN, 5], [KNOWN, BETWEEN, ""], [2**63 + 1, 2**63 + 2], [-BETWEEN, -KNOWN, ""]]
)
def test_large_integers_are_told_apart_or_refused(
    tmp_path: Path, config: str, cells: list[Any]
) -> None:
    """Two classes or groups that float64 merges would train in silence."""
    k = [*cells, *([cells[0] + 10, cells[0] + 20] if len(cells) == 2 else [])] * 10
    a: list[object] = [row % 5 + 0.5 for row in range(len(k))]
    write_rows(tmp_path / "t.csv", {"a": a, "b": a[::-1], "k": k})
    data = "\n".join([f"data: {{path: t.csv, {config}".replace("}, task", "}\ntask"), SMALL])
    (tmp_path / "c.yaml").write_text(data)
    done = commands.run(tmp_path, "train", "--config", "c.yaml")
    if "group_by" in config and "" not in cells and 2**63 + 1 not in cells:
        assert "k: 4 groups" in done.stderr
    else:
        assert done.code == 3
        assert "column 'k': integers above 2^53" in done.stderr


@pytest.mark.parametrize("listed", [KNOWN, f"'{KNOWN}'", f"{KNOWN}.0", f"'{KNOWN}e0'"])
def test_only_the_listed_integer_is_missing(tmp_path: Path, listed: object) -> None:
    for rest in ([], [""], ["0.5"]):
        cells = [KNOWN, BETWEEN, KNOWN + 2, -KNOWN, *rest]
        write_rows(tmp_path / "t.csv", {"a": cells})
        number = yaml.safe_load(str(listed))
        table = read_table(tmp_path / "t.csv", TableFormat(missing=("", number)))
        missing = [True, False, False, False, *([rest == [""]] if rest else [])]
        assert table.frame["a"].isna().tolist() == missing


def test_large_numbers_of_the_config_are_exact(tmp_path: Path) -> None:
    """Thresholds and the classes of train.class_weight."""
    split = f"split: {{method: column, column: k, test_from: {BETWEEN}}}"
    ids: list[object] = [KNOWN - 1, KNOWN, BETWEEN, BETWEEN + 1] * 5
    write_rows(
        tmp_path / "t.csv", {"k": ids, "a": [*range(20)], "y": [row % 7 for row in range(20)]}
    )
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.csv, target: y, {split}}}\n{SMALL}")
    assert (
        "rows 10 train, 0 validation, 10 test"
        in run_well(tmp_path, "train", "--config", "c.yaml").stderr
    )
    weight = f"class_weight: {{'{BETWEEN}': 2.0}}"
    with pytest.raises(AssertionError, match=f"'{BETWEEN}' is no class of k"):
        train_on_large(tmp_path, CLASSES.replace("epochs: 1", f"epochs: 1, {weight}"))


def test_rows_are_ordered_by_large_integers(tmp_path: Path) -> None:
    """Such as nanoseconds since 1970."""
    start = 1_700_000_000_000_000_000
    frame = pd.DataFrame({"t": [start + 1, start, start + 3, start + 2]})
    ordered, _ = in_series_order(frame, "t")
    assert ordered["t"].tolist() == [start, start + 1, start + 2, start + 3]


def test_rows_are_ordered_by_integers_of_64_bits_without_a_sign() -> None:
    first = (1 << 63) + 10
    frame = pd.DataFrame({"t": np.array([first + 3, first + 1, first + 2, first], np.uint64)})
    ordered, _ = in_series_order(frame, "t")
    assert ordered["t"].tolist() == [first, first + 1, first + 2, first + 3]


def test_formulas_as_classes_stay_different_texts(tmp_path: Path) -> None:
    labels: list[object] = ["=a", "'=a", "''=a", "a", "'a", "'-1", "+b"]
    columns: dict[str, list[object]] = {"x": [*range(70)], "y": labels * 10}
    write_rows(tmp_path / "train.csv", columns)
    commands.train_runs(tmp_path, {"r": f"data: {{path: train.csv, target: y}}\n{SMALL}"})
    done = run_well(tmp_path, "predict", "train.csv", "--run", "r", "--output", "-")
    assert len({*done.stdout.split("\n", 1)[0].split(",")[1:]}) == len(labels)
    escaped = [escape_formula(str(label)) for label in labels]
    assert escaped == ["'=a", "''=a", "'''=a", "a", "'a", "''-1", "'+b"]
