"""Read unquoted YAML scalars, and write values so that they are read back unchanged.

Follows the core schema of YAML 1.2: `no`, `1:30` and `2021-01-01` are text, `1e-3` is a number.
"""

import re
from functools import lru_cache

import yaml

NUMBER_LIMIT = 100
"""The most characters of a number; longer ones would overflow or be slow to read."""
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_AMBIGUOUS = re.compile(r"[-+]?0[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float("inf") for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{"-" + word: float("-inf") for word in (".inf", ".Inf", ".INF")},
}


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar in the core schema of YAML 1.2.

    Raises ValueError, with a message for the user, if a number is ambiguous or too long.
    """
    if text in _WORDS:
        return _WORDS[text]
    is_integer = _INTEGER.fullmatch(text) is not None
    if not is_integer and _FLOAT.fullmatch(text) is None:
        return text
    if len(text) > NUMBER_LIMIT:
        raise ValueError(
            f"number with {len(text)} characters; use at most {NUMBER_LIMIT}, "
            "or quote it if it is text"
        )
    if _AMBIGUOUS.fullmatch(text):
        digits = text.lstrip("+-").lstrip("0") or "0"
        raise ValueError(
            f"{text} is ambiguous, since some programs read a leading 0 as octal; "
            f"write {digits} for the number, '{text}' for text"
        )
    if not is_integer:
        return float(text)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def dump_document(value: object) -> str:
    """Return a YAML text that `parse_document` reads as `value`."""
    return _dump(value, flow=None, width=100)


def dump_value(value: object) -> str:
    """Return a value as one line of YAML."""
    is_scalar = value is None or isinstance(value, bool | int | float | str)
    return _dump_scalar(value) if is_scalar else _dump_line(value)


def _dump_line(value: object) -> str:
    text = _dump(value, flow=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


# A sweep dumps the same scalars many times.
_dump_scalar = lru_cache(maxsize=4096, typed=True)(_dump_line)


def _dump(value: object, *, flow: bool | None, width: float) -> str:
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=width,
    )


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as something else."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        try:
            is_text = resolve_scalar(data) == data and data.isprintable()
        except ValueError:
            is_text = False
        return self.represent_scalar("tag:yaml.org,2002:str", data, None if is_text else '"')

    def represent_items(self, data: list[object]) -> yaml.SequenceNode:
        # A list of plain values takes one line, even if some of them are quoted.
        is_flat = not any(isinstance(item, list | dict) for item in data)
        flow = is_flat or bool(self.default_flow_style)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


_Dumper.add_representer(str, _Dumper.represent_text)

_Dumper.add_representer(list, _Dumper.represent_items)
