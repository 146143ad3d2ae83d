"""The one kind of row, the folder that it plays in, and how it is checked."""

import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch

from tests import commands
from tests.commands import Outcome, run_well, write_rows

Step = Callable[[Path], object]
"""Puts something into the folder."""
Runner = Callable[[Path, Sequence[str]], Outcome]
"""Runs a command in the folder."""
Check = Callable[[Path, Outcome], None]

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\ndevice: cpu\npreset: fast\n"
CONFIGS = {
    "number": f"data: {{path: train.csv, target: y, exclude: [id, kind, p*]}}\n{SMALL}",
    "classes": f"data: {{path: train.csv, target: kind, exclude: [id, y, p*]}}\n{SMALL}",
    "series": f"data: {{path: series.csv, target: views, exclude: [date], lags: 7}}\n{SMALL}",
}


def in_process(folder: Path, arguments: Sequence[str]) -> Outcome:
    """Run the command in this process, as all rows do that do not need one of their own."""
    return commands.run(folder, *arguments)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of the table.

    numbers: the cases that it shows. name: a few words, unlike those of any other row.
    given: what is put into the folder, which has train.csv, new.csv, series.csv, the configs
    number.yaml, classes.yaml and series.yaml, and a run of each, runs/number and so on.
    command: what is typed after `ml2021`. code: how it exits.
    lines: of a refusal, all that stands on stderr, and stdout stays empty; of a success, lines
    that stand there. {here} is the folder, {n} any number, {any} any text, {torch} its version.
    leaves: files, and folders with all in them, that are new or different afterwards.
    then: what else must hold. run: how the command is run.
    needs: says why this machine cannot show the case, or "" where it can.
    """

    numbers: tuple[int, ...]
    name: str
    command: str
    code: int
    lines: tuple[str, ...] = ()
    given: tuple[Step, ...] = ()
    leaves: tuple[str, ...] = ()
    then: tuple[Check, ...] = ()
    run: Runner = in_process
    needs: Callable[[], str] = str

    @property
    def id(self) -> str:
        """How the row is called in the output of pytest."""
        return f"{','.join(map(str, self.numbers))} {self.name}"


def furnish(folder: Path) -> None:
    """Put the tables, the configs and a run of each into an empty folder."""
    folder.mkdir()
    write_rows(folder / "train.csv", commands.table(120))
    write_rows(folder / "new.csv", commands.table(30, seed=1))
    write_rows(folder / "series.csv", commands.series(80))
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text)
        run_well(
            folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", f"runs/{name}"
        )


def play(case: Case, folder: Path) -> None:
    """Run a row, and check all that it says."""
    for step in case.given:
        step(folder)
    before = snapshot(folder)
    outcome = case.run(folder, shlex.split(case.command))
    assert outcome.code == case.code, outcome
    said = outcome.stderr.splitlines()
    patterns = [pattern_of(line, folder) for line in case.lines]
    if case.code:
        assert outcome.stdout == ""
        assert len(said) == len(patterns), outcome.stderr
        for line, pattern in zip(said, patterns, strict=True):
            assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"
    for pattern in patterns:
        assert any(re.fullmatch(pattern, line) for line in said), f"no {pattern!r} in {said}"
    assert_only_changed(before, snapshot(folder), case.leaves)
    for check in case.then:
        check(folder, outcome)


def pattern_of(line: str, folder: Path) -> str:
    """Return the regular expression of a line with its placeholders."""
    known = {"here": re.escape(str(folder)), "torch": re.escape(torch.__version__)}
    known |= {"n": r"-?[0-9][0-9,.]*", "any": ".+"}
    pieces = re.split(r"\{(here|torch|n|any)\}", line)
    return "".join(known[p] if i % 2 else re.escape(p) for i, p in enumerate(pieces))


def snapshot(folder: Path) -> dict[str, str]:
    """Return what stands at each path below a folder: the SHA-256 of a file, else its kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file() and not os.access(path, os.R_OK):
            found[name] = "unreadable"
        elif path.is_file():
            found[name] = sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "neither file nor folder"
    return found


def assert_only_changed(
    before: Mapping[str, str], after: Mapping[str, str], leaves: Sequence[str]
) -> None:
    """Check that what changed is under `leaves`, and that something did under each of them."""
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    under = {leaf: {p for p in changed if p == leaf or p.startswith(f"{leaf}/")} for leaf in leaves}
    assert changed == set().union(*under.values())
    assert all(under.values()), f"nothing changed under one of {leaves}"


# Steps that rows share.


def put(name: str, content: str | bytes) -> Step:
    """Write a file, and the folders that it stands in."""

    def step(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return step


def change(name: str, edit: Callable[[bytes], bytes]) -> Step:
    """Change the content of a file."""

    def step(folder: Path) -> None:
        path = folder / name
        content = path.read_bytes()
        assert edit(content) != content
        path.write_bytes(edit(content))

    return step


def swap(name: str, old: str, new: str) -> Step:
    """Replace a text that stands in a file."""
    return change(name, lambda content: content.replace(old.encode(), new.encode()))


def copy(name: str, to: str) -> Step:
    """Copy a file."""

    def step(folder: Path) -> None:
        shutil.copyfile(folder / name, folder / to)

    return step


def columns(name: str, rows: int = 30, seed: int = 1, **cells: Sequence[object]) -> Step:
    """Write new.csv's table with these columns, or the first cells of them, replaced."""

    def step(folder: Path) -> None:
        table = commands.table(rows, seed)
        for column, values in cells.items():
            table[column] = [*values, *table.get(column, [])[len(values) :]]
        write_rows(folder / name, table)

    return step
