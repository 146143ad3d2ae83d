"""The catalogue's CSV files in Many rows: refused or not, and on the same line, as by predict."""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import opened
from tests.catalogue import csv_structure, csv_values
from tests.catalogue.case import furnish, in_process
from tests.commands import run, run_well, write_rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TABLES = {"t.csv": "xy", "t.csv.gz": "xy", "train.csv": "runs/number"}
"""The tables that the rows put into the folder, and the run that each is predicted with."""
CASES = [case for case in (*csv_structure.CASES, *csv_values.CASES) if case.run is in_process]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the catalogue's folder, with a run of x and y beside its own, and their pages."""
    folder = tmp_path_factory.mktemp("catalogue") / "furnished"
    furnish(folder)
    write_rows(folder / "xy.csv", {"x": [*range(40)], "y": [n * n for n in range(40)]})
    run_well(folder, "train", "xy.csv", "--quiet", "--run-dir", "xy", "--set", "preset=fast")
    for name in set(TABLES.values()):
        run_well(folder, "explore", name)
    return folder


@pytest.mark.soak
def test_every_file_is_taken_as_by_predict(browser: "Browser", folder: Path) -> None:
    given, train, furnished = 0, (folder / "train.csv").read_bytes(), {*folder.iterdir()}
    differ: list[str] = []
    pages = {name: folder / name / "explore.html" for name in set(TABLES.values())}
    with (
        opened(browser, pages["xy"], "#rows") as xy,
        opened(browser, pages["runs/number"], "#rows") as number,
    ):
        for case in CASES:
            for path in {*folder.iterdir()} - furnished:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            (folder / "train.csv").write_bytes(train)
            for step in case.given:
                step(folder)
            for name, trained in TABLES.items():
                page = xy if trained == "xy" else number
                if (folder / name).is_file():
                    given += 1
                    if said := difference(folder, name, trained, page):
                        differ.append(f"{case.id}: {said}")
    assert differ == []
    assert given > 50


def difference(folder: Path, name: str, trained: str, page: "Page") -> str:
    """Give a file to predict and to the page; return what both say unless they agree."""
    output = folder / "out.csv"
    said = run(folder, "predict", name, "--run", trained, "--output", output)
    page.set_input_files("#file", folder / name)
    page.wait_for_selector("#download, .refused", timeout=60_000)
    box = page.locator("#panel-rows .refused")
    shown = box.inner_text() if box.count() else ""
    lines = re.findall(rf"{re.escape(name)}:(\d+): ", said.stderr)
    is_alike = re.findall(r"^line (\d+): ", shown, re.MULTILINE) == lines
    if is_alike and bool(shown) == (said.code == 3):
        return ""
    return f"{said.stderr} but {shown or 'accepted'}"
