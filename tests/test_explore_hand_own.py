"""Chapter 2 of By hand begins with the run's own function where that is a constant and sigmoids."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml2021.report.explore.page import script
from tests.browser import fits, opened
from tests.commands import run_well, table, write_rows
from tests.conftest import sampled

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SMALL = "train: {epochs: 3}\ndevice: cpu\npreset: fast\n"
Y = "path: t.csv, target: y, exclude: [id, kind, p*]"
SIGMOIDS = "{type: sigmoid_sum, units: 9"
CONFIGS = {
    "smooth": f"data: {{{Y}}}\nmodel: {SIGMOIDS}}}\n{SMALL}",
    "hard": f"data: {{{Y}}}\nmodel: {SIGMOIDS}, activation: hard_sigmoid}}\n{SMALL}",
    "alone": f"data: {{path: t.csv, target: [y, p1], features: [a]}}\nmodel: {SIGMOIDS}}}\n{SMALL}",
    "pieces": f"data: {{{Y}, numbers: piecewise}}\nmodel: linear\n{SMALL}",
    "gaps": "data: {path: g.csv, target: y, exclude: [id, kind, p*], numbers: piecewise}\n"
    f"model: linear\n{SMALL}",
}
BUILT = {"exact": (), "few": ("--pieces", 3), "relus": ("--relu",)}
POINTS = {"x": [*range(9)], "y": [0, 1, 4, 2, 7, 3, 3, 8, 1]}
FORMER = {
    "relu": f"data: {{{Y}}}\nmodel: {{type: relu_stack, widths: [8]}}\n{SMALL}",
    "members": f"data: {{{Y}}}\nmodel: {SIGMOIDS}}}\n{SMALL.replace('3', '3, members: 2')}",
    "classes": "data: {path: t.csv, target: kind, exclude: [id, y, p*]}\n"
    f"model: {SIGMOIDS}}}\n{SMALL}",
}
"""Runs whose function is no such curve."""

# How far the curve is from the model along a column, the other inputs at their mean; deviations.
APART = """(most) => {
  const { model, payload } = app, rows = payload.background.values.map(knownValues);
  const columns = lessonColumns({ ...payload, columns: model.columns });
  const targets = columns.filter(({ isTarget }) => isTarget);
  const apart = [];
  for (const from of columns.filter(({ isTarget }) => !isTarget))
    for (const to of targets) {
      const pairs = pairsOf(from, to), column = model.columns[from.place];
      const own = ownCurve(model, rows, pairs, { place: from.place, output: to.place }, most);
      if (own === null) return null;
      if (own.units.length > most) return Infinity;
      const x = meanInputs(model, rows);
      pairs.u.forEach((u) => {
        encodeColumn(column, u * pairs.x.scale + pairs.x.mean, x);
        const value = model.predictInputs(x).values[to.place];
        apart.push(Math.abs(curveAt(own, u) - (value - pairs.y.mean) / pairs.y.scale));
      });
    }
  return Math.max(...apart);
}"""
MODULES = ("hand_own.js", "hand_columns.js", "hand_curve.js", "whatif_row.js", "shapley.js")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("own")
    columns = table(120)
    write_rows(folder / "t.csv", columns)
    write_rows(folder / "g.csv", {**columns, "b": ["", *columns["b"][1:]]})
    write_rows(folder / "curve.csv", POINTS)
    for name, config in {**CONFIGS, **FORMER}.items():
        (folder / f"{name}.yaml").write_text(config)
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    for name, options in BUILT.items():
        run_well(folder, "piecewise", "curve.csv", "--quiet", "--run-dir", name, *options)
    names = [*CONFIGS, *FORMER, *BUILT]
    for name in names:
        run_well(folder, "explore", name)
    return {name: folder / name / "explore.html" for name in names}


def apart(browser: "Browser", page: Path, most: int) -> float | None:
    with opened(browser, page) as shown:
        modules = script(*MODULES, "model.js")
        found: float | None = shown.evaluate(
            f"(most) => {{ {modules} return ({APART})(most); }}", most
        )
    return found


@pytest.mark.parametrize("name", sampled([*CONFIGS, *BUILT], "smooth", "pieces"))
def test_it_is_the_run_s_function(browser: "Browser", pages: dict[str, Path], name: str) -> None:
    found = apart(browser, pages[name], 6)
    assert found is not None
    assert found < 1e-6


@pytest.mark.parametrize("name", sampled(FORMER, "relu"))
def test_another_function_is_none(browser: "Browser", pages: dict[str, Path], name: str) -> None:
    assert apart(browser, pages[name], 6) is None
    with opened(browser, pages[name], "#hand") as page:
        assert not page.get_by_role("group", name="Begin with").is_visible()


def test_it_is_moved_and_trained(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["exact"], "#hand") as page:
        section, loss = page.locator("#curve"), page.locator("#curve .verdict")
        assert "Of its 7 sigmoids the 6" in section.inner_text()
        first = loss.inner_text()
        assert float(first.split()[1].rstrip(",").replace("−", "-")) < 1e-4
        section.get_by_role("button", name="two sigmoids").click()
        assert section.locator(".grip").count() == 2
        assert loss.inner_text() != first
        section.get_by_role("button", name="own function").click()
        assert loss.inner_text() == first
        section.get_by_role("button", name="Remove one").click()
        section.get_by_role("button", name="One epoch").click()
        assert "after 1 epoch" in loss.inner_text()
        section.get_by_role("button", name="Start again").click()
        assert loss.inner_text() == first
        page.get_by_role("button", name="From the start").click()
        page.get_by_role("button", name="Next").click()
        page.get_by_role("button", name="Next").click()
        assert "of the sigmoids that stay" in page.inner_text("#backward .verdict")
        for width in (320, 1280):
            assert fits(page, width)
