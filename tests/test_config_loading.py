"""Files and overrides: values, places and round trips. The catalogue has the refusals."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml2021.config import schema
from ml2021.config.loading import dump_yaml, load_config, load_config_text, to_plain
from ml2021.config.yaml_scalars import dump_document, resolve_scalar
from ml2021.errors import ConfigError
from ml2021.formatting import suggest

DATA = "data: {path: a.csv, target: y}\n"
BLOCK = "data:\n  path: a.csv\n  target: y\n"


def lines(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config_text(text, "c", overrides)
    return list(caught.value.lines)


def load(text: str, *overrides: str) -> schema.Config:
    return load_config_text(text, "c", overrides).config


def test_all_errors_are_reported_at_once_in_reading_order() -> None:
    text = (
        "model: {widths: [1, x]}\ntrain: {epochs: 010}\ndata: {path: 1}\n"
        "seed: 1\nseed: -2\ntask: *t\n"
    )
    places = [
        *("c:1:21", "c:2:17", "c:3:1", "c:3:14", "c:5:1", "c:6:7"),
        *("--set optimizer.lr", "--set sede"),
    ]
    assert [line.split(": ")[0] for line in lines(text, "optimizer.lr=0", "sede=3")] == places


SCALARS: dict[str, object] = {
    "1e-3": 0.001, "1e3": 1000.0, "1.0e3": 1000.0, ".5": 0.5, "5.": 5.0, "-1.5E+2": -150.0,
    "0": 0, "-7": -7, "+7": 7, "0o10": 8, "0x1F": 31, "0.10": 0.1,
    ".inf": float("inf"), "-.INF": float("-inf"),
    "": None, "~": None, "null": None, "NULL": None, "nUll": "nUll",
    "true": True, "False": False, "TRUE": True, "tRue": "tRue",
    "no": "no", "off": "off", "yes": "yes", "On": "On", "y": "y",
    "1:30": "1:30", "2021-01-01": "2021-01-01", "1_000": "1_000", "0b11": "0b11", "-0x1": "-0x1",
    "1e": "1e", ".": ".", "e3": "e3", "+": "+", "٣": "٣", "nan": "nan", "inf": "inf",
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS, ids=repr)
def test_scalars_follow_yaml_1_2(text: str) -> None:
    value = resolve_scalar(text)
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize("text", ["010", "00", "-01", "+007", "1" * 101, "1." + "0" * 99])
def test_ambiguous_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is ambiguous|101 characters"):
        resolve_scalar(text)


def test_control_characters_may_be_escaped() -> None:
    assert load('data: {path: a, target: y, separator: "\\t"}').data.separator == "\t"
    assert load('data: {path: a, target: y, separator: "\\x1f"}').data.separator == "\x1f"


def test_overrides_win_over_the_file_and_the_last_wins() -> None:
    config = load(f"{DATA}seed: 1\noptimizer: sgd", "seed=x", "seed=2", "optimizer.lr=0.1")
    assert config.seed == 2
    assert config.optimizer == schema.Sgd(lr=0.1)


def test_overrides_make_the_mappings_they_need() -> None:
    config = load(
        f"{DATA}train: {{early_stopping: null}}",
        "train.early_stopping.patience=3",
        "data.split.test=0.0",
        "optimizer.lr=1e-2",
        "data.features=['x*', z]",
        "model={type: sigmoid_sum, units: 4}",
        "model.units=5",
    )
    assert config.train.early_stopping == schema.EarlyStopping(patience=3)
    assert config.data.split == schema.FractionSplit(test=0.0)
    assert config.optimizer == schema.Adamw(lr=0.01)
    assert config.data.features == ["x*", "z"]
    assert config.model == schema.SigmoidSum(units=5)


def test_overrides_can_take_away() -> None:
    config = load(DATA, "train.early_stopping=null", "data.target=3")
    assert config.train.early_stopping is None
    assert config.data.target == "3"


def test_locate() -> None:
    text = "# views\n" + BLOCK + "  exclude: [a, b]\n  features:\n    - c\noptimizer: sgd\n"
    loaded = load_config_text(text, "c", ["data.order_by=d", "optimizer.lr=1"])
    assert loaded.text == text
    assert loaded.locate("data", "target") == "c:4:11"
    assert loaded.locate("data", "exclude", 1) == "c:5:16"
    assert loaded.locate("data", "features", 0) == "c:7:7"
    assert loaded.locate("data", "target", 0) == "c:4:11"
    assert loaded.locate("data", "order_by") == "--set data.order_by"
    assert loaded.locate("data", "lags") == "c:2:1"
    assert loaded.locate("data", "split", "column") == "c:2:1"
    assert loaded.locate("optimizer", "type") == "c:8:12"
    assert loaded.locate("optimizer", "lr") == "--set optimizer.lr"
    assert loaded.locate("optimizer", "momentum") == "c:8:1"
    assert loaded.locate("seed") == "c:1:1"


def test_a_replaced_value_is_located_at_its_override() -> None:
    loaded = load_config_text(f"{DATA}model: {{widths: [1, 2]}}", "c", ["model.widths=[3, 4]"])
    assert loaded.locate("model", "widths", 1) == "--set model.widths"
    assert loaded.locate("model", "type") == "c:2:1"


def test_a_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfdata: {path: a.csv, target: \xc3\xa4}\r\nseed: 3\r\n")
    loaded = load_config(path, ["task=regression"])
    assert loaded.config.data.target == "ä"
    assert (loaded.config.seed, loaded.config.task) == (3, "regression")
    assert loaded.locate("data") == f"{path}:1:7"


@pytest.mark.parametrize("path", ["c.yaml/c.yaml", "a\0b"])
def test_a_path_that_cannot_be_read(path: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / path)
    (line,) = caught.value.lines
    assert line.startswith(str(tmp_path))
    assert line.isprintable()


def test_a_path_cannot_break_a_line() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config_text("", "a\nb")
    assert caught.value.lines[0].startswith("a\\nb:1:1: ")


# Suggestions


def test_suggest() -> None:
    columns = ["PM2.5", "Wind Speed", "date"]
    assert suggest("pm25", columns) == "; did you mean 'PM2.5'?"
    assert suggest(" wind_speed ", columns) == "; did you mean 'Wind Speed'?"
    assert suggest("dat", columns) == "; did you mean 'date'?"
    assert suggest("humidity", columns) == ""
    assert suggest("day", columns, {"Day": "date"}) == "; did you mean 'date'?"
    assert suggest("qqq", columns, {"qqq": "not there"}) == ""
    assert suggest("x" * 1000, ["x" * 999]) == ""
    assert suggest("%", ["-"]) == ""


# Properties

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
tricky = st.sampled_from([*SCALARS, "010", "*", "a: b", "- a", "# a", "'", '"', "\ufeff", "é\x85"])
names = (texts | tricky).filter(bool)
positive = st.floats(1e-300, 1e300)
counts = st.integers(1, 2**63 - 1)
fractions = st.floats(0, 0.49)
splits = st.builds(
    schema.FractionSplit,
    method=st.sampled_from(["auto", "random", "stratified", "sequential"]),
    validation=fractions,
    test=fractions,
    seed=st.integers(0, 2**63 - 1),
) | st.builds(
    schema.ColumnSplit,
    method=st.just("column"),
    column=names,
    validation_from=st.none() | names | st.integers(-(10**9), 10**9),
    test_from=st.none() | names | st.floats(allow_nan=False, allow_infinity=False),
)
configs = st.builds(
    schema.Config,
    data=st.builds(
        schema.Data,
        path=names,
        test_path=st.none() | names,
        separator=st.sampled_from([";", "\t", "|", " ", "\x1f", ":"]),
        decimal=st.sampled_from([".", ","]),
        encoding=st.sampled_from(["utf-8", "latin-1"]),
        missing=st.lists(
            texts | tricky | st.integers(-999, 999) | st.floats(-1e9, 1e9), max_size=4
        ),
        target=names | st.lists(names, min_size=1, max_size=4),
        target_shape=st.none() | st.lists(counts, min_size=1, max_size=3),
        features=st.lists(names, max_size=3),
        order_by=st.none() | names,
        split=splits,
    ),
    model=st.builds(schema.Linear)
    | st.builds(schema.SigmoidSum, units=counts)
    | st.builds(schema.ReluStack, widths=st.lists(counts, min_size=1, max_size=4)),
    loss=st.none() | st.builds(schema.Mae) | st.builds(schema.Huber, delta=positive),
    optimizer=st.builds(schema.Adam, lr=positive, eps=positive)
    | st.builds(schema.Sgd, lr=positive, momentum=st.floats(0.01, 0.99), nesterov=st.booleans()),
    train=st.builds(
        schema.Train,
        epochs=counts,
        batch_size=counts | st.just("full"),
        schedule=st.builds(schema.Constant) | st.builds(schema.Step, every=counts),
        clip_norm=st.none() | positive,
        early_stopping=st.none() | st.builds(schema.EarlyStopping, patience=counts),
    ),
    seed=st.integers(0, 2**63 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda", "cuda:3"]),
)


@settings(max_examples=100, deadline=None)
@given(configs)
def test_dump_yaml_loads_as_an_equal_config(config: schema.Config) -> None:
    text = dump_yaml(config)
    assert load(text) == config
    assert dump_yaml(load(text)) == text


def test_dump_yaml_has_every_default_in_the_order_of_the_schema() -> None:
    config = load(DATA)
    text = dump_yaml(config)
    keys = [line.split(":")[0] for line in text.splitlines() if line[0] != " "]
    assert keys == list(schema.Config.model_fields)
    assert "  split: {method: auto, validation: 0.1, test: 0.2, seed: 0}\n" in text
    assert '  missing: ["", NA, N/A, "null", None, NaN]\n' in text
    assert list(to_plain(config)) == keys


def refuse_or_load(text: str, *overrides: str) -> None:
    lines: tuple[str, ...] = ()
    start = time.perf_counter()
    try:
        load_config_text(text, "c", overrides)
    except ConfigError as error:
        lines = error.lines
    assert time.perf_counter() - start < 1
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith(("c:", "--set ")) for line in lines)


yaml_text = st.lists(
    st.sampled_from([*"\n :-[]{},'\"#&*!|>%@`?\t~<0_", "  ", ": ", "- ", "<<", "---", "data", "10"])
    | st.sampled_from(["model", "type", "path", "target", "lr", "sgd", "null", "\0", "\ud800"])
    | st.characters(),
    max_size=40,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(yaml_text, yaml_text)
def test_no_text_breaks_the_loader(text: str, value: str) -> None:
    refuse_or_load(text)
    refuse_or_load(f"{DATA}model: {text}")
    refuse_or_load(DATA, f"model={value}", f"{text}={value}", text)


FULL = dump_yaml(load(f"{BLOCK}loss: huber\noptimizer: sgd"))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FULL)), st.integers(0, 9), yaml_text), max_size=3))
def test_no_damage_to_a_config_breaks_the_loader(cuts: list[tuple[int, int, str]]) -> None:
    text = FULL
    for start, length, new in cuts:
        text = text[:start] + new[:5] + text[start + length :]
    refuse_or_load(text)


plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
PATHS = [f"{key}.{name}" for key, part in to_plain(load(FULL)).items() if isinstance(part, dict)
         for name in part] + list(schema.Config.model_fields)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), plain), max_size=3))
def test_no_value_breaks_a_key(values: list[tuple[str, Any]]) -> None:
    refuse_or_load(FULL, *(f"{path}={dump_document(value)}" for path, value in values))


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=60))
def test_no_bytes_break_the_loader(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load_config(path)


def test_loading_is_quick() -> None:
    load(FULL)
    start = time.perf_counter()
    load(FULL)
    assert time.perf_counter() - start < 0.1
