"""Figures as SVG within the page, where their text can be selected and their colours follow it.

Matplotlib escapes all text, so that a `>` can only end a tag.
"""

import re
from functools import cache

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ml2021.report.figures import style

_TAG = re.compile(r"<[^>]*>")
_COLOUR = re.compile(r"((?:fill|stroke): )(#[0-9a-f]{6})\b")
_FAMILY = re.compile(r" font-family: [^;\"]*;")
_GROUP_ID = re.compile(r' id="[\w.]+_\d+"')
_REFERENCE = re.compile(r'( id="|url\(#|href="#)')
_NAMES = {light: name for name, (light, _) in style.COLOURS.items()}


@cache
def colour_rules() -> str:
    """Return the style sheet of the colours, as variables: light, and dark if the reader's is."""
    light, dark = (
        " ".join(f"--{name}: {pair[which]};" for name, pair in style.COLOURS.items())
        for which in (0, 1)
    )
    return (
        f":root {{ color-scheme: light; {light} }}\n"
        "@media screen and (prefers-color-scheme: dark) {\n"
        f"  :root {{ color-scheme: dark; {dark} }}\n}}\n"
    )


def inline_svg(figure: Figure, prefix: str) -> str:
    """Return the figure as a tag `svg` without its attributes: the view box and the contents.

    The ids begin with `prefix`, a plain word, so that those of two figures differ.
    """
    drawing = style.to_svg(figure)
    view = drawing[drawing.index("viewBox=") :].partition('"')[2].partition('"')[0]
    inside = drawing[drawing.index("</style>\n </defs>") + len("</style>\n </defs>") :]
    reference = rf"\g<1>{prefix}-"

    def adapted(tag: re.Match[str]) -> str:
        text = tag[0]
        if '"' not in text:
            return text
        text = _GROUP_ID.sub("", text)
        text = _COLOUR.sub(_variable, _FAMILY.sub("", text))
        return _REFERENCE.sub(reference, text)

    return f'viewBox="{view}">{_TAG.sub(adapted, inside).strip()}'


def _variable(colour: re.Match[str]) -> str:
    name = _NAMES.get(colour[2])
    return colour[0] if name is None else f"{colour[1]}var(--{name})"


def describe(figure: Figure) -> str:
    """Return what the axes show, for readers who do not see them."""
    seen = [text for axes in figure.axes if (text := _describe_axes(axes))]
    return "; ".join(dict.fromkeys(seen)) or "Diagram"


def _describe_axes(axes: Axes) -> str:
    x, y = axes.get_xlabel(), axes.get_ylabel()
    if x and y:
        return f"{y}, by {x}"
    return x or y or axes.get_title(loc="left")
