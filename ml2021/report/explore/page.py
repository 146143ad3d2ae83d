"""The page explore.html: one file with a run's payload, a script and a style sheet, and no more.

Its script is written as plain JavaScript modules beside this file, and the style sheet as CSS.
`script` joins the modules without a bundler: each becomes a function that is called once and
returns what it exports, after those that it imports. So `import { a, b } from "./x.js";` and
`export` before a function, class or const are all that a module may use of the language's modules,
and no two modules export one name. `minify` leaves out what a reader needs and a browser does not.

Numbers, no page (they also run in Node):
    bytes.js      floats32, floats16: base64 to Float32Array
    text.js       formatG (C's %.9g), number (four digits), short (axes), count (1,234), plain (6
                  digits, for inputs), percent, listed, argmax
    network.js    Network: one member's forward pass in float64
    model.js      Model: predict(values), withTheta(theta), halfWidths(level); see its head
    walk.js       Walk: a row whose columns are changed one by one, predicted quickly
    random.js     numbers and orders that are the same everywhere
    shapley.js    Shapley values: exact, sampled, and of linear models by formula
    neighbours.js the training rows nearest to a row
    csv.js, cells.js, header.js, table.js, odd.js, dates.js, series.js
                  a file as `ml2021.data` reads it: records, cells, columns, odd values, dates
    forecast.js   predictorOf(model, table): row after row, and what `predict` notes
    predictions.js, scores.js
                  the CSV that `predict` writes; scores where the truth is known
    hand_*.js     By hand: losses, slopes, steps, valleys, a curve of sigmoids, one row's way back
The page:
    dom.js        el(tag, props, ...children), shape(...) for SVG, set(node, props), heading
    scales.js     linear, ticks, clamp, COLOUR, cividis
    gestures.js   draggable, sized (draws at each width), sliced (work in slices of a frame)
    controls.js   numberInput, slider, choice (a select), segmented (one of a few), checkbox
    frame.js      registerTab, startPage and the `app` that every tab is given
    tab_*.js      one module a tab. It calls registerTab({id, place, title, make}); make(app)
                  returns the tab's node. Every tab_*.js that stands here is on the page.
    lesson_*.js   By hand: a module a chapter, and lesson_parts.js, what they share

`app` has payload, model, level (of intervals, null for none), source (the rows that are looked
at) and tabs; see frame.js. CSS: page.css is the frame, and each tab has its own file, tab_*.css.
"""

import hashlib
import html
import json
import re
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from typing import Any

from ml2021.report.explore.minify import minified, minified_style

_FOLDER = files("ml2021.report.explore")
_START = "start.js"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const)) (\w+)", re.MULTILINE)

_NO_SCRIPTS = (
    "This page computes in the browser: allow scripts for it. Nothing is sent anywhere; its policy "
    "forbids every connection. The run's report.html needs no scripts."
)


def render(payload: Mapping[str, Any]) -> str:
    """Return the page as an HTML document, the same one for the same payload."""
    code, style = script(absent=absent_modules(payload)), stylesheet()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src 'sha256-{_hash(code)}'",
            f"style-src 'sha256-{_hash(style)}'",
            "img-src data:",
            "connect-src 'none'",
            "form-action 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    target = payload["target"]
    name = target["label"] if target["kind"] == "classes" else target["name"]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{html.escape(f"{payload['run']}: {name}")}</title>
<style>{style}</style>
</head>
<body>
<noscript><p>{_NO_SCRIPTS}</p></noscript>
<main id="page"></main>
<script type="application/json" id="run">{embedded(payload)}</script>
<script>{code}</script>
</body>
</html>
"""


def embedded(payload: Mapping[str, Any]) -> str:
    """Return JSON that ends no element and begins no comment of HTML, in ASCII."""
    text = json.dumps(payload, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(text: str) -> str:
    """Return the hash by which the policy allows a script or a style sheet."""
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def stylesheet() -> str:
    """Return the CSS files as one, that of the frame first."""
    names = sorted((n for n in _names(".css")), key=lambda name: (name != "page.css", name))
    style = minified_style("".join(map(_read, names)))
    assert "</style" not in style.lower()
    return style


def absent_modules(payload: Mapping[str, Any]) -> set[str]:
    """Return the parts of What if that this run has none of.

    Such a part is a module with one export, a function that returns null for such a run.
    """
    target, columns = payload["target"], payload["columns"]
    outputs = len(target["labels"]) if target["kind"] == "real" else 1
    is_image = target["kind"] == "real" and len(target["shape"] or ()) == 2
    has = {
        "whatif_series.js": payload["series"] is not None,
        "whatif_image.js": payload["image"] is not None or is_image,
        "whatif_outputs.js": outputs > 1 and not is_image and payload["series"] is None,
        "whatif_timeline.js": payload["path"] is not None or payload["network"]["members"] > 1,
        "whatif_map.js": sum(each["kind"] == "number" for each in columns) > 1,
    }
    return {name for name, is_there in has.items() if not is_there}


def script(*wanted: str, absent: Collection[str] = ()) -> str:
    """Return modules as one script: `wanted` and what they import, by default the whole page.

    The exports of all of them are constants of the script. Those of `absent` return null.
    """
    texts = {name: _read(name) for name in _names(".js")}
    order: dict[str, None] = {}

    def add(name: str, users: tuple[str, ...]) -> None:
        assert name not in users, f"{name} imports itself by {', '.join(users)}"
        for match in _IMPORT.finditer("" if name in absent else texts[name]):
            add(match[2], (*users, name))
        order[name] = None

    tabs = [name for name in texts if name.startswith("tab_")]
    for name in wanted or (*tabs, _START):
        add(name, ())
    exports = {name: _exports(texts[name]) for name in order}
    _check_names(exports)
    code = "".join(
        f"const {exports[name][0]}=()=>null;\n"
        if name in absent
        else _as_function(texts[name], exports[name])
        for name in order
    )
    code = f'"use strict";\n{code}'
    if not wanted:
        code = f"(()=>{{\n{code}}})();\n"
    assert "</script" not in code.lower()
    assert "<!--" not in code
    return code


def _exports(text: str) -> list[str]:
    return [match[2] for match in _EXPORT.finditer(text)]


def _check_names(exports: Mapping[str, Sequence[str]]) -> None:
    """Refuse names that two modules export, which would be one constant of the script."""
    owner: dict[str, str] = {}
    for module, names in exports.items():
        for name in names:
            first = owner.setdefault(name, module)
            assert first == module, f"{first} and {module} both export {name}"


def _as_function(text: str, exports: Sequence[str]) -> str:
    """Return a module as a function that is called once and returns the module's exports."""
    imports = [name for match in _IMPORT.finditer(text) for name in re.findall(r"\w+", match[1])]
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub("", text))
    body = minified(body, {*imports, *exports})
    names = ",".join(exports)
    if not names:
        return f"(()=>{{{body}}})();\n"
    return f"const{{{names}}}=(()=>{{{body}return{{{names}}}}})();\n"


def _names(suffix: str) -> list[str]:
    return sorted(each.name for each in _FOLDER.iterdir() if each.name.endswith(suffix))


def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")
