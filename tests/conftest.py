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
_FIGURES = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let tests run in a second process, see there."""
    config.pluginmanager.import_plugin("tests.beside")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Return what notes a figure of the soak under its name."""
    return request.config.stash.setdefault(_FIGURES, {}).__setitem__


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for the tests of a module; they are skipped where it is not installed."""
    with chromium() as started:
        yield started


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the figures as a table in Markdown."""
    if figures := config.stash.get(_FIGURES, {}):
        lines = ["| what | figure |", "|---|---|"]
        lines += [f"| {name} | {figure} |" for name, figure in figures.items()]
        terminalreporter.write("\n" + "\n".join(lines) + "\n")


def sampled(names: Iterable[str], *quick: str) -> list[Any]:
    """Return parameters of which only `quick` are in the quick suite, all in that of `-m soak`."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.soak) for name in names]
