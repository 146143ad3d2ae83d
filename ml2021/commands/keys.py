"""The command `keys`: the keys of a config, in a list, one by one, or as `configs/README.md`."""

import shlex
import textwrap
from collections.abc import Iterator, Sequence

from ml2021.config.reference import MARKDOWN, Entry, entries, find
from ml2021.data.presets import keys_of_presets

_WIDTH = 100
_ABOUT = (
    "Every key of a config, by section. Only `data.path` and `data.target` must be set. A section "
    "with a type may be written as that type alone, `loss: mae` for `loss: {type: mae}`. Defaults "
    "are those of `preset: fast`; the presets `default` and `best` also choose PRESET_KEYS where "
    "they are not set. `ml2021 keys optimizer.lr` prints one of them, "
    "`--set optimizer.lr=0.0005` sets it for one "
    "command, and `ml2021 schema` prints all as a JSON Schema for editors."
)


def list_keys() -> list[str]:
    """Return a line for each key: its name and its default."""
    known = entries()
    width = max(map(len, known))
    lines = [f"{key:<{width}}  {_shortened(entry.defaults)}" for key, entry in known.items()]
    return [f"{'key':<{width}}  default", *lines, "", "more about one: ml2021 keys KEY"]


def describe_keys(name: str) -> list[str]:
    """Return lines about a key and those inside it. Raises ConfigError if there is none."""
    lines: list[str] = []
    for entry in find(name):
        lines += ["", *_described(entry)]
    return lines[1:]


def markdown() -> str:
    """Return the reference as the text of `configs/README.md`."""
    lines = [f"<!-- Written by: {MARKDOWN} -->", "", "# The keys of a config", ""]
    of_presets = [f"`{key}`" for key, models in keys_of_presets().items() if "relu_stack" in models]
    lines += textwrap.wrap(_ABOUT.replace("PRESET_KEYS", _joined(of_presets)), 120)
    lines += ["", "The configs in this folder are those of the [README](../README.md).", ""]
    for title, section in _sections(entries()):
        lines += [f"## {title}", "", "| key | type | default | unit | meaning | example |"]
        lines += ["|---|---|---|---|---|---|", *map(_row, section), ""]
    return "\n".join(lines)


def _sections(known: dict[str, Entry]) -> Iterator[tuple[str, Sequence[Entry]]]:
    """Yield the top level and each of its sections, with all keys below."""
    inner = {key.partition(".")[0] for key in known if "." in key}
    yield "Top level", [entry for key, entry in known.items() if "." not in key]
    for name in known:
        if name in inner:
            yield name, [entry for key, entry in known.items() if key.startswith(f"{name}.")]


def _described(entry: Entry) -> list[str]:
    example = f"{entry.key}={entry.example}"
    rows = {
        "type": entry.types,
        "default": entry.defaults,
        "preset": _of_presets(entry.key),
        "unit": entry.unit,
        "meaning": entry.meanings,
        "example": " ".join(f"--set {shlex.quote(each)}" for each in (*entry.needs, example)),
    }
    lines = [entry.key]
    for name, text in rows.items():
        whole = name == "example"  # to be copied
        parts = [text] if whole else textwrap.wrap(text, _WIDTH - 11)
        heads = (f"  {name:<8} ", *[" " * 11] * len(parts))
        lines += [head + part for head, part in zip(heads, parts, strict=False) if part]
    return lines


def _of_presets(key: str) -> str:
    """Say which presets set a key where the config does not; "" if none does."""
    known = keys_of_presets()
    found = known.get(key) or known.get(key.rpartition(".")[0], {})
    texts = [f"{_joined(presets)} ({model})" for model, presets in found.items()]
    return f"set by {'; '.join(texts)} where the config does not set it" if texts else ""


def _joined(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _row(entry: Entry) -> str:
    key, example = f"`{entry.key}`", f"`{entry.example}`"
    cells = [key, entry.types, entry.defaults, entry.unit, entry.meanings, example]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
