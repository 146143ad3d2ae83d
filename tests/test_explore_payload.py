"""The payload of explore.html, and the page around it: the same run gives the same bytes."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml2021.report.explore.page import absent_modules, embedded, render, script, stylesheet
from ml2021.report.explore.payload import collect
from ml2021.runs.directory import open_run
from tests.commands import run, run_well, table, write_rows

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\ndevice: cpu\npreset: fast\n"
NUMBER = f"data: {{path: t.csv, target: y, exclude: [id, kind, p*]}}\n{SMALL}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("payload")
    write_rows(folder / "t.csv", table(120))
    (folder / "c.yaml").write_text(NUMBER)
    run_well(folder, "train", "--quiet", "--config", "c.yaml", "--run-dir", "run")
    return folder


def test_the_same_run_gives_the_same_page(folder: Path) -> None:
    first, second = (render(collect(open_run(folder / "run")).data) for _ in range(2))
    assert first == second


def test_it_is_written_without_matplotlib_and_twice_alike(folder: Path) -> None:
    program = (
        "import sys; from ml2021.cli.main import main; "
        "sys.argv = ['ml2021', 'explore', 'run', '--output', 'apart.html']; main(); "
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)
    run_well(folder, "explore", "run")
    assert (folder / "apart.html").read_bytes() == (folder / "run" / "explore.html").read_bytes()


def test_its_policy_allows_this_script_and_this_style_alone(folder: Path) -> None:
    payload = collect(open_run(folder / "run")).data
    page = render(payload)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert (scripts, styles) == ([script(absent=absent_modules(payload))], [stylesheet()])
    for text, kind in ((scripts[0], "script"), (styles[0], "style")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in page


def test_names_end_no_element() -> None:
    name = "</script><!-- \u2028 & é"
    text = embedded({"name": name})
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"name": name}


def test_it_says_which_rows_it_holds(folder: Path) -> None:
    outcome = run_well(folder, "explore", "run", "--rows", "20", "--output", "page.html")
    assert "20 of 24 test rows and 20 of 84 training rows; --rows 0 leaves them out" in (
        outcome.stderr
    )
    assert outcome.stdout == "page.html\n"
    data = collect(open_run(folder / "run"), 0).data
    assert data["rows"]["values"] == data["background"]["values"] == []
    assert "holds no rows" in run_well(folder, "explore", "run", "--rows", "0").stderr


def test_rows_are_those_of_the_table(folder: Path) -> None:
    data = collect(open_run(folder / "run")).data
    columns = table(120)
    for place, values, truth in zip(
        *(data["rows"][key] for key in ("places", "values", "truth")), strict=True
    ):
        a, b, colour = values
        assert [a, b] == [columns["a"][place], columns["b"][place]]
        assert data["columns"][2]["labels"][colour] == columns["colour"][place]
        assert truth == [columns["y"][place]]


def test_it_writes_over_no_input(folder: Path) -> None:
    for path in ("t.csv", "c.yaml", "run/report.html"):
        assert run(folder, "explore", "run", "--output", path).code == 2
    assert run(folder, "explore", "run", "--rows", "-1").code == 2


def test_without_its_table_a_run_still_has_its_function(folder: Path) -> None:
    content = (folder / "t.csv").read_bytes()
    (folder / "t.csv").write_bytes(content + b"x")
    try:
        found = collect(open_run(folder / "run"))
    finally:
        (folder / "t.csv").write_bytes(content)
    assert found.data["rows"] is None
    assert str(folder) not in json.dumps(found.data)
    assert found.data["columns"][0]["histogram"] is None
    assert np.isfinite(found.data["columns"][0]["low"])
