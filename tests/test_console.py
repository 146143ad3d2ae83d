"""Numbers, tables and verdicts in messages, and where output goes."""

import contextlib
import io
import math
import os
import subprocess
import sys

import pytest

from ml2021 import console
from ml2021.console import Console, ProgressBar
from ml2021.formatting import align, bulleted, interval, number, score_table

NUMBERS = {
    None: "-",
    0.0: "0",
    0.9984: "0.9984",
    0.99999: "1.000",
    0.05: "0.05000",
    0.000672: "0.0006720",
    0.00004: "4.000e-05",
    -0.00002: "-2.000e-05",
    1.2716: "1.272",
    -1.2716: "-1.272",
    999.96: "1,000",
    12345.6: "12,346",
    9999999.0: "1.000e+07",
    9999000.0: "9,999,000",
    1e7: "1.000e+07",
    1e300: "1.000e+300",
    math.inf: "inf",
    math.nan: "nan",
}


@pytest.mark.parametrize("value", NUMBERS)
def test_a_number_has_four_digits(value: float | None) -> None:
    assert number(value) == NUMBERS[value]


def test_a_table_is_aligned_and_leaves_out_undefined_metrics() -> None:
    rows = {
        "network": {"accuracy": 0.5, "log_loss": 0.25, "auroc": None},
        "majority_class": {"accuracy": 0.125, "log_loss": None, "auroc": None},
    }
    assert score_table("20 test rows", rows) == [
        "20 test rows    accuracy  log loss",
        "network           0.5000    0.2500",
        "majority class    0.1250         -",
    ]


def test_cells_are_aligned_without_spaces_at_the_end() -> None:
    assert align([["a", "b"], ["long", ""]]) == ["a     b", "long"]
    assert bulleted(["one", "two"]) == ["  - one", "  - two"]


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((-0.0213, 0.0398), "-0.021 to +0.040"),
        ((-8123.0, -71.0), "-8,100 to -100"),
        ((-0.0004, 0.039), "-0.0004 to +0.039"),
        ((-41_234.0, -12.0), "-41,000 to -10"),
        ((-1e-9, 1.0), "-1e-09 to +1.0"),
        ((0.0, 0.0), "0 to 0"),
        ((1e-9, 2e-9), "+1.0e-09 to +2.0e-09"),
    ],
)
def test_an_interval_has_two_digits_of_its_larger_end(ends: tuple[float, float], text: str) -> None:
    assert interval(*ends) == text


def test_messages_go_to_stderr_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    Console().say("one", "two")
    Console(quiet=True).say("three")
    console.write_result("result")
    captured = capsys.readouterr()
    assert captured.err == "one\ntwo\n"
    assert captured.out == "result\n"


def test_off_a_terminal_progress_is_an_occasional_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr), ProgressBar(Console(), 10, 0.0) as bar:
        bar.show(1.0, "mse train 2")
        assert stderr.getvalue() == ""
        monkeypatch.setattr(console, "LINE_SECONDS", 0.0)
        bar.show(1.5, "mse train 1")
        bar.show(2.0, "")
    assert stderr.getvalue() == "epoch 1 of 10: mse train 1\nepoch 2 of 10\n"


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr, terminal = Terminal(), Console()
    with contextlib.redirect_stderr(stderr), ProgressBar(terminal, 10_000, 2.0) as bar:
        bar.show(4.0, "RMSE train 3")
        assert "4/10,000" not in stderr.getvalue()  # too soon after the first drawing
        monkeypatch.setattr(console, "BAR_SECONDS", 0.0)
        bar.show(5.6, "RMSE train 2")
        terminal.say("a message")
    shown = stderr.getvalue()
    assert "5/10,000 epochs" in shown  # whole epochs
    assert "5.6" not in shown
    assert "RMSE train 2" in shown
    assert "\r\x1b[Ka message\n" in shown  # on a line of its own
    assert shown.endswith("\r\x1b[K")  # gone at the end, with the ^C behind it
    quiet = Terminal()
    with contextlib.redirect_stderr(quiet), ProgressBar(Console(quiet=True), 10, 0.0) as bar:
        bar.show(5.0, "mse train 2")
    assert quiet.getvalue() == ""


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def written(stream: io.StringIO) -> str:
        with contextlib.redirect_stderr(stream), contextlib.redirect_stdout(stream):
            Console().say("a \x1b[31mname", colour="green")
            console.write_result("plain")
            console.write_result("result", colour="red")
        return stream.getvalue()

    plain = "a \\x1b[31mname\nplain\nresult\n"  # what comes from a table is escaped all the same
    coloured = "\x1b[32ma \\x1b[31mname\x1b[0m\nplain\n\x1b[31mresult\x1b[0m\n"
    assert written(Terminal()) == coloured
    assert written(io.StringIO()) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert written(Terminal()) == plain
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert written(Terminal()) == plain


@pytest.mark.parametrize(
    ("outcome", "code"), [("better", 32), ("too close to tell", 33), ("worse", 31)]
)
def test_each_verdict_has_its_colour(
    outcome: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stderr = Terminal()
    with contextlib.redirect_stderr(stderr):
        Console().say(outcome, colour=console.VERDICT_COLOURS[outcome])
    assert stderr.getvalue() == f"\x1b[{code}m{outcome}\x1b[0m\n"


def test_a_closed_pipe_is_not_an_error() -> None:
    code = """
from ml2021.console import Console, write_result
for _ in range(3):
    write_result("x" * 100_000)
    Console().say("y" * 100_000)
"""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=write, stderr=write, timeout=60, check=False
        )
    finally:
        os.close(write)
    assert done.returncode == 0


def test_closed_streams_discard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", None)
    Console().say("lost")
    with ProgressBar(Console(), 10, 0.0) as bar:
        bar.show(1.0, "lost")
    monkeypatch.setattr(sys, "stdout", None)
    console.write_result("lost")
    assert stdout.getvalue() == ""
