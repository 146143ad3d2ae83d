"""The terminal: what tables, paths and runs are called reaches it as plain text only."""

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from ml2021 import console
from tests import commands
from tests.commands import PROGRAM, run_well, write_rows

HOSTILE = [
    "red\x1b[31m",
    "title\x1b]0;owned\x07",
    "turned\u202egnp",
    "hidden\u200b\u2066x",
    "c1\x9b2J",
    "line\nnetwork  1.0  1.0",
    "back\rup",
    "a_b",
    "a b",
    "long" * 1_250,
]
SMALL = "model: {type: relu_stack, widths: [4]}\ntrain: {epochs: 1}\ndevice: cpu\n"


def is_plain(text: str) -> bool:
    """Whether a terminal shows the text as it stands."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run whose table, classes, categories and path are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    labels: list[object] = [HOSTILE[row % len(HOSTILE)] for row in range(80)]
    numbers: list[object] = [row % 7 for row in range(80)]
    columns = {"n\x1b[32m": numbers, "cat\u202e": labels, "y\x1b[33m_z": labels[::-1]}
    with (folder / "t\u202ebat.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([[*columns], *zip(*columns.values(), strict=True)])
    path, target = json.dumps("t\u202ebat.csv"), json.dumps("y\x1b[33m_z")
    text = f"data: {{path: {path}, target: {target}}}\n{SMALL}"
    (folder / "c.yaml").write_text(text)
    done = run_well(folder, "train", "--config", "c.yaml", "--run-dir", "r\x1b[35mun")
    assert is_plain(done.stdout + done.stderr)
    assert done.stdout == "r\\x1b[35mun\n"
    assert "network  1.0" not in done.stderr.replace("\\nnetwork", "")
    return folder


def test_results_are_plain_text(folder: Path) -> None:
    """B4: `evaluate`, `compare`, `predict` and `check` of classes, files and runs."""
    run, table = "r\x1b[35mun", "t\u202ebat.csv"
    for arguments in (
        ("evaluate", "--run", run),
        ("evaluate", table, "--run", run),
        ("compare", run),
        ("predict", table, "--run", run, "--output", "o\x07ut.csv"),
        ("check", "c.yaml"),
        ("evaluate", "a\x1bbsent.csv", "--run", run),
    ):
        done = commands.run(folder, *arguments)
        assert is_plain(done.stdout + done.stderr), done


def test_labels_are_shown_as_they_are(folder: Path) -> None:
    """E4: no `_` becomes a space, no name is endless, and no line break forges a line."""
    done = run_well(folder, "evaluate", "t\u202ebat.csv", "--run", "r\x1b[35mun")
    table = done.stdout.split("network, by class")[1].splitlines()[1 : 1 + len(HOSTILE)]
    assert {"a_b", "a b"} <= {line.split("  ")[0] for line in table}
    assert max(map(len, done.stdout.splitlines())) < 200
    assert not any(line.startswith("network  1.0") for line in done.stdout.splitlines())


def test_json_is_json_and_a_table_is_a_table(folder: Path) -> None:
    """What other programs read keeps every character."""
    run, table = "r\x1b[35mun", "t\u202ebat.csv"
    text = run_well(folder, "evaluate", table, "--run", run, "--json").stdout
    assert is_plain(text)
    assert set(json.loads(text)["targets"]) == set(HOSTILE)
    given = ("predict", table, "--run", run, "--output", "-", "--id", "cat\u202e")
    rows = csv.DictReader(io.StringIO(run_well(folder, *given).stdout, newline=""))
    assert {row["cat\u202e"] for row in rows} == set(HOSTILE)


def test_the_path_of_a_run_is_one_that_a_shell_can_use(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.csv", commands.table(30))
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.csv, target: y, features: [a, b]}}\n{SMALL}")
    for name in ("plain", "with space", "é中", "a_b-1"):
        done = run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", name)
        assert done.stdout == f"{name}\n"


class Stream(io.TextIOWrapper):
    """A stdout of some encoding that keeps what is written."""

    def __init__(self, encoding: str) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"\\xb1 \\u4e2d"), ("latin-1", b"\xb1 \\u4e2d")]
)
def test_what_an_encoding_lacks_is_escaped(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: bytes
) -> None:
    """C2, of results for people; what programs read is UTF-8."""
    stream = Stream(encoding)
    monkeypatch.setattr("sys.stdout", stream)
    console.write_result("± 中")
    console.write_data("±,中\n")
    console.write_json({"±": "中\x9b"})
    lines = stream.bytes.getvalue().split(b"\n")
    assert lines[:2] == [shown, "±,中".encode()]
    assert json.loads(lines[2]) == {"±": "中\x9b"}
    assert lines[2].decode().isprintable()


def test_a_plain_locale_needs_no_unicode(tmp_path: Path) -> None:
    """C2, in processes of their own: LC_ALL=C without Python's UTF-8 mode."""
    columns = commands.table(40)
    columns["größe"] = columns.pop("y")
    write_rows(tmp_path / "t.csv", columns)
    split = "split: {method: kfold, folds: 2}"
    data = f"data: {{path: t.csv, target: größe, features: [a, b], {split}}}"
    (tmp_path / "c.yaml").write_text(f"{data}\n{SMALL}", encoding="utf-8")
    run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "é")
    locale = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}

    def run(*arguments: str) -> bytes:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=tmp_path,
            env={**commands.environment(), **locale},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert b"mean \\xb1 standard error" in run("evaluate", "--run", "é")
    text = run("predict", "t.csv", "--run", "é", "--output", "-").decode()
    assert text.startswith("größe\n")
