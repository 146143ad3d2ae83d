"""By hand in explore.html, in a browser: what is dragged, pressed and said, at each width."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml2021.report.explore.page import render
from ml2021.report.explore.payload import collect
from ml2021.runs.directory import open_run
from tests.browser import fits
from tests.commands import run_well

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

WIDTHS = (320, 400, 768, 1280)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hand")
    rng = np.random.default_rng(4)
    x = rng.normal(size=160) * 3 + 20
    y = np.sin(x) * 40 + 5 * x + rng.normal(size=160) * 9 + 300
    rows = [",".join(map(str, row)) for row in zip(x, rng.normal(size=160), y, strict=True)]
    (folder / "t.csv").write_text("\n".join(["<x>,other,y", *rows, ""]))
    (folder / "c.yaml").write_text(
        "data: {path: t.csv, target: y}\nmodel: {type: relu_stack, widths: [8]}\n"
        "train: {epochs: 2}\ndevice: cpu\npreset: fast\n"
    )
    run_well(folder, "train", "--quiet", "--config", "c.yaml", "--run-dir", "run")
    (folder / "page.html").write_text(render(collect(open_run(folder / "run")).data))
    return folder / "page.html"


@pytest.fixture
def opened(browser: "Browser", html: Path) -> "Iterator[Page]":
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[object] = []
    page.on("pageerror", lambda fault: faults.append(fault))
    page.goto(html.as_uri() + "#hand")
    yield page
    page.close()
    assert not faults


def drag(page: "Page", handle: "Locator", right: float, down: float) -> None:
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=3)
    page.mouse.up()


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_each_width(opened: "Page", width: int) -> None:
    assert fits(opened, width)
    opened.locator("#one-parameter").get_by_role("button", name="a sigmoid").click()
    opened.wait_for_timeout(100)
    assert fits(opened, width)
    cut = opened.evaluate(
        """() => [...document.querySelectorAll(".hand :is(p, button, select, label, output)")]
        .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.textContent)"""
    )
    assert cut == []


def test_each_control_has_a_name(opened: "Page") -> None:
    unnamed = opened.evaluate(
        """() => [...document.querySelectorAll(".hand :is(button, input, select, svg[role])")]
        .filter((node) => !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent.trim()
          || (node.tagName === "BUTTON" && node.textContent.trim())))
        .map((node) => node.outerHTML)"""
    )
    assert unnamed == []


def test_one_step_takes_the_step_that_was_shown(opened: "Page") -> None:
    for chapter in ("#one-parameter", "#line"):
        section = opened.locator(chapter)
        shown = section.locator(".update .next").all_inner_texts()
        section.get_by_role("button", name="One step").click()
        assert section.locator(".update .now").all_inner_texts() == shown


def test_the_start_decides_the_valley(opened: "Page") -> None:
    section = opened.locator("#one-parameter")
    section.get_by_role("button", name="a sigmoid").click()
    sentence = section.locator(".verdict")
    loss = section.locator(".loss-now b")
    found = {}
    for end in ("Home", "End"):
        section.get_by_role("slider", name="w", exact=True).press(end)
        assert "goes down" in sentence.inner_text()
        section.get_by_role("button", name="Run").click()
        section.get_by_role("button", name="Run").wait_for(timeout=60_000)
        found[float(loss.inner_text())] = sentence.inner_text()
    best, worse = (found[value] for value in sorted(found))
    assert "this is the minimum" in best
    assert "a local minimum" in worse


def test_too_large_a_step_is_said_to_be_one(opened: "Page") -> None:
    section = opened.locator("#line")
    section.get_by_role("slider", name="learning rate").press("End")
    assert "η is too large" in section.locator(".verdict").inner_text()
    section.get_by_role("button", name="Run").click()
    section.get_by_role("button", name="Run").wait_for()
    assert "Diverged" in section.locator(".verdict").inner_text()


def test_steps_that_grow_stay_in_the_picture(opened: "Page") -> None:
    section = opened.locator("#one-parameter")
    section.get_by_role("slider", name="learning rate").press("End")
    section.get_by_role("button", name="Run").click()
    section.get_by_role("button", name="Run").wait_for()
    assert "Diverged" in section.locator(".verdict").inner_text()
    picture, way = (
        opened.evaluate(
            "(query) => { const { left, right } = document.querySelector(query)"
            ".getBoundingClientRect(); return [left, right]; }",
            f"#one-parameter {part}",
        )
        for part in (".figure:has(.zigzag) > svg", ".zigzag")
    )
    assert picture[0] <= way[0] < way[1] - 100 < way[1] <= picture[1]


def test_at_the_bottom_slopes_are_nought(opened: "Page") -> None:
    section = opened.locator("#line")
    section.get_by_role("button", name="Run").click()
    section.get_by_role("button", name="Run").wait_for(timeout=60_000)
    assert "this is the bottom" in section.locator(".verdict").inner_text()
    assert section.locator(".update .slope").all_inner_texts() == ["0", "0"]
    assert "e" not in "".join(section.locator(".update .now").all_inner_texts())


def test_the_line_and_the_surface_are_dragged(opened: "Page") -> None:
    section = opened.locator("#line")
    now = section.locator(".update .now")
    before = now.all_inner_texts()
    drag(opened, section.locator(".grip").nth(1), 0, -40)
    after = now.all_inner_texts()
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)
    section.locator(".surface").click(position={"x": 40, "y": 60})
    assert not set(now.all_inner_texts()) & set(after)


def test_without_rows_it_says_so(browser: "Browser", html: Path) -> None:
    path = html.parent / "empty.html"
    path.write_text(render(collect(open_run(html.parent / "run"), 0).data))
    page = browser.new_page()
    page.goto(path.as_uri() + "#hand")
    assert "the page holds none" in page.locator("#panel-hand").inner_text()
    page.close()


def test_a_sigmoid_is_dragged_and_trained(opened: "Page") -> None:
    section = opened.locator("#curve")
    knobs = section.locator(".knob output")
    w, b, c = knobs.all_inner_texts()[1:4]
    drag(opened, section.locator(".grip").first, 30, 20)
    assert knobs.nth(1).inner_text() == w
    assert knobs.nth(2).inner_text() != b
    assert float(knobs.nth(3).inner_text()) < float(c)
    loss = section.locator(".verdict")
    before = float(loss.inner_text().split()[1].rstrip(","))
    for _ in range(30):
        section.get_by_role("button", name="One epoch").click()
    assert "after 30 epochs" in loss.inner_text()
    assert float(loss.inner_text().split()[1].rstrip(",")) < before


def test_two_relus_are_seen_and_go_back(opened: "Page") -> None:
    section, back = opened.locator("#curve"), opened.locator("#backward")
    units = section.locator(".knob").count() - 1
    assert section.locator(".relu").count() == 0
    section.get_by_role("checkbox", name="each as two ReLUs").check()
    assert section.locator(".relu").count() == 2 * units
    assert "hard" in section.locator(".slider output").first.inner_text()
    assert back.locator("th[scope=row]").count() == 2 * units
    section.get_by_role("button", name="Add a sigmoid").click()
    assert back.locator("th[scope=row]").count() == 2 * units + 2


def test_the_way_there_and_back_is_gone_step_by_step(opened: "Page") -> None:
    section = opened.locator("#backward")
    slopes = section.locator(".back")
    assert slopes.count() > 0
    section.get_by_role("button", name="From the start").click()
    assert slopes.count() == 0
    assert not section.locator(".factor").count()
    said = []
    for _ in range(7):
        section.get_by_role("button", name="Next").click()
        said.append(section.locator(".verdict").inner_text())
    assert ["Forward" in line for line in said] == [True] * 3 + [False] * 4
    assert "∂e/∂w = ∂e/∂z" in said[-1]
    assert section.get_by_role("button", name="Next").is_disabled()


def test_a_weight_is_chosen_by_keys_and_is_a_product(opened: "Page") -> None:
    section = opened.locator("#backward")
    section.get_by_role("button", name="c₂ =").press("Enter")
    assert opened.evaluate("document.activeElement.dataset.weight") == "c1"
    names = section.locator(".factor small").all_inner_texts()
    assert names == ["∂e/∂c₂", "∂e/∂ŷ = 2(ŷ − y)", "∂ŷ/∂c₂ = a₂"]
    section.get_by_label("the slope of").select_option("b₁")
    texts = section.locator(".factor b").all_inner_texts()
    whole, *factors = (float(text.replace("−", "-")) for text in texts)
    assert len(factors) == 4
    assert whole == pytest.approx(np.prod(factors), rel=0.01)
    row = section.get_by_role("slider", name="row")
    row.press("End")
    assert section.locator(".factor b").all_inner_texts() != texts


def test_motion_is_slow_for_who_prefers_it_still(opened: "Page") -> None:
    opened.emulate_media(reduced_motion="reduce")
    section = opened.locator("#curve")
    section.get_by_role("button", name="Train").click()
    section.get_by_role("button", name="Pause").wait_for()
    opened.wait_for_timeout(900)
    section.get_by_role("button", name="Pause").click()
    said = section.locator(".verdict").inner_text()
    assert 1 <= int(said.split("after ")[1].split()[0]) <= 4


def test_words_have_contrast(opened: "Page") -> None:
    low = opened.evaluate(
        """() => {
          const light = ([r, g, b]) => [r, g, b]
            .map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const read = (text) => text.match(/[\\d.]+/g).map(Number);
          const behind = (node) => {
            for (let at = node; at; at = at.parentElement) {
              const colour = read(getComputedStyle(at).backgroundColor);
              if (colour.length < 4 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
          };
          return [...document.querySelectorAll(".hand *")]
            .filter((node) => [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
            .filter((node) => !node.disabled && !node.matches(".on-surface"))
            .map((node) => {
              const style = getComputedStyle(node);
              const own = node instanceof SVGElement ? style.fill : style.color;
              const [one, other] = [read(own), behind(node)].map(light).sort((a, b) => b - a);
              return [(one + 0.05) / (other + 0.05), node.textContent];
            })
            .filter(([contrast]) => contrast < 4.5);
        }"""
    )
    assert low == []


def test_a_finger_scrolls_beside_a_handle_and_drags_on_one(browser: "Browser", html: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(html.as_uri() + "#hand")
    session = context.new_cdp_session(page)

    def swipe(x: float, y: float, up: float) -> None:
        places = [(x, y - up * share) for share in (0, 0.2, 0.4, 0.6, 0.8, 1)]
        touch = "Input.dispatchTouchEvent"
        for kind, (px, py) in zip(["touchStart"] + 5 * ["touchMove"], places, strict=True):
            session.send(touch, {"type": kind, "touchPoints": [{"x": px, "y": py}]})
            page.wait_for_timeout(30)
        session.send(touch, {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(300)

    now = page.locator("#line .update .now")
    handle = page.locator("#line .grip").nth(1)
    before = now.all_inner_texts()
    handle.evaluate("(node) => node.scrollIntoView({ block: 'center' })")
    box, scrolled = handle.bounding_box(), page.evaluate("scrollY")
    assert box is not None
    swipe(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 40)
    assert page.evaluate("scrollY") == scrolled
    after = now.all_inner_texts()
    assert after[0] != before[0]
    swipe(box["x"] + 60, box["y"] + box["height"] / 2 - 90, 150)
    assert page.evaluate("scrollY") > scrolled
    assert now.all_inner_texts() == after
    context.close()
