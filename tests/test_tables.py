"""`ml2021.data.tables`: every file is read as what it says, or refused by its line."""

import bz2
import gzip
import hashlib
import io
import os
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.headers import TableFormat
from ml2021.data.tables import Table, find_lines, read_header, read_table
from ml2021.errors import DataError

CSV = TableFormat()
NAN = float("nan")


def read(tmp_path: Path, data: bytes, format: TableFormat = CSV, **options: Any) -> Table:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    return read_table(path, format, **options)


def refuse(tmp_path: Path, data: bytes, format: TableFormat = CSV, **options: Any) -> list[str]:
    """Return the error's lines, with the path in front of them taken off."""
    with pytest.raises(DataError) as raised:
        read(tmp_path, data, format, **options)
    return [line.removeprefix(f"{tmp_path}/t.csv") for line in raised.value.lines]


def values(table: Table) -> dict[str, list[Any]]:
    """Return the columns; None for missing, so that they can be compared."""
    frame = table.frame
    return {c: [None if pd.isna(v) else v for v in frame[c].tolist()] for c in frame.columns}


SEMICOLON = TableFormat(separator=";", decimal=",")
BARE = TableFormat(header=False)

ACCEPTED: dict[str, tuple[bytes, TableFormat, dict[str, list[Any]]]] = {
    "plain": (b"a,b\n1,2.5\n3,x\n", CSV, {"a": [1, 3], "b": ["2.5", "x"]}),
    "no final newline": (b"a,b\n1,2", CSV, {"a": [1], "b": [2]}),
    "CRLF": (b"a,b\r\n1,2\r\n", CSV, {"a": [1], "b": [2]}),
    "CR": (b"a,b\r1,2\r3,4\r", CSV, {"a": [1, 3], "b": [2, 4]}),
    "mixed endings": (b"a,b\n1,2\r\n3,4\r5,6", CSV, {"a": [1, 3, 5], "b": [2, 4, 6]}),
    "blank lines": (b"\n\r\na,b\n\n1,2\n\n\n3,4\n\n", CSV, {"a": [1, 3], "b": [2, 4]}),
    "one column, blank at the end": (b"a\n1\n2\n\n\r\n", CSV, {"a": [1, 2]}),
    "one column, quoted empty": (b'a\n1\n""\n', CSV, {"a": [1.0, None]}),
    "one column, a line of spaces": (b"a\n \nx\n", CSV, {"a": [" ", "x"]}),
    "BOM": (b"\xef\xbb\xbfa,b\n1,2\n", CSV, {"a": [1], "b": [2]}),
    "quoted": (
        b'"a","b ""x"""\r\n1,"u,v"\r\n2,"p\nq"\r\n3,"w ""z"""\r\n',
        CSV,
        {"a": [1, 2, 3], 'b "x"': ["u,v", "p\nq", 'w "z"']},
    ),
    "quote inside": (
        b'a,b\n5" pipe,1\n6" pipe,2\n',
        CSV,
        {"a": ['5" pipe', '6" pipe'], "b": [1, 2]},
    ),
    "spaces in names": (b"a , \n1,2\n", CSV, {"a ": [1], " ": [2]}),
    "counted names": (b"0,1\n5,6\n", CSV, {"0": [5], "1": [6]}),
    "some names are numbers": (b"y,2020\n5,6\n", CSV, {"y": [5], "2020": [6]}),
    "repeated": (b"a,b,a\n1,2,3\n", CSV, {"a.0": [1], "b": [2], "a.1": [3]}),
    "repeated and taken": (b"a,a.0,a\n1,2,3\n", CSV, {"a.1": [1], "a.0": [2], "a.2": [3]}),
    "no header": (b"1,x\n2,y\n", BARE, {"0": [1, 2], "1": ["x", "y"]}),
    "semicolons": (
        b"a;b;c\n1,5;2;x;\n"[:-2] + b"\n",
        SEMICOLON,
        {"a": [1.5], "b": [2], "c": ["x"]},
    ),
    "tabs": (b"a\tb\n1\t2\n", TableFormat(separator="\t"), {"a": [1], "b": [2]}),
    "spaces": (b"a b\n1 2\n", TableFormat(separator=" "), {"a": [1], "b": [2]}),
    "latin-1": (
        "a,b\né,1\n".encode("latin-1"),
        TableFormat(encoding="latin-1"),
        {"a": ["é"], "b": [1]},
    ),
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
    "gzip": (
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
    "large integers": (
        b"a,b,c\n9007199254740993,18446744073709551615,99999999999999999999\n1,1,1\n",
        CSV,
        {"a": [9007199254740993, 1], "b": [2.0**64, 1], "c": [1e20, 1]},
    ),
    "float32 limit": (b"a\n3.4028235e38\n", CSV, {"a": [3.4028235e38]}),
    "text": (
        b"a,b,c\n1,5%,01\nx,6%,y\n",
        CSV,
        {"a": ["1", "x"], "b": ["5%", "6%"], "c": ["01", "y"]},
    ),
    "times": (b"a\n18.00.00\n19.00.00\n", SEMICOLON, {"a": ["18.00.00", "19.00.00"]}),
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


NUMBER = "correct it, or list it in data.missing"
ODD_QUOTE = (
    "text follows the closing quote of the field that opens here; double the quotes inside a field"
)

REFUSED: dict[str, tuple[bytes, TableFormat, list[str]]] = {
    "empty": (b"", CSV, [": an empty file; it should hold a table"]),
    "BOM alone": (b"\xef\xbb\xbf", CSV, [": an empty file; it should hold a table"]),
    "blank lines": (b"\n\r\n\n", BARE, [": an empty file; it should hold a table"]),
    "no rows": (b"a,b\n\n", CSV, [": a header and no rows; add the data"]),
    "numbers for names": (
        b"1,2.5,NA\n3,4,5\n",
        CSV,
        [":1: numbers where the column names belong; write a header, or set data.header: false"],
    ),
    "nameless": (b"\na,,c\n1,2,3\n", CSV, [":2: column 2 has no name; give it one"]),
    "nameless index": (
        b",0,1\n0,2,3\n",
        CSV,
        [
            ":1: column 1 has no name; give it one (pandas writes its index so; index=False leaves "
            "it out)"
        ],
    ),
    "short": (
        b"a,b,c\n1,2,3\n4,5\n6,7,8\n",
        CSV,
        [":3: 2 fields where the header has 3; give the row a field for each column"],
    ),
    "short by a blank": (
        b"a,b\n1,2\n  \n",
        CSV,
        [":3: 1 field where the header has 2; give the row a field for each column"],
    ),
    "short and long": (
        b"a,b,c\n1,2\n3,4,5,6\n",
        CSV,
        [":2: 2 fields where the header has 3; give the row a field for each column"],
    ),
    "long": (
        b"a,b\n1,2\n3,4,5\n",
        CSV,
        [
            ":3: 3 fields where the header has 2; "
            "quote the fields that hold the separator, or name every column"
        ],
    ),
    "all long": (
        b"a,b\n1,2,3\n4,5,6\n",
        CSV,
        [
            ":2: 3 fields where the header has 2; "
            "quote the fields that hold the separator, or name every column"
        ],
    ),
    "first long, no header": (
        b"1,2,3\n4,5\n6,7\n",
        BARE,
        [":2: 2 fields where the first row has 3; give the row a field for each column"],
    ),
    "cut off": (
        b"a,b,c\n1,2,3\n4,5",
        CSV,
        [":3: 2 fields where the header has 3; the file seems to be cut off here"],
    ),
    "unclosed": (
        b'a,b\n"1\n1",2\n3,"4\n5,6\n',
        CSV,
        [":4: the quote that opens here is never closed; close it or take it out"],
    ),
    "text after a quote": (b'a,b\n1,2\n3,"x" y\n', CSV, [f":3: {ODD_QUOTE}"]),
    "quote closed later": (
        b'a,b\n1,"x\n2,3\n4,"y"\n',
        CSV,
        [":2: " + ODD_QUOTE.replace("quote of", "quote on line 4 of")],
    ),
    "line numbers after quoted newlines": (
        b'a,b\r\n"1\r\n\n2\r3",4\r\n5\r\n',
        CSV,
        [":6: 1 field where the header has 2; give the row a field for each column"],
    ),
    "one column, a blank line": (
        b"a\n1\n\n2\n",
        CSV,
        [':3: a blank line, which could be a missing value; write "" in it, or take it out'],
    ),
    "latin-1": (
        "a,b\n1,2\ncafé,1\n".encode("latin-1"),
        CSV,
        [":3: not UTF-8, it looks like Latin-1; set data.encoding: latin-1"],
    ),
    "cp1252": (
        "a,b\n1,2\n5€ café,1\n".encode("cp1252"),
        CSV,
        [":3: not UTF-8, it looks like cp1252; set data.encoding: cp1252"],
    ),
    "gbk": (
        "a,b\n中文名字,1\n机器学习,2\n".encode("gbk"),
        CSV,
        [":2: not UTF-8, it looks like GBK; set data.encoding: gbk"],
    ),
    "utf-16": (
        "a,b\n1,2\n".encode("utf-16"),
        CSV,
        [":1: not UTF-8, it looks like UTF-16; set data.encoding: utf-16"],
    ),
    "utf-16 without a mark": (
        "a,b\n1,2\n".encode("utf-16-le"),
        CSV,
        [":1: not UTF-8, it looks like UTF-16; set data.encoding: utf-16"],
    ),
    "ascii": (
        "a,b\n1,2\né,1\n".encode(),
        TableFormat(encoding="ascii"),
        [
            ":3: not ascii (ordinal not in range(128)); "
            "set data.encoding to what the file was saved in"
        ],
    ),
    "cut inside a character": (
        "a,b\n1,é".encode()[:-1],
        CSV,
        [":2: not UTF-8, it looks like Latin-1; set data.encoding: latin-1"],
    ),
    "no such encoding": (
        b"a,b\n1,2\n",
        TableFormat(encoding="utf-9"),
        ["data.encoding: no encoding is called 'utf-9'; utf-8 is the usual one"],
    ),
    "NUL": (
        b"a,b\n1,2\n3,x\0y\n",
        CSV,
        [":3: a NUL character; take it out, or name the right data.encoding"],
    ),
    "semicolons": (
        b"a;b\n1;2\n",
        CSV,
        [':1: the header is a single field; set data.separator: ";"'],
    ),
    "semicolons and decimal commas": (
        b"a;b;c\n1,5;2;x\n",
        CSV,
        [':1: the header is a single field; set data.separator: ";" and data.decimal: ","'],
    ),
    "tabs": (
        b"a\tb\n1\t2\n",
        CSV,
        [':1: the header is a single field; set data.separator: "\\t"'],
    ),
    "decimal commas": (
        b"a;b\n1,5;x\n2,5;y\n",
        TableFormat(separator=";"),
        [
            ":2: column 'a': '1,5' is not a number; "
            'write it with "." and without marks for thousands, '
            'or set data.decimal: "," (and 1 more in this column)'
        ],
    ),
    "separator is the decimal mark": (
        b"a,b\n1,2\n",
        TableFormat(decimal=","),
        [
            "data.decimal: ',' cannot be the decimal mark where data.separator is ','; "
            "it is a point or a comma"
        ],
    ),
    "separator of two": (
        b"a,b\n1,2\n",
        TableFormat(separator="::"),
        [
            "data.separator: '::' cannot separate fields; "
            'use one character such as ",", ";" or "\\t"'
        ],
    ),
    "damaged gzip": (
        gzip.compress(b"a,b\n1,2\n")[:-9],
        CSV,
        [
            ": damaged gzip: Compressed file ended before the end-of-stream marker was reached; "
            "get it again"
        ],
    ),
    "zip": (b"PK\x03\x04" + bytes(30), CSV, [": a zip archive; unpack it"]),
    "bzip2": (bz2.compress(b"a\n1\n"), CSV, [": a bzip2 file; unpack it, or pack it with gzip"]),
    "infinite": (
        b"a,b\n1,inf\n2,-Infinity\n3,4\n",
        CSV,
        [
            f":2: column 'b': 'inf' is not a finite number; {NUMBER}",
            f":3: column 'b': '-Infinity' is not a finite number; {NUMBER}",
        ],
    ),
    "nan not listed": (
        b"a\n1\nnan\n",
        CSV,
        [f":3: column 'a': 'nan' is not a finite number; {NUMBER}"],
    ),
    "too large": (
        b"a,b\n1e400,1e39\n1,1\n",
        CSV,
        [
            f":2: column 'a': '1e400' is too large, the largest number is about 3.4e38; {NUMBER}",
            f":2: column 'b': '1e39' is too large, the largest number is about 3.4e38; {NUMBER}",
        ],
    ),
    "empty, not listed": (
        b"a,b\n1,2\n,3\n",
        TableFormat(missing=("NA",)),
        [f":3: column 'a': an empty cell is not a number; {NUMBER}"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    data, format, expected = REFUSED[case]
    assert refuse(tmp_path, data, format) == expected


ODD_CELLS = ["1_000", "٣", '"1,000"', "0x10", "5%", "\u00a01", "x", "True", "1 2", "+3e 2", "--1"]


@pytest.mark.parametrize("cell", ODD_CELLS)
def test_odd_cell_among_numbers(tmp_path: Path, cell: str) -> None:
    shown = cell.strip('"').replace("\u00a0", "\\xa0")
    expected = f"column 'a': '{shown}' is not a number; {NUMBER}"
    nine = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"
    assert refuse(tmp_path, b"a\n" + nine + cell.encode() + b"\n") == [f":11: {expected}"]
    if cell == '"1,000"':
        # with marks for thousands it is still a column of numbers, whatever their share
        marked = f'{expected.split(";")[0]}; write it with "." and without marks for thousands'
        assert refuse(tmp_path, b"a\n1\n" + cell.encode()) == [f":3: {marked}"]
        return
    # one in eight is more than a tenth: the column is text
    table = read(tmp_path, b"a\n" + nine[2:] + cell.encode() + b"\n")
    assert table.frame["a"].tolist()[-1] == cell.strip('"')
    # but not where it has to be a number, and not where nobody asked for it
    assert refuse(tmp_path, f"b,a\n1,{cell}\n".encode(), kinds={"a": "number"}) == [
        f":2: {expected}"
    ]
    assert values(read(tmp_path, f"b,a\n1,{cell}\n".encode(), columns=["b"])) == {"b": [1]}


def test_many_odd_cells(tmp_path: Path) -> None:
    rows = [f"{i},{'x' if i % 20 == 7 else i},{'y' if i == 50 else i}" for i in range(100)]
    assert refuse(tmp_path, "\n".join(["a,b,c", *rows]).encode()) == [
        f":9: column 'b': 'x' is not a number; {NUMBER}",
        f":29: column 'b': 'x' is not a number; {NUMBER}",
        f":49: column 'b': 'x' is not a number; {NUMBER} (and 2 more in this column)",
        f":52: column 'c': 'y' is not a number; {NUMBER}",
    ]


def test_many_odd_columns(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(7))
    lines = refuse(tmp_path, f"{names}\n{'inf,' * 6}inf\n".encode())
    assert len(lines) == 5
    assert lines[-1].endswith("(and 2 more columns with such cells)")


def test_control_characters_are_escaped_and_long_cells_cut(tmp_path: Path) -> None:
    cell = '"\x1b[2J' + "x" * 1000 + '"'
    (line,) = refuse(tmp_path, f"a\n{cell}\n".encode(), kinds={"a": "number"})
    assert "'\\x1b[2Jxxx" in line
    assert len(line) < 200


def test_the_odd_cell_of_a_later_block_is_found(tmp_path: Path) -> None:
    rows = 250_000
    body = b"".join(b'%d,"p\nq"\n' % i for i in range(rows))
    assert len(body) > 2 << 20
    assert refuse(tmp_path, b"a,b\n" + body + b"z,r\n") == [
        f":{2 * rows + 2}: column 'a': 'z' is not a number; {NUMBER}"
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("text", ["1", "2.50", None, "007"]), ("number", [1, 2.5, None, 7])],
)
def test_forced_kinds(tmp_path: Path, kind: StorageType, expected: list[Any]) -> None:
    table = read(tmp_path, b"b,a\n0,1\n0,2.50\n0,NA\n0,007\n", kinds={"a": kind})
    assert values(table)["a"] == expected


def test_all_missing_column_is_of_numbers(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,b,c\nNA,,x\n,-9,y\n", TableFormat(missing=("", "NA", -9)))
    assert table.frame.dtypes.astype(str).tolist() == ["float64", "float64", "object"]


def test_columns_come_in_file_order(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,b,c,a\n1,2,3,4\n", columns=["a.1", "b"])
    assert values(table) == {"b": [2], "a.1": [4]}
    assert len(read(tmp_path, b"a,b\n1,2\n3,4\n", columns=[]).frame) == 2


def test_lacking_column(tmp_path: Path) -> None:
    assert refuse(tmp_path, b"a,b\n1,2\n", columns=["a", "z"]) == [": no column 'z'; add it"]


def test_repeated_names(tmp_path: Path) -> None:
    header = read(tmp_path, b"a,b,a,c,c\n1,2,3,4,5\n").header
    assert header.raw == ("a", "b", "a", "c", "c")
    assert header.names == ("a.0", "b", "a.1", "c.0", "c.1")
    assert header.repeated == {"a": ("a.0", "a.1"), "c": ("c.0", "c.1")}


def test_lines_of_rows(tmp_path: Path) -> None:
    read(tmp_path, b'a,b\n\n1,"x\ny"\r\n2,z\n3,w\n')
    assert find_lines(tmp_path / "t.csv", CSV, [0, 1, 2]) == {0: 3, 1: 5, 2: 6}


def test_excel(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    assert refuse(tmp_path, packed.getvalue()) == [": an Excel workbook; save it as CSV"]


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    fifo, listening = tmp_path / "f", tmp_path / "s"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(listening))
        for path, what in (
            (fifo, "not a regular file"),
            (listening, "cannot be opened"),
            (Path(os.devnull), "not a regular file"),
            (tmp_path, "a directory"),
            (tmp_path / "absent", "no such file"),
            (tmp_path / ("n" * 300), "cannot be opened"),
            (tmp_path / "nul\0", "cannot be opened"),
        ):
            with pytest.raises(DataError, match=what):
                read_table(path, CSV)


def test_not_found_names_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as raised:
        read_header(Path("data/x.csv"), CSV)
    assert raised.value.lines == (f"{tmp_path}/data/x.csv: no such file; check the path",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\n1\n")
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be opened: Permission denied"):
        read_table(path, CSV)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "f": [0.5, NAN],
            "s": ["x", "NA"],
            "b": [True, False],
            "n": ["1", "2"],
            "k": [3, 4],
        }
    )
    frame.to_parquet(path)
    table = read_table(path, CSV, columns=["i", "f", "s", "b", "k"], kinds={"k": "text"})
    expected = {
        "i": [1, 2],
        "f": [0.5, None],
        "s": ["x", None],
        "b": ["True", "False"],
        "k": ["3", "4"],
    }
    assert values(table) == expected
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_header(path, CSV).names == ("i", "f", "s", "b", "n", "k")
    with pytest.raises(DataError) as raised:
        read_table(path, CSV, columns=["s"], kinds={"s": "number"})
    assert raised.value.lines == (f"{path}: row 1: column 's': 'x' is not a number; {NUMBER}",)
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
    """Return a number as the documentation has it, by Python's float less what it takes besides."""
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
        read_table(path, CSV, kinds={"b": "number"})
    odd = [index + 2 for index, number in enumerate(expected) if number is None]
    lines = [int(line.removeprefix(f"{path}:").split(":")[0]) for line in raised.value.lines]
    assert lines == odd[:3]


def test_a_column_that_looks_otherwise_further_down(tmp_path: Path) -> None:
    """Further down than the piece of the file that pandas looks at for the kind of a column."""
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
    frame = read_table(path, TableFormat(), kinds={"code": "text"}).frame
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
