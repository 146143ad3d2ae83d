"""The JSON Schema: it judges every config that this project has as the program does."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ml2021.config.json_schema import config_schema
from ml2021.config.loading import load_config_text
from ml2021.config.yaml_reader import parse_document
from ml2021.errors import ConfigError
from ml2021.sweeps.search_space import load_sweep_text
from tests.catalogue.test_catalogue import CASES

ROOT = Path(__file__).parent.parent
VALIDATOR = Draft202012Validator(config_schema())

OF_A_RUN = "a setting does not fit another one in a run of the sweep"
BEYOND = [
    ("must be a finite number", "JSON has no .inf", "optimizer: {lr: .inf}"),
    (r"whole number.*; write -?\d+$", "to JSON Schema 3.0 is a whole number", "seed: 3.0"),
    (
        "leave no rows to train on",
        "it adds two numbers",
        "data: {path: a, target: y, split: {validation: 0.6, test: 0.5}}",
    ),
    (
        "data.group_by and data.order_by are both",
        "it compares two texts",
        "data: {path: a, target: y, order_by: c, group_by: c}",
    ),
    (
        "known to Python",
        "the encodings are those of the Python that runs",
        "data: {path: a, target: y, encoding: utf-99}",
    ),
    (
        "low must be less than high",
        "it compares two numbers",
        "sweep: {random: {optimizer.lr: {low: 2, high: 1}}}",
    ),
    (
        "low must be greater than 0 with scale log",
        "it depends on the scale",
        "sweep: {random: {optimizer.lr: {low: 0, high: 1, scale: log}}}",
    ),
    (
        " twice; keep one",
        "JSON Schema does not tell 1 from 1.0, and finds no equal settings of two runs",
        "sweep: {grid: {seed: [1, 1]}}",
    ),
    (
        r" is in both sweep\.",
        "it compares the keys of two mappings",
        "sweep: {grid: {seed: [1]}, random: {seed: [2]}}",
    ),
    (
        r"needs sweep\.random;",
        "sweep.random may be there, but empty",
        "sweep: {grid: {seed: [1]}, samples: 2}",
    ),
    (
        "runs are too many",
        "it multiplies the lengths of lists",
        "sweep: {random: {seed: [1]}, samples: 10001}",
    ),
    ("nothing to sweep", "mappings that are there, but empty", "sweep: {grid: {}}"),
    (r" has no key '", OF_A_RUN, "sweep: {grid: {model.units: [3]}}"),
    ("does not work with", OF_A_RUN, "task: regression\nsweep: {grid: {loss: [cross_entropy]}}"),
]
"""Patterns of the program's messages about rules that a schema cannot say, why it cannot, and an
example. All that needs the table is said later, and by the program alone."""


@cache
def texts() -> dict[str, str]:
    """Return the configs of `configs/`, the catalogue and the tests, with their places."""
    found = {text: f"configs: {path.name}" for path, text in _shipped()}
    for case in CASES:
        for step in case.given:
            cells = [cell.cell_contents for cell in getattr(step, "__closure__", None) or ()]
            found |= {text: f"catalogue: {case.id}" for text in cells if isinstance(text, str)}
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, f"{path.name}:{node.lineno}")
    return {text: place for text, place in found.items() if "data" in text and is_config(text)}


def _shipped() -> Iterator[tuple[Path, str]]:
    for path in (ROOT / "configs").rglob("*.yaml"):
        yield path, path.read_text()


@cache
def plain(text: str) -> dict[str, Any] | None:
    """Return the values of a config, None where the program cannot read it as one."""
    document = parse_document(text, "c.yaml")
    return document.value if isinstance(document.value, dict) and not document.problems else None


def is_config(text: str) -> bool:
    value = plain(text)
    return value is not None and isinstance(value.get("data"), dict)


def program_says(text: str) -> list[str]:
    value = plain(text)
    assert value is not None
    try:
        load_config_text(text, "c.yaml")
        if value.get("sweep") is not None:
            load_sweep_text(text, "c.yaml")
    except ConfigError as error:
        return list(error.lines)
    return []


def schema_says(value: object) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(value)]


def test_it_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(config_schema())
    assert config_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_reference_leads_somewhere() -> None:
    schema = config_schema()
    for reference in _references(schema):
        found: Any = schema
        for part in reference.removeprefix("#/").replace("%20", " ").split("/"):
            found = found[part]


def _references(value: dict[str, Any] | list[Any]) -> Iterator[str]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        if key == "$ref":
            yield item
        elif isinstance(item, dict | list):
            yield from _references(item)


def test_schema_and_program_judge_every_config_alike() -> None:
    judged = {"accepted": 0, "refused": 0, "beyond": 0}
    for text, place in texts().items():
        refused, found = program_says(text), schema_says(plain(text))
        beyond = [line for line in refused if any(re.search(words, line) for words, *_ in BEYOND)]
        if refused and len(beyond) == len(refused) and not found:
            judged["beyond"] += 1
            continue
        assert bool(refused) == bool(found), (place, text, refused, found[:3])
        judged["refused" if refused else "accepted"] += 1
    assert judged["accepted"] > 100, judged
    assert judged["refused"] > 50, judged


@pytest.mark.parametrize(("pattern", "reason", "text"), BEYOND)
def test_what_a_schema_cannot_say_stays_with_the_program(
    pattern: str, reason: str, text: str
) -> None:
    text = text if text.startswith("data") else f"data: {{path: a, target: y}}\n{text}"
    assert any(re.search(pattern, line) for line in program_says(text)), program_says(text)
    assert not schema_says(plain(text)), reason


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("loss: mae", True),
        ("loss: mea", False),
        ("loss: {delta: 1}", False),
        ("optimizer: {lr: 0.1}", True),
        ("optimizer: {momentum: 0.9}", False),
        ("optimizer: {type: sgd, momentum: 0.9}", True),
        ("optimizer: {learning_rate: 0.1}", False),
        ("train: {batch_size: full, early_stopping: null}", True),
        ("train: {batch_size: all}", False),
        ("train: {class_weight: {yes: 4, no: 1}}", True),
        ("device: cuda:1", True),
        ("device: gpu", False),
        ("seed: true", False),
        ("sweep: {grid: {optimizer.lr: [0.1, 0.01], model: [linear]}}", True),
        ("sweep: {grid: {optimizer: {lr: [0.1]}, train: {early_stopping.patience: [3]}}}", True),
        ("sweep: {grid: {optimizer.lr: 0.1}}", False),
        ("sweep: {grid: {optimizer.rl: [0.1]}}", False),
        ("sweep: {grid: {sweep.seed: [1]}}", False),
        ("sweep: {random: {optimizer.lr: {low: 1e-4, high: 1, scale: log}}}", True),
        ("sweep: {random: {model.units: {low: 1.5, high: 3}}}", False),
        ("sweep: {random: {optimizer.lr: {low: 1e-4, hi: 1}}}", False),
        ("sweep: {runs: [{model: linear}, {model: relu_stack, train.epochs: 5}]}", True),
        ("sweep: {runs: [{}]}", False),
        ("sweep: {grid: {data.types.zip: [number, category]}}", True),
    ],
)
def test_shorthands_and_sweeps(text: str, is_right: bool) -> None:
    text = f"data: {{path: a.csv, target: y}}\n{text}"
    assert bool(program_says(text)) != is_right
    assert bool(schema_says(plain(text))) != is_right


def test_column_names_may_be_numbers() -> None:
    text = "data: {path: a.csv, target: 3, exclude: [1, 2], types: {0: number}}"
    assert not program_says(text)
    assert not schema_says(json.loads(json.dumps(plain(text))))
