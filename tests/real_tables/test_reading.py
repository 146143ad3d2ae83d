"""Numbers in another writing, words among numbers, and lines that are no part of the table."""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml2021.data.csv.cells import check_texts
from ml2021.data.csv.scan import TableFormat
from ml2021.data.tables import Table, find_lines, read_table
from ml2021.errors import DataError
from tests.commands import Outcome, run, run_well
from tests.tables import load

ROWS = 60
X = [round(float(x), 2) for x in np.random.default_rng(3).normal(0, 2, ROWS)]
Y = [round(3 * x + 1, 2) for x in X]
QUICK = "model: linear\ndevice: cpu\ntrain: {epochs: 2}\n"


def write(folder: Path, columns: Mapping[str, Iterable[object]], separator: str = ",") -> Path:
    """Write a table, cells that hold the separator in quotes."""
    path = folder / "t.csv"
    rows = [[*columns], *zip(*columns.values(), strict=True)]
    quoted = [[f'"{c}"' if separator in str(c) else str(c) for c in row] for row in rows]
    path.write_text("\n".join(separator.join(row) for row in quoted) + "\n", encoding="utf-8")
    return path


def train(folder: Path, *settings: str) -> Outcome:
    (folder / "c.yaml").write_text(f"data: {{path: t.csv, target: y}}\n{QUICK}")
    options = (option for setting in settings for option in ("--set", setting))
    return run(folder, "train", "--config", "c.yaml", "--run-dir", "run", *options)


def read(folder: Path, data: bytes, **keys: Any) -> Table:
    path = folder / "t.csv"
    path.write_bytes(data)
    return read_table(path, TableFormat(**keys))


@pytest.mark.parametrize("share", [0.05, 0.6, 0.95])
@pytest.mark.parametrize("word", ["NULL", "-", "?", "#N/A", "unknown"])
@pytest.mark.parametrize("column", ["x", "y"])
def test_one_word_among_numbers_is_refused_at_any_share(
    tmp_path: Path, column: str, word: str, share: float
) -> None:
    columns: dict[str, list[object]] = {"x": [*X], "y": [*Y]}
    count = int(share * ROWS)
    columns[column][:count] = [word] * count
    path = write(tmp_path, columns)
    with pytest.raises(DataError) as raised:
        read_table(path, TableFormat())
    (line,) = raised.value.lines
    assert line.startswith(f"{path}:2: column '{column}': '{word}' ({count} cells)")
    listed = json.loads(line.partition("data.missing: ")[2].partition("]")[0] + "]")
    assert listed == [*TableFormat().missing, word]
    frame = read_table(path, TableFormat(missing=tuple(listed))).frame
    assert int(frame[column].isna().sum()) == count


def test_a_target_of_numbers_is_no_classes_because_of_a_word(tmp_path: Path) -> None:
    write(tmp_path, {"x": X, "y": ["NULL" if i % 5 else y for i, y in enumerate(Y)]})
    assert train(tmp_path).code == 3
    missing = 'data.missing=["", "NULL"]'
    assert train(tmp_path, missing).stderr.count("regression of y") == 1


@pytest.mark.parametrize("grades", [["K", "1", "2", "3"], ["5 mg", "10 mg"], ["0%", "100%"]])
def test_a_few_labels_with_digits_are_classes(tmp_path: Path, grades: list[str]) -> None:
    write(tmp_path, {"x": X, "y": [grades[i % len(grades)] for i in range(ROWS)]})
    outcome = train(tmp_path)
    assert outcome.code == 0
    assert "classification of y" in outcome.stderr


def test_several_words_are_listed_together(tmp_path: Path) -> None:
    cells = ["NULL" if i % 3 == 1 else "-" if i % 3 == 2 else x for i, x in enumerate(X)]
    write(tmp_path, {"x": cells, "y": Y})
    outcome = train(tmp_path)
    assert outcome.code == 3
    assert all(line.count('"NULL", "-"]') for line in outcome.stderr.splitlines())


@pytest.mark.parametrize(
    ("cells", "is_text"),
    [
        (["12a", "14b", "3", "27", "8c"] * 12, True),
        (["10 mm", "20 mm", "30 mm"] * 20, True),
        (["1st", "2nd", "3rd"] * 20, True),
        (["18-25", "26-40", "41+"] * 20, True),
        (["1", "2", "3", "many"] * 15, True),
        ([f"{i}a" if i % 4 == 0 else str(i) for i in range(ROWS)], True),
        ([f"{i} Main Street" for i in range(ROWS)], True),
        ([f"{i % 12 + 1} Jan" for i in range(ROWS)], True),
        (["S", "M", "L", "40", "42"] * 12, True),
        (["1", "2", "?"] * 20, False),
    ],
)
def test_labels_stay_labels(cells: list[str], is_text: bool) -> None:
    checked = check_texts(np.array(cells, object), TableFormat().rules)
    assert (checked.invalid.size == 0) is is_text
    if checked.writing is not None and is_text:
        assert checked.writing.kind != "decorated" or checked.writing.distinct < 5


WRITINGS: dict[str, tuple[Callable[[float], str], str]] = {
    "percent": (lambda x: f"{x}%", "a percent sign"),
    "currency": (lambda x: f"${x:,.2f}", "the currency '$'"),
    "euro behind": (lambda x: f"{x} €", "the currency '€'"),
    "unit": (lambda x: f"{x} kg", "the unit 'kg'"),
    "minus": (lambda x: str(x).replace("-", "\u2212"), "the minus sign U+2212"),
    "parentheses": (lambda x: f"({-x})" if x < 0 else str(x), "parentheses for minus"),
    "duration": (lambda x: f"{int(abs(x) * 3)}:{int(abs(x) * 100) % 60:02}.5", "colons"),
    "blanks": (
        lambda x: f"{int(abs(x)) + 1}\u00a0{int(abs(x) * 100):03}",
        "the thousands mark ' '",
    ),
    "apostrophes": (
        lambda x: f"{int(abs(x)) + 1}'{int(abs(x) * 100):03}",
        "the thousands mark '''",
    ),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_numbers_in_another_writing_are_named(tmp_path: Path, writing: str) -> None:
    written, what = WRITINGS[writing]
    decorated = [written(x) for x in X]
    path = write(tmp_path, {"w": decorated, "x": X, "y": Y})
    (note,) = (n for n in load(path, "  target: y", "device: cpu").notes if n.startswith("w is"))
    assert what in note
    assert "data.thousands" in note if "mark" in what else "write plain numbers" in note
    write(tmp_path, {"x": X, "y": decorated})
    outcome = train(tmp_path)
    assert outcome.code == 3
    assert what in outcome.stderr
    assert "choose another" not in outcome.stderr


def test_times_and_dates_stay_dates(tmp_path: Path) -> None:
    times = [f"{i % 24}:{i % 60:02}" for i in range(ROWS)]
    path = write(tmp_path, {"at": times, "x": X, "y": Y})
    notes = load(path, "  target: y", "device: cpu").notes
    assert not any("holds numbers" in note for note in notes)


def test_thousands_marks_are_read_strictly(tmp_path: Path) -> None:
    cells = {",": "1,234.5", "'": "1’234.5", "_": "1_234.5", " ": "1\u202f234.5"}
    for mark, cell in cells.items():
        table = read(
            tmp_path, f"a;b\n{cell};1\n-12;2\n0.728;3\n".encode(), separator=";", thousands=mark
        )
        assert table.frame["a"].tolist() == [1234.5, -12.0, 0.728]
    table = read(
        tmp_path, b"a;b\n1.629;1\n950;2\n3.486,50;3\n", separator=";", decimal=",", thousands="."
    )
    assert table.frame["a"].tolist() == [1629.0, 950.0, 3486.5]
    for odd in ("1.62", "1629.000", "0.728", "1.629.00"):
        data = f"a;b\n1.629;1\n950;2\n{odd};3\n".encode()
        keys = TableFormat(separator=";", decimal=",", thousands=".")
        (tmp_path / "t.csv").write_bytes(data)
        with pytest.raises(DataError, match=r"t\.csv:4: column 'a'"):
            read_table(tmp_path / "t.csv", keys, types={"a": "number"})


def german(folder: Path) -> tuple[list[int], list[int]]:
    income = [int(x) for x in np.random.default_rng(1).integers(150, 20_000, ROWS)]
    return income, [value // 3 for value in income]


def dotted(value: int) -> str:
    return f"{value:,}".replace(",", ".")


def test_german_thousands_get_a_note_and_are_read_with_the_key(tmp_path: Path) -> None:
    income, tax = german(tmp_path)
    path = write(tmp_path, {"x": map(dotted, income), "y": map(dotted, tax)}, ";")
    data = load(path, "  target: y", "  separator: ;", "device: cpu")
    (note,) = (note for note in data.notes if "exactly three digits" in note)
    assert note.startswith("x, y:")
    assert 'data.thousands: "." and data.decimal: ","' in note
    keys = TableFormat(separator=";", decimal=",", thousands=".")
    assert read_table(path, keys).frame["x"].tolist() == income
    # without the key, the decimal comma leaves no other reading
    with pytest.raises(DataError, match=r'set data\.thousands: "\."'):
        read_table(path, TableFormat(separator=";", decimal=","))


@pytest.mark.parametrize(
    "cells",
    [
        ["1.25", "3.5", "7", "100"],
        ["0.728", "1.629", "2", "3.112"],
        ["1.000", "2.500", "3.125", "4.250"],
        ["1.629", "1200", "2.111", "3.117"],
    ],
)
def test_decimals_get_no_note_on_thousands(tmp_path: Path, cells: list[str]) -> None:
    data = "a,b\n" + "".join(f"{cell},1\n" for cell in cells * 5)
    assert read(tmp_path, data.encode()).notes == ()


def test_predict_holds_to_the_format(tmp_path: Path) -> None:
    income, tax = german(tmp_path)
    marked = {"x": [f"{v:,}" for v in income], "y": [f"{v:,}" for v in tax]}
    path = write(tmp_path, marked)
    path.write_text("# a logger\n" + path.read_text())
    settings = ("data.thousands=','", "data.skip_rows=1")
    assert train(tmp_path, *settings).code == 0
    run_well(tmp_path, "predict", "t.csv", "--run", "run", "--output", "own.csv")
    write(tmp_path, {"x": income, "y": tax})
    options = ("--set", "data.thousands=null", "--set", "data.skip_rows=0")
    run_well(tmp_path, "predict", "t.csv", "--run", "run", "--output", "plain.csv", *options)
    assert (tmp_path / "own.csv").read_text() == (tmp_path / "plain.csv").read_text()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_skipped_lines_keep_the_numbers_of_the_others(
    tmp_path: Path, ending: bytes, is_packed: bool
) -> None:
    lines = [b'made by "x', b"", b'a,"b', b'c"', b"cm,kg", b"1,2", b"total,3", b"3,4"]
    path = tmp_path / ("t.csv.gz" if is_packed else "t.csv")
    data = ending.join(lines) + ending
    path.write_bytes(gzip.compress(data) if is_packed else data)
    table_format = TableFormat(skip_rows=(1, 5, 7))
    frame = read_table(path, table_format).frame
    assert frame.to_numpy().tolist() == [[1, 2], [3, 4]]
    assert find_lines(path, table_format, [0, 1]) == {0: 6, 1: 8}
    with pytest.raises(DataError, match=rf"{path.name}:5: .*skip_rows: \[1, 5\]|{path.name}:5: "):
        read_table(path, TableFormat(skip_rows=1), types={"a": "number"})


def test_a_line_to_skip_may_lie_beyond_the_first_block(tmp_path: Path) -> None:
    rows = 130_000
    body = [f"{i},{i % 7}" for i in range(rows)]
    body[120_000] = "end of part 1"
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(body) + "\n")
    table_format = TableFormat(skip_rows=(120_002,))
    assert len(read_table(path, table_format).frame) == rows - 1
    assert find_lines(path, table_format, [120_000]) == {120_000: 120_003}


def test_what_is_listed_as_missing_and_never_occurs_is_said(tmp_path: Path) -> None:
    path = write(
        tmp_path, {"k": [" ?" if i % 9 == 0 else "ab"[i % 2] for i in range(ROWS)], "y": Y}
    )
    listed = '  missing: ["", "?", gone, -999]'
    notes = [n for n in load(path, "  target: y", listed, "device: cpu").notes if "data.miss" in n]
    for what in (
        "'?' occurs nowhere in t.csv, but ' ?' does",
        "'gone' occurs nowhere",
        "-999 occurs",
    ):
        assert sum(what in note for note in notes) == 1
    listed = '  missing: ["", " ?"]'
    assert not any("occurs" in n for n in load(path, "  target: y", listed, "device: cpu").notes)


def test_one_accented_word_is_latin_1(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="probably Latin-1"):
        read(tmp_path, "größe;y\n1;2\n3;4\n".encode("latin-1"), separator=";")
    with pytest.raises(DataError, match="probably GBK"):
        read(tmp_path, "名称,数量\n苹果,1\n香蕉,2\n".encode("gbk"))


@pytest.mark.parametrize(
    ("cells", "plain"),
    [("{}.5k", "12500"), ("{}K", "12000"), ("$ {} bn", "12000000000"), ("{}.5 K", "12.5")],
)
def test_a_unit_that_multiplies_is_written_out(tmp_path: Path, cells: str, plain: str) -> None:
    sizes = [cells.format(12 + i) for i in range(ROWS)]
    write(tmp_path, {"x": X, "size": sizes, "y": Y})
    assert f"such as {plain}\n" in train(tmp_path).stderr


def test_a_label_among_few_numbers_is_refused_with_the_key_for_labels(tmp_path: Path) -> None:
    rating = ["A" if i % 15 == 0 else 1 + i % 3 for i in range(ROWS)]
    write(tmp_path, {"rating": rating, "x": X, "y": Y})
    outcome = train(tmp_path)
    assert outcome.code == 3
    assert "data.types: {rating: category}" in outcome.stderr
    assert train(tmp_path, "data.types={rating: category}").code == 0
