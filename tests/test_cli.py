"""The command line: what it takes, how it helps, and what a wrong line is told."""

import contextlib
import gzip
import io
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml2021 import errors
from ml2021.cli.app import EXIT_CODES
from ml2021.cli.options import complete_run
from ml2021.commands.stdin import spooled_stdin
from ml2021.files import mark
from ml2021.runs.directory import run_name
from tests import commands
from tests.commands import contents, refusal, run, run_well, write_rows

Packer = Callable[[bytes], bytes]
COMMANDS = ("train", "check", "sweep", "evaluate", "predict", "report", "compare", "surface")
FAST = ("--set", "preset=fast", "--set", "train.epochs=2", "--quiet")


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with houses.csv, and a run of it: runs/houses-1."""
    folder = tmp_path_factory.mktemp("houses")
    columns = commands.table(60)
    rows = {"address": columns["id"], "rooms": columns["a"], "price": columns["y"]}
    write_rows(folder / "houses.csv", rows)
    (folder / "houses.yaml").write_text("data: {path: houses.csv, target: price}\n")
    train(folder, "houses.csv", "--target", "price")
    return folder


def train(folder: Path, *arguments: str) -> str:
    return run_well(folder, "train", *arguments, *FAST).stdout.strip()


# A table instead of a config.


def test_a_table_trains_and_its_config_is_kept(houses: Path) -> None:
    before = contents(houses)
    arguments = ("train", "houses.csv", "--target", "price", *FAST[:-1])
    outcome = run_well(houses, *arguments)
    assert outcome.stdout == "runs/houses-2\n"
    again = run_well(houses, "train", "runs/houses-2/config.yaml", "--quiet").stdout.strip()
    assert again == "runs/houses-3"  # not runs/config-1
    assert contents(houses).items() >= before.items()
    last = outcome.stderr.splitlines()[-1]
    copy, then = re.findall(r"cp \S+ \S+|ml2021 train \S+", last)
    subprocess.run(shlex.split(copy.rstrip(",")), cwd=houses, check=True)
    assert run_well(houses, *shlex.split(then)[1:], "--quiet").stdout == "runs/houses-2-1\n"
    best = "checkpoints/best.safetensors"
    runs = [contents(houses / "runs" / name)[best] for name in ("houses-2", "houses-3")]
    assert runs[0] == runs[1]


def test_the_command_to_try_next_names_the_table(houses: Path) -> None:
    lines = run_well(houses, "train", "houses.csv", "--target=price", *FAST[:-1]).stderr
    example = re.search("For example: (.*)", lines)
    assert example is not None
    assert example[1].startswith("ml2021 train houses.csv --target price --set ")


def test_the_last_column_is_the_target_and_a_config_needs_no_option(houses: Path) -> None:
    outcome = run_well(houses, "train", "houses.csv", *FAST[:-1])
    assert "price" in outcome.stderr.splitlines()[0]
    (houses / "as.yml").write_text("data: {path: houses.csv, target: price}\n")
    (houses / "as.json").write_text('{"data": {"path": "houses.csv", "target": "price"}}')
    for name in ("as.yml", "as.json"):
        assert train(houses, name).startswith("runs/as-")


def test_only_what_is_not_the_default_is_printed(houses: Path) -> None:
    arguments = ("train", "houses.csv", "--target", "price", *FAST[:-1])
    short = run_well(houses, *arguments).stderr
    assert "epochs: 2" in short
    assert "weight_decay" not in short
    resolved = re.search(r"\S+/config.resolved.yaml", short)
    assert resolved is not None
    assert "weight_decay" in (houses / resolved[0]).read_text()
    long = run_well(houses, *arguments, "--verbose").stderr
    assert "weight_decay" in long
    assert len(long.splitlines()) > len(short.splitlines()) + 30


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train", ["CSV", "--target", "--resume"]),
        ("train houses.csv as.yaml", ["as.yaml"]),
        ("train houses.csv price", ["--target price"]),
        ("train as.yaml --target price", ["--set data.target=COLUMN"]),
        ("train --config houses.csv", ["houses.csv", "without --config"]),
        ("train runs/houses-1", ["is a run", "--resume"]),
        ("sweep houses.csv", ["houses.csv", "a config"]),
        ("evaluate houses-1", ["is a run", "--run houses-1"]),
        ("predict runs/houses-1", ["is a run", "--run runs/houses-1"]),
        ("report houses-1 --run houses-2", ["two runs"]),
        ("report house-1", ["did you mean 'houses-1'"]),
        ("train house.csv", ["did you mean 'houses.csv'"]),
        ("train house.yaml", ["did you mean 'houses.yaml'"]),
        ("train https://example.com/a.csv", ["https://example.com/a.csv", "download"]),
        ("compare", ["name the runs"]),
        ("trian houses.csv", ["did you mean 'train'"]),
        ("fit houses.csv", ["did you mean 'train'"]),
        ("houses.csv", ["ml2021 train houses.csv"]),
        ("frobnicate", ["see ml2021 --help"]),
        ("sweep --jobs many as.yaml", ["--jobs"]),
        ("evaluate --run", ["--run", "requires"]),
        ("train - --target price", ["save standard input to a file"]),
        ("train --seed 010", ["--set seed=010"]),
        ("train hose.csv", ["did you mean 'houses.csv'"]),
        ("train mouse.csv", ["check the path"]),  # as unlike as money is to gone
        ("evaluate house.csv --run houses-1", ["no such file; did you mean 'houses.csv'"]),
        ("train houses.csv --config as.yaml", ["only one of: houses.csv, --config as.yaml"]),
        ("train houses.csv --target rooms,price", ["write --target rooms --target price"]),
        ("train houses.csv --set data.target=rooms,price", ["write [rooms, price]"]),
        ("predict houses.csv --run houses-1 --id rooms,price", ["write --id rooms --id price"]),
        ("train houses.csv --set seed = 1", ["write --set seed=1"]),
        ("train houses.csv --set seed= 1", ["write --set seed=1"]),
        ("train houses.csv --set seed =1", ["write --set seed=1"]),
        ("train houses.csv --set data.thousands: ,", ["write --set data.thousands=,"]),
        ("train houses.csv --set seed:1", ["write --set seed=1"]),
        ("predict houses.csv --run houses-1 --set data.decimal:,", ["write --set data.decimal=,"]),
    ],
)
def test_a_wrong_line_is_told_what_to_type(houses: Path, line: str, words: list[str]) -> None:
    code, said = refusal(houses, *line.split())
    assert code in (2, 3, 4)
    for word in words:
        assert word in said


# Options of other programs.


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("train --lr 0.1", "use --set optimizer.lr=0.1"),
        ("train --learning-rate=0.1", "use --set optimizer.lr=0.1"),
        ("train --epochs 10 houses.csv", "use --set train.epochs=10"),
        ("train --batch-size full", "use --set train.batch_size=full"),
        ("train --hidden 64,32", "use --set 'model.widths=[64, 32]'"),
        ("train --hidden 64 32 houses.csv", "use --set 'model.widths=[64, 32]'"),
        ("train --hidden 64", "use --set 'model.widths=[64]'"),
        ("train --seed 1", "use --set seed=1"),
        ("train --optimizer adam", "use --set optimizer=adam"),
        ("train --optimizer.lr 1", "use --set optimizer.lr=1"),
        ("train --test-size 0.2", "use --set data.split.test=0.2"),
        ("train --gpu", "use --set device=cuda"),
        ("train --lr", "use --set optimizer.lr=VALUE"),
        ("sweep --n-jobs 3", "did you mean --jobs?"),
        ("check --lr 1", "use --set optimizer.lr=1"),
        ("train --quite", "did you mean --quiet?"),
        ("train -o x", "did you mean --run-dir?"),
        ("predict x.csv -o y", "did you mean --output?"),
        ("predict --model x", "did you mean --run?"),
        ("predict --sep ;", "use --set 'data.separator=;'"),
        ("predict --lr 1", "see ml2021 predict --help"),
        ("report --lr 1", "see ml2021 report --help"),
        ("train --dropout 0.5", "see ml2021 train --help"),
        ("train houses.csv --name flats", "did you mean --run-dir?"),
        ("train --run x", "did you mean --run-dir?"),
        ("train --lr = 0.1", "use --set optimizer.lr=0.1"),
        ("train --runs 4", "see ml2021 train --help"),
        ("train --kind flats", "see ml2021 train --help"),
        ("train --type linear", "use --set model.type=linear"),
        ("predict --sep ,", "use --set data.separator=,"),
    ],
)
def test_an_option_of_another_program_becomes_a_key(tmp_path: Path, line: str, hint: str) -> None:
    code, said = refusal(tmp_path, *line.split())
    assert code == 2
    assert said.endswith(f": no such option; {hint}")


# Runs.


def test_a_run_is_found_by_its_name_as_an_argument_or_an_option(
    houses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml2021.report.write.write_report", lambda *_: None)  # takes seconds
    monkeypatch.setattr("ml2021.report.contents.from_disk", lambda _: None)
    for named in (("houses-1",), ("runs/houses-1",), ("--run", "houses-1")):
        assert run_well(houses, "report", *named).stdout == "runs/houses-1/report.html\n"
        assert "no such parameter" in refusal(houses, "surface", *named, "--x", "q")[1]
    assert "runs/houses-1" in run_well(houses, "evaluate", "--run", "houses-1").stderr
    by_name = run_well(houses, "compare", "houses-1", "--run", "runs/houses-1").stdout
    assert by_name.count("runs/houses-1") == 1
    assert train(houses, "houses.csv", "--init-from", "houses-1").startswith("runs/houses-")
    assert run_well(houses, "train", "--resume", "houses-1").stdout == "runs/houses-1\n"


# Columns that are carried along.


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["*"], ["*", "price"]),  # a column of exactly that name wins
        (["*o*"], ["rooms", "note", "price"]),
        (["note", "?ddress"], ["note", "address", "price"]),
        (["note", "n*"], ["note", "price"]),
        (["rooms", "*oo*"], ["rooms", "price"]),
    ],
)
def test_globs_carry_columns_in_the_order_of_the_file(
    houses: Path, tmp_path: Path, ids: list[str], names: list[str]
) -> None:
    new = tmp_path / "new.csv"
    new.write_text("address,rooms,note,*\na,1,x,7\nb,2,,8\n")
    wanted = [word for name in ids for word in ("--id", name)]
    outcome = run_well(houses, "predict", new, "--run", "houses-1", "--output", "-", *wanted)
    assert outcome.stdout.splitlines()[0] == ",".join(names)


def test_a_glob_leaves_out_the_column_that_is_predicted(houses: Path) -> None:
    arguments = ("predict", "houses.csv", "--run", "houses-1", "--output", "-", "--id")
    outcome = run_well(houses, *arguments, "*")
    assert outcome.stdout.splitlines()[0] == "address,rooms,price"
    assert "not copied, as predictions have these names: price" in outcome.stderr
    assert refusal(houses, *arguments, "z*")[0] == 2
    assert run(houses, *arguments, "price").code == 2


# Standard input.


@contextlib.contextmanager
def given(content: bytes, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Path]:
    """Put the content into standard input; yield the folder for temporary files, empty at last."""
    place = folder / "temporary"
    place.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    yield place
    assert not [*place.iterdir()]


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_predicted_to_standard_output(
    houses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pack: Packer
) -> None:
    content = (houses / "houses.csv").read_bytes()
    arguments = ("--run", "houses-1", "--id", "address")
    as_file = run_well(houses, "predict", "houses.csv", *arguments, "--output", "-")
    before = contents(houses)
    with given(pack(content), monkeypatch, tmp_path):
        outcome = run_well(houses, "predict", name, *arguments)
    assert outcome.stdout == as_file.stdout
    assert "stdin: 60 rows to stdout" in outcome.stderr
    assert contents(houses) == before
    output = tmp_path / "p.csv"
    with given(content, monkeypatch, tmp_path):
        run_well(houses, "predict", name, *arguments, "--output", output)
    assert output.read_text() == as_file.stdout


def test_standard_input_is_scored(
    houses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with given((houses / "houses.csv").read_bytes(), monkeypatch, tmp_path):
        outcome = run_well(houses, "evaluate", "-", "--run", "houses-1", "--json")
    assert json.loads(outcome.stdout)["rows"] == 60
    assert str(tmp_path) not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("content", "arguments", "line"),
    [
        (b"", ["-"], "stdin: "),
        (b"address,rooms\na,one\n", ["-"], "stdin:2"),
        (b"address\na\n", ["-"], "stdin"),
        (b"address,rooms\na,1\n", ["-", "/dev/stdin"], "only once"),
    ],
)
def test_errors_of_standard_input_name_it(
    houses: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    arguments: list[str],
    line: str,
) -> None:
    with given(content, monkeypatch, tmp_path) as place:
        outcome = run(houses, "predict", *arguments, "--run", "houses-1")
    assert outcome.code in (2, 3)
    assert line in outcome.stderr
    assert str(place) not in outcome.stderr


def test_standard_input_has_no_name_that_a_kill_could_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with given(b"a\n1\n", monkeypatch, tmp_path) as place, spooled_stdin([Path("-")]) as (path,):
        assert path.read_bytes() == path.read_bytes() == b"a\n1\n"
        assert list(place.iterdir()) == []


# Help and completion.


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_that_are_right_and_exit_codes(name: str, tmp_path: Path) -> None:
    outcome = run_well(tmp_path, name, "-h")
    text = re.sub(r"\s+", " ", outcome.stdout)
    assert text == re.sub(r"\s+", " ", run_well(tmp_path, name, "--help").stdout)
    assert re.sub(r"\s+", " ", EXIT_CODES) in text
    examples = re.findall(r"^    (ml2021 .*)", outcome.stdout, re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(example)[1:]
        assert words[0] == name
        code, said = refusal(tmp_path, *words)  # for want of the files, not as a wrong line
        assert "see ml2021" not in said
        assert (code, "no such" in said or "no trained run" in said) != (2, False), said


def test_the_list_of_commands_has_whole_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = run_well(tmp_path, "--help").stdout
    assert "..." not in text.partition("Commands:")[2]
    assert set(COMMANDS) <= set(re.findall(r"^  (\w+) ", text, re.MULTILINE))
    assert "ml2021 train houses.csv --target price" in text


def test_the_exit_codes_of_the_help_are_those_of_the_errors() -> None:
    said = {int(code) for code in re.findall(r"(\d+) ", EXIT_CODES)}
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    assert {kind.exit_code for kind in kinds if issubclass(kind, errors.Ml2021Error)} <= said


def completed(folder: Path, shell: str, line: str) -> tuple[str, list[str]]:
    """Complete a line as the shell does; return the answer, and what python has imported."""
    words = line.split(" ")
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps([*sys.modules]), file=sys.stderr))\n"
        "from ml2021.cli.main import main\n"
        "sys.argv = ['ml2021']\n"
        "main()\n"
    )
    asked = {
        "_ML2021_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("shell", "line", "expected"),
    [
        ("bash", "ml2021 re", ["report"]),
        ("bash", "ml2021 report houses-", ["houses-1"]),
        ("bash", "ml2021 evaluate --run runs/houses-", ["runs/houses-1"]),
        ("zsh", "ml2021 train --re", ['"--resume":"Run to resume."']),
        ("fish", "ml2021 comp", ["compare\tCompare the scores"]),
    ],
)
def test_shells_complete_commands_options_and_runs(
    houses: Path, shell: str, line: str, expected: list[str]
) -> None:
    answer, modules = completed(houses, shell, line)
    for text in expected:
        assert text in answer
    assert not {"rich", "torch", "pandas", "yaml", "numpy"} & set(modules)


def test_only_names_that_a_terminal_can_show_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete_run("") == []
    for name in ("b-1", "a-2", "c\x1b[31m-1", "not-a-run"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        if name != "not-a-run":
            mark(tmp_path / "runs" / name, "run")
    assert complete_run("") == ["a-2", "b-1"]
    assert complete_run("runs/") == ["runs/a-2", "runs/b-1"]


@pytest.mark.parametrize(
    ("folder", "name"), [("houses-7", "houses"), ("x-sweep-2/best", "x-sweep"), ("a-b", "a-b")]
)
def test_a_run_of_a_runs_config_is_called_as_that_run(
    tmp_path: Path, folder: str, name: str
) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    assert run_name(place / "config.yaml") == "config"
    mark(place, "run")
    assert run_name(place / "config.yaml") == name
    assert run_name(place / "other.yaml") == "other"


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("a.xlsx", "docProps/app.xml"),
        ("a.csv", "xl/workbook.xml"),
        ("a.ods", "mimetype"),
        ("a.csv", "mimetype"),
    ],
)
def test_a_spreadsheet_is_told_how_to_become_a_csv(
    houses: Path, tmp_path: Path, name: str, entry: str
) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr(entry, "application/vnd.oasis.opendocument.spreadsheet")
    for words in (("train", tmp_path / name), ("predict", tmp_path / name, "--run", "houses-1")):
        outcome = run(houses, *words)
        assert outcome.code == 3
        assert "save it as CSV (File > Save As" in outcome.stderr


def test_completion_can_be_shown_and_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("typer._completion_shared._get_shell_name", lambda: "bash")
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    assert "_ML2021_COMPLETE=complete_bash" in run_well(tmp_path, "--show-completion").stdout
    run_well(tmp_path, "--install-completion")
    assert "ml2021" in (tmp_path / ".bashrc").read_text()


def test_windows_is_told_in_one_line_what_is_needed() -> None:
    code = "import os; os.name = 'nt'; from ml2021.__main__ import run; run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "WSL" in done.stderr


# What the table adds to an error about the config.


def test_a_config_without_a_target_is_told_the_columns(houses: Path) -> None:
    (houses / "bare.yaml").write_text("data: {path: houses.csv}\n")
    for command in ("train", "check", "sweep"):
        outcome = run(houses, command, "bare.yaml")
        assert outcome.code == 2
        assert outcome.stderr.splitlines()[-1].endswith("address, rooms, price")
    (houses / "typo.yaml").write_text("data: {path: houses.csv, targt: price}\n")
    assert "address" not in run(houses, "train", "typo.yaml").stderr


def test_a_config_run_from_elsewhere_is_told_where_its_table_is(houses: Path) -> None:
    (houses / "here.yaml").write_text("data: {path: ./houses.csv, target: price}\n")
    elsewhere = houses / "sub" / "deep"
    elsewhere.mkdir(parents=True, exist_ok=True)
    outcome = run(elsewhere, "train", "../../here.yaml")
    assert outcome.code == 3
    assert f"houses.csv is in {houses}" in outcome.stderr


def test_a_config_of_one_line_is_printed_whole(houses: Path) -> None:
    words = ", ".join(f"unknown {number}" for number in range(7))
    text = f"data: {{path: houses.csv, target: price, missing: ['', {words}]}}\n"
    (houses / "long.yaml").write_text(text)
    lines = run_well(houses, "check", "long.yaml", *FAST[:-1]).stdout
    assert "…" not in lines
    assert f"{words}]" in lines
