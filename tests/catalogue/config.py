"""1 to 16: errors in the config or on the command line."""

import os
import shlex
import shutil
import time
from pathlib import Path

from ml2021.config.loading import load_config
from tests.catalogue.case import Case, Check, Step, columns, copy, put, swap
from tests.commands import Outcome

DATA = "data: {path: train.csv, target: y, exclude: [id, kind, p*]}\n"
TRAIN = "train --quiet --config c.yaml"


def refused(
    number: int, name: str, text: str | bytes, *lines: str, command: str = TRAIN, code: int = 2
) -> Case:
    """Return the case of a config that is refused."""
    given = (put("c.yaml", text),)
    return Case(numbers=(number,), name=name, given=given, command=command, code=code, lines=lines)


def accepted(number: int, name: str, text: str, *then: Check) -> Case:
    """Return the case of a config that trains."""
    return Case(
        numbers=(number,),
        name=name,
        given=(put("c.yaml", text),),
        command=f"{TRAIN} --run-dir run",
        code=0,
        leaves=("run",),
        then=then,
    )


def resolved(**expected: object) -> Check:
    """Check the values of keys in the run's resolved config, dots written as __."""

    def check(folder: Path, outcome: Outcome) -> None:
        config = load_config(folder / "run" / "config.resolved.yaml").config
        for keys, value in expected.items():
            found: object = config
            for key in keys.split("__"):
                found = getattr(found, key)
            assert (found, type(found)) == (value, type(value)), keys

    return check


def rename_column(old: str, new: str) -> Step:
    return swap("train.csv", old, new)


def quickly(seconds: float) -> tuple[Step, Check]:
    """Return a step that starts a clock, and a check that less than `seconds` have passed."""
    begun: list[float] = []
    return (
        lambda folder: begun.append(time.monotonic()),
        lambda folder, outcome: _assert_less(time.monotonic() - begun[-1], seconds),
    )


def _assert_less(found: float, limit: float) -> None:
    assert found < limit


def bomb(levels: int, width: int, merge: bool = False) -> str:
    """Return a config whose last alias expands to width ** levels values."""
    key = "<<: " if merge else ""
    lines = ["a0: &a0 {k: v}" if merge else "a0: &a0 [x]"]
    for level in range(1, levels + 1):
        aliases = ", ".join([f"*a{level - 1}"] * width)
        value = f"{{{key}[{aliases}]}}" if merge else f"[{aliases}]"
        lines.append(f"a{level}: &a{level} {value}")
    return "\n".join(lines) + "\n"


ALIAS = "alias *{} is not supported; write the value, or quote text that starts with *"
ANCHOR = "anchor &{} is not supported; remove it, or quote text that starts with &"
MERGE = "merge key << is not supported; write the keys"
MANY = 20  # errors shown at once
START, IN_TIME = quickly(2)

TAG = "tag {} is not supported; remove it, or quote text that starts with !"
CHARACTERS = "number with {} characters; use at most 100, or quote it if it is text"
AMBIGUOUS = (
    "{} is ambiguous, since some programs read a leading 0 as octal; "
    "write {} for the number, '{}' for text"
)
EMPTY = "the config is empty; it needs at least data.path and data.target"
TAB = "not valid YAML: tab in the indentation; indent with spaces"
GLOB = "not valid YAML: * starts an alias; quote globs and text that contain it"
COLON = "not valid YAML: unexpected ':'; check the indentation, or quote text that contains ': '"
NO_VALUE = "no value after '='; write null for none, '\"\"' for empty text"
TASKS = "auto, regression, classification, structured"
LOSSES = "mae, mse, huber, cross_entropy"
MODELS = "linear, sigmoid_sum, relu_stack"
TOP_KEYS = "data, task, preset, model, loss, optimizer, train, seed, device, sweep"
UNSUITED = "loss {} does not work with task {}; choose {}, or another task"
BOTH = "data.separator and data.decimal are both '{}'; change one of them"

# By case: texts, and the only line about each, after "c.yaml:".
TEXTS: dict[int, dict[str, str]] = {
    2: {
        "": f"1:1: {EMPTY}",
        "# nothing\n": f"1:1: {EMPTY}",
        "- a": "1:1: the config must be a mapping (key: value), not a list",
        "text": "1:1: the config must be a mapping (key: value), not 'text'",
        f"{DATA}---\n{DATA}": "2:1: second document; keep only one, and remove the line '---'",
    },
    3: {
        "data:\n\tpath: a": f"2:1: {TAB}",
        "data:\n  path: a\n\ttarget: b": f"3:1: {TAB}",
        f"{DATA}model: a: b": f"2:9: {COLON}",
        f"{DATA}seed: 1\n  lr: 2": f"3:5: {COLON}",
        "data: {path: a, features: [*]}": f"1:28: {GLOB}",
        "data: {path: a}\nseed: [1": "2:7: not valid YAML: unclosed list; add the missing , or ]",
        "data: {path: a": "1:7: not valid YAML: unclosed mapping; add the missing , or }",
        "data: 'a": "1:7: not valid YAML: unclosed quote; add the closing quote",
        "data: &": "1:7: not valid YAML: & starts an anchor; quote text that contains it",
        "data: @a": "1:7: not valid YAML: text cannot start with this character; quote it",
        'data: "C:\\q"': "1:10: not valid YAML: unknown escape after \\; "
        "use single quotes for text with \\",
    },
    4: {
        f"{DATA}seed: 1\nseed: 2": "3:1: duplicate key 'seed', first on line 2; keep one",
        "data: {path: a, target: y, path: b}": "1:28: duplicate key 'path', first on line 1; "
        "keep one",
    },
    5: {
        f"{DATA}optimizer: {{learning_rate: 1}}": "2:13: unknown key 'learning_rate' in optimizer; "
        "did you mean 'lr'?",
        f"{DATA}train: {{batchsize: 1}}": "2:9: unknown key 'batchsize' in train; "
        "did you mean 'batch_size'?",
        f"{DATA}modle: linear": "2:1: unknown key 'modle' at the top level; did you mean 'model'?",
        f"{DATA}epochs: 1": "2:1: unknown key 'epochs' at the top level; it belongs in train",
        f"{DATA}max_epochs: 1": "2:1: unknown key 'max_epochs' at the top level; "
        "did you mean 'epochs' in train?",
        f"{DATA}train: {{device: cpu}}": "2:9: unknown key 'device' in train; "
        "it belongs at the top level",
        f'{DATA}"a\\nb": 1': f"2:1: unknown key 'a\\nb' at the top level; valid keys: {TOP_KEYS}",
        f"{DATA}model: {{type: linear, units: 3}}": "2:23: model type linear has no key 'units'; "
        "remove it, or choose type sigmoid_sum",
        f"{DATA}optimizer: {{momentum: 0.9}}": "2:13: optimizer type adamw has no key 'momentum'; "
        "remove it, or choose type sgd or rmsprop",
        "data: {path: a, target: y, split: {method: column, column: c, test: 0.1}}": "1:63: "
        "data.split method column has no key 'test'; remove it, or choose method auto, random, "
        "stratified or sequential",
        "# a comment\ndata: {path: a}": "2:1: missing key 'target' in data; add it",
        "seed: 1": "1:1: missing key 'data' at the top level; add it",
        f"{DATA}loss: {{delta: 1}}": f"2:1: missing key 'type' in loss; add it, as one of {LOSSES}",
        # Choices.
        f"{DATA}model: linaer": f"2:8: model type must be one of {MODELS}, not 'linaer'; "
        "did you mean 'linear'?",
        f"{DATA}model: {{type: 3}}": f"2:15: model type must be one of {MODELS}, not 3",
        f"{DATA}model: 3": f"2:8: model must be one of {MODELS}, or a mapping, not 3",
        f"{DATA}loss: l1": f"2:7: loss type must be one of {LOSSES}, not 'l1'; did you mean 'mae'?",
        f"{DATA}loss: [mae]": f"2:7: loss must be one of {LOSSES}, or a mapping or null, "
        "not a list",
        f"{DATA}task: classify": f"2:7: task must be one of {TASKS}, not 'classify'; "
        "did you mean 'classification'?",
        "data: {path: a, target: y, decimal: x}": "1:37: data.decimal must be one of '.', ',', "
        "not 'x'",
        # Keys that exclude each other.
        f"{DATA}loss: mae\ntask: classification": "2:7: "
        + UNSUITED.format("mae", "classification", "cross_entropy"),
        f"{DATA}loss:\n  type: cross_entropy\ntask: regression": "3:9: "
        + UNSUITED.format("cross_entropy", "regression", "one of mae, mse, huber"),
        "data: {path: a, target: y, lags: 3}\ntask: classification": "2:7: task classification "
        "does not work with data.lags; set data.lags to 0, or choose another task",
        "data: {path: a, target: y, horizon: 3}": "1:37: data.horizon 3 needs data.lags greater "
        "than 0; set data.lags, or data.horizon to 1",
        "data: {path: a, target: [y, z], lags: 3}": "1:39: data.lags needs a single target, "
        "not 2; set data.lags to 0, or choose one target",
        "data: {path: a, target: y, lags: 3, split: kfold}": "1:44: data.split kfold splits at "
        "random, so with data.lags it would train on the future; use sequential",
        "data: {path: a, target: y, order_by: c, group_by: c}": "1:51: data.group_by and "
        "data.order_by are both 'c'; change one of them",
        "data: {path: train.csv, target: y, group_by: y}": "1:46: column 'y' is both a target and "
        "the group; choose another column",
        "data: {path: a, target: y, lags: 3, group_by: c, split: random}": "1:57: "
        "data.split random does not divide each series of data.group_by in time; use sequential",
        "data: {path: a, target: y, gaps: interpolate}": "1:34: data.gaps needs data.lags greater "
        "than 0; set data.lags, or data.gaps to null",
        "data: {path: a, target: y, memory: ram, cache: b}": "1:48: data.memory ram needs no "
        "data.cache; set data.memory to auto or disk, or data.cache to null",
        "data: {path: a, target: y, memory: disk, split: kfold}": "1:36: data.memory disk does not "
        "go with data.split kfold, whose folds are trained side by side in memory; use another "
        "split, or set data.memory to auto",
        "data: {path: a, target: y, decimal: ','}": f"1:37: {BOTH.format(',')}",
        "data: {path: a, target: y, thousands: .}": "1:39: data.thousands and data.decimal are "
        "both '.'; change one of them",
        "data: {path: a, target: y, separator: .}": f"1:39: {BOTH.format('.')}",
        "data: {path: a, target: y, split: {test: 0.95}}": "1:42: data.split.validation 0.1 and "
        "data.split.test 0.95 leave no rows to train on; make their sum less than 1",
        f"{DATA}optimizer: {{type: sgd, nesterov: true}}": "2:34: optimizer.nesterov needs "
        "optimizer.momentum greater than 0; set optimizer.momentum, such as 0.9",
    },
    7: {
        f"{DATA}seed: 010": f"2:7: {AMBIGUOUS.format('010', '10', '010')}",
        f"{DATA}seed: 1:30": "2:7: seed must be a whole number, not '1:30'",
    },
    9: {
        f"{DATA}seed: true": "2:7: seed must be a whole number, not true",
        f'{DATA}seed: "10"': "2:7: seed must be a whole number, not '10'; remove the quotes",
        f"{DATA}seed: 3.0": "2:7: seed must be a whole number, not 3.0; write 3",
        f"{DATA}seed:": "2:6: seed must be a whole number, not null",
        f"{DATA}model: {{widths: 8}}": "2:17: model.widths must be a list, not 8",
        f"{DATA}train: {{clip_norm: x}}": "2:20: train.clip_norm must be a number or null, not 'x'",
        f"{DATA}train: {{batch_size: 8.0}}": "2:21: train.batch_size must be a whole number or "
        "full, not 8.0; write 8",
        f"{DATA}train: {{early_stopping: off}}": "2:25: train.early_stopping must be a mapping or "
        "null, not 'off'",
        "data: a.csv": "1:7: data must be a mapping, not 'a.csv'",
        "data: {path: 3, target: y}": "1:14: data.path must be a path or a list of paths, not 3",
        "data: {path: a, target: true}": "1:25: data.target must be a column name or a list of "
        "column names, not true; quote it if it is text",
        "data: {path: a, target: y, features: x}": "1:38: data.features must be a list, not 'x'; "
        "write [x]",
        "data: {path: a, target: y, header: no}": "1:36: data.header must be true or false, "
        "not 'no'",
        "data: {path: a, target: y, missing: [null]}": "1:38: data.missing[0] must be text or a "
        "number, not null; quote it if it is text",
        "data: {path: a, target: y, encoding: utf-9}": "1:38: data.encoding must be a text "
        "encoding known to Python, such as utf-8, not 'utf-9'",
        f"{DATA}device: gpu": "2:9: device must be auto, cpu, cuda or cuda:N, where N is a device "
        "number, not 'gpu'; did you mean 'cuda'?",
    },
    10: {
        f"{DATA}seed: 1e400": "2:7: seed must be a whole number, not .inf",
        f"{DATA}seed: -1": "2:7: seed must be at least 0, not -1",
        f"{DATA}seed: {2**63}": f"2:7: seed must be less than {2**63}, not {2**63}",
        f"{DATA}model: {{widths: [8, 0]}}": "2:21: model.widths[1] must be greater than 0, not 0",
        f"{DATA}model: {{widths: []}}": "2:17: model.widths must not be empty",
        "data: {path: '', target: y}": "1:14: data.path must not be empty",
        "data: {path: a, target: y, missing: [.nan]}": "1:38: data.missing[0] must be a finite "
        "number, not .nan",
    },
    11: {
        f"{DATA}seed: !!python/object/apply:os.mkdir [gone]": "2:7: "
        + TAG.format("!!python/object/apply:os.mkdir"),
        f"{DATA}seed: !!int 1": f"2:7: {TAG.format('!!int')}",
        f"{DATA}seed: ! 1": f"2:7: {TAG.format('!')}",
    },
    12: {
        f"{DATA}seed: &x 1": f"2:7: {ANCHOR.format('x')}",
        f"{DATA}seed: *x": f"2:7: {ALIAS.format('x')}",
        f"{DATA}<<: {{seed: 1}}": f"2:1: {MERGE}",
        f"{DATA}? [a]\n: 1": "2:3: key is not text; write key: value",
        "a: " + "[" * 100: "1:35: nested more than 32 levels deep; remove brackets or indentation",
        f"{DATA}seed: " + "[" * 3000: "2:{n}: nested more than 32 levels deep; "
        "remove brackets or indentation",
    },
    13: {
        f"{DATA}seed: {'9' * 5000}": f"2:7: {CHARACTERS.format(5000)}",
        f"{DATA}seed: 0x{'f' * 5000}": f"2:7: {CHARACTERS.format(5002)}",
    },
    14: {
        f"{DATA}seed: \0": "2:7: control character NUL (U+0000); remove it",
        f"{DATA}seed: \x07": "2:7: control character (U+0007); remove it",
        'data: {path: "a\\0", target: y}': "1:14: control character NUL (U+0000); remove it",
        f'{DATA}"\\0": 1': "2:1: control character NUL (U+0000); remove it",
        'data: {path: a, target: "\\ud800"}': "1:28: not valid YAML: invalid Unicode escape; "
        "write the character itself",
    },
}

BYTES = {
    DATA.encode() + b"seed: \xe9\n": ":2:7: not UTF-8 (byte 0xe9); save the file as UTF-8",
    DATA.encode() + b"seed: \xed\xa0\x80": ":2:7: not UTF-8 (byte 0xed); save the file as UTF-8",
    b"\xc3\xa4: \xe4": ":1:4: not UTF-8 (byte 0xe4); save the file as UTF-8",
    "data: 1".encode("utf-16"): ":1:1: UTF-16, not UTF-8; save the file as UTF-8",
    "data: 1".encode("utf-16-le"): ":1:2: control character NUL (U+0000); remove it",
    b"#" * (1 << 20) + b"#": ": larger than 1 MiB; give the config here, not the data",
    b"#" * (1 << 20): f":1:1: {EMPTY}",
}

# Arguments of --set, and the only line about each.
OVERRIDES = {
    "lr": "--set lr: no value; write --set lr=VALUE",
    'data.decimal: ","': "--set data.decimal: no value; write --set 'data.decimal=\",\"'",
    "": "--set : no value; write --set KEY=VALUE",
    "=1": "--set =1: not a dotted key; write a key such as optimizer.lr",
    "a..b=1": "--set a..b: not a dotted key; write a key such as optimizer.lr",
    ".".join("a" * 40) + "=1": f"--set {'.'.join('a' * 40)}: too many dots; "
    "write a key such as optimizer.lr",
    "optimizer.lr=": f"--set optimizer.lr: {NO_VALUE}",
    "data.path=#": f"--set data.path: {NO_VALUE}",
    "optimizer.lr=x": "--set optimizer.lr: optimizer.lr must be a number, not 'x'",
    "optimizer.lr=1: 2": "--set optimizer.lr: optimizer.lr must be a number, not a mapping",
    "optimiser.lr=1": "--set optimiser.lr: unknown key 'optimiser' at the top level; "
    "did you mean 'optimizer'?",
    "lr=1": "--set lr: unknown key 'lr' at the top level; it belongs in optimizer",
    "model.type=linear": "c.yaml:4:3: model type linear has no key 'widths'; remove it, "
    "or choose type relu_stack",
    "data.numbers=quantile": "--set data.numbers: data.numbers type must be one of standardise, "
    "piecewise, auto, not 'quantile'",
    "data.numbers.pieces=1": "--set data.numbers.pieces: data.numbers.pieces must be at least 2, "
    "not 1",
    "data.numbers={type: standardise, pieces: 4}": "--set data.numbers: data.numbers type "
    "standardise has no key 'pieces'; remove it, or choose type piecewise",
    "model.widths=[1, 0]": "--set model.widths: model.widths[1] must be greater than 0, not 0",
    "data.features=[*]": f"--set data.features: {GLOB}",
    "data.target=*a": f"--set data.target: {ALIAS.format('a')}",
    "data={path: x}": "--set data: missing key 'target' in data; add it",
    "data={path: x, path: z, target: y}": "--set data: duplicate key 'path'; keep one",
    "data.path.x=1": "--set data.path.x: data.path is a plain value and has no keys; "
    "set data.path itself",
    "model.widths.0=1": "--set model.widths.0: model.widths is a list and has no keys; "
    "set model.widths itself",
    "seed=010": f"--set seed: {AMBIGUOUS.format('010', '10', '010')}",
    "\udcff=1": "\\udcff=1: is not UTF-8, in which a run keeps names; use others",
    "seed=\udcff": "seed=\\udcff: is not UTF-8, in which a run keeps names; use others",
    "seed=1\n---\n2": "--set seed: second document; keep only one, and remove the line '---'",
}

COMMAND_LINES: list[tuple[int, str, int, str]] = [
    (5, "train --lr 0.1", 2, "--lr 0.1: no such option; use --set optimizer.lr=0.1"),
    (5, "train --hidden 64", 2, "--hidden 64: no such option; use --set 'model.widths=[64]'"),
    (5, "sweep --workers 2", 2, "--workers 2: no such option; did you mean --jobs?"),
    (5, "predict new.csv --frob", 2, "--frob: no such option; see ml2021 predict --help"),
    (5, "trian number.yaml", 2, "ml2021: no such command 'trian'; did you mean 'train'?"),
    (
        *(5, "train train.csv y", 2),
        "ml2021 train: unexpected y; remove it, or name the target by --target y; "
        "see ml2021 train --help",
    ),
    (
        *(5, "train number.yaml --target y", 2),
        "ml2021 train: --target needs a CSV; with a config, use --set data.target=COLUMN; "
        "see ml2021 train --help",
    ),
    (
        *(1, "train", 2),
        "ml2021 train: give one of: CSV [--target COLUMN], CONFIG, --resume RUN; "
        "see ml2021 train --help",
    ),
    (
        *(1, "train --config train.csv", 2),
        "ml2021 train: train.csv is a table by its name; give it without --config; "
        "see ml2021 train --help",
    ),
    (
        *(1, "sweep train.csv", 2),
        "ml2021 sweep: train.csv is a table by its name; write a config for it, with a section "
        "sweep; see ml2021 sweep --help",
    ),
    (
        *(1, "train runs/number", 2),
        "runs/number: is a run, not a table; resume it with --resume, or start from it with "
        "--init-from",
    ),
    (1, "predict number", 2, "number: is a run, not a table; give it by --run number"),
    (
        *(1, "report number --run classes", 2),
        "ml2021 report: names two runs, number and classes; name one; see ml2021 report --help",
    ),
    (1, "compare", 2, "ml2021 compare: name the runs to compare; see ml2021 compare --help"),
    (1, "train numer.yaml", 2, "{here}/numer.yaml: no such file; did you mean 'number.yaml'?"),
    (1, "train trein.csv", 3, "{here}/trein.csv: no such file; did you mean 'train.csv'?"),
    (
        *(1, "train https://example.com/a.csv", 3),
        "https://example.com/a.csv: this is a web address; download it first, as by: "
        "curl -LO https://example.com/a.csv",
    ),
    (
        1,
        "predict - /dev/stdin",
        2,
        "/dev/stdin: standard input can be read only once; give it once",
    ),
]
"""The number of the case, a wrong command line, the exit code, and what is said."""

CASES = [
    *(
        refused(number, f"{text[-60:]!r} ({len(text)})", text, f"c.yaml:{line}")
        for number, lines in TEXTS.items()
        for text, line in lines.items()
    ),
    *(
        refused(14, f"{text[-40:]!r} ({len(text)})", text, f"c.yaml{line}")
        for text, line in BYTES.items()
    ),
    *(
        refused(
            5,
            f"--set {override!r}",
            f"{DATA}model:\n  # two layers\n  widths: [3]\n",
            line,
            command=f"{TRAIN} --set {shlex.quote(override)}",
        )
        for override, line in OVERRIDES.items()
    ),
    Case(
        numbers=(1,),
        name="init into a folder that does not exist",
        command="init train.csv --target y --output no/c.yaml",
        code=2,
        lines=("{here}/no: no such folder; make it first",),
    ),
    Case(
        numbers=(5,),
        name="keys of an unknown key",
        command="keys learning_rate",
        code=2,
        lines=("learning_rate: no such key; did you mean optimizer.lr?",),
    ),
    Case(
        numbers=(5,),
        name="a table with a target that it lacks",
        command="train train.csv --target yy",
        code=2,
        lines=("--target: no column 'yy' in train.csv; did you mean 'y'?",),
    ),
    Case(
        numbers=(5,),
        name="a table whose last column cannot be the target",
        given=(put("t.csv", "a,name\n" + "".join(f"{row % 7},n{row}\n" for row in range(30))),),
        command="init t.csv",
        code=3,
        lines=(
            "column 'name' has 30 distinct texts in 30 rows, too many for classes; "
            "choose another --target",
            "the target is name, the last column; name another by --target",
        ),
    ),
    Case(
        numbers=(1,),
        name="a missing config",
        command="train --config no/c.yaml",
        code=2,
        lines=("{here}/no/c.yaml: no such file; check the path",),
    ),
    *(
        Case(numbers=(number,), name=command, command=command, code=code, lines=(line,))
        for number, command, code, line in COMMAND_LINES
    ),
    Case(
        numbers=(1,),
        name="a config from another working directory",
        given=(
            put("sub/c.yaml", "data: {path: ./new2.csv, target: a}\n"),
            put("sub/new2.csv", "a\n"),
        ),
        command="train --config sub/c.yaml",
        code=3,
        lines=(
            "{here}/new2.csv: no such file; did you mean 'new.csv'?",
            "data.path is relative to the working directory, but new2.csv is in {here}/sub; "
            "run it there",
        ),
    ),
    Case(
        numbers=(5,),
        name="no target, beside the columns",
        given=(put("c.yaml", "data: {path: series.csv}\n"),),
        command="train c.yaml",
        code=2,
        lines=(
            "c.yaml:1:1: missing key 'target' in data; add it",
            "series.csv: its columns are date, views",
        ),
    ),
    Case(
        numbers=(1,),
        name="a folder for a config",
        command="train --config runs",
        code=2,
        lines=("{here}/runs: a directory; give the path of a YAML file",),
    ),
    Case(
        numbers=(1,),
        name="a pipe for a config",
        given=(lambda folder: os.mkfifo(folder / "c.yaml"),),
        command="train --config c.yaml",
        code=2,
        lines=("{here}/c.yaml: not a regular file; give the path of a YAML file",),
    ),
    Case(
        numbers=(1,),
        name="an unreadable config",
        given=(lambda folder: (folder / "number.yaml").chmod(0),),
        command="train --config number.yaml",
        code=2,
        lines=("{here}/number.yaml: cannot be read (Permission denied); check the path",),
        needs=lambda: "root may read everything" if os.geteuid() == 0 else "",
    ),
    accepted(
        6,
        "numbers with an exponent",
        f"{DATA}optimizer: {{lr: 1e-3}}\nloss: {{type: huber, delta: 1.0e3}}\n"
        "train: {epochs: 1, save_seconds: 1e3}\n",
        resolved(optimizer__lr=0.001, loss__delta=1000.0, train__save_seconds=1000.0),
    ),
    Case(
        numbers=(8,),
        name="columns named no, off and a date",
        given=(
            rename_column("id,a,b,colour,y", "id,no,off,2021-01-01,y"),
            put("c.yaml", "data: {path: train.csv, target: y, features: [no, off, 2021-01-01]}\n"),
        ),
        command=f"{TRAIN} --set train.epochs=1 --run-dir run",
        code=0,
        leaves=("run",),
        then=(resolved(data__features=["no", "off", "2021-01-01"]),),
    ),
    refused(
        10,
        "numbers that are not positive",
        f"{DATA}optimizer: {{lr: .nan}}\ntrain: {{save_seconds: .inf, epochs: 0, clip_norm: -1}}\n",
        "c.yaml:2:17: optimizer.lr must be a finite number, not .nan",
        "c.yaml:3:23: train.save_seconds must be a finite number, not .inf",
        "c.yaml:3:37: train.epochs must be greater than 0, not 0",
        "c.yaml:3:51: train.clip_norm must be greater than 0, not -1",
    ),
    Case(
        numbers=(12,),
        name="an alias bomb",
        given=(put("c.yaml", bomb(9, 9)), START),
        command=TRAIN,
        code=2,
        lines=(
            "c.yaml:1:1: missing key 'data' at the top level; add it",
            "c.yaml:1:5: " + ANCHOR.format("a0"),
            "c.yaml:2:5: " + ANCHOR.format("a1"),
            *(f"c.yaml:2:{10 + 5 * i}: " + ALIAS.format("a0") for i in range(9)),
            "c.yaml:3:5: " + ANCHOR.format("a2"),
            *(f"c.yaml:3:{10 + 5 * i}: " + ALIAS.format("a1") for i in range(MANY - 13)),
            "c.yaml: and {n} more errors; fix these first",
        ),
        then=(IN_TIME,),
    ),
    Case(
        numbers=(12,),
        name="a merge bomb",
        given=(put("c.yaml", bomb(25, 2, merge=True)), START),
        command=TRAIN,
        code=2,
        lines=(
            "c.yaml:1:1: missing key 'data' at the top level; add it",
            "c.yaml:1:5: " + ANCHOR.format("a0"),
            "c.yaml:2:5: " + ANCHOR.format("a1"),
            "c.yaml:2:10: " + MERGE,
            "c.yaml:2:15: " + ALIAS.format("a0"),
            "c.yaml:2:20: " + ALIAS.format("a0"),
            *(["{any}"] * (MANY - 6)),
            "c.yaml: and {n} more errors; fix these first",
        ),
        then=(IN_TIME,),
    ),
    refused(
        12,
        "an alias of itself",
        f"{DATA}seed: &x [*x]\n",
        "c.yaml:2:7: " + ANCHOR.format("x"),
        "c.yaml:2:11: " + ALIAS.format("x"),
    ),
    Case(
        numbers=(15,),
        name="predictions onto the table",
        command="predict new.csv --run runs/number --output new.csv",
        code=2,
        lines=("--output new.csv: is an input; choose another file",),
    ),
    Case(
        numbers=(15,),
        name="predictions onto a link to the table",
        given=(lambda folder: (folder / "link.csv").symlink_to("new.csv"),),
        command="predict new.csv --run runs/number --output link.csv",
        code=2,
        lines=("--output link.csv: is an input; choose another file",),
    ),
    Case(
        numbers=(15,),
        name="predictions onto the model",
        command="predict new.csv --run runs/number "
        "--output runs/number/checkpoints/best.safetensors",
        code=2,
        lines=(
            "--output runs/number/checkpoints/best.safetensors: is in a run directory; "
            "choose another place",
        ),
    ),
    Case(
        numbers=(15,),
        name="predictions onto what the run was trained on",
        command="predict new.csv --run runs/number --output train.csv",
        code=2,
        lines=("--output train.csv: is an input; choose another file",),
    ),
    Case(
        numbers=(15,),
        name="predictions onto another run",
        given=(lambda folder: shutil.copytree(folder / "runs/number", folder / "other"),),
        command="predict new.csv --run runs/number --output other/summary.json",
        code=2,
        lines=("--output other/summary.json: is in a run directory; choose another place",),
    ),
    Case(
        numbers=(15,),
        name="predictions of several onto one of them",
        given=(copy("new.csv", "train.predictions.csv"),),
        command="predict train.csv train.predictions.csv --run runs/number --output .",
        code=2,
        lines=("--output train.predictions.csv: is an input; choose another file",),
    ),
    Case(
        numbers=(15,),
        name="a run onto the table",
        command="train --config number.yaml --run-dir train.csv",
        code=2,
        lines=("--run-dir train.csv: is a file; name a new or empty folder",),
    ),
    refused(
        12,
        "a weight of what is no class",
        "data: {path: train.csv, target: kind, exclude: [id, y, p*]}\n"
        "train: {class_weight: {low: 2, lowest: 1}}\n",
        "c.yaml:2:40: 'lowest' is no class of kind; the classes are high, low, middle",
    ),
    refused(
        10,
        "a negative weight of a class",
        "data: {path: train.csv, target: kind, exclude: [id, y, p*]}\n"
        "train: {class_weight: {low: -1}}\n",
        "c.yaml:2:29: train.class_weight.low must be greater than 0, not -1",
    ),
    refused(
        12,
        "weights of classes for a number",
        f"{DATA}train: {{class_weight: balanced}}\n",
        "c.yaml:2:23: the task is regression, which has no classes; remove it, or weigh the rows "
        "with data.weight",
    ),
    refused(
        12,
        "a metric of classes for a number",
        f"{DATA}train: {{metric: auroc}}\n",
        "c.yaml:2:17: auroc does not fit regression; use loss, mae, rmse, r2",
    ),
    refused(
        12,
        "a weight that is also the target",
        "data: {path: train.csv, target: y, weight: y}\n",
        "c.yaml:1:44: column 'y' is both a target and the weight of the rows; remove it from one "
        "of them",
    ),
    Case(
        numbers=(15,),
        name="a run into the folder of the table",
        given=(put("d.yaml", "data: {path: deep/t.csv, target: y}\n"), put("deep/t.csv", "x,y\n")),
        command="train --config d.yaml --run-dir deep",
        code=2,
        lines=("--run-dir deep: contains an input, deep/t.csv; name a new or empty folder",),
    ),
    Case(
        numbers=(15,),
        name="a run into the folder of the config",
        command="train --config number.yaml --run-dir .",
        code=2,
        lines=("--run-dir .: contains an input, number.yaml; name a new or empty folder",),
    ),
    refused(
        6,
        "a type of a column that is not there",
        "data: {path: train.csv, target: y, types: {colours: category}}\n",
        "c.yaml:1:53: no column 'colours' in train.csv; did you mean 'colour'?",
    ),
    refused(
        6,
        "two types for one column",
        "data: {path: train.csv, target: y, types: {b*: category, '?': number}}\n",
        "c.yaml:1:63: column 'b' is both category and number; name it exactly, with one of them",
    ),
    refused(
        6,
        "a target of a type that no target has",
        "data: {path: train.csv, target: y, types: {y: pixel}}\n",
        "c.yaml:1:43: the target 'y' cannot be a pixel; use number or category",
    ),
    refused(
        6,
        "a category among several targets",
        "data: {path: train.csv, target: [y, a], types: {y: category}}\n",
        "c.yaml:1:48: 'y' is a category, but several targets must be numbers; use number, or "
        "keep one target",
    ),
    refused(
        6,
        "a category as a number",
        "data: {path: train.csv, target: y, types: {y: category}}\ntask: regression\n",
        "c.yaml:2:7: task: regression does not fit 'y', a category in data.types; remove one "
        "of them",
    ),
    refused(
        6,
        "a number as a class",
        "data: {path: train.csv, target: y, types: {y: number}}\ntask: classification\n",
        "c.yaml:2:7: task: classification does not fit 'y', a number in data.types; remove one "
        "of them",
    ),
    refused(
        16,
        "an absurd width",
        f"{DATA}model: {{widths: [3000000, 3000000]}}\n",
        "c.yaml:2:8: 120 rows of 5 inputs, 9,000,024,000,001 parameters and batches of 32 rows "
        "need about {n} GB of memory, but only {n} GB are free; reduce the widths or "
        "train.batch_size",
        code=5,
    ),
    refused(
        16,
        "a width that overflows",
        f"{DATA}model: {{widths: [9223372036854775807]}}\n",
        "c.yaml:2:8: 120 rows of 5 inputs, 64,563,604,257,983,430,650 parameters and batches of 32 "
        "rows need about {n} GB of memory, but only {n} GB are free; reduce the widths or "
        "train.batch_size",
        code=5,
    ),
    Case(
        numbers=(15,),
        name="two predicted columns of one name",
        given=(columns("t.csv", y_std=[*range(30)]),),
        command="train --config number.yaml --set data.path=t.csv --set 'data.target=[y, y_std]' "
        "--set train.members=2 --set train.spread=true",
        code=2,
        lines=(
            "data.target: predictions would have two columns named y_std; rename the target, or "
            "set train.spread: false",
        ),
    ),
]
