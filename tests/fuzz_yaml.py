"""Compare the YAML reader with a simple reference on random texts, and load configs with one error.

The reference walks over the nodes of `yaml.compose_all` and reads scalars by the core schema of
YAML 1.2. Both must give the same values, or refuse the text at the same line. A config with an
error on one line must be refused at that line.
"""

import contextlib
import re
import traceback
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ml2021.config import loading, yaml_reader
from ml2021.errors import ConfigError
from tests.suites import HangError, Tally

WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
LONGEST_NUMBER = 100
DEEPEST = 32


@dataclass
class Blame:
    """Lines with errors by the reference, from 1: all that may be reported.

    `syntax` are the lines of a syntax error; lines before it may have other errors.
    """

    lines: set[int]
    syntax: range | None = None


def reference(text: str) -> tuple[object, Blame | None]:
    """Return the values of a text, or the lines of its errors."""
    lines: set[int] = set()
    syntax = None
    nodes: list[yaml.Node] = []
    try:
        nodes = list(yaml.compose_all(text, Loader=LOADER))
    except yaml.composer.ComposerError:  # an undefined alias hides everything after it
        return None, Blame(set(range(1, text.count("\n") + 3)))
    except yaml.MarkedYAMLError as error:
        marks = [m.line + 1 for m in (error.context_mark, error.problem_mark) if m is not None]
        syntax = range(min(marks), max(marks) + 1)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        syntax = range(line, line + 1)
    with contextlib.suppress(yaml.YAMLError):
        for token in yaml.scan(text, Loader=LOADER):
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
                lines.add(token.start_mark.line + 1)
    if syntax is not None:
        return None, Blame(lines, syntax)
    if not nodes:
        return None, None
    if len(nodes) > 1:
        return None, Blame(set(range(1, text.count("\n") + 3)))
    value = _value(nodes[0], 0, lines)
    return value, Blame(lines) if lines else None


def _value(node: yaml.Node, depth: int, lines: set[int]) -> object:
    """Return the value of a node; add the lines of its errors to `lines`."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, line, lines)
    if depth >= DEEPEST:
        lines.add(line)
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, depth + 1, lines) for each in node.value]
    assert isinstance(node, yaml.MappingNode)
    found: dict[str, object] = {}
    for key, value in node.value:
        is_text = isinstance(key, yaml.ScalarNode)
        if not is_text or (key.value == "<<" and not key.style) or key.value in found:
            lines.add(key.start_mark.line + 1)
        understood = _value(value, depth + 1, lines)
        if is_text:
            found[key.value] = understood
            if re.search("[\0\ud800-\udfff]", key.value):
                lines.add(key.start_mark.line + 1)
    return found


def _scalar(node: yaml.ScalarNode, line: int, lines: set[int]) -> object:
    text = str(node.value)
    if node.style:  # "" and None stand for plain
        if re.search("[\0\ud800-\udfff]", text):
            lines.add(line)
        return text
    bare = text.lstrip("+-")
    if text in WORDS or (text.lower() in WORDS and text in (text.title(), text.upper())):
        return WORDS[text.lower()]
    if bare in (".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF") and len(text) - len(bare) <= 1:
        is_infinite = "inf" in bare.lower()
        if bare == text or is_infinite:
            return float(text.replace(".", "", 1))
    is_integer = INTEGER.fullmatch(text) is not None
    if not is_integer and FLOAT.fullmatch(text) is None:
        return text
    if len(text) > LONGEST_NUMBER or re.fullmatch("0[0-9]+", bare):
        lines.add(line)
        return None
    if not is_integer:
        return float(text)
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))


# Random texts.

GOOD = [
    *("1", "-7", "+3", "0", "0o17", "0x1F", "1:30", "1_000", "1e-3", "1e3", "1.0e3", ".5", "5."),
    *(".inf", "-.INF", "+.Inf", ".NaN", "-.nan", ".Nan", "no", "No", "on", "y", "true", "True"),
    *("tRue", "FALSE", "null", "Null", "~", "", "2021-01-01", "a b", "=", "a#b", "é", "<<", "'10'"),
    *('"no"', '"\\u00e9"', "'it''s'", "9" * 99, "'" + "9" * 101 + "'", "1e999", "{a: 1}"),
]
BAD = [
    *("010", "-08", '"\\0"', "!!str 1", "&a b", "*a", "%", "@", "`", "9" * 101, "- 1", "[1, 2"),
    *("a: b", "?"),
]
SCALARS = st.integers(0, 29).flatmap(lambda i: st.sampled_from(GOOD if i else BAD))
GOOD_KEYS = ["a", "b", "c", "no", "1", "'2'", "é", '"<<"', "a b"]
KEYS = st.integers(0, 29).flatmap(lambda i: st.sampled_from(GOOD_KEYS if i else ["<<", "[x]"]))
PIECES = st.sampled_from([*"\n :-[]{},'\"#&*!|>%@`?\t~<0a", "  ", ": ", "- ", "---", "...", "\x07"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Draw a text in block and flow style, sometimes damaged."""
    text = "\n".join(_block(draw, 0)) + "\n"
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(PIECES) + text[at + draw(st.integers(0, 3)) :]
    return text


def _block(draw: st.DrawFn, depth: int) -> list[str]:
    """Draw the lines of a mapping or a list."""
    lines: list[str] = []
    is_list = depth > 0 and draw(st.booleans())
    keys = draw(st.lists(KEYS, min_size=1, max_size=4, unique=draw(st.integers(0, 9)) > 0))
    for key in keys:
        start = "-" if is_list else f"{key}:"
        if draw(st.integers(0, 5)) == 0:
            lines.append(draw(st.sampled_from(["# a comment", "", "   "])))
        if depth < 3 and draw(st.integers(0, 2)) == 0:
            lines += [start, *(f"  {line}" for line in _block(draw, depth + 1))]
        elif draw(st.integers(0, 3)) == 0:
            lines.append(f"{start} {_flow(draw, 0)}")
        else:
            lines.append(f"{start} {draw(SCALARS)}")
    return lines


def _flow(draw: st.DrawFn, depth: int) -> str:
    items = [
        _flow(draw, depth + 1) if depth < 2 and draw(st.integers(0, 4)) == 0 else draw(SCALARS)
        for _ in range(draw(st.integers(0, 3)))
    ]
    if draw(st.booleans()):
        return "[" + ", ".join(items) + "]"
    return "{" + ", ".join(f"{draw(KEYS)}: {item}" for item in items) + "}"


CONFIG = """data:
  path: data/views.csv
  separator: ";"
  target: views
  exclude: [date]
  split: {method: random, validation: 0.1}
task: regression
model:
  type: relu_stack
  widths: [100, 10]
loss: {type: huber, delta: 1.0}
optimizer:
  type: sgd
  lr: 1e-3
  momentum: 0.9
train:
  epochs: 100
  batch_size: full
  clip_norm: null
  early_stopping:
    patience: 20
seed: 0
device: cpu
"""


@dataclass(frozen=True)
class Mistaken:
    """A config with an error on one line, counted from 1."""

    text: str
    line: int


@st.composite
def mistaken(draw: st.DrawFn) -> Mistaken:
    """Draw the config with a wrong key, a duplicate key, a value of a wrong type, or a tab."""
    lines = CONFIG.splitlines()
    for _ in range(draw(st.integers(0, 3))):
        lines.insert(
            draw(st.integers(0, len(lines))), draw(st.sampled_from(["", "# ha: ha", "  "]))
        )
    at = draw(st.sampled_from([i for i, line in enumerate(lines) if re.match(r" *\w+: \S", line)]))
    key, value = lines[at].split(": ", 1)
    kind = draw(st.sampled_from(["key", "repeated", "value", "tab"]))
    if kind == "key":
        lines[at] = f"{key}{draw(st.sampled_from('xs_q'))}: {value}"
    elif kind == "repeated":
        lines.insert(at + 1, lines[at])
        at += 1
    elif kind == "value":
        lines[at] = f"{key}: {draw(st.sampled_from(['[[1]]', '{a: {b: c}}', '010', '[-.inf]']))}"
    else:
        lines[at] = f"\t{lines[at]}"
    return Mistaken("\n".join(lines) + "\n", at + 1)


# The comparison.


def suite(count: int) -> Tally:
    """Read `count` texts with both readers, and load half as many configs with an error."""
    tally = Tally()
    options = settings(
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    @seed(2021)
    @settings(options, max_examples=count)
    @given(texts())
    def read(text: str) -> None:
        verdict = judge(tally, text)
        is_right = verdict in ("equal", "refused")
        tally.add(verdict if is_right else f"{verdict}: {text!r}", is_right=is_right)

    @seed(2021)
    @settings(options, max_examples=count // 2)
    @given(mistaken())
    def load(config: Mistaken) -> None:
        verdict = judge_config(tally, config)
        is_right = verdict == "blamed"
        tally.add(verdict if is_right else f"{verdict}: {config}", is_right=is_right)

    read()
    load()
    return tally


def judge(tally: Tally, text: str) -> str:
    """Return how reading a text ends: equal, refused at a right line, or what went wrong."""
    expected, blame = reference(text)
    try:
        with tally.timed():
            document = yaml_reader.parse_document(text, "c.yaml")
    except HangError:
        return "a hang"
    except Exception:
        return f"a traceback: {traceback.format_exc()}"
    problems = document.problems
    if not problems:
        if blame is None:
            equal = _typed(document.value) == _typed(expected)
            return "equal" if equal else f"read as {document.value!r}, should be {expected!r}"
        return f"read as {document.value}, and should be refused: {blame}"
    if blame is None:
        return f"refused, {problems}, and should be {expected!r}"
    found = {problem.place.line for problem in problems}
    if blame.syntax is None:
        is_right = found <= blame.lines
    else:
        syntax = {p.place.line for p in problems if p.message.startswith("not valid YAML")}
        is_right = min(found) < blame.syntax.stop and syntax <= set(blame.syntax)
    return "refused" if is_right else f"refused by {problems}, and should be: {blame}"


def judge_config(tally: Tally, config: Mistaken) -> str:
    """Return how loading a config with an error ends: blamed on its line, or what went wrong."""
    try:
        with tally.timed():
            loading.load_config_text(config.text, "c.yaml")
    except ConfigError as error:
        found = [re.match(r"c\.yaml:(\d+):\d+: ", line) for line in error.lines]
        lines = [int(match[1]) for match in found if match]
        return "blamed" if config.line in lines else f"refused by {error.lines}"
    except HangError:
        return "a hang"
    except Exception:
        return f"a traceback: {traceback.format_exc()}"
    return "taken"


def _typed(value: Any) -> Any:
    """Return the value with all its types, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return [(key, _typed(each)) for key, each in value.items()]
    if isinstance(value, list):
        return ["list", *map(_typed, value)]
    return (type(value).__name__, repr(value))
