"""Run commands in this process or in a new one, and make small tables for them."""

import contextlib
import csv
import hashlib
import html
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from ml2021.cli.main import main

PROGRAM = [sys.executable, "-m", "ml2021"]
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a command."""

    code: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def arguments_of(*arguments: object) -> Iterator[None]:
    with patch.object(sys, "argv", ["ml2021", *map(str, arguments)]):
        yield


def run(folder: Path, *arguments: object, with_report: bool = False) -> Outcome:
    """Run a command in this process, in `folder`, including the mapping of errors to exit codes.

    Drawing takes a second, so a report is written only if `with_report`.
    """
    if arguments[:1] in (("train",), ("sweep",)) and not with_report:
        arguments = (*arguments, "--no-report")
    arguments = quickly(folder, *arguments)
    stdout, stderr = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        contextlib.chdir(folder),
        arguments_of(*arguments),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert code is None or isinstance(code, int)
    return Outcome(code or 0, stdout.getvalue(), stderr.getvalue())


def quickly(folder: Path, *arguments: object) -> tuple[object, ...]:
    """Return the arguments with `preset: fast` for a config that sets no preset."""
    texts = [str(argument) for argument in arguments]
    if texts[:1] not in (["train"], ["sweep"], ["check"]) or "--config" not in texts[:-1]:
        return arguments
    config = folder / texts[texts.index("--config") + 1]
    is_set = any("preset=" in text for text in texts)
    with contextlib.suppress(OSError):
        is_set = is_set or not config.is_file() or b"preset" in config.read_bytes()
    return arguments if is_set else (*arguments, "--set", "preset=fast")


def run_well(folder: Path, *arguments: object, with_report: bool = False) -> Outcome:
    """Run a command that must succeed."""
    outcome = run(folder, *arguments, with_report=with_report)
    assert outcome.code == 0, outcome.stderr
    return outcome


def refusal(folder: Path, *arguments: object) -> tuple[int, str]:
    """Run a command that must fail with one line; return its exit code and that line."""
    outcome = run(folder, *arguments)
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1, outcome.stderr
    return outcome.code, outcome.stderr.rstrip("\n")


def run_apart(
    folder: Path, *arguments: object, before: Callable[[], None] | None = None
) -> Outcome:
    """Run a command in a new process, in `folder`; `before` runs in it first."""
    done = subprocess.run(
        [*PROGRAM, *map(str, quickly(folder, *arguments))],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=before,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """Return this process's environment without PYTHONUNBUFFERED, as users have it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def train_runs(folder: Path, configs: Mapping[str, str]) -> Path:
    """Train a run of each config, in a directory of its name in the folder; return the folder."""
    for name, text in configs.items():
        (folder / f"{name}.yaml").write_text(text)
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    return folder


def write_rows(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def read_rows(path: Path) -> Rows:
    return parse_rows(path.read_text())


def parse_rows(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text)))


def table(rows: int, seed: int = 0) -> dict[str, list[object]]:
    """Return an id, features a, b and colour, and targets: number y, class kind, pixels p0-p5."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, rows)).round(3)
    colours = random.choice(["red", "green", "blue"], rows)
    noise = random.normal(size=rows) * 0.1
    columns: dict[str, list[object]] = {
        "id": [f"row-{row:04d}" for row in range(rows)],
        "a": a.tolist(),
        "b": b.tolist(),
        "colour": colours.tolist(),
        "y": (100 + 20 * (a - b + (colours == "red") + noise)).round(3).tolist(),
        "kind": np.array(["low", "middle", "high"])[
            np.digitize(a + b + noise, [-0.5, 0.5])
        ].tolist(),
    }
    for pixel in range(6):
        columns[f"p{pixel}"] = (np.sin(a + pixel) * 50 + b).round(3).tolist()
    return columns


def series(rows: int) -> dict[str, list[object]]:
    """Return daily dates and views with a weekly wave and a trend."""
    days = np.datetime64("2021-01-01") + np.arange(rows)
    steps = np.arange(rows)
    views = 1000 + 2 * steps + 100 * np.sin(steps * 2 * np.pi / 7)
    return {"date": [str(day) for day in days], "views": views.round(2).tolist()}


def text_of(page: Path) -> str:
    """Return the words of a report, without its tags and figures."""
    plain = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(plain))


def contents(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
