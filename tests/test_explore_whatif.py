"""The tab What if of explore.html, in a browser: it moves by every means, and says what is true."""

import json
import statistics
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml2021.report.explore.page import script
from tests.browser import NAMELESS, PALE, UNREACHED, fits, function_bytes, opened
from tests.commands import read_rows, run_well, series, table, write_rows
from tests.conftest import Record, sampled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SMALL = "train: {epochs: 4}\ndevice: cpu\npreset: fast\n"
RELU = f"model: {{type: relu_stack, widths: [8]}}\n{SMALL}"
CONFIGS = {
    "number": f"data: {{path: t.csv, target: y, exclude: [id, kind, p*]}}\n{RELU}",
    "linear": f"data: {{path: t.csv, target: y, exclude: [id, kind, p*]}}\nmodel: linear\n{SMALL}",
    "members": "data: {path: t.csv, target: y, exclude: [id, kind, p*]}\n"
    + RELU.replace("epochs: 4", "epochs: 4, members: 3"),
    "classes": f"data: {{path: t.csv, target: kind, exclude: [id, y, p*]}}\n{RELU}",
    "targets": f"data: {{path: t.csv, target: [p0, p1, y], exclude: [id, kind]}}\n{RELU}",
    "series": f"data: {{path: s.csv, target: views, order_by: date, lags: 14, horizon: 3}}\n{RELU}",
    "halves": "data: {path: i.csv, features: [px_?, px_10, px_11, px_12, px_13, px_14, px_15], "
    "target: [px_16, px_17, px_18, px_19, px_2?, px_30, px_31], target_shape: [4, 4]}\n" + RELU,
}
WIDTHS = (320, 400, 768, 1280)
VALUES = "() => [...app.desk.frame.values]"
SHOWN = "() => window.app?.desk?.frame !== undefined"


def hostile(rows: int) -> dict[str, list[object]]:
    """Return the columns of `table` with missing cells, and one name that is markup."""
    columns = table(rows)
    columns["b"] = [value if row % 9 else "" for row, value in enumerate(columns["b"])]
    columns["<b onclick=alert(1)>x"] = columns["a"][::-1]
    return columns


def pixels(rows: int) -> dict[str, list[object]]:
    """Return images of 8 × 4 pixels: a bright spot somewhere."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:8, :4]
    centres = random.uniform((0, 0), (8, 4), (rows, 2))
    away = (y - centres[:, :1, None]) ** 2 + (x - centres[:, 1:, None]) ** 2
    images = (255 * np.exp(-away / 4)).round().astype(int).reshape(rows, -1)
    return {f"px_{pixel}": images[:, pixel].tolist() for pixel in range(32)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whatif")
    write_rows(folder / "t.csv", hostile(120))
    write_rows(folder / "s.csv", series(120))
    write_rows(folder / "i.csv", pixels(120))
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(config)
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
        run_well(folder, "explore", name)
    run_well(folder, "explore", "number", "--rows", "0", "--output", "empty.html")
    found = {name: folder / name / "explore.html" for name in CONFIGS}
    return {**found, "empty": folder / "empty.html"}


def shown(page: "Page") -> float:
    """Return the output that is looked at, once all that was moved is drawn."""
    page.wait_for_function(SHOWN)
    now: float = page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame("
        "() => done(app.desk.frame.now))))"
    )
    return now


def test_a_row_is_shown_with_its_prediction_interval_and_truth(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["number"]) as page:
        now = shown(page)
        place = page.evaluate("app.payload.rows.places[0]")
        truth = float(read_rows(pages["number"].parent.parent / "t.csv")[place]["y"])
        about = page.inner_text(".about")
        assert float(page.inner_text(".big").replace(",", "")) == float(f"{now:.4g}")
        assert f"truth {truth:.4g}" in about
        assert " to " in about
        assert page.locator(".cards .card").count() == 4


def test_a_drag_moves_a_column_and_the_address_keeps_it(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["number"]) as page:
        before = shown(page)
        box = page.locator(".card .plot").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 40, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 180, box["y"] + 50, steps=5)
        page.mouse.up()
        moved = shown(page)
        assert moved != before
        assert page.locator(".card.changed").count() == 1
        page.wait_for_function("() => location.hash.includes('a=')")
        hash_ = page.evaluate("location.hash")
        page.get_by_role("button", name="as it was", exact=True).click()
        assert shown(page) == before
    with opened(browser, pages["number"], hash_) as page:
        assert shown(page) == moved


def test_a_finger_drags_sideways_and_scrolls_up(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["number"], width=400, touch=True) as page:
        shown(page)
        finger = page.context.new_cdp_session(page)
        box = page.locator(".card .plot").first.bounding_box()
        assert box is not None
        x, y = box["x"] + 60, box["y"] + 60

        def swipe(right: int, down: int) -> tuple[float, float]:
            touch = "Input.dispatchTouchEvent"
            finger.send(touch, {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
            for step in range(1, 9):
                point = {"x": x + right * step / 8, "y": y + down * step / 8}
                finger.send(touch, {"type": "touchMove", "touchPoints": [point]})
            finger.send(touch, {"type": "touchEnd", "touchPoints": []})
            shown(page)
            value, scroll = page.evaluate("() => [app.desk.hand.values[0], scrollY]")
            return value, scroll

        before = page.evaluate("() => app.desk.hand.values[0]")
        value, scroll = swipe(70, 5)
        assert value != before
        assert scroll == 0
        after, scroll = swipe(4, -150)
        assert after == value
        assert scroll > 50


def test_keys_alone_move_every_part(browser: "Browser", pages: dict[str, Path]) -> None:
    places = {
        "number": (".card .keys", ".timeline .keys", ".map"),
        "series": (".series .controls input >> nth=1", ".map"),
        "halves": (".paint",),
    }
    for name, parts in places.items():
        with opened(browser, pages[name]) as page:
            for part in parts:
                shown(page)
                before = page.evaluate(VALUES)
                page.focus(part)
                for key in ("ArrowLeft", "ArrowLeft", " "):
                    page.keyboard.press(key)
                shown(page)
                assert page.evaluate(VALUES) != before, (name, part)
            if name == "number":
                text = page.get_attribute(".card .keys >> nth=0", "aria-valuetext")
                assert text is not None
                assert "predicted" in text


def test_an_empty_cell_is_a_missing_value(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["number"]) as page:
        shown(page)
        field = page.get_by_role("textbox", name="b", exact=True)
        field.fill("")
        field.press("Tab")
        shown(page)
        assert page.evaluate("() => Number.isNaN(app.desk.hand.values[1])")
        assert page.locator(".handle.missing").count() == 1
        field.fill("0,5")
        field.press("Tab")
        assert shown(page) is not None
        assert page.evaluate("() => app.desk.hand.values[1]") == 0.5


@pytest.mark.parametrize("name", [*CONFIGS, "empty"])
def test_without_path_and_rows_it_is_small(pages: dict[str, Path], name: str) -> None:
    size, parameters = function_bytes(pages[name])
    assert size <= 200_000 + 5.4 * parameters


def test_names_stay_text(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["number"]) as page:
        shown(page)
        assert "<b onclick=alert(1)>x" in page.inner_text(".cards")


# How far the greys of the predicted image are from the values, of 255.
DRAWN_APART = """() => {
  const { low, high } = app.model.target, [least, most] = [Math.min(...low), Math.max(...high)];
  const { data } = document.querySelector(".made canvas").getContext("2d").getImageData(0, 0, 4, 4);
  const grey = (v) => 255 - 230 * Math.min(1, Math.max(0, (v - least) / (most - least)));
  return Math.max(...app.desk.frame.values.map((v, i) => Math.abs(data[4 * i] - grey(v))));
}"""
SHARES = """(model, rows) => {
  const [x, reference] = [rows[0], rows[3]];
  const sum = (found) => [...found.shares.values()].reduce((a, b) => a + b, 0);
  const sampled = (among, pairs) => {
    const sampler = new ShapleySampler(model, x, among, 0);
    for (let i = 0; i < pairs; i++) sampler.step();
    return sampler.result();
  };
  const whole = (found) => Math.abs(sum(found) - (found.to - found.from));
  const apart = (exact, other) => Math.max(...[...exact.shares].map(([j, share]) =>
    Math.abs(share - other.shares.get(j)) / (4 * other.errors.get(j) + 1e-9)));
  const exact = shapleyExact(model, x, reference, 0), one = sampled([reference], 300);
  const found = { exact: whole(exact), sampled: whole(one), apart: apart(exact, one),
    to: Math.abs(exact.to - model.predict(x).values[0]), linear: 0, formula: 0 };
  if (isLinear(model)) {
    const formula = shapleyLinear(model, x, rows, 0), many = sampled(rows, 2000);
    Object.assign(found, { linear: whole(formula), formula: apart(formula, many) });
  }
  return found;
}"""


@pytest.mark.parametrize("name", ["number", "linear", "members", "classes"])
def test_shapley_values_sum_and_agree(
    browser: "Browser", pages: dict[str, Path], name: str
) -> None:
    with opened(browser, pages[name]) as page:
        modules = script("shapley.js", "model.js")
        found = page.evaluate(
            f"() => {{ {modules} const model = new Model(app.payload);"
            "const rows = app.desk.background;"
            f"return ({SHARES})(model, rows); }}"
        )
    assert max(found["exact"], found["sampled"], found["to"], found["linear"]) < 1e-9, found
    assert found["apart"] < 1, found
    assert found["formula"] < 1, found


def test_a_walk_ends_where_a_prediction_is(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["members"]) as page:
        apart = page.evaluate(
            f"() => {{ {script('walk.js', 'model.js')} const model = new Model(app.payload);"
            "const [from, to] = app.desk.own.rows;"
            "const walk = new Walk(model, from); to.forEach((value, j) => walk.put(j, value));"
            "return Math.abs(walk.predict()[0] - model.predict(to).values[0]); }"
        )
    assert apart < 1e-10


def test_what_moved_it_names_the_changes(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["number"]) as page:
        shown(page)
        page.wait_for_function("() => document.querySelectorAll('.bar').length === 6")
        page.get_by_role("button", name="with the row as it was").click()
        assert "Nothing is changed yet" in page.inner_text(".whatif")
        page.evaluate("() => app.desk.change([0, 1.5], [2, 0])")
        page.wait_for_function("() => document.querySelectorAll('.bar').length >= 3")
        assert "Exact" in page.inner_text(".whatif")
    with opened(browser, pages["linear"]) as page:
        page.wait_for_function("() => document.querySelector('.bar') !== null")
        assert "by the formula" in page.inner_text(".whatif")


def test_all_rows_are_compared_with_the_same_mean(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["number"]) as page:
        found = page.evaluate(
            f"() => {{ {script('shapley.js', 'model.js')} const model = new Model(app.payload);"
            "const rows = app.desk.background;"
            "const mean = rows.reduce((sum, row) => sum + model.predict(row).values[0], 0);"
            "return [mean / rows.length, ...rows.slice(0, 3).map((row) => {"
            "const sampler = new ShapleySampler(model, row, rows, 0);"
            "for (let i = 0; i < 24; i++) sampler.step();"
            "const { shares, from, to } = sampler.result();"
            "const sum = [...shares.values()].reduce((a, b) => a + b, from);"
            "return { from, off: sum - to }; })]; }"
        )
        page.wait_for_function("() => document.querySelectorAll('.bar').length === 6")
        widths = page.evaluate(
            "() => [...document.querySelectorAll('.bar svg')].map((each) =>"
            "each.getBoundingClientRect().width)"
        )
    mean, *each = found
    assert [one["from"] for one in each] == pytest.approx([mean] * 3, rel=1e-12)
    assert [one["off"] for one in each] == pytest.approx([0] * 3, abs=1e-9)
    assert max(widths) - min(widths) < 0.1


def test_both_losses_of_a_chosen_epoch_are_said(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["number"]) as page:
        shown(page)
        page.focus(".timeline .keys")
        page.keyboard.press("Home")
        shown(page)
        history = page.evaluate("app.payload.history")
        text = page.inner_text(".timeline")
        assert f"Epoch {history['epoch'][0]}: loss on training rows" in text
        assert f"{history['train'][0]:.4g}" in text
        assert f"{history['validation'][0]:.4g}" in text
        assert "it overfits" in text


def test_the_way_of_training_is_replayed(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["number"]) as page:
        best = shown(page)
        page.focus(".timeline .keys")
        page.keyboard.press("Home")
        assert shown(page) != best
        assert "after 0 updates" in page.inner_text(".about")
        assert " to " not in page.inner_text(".about").split("truth")[0]
        page.get_by_role("button", name="as trained").click()
        assert shown(page) == best


def test_a_drawn_row_is_never_warned_of_and_a_made_one_is(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["number"]) as page:
        shown(page)
        warned = page.evaluate(
            "() => app.desk.own.rows.filter((_, place) => { app.desk.hand.take(place);"
            "app.desk.draw(); return document.querySelector('.about .warn'); }).length"
        )
        assert warned == 0
        page.evaluate("() => app.desk.change([0, 2 * app.model.columns[0].high])")
        shown(page)
        assert "outside of training: a" in page.inner_text(".about")
        assert page.locator(".strip .band.off").count() == 1


def test_a_row_of_a_dropped_file_is_taken_in_hand(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["number"], "#rows") as page:
        page.set_input_files("input[type=file]", pages["number"].parent.parent / "t.csv")
        page.locator("#panel-rows button.link").first.click()
        shown(page)
        assert "t.csv" in page.inner_text(".rowbar .note")
        assert "truth" in page.inner_text(".about")
        orders = page.get_by_role("combobox", name="the order of the rows")
        orders.select_option("worst")
        misses = page.evaluate(
            "() => [...document.querySelectorAll('.rowbar option')].slice(0, 2).map(({ value }) =>"
            "Math.abs(app.desk.hand.source.predictions[value][0] -"
            "app.desk.hand.source.truth[value][0]))"
        )
        assert misses[0] >= misses[1]


def test_each_member_is_a_thin_line(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["members"]) as page:
        shown(page)
        page.wait_for_function(
            "() => document.querySelectorAll('.card .member[d^=M]').length === 12"
        )
        assert "members ±" in page.inner_text(".about")
        assert page.locator(".timeline").count() == 0
        assert "mean of 3 members" in page.inner_text(".untimed")


def test_a_series_is_one_line_whose_points_are_dragged(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["series"]) as page:
        before = shown(page)
        assert page.locator(".cards .card").count() == 0
        assert page.locator(".series circle").count() == 14 + 3
        box = page.locator(".series .line").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 46, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 46, box["y"] + 30, steps=4)
        page.mouse.up()
        assert shown(page) != before
        assert page.evaluate("() => app.desk.hand.moved.map((j) => app.model.columns[j].lag)") == [
            14
        ]


def test_what_is_painted_above_is_completed_below(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["halves"]) as page:
        shown(page)
        before = page.evaluate(VALUES)
        upper, lower = (page.locator(part).bounding_box() for part in (".paint", ".made"))
        assert upper is not None
        assert lower is not None
        assert upper["y"] + upper["height"] == pytest.approx(lower["y"], abs=1)
        page.mouse.move(upper["x"] + 20, upper["y"] + 20)
        page.mouse.down()
        page.mouse.move(upper["x"] + 200, upper["y"] + 160, steps=6)
        page.mouse.up()
        shown(page)
        assert page.evaluate(VALUES) != before
        assert page.evaluate(DRAWN_APART) <= 1
        assert page.evaluate("() => app.desk.hand.moved.length") > 1


def test_several_outputs_are_small_multiples(browser: "Browser", pages: dict[str, Path]) -> None:
    with opened(browser, pages["targets"]) as page:
        first = shown(page)
        page.locator(".output").nth(2).click()
        assert shown(page) != first
        pressed = page.locator(".output[aria-pressed=true] .name")
        assert pressed.inner_text() == "y"


def test_without_rows_it_begins_with_usual_values(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with opened(browser, pages["empty"]) as page:
        assert np.isfinite(shown(page))
        assert page.locator(".like").count() == 0
        assert (
            page.get_by_role("combobox", name="the row", exact=True).inner_text() == "usual values"
        )


@pytest.mark.parametrize("name", sampled([*CONFIGS, "empty"], "number", "series", "targets"))
def test_it_fits_every_width_and_is_named_and_legible(
    browser: "Browser", pages: dict[str, Path], name: str
) -> None:
    with opened(browser, pages[name], still=True) as page:
        shown(page)
        for width in WIDTHS:
            assert fits(page, width)
        assert page.evaluate(PALE) == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(UNREACHED) == []
        assert (
            page.evaluate("getComputedStyle(document.querySelector('button')).transitionDuration")
            == "0s"
        )


# A drag of a column of which the map is drawn anew: a step in each frame.
DRAG = """() => new Promise((done) => {
  const axes = [...document.querySelectorAll(".axes select")].map((list) => Number(list.value));
  const j = app.model.columns.findIndex(({ kind }, j) => kind === "number" && !axes.includes(j));
  const { step } = app.model.columns[j];
  let frames = 0;
  const next = () => {
    if (frames++ === 80) return done();
    app.desk.change([j, app.desk.hand.values[j] + step]);
    requestAnimationFrame(next);
  };
  next();
})"""

TRACED = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]


def frame_times(trace: bytes) -> list[float]:
    """Return for each frame what its main thread computed, ms: script, style, layout and paint.

    That is the time of the processor, so that a busy machine counts for little.
    """
    events = json.loads(trace)["traceEvents"]
    whole = [each for each in events if each.get("ph") == "X"]
    commits = [each for each in whole if each["name"] == "Commit"]
    main = Counter((each["pid"], each["tid"]) for each in commits).most_common(1)[0][0]
    ends = sorted(each["ts"] for each in commits if (each["pid"], each["tid"]) == main)
    times = [0.0] * (len(ends) + 1)
    for each in whole:
        if each["name"] == "ThreadControllerImpl::RunTask" and (each["pid"], each["tid"]) == main:
            times[bisect_left(ends, each["ts"])] += each.get("tdur", 0) / 1000
    return times[3:-1]


@pytest.mark.soak
@pytest.mark.parametrize(("width", "most"), [(96, 16), (310, 33)])
def test_a_frame_of_a_drag_is_short(
    browser: "Browser", tmp_path: Path, record: Record, width: int, most: int
) -> None:
    """8 columns, 10⁴ and 10⁵ parameters."""
    write_rows(
        tmp_path / "t.csv", {**table(400), **{f"x{i}": table(400, i)["a"] for i in range(5)}}
    )
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y, exclude: [id, kind, p*]}\n"
        f"model: {{type: relu_stack, widths: [{width}, {width}]}}\n{SMALL}"
    )
    run_well(tmp_path, "train", "--quiet", "--config", "c.yaml", "--run-dir", "run")
    run_well(tmp_path, "explore", "run")
    with opened(browser, tmp_path / "run" / "explore.html") as page:
        shown(page)
        page.wait_for_timeout(5000)  # until the shares have settled
        browser.start_tracing(page=page, categories=TRACED)
        page.evaluate(DRAG)
        times = frame_times(browser.stop_tracing())
        count = page.evaluate("app.model.parameters")
    assert len(times) > 40
    middle = statistics.median(times)
    record(f"frame of a drag at {count:,} parameters, ms", f"{middle:.1f}, least {min(times):.1f}")
    assert middle <= most
