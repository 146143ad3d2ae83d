"""The reports of the shipped configs in a browser: whole at any width, silent, and alone."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.commands import run_well

ROOT = Path(__file__).parent.parent
CONFIGS = [
    *sorted((ROOT / "configs").glob("*.yaml")),
    ROOT / "configs" / "ladder" / "linear_1.yaml",
]
WIDTHS = (1280, 768, 400)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--allow-file-access-from-files --enable-logging=stderr --virtual-time-budget=20000"
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium")

HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const reports = %s, widths = %s, measured = {};
let waiting = reports.length * widths.length;
for (const report of reports) for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.style.border = "0";
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    const figures = [...page.querySelectorAll("figure svg")].map(f => f.getBoundingClientRect());
    measured[report + " " + width] = {
      inner: frame.contentWindow.innerWidth,
      scroll: root.scrollWidth,
      figures: figures.length,
      broken: images.filter(image => !image.complete || image.naturalWidth === 0).length,
      asked: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
      beyond: figures.filter(box => box.right > width).length,
      cut: [...page.querySelectorAll("body *")]
        .filter(box => box.innerText && box.clientWidth && box.scrollWidth > box.clientWidth + 1)
        .filter(box => frame.contentWindow.getComputedStyle(box).overflowX !== "auto")
        .map(box => box.innerText.slice(0, 60)),
    };
    if (--waiting === 0) {
      const result = document.createElement("pre");
      result.id = "result";
      result.textContent = JSON.stringify(measured);
      document.body.replaceChildren(result);
    }
  };
  frame.src = report;
  document.body.append(frame);
}
</script>"""


def browse(folder: Path, page: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Open a page of the folder in a browser that has no past and no network."""
    assert BROWSER is not None
    own = (f"--user-data-dir={folder / 'profile'}", *arguments, (folder / page).as_uri())
    return subprocess.run(
        [BROWSER, *OPTIONS.split(), *own],
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the report of each config after one epoch, all details open."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "data").symlink_to(ROOT / "data")
    for config in CONFIGS:
        command = "sweep" if "sweep" in yaml.safe_load(config.read_text()) else "train"
        once = ("--set", "train.epochs=1", "--run-dir", config.stem)
        run_well(folder, command, "--quiet", "--config", config, *once, with_report=True)
        page = (folder / config.stem / "report.html").read_text()
        assert "<details>" in page
        (folder / f"{config.stem}.html").write_text(page.replace("<details>", "<details open>"))
    return folder


def test_nothing_is_cut_off_or_logged_or_requested(reports: Path) -> None:
    pages = [f"{config.stem}.html" for config in CONFIGS]
    # A page that does all that a report must not shows that the measurements find it.
    bad = '<p style="width: 3000px">x<img src="http://127.0.0.1:9/x.png"><script>x.y</script>'
    bad += '<div style="overflow: hidden"><p style="width: 3000px">cut</div>'
    (reports / "bad.html").write_text(bad)
    (reports / "harness.html").write_text(
        HARNESS % (json.dumps([*pages, "bad.html"]), json.dumps(WIDTHS))
    )
    done = browse(reports, "harness.html", "--dump-dom")
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout)
    assert found is not None, done.stdout[:2000] + done.stderr
    measured = json.loads(found[1])
    logged = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    for width in WIDTHS:
        sizes = measured.pop(f"bad.html {width}")
        assert sizes["scroll"] > width
        assert sizes["broken"] == 1
        assert sizes["cut"] == ["cut"]
        assert sizes["asked"] == ["http://127.0.0.1:9/x.png"]
    assert any("bad.html" in line for line in logged)
    assert len(measured) == len(pages) * len(WIDTHS)
    for name, sizes in measured.items():
        assert sizes["inner"] == int(name.split()[-1])
        assert sizes["scroll"] <= sizes["inner"], name
        assert sizes["figures"] >= 2, name
        assert sizes["broken"] == sizes["beyond"] == 0, name
        assert sizes["asked"] == [], name
        assert sizes["cut"] == [], name  # tables scroll sideways in boxes of their own
    assert not [line for line in logged if "bad.html" not in line]


def test_it_can_be_printed(reports: Path) -> None:
    browse(reports, "views_relu.html", f"--print-to-pdf={reports / 'page.pdf'}")
    printed = (reports / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 15
