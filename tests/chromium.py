"""A Chromium for the tests of explore.html, and the modules of the page in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ml2021.report.explore.page import script

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Start the installed Chromium; skip the tests that need it where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if PROGRAM is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PROGRAM, args=OPTIONS)
        yield browser
        browser.close()


def computed(page: "Page", modules: tuple[str, ...], body: str, argument: object = None) -> Any:
    """Return what the body of a function of `argument` returns, with the modules' exports."""
    return page.evaluate(f"(argument) => {{ {script(*modules)} {body} }}", argument)
