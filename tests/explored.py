"""Open explore.html in an installed Chromium, and listen to what it asks for and complains of."""

import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import run_well

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@contextmanager
def launched() -> "Iterator[Browser]":
    """Start Chromium; without it, or without Playwright, skip and say so."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Explored:
    """A page that is open. problems: of its console. asked: the addresses that it loaded."""

    page: "Page"
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def give(self, path: Path) -> None:
        """Choose a file in Many rows, and wait for what comes of it."""
        self.page.set_input_files("#file", path)
        self.page.wait_for_selector("#download, .refused", timeout=60_000)

    def save(self, path: Path) -> list[list[str]]:
        """Save the predictions to a path, and return their cells."""
        with self.page.expect_download() as download:
            self.page.click("#download")
        download.value.save_as(path)
        return read_cells(path)

    @property
    def notes(self) -> list[str]:
        """The notes on the file, as they are read."""
        return self.page.locator("#panel-rows .notes li").all_inner_texts()

    @property
    def refused(self) -> str:
        """Why a file is refused; empty if it is not."""
        box = self.page.locator("#panel-rows .refused")
        return box.inner_text() if box.count() else ""


@contextmanager
def opened(
    browser: "Browser", page: Path, address: str = "#rows", width: int = 1280
) -> Iterator[Explored]:
    """Open a page in a browser without a past; afterwards it must have asked nobody."""
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    explored = Explored(context.new_page())
    explored.page.on(
        "console",
        lambda said: (
            explored.problems.append(said.text) if said.type in ("error", "warning") else None
        ),
    )
    explored.page.on("pageerror", lambda error: explored.problems.append(str(error)))
    explored.page.on("request", lambda request: explored.asked.append(request.url))
    explored.page.goto(page.as_uri() + address)
    explored.page.wait_for_function("window.app !== undefined")
    yield explored
    context.close()
    assert all(url.startswith(("file:", "blob:", "data:")) for url in explored.asked)


def read_cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def explore(folder: Path, run: str) -> Path:
    """Write the page of a run."""
    run_well(folder, "explore", run)
    return folder / run / "explore.html"
