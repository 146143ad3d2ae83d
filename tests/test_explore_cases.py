"""explore.html of every kind of run, and of runs that lack something: it opens and says so."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import function_bytes, opened
from tests.commands import run_well, series, table, write_rows
from tests.conftest import sampled

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\ndevice: cpu\npreset: fast\n"
Y = "target: y, exclude: [id, kind, p*]"
DATA = {
    "number": f"{{path: t.csv, {Y}}}",
    "folds": f"{{path: t.csv, {Y}, split: {{method: kfold, folds: 3}}}}",
    "all": f"{{path: t.csv, {Y}, split: {{validation: 0, test: 0}}}}",
    "elsewhere": f"{{path: t.csv, test_path: u.csv, {Y}}}",
    "dates": "{path: s.csv, target: views, dates: [month, weekday, elapsed]}",
    "groups": "{path: g.csv, target: views, lags: 5, order_by: date, group_by: shop}",
    "pieces": f"{{path: t.csv, {Y}, numbers: piecewise}}",
    "other": "{path: t.csv, target: y, exclude: [kind, p*], max_categories: 3, "
    "types: {id: category}}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    write_rows(folder / "t.csv", table(120))
    write_rows(folder / "u.csv", table(30, seed=1))
    write_rows(folder / "s.csv", series(120))
    one = series(60)
    shops = ["north"] * 60 + ["south"] * 60
    write_rows(folder / "g.csv", {"shop": shops, **{name: 2 * one[name] for name in one}})
    return folder


def page_of(folder: Path, name: str, *options: object) -> Path:
    """Train a run and write its page."""
    (folder / f"{name}.yaml").write_text(f"data: {DATA[name]}\n{SMALL}")
    run = folder / name
    if not run.exists():
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    run_well(folder, "explore", name, *options)
    return run / "explore.html"


def look(browser: "Browser", page: Path) -> str:
    """Open every tab of a page at the width of a phone; return all of its words.

    Without path and rows the page must be small.
    """
    size, parameters = function_bytes(page)
    assert size <= 200_000 + 5.4 * parameters
    with opened(browser, page, width=400) as shown:
        words = [shown.inner_text("header")]
        for tab in shown.locator("[role=tab]").all():
            tab.click()
            shown.wait_for_timeout(300)
            assert shown.evaluate("document.documentElement.scrollWidth") <= 400
            words.append(shown.locator("[role=tabpanel]:visible").inner_text())
    return "\n".join(words)


@pytest.mark.parametrize("name", sampled(DATA, "number", "groups", "all"))
def test_it_opens(browser: "Browser", folder: Path, name: str) -> None:
    assert "It has no rows" not in look(browser, page_of(folder, name))


def test_it_opens_without_rows(browser: "Browser", folder: Path) -> None:
    look(browser, page_of(folder, "number", "--rows", 0))


@pytest.mark.parametrize("name", sampled(["number", "groups", "pieces"], "number"))
def test_it_opens_without_its_table(browser: "Browser", folder: Path, name: str) -> None:
    page = page_of(folder, name)
    tables = {path: path.read_bytes() for path in folder.glob("*.csv")}
    for path in tables:
        path.unlink()
    try:
        said = run_well(folder, "explore", name).stderr
    finally:
        for path, content in tables.items():
            path.write_bytes(content)
    assert "holds no rows" in said
    assert "its table is gone or has changed" in look(browser, page)


def test_it_opens_of_a_curve_that_was_not_trained(browser: "Browser", folder: Path) -> None:
    points = {"x": [*range(9)], "y": [0, 1, 4, 2, 7, 3, 3, 8, 1]}
    write_rows(folder / "curve.csv", points)
    run_well(folder, "piecewise", "curve.csv", "--quiet", "--run-dir", "curve")
    run_well(folder, "explore", "curve")
    assert "built from a curve" in look(browser, folder / "curve" / "explore.html")
