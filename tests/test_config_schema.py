"""The config's keys, defaults and checks, apart from how a file is read."""

from typing import Any

import pytest
from pydantic import ValidationError

from ml2021.config import schema
from ml2021.config.schema import (
    Adamw,
    ColumnSplit,
    Config,
    Cosine,
    CrossEntropy,
    EarlyStopping,
    FractionSplit,
    ReluStack,
)

DATA = {"path": "a.csv", "target": "y"}


def check(**keys: object) -> Config:
    return Config.model_validate({"data": DATA, **keys})


def check_data(**keys: object) -> Config:
    return Config.model_validate({"data": {**DATA, **keys}})


def test_two_keys_are_enough() -> None:
    assert check().model_dump() == {
        "data": {
            "path": "a.csv",
            "test_path": None,
            "separator": ",",
            "decimal": ".",
            "thousands": None,
            "skip_rows": 0,
            "encoding": "utf-8",
            "header": True,
            "missing": ["", "NA", "N/A", "null", "None", "NaN"],
            "target": "y",
            "target_shape": None,
            "features": ["*"],
            "exclude": [],
            "max_categories": 100,
            "types": {},
            "dates": None,
            "numbers": {"type": "standardise"},
            "lags": 0,
            "horizon": 1,
            "order_by": None,
            "group_by": None,
            "gaps": None,
            "weight": None,
            "split": {"method": "auto", "validation": 0.1, "test": 0.2, "seed": 0},
            "memory": "auto",
            "cache": None,
        },
        "task": "auto",
        "preset": "default",
        "model": {"type": "relu_stack", "widths": [100, 100]},
        "loss": None,
        "optimizer": {
            "type": "adamw",
            "lr": 0.002,
            "beta1": 0.9,
            "beta2": 0.999,
            "eps": 1e-8,
            "weight_decay": 0.1,
        },
        "train": {
            "epochs": 100,
            "batch_size": 32,
            "schedule": {"type": "cosine"},
            "clip_norm": None,
            "early_stopping": {"patience": 20},
            "metric": "loss",
            "class_weight": None,
            "members": 1,
            "spread": None,
            "refit": False,
            "calibrate": False,
            "save_seconds": 30.0,
            "keep_path": True,
            "tensorboard": False,
        },
        "seed": 0,
        "device": "auto",
        "sweep": None,
    }


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("model", "Linear SigmoidSum ReluStack"),
        ("loss", "Mae Mse Huber CrossEntropy"),
        ("optimizer", "Sgd Adagrad Rmsprop Adam Adamw"),
    ],
)
def test_text_selects_a_member_of_a_union(key: str, names: str) -> None:
    for section in (getattr(schema, name)() for name in names.split()):
        assert getattr(check(**{key: section.type}), key) == section
    for schedule in (schema.Constant(), schema.Cosine(), schema.Step()):
        assert check(train={"schedule": schedule.type}).train.schedule == schedule
    for numbers in (schema.Standardise(), schema.Piecewise()):
        assert check_data(numbers=numbers.type).data.numbers == numbers


def test_a_mapping_without_type_means_the_default_type() -> None:
    config = check(
        model={"widths": [8]}, optimizer={"lr": 0.1}, train={"schedule": {}, "early_stopping": {}}
    )
    assert config.model == ReluStack(widths=[8])
    assert config.optimizer == Adamw(lr=0.1)
    assert config.train.schedule == Cosine()
    assert config.train.early_stopping == EarlyStopping()
    # Only numbers in pieces have a key of their own.
    assert check_data(numbers={"pieces": 8}).data.numbers == schema.Piecewise(pieces=8)


def test_split_is_told_apart_by_method() -> None:
    assert check_data(split={"test": 0.0}).data.split == FractionSplit(test=0.0)
    assert check_data(split="sequential").data.split == FractionSplit(method="sequential")
    split = {"method": "column", "column": "date", "validation_from": "2020-07-01", "test_from": 3}
    assert check_data(split=split).data.split == ColumnSplit(
        method="column", column="date", validation_from="2020-07-01", test_from=3
    )


def test_numbers_name_columns() -> None:
    data = check_data(target=[3, "b"], features=[0, "*"], exclude=[1], order_by=2).data
    assert (data.target, data.features) == (["3", "b"], ["0", "*"])
    assert (data.exclude, data.order_by) == (["1"], "2")
    assert check_data(target=3).data.target == "3"
    split = check_data(split={"method": "column", "column": 4}).data.split
    assert isinstance(split, ColumnSplit)
    assert split.column == "4"


def test_batch_size_is_a_number_or_full() -> None:
    assert check(train={"batch_size": "full"}).train.batch_size == "full"
    assert check(train={"batch_size": 7}).train.batch_size == 7


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices(device: str) -> None:
    assert check(device=device).device == device


@pytest.mark.parametrize("loss", ["mae", "mse", "huber"])
@pytest.mark.parametrize("task", ["regression", "structured", "auto"])
def test_losses_of_numbers_suit_tasks_of_numbers(loss: str, task: str) -> None:
    assert check(loss=loss, task=task).task == task


@pytest.mark.parametrize("task", ["classification", "auto"])
def test_cross_entropy_suits_classes(task: str) -> None:
    assert check(loss="cross_entropy", task=task).loss == CrossEntropy()


def any_of(*values: Any) -> tuple[Any, ...]:
    return values


REFUSED: list[dict[str, Any]] = [
    {"data": {"path": "a.csv"}},
    {"data": {"target": "y"}},
    {"data": {**DATA, "path": ""}},
    *({"data": {**DATA, "target": x}} for x in any_of("", [], None, True, 1.5, [True], [[]], {})),
    *({"data": {**DATA, "features": x}} for x in ("a", None, [True], [None], [1.5])),
    *({"data": {**DATA, "order_by": x}} for x in (True, 1.5, "", ["a"])),
    *({"data": {**DATA, "separator": x}} for x in ("", "ab", '"', "\n", "\r", "\0", ".")),
    *({"data": {**DATA, "decimal": x}} for x in (",", "", ";")),
    *({"data": {**DATA, "encoding": x}} for x in ("utf-9", "", "hex", "a\0", "undefined")),
    *({"data": {**DATA, "header": x}} for x in (0, "no", None)),
    *({"data": {**DATA, "missing": x}} for x in ([None], [True], [float("nan")], "NA")),
    *({"data": {**DATA, "target_shape": x}} for x in ([], [0], [2.0], 4)),
    *({"data": {**DATA, "lags": x}} for x in (-1, True, 3.0, "3")),
    *({"data": {**DATA, "horizon": x}} for x in (0, 2)),
    *({"data": {**DATA, "numbers": x}} for x in any_of("pieces", 16, None, ["piecewise"])),
    *({"data": {**DATA, "numbers": {"pieces": x}}} for x in (1, 513, True, 2.0, "16")),
    {"data": {**DATA, "numbers": {"type": "standardise", "pieces": 16}}},
    {"data": {**DATA, "lags": 2, "target": ["a", "b"]}},
    *({"data": {**DATA, "split": {"validation": x}}} for x in (-0.1, 1, 0.8, True, "0.1")),
    {"data": {**DATA, "split": {"validation": 0.5, "test": 0.5}}},
    {"data": {**DATA, "split": {"method": "column"}}},
    {"data": {**DATA, "split": {"method": "column", "column": "c", "test": 0.1}}},
    {"data": {**DATA, "split": {"method": "column", "column": "c", "test_from": True}}},
    *({"model": {"type": "sigmoid_sum", "units": x}} for x in (0, True, 2.0, "2", 2**63)),
    {"model": {"type": "sigmoid_sum", "activation": "relu"}},
    *({"model": {"widths": x}} for x in ([], [0], [True], 100, ["10"])),
    {"model": {"type": "linear", "units": 3}},
    *({"loss": x} for x in any_of({"delta": 1.0}, {"type": "huber", "delta": 0}, "l1", 1, [])),
    *({"loss": x, "task": "classification"} for x in ("mae", "mse", "huber")),
    *({"loss": "cross_entropy", "task": x} for x in ("regression", "structured")),
    {"task": "classification", "data": {**DATA, "lags": 1}},
    *({"optimizer": {"lr": x}} for x in (0, -1.0, float("inf"), float("nan"), True, "1", None)),
    *({"optimizer": {"type": "sgd", "momentum": x}} for x in (-0.1, 1, 1.5)),
    {"optimizer": {"type": "sgd", "nesterov": True}},
    {"optimizer": {"type": "adamw", "weight_decay": -0.1}},
    {"optimizer": {"type": "adam", "momentum": 0.9}},
    *({"optimizer": {"beta1": x}} for x in (-0.1, 1)),
    *({"train": {"epochs": x}} for x in (0, -1, 1.0, True, 10**100)),
    *({"train": {"batch_size": x}} for x in (0, "32", "all", True, 2.0, None)),
    *({"train": {"schedule": {"type": "step", "factor": x}}} for x in (0, 1.1)),
    {"train": {"schedule": {"type": "step", "every": 0}}},
    *({"train": {"clip_norm": x}} for x in (0, -1, True)),
    *({"train": {"early_stopping": x}} for x in (False, {"patience": 0}, 20)),
    {"train": {"save_seconds": 0}},
    *({"seed": x} for x in (-1, 2**63, True, 1.0)),
    *({"device": x} for x in ("gpu", "cuda:", "cuda:x", "cpu:0", "cuda:²", "", "cuda:99999")),
    {"surprise": 1},
]


@pytest.mark.parametrize("keys", REFUSED, ids=repr)
def test_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"data": DATA, **keys})
    assert caught.value.error_count() == 1


def test_a_config_does_not_change() -> None:
    config, key = check(), "seed"
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, key, 1)


def test_every_key_is_described() -> None:
    schema = Config.model_json_schema()
    sections = {"Config": schema, **schema["$defs"]}
    undescribed = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, field in section.get("properties", {}).items()
        if not field.get("description", "").rstrip().endswith((".", "..."))
    ]
    assert len(sections) > 20
    assert undescribed == []


def test_the_first_key_of_every_member_is_its_tag() -> None:
    members = Config.model_json_schema()["$defs"]
    first = {name: next(iter(section["properties"])) for name, section in members.items()}
    untagged = {"Data": "path", "EarlyStopping": "patience", "Train": "epochs", "Sweep": "runs"}
    splits = dict.fromkeys(("FractionSplit", "ColumnSplit", "KFoldSplit"), "method")
    assert first == {**dict.fromkeys(first, "type"), **untagged, **splits}
