"""`keys` and `configs/README.md`: the reference of a config, held to its schema."""

import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from ml2021.commands.keys import describe_keys, markdown
from ml2021.config.loading import load_config_text
from ml2021.config.paths import models_at, takes_numbers
from ml2021.config.reference import EXAMPLES, MARKDOWN, UNITS, entries, find
from ml2021.config.schema import Config
from ml2021.config.yaml_reader import KeyPath
from ml2021.data.presets import fill_preset, keys_of_presets
from ml2021.errors import ConfigError
from tests.commands import refusal, run_well

README = Path(__file__).parent.parent / "configs" / "README.md"


def schema_keys(above: KeyPath = ()) -> list[str]:
    found = []
    for key in dict.fromkeys(key for model in models_at(above) for key in model.model_fields):
        found += [".".join(map(str, (*above, key))), *schema_keys((*above, key))]
    return found


def test_the_page_is_what_the_command_writes() -> None:
    assert README.read_text() == markdown(), f"run: {MARKDOWN}"
    assert MARKDOWN in README.read_text().splitlines()[0]


def test_every_key_of_the_schema_is_in_it_once() -> None:
    keys = schema_keys()
    assert list(entries()) == keys
    assert len(keys) == len({*keys})
    page = README.read_text()
    assert [key for key in keys if page.count(f"| `{key}` |") != 1] == []


@pytest.mark.parametrize("key", entries())
def test_each_key_is_explained_and_its_example_is_valid(key: str) -> None:
    entry = entries()[key]
    assert entry.types
    assert entry.meanings
    assert entry.defaults
    printed = " ".join(describe_keys(key)).partition("  example ")[2].partition(f"{key}.")[0]
    words = shlex.split(printed)
    settings = [value for word, value in pairwise(words) if word == "--set"]
    assert settings[-1] == f"{key}={entry.example}"
    loaded = load_config_text("data: {path: a, target: y}", "c", settings)
    assert isinstance(loaded.config, Config)


def test_units_and_examples_are_of_keys_that_exist() -> None:
    assert EXAMPLES.keys() <= entries().keys()
    assert [key for key in UNITS if not takes_number(key)] == []


def takes_number(key: str) -> bool:
    return takes_numbers(tuple(key.split("."))) or "a whole number" in entries()[key].types


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("optimizer.lr", ["greater than 0", "0.002 (adamw)", "Learning rate"]),
        ("train.save_seconds", ["seconds", "30.0"]),
        ("data.split.folds", ["at least 2", "10", "Number of folds"]),
        ("train.batch_size", ["full", "32", "rows"]),
        ("loss.type", ["mae, mse, huber or cross_entropy", "must be set"]),
        ("optimizer.type", ["adamw", "`sgd`: stochastic gradient descent"]),
    ],
)
def test_an_entry_has_what_the_schema_says(key: str, words: list[str]) -> None:
    (entry,) = (entry for entry in find(key) if entry.key == key)
    text = " ".join([entry.types, entry.defaults, entry.unit, entry.meanings])
    assert [word for word in words if word not in text] == []


def test_a_key_is_found_by_its_last_name_and_a_section_has_all_its_keys() -> None:
    assert [entry.key for entry in find("patience")] == ["train.early_stopping.patience"]
    assert [entry.key for entry in find("train.schedule")] == [
        "train.schedule",
        "train.schedule.type",
        "train.schedule.every",
        "train.schedule.factor",
    ]
    assert {entry.key for entry in find("seed")} == {"seed"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("learning_rate", "optimizer.lr"), ("optimizer.lrr", "optimizer.lr"), ("n_epochs", "epochs")],
)
def test_an_unknown_key_is_answered_with_the_one_that_is_meant(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=meant):
        find(name)


def test_the_command_prints_all_keys_or_one(tmp_path: Path) -> None:
    listed = run_well(tmp_path, "keys").stdout
    assert [key for key in schema_keys() if f"\n{key} " not in listed] == []
    assert "--set optimizer.lr=0.0005" in run_well(tmp_path, "keys", "optimizer.lr").stdout
    assert run_well(tmp_path, "keys", "--markdown").stdout == markdown()
    code, line = refusal(tmp_path, "keys", "zzzzzz")
    assert (code, "no such key" in line) == (2, True)
    assert refusal(tmp_path, "keys", "seed", "--markdown")[0] == 2


def test_a_key_that_a_preset_sets_says_so(tmp_path: Path) -> None:
    said = {key: run_well(tmp_path, "keys", key).stdout for key in ("train.members", "seed")}
    assert "default and best (relu_stack)" in said["train.members"]
    assert "  preset " not in said["seed"]
    config = load_config_text("data: {path: a, target: y}\nloss: mse\ntask: regression", "c").config
    before, after = config.model_dump(), fill_preset(config, 500).model_dump()
    changed = {
        f"{name}.{key}"
        for name, section in after.items()
        if isinstance(section, dict)
        for key in section
        if section[key] != before[name][key]
    } - {"train.spread"}
    assert "train.members" in changed
    assert changed <= keys_of_presets().keys()
