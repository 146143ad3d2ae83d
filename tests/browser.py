"""Pages in a real browser: opened, watched, and closed."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Text of less than 4.5 : 1 on its background (WCAG 2.1, 1.4.3), as the browser resolves the
# colours; of pictures the words are in their labels.
PALE = """() => {
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = channels(getComputedStyle(node).backgroundColor);
      if (found.length === 3 || found[3] > 0.9) return found;
    }
    return [255, 255, 255];
  };
  const ownText = (node) => [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((node) => !node.closest("svg, .sr") && node.checkVisibility() && ownText(node))
    .map((node) => {
      const both = [channels(getComputedStyle(node).color), behind(node)].map(light);
      const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
      return [node.tagName, node.className, node.textContent.slice(0, 30), ratio];
    })
    .filter(([, , , ratio]) => ratio < 4.5);
}"""

# Controls that a reader cannot name, and those that keys do not reach.
NAMELESS = """() => [...document.querySelectorAll("button, select, input, canvas, [tabindex='0']")]
  .filter((node) => node.checkVisibility() && node.closest("[aria-hidden=true]") === null)
  .filter((node) => !node.getAttribute("aria-label") && !node.labels?.length)
  .filter((node) => !node.textContent.trim())
  .map((node) => node.outerHTML.slice(0, 120))"""
UNREACHED = """() => [...document.querySelectorAll("button, select, input")]
  .filter((node) => node.checkVisibility() && node.tabIndex < 0 && node.role !== "tab")
  .map((node) => node.outerHTML.slice(0, 120))"""


@contextmanager
def opened(
    browser: "Browser",
    path: Path,
    at: str = "",
    width: int = 1280,
    *,
    still: bool = False,
    touch: bool = False,
) -> Iterator["Page"]:
    """Open a page of the disk; when it is left it must have raised nothing and asked for nothing.

    at: what follows its path, such as #rows. still: the user prefers reduced motion. touch: it is
    a phone, with fingers.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        reduced_motion="reduce" if still else "no-preference",
        has_touch=touch,
        is_mobile=touch,
    )
    page = context.new_page()
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(path.as_uri() + at)
        yield page
    finally:
        context.close()
    assert problems == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []


def function_bytes(page: Path) -> tuple[int, int]:
    """Return how large a page is without its rows and its path, and the parameters of all members.

    What is left out is as it stands in the page, as JSON in the fewest characters.
    """
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', text)
    assert found is not None
    payload = json.loads(found[1])
    left_out = {key: payload[key] for key in ("rows", "background", "path")}
    counted = json.dumps(left_out, separators=(",", ":"))
    parameters = len(base64.b64decode(payload["theta"])) // 4
    return len(text.encode()) - len(counted), parameters


def fits(page: "Page", width: int) -> bool:
    """Resize a page, and return whether it comes to need no scrolling sideways.

    What is drawn in the width of its place follows a frame or more later.
    """
    page.set_viewport_size({"width": width, "height": 900})
    for _ in range(100):
        if page.evaluate("document.documentElement.scrollWidth") <= width:
            return True
        page.wait_for_timeout(50)
    return False
