"""`ml2021.data.tables`: a file is read exactly as written, or refused with its line."""

import bz2
import gzip
import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.scan import TableFormat
from ml2021.data.tables import Table, find_lines, read_header, read_table
from ml2021.errors import DataError

CSV = TableFormat()
SEMICOLON = TableFormat(separator=";", decimal=",")
BARE = TableFormat(header=False)


def read(tmp_path: Path, data: bytes, format: TableFormat = CSV, **options: Any) -> Table:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    return read_table(path, format, **options)


def assert_refused(
    tmp_path: Path, data: bytes, *starts: str, format: TableFormat = CSV, **options: Any
) -> list[str]:
    """Check how each line of the error starts, after the path; return what follows the path."""
    with pytest.raises(DataError) as raised:
        read(tmp_path, data, format, **options)
    lines = [line.removeprefix(f"{tmp_path}/t.csv") for line in raised.value.lines]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == [*starts]
    return lines


def values(table: Table) -> dict[str, list[Any]]:
    """Return the columns; None for missing, so that they can be compared."""
    frame = table.frame
    return {c: [None if pd.isna(v) else v for v in frame[c].tolist()] for c in frame.columns}


ACCEPTED: dict[str, tuple[bytes, TableFormat, dict[str, list[Any]]]] = {
    "mixed endings": (b"a,b\n1,2\r\n3,4\r5,6", CSV, {"a": [1, 3, 5], "b": [2, 4, 6]}),
    "blank lines": (b"\n\r\na,b\n\n1,2\n\n\n3,4\n\n", CSV, {"a": [1, 3], "b": [2, 4]}),
    "one column, blank at the end": (b"a\n1\n2\n\n\r\n", CSV, {"a": [1, 2]}),
    "one column, quoted empty": (b'a\n1\n""\n', CSV, {"a": [1.0, None]}),
    "one column, a line of spaces": (b"a\n \nx\n", CSV, {"a": [" ", "x"]}),
    "byte order mark in a cell": ("a,b\r\ufeff1,2\r".encode(), CSV, {"a": ["\ufeff1"], "b": [2]}),
    "quoted": (
        b'"a","b ""x"""\r\n1,"u,v"\r\n2,"p\nq"\r\n3,"w ""z"""\r\n',
        CSV,
        {"a": [1, 2, 3], 'b "x"': ["u,v", "p\nq", 'w "z"']},
    ),
    "quote inside": (b'a,b\n5" pipe,1\n6" pipe,2', CSV, {"a": ['5" pipe', '6" pipe'], "b": [1, 2]}),
    "spaces in names": (b"a , \n1,2\n", CSV, {"a ": [1], " ": [2]}),
    "some names are numbers": (b"y,2020\n5,6\n", CSV, {"y": [5], "2020": [6]}),
    "repeated and taken": (b"a,a.0,a\n1,2,3\n", CSV, {"a.1": [1], "a.0": [2], "a.2": [3]}),
    "no header": (b"1,x\n2,y\n", BARE, {"0": [1, 2], "1": ["x", "y"]}),
    "semicolons": (b"a;b;c\n1,5;2;x\n", SEMICOLON, {"a": [1.5], "b": [2], "c": ["x"]}),
    "times": (b"a\n18.00.00\n19.00.00\n", SEMICOLON, {"a": ["18.00.00", "19.00.00"]}),
    "spaces": (b"a b\n1 2\n", TableFormat(separator=" "), {"a": [1], "b": [2]}),
    "gbk": (
        "名,b\n中文,1\n".encode("gbk"),
        TableFormat(encoding="gbk"),
        {"名": ["中文"], "b": [1]},
    ),
    "utf-16": (
        "a,b\né,1\n".encode("utf-16"),
        TableFormat(encoding="utf-16"),
        {"a": ["é"], "b": [1]},
    ),
    "utf-16-le": (
        "\ufeffa,b\né,1\n".encode("utf-16-le"),
        TableFormat(encoding="utf-16-le"),
        {"a": ["é"], "b": [1]},
    ),
    "gzip of two parts": (
        gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n"),
        CSV,
        {"a": [1, 3], "b": [2, 4]},
    ),
    "missing": (
        b"a,b,c,d\n,NA,N/A,x\nnull,None,NaN,NA\n",
        CSV,
        {"a": [None, None], "b": [None, None], "c": [None, None], "d": ["x", None]},
    ),
    "missing by number": (
        b"a,b,c\n-200,-200.0,x\n1,2.5,-2e2\n3,-0200,y\n",
        TableFormat(missing=("", -200)),
        {"a": [None, 1, 3], "b": [None, 2.5, None], "c": ["x", None, "y"]},
    ),
    "missing by text of a number": (
        b"a\n9.9\n1\n",
        TableFormat(missing=("9.90",)),
        {"a": [None, 1]},
    ),
    "missing by a text like a number": (
        b"a\n1000\n1_000\n",
        TableFormat(missing=("1_000",)),
        {"a": [1000.0, None]},
    ),
    "booleans": (
        b"a,b\nTrue,true\nFALSE,\nfalse,False\n",
        CSV,
        {"a": ["True", "FALSE", "false"], "b": ["true", None, "False"]},
    ),
    "numbers": (
        b"a\n+1\n 2\n3 \n4.\n.5\n6e1\n7E-1\n-8e+0\n",
        CSV,
        {"a": [1, 2, 3, 4, 0.5, 60, 0.7, -8]},
    ),
    "large numbers": (
        b"a,b,c\n9007199254740993,18446744073709551615,99999999999999999999\n1,3.4028235e38,1\n",
        CSV,
        {"a": [9007199254740993, 1], "b": [2.0**64, 3.4028235e38], "c": [1e20, 1]},
    ),
    "text": (
        b"a,b,c\n1,5%,01\nx,6%,y\n",
        CSV,
        {"a": ["1", "x"], "b": ["5%", "6%"], "c": ["01", "y"]},
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(tmp_path: Path, case: str) -> None:
    data, format, expected = ACCEPTED[case]
    table = read(tmp_path, data, format)
    assert values(table) == expected
    assert table.sha256 == hashlib.sha256(data).hexdigest()
    assert isinstance(table.frame.index, pd.RangeIndex)
    assert {str(t) for t in table.frame.dtypes} <= {"int64", "float64", "object"}
    assert read_header(tmp_path / "t.csv", format) == table.header


# what the catalogue does not show already
REFUSED: dict[str, tuple[bytes, TableFormat, str]] = {
    "BOM alone": (b"\xef\xbb\xbf", CSV, ": the file is empty"),
    "blank lines": (b"\n\r\n\n", BARE, ": the file is empty"),
    "short by a blank": (b"a,b\n1,2\n  \n", CSV, ":3: 1 field"),
    "short and long": (b"a,b,c\n1,2\n3,4,5,6\n", CSV, ":2: 2 fields"),
    "first long": (b"a,b\n1,2,3\n4,5\n", CSV, ":2: 3 fields"),
    "first long, no header": (b"1,2,3\n4,5\n", BARE, ":2: 2 fields, but the first row has 3"),
    "text after a quote": (b'a,b\n1,2\n3,"x" y\n', CSV, ":3: text after the closing quote of"),
    "quote closed later": (
        b'a,b\n1,"x\n2,3\n4,"y"\n',
        CSV,
        ":2: text after the closing quote on line 4",
    ),
    "unclosed after a newline": (
        b'a,b\n"1\n1",2\n3,"4\n5,6\n',
        CSV,
        ":4: a quote opened here is never",
    ),
    "cp1252": ("a,b\n1,2\n5€ café,1\n".encode("cp1252"), CSV, ":3: not UTF-8 (probably cp1252)"),
    "gbk": ("a,b\n中文名字,1\n机器学习,2\n".encode("gbk"), CSV, ":2: not UTF-8 (probably GBK)"),
    "utf-16 without a mark": (
        "a,b\n1,2\n".encode("utf-16-le"),
        CSV,
        ":1: not UTF-8 (probably UTF-16)",
    ),
    "ascii": ("a,b\n1,2\né,1\n".encode(), TableFormat(encoding="ascii"), ":3: not ascii"),
    "cut inside a character": ("a,b\n1,é".encode()[:-1], CSV, ":2: not UTF-8 (probably Latin-1)"),
    "no such encoding": (b"a,b\n1,2\n", TableFormat(encoding="utf-9"), "data.encoding: unknown"),
    "separator is the decimal mark": (b"a,b\n1,2\n", TableFormat(decimal=","), "data.decimal: ','"),
    "separator of two": (b"a,b\n1,2\n", TableFormat(separator="::"), "data.separator: '::'"),
    "damaged gzip": (gzip.compress(b"a,b\n1,2\n")[:-9], CSV, ": damaged gzip file: Compressed"),
    "zip": (b"PK\x03\x04" + bytes(30), CSV, ": this is a zip archive"),
    "bzip2": (bz2.compress(b"a\n1\n"), CSV, ": this is a bzip2 file"),
    "empty, not listed": (
        b"a,b\n1,2\n,3\n",
        TableFormat(missing=("NA",)),
        ":3: column 'a': an empty",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    data, format, start = REFUSED[case]
    assert_refused(tmp_path, data, start, format=format)


@pytest.mark.parametrize("cell", ["1_000", "٣", '"1,000"', "x", "True", "1 2", "+3e 2", "--1"])
def test_invalid_cell_among_numbers(tmp_path: Path, cell: str) -> None:
    shown = cell.strip('"')
    words = ("x", "True", "+3e 2", "--1", "1 2")
    expected = f": column 'a': '{shown}' is {'not a number' if shown in words else 'a number with'}"
    nine = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"
    assert_refused(tmp_path, b"a\n" + nine + cell.encode() + b"\n", f":11{expected}")
    if cell == '"1,000"':
        # thousands marks make it a column of numbers, whatever their share
        start = ":3: column 'a': numbers with the thousands mark ','"
        assert_refused(tmp_path, b"a\n1\n" + cell.encode(), start)
        return
    # one word among different numbers is an error, whatever its share; numbers in another writing
    # are left as text, and so is one among few
    eight = b"a\n" + nine[2:] + cell.encode()
    if shown in words:
        assert_refused(tmp_path, eight, f":10{expected}")
    else:
        assert read(tmp_path, eight).frame["a"].tolist()[-1] == shown
    assert read(tmp_path, b"a\n1\n2\n2\n" + cell.encode()).frame["a"].tolist()[-1] == shown
    # but not if it must hold numbers, and not if it is not selected
    one = f"b,a\n1,{cell}\n".encode()
    assert_refused(tmp_path, one, f":2{expected}", types={"a": "number"})
    assert values(read(tmp_path, one, columns=["b"])) == {"b": [1]}


def test_three_cells_of_five_columns_are_listed(tmp_path: Path) -> None:
    rows = [f"{i},{'x' if i % 20 == 7 else i},{'y' if i == 50 else i}" for i in range(100)]
    data = "\n".join(["a,b,c", *rows]).encode()
    lines = assert_refused(tmp_path, data, ":9: column 'b': 'x' (5 cells)", ":52: column 'c': 'y'")
    odd = [f"x{i}" if i % 20 == 7 else str(i) for i in range(100)]
    starts = [f":{row}: column 'a': 'x{row - 2}'" for row in (9, 29, 49)]
    lines = assert_refused(tmp_path, "\n".join(["a", *odd]).encode(), *starts)
    assert lines[2].endswith("(and 2 more in this column)")
    names = ",".join(f"c{i}" for i in range(7))
    starts = [f":2: column 'c{i}'" for i in range(5)]
    lines = assert_refused(tmp_path, f"{names}\n{'inf,' * 6}inf\n".encode(), *starts)
    assert "2 more columns" in lines[-1]


def test_control_characters_are_escaped_and_long_cells_cut(tmp_path: Path) -> None:
    cell = '"\x1b[2J' + "x" * 1000 + '"'
    start = ":2: column 'a': '\\x1b[2Jxxx"
    (line,) = assert_refused(tmp_path, f"a\n{cell}\n".encode(), start, types={"a": "number"})
    assert len(line) < 200


def test_the_invalid_cell_of_a_later_block_is_found(tmp_path: Path) -> None:
    rows = 250_000
    body = b"".join(b'%d,"p\nq"\n' % i for i in range(rows))
    assert len(body) > 2 << 20
    assert_refused(tmp_path, b"a,b\n" + body + b"z,r\n", f":{2 * rows + 2}: column 'a': 'z'")


@pytest.mark.parametrize(
    ("storage", "expected"), [("text", ["1", "2.50", None, "007"]), ("number", [1, 2.5, None, 7])]
)
def test_a_column_of_the_given_type(
    tmp_path: Path, storage: StorageType, expected: list[Any]
) -> None:
    table = read(tmp_path, b"b,a\n0,1\n0,2.50\n0,NA\n0,007\n", types={"a": storage})
    assert values(table)["a"] == expected


def test_all_missing_column_is_of_numbers(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,b,c\nNA,,x\n,-9,y\n", TableFormat(missing=("", "NA", -9)))
    assert table.frame.dtypes.astype(str).tolist() == ["float64", "float64", "object"]


def test_columns_come_in_file_order(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,b,c,a\n1,2,3,4\n", columns=["a.1", "b"])
    assert values(table) == {"b": [2], "a.1": [4]}
    assert len(read(tmp_path, b"a,b\n1,2\n3,4\n", columns=[]).frame) == 2
    assert_refused(tmp_path, b"a,b\n1,2\n", ": no column 'z'", columns=["a", "z"])


def test_repeated_names(tmp_path: Path) -> None:
    header = read(tmp_path, b"a,b,a,c,c\n1,2,3,4,5\n").header
    assert header.raw == ("a", "b", "a", "c", "c")
    assert header.names == ("a.0", "b", "a.1", "c.0", "c.1")
    assert header.repeated == {"a": ("a.0", "a.1"), "c": ("c.0", "c.1")}


def test_lines_of_rows(tmp_path: Path) -> None:
    read(tmp_path, b'a,b\n\n1,"x\ny"\r\n2,z\n3,w\n')
    assert find_lines(tmp_path / "t.csv", CSV, [0, 1, 2]) == {0: 3, 1: 5, 2: 6}


def test_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listening = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(listening))
        for path, what in (
            (listening, "cannot be opened"),
            (Path(os.devnull), "not a regular file"),
            (Path("absent.csv"), f"{tmp_path}/absent.csv: no such file"),
            (tmp_path / ("n" * 300), "cannot be opened"),
            (tmp_path / "nul\0", "cannot be opened"),
        ):
            with pytest.raises(DataError, match=what):
                read_table(path, CSV)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_permission_denied(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch(mode=0)
    with pytest.raises(DataError, match="cannot be opened: Permission denied"):
        read_table(tmp_path / "t.csv", CSV)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {
        "i": [1, 2],
        "f": [0.5, None],
        "s": ["x", "NA"],
        "b": [True, False],
        "n": ["1", "2"],
        "k": [3, 4],
    }
    pd.DataFrame(columns).to_parquet(path)
    table = read_table(path, CSV, columns=["i", "f", "s", "b", "k"], types={"k": "text"})
    assert values(table) == {
        "i": [1, 2],
        "f": [0.5, None],
        "s": ["x", None],
        "b": ["True", "False"],
        "k": ["3", "4"],
    }
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_header(path, CSV).names == tuple(columns)
    with pytest.raises(DataError, match=r"t\.parquet: row 1: column 's': 'x'"):
        read_table(path, CSV, columns=["s"], types={"s": "number"})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a Parquet file"):
        read_table(path, CSV)
    pd.DataFrame({"l": [[1], [2]]}).to_parquet(path)
    with pytest.raises(DataError, match="column 'l' holds list"):
        read_table(path, CSV)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cells")


def reference_number(cell: str) -> float | None:
    """Return the number by Python's float, without what only Python accepts."""
    if not cell.isascii() or "_" in cell or set(cell.lower()) & set("infaty"):
        return None
    try:
        number = float(cell)
    except ValueError:
        return None
    with np.errstate(over="ignore"):
        return number if np.isfinite(np.float32(number)) else None


@given(
    st.lists(st.text("0123.+-eE _x\t٣\u00a0inf", min_size=1, max_size=7), min_size=1, max_size=4)
)
@example(["+3e 2"])
@example(["1e38", "-4e38"])
@settings(max_examples=400, deadline=None)
def test_numbers_are_those_of_the_reference(scratch: Path, cells: list[str]) -> None:
    path = scratch / "n.csv"
    path.write_text("a,b\n" + "".join(f"0,{cell}\n" for cell in cells), newline="")
    expected = [reference_number(cell) for cell in cells]
    if None not in expected:
        table = read_table(path, CSV)
        numbers = np.array(expected, np.float64)
        np.testing.assert_allclose(table.frame["b"].to_numpy(), numbers, rtol=1e-15)
        return
    with pytest.raises(DataError) as raised:
        read_table(path, CSV, types={"b": "number"})
    odd = [
        index + 2
        for index, number in enumerate(expected)
        if number is None and cells[index] not in cells[:index]
    ]
    lines = [int(line.removeprefix(f"{path}:").split(":")[0]) for line in raised.value.lines]
    assert lines == odd[:3]


def test_a_column_whose_cells_change_further_down(tmp_path: Path) -> None:
    """Further down than the first piece that pandas parses."""
    rows, late = 600_000, 550_000
    cells = {
        "flag": ["true"] * late + ["1"] * (rows - late),
        "code": ["007"] * late + ["x7"] * (rows - late),
        "whole": ["3"] * late + ["2.5"] * (rows - late),
        "none": [""] * late + ["4"] * (rows - late),
        "word": [""] * late + ["x"] * (rows - late),
        "gone": ["x"] * (rows - late) + [""] * late,
        "big": ["9007199254740993"] * rows,
    }
    lines = [",".join(cells), *map(",".join, zip(*cells.values(), strict=True))]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    frame = read_table(path, TableFormat(), types={"code": "text"}).frame
    assert frame["flag"].tolist() == cells["flag"]
    assert frame["code"].tolist() == cells["code"]
    assert frame["whole"].tolist() == [3.0] * late + [2.5] * (rows - late)
    assert frame["none"].isna().sum() == late
    assert frame["none"].dropna().unique().tolist() == [4.0]
    for name in ("word", "gone"):
        assert frame[name].fillna("").tolist() == cells[name]
    assert frame["big"].unique().tolist() == [9007199254740993]
    path.write_text("\n".join([*lines, "1,007,odd,4,x,x,5"]) + "\n")
    with pytest.raises(DataError) as caught:
        read_table(path, TableFormat(), columns=["whole"])
    assert str(caught.value).startswith(f"{path}:{rows + 2}: column 'whole'")
