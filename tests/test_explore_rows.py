"""Many rows of explore.html: a file in; the CSV, the notes and the refusals of `predict` out."""

import csv
import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.browser import NAMELESS, PALE, UNREACHED, fits, opened
from tests.commands import run, run_well, series, table, write_rows
from tests.conftest import sampled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
SHIPPED = ["diabetes", "digits", "digits_completion"]
SHIPPED += ["views_linear", "views_relu", "views_sigmoid"]
Columns = Mapping[str, Sequence[object]]
Make = Callable[[int, int], Columns]
HOSTILE = ["</script><b>x", "=cmd", "a\u2028b", 'say "hi", ok', "e\u0301", " b "]


def tidy(rows: int, seed: int) -> dict[str, list[object]]:
    """Return the usual table, in new rows with gaps, a new colour and a value far outside."""
    columns = table(rows, seed)
    if seed:
        columns["colour"][:3] = ["purple", "", "purple"]
        columns["a"][:2] = ["", 9]
    return columns


def two_kinds(rows: int, seed: int) -> dict[str, list[object]]:
    columns = tidy(rows, seed)
    kinds: list[object] = [(kind == "low" and "yes") or "no" for kind in columns["kind"]]
    return {**columns, "kind": kinds}


def hostile(rows: int, seed: int) -> Columns:
    """Return names and categories as they come in no tidy table, and rare categories."""
    random = np.random.default_rng(seed)
    size, kind = random.normal(size=rows).round(2), random.choice(HOSTILE, rows)
    sizes: list[object] = ["" if number > 1 else number for number in size.tolist()]
    code = random.choice([1, 2, 30], rows)
    value = 1e6 + size + (kind == HOSTILE[0]) + 0.1 * code
    rare = [f"r{number}" for number in random.geometric(0.2, rows)]
    columns: Columns = {"=size <b>": sizes, "kind": kind.tolist(), "code": code.tolist()}
    return {**columns, "rare": rare, "=y, the target": value.round(4).tolist()}


def dated(rows: int, seed: int) -> Columns:
    """Return dates with a wave by month, and weights."""
    random = np.random.default_rng(seed)
    days = np.datetime64("2020-02-27") + random.integers(0, 900, rows)
    texts: list[object] = [str(day).replace("-", "/") for day in days]
    texts[3] = ""
    wave = np.sin(days.astype("datetime64[M]").astype(int) % 12).round(3)
    weights = random.integers(1, 4, rows)
    return {"day": texts, "w": weights.tolist(), "y": wave.tolist()}


def daily(rows: int, seed: int) -> Columns:
    """Return a series whose rows are mixed, with gaps, and with an unknown end."""
    columns = series(rows)
    views: list[object] = [*columns["views"]]
    for place in (20, 21, 30, *range(rows - 4, rows)) if seed else ():
        views[place] = ""
    order = np.random.default_rng(seed).permutation(rows).tolist()
    dates = columns["date"]
    return {"date": [dates[row] for row in order], "views": [views[row] for row in order]}


def stacked(rows: int, seed: int) -> Columns:
    """Return two such series in one table."""
    one, other = daily(rows // 2, seed), daily(rows // 2, seed)
    shops = ["north"] * (rows // 2) + ["south"] * (rows // 2)
    return {"shop": shops, **{name: [*one[name], *other[name]] for name in one}}


def twice(rows: int, seed: int) -> Columns:
    """Return two columns of one name, after `Kind.repeats`."""
    columns = tidy(rows, seed)
    return {"a, too": tidy(rows, seed + 7)["a"], **columns}


def wide(rows: int, seed: int) -> Columns:
    """Return many columns of names with blanks, of which most lie outside after training."""
    values = np.random.default_rng(seed).normal(size=(16, rows)).round(3) * (1 + seed)
    columns: Columns = {f"x{column}  ": each.tolist() for column, each in enumerate(values)}
    return {**columns, "y": values.sum(axis=0).round(3).tolist()}


@dataclass(frozen=True)
class Kind:
    """A kind of run: its table, the keys of data and train, and what predict is given."""

    make: Make
    data: str
    train: str = ""
    rows: int = 120
    options: tuple[str, ...] = ()
    model: str = "{type: relu_stack, widths: [8]}"
    repeats: str = ""
    """A column of the table that is named `a` in its files, as another one is."""


Y = "target: y, exclude: [id, kind, p*]"
KINDS = {
    "number": Kind(tidy, Y),
    "linear": Kind(tidy, Y, model="linear"),
    "sigmoids": Kind(tidy, Y, model="{type: sigmoid_sum, units: 5, activation: hard_sigmoid}"),
    "pieces": Kind(tidy, f"{Y}, numbers: piecewise"),
    "folds": Kind(tidy, f"{Y}, split: {{method: kfold, folds: 3}}"),
    "classes": Kind(tidy, "target: kind, exclude: [id, y, p*]", "class_weight: balanced"),
    "two": Kind(
        two_kinds, "target: kind, exclude: [id, y, p*]", "calibrate: true", options=("0.3",)
    ),
    "outputs": Kind(tidy, "target: [p0, p1, p2, p3], exclude: [id, y, kind]"),
    "hostile": Kind(
        hostile,
        "target: '=y, the target', types: {code: category, rare: category}, max_categories: 4",
        "members: 3",
    ),
    "dates": Kind(
        dated, "target: y, weight: w, dates: [year, month, day, weekday, elapsed]", rows=200
    ),
    "series": Kind(daily, "target: views, lags: 5, horizon: 3, order_by: date"),
    "repeated": Kind(twice, Y, repeats="a, too"),
    "wide": Kind(wide, "target: y", model="linear"),
    "shops": Kind(
        stacked,
        "target: views, lags: 3, order_by: date, group_by: shop, gaps: {limit: 2}",
        rows=160,
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


def trained(folder: Path, name: str) -> Path:
    """Train a run of this kind beside a file of new rows, and return its page."""
    kind = KINDS[name]
    page = folder / f"run-{name}" / "explore.html"
    if page.exists():
        return page
    for path, rows, seed in ((f"{name}.csv", kind.rows, 0), (f"{name}-new.csv", kind.rows // 2, 1)):
        write_rows(folder / path, kind.make(rows, seed))
        if kind.repeats:
            text = (folder / path).read_text()
            (folder / path).write_text(text.replace(f'"{kind.repeats}"', "a", 1))
    more = f", {kind.train}" if kind.train else ""
    (folder / f"{name}.yaml").write_text(
        f"data: {{path: {name}.csv, {kind.data}}}\nmodel: {kind.model}\n"
        f"train: {{epochs: 3{more}}}\ndevice: cpu\npreset: fast\n"
    )
    run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", f"run-{name}")
    run_well(folder, "explore", f"run-{name}")
    return page


def give(page: "Page", path: Path) -> None:
    """Choose a file, and wait for what comes of it."""
    page.set_input_files("#file", path)
    page.wait_for_selector("#download, .refused", timeout=60_000)


def save(page: "Page", path: Path) -> list[list[str]]:
    """Save the predictions to a path, and return their cells."""
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(path)
    return read_cells(path)


def read_cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def notes(page: "Page") -> list[str]:
    return page.locator("#panel-rows .notes li").all_inner_texts()


def refusal_of(page: "Page") -> str:
    """Return why a file is refused; empty if it is not."""
    box = page.locator("#panel-rows .refused")
    return box.inner_text() if box.count() else ""


def differences(
    given: Sequence[Sequence[str]], expected: Sequence[Sequence[str]]
) -> tuple[float, int]:
    """Return the largest difference between numbers, and how many other texts differ."""
    largest, others = 0.0, 0
    assert [len(row) for row in given] == [len(row) for row in expected]
    for one, other in zip(given, expected, strict=True):
        for text, wanted in zip(one, other, strict=True):
            try:
                largest = max(largest, abs(float(text) - float(wanted)))
            except ValueError:
                others += text != wanted
    return largest, others


@pytest.mark.parametrize(
    "name", sampled(KINDS, "number", "classes", "series", "pieces", "repeated")
)
def test_a_file_gets_the_predictions_of_predict(
    browser: "Browser", folder: Path, tmp_path: Path, name: str
) -> None:
    path, source = trained(folder, name), f"{name}-new.csv"
    with opened(browser, path, "#rows") as page:
        compare(page, folder, source, f"run-{name}", KINDS[name].options, tmp_path)


def compare(
    page: "Page", folder: Path, source: str, name: str, options: Sequence[str], tmp_path: Path
) -> None:
    """Give a file to the page and to predict, and check that both say the same.

    options: the threshold of two classes, if any.
    """
    give(page, folder / source)
    assert refusal_of(page) == ""
    given_options: list[object] = []
    if options:
        page.fill("#threshold", options[0])
        page.press("#threshold", "Enter")
        given_options = ["--threshold", options[0]]
    elif (level := page.evaluate("app.level")) is not None:
        given_options = ["--interval", level]
    output = tmp_path / "expected.csv"
    said = run_well(folder, "predict", source, "--run", name, "--output", output, *given_options)
    given, expected = save(page, tmp_path / "given.csv"), read_cells(output)
    assert given[0] == expected[0]
    largest, others = differences(given[1:], expected[1:])
    assert largest <= 1e-5 * page.evaluate("Math.min(...(app.model.target.scales ?? [1]))")
    assert others == 0
    assert notes(page) == re.findall(r"^  - (.*)$", said.stderr, re.MULTILINE)


def test_the_training_file_is_recognised_and_a_column_is_copied(
    browser: "Browser", folder: Path, tmp_path: Path
) -> None:
    path = trained(folder, "number")
    packed = tmp_path / "number.csv.gz"
    packed.write_bytes(gzip.compress((folder / "number.csv").read_bytes()))
    with opened(browser, path, "#rows") as page:
        give(page, folder / "number.csv")
        assert notes(page)[-1] == "this is the training file, whose rows are predicted too well"
        assert [page.evaluate(each) for each in (PALE, NAMELESS, UNREACHED)] == [[], [], []]
        assert all(fits(page, width) for width in (320, 400, 768, 1280))
        give(page, packed)
        assert "training file" not in " ".join(notes(page))
        page.select_option("#carried", label="id")
        given = save(page, tmp_path / "given.csv")
    assert [row[0] for row in given] == [row[0] for row in read_cells(folder / "number.csv")]


def test_a_file_is_read_as_the_training_file_is_written(
    browser: "Browser", folder: Path, tmp_path: Path
) -> None:
    """In German, with a title, numbers for what is missing, and in Latin-1; or without a header."""
    columns = table(60)
    names = ["a", "b", "colour", "y"]
    cells = [*zip(*(columns[name] for name in names), strict=True)]
    german = "Titel\n\nä;b;Farbe;y\n" + "".join(
        f"{1000 * a:,.1f};{b};{colour};{y}\n".translate(str.maketrans(",.", ".,"))
        for a, b, colour, y in cells[:-1]
    )
    (folder / "german.csv").write_bytes((german + "-999;1;grün;5\n").encode("latin-1"))
    plain = "".join(f"{','.join(map(str, row))}\n" for row in cells)
    (folder / "nameless.csv").write_text(plain)
    keys = {
        "german": "target: y, separator: ';', decimal: ',', thousands: '.', encoding: latin-1, "
        "skip_rows: 2, missing: [-999]",
        "nameless": "target: '3', header: false",
    }
    for name, data in keys.items():
        (folder / f"{name}.yaml").write_text(
            f"data: {{path: {name}.csv, {data}}}\nmodel: linear\ntrain: {{epochs: 3}}\n"
        )
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", f"run-{name}")
        run_well(folder, "explore", f"run-{name}")
        output = tmp_path / f"{name}.csv"
        source = f"{name}.csv"
        said = run_well(folder, "predict", source, "--run", f"run-{name}", "--output", output)
        with opened(browser, folder / f"run-{name}" / "explore.html", "#rows") as page:
            give(page, folder / source)
            assert refusal_of(page) == ""
            assert notes(page) == re.findall(r"^  - (.*)$", said.stderr, re.MULTILINE)
            if page.locator("#with-interval").count():
                page.uncheck("#with-interval")
            given = save(page, tmp_path / "given.csv")
        expected = read_cells(output)
        assert given[0] == expected[0]
        assert differences(given[1:], expected[1:])[0] <= 1e-5


A = "a,b,colour\n1,2,red\n3,4,blue\n"
REFUSED: dict[str, str | bytes] = {
    "nothing": "",
    "no rows": "a,b,colour\n",
    "a short row": A + "5,6\n",
    "a long row after blank lines": "a,b,colour\n\n1,2,red\n\n\n3,4,blue,5\n",
    "an open quote": A + '5,6,"re\nd\n',
    "an open quote below another header": 'a,b\n1,2\n"3,4\n',
    "a return within a record": "a,b,colour\n\r1,2,red\n\r\n3,4\n",
    "text after a quote": A.replace("\n", "\r\n") + '5,6,"r"e\r\n',
    "a quoted line break before a short row": 'a,b,colour\n1,2,"re\nd"\n3,4\n',
    "a NUL": A + "5,\0,red\n",
    "Latin-1": b"a,b,colour\n1,2,red\n\n1,2,gr\xfcn\n",
    "a cell that is no number": A + "5,x,red\n6,x,red\n",
    "a number in another writing": A + "5,1_000,red\n",
    "not finite": A + "5,inf,red\n",
    "too large": A + "5,1e39,red\n",
    "too far": A + "5,1e30,red\n",
    "blanks before a missing text": A + "5, NA,red\n",
    "several columns": A + "x,6,red\ny,z,red\n",
    "numbers instead of names": "1,2,3\n4,5,6\n",
    "a column without a name": "a,b,colour,\n1,2,red,\n",
    "a missing column": "a,colour\n1,red\n",
    "another separator": "a;b;colour\n1;2;red\n",
    "a comment": "# made today\na,b,colour\n1,2,red\n",
    "Excel's line": "sep=;\na,b,colour\n1,2,red\n",
    "another spelling": A.replace("red", "Red").replace("blue", "BLUE"),
    "a spreadsheet": b"PK\x03\x04xl/workbook.xml",
    "PDF": b"%PDF-1.7 nothing",
    "a gzip file that is none": b"\x1f\x8b\x08nonsense",
}
"""Files, each refused by `predict` too, on the same line where it names one."""


def test_files_are_refused_on_the_line_on_which_predict_refuses_them(
    browser: "Browser", folder: Path
) -> None:
    path = trained(folder, "number")
    with opened(browser, path, "#rows") as page:
        for name, content in REFUSED.items():
            odd = folder / "odd.csv"
            odd.write_bytes(content if isinstance(content, bytes) else content.encode())
            said = run(folder, "predict", odd, "--run", "run-number", "--output", "no.csv")
            give(page, odd)
            assert said.code == 3, name
            lines = re.findall(r"odd\.csv:(\d+): ", said.stderr)
            assert re.findall(r"^line (\d+): ", refusal_of(page), re.MULTILINE) == lines, name
            assert "ml2021 predict odd.csv --run run-number" in refusal_of(page)


ACCEPTED = {
    "CRLF and a byte order mark": ("\ufeff" + A).replace("\n", "\r\n"),
    "old Macs": A.replace("\n", "\r"),
    "no line end, columns in another order": "colour,x,b,a\nred,,2,1\nblue,,4,3",
    "quotes and blanks": 'a,b,"colour"\n" 1 ","2",red\n+3.,4e0,"blue"\n',
    "missing texts": "a,b,colour\nNA,2,None\n,NaN,blue\n",
}


def test_files_are_accepted_as_by_predict(browser: "Browser", folder: Path, tmp_path: Path) -> None:
    with opened(browser, trained(folder, "number"), "#rows") as page:
        for name, content in ACCEPTED.items():
            path = tmp_path / "odd.csv"
            path.write_bytes(content.encode())
            output = tmp_path / "expected.csv"
            run_well(folder, "predict", path, "--run", "run-number", "--output", output)
            give(page, path)
            assert refusal_of(page) == "", name
            if page.is_checked("#with-interval"):
                page.uncheck("#with-interval")
            given = save(page, tmp_path / "given.csv")
            assert differences(given[1:], read_cells(output)[1:])[0] <= 1e-5, name


def test_a_file_is_dropped_on_any_tab_and_its_rows_open_in_what_if(
    browser: "Browser", folder: Path
) -> None:
    text = (folder / "number.csv").read_text()
    with opened(browser, trained(folder, "number")) as page:
        page.evaluate(
            "text => { const data = new DataTransfer(); data.items.add(new File([text], 'x.csv')); "
            "document.dispatchEvent(new DragEvent('drop', "
            "{dataTransfer: data, bubbles: true, cancelable: true})) }",
            text,
        )
        page.wait_for_selector("#download")
        assert page.evaluate("app.tab") == "rows"
        page.click("text=line 4")
        assert page.evaluate("app.tab") == "what-if"
        assert "line 4 of x.csv" in page.inner_text("#panel-what-if")
        page.keyboard.press("Tab")
        page.focus("#tab-what-if")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == "tab-rows"
        assert page.is_visible("#download")


def test_nothing_runs_and_nothing_leaves(browser: "Browser", folder: Path) -> None:
    page = browser.new_page()
    page.goto(trained(folder, "hostile").as_uri())
    assert page.title() == "run-hostile: =y, the target"
    refused = page.evaluate("fetch('https://example.org/').then(() => false, () => true)")
    assert refused
    assert page.evaluate(
        "(() => { try { document.body.insertAdjacentHTML('beforeend', '<i id=x></i>'); "
        "return false } catch { return true } })()"
    )
    page.evaluate(
        "(() => { const s = document.createElement('script'); "
        "try { s.textContent = 'window.ran = 1' } catch {} document.body.append(s) })()"
    )
    page.evaluate(
        "(() => { const f = document.createElement('form'); f.action = 'https://example.org/';"
        "document.body.append(f); f.submit() })()"
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    assert page.inner_text("h1") == "run-hostile: =y, the target"
    assert page.evaluate("document.querySelectorAll('main b b, main img').length") == 0
    page.close()


@pytest.mark.soak
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_config_gets_the_predictions_of_predict(
    browser: "Browser", folder: Path, tmp_path: Path, name: str
) -> None:
    (folder / "data").unlink(missing_ok=True)
    (folder / "data").symlink_to(ROOT / "data")
    config = ROOT / "configs" / f"{name}.yaml"
    once = ("--set", "train.epochs=2", "--run-dir", name)
    run_well(folder, "train", "--quiet", "--config", config, *once)
    run_well(folder, "explore", name)
    source = f"data/{re.sub('_.*', '', name)}.csv"
    with opened(browser, folder / name / "explore.html", "#rows") as page:
        compare(page, folder, source, name, [], tmp_path)
