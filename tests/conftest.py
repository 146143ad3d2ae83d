"""Settings that must come before torch is loaded, and the figures that the soak ends with."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# As the program does: beside a busy process, threads that wait awake make an update take 20 times
# as long.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

Record = Callable[[str, str], None]
_FIGURE = "figure of "


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return 2 for the whole quick suite, which alone leaves a core idle, and 0 for other runs."""
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_quick = config.option.markexpr == "not soak" and not config.option.keyword
    return 2 if is_whole and is_quick else 0


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Return what notes a figure of the soak under its name."""

    def note(name: str, figure: str) -> None:
        request.node.user_properties.append((_FIGURE + name, figure))

    return note


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for the tests of a module; they are skipped where it is not installed."""
    with chromium() as started:
        yield started


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures as a table in Markdown."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    found = dict(pair for each in reports for pair in each.user_properties)
    figures = {name: value for name, value in found.items() if name.startswith(_FIGURE)}
    if figures:
        lines = ["| what | figure |", "|---|---|"]
        lines += [f"| {name.removeprefix(_FIGURE)} | {value} |" for name, value in figures.items()]
        terminalreporter.write("\n" + "\n".join(lines) + "\n")


def sampled(names: Iterable[str], *quick: str) -> list[Any]:
    """Return parameters of which only `quick` are in the quick suite, all in that of `-m soak`."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.soak) for name in names]
