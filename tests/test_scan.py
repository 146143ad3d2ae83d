"""`ml2021.data.csv.scan` against Python's csv module: the same records, or the line in error."""

import csv
import io
import random
import re
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml2021.data.csv import source
from ml2021.data.csv.records import count_lines, regular_records
from ml2021.data.csv.scan import TableFormat, TextScan
from ml2021.data.tables import read_table
from ml2021.errors import DataError
from tests.fuzz_csv import read_records


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scan")


def check(path: Path, text: str, separator: str = ",", encoding: str = "utf-8") -> bool:
    """Compare a file with the reference; return whether it was accepted."""
    path.write_bytes(text.encode(encoding))
    records, refusal = read_records(text, separator)
    format = TableFormat(separator=separator, decimal=".", encoding=encoding, missing=())
    if refusal is None:
        names, *rows = [record for _, record in records]
        table = read_table(path, format, types=dict.fromkeys(names, "text"))
        assert table.frame.to_numpy().tolist() == rows
        return True
    with pytest.raises(DataError) as raised:
        read_table(path, format)
    if refusal.lines is not None:
        match = re.match(re.escape(str(path)) + r":(\d+): ", str(raised.value))
        assert match, raised.value
        assert int(match[1]) in refusal.lines, (raised.value, refusal)
    return False


PIECES = st.lists(
    st.sampled_from(["1", "a", " ", '"', '""', ",", ",", "\n", "\r\n", "\r", "é", '","', '"\n"']),
    max_size=30,
)


@given(PIECES, st.sampled_from([3, 16, 1 << 20]), st.sampled_from(["utf-8", "latin-1", "utf-16"]))
@example(['"', "a", '"', " "], 3, "utf-8")
@example(["a", '"', ",", '"', "1"], 3, "utf-8")
@settings(max_examples=500, deadline=None)
def test_any_text(scratch: Path, pieces: list[str], chunk: int, encoding: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK", chunk)
        check(scratch / "t.csv", "x,y\n" + "".join(pieces), encoding=encoding)


CELL = st.text(st.sampled_from('ab1;,"\r\n é中'), max_size=6)


@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8
        )
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
    st.sampled_from([5, 64]),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=250, deadline=None)
def test_written_and_damaged_tables(
    scratch: Path,
    rows: list[list[str]],
    ending: str,
    separator: str,
    quote_all: bool,
    chunk: int,
    damage: int,
    chance: random.Random,
) -> None:
    names = [f"c{i}" for i in range(len(rows[0]))]
    rows = [list(row) for row in rows]
    if damage == 1:
        chance.choice(rows).pop()
    elif damage == 2:
        chance.choice(rows).append("more")
    written = io.StringIO(newline="")
    # with this line ending the csv module quotes \r and \n
    dialect = "unix" if quote_all else "excel"
    writer = csv.writer(written, dialect, delimiter=separator, lineterminator="\r\n")
    text = ""
    for row in [names, *rows]:
        written.seek(0)
        written.truncate()
        writer.writerow(row)
        text += written.getvalue().removesuffix("\r\n") + ending
    if damage == 3:
        at = chance.randrange(text.index(ending), len(text))
        text = text[:at] + '"' + text[at:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK", chunk)
        accepted = check(scratch / "w.csv", text, separator)
    if damage == 0:
        assert accepted
    if damage in (1, 2):
        assert not accepted


@pytest.mark.parametrize(
    ("data", "width", "expected"),
    [
        (b"1,2\n3,4\n5", 2, (8, 2)),
        (b"1,2\r\n3,4\r\n", 2, (10, 2)),
        (b'"1,2","\n"\n"""",4\n', 2, (17, 2)),
        (b"1\n2\n", 1, (4, 2)),
        (b"1,2\n3\n4,5,6\n", 2, (0, 0)),
        (b"1,2\n\n3,4\n", 2, (0, 0)),
        (b"1\n\n2\n", 1, (0, 0)),
        (b"1\r\n\r\n2\r\n", 1, (0, 0)),
        (b"1,2\r3,4\n", 2, (0, 0)),
        (b"1\r2,3\n", 2, (0, 0)),
        (b'1,x"y"\n', 2, (0, 0)),
        (b'1,"x"y\n', 2, (0, 0)),
        (b'1,"x\n', 2, (0, 0)),
    ],
)
def test_fast_path(data: bytes, width: int, expected: tuple[int, int]) -> None:
    assert regular_records(data, b",", width) == expected


def test_the_fast_path_takes_regular_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\r\n" + b'1,"x\r\ny"\r\n' * 300_000)
    calls: list[bytes] = []
    careful = TextScan._careful

    def counted(self: TextScan, data: bytes, cut_off: bool) -> tuple[int, int, bytes]:
        calls.append(data)
        return careful(self, data, cut_off)

    monkeypatch.setattr(TextScan, "_careful", counted)
    with TextScan(path, TableFormat()) as scan:
        assert sum(block.rows for block in scan.blocks()) == 300_001
    assert len(calls) == 1, "only for the header"


def test_every_kind_of_line_ending_is_counted() -> None:
    assert count_lines(b"a\nb\r\nc\rd\r\r\n\n") == 6


def test_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 1_000_000)
    with TextScan(path, TableFormat()) as scan:
        blocks = scan.blocks()
        next(blocks)
        with path.open("ab") as file:
            file.write(b"3,4\n")
        with pytest.raises(DataError, match="changed while being read"):
            list(blocks)
    with pytest.raises(DataError, match="changed while being read"):
        TextScan(path, TableFormat(), scan.state)


def test_an_error_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 1_000_000 + b"3\n")
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(DataError, match=":1000002: 1 field"):
        read_table(path, TableFormat())
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == files
