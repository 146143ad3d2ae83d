"""Files and overrides: what loads, and the exact line for what does not."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml2021.config import schema
from ml2021.config.loading import LoadedConfig, dump_yaml, load_config, load_config_text, to_plain
from ml2021.config.yaml_scalars import dump_document, resolve_scalar
from ml2021.errors import ConfigError
from ml2021.formatting import suggest

DATA = "data: {path: a.csv, target: y}\n"
BLOCK = "data:\n  path: a.csv\n  target: y\n"
TOP_KEYS = "data, task, model, loss, optimizer, train, seed, device, sweep"
MODELS = "linear, sigmoid_sum, relu_stack"
TASKS = "auto, regression, classification, structured"
LOSSES = "mae, mse, huber, cross_entropy"
GLOB = "not valid YAML: a * starts an alias; put globs and text with it in quotes"
TAB = "not valid YAML: a tab in the indentation; indent with spaces"
COLON = (
    "not valid YAML: a ':' where no key can stand; check the indentation, "
    "or put text that contains ': ' in quotes"
)
UNSUITED = "does not suit task {}; choose {} as loss, or another task"


def lines(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config_text(text, "c", overrides)
    return list(caught.value.lines)


def load(text: str, *overrides: str) -> schema.Config:
    return load_config_text(text, "c", overrides).config


REFUSED = {
    # Catalogue 2: no config at all, or too many.
    "": "1:1: the config is empty; it needs at least data.path and data.target",
    "# nothing\n": "1:1: the config is empty; it needs at least data.path and data.target",
    "null": "1:1: the config is empty; it needs at least data.path and data.target",
    "- a": "1:1: the config must be a mapping (key: value), not a list",
    "text": "1:1: the config must be a mapping (key: value), not 'text'",
    f"{DATA}---\n{DATA}": "2:1: a second document; keep one, and remove the line '---'",
    # 3: syntax.
    f"{DATA}\tseed: 1": f"2:1: {TAB}",
    "data:\n\tpath: a": f"2:1: {TAB}",
    "data:\n  path: a\n\ttarget: b": f"3:1: {TAB}",
    f"{DATA}model: a: b": f"2:9: {COLON}",
    f"{DATA}seed: 1\n  lr: 2": f"3:5: {COLON}",
    "data: {path: a, features: [*]}": f"1:28: {GLOB}",
    "data: {path: a}\nseed: [1": "2:7: not valid YAML: a list without its end; "
    "add the missing , or ]",
    "data: {path: a": "1:7: not valid YAML: a mapping without its end; add the missing , or }",
    "data: 'a": "1:7: not valid YAML: a quote without its end; add the missing quote",
    "data: &": "1:7: not valid YAML: an & starts an anchor; put text with it in quotes",
    "data: @a": "1:7: not valid YAML: text cannot start with this character; put it in quotes",
    'data: "C:\\q"': "1:10: not valid YAML: an unknown escape after \\; "
    "use single quotes for text with \\",
    # 4: repeated keys.
    f"{DATA}seed: 1\nseed: 2": "3:1: repeated key 'seed', which stands on line 2 already; keep one",
    "data: {path: a, target: y, path: b}": "1:28: repeated key 'path', which stands on line 1 "
    "already; keep one",
    # 5: unknown keys.
    f"{DATA}optimizer: {{learning_rate: 1}}": "2:13: unknown key 'learning_rate' in optimizer; "
    "did you mean 'lr'?",
    f"{DATA}train: {{n_epochs: 1}}": "2:9: unknown key 'n_epochs' in train; did you mean 'epochs'?",
    f"{DATA}train: {{batchsize: 1}}": "2:9: unknown key 'batchsize' in train; "
    "did you mean 'batch_size'?",
    f"{DATA}model: {{hidden_layer_sizes: [1]}}": "2:9: unknown key 'hidden_layer_sizes' in model; "
    "did you mean 'widths'?",
    f"{DATA}modle: linear": "2:1: unknown key 'modle' at the top level; did you mean 'model'?",
    f"{DATA}random_state: 1": "2:1: unknown key 'random_state' at the top level; "
    "did you mean 'seed'?",
    f"{DATA}epochs: 1": "2:1: unknown key 'epochs' at the top level; it belongs under train",
    f"{DATA}max_epochs: 1": "2:1: unknown key 'max_epochs' at the top level; "
    "did you mean 'epochs' in train?",
    f"{DATA}train: {{patience: 1}}": "2:9: unknown key 'patience' in train; "
    "it belongs under train.early_stopping",
    f"{DATA}train: {{device: cpu}}": "2:9: unknown key 'device' in train; "
    "it belongs under the top level",
    f"{DATA}qqq: 1": f"2:1: unknown key 'qqq' at the top level; its keys are {TOP_KEYS}",
    f'{DATA}"a\\nb": 1': f"2:1: unknown key 'a\\nb' at the top level; its keys are {TOP_KEYS}",
    f"{DATA}1: 1": f"2:1: unknown key '1' at the top level; its keys are {TOP_KEYS}",
    f"{DATA}model: {{type: linear, units: 3}}": "2:23: model type linear has no key 'units'; "
    "remove it, or choose type sigmoid_sum",
    f"{DATA}optimizer: {{momentum: 0.9}}": "2:13: optimizer type adamw has no key 'momentum'; "
    "remove it, or choose type sgd or rmsprop",
    "data: {path: a, target: y, split: {method: column, column: c, test: 0.1}}": "1:63: data.split "
    "method column has no key 'test'; remove it, or choose method auto, random, stratified "
    "or sequential",
    # Wrong choices.
    f"{DATA}model: linaer": f"2:8: model type must be one of {MODELS}, not 'linaer'; "
    "did you mean 'linear'?",
    f"{DATA}model:\n  type: MLP": f"3:9: model type must be one of {MODELS}, not 'MLP'; "
    "did you mean 'relu_stack'?",
    f"{DATA}model: {{type: 3}}": f"2:15: model type must be one of {MODELS}, not 3",
    f"{DATA}model: 3": f"2:8: model must be one of {MODELS}, or a mapping, not 3",
    f"{DATA}loss: l1": f"2:7: loss type must be one of {LOSSES}, not 'l1'; did you mean 'mae'?",
    f"{DATA}loss: [mae]": f"2:7: loss must be one of {LOSSES}, or a mapping or null, not a list",
    f"{DATA}loss: {{delta: 1}}": f"2:1: missing key 'type' in loss; add it, as one of {LOSSES}",
    f"{DATA}task: classify": f"2:7: task must be one of {TASKS}, not 'classify'; "
    "did you mean 'classification'?",
    f"{DATA}device: gpu": "2:9: device must be auto, cpu, cuda or cuda:N with a device number N, "
    "not 'gpu'",
    "data: {path: a, target: y, decimal: x}": "1:37: data.decimal must be one of '.', ',', not 'x'",
    # 7: numbers that mean different things to different programs.
    f"{DATA}seed: 010": "2:7: 010 is unclear, since some programs read a leading 0 as octal; "
    "write 10 for the number, '010' for text",
    f"{DATA}seed: 1:30": "2:7: seed must be a whole number, not '1:30'",
    # 9, 10: kinds and ranges of numbers.
    f"{DATA}seed: true": "2:7: seed must be a whole number, not true",
    f'{DATA}seed: "10"': "2:7: seed must be a whole number, not '10'; remove the quotes",
    f"{DATA}seed: 3.0": "2:7: seed must be a whole number, not 3.0; write 3",
    f"{DATA}seed:": "2:6: seed must be a whole number, not null",
    f"{DATA}seed: 1e400": "2:7: seed must be a whole number, not .inf",
    f"{DATA}seed: -1": "2:7: seed must be at least 0, not -1",
    f"{DATA}seed: 9223372036854775808": "2:7: seed must be less than 9223372036854775808, "
    "not 9223372036854775808",
    f"{DATA}model: {{widths: [8, 0]}}": "2:21: model.widths[1] must be greater than 0, not 0",
    f"{DATA}model: {{widths: []}}": "2:17: model.widths must not be empty",
    f"{DATA}model: {{widths: 8}}": "2:17: model.widths must be a list, not 8",
    f"{DATA}train: {{clip_norm: x}}": "2:20: train.clip_norm must be a number or null, not 'x'",
    f"{DATA}train: {{batch_size: 8.0}}": "2:21: train.batch_size must be a whole number or full, "
    "not 8.0; write 8",
    f"{DATA}train: {{early_stopping: off}}": "2:25: train.early_stopping must be a mapping or null,"
    " not 'off'",
    # Text, columns and files.
    "data: {path: '', target: y}": "1:14: data.path must not be empty",
    "data: {path: 3, target: y}": "1:14: data.path must be text, not 3; "
    "put it in quotes if it is meant as text",
    "data: {path: a, target: true}": "1:25: data.target must be a column name or a list of them, "
    "not true; put it in quotes if it is meant as text",
    "data: {path: a, target: y, features: x}": "1:38: data.features must be a list, not 'x'; "
    "write [x]",
    "data: {path: a, target: y, header: no}": "1:36: data.header must be true or false, not 'no'",
    "data: {path: a, target: y, missing: [null]}": "1:38: data.missing[0] must be text or a number,"
    " not null; put it in quotes if it is meant as text",
    "data: {path: a, target: y, missing: [.nan]}": "1:38: data.missing[0] must be a finite number, "
    "not .nan",
    "data: {path: a, target: y, encoding: utf-9}": "1:38: data.encoding must be a text encoding "
    "that Python knows, such as utf-8, not 'utf-9'",
    "data: a.csv": "1:7: data must be a mapping, not 'a.csv'",
    "# a comment\ndata: {path: a}": "2:1: missing key 'target' in data; add it",
    "seed: 1": "1:1: missing key 'data' at the top level; add it",
    # Keys that exclude each other.
    f"{DATA}loss: mae\ntask: classification": "2:7: loss mae "
    + UNSUITED.format("classification", "cross_entropy"),
    f"{DATA}loss:\n  type: cross_entropy\ntask: regression": "3:9: loss cross_entropy "
    + UNSUITED.format("regression", "one of mae, mse, huber"),
    "data: {path: a, target: y, lags: 3}\ntask: classification": "2:7: task classification does "
    "not work with data.lags; set data.lags to 0, or choose another task",
    "data: {path: a, target: y, horizon: 3}": "1:37: data.horizon 3 needs data.lags greater than "
    "0; set data.lags, or data.horizon to 1",
    "data: {path: a, target: [y, z], lags: 3}": "1:39: data.lags needs one column as data.target, "
    "not 2; set data.lags to 0, or choose one target",
    "data: {path: a, target: y, decimal: ','}": "1:37: data.separator and data.decimal are both "
    "','; change one of them",
    "data: {path: a, target: y, separator: .}": "1:39: data.separator and data.decimal are both "
    "'.'; change one of them",
    "data: {path: a, target: y, split: {test: 0.95}}": "1:42: data.split.validation 0.1 and "
    "data.split.test 0.95 leave no rows to train on; make their sum less than 1",
    f"{DATA}optimizer: {{type: sgd, nesterov: true}}": "2:34: optimizer.nesterov needs "
    "optimizer.momentum greater than 0; set optimizer.momentum, such as 0.9",
    # 11, 12: what YAML can do and a config has no use for.
    f"{DATA}seed: !!python/object/apply:os.system [ls]": "2:7: a tag "
    "(!!python/object/apply:os.system), which is not supported; remove it, "
    "or put text that starts with ! in quotes",
    f"{DATA}seed: !!int 1": "2:7: a tag (!!int), which is not supported; remove it, "
    "or put text that starts with ! in quotes",
    f"{DATA}seed: ! 1": "2:7: a tag (!), which is not supported; remove it, "
    "or put text that starts with ! in quotes",
    f"{DATA}seed: &x 1": "2:7: an anchor (&x), which is not supported; remove it, "
    "or put text that starts with & in quotes",
    f"{DATA}seed: *x": "2:7: an alias (*x), which is not supported; write the value, "
    "or put text that starts with * in quotes",
    f"{DATA}<<: {{seed: 1}}": "2:1: a merge key (<<), which is not supported; write the keys",
    f"{DATA}? [a]\n: 1": "2:3: a key that is not text; write key: value",
    "a: " + "[" * 100: "1:35: nested more than 32 deep; remove brackets or indentation",
    # 13, 14.
    f"{DATA}seed: {'9' * 5000}": "2:7: a number of 5000 characters; shorten it to 100 or fewer, "
    "or put it in quotes if it is text",
    f"{DATA}seed: 0x{'f' * 5000}": "2:7: a number of 5002 characters; shorten it to 100 or fewer, "
    "or put it in quotes if it is text",
    f"{DATA}seed: \0": "2:7: NUL, a control character (U+0000); remove it",
    f"{DATA}seed: \x07": "2:7: a control character (U+0007); remove it",
    f"{DATA}seed: \ud800": "2:7: a lone surrogate (U+D800); remove it",
    'data: {path: "a\\0", target: y}': "1:14: NUL, a control character (U+0000); remove it",
    f'{DATA}"\\0": 1': "2:1: NUL, a control character (U+0000); remove it",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text)[:60])
def test_refused(text: str) -> None:
    assert lines(text) == [f"c:{REFUSED[text]}"]


def test_everything_is_said_at_once_in_the_order_of_the_file() -> None:
    text = (
        "model: {widths: [1, x]}\ntrain: {epochs: 010}\ndata: {path: 1}\n"
        "seed: 1\nseed: -2\ntask: *t\n"
    )
    assert lines(text, "optimizer.lr=0", "sede=3") == [
        "c:1:21: model.widths[1] must be a whole number, not 'x'",
        "c:2:17: 010 is unclear, since some programs read a leading 0 as octal; "
        "write 10 for the number, '010' for text",
        "c:3:1: missing key 'target' in data; add it",
        "c:3:14: data.path must be text, not 1; put it in quotes if it is meant as text",
        "c:5:1: repeated key 'seed', which stands on line 4 already; keep one",
        "c:6:7: an alias (*t), which is not supported; write the value, "
        "or put text that starts with * in quotes",
        "--set optimizer.lr: optimizer.lr must be greater than 0, not 0",
        "--set sede: unknown key 'sede' at the top level; did you mean 'seed'?",
    ]


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
def test_unclear_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is unclear|a number of 101 characters"):
        resolve_scalar(text)


def test_what_looks_like_something_else_is_text() -> None:
    config = load("data: {path: off, target: no, exclude: [2021-01-01, yes, 1:30, '010', \"1\"]}")
    assert (config.data.path, config.data.target) == ("off", "no")
    assert config.data.exclude == ["2021-01-01", "yes", "1:30", "010", "1"]


def test_numbers_may_have_an_exponent() -> None:
    config = load(f"{DATA}optimizer: {{lr: 1e-3, eps: 1.0e-3}}\ntrain: {{save_seconds: 1e3}}")
    assert config.optimizer == schema.Adamw(lr=0.001, eps=0.001)
    assert config.train.save_seconds == 1000.0


def test_control_characters_may_be_escaped() -> None:
    assert load('data: {path: a, target: y, separator: "\\t"}').data.separator == "\t"
    assert load('data: {path: a, target: y, separator: "\\x1f"}').data.separator == "\x1f"


OVERRIDES = {
    "lr": "--set lr: no value; write --set KEY=VALUE",
    "": "--set : no value; write --set KEY=VALUE",
    "=1": "--set =1: not a dotted key; write one such as optimizer.lr",
    "a..b=1": "--set a..b: not a dotted key; write one such as optimizer.lr",
    ".".join("a" * 40) + "=1": f"--set {'.'.join('a' * 40)}: too many dots; "
    "write a key such as optimizer.lr",
    "optimizer.lr=": "--set optimizer.lr: no value after '='; write null for none, '\"\"' for no "
    "text",
    "data.separator=#": "--set data.separator: no value after '='; write null for none, '\"\"' "
    "for no text",
    "optimizer.lr=x": "--set optimizer.lr: optimizer.lr must be a number, not 'x'",
    "optimizer.lr=1: 2": "--set optimizer.lr: optimizer.lr must be a number, not a mapping",
    "optimizer.momentum=0.5": "--set optimizer.momentum: optimizer type adamw has no key "
    "'momentum'; remove it, or choose type sgd or rmsprop",
    "optimiser.lr=1": "--set optimiser.lr: unknown key 'optimiser' at the top level; "
    "did you mean 'optimizer'?",
    "lr=1": "--set lr: unknown key 'lr' at the top level; it belongs under optimizer",
    "model.type=linear": "c:6:3: model type linear has no key 'widths'; remove it, "
    "or choose type relu_stack",
    "model.widths=[1, 0]": "--set model.widths: model.widths[1] must be greater than 0, not 0",
    "data.features=[*]": f"--set data.features: {GLOB}",
    "data.target=*a": "--set data.target: an alias (*a), which is not supported; write the value, "
    "or put text that starts with * in quotes",
    "data={path: x}": "--set data: missing key 'target' in data; add it",
    "data={path: x, path: z, target: y}": "--set data: repeated key 'path'; keep one",
    "data.path.x=1": "--set data.path.x: data.path is 'a.csv' without keys; set data.path itself",
    "model.widths.0=1": "--set model.widths.0: model.widths is a list without keys; "
    "set model.widths itself",
    "seed=010": "--set seed: 010 is unclear, since some programs read a leading 0 as octal; "
    "write 10 for the number, '010' for text",
    "\udcff=1": "--set \\udcff: a lone surrogate (U+DCFF); remove it",
    "seed=\udcff": "--set seed: a lone surrogate (U+DCFF); remove it",
    "seed=1\n---\n2": "--set seed: a second document; keep one, and remove the line '---'",
}


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda text: repr(text)[:60])
def test_refused_overrides(override: str) -> None:
    text = f"{BLOCK}model:\n  # two layers\n  widths: [3]\n"
    assert lines(text, override) == [OVERRIDES[override]]


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


# Files


def file_lines(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return list(caught.value.lines)


def test_a_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfdata: {path: a.csv, target: \xc3\xa4}\r\nseed: 3\r\n")
    loaded = load_config(path, ["task=regression"])
    assert isinstance(loaded, LoadedConfig)
    assert loaded.config.data.target == "ä"
    assert (loaded.config.seed, loaded.config.task) == (3, "regression")
    assert loaded.locate("data") == f"{path}:1:7"


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "no" / "c.yaml"
    expected = [f"{there}: no such file; check the path and the folder"]
    assert file_lines(Path("no/c.yaml")) == expected
    (tmp_path / "no").write_text("a file")
    found = file_lines(Path("no/c.yaml"))
    assert found == [f"{there}: cannot be read (Not a directory); check the path"]


def test_folder_and_fifo(tmp_path: Path) -> None:
    assert file_lines(tmp_path) == [f"{tmp_path}: a directory; give the path of a YAML file"]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert file_lines(fifo) == [f"{fifo}: not a regular file; give the path of a YAML file"]


def test_nul_in_a_path() -> None:
    (line,) = file_lines(Path("a\0b"))
    assert line.endswith("a\\x00b: not a path; it must not hold a NUL character")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.touch(mode=0)
    assert file_lines(path) == [f"{path}: cannot be read (Permission denied); check the path"]


BYTES = {
    b"data: 1\nseed: \xff\n": ":2:7: not UTF-8 (byte 0xff); save the file as UTF-8",
    b"\xc3\xa4: \xe4": ":1:4: not UTF-8 (byte 0xe4); save the file as UTF-8",
    "data: 1".encode("utf-16"): ":1:1: UTF-16, not UTF-8; save the file as UTF-8",
    "data: 1".encode("utf-16-le"): ":1:2: NUL, a control character (U+0000); remove it",
    b"a: \xed\xa0\x80": ":1:4: not UTF-8 (byte 0xed); save the file as UTF-8",
    b"#" * (1 << 20) + b"#": ": larger than 1 MiB; a config is a few lines, is this the data?",
    b"#" * (1 << 20): ":1:1: the config is empty; it needs at least data.path and data.target",
}


@pytest.mark.parametrize("content", BYTES, ids=lambda content: repr(content[:30]))
def test_refused_bytes(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    assert file_lines(path) == [f"{path}{BYTES[content]}"]


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


def refuses_or_loads(text: str, *overrides: str) -> None:
    said: tuple[str, ...] = ()
    start = time.perf_counter()
    try:
        load_config_text(text, "c", overrides)
    except ConfigError as error:
        said = error.lines
    assert time.perf_counter() - start < 1
    assert all(line.isprintable() for line in said)
    assert all(line.startswith(("c:", "--set ")) for line in said)


yaml_text = st.lists(
    st.sampled_from([*"\n :-[]{},'\"#&*!|>%@`?\t~<0_", "  ", ": ", "- ", "<<", "---", "data", "10"])
    | st.sampled_from(["model", "type", "path", "target", "lr", "sgd", "null", "\0", "\ud800"])
    | st.characters(),
    max_size=40,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(yaml_text, yaml_text)
def test_no_text_breaks_the_loader(text: str, value: str) -> None:
    refuses_or_loads(text)
    refuses_or_loads(f"{DATA}model: {text}")
    refuses_or_loads(DATA, f"model={value}", f"{text}={value}", text)


FULL = dump_yaml(load(f"{BLOCK}loss: huber\noptimizer: sgd"))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(FULL)), st.integers(0, 9), yaml_text), max_size=3))
def test_no_damage_to_a_config_breaks_the_loader(cuts: list[tuple[int, int, str]]) -> None:
    text = FULL
    for start, length, new in cuts:
        text = text[:start] + new[:5] + text[start + length :]
    refuses_or_loads(text)


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
    refuses_or_loads(FULL, *(f"{path}={dump_document(value)}" for path, value in values))


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
