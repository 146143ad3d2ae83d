"""17 to 33: files that are not tables, and valid ones with an unusual structure."""

import gzip
import os
import resource
import shlex
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import commands
from tests.catalogue.case import Case, Step, change, put
from tests.commands import Outcome

TABLE = "data: {path: t.csv, target: y}\nmodel: linear\ndevice: cpu\n"
TRAIN = "train --quiet --config c.yaml"


def refused(
    number: int, name: str, content: bytes, *lines: str, keys: str = "", code: int = 3
) -> Case:
    """Return the row of a file that training refuses."""
    config = TABLE.replace("target: y", f"target: y{', ' if keys else ''}{keys}")
    given = (put("c.yaml", config), put("t.csv", content))
    return Case(numbers=(number,), name=name, given=given, command=TRAIN, code=code, lines=lines)


def parts_refused(
    name: str,
    path: str,
    *lines: str,
    keys: str = "target: y",
    given: Step = lambda folder: None,
    **parts: bytes,
) -> Case:
    """Return the row of a table in parts, d/a.csv and so on, that training refuses."""
    config = f"data: {{path: {path}, {keys}}}\nmodel: linear\ndevice: cpu\n"
    steps = [put(f"d/{part}.csv", content) for part, content in parts.items()]
    return Case(
        numbers=(31,),
        name=name,
        given=(lambda folder: (folder / "d").mkdir(), put("c.yaml", config), *steps, given),
        command=TRAIN,
        code=3,
        lines=lines,
    )


def accepted(
    number: int, name: str, *given: Step, keys: Sequence[str] = (), lines: Sequence[str] = ()
) -> Case:
    """Return the row of train.csv written differently: training gives the same losses."""
    settings = "".join(f" --set {shlex.quote(key)}" for key in keys)
    return Case(
        numbers=(number,),
        name=name,
        given=given,
        command=f"train --config number.yaml --run-dir run{settings}",
        code=0,
        lines=tuple(lines),
        leaves=("run",),
        then=(same_losses,),
    )


def same_losses(folder: Path, outcome: Outcome) -> None:
    """Check that each epoch's losses are those of the plain file, to the last bit."""
    expected = (folder / "runs" / "number" / "metrics.csv").read_bytes()
    assert (folder / "run" / "metrics.csv").read_bytes() == expected


def rewritten(old: str, new: str) -> Step:
    return change("train.csv", lambda content: content.replace(old.encode(), new.encode()))


def repeated_names(folder: Path) -> None:
    columns = commands.table(120)
    header = "y,x,y,x,y\n"
    rows = zip(columns["a"], columns["b"], columns["p0"], columns["p1"], columns["y"], strict=True)
    text = header + "".join(",".join(map(str, row)) + "\n" for row in rows)
    (folder / "t.csv").write_text(text)


def measured(folder: Path, arguments: Sequence[str]) -> Outcome:
    """Run the command in its own process, with limited memory."""
    limit = 3 << 30  # of address space, which libraries reserve more of than they use

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return commands.run_apart(folder, *arguments, before=limited)


def endless(number: int, name: str, start: bytes, repeated: bytes, line: str) -> Case:
    """Return the row of a gzip file with a record of 1 GiB, refused without reading all of it."""

    def write(folder: Path) -> None:
        piece = gzip.compress(repeated * ((1 << 20) // len(repeated)))
        (folder / "t.csv.gz").write_bytes(gzip.compress(start) + 1024 * piece)

    return Case(
        numbers=(number,),
        name=name,
        given=(put("c.yaml", TABLE.replace("t.csv", "t.csv.gz")), write),
        command=TRAIN,
        code=3,
        lines=(line,),
        run=measured,
    )


def while_it_grows(folder: Path, arguments: Sequence[str]) -> Outcome:
    """Run the command while rows are appended to the table."""
    with growing(folder / "t.csv", b"1,2\n"):
        return commands.run(folder, *arguments)


@contextmanager
def growing(path: Path, row: bytes) -> Iterator[None]:
    done = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not done.wait(0.0005):
                file.write(row)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


LINE_LIMIT = "line longer than 16 MiB; check that this is a CSV file"

CASES = [
    Case(
        numbers=(30,),
        name="a table of another format, without a config",
        given=(put("t.csv", "a;y\n" + "1;2\n3;4\n" * 20),),
        command="train t.csv --target y",
        code=3,
        lines=(
            "t.csv:1: the header has only 1 field; use --set 'data.separator=\";\"'",
            "or let ml2021 init t.csv find out how the file is written",
        ),
    ),
    refused(17, "zero bytes", b"", "t.csv: the file is empty; give a file with a table"),
    refused(18, "no rows", b"x,y\n", "t.csv: a header but no rows; add rows"),
    refused(
        19,
        "numbers for names",
        b"1.5,2\n3,4\n5,6\n",
        "t.csv:1: numbers instead of column names; add a header, or set data.header: false",
    ),
    Case(
        numbers=(19,),
        name="counted names",
        given=(
            put("t.csv", "0,1\n" + "".join(f"{row % 7},{row % 7 * 2}\n" for row in range(40))),
            put("c.yaml", TABLE.replace("target: y", "target: 1")),
        ),
        command=f"{TRAIN} --run-dir run --set train.epochs=1",
        code=0,
        leaves=("run",),
    ),
    Case(
        numbers=(20,),
        name="repeated names are numbered",
        given=(repeated_names, put("c.yaml", TABLE.replace("target: y", "target: y.2"))),
        command="train --config c.yaml --run-dir run --set train.epochs=1",
        code=0,
        lines=(
            "  - repeated column names are numbered: y.0, y.1, y.2, and 1 more name",
            "  - standardised: y.0, x.0, y.1, x.1",
        ),
        leaves=("run",),
    ),
    Case(
        numbers=(20,),
        name="the bare name of several",
        given=(repeated_names, put("c.yaml", TABLE)),
        command=TRAIN,
        code=2,
        lines=("c.yaml:1:29: column name 'y' is repeated; choose one of y.0, y.1, y.2",),
    ),
    refused(
        21, "a nameless column", b"x,,y\n1,2,3\n", "t.csv:1: column 2 has no name; give it one"
    ),
    refused(
        21,
        "the index of pandas",
        b",x,y\n0,1,2\n1,3,4\n",
        "t.csv:1: column 1 has no name; give it one (pandas writes its index this way; "
        "use to_csv(index=False))",
    ),
    refused(
        22,
        "a short row",
        b"w,x,y\n1,2,3\n4,5\n6,7,8\n",
        "t.csv:3: 2 fields, but the header has 3; add the missing fields",
    ),
    refused(
        22,
        "a remark between the rows",
        b"w,x,y\n1,2,3\n# moved\n6,7,8\n",
        "t.csv:3: this line is a comment, as it starts with '#'; set data.skip_rows: [3]",
    ),
    refused(
        23,
        "a long row",
        b"x,y\n1,2\n3,4,5\n6,7\n",
        "t.csv:3: 3 fields, but the header has 2; quote fields that contain the separator, "
        "or name every column",
    ),
    refused(
        24,
        "every row a field too long",
        b"x,y\n1,2,3\n4,5,6\n",
        "t.csv:2: 3 fields, but the header has 2; quote fields that contain the separator, "
        "or name every column",
    ),
    refused(
        25,
        "a truncated last row",
        b"w,x,y\n1,2,3\n4,5,6\n7,8",
        "t.csv:4: 2 fields, but the header has 3; the file seems to be truncated",
    ),
    refused(
        26,
        "a quote that is never closed",
        b'x,y\n1,2\n3,"4\n5,6\n7,8\n',
        "t.csv:3: a quote opened here is never closed; close or remove it",
    ),
    endless(
        26,
        "a quote not closed in 1 GiB",
        b'x,y\n1,2\n3,"4\n',
        b"5,6\n",
        "t.csv.gz:3: a quote opened here is not closed within 16 MiB; close or remove it",
    ),
    accepted(27, "a quoted newline", rewritten("row-0001", '"row\n0001"')),
    refused(
        27,
        "the line after quoted newlines",
        b'x,y\n1,"2"\n"3\n\n\n",4\n5\n',
        "t.csv:7: 1 field, but the header has 2; add the missing fields, or set data.skip_rows: "
        "[7] if it is no row",
    ),
    refused(
        24,
        "comments before the header",
        b"# logger, 113\n# in cm\nx,y\n1,2\n",
        "t.csv:1: lines 1 to 2 are comments, as they start with '#'; set data.skip_rows: 2",
    ),
    refused(
        24,
        "the line of Excel",
        b"sep=;\nx;y\n1;2\n",
        "t.csv:1: 'sep=;' tells Excel the separator, it is no header; set data.skip_rows: 1 and "
        'data.separator: ";"',
    ),
    refused(
        24,
        "a title",
        b"Sales of 2020\n\nx,y\n1,2\n3,4\n",
        "t.csv:3: 2 fields, but line 1 has 1; if the table begins here, set data.skip_rows: 2",
    ),
    refused(
        24,
        "a title with separators",
        b"Sales,,\nw,x,y\n1,2,3\n3,4,5\n",
        "t.csv:1: this line names 1 of 3 columns, the next line all; if the table begins there, "
        "set data.skip_rows: 1",
    ),
    refused(
        24,
        "separators at all ends",
        b"x,y,\n1,2,\n3,4,\n",
        "t.csv:1: every row ends with ',': column 3 has neither a name nor values; remove the ',' "
        "at the end of each line, or give it a name here",
    ),
    refused(
        24,
        "separators at the ends of the rows",
        b"x,y\n1,2,\n3,4,\n",
        "t.csv:2: 3 fields, but line 1 has 2: it ends with ',', so its last field has neither a "
        "name nor a value; remove it, or add a name such as ',empty' to the header for each field",
    ),
    refused(
        24,
        "a separator at the end of the header",
        b"x,y,\n1,2\n3,4\n",
        "t.csv:2: 2 fields, but line 1 has 3, as it ends with ','; remove that there",
    ),
    refused(
        24,
        "a row of units",
        b"x,y\ncm,kg\n1,2\n3,4\n5,6\n7,8\n8,9\n",
        "t.csv:2: 'cm', 'kg' in a row of text above the numbers, such as names or units; "
        "set data.skip_rows: [2]",
    ),
    refused(
        24,
        "a line to skip that is not there",
        b"x,y\n1,2\n",
        "t.csv: data.skip_rows: there is no line 7, the file has 2; correct the key",
        keys="skip_rows: [2, 7]",
    ),
    accepted(
        24,
        "lines to skip",
        change(
            "train.csv",
            lambda content: b'a "title\r\n' + content.replace(b"\n", b"\r\n, units\r\n", 1),
        ),
        keys=["data.skip_rows=[1, 3]"],
    ),
    accepted(28, "CRLF", rewritten("\n", "\r\n")),
    accepted(28, "CR", rewritten("\n", "\r")),
    accepted(28, "blank lines", rewritten("\nrow-0007", "\n\n\r\nrow-0007")),
    refused(
        28,
        "a blank line in a single column",
        b"y\n1\n\n2\n",
        't.csv:3: blank line, possibly a missing value; write "" there, or remove it',
    ),
    accepted(
        29, "a byte order mark", change("train.csv", lambda content: b"\xef\xbb\xbf" + content)
    ),
    refused(
        29,
        "UTF-16",
        "x,y\n1,2\n".encode("utf-16"),
        "t.csv:1: not UTF-8 (probably UTF-16); set data.encoding: utf-16",
    ),
    refused(
        29,
        "Latin-1",
        "x,y\n1,2\ncafé,3\n".encode("latin-1"),
        "t.csv:3: not UTF-8 (probably Latin-1); set data.encoding: latin-1",
    ),
    refused(
        29, "NUL", b"x,y\n1,2\n3,4\0\n", "t.csv:3: NUL character; remove it, or set data.encoding"
    ),
    refused(
        30,
        "semicolons and decimal commas",
        b"x;y\n1,5;2\n2,5;3\n",
        't.csv:1: the header has only 1 field; set data.separator: ";" and data.decimal: ","',
    ),
    refused(
        30,
        "tabs",
        b"x\ty\n1\t2\n",
        't.csv:1: the header has only 1 field; set data.separator: "\\t"',
    ),
    refused(
        30,
        "decimal commas alone",
        b"x;y\n1,5;2\n2,5;3\n",
        "t.csv:2: column 'x': numbers with the decimal mark ',' ('1,5'); set data.decimal: \",\" "
        "(and 1 more in this column)",
        keys='separator: ";"',
    ),
    accepted(
        30,
        "semicolons and decimal commas, with the keys set",
        change("train.csv", lambda c: c.replace(b",", b";").replace(b".", b",")),
        keys=["data.separator=;", 'data.decimal=","'],
    ),
    accepted(
        30,
        "another encoding, with the key set",
        change("train.csv", lambda c: c.replace(b"row-", b"r\xf6w-")),
        keys=["data.encoding=latin-1"],
    ),
    accepted(
        31,
        "gzip",
        change("train.csv", gzip.compress),
        lambda folder: (folder / "train.csv").rename(folder / "train.csv.gz"),
        keys=["data.path=train.csv.gz"],
    ),
    refused(
        31,
        "an Excel workbook",
        b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml",
        "t.csv: this is a spreadsheet; in Excel or LibreOffice, save it as CSV (File > Save As > "
        "CSV UTF-8) and give that file",
    ),
    Case(
        numbers=(31,),
        name="a folder",
        command="train --config number.yaml --set data.path=runs",
        code=3,
        lines=("runs: no file in this folder ends in .csv, .tsv, .gz, .parquet; check the path",),
    ),
    Case(
        numbers=(31,),
        name="a run for a table",
        command="train --config number.yaml --set data.path=runs/number",
        code=3,
        lines=("runs/number: this is a run or a sweep, not a table; name a table",),
    ),
    parts_refused(
        "a pattern that matches nothing",
        "d/*.tsv",
        "d/*.tsv: no file matches this pattern; check it",
        a=b"x,y\n1,2\n",
    ),
    parts_refused(
        "a part without a column",
        "d",
        "d/b.csv: lacks x, v and has z, unlike d/a.csv; all parts of a table have the same columns",
        a=b"x,v,y\n1,2,3\n",
        b=b"z,y\n1,2\n",
    ),
    parts_refused(
        "a part of another width, without a header",
        "d",
        "d/b.csv: has 3 columns, unlike d/a.csv; all parts of a table have the same columns",
        keys="target: 1, header: false",
        a=b"1,2\n",
        b=b"1,2,3\n",
    ),
    parts_refused(
        "a part of another table",
        "d",
        "d/b.csv: has none of the columns, unlike d/a.csv; all parts of a table have the same "
        "columns",
        a=b"x,y\n1,2\n",
        b=b"u,v\n1,2\n",
    ),
    parts_refused(
        "a part that is a link to nothing",
        "d",
        "{here}/d/b.csv: a link to what does not exist; check it",
        a=b"x,y\n1,2\n",
        given=lambda folder: (folder / "d" / "b.csv").symlink_to("c.csv"),
    ),
    parts_refused(
        "units below the header of each part",
        "d",
        "d/a.csv:2: 'm', 'kg' in a row of text above the numbers, such as names or units; set "
        "data.skip_rows: [2]",
        keys="target: y",
        a=b"x,y\nm,kg\n" + b"1,2\n" * 30,
        b=b"x,y\nm,kg\n" + b"1,2\n" * 30,
    ),
    parts_refused(
        "a part that is given twice",
        "[d/a.csv, './d/*.csv']",
        "d/a.csv: is given twice; a table has each part once",
        a=b"x,y\n1,2\n",
    ),
    parts_refused(
        "parts without rows",
        "d",
        "d: headers but no rows in any part; add rows",
        a=b"x,y\n",
        b=b"y,x\n",
    ),
    parts_refused(
        "a part with an unclosed quote",
        "d",
        "d/b.csv:3: a quote opened here is never closed; close or remove it",
        a=b"x,y\n1,2\n",
        b=b'x,y\n1,2\n"3,4\n',
    ),
    parts_refused(
        "a part with a wrong cell",
        "d",
        "d/b.csv:4: column 'x': '1O5' is not a number; correct it, or list it in "
        'data.missing: ["", "NA", "N/A", "null", "None", "NaN", "1O5"]',
        a=b"x,y\n" + b"".join(b"%d.5,%d\n" % (i, 2 * i) for i in range(40)),
        b=b"y,x\n1,2\n\n2,1O5\n",
    ),
    parts_refused(
        "a part that is a link to another",
        "d",
        "d/b.csv: is the same file as d/a.csv; a table has each part once",
        a=b"x,y\n1,2\n",
        given=lambda folder: (folder / "d" / "b.csv").symlink_to("a.csv"),
    ),
    parts_refused(
        "a folder among the parts",
        "d",
        "d: a folder of parts that has the folder '2020' in it; name the parts by a pattern, such "
        "as 'd/*.csv' or 'd/**/*.csv'",
        a=b"x,y\n1,2\n",
        given=lambda folder: (folder / "d" / "2020").mkdir(),
    ),
    parts_refused(
        "a folder of other files",
        "d",
        "d: no file in this folder ends in .csv, .tsv, .gz, .parquet; name others by a pattern, "
        "such as 'd/*'",
        given=put("d/readme.md", b"x,y\n1,2\n"),
    ),
    Case(
        numbers=(31,),
        name="a pipe that nobody writes to",
        given=(lambda folder: os.mkfifo(folder / "t.csv"), put("c.yaml", TABLE)),
        command=TRAIN,
        code=3,
        lines=("t.csv: not a regular file; give the path of a CSV or Parquet file",),
    ),
    endless(32, "a line of 1 GiB", b"x,y\n1,2\n", b"x", f"t.csv.gz:3: {LINE_LIMIT}"),
    endless(32, "a header of 1 GiB", b"", b"x,", f"t.csv.gz:1: {LINE_LIMIT}"),
    refused(
        32,
        "more than 100,000 columns",
        b",".join(b"x%d" % i for i in range(100_001)) + b"\n" + b"1," * 100_000 + b"1\n",
        "t.csv:1: more than 100,000 fields; remove some columns",
    ),
    Case(
        numbers=(33,),
        name="a file that grows",
        given=(put("c.yaml", TABLE), put("t.csv", b"x,y\n" + b"1,2\n3,4\n" * 500_000)),
        command=TRAIN,
        code=3,
        lines=("t.csv: the file changed while being read; retry once it is complete",),
        leaves=("t.csv",),
        run=while_it_grows,
    ),
]
