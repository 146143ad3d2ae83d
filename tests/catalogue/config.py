"""1 to 16: what the config or the command line says."""

import os
import shutil
import time
from pathlib import Path

from ml2021.config.loading import load_config
from tests.catalogue.case import Case, Check, Step, copy, put, swap
from tests.commands import Outcome

DATA = "data: {path: train.csv, target: y, exclude: [id, kind, p*]}\n"
TRAIN = "train --quiet --config c.yaml"


def refused(number: int, name: str, text: str | bytes, *lines: str, command: str = TRAIN) -> Case:
    """Return the row of a config that is refused."""
    given = (put("c.yaml", text),)
    return Case(numbers=(number,), name=name, given=given, command=command, code=2, lines=lines)


def accepted(number: int, name: str, text: str, *then: Check) -> Case:
    """Return the row of a config that trains."""
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
    """Return a step that starts a clock, and the check that looks at it."""
    begun: list[float] = []
    return (
        lambda folder: begun.append(time.monotonic()),
        lambda folder, outcome: _assert_less(time.monotonic() - begun[-1], seconds),
    )


def _assert_less(found: float, limit: float) -> None:
    assert found < limit


def bomb(levels: int, width: int, merge: bool = False) -> str:
    """Return a config whose last alias stands for width ** levels values."""
    key = "<<: " if merge else ""
    lines = ["a0: &a0 {k: v}" if merge else "a0: &a0 [x]"]
    for level in range(1, levels + 1):
        aliases = ", ".join([f"*a{level - 1}"] * width)
        value = f"{{{key}[{aliases}]}}" if merge else f"[{aliases}]"
        lines.append(f"a{level}: &a{level} {value}")
    return "\n".join(lines) + "\n"


ANCHOR = (
    "an anchor (&{}), which is not supported; remove it, or put text that starts with & in quotes"
)
ALIAS = (
    "an alias (*{}), which is not supported; write the value, "
    "or put text that starts with * in quotes"
)
TAG = "a tag ({}), which is not supported; remove it, or put text that starts with ! in quotes"
MERGE = "a merge key (<<), which is not supported; write the keys"
MANY = 20  # lines of a config that are shown
START, IN_TIME = quickly(2)

CASES = [
    Case(
        numbers=(1,),
        name="a missing config",
        command="train --config no/c.yaml",
        code=2,
        lines=("{here}/no/c.yaml: no such file; check the path and the folder",),
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
    refused(
        2,
        "an empty config",
        "",
        "c.yaml:1:1: the config is empty; it needs at least data.path and data.target",
    ),
    refused(
        2, "a list", "- a\n", "c.yaml:1:1: the config must be a mapping (key: value), not a list"
    ),
    refused(
        2,
        "two documents",
        f"{DATA}---\n{DATA}",
        "c.yaml:2:1: a second document; keep one, and remove the line '---'",
    ),
    refused(
        3,
        "a syntax error",
        f"{DATA}model: {{type: linear",
        "c.yaml:2:8: not valid YAML: a mapping without its end; add the missing , or }",
    ),
    refused(
        3,
        "a tab",
        "data:\n\tpath: train.csv\n",
        "c.yaml:2:1: not valid YAML: a tab in the indentation; indent with spaces",
    ),
    refused(
        4,
        "a repeated key",
        f"{DATA}seed: 1\nseed: 2\n",
        "c.yaml:3:1: repeated key 'seed', which stands on line 2 already; keep one",
    ),
    refused(
        5,
        "an unknown key",
        f"{DATA}optimizer: {{learning_rate: 1}}\n",
        "c.yaml:2:13: unknown key 'learning_rate' in optimizer; did you mean 'lr'?",
    ),
    refused(
        5,
        "an unknown key in an override",
        DATA,
        "--set train.n_epochs: unknown key 'n_epochs' in train; did you mean 'epochs'?",
        command=f"{TRAIN} --set train.n_epochs=3",
    ),
    accepted(
        6,
        "numbers with an exponent",
        f"{DATA}optimizer: {{lr: 1e-3}}\nloss: {{type: huber, delta: 1.0e3}}\n"
        "train: {epochs: 1, save_seconds: 1e3}\n",
        resolved(optimizer__lr=0.001, loss__delta=1000.0, train__save_seconds=1000.0),
    ),
    refused(
        7,
        "a leading zero",
        f"{DATA}seed: 010\n",
        "c.yaml:2:7: 010 is unclear, since some programs read a leading 0 as octal; "
        "write 10 for the number, '010' for text",
    ),
    refused(
        7,
        "a number to the base of 60",
        f"{DATA}seed: 1:30\n",
        "c.yaml:2:7: seed must be a whole number, not '1:30'",
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
        9,
        "true for a whole number",
        f"{DATA}seed: true\n",
        "c.yaml:2:7: seed must be a whole number, not true",
    ),
    refused(
        9,
        "text for a whole number",
        f'{DATA}seed: "10"\n',
        "c.yaml:2:7: seed must be a whole number, not '10'; remove the quotes",
    ),
    refused(
        9,
        "a float for a whole number",
        f"{DATA}seed: 3.0\n",
        "c.yaml:2:7: seed must be a whole number, not 3.0; write 3",
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
    refused(
        11,
        "a tag that runs a command",
        f"{DATA}seed: !!python/object/apply:os.mkdir [gone]\n",
        "c.yaml:2:7: " + TAG.format("!!python/object/apply:os.mkdir"),
    ),
    refused(11, "any other tag", f"{DATA}seed: !!int 1\n", "c.yaml:2:7: " + TAG.format("!!int")),
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
            "c.yaml: and {n} more mistakes; mend these first",
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
            "c.yaml: and {n} more mistakes; mend these first",
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
    refused(
        12,
        "nested 3,000 deep",
        f"{DATA}seed: " + "[" * 3000,
        "c.yaml:2:{n}: nested more than 32 deep; remove brackets or indentation",
    ),
    refused(
        13,
        "a number of 5,000 digits",
        f"{DATA}seed: {'9' * 5000}\n",
        "c.yaml:2:7: a number of 5000 characters; shorten it to 100 or fewer, "
        "or put it in quotes if it is text",
    ),
    refused(
        14, "NUL", f"{DATA}seed: \0\n", "c.yaml:2:7: NUL, a control character (U+0000); remove it"
    ),
    refused(
        14,
        "not UTF-8",
        DATA.encode() + b"seed: \xe9\n",
        "c.yaml:2:7: not UTF-8 (byte 0xe9); save the file as UTF-8",
    ),
    refused(
        14,
        "a lone surrogate as bytes",
        DATA.encode() + b"seed: \xed\xa0\x80\n",
        "c.yaml:2:7: not UTF-8 (byte 0xed); save the file as UTF-8",
    ),
    refused(
        14,
        "a lone surrogate as an escape",
        'data: {path: train.csv, target: "\\ud800"}\n',
        "c.yaml:1:36: not valid YAML: an escape that stands for no character; write the character",
    ),
    refused(
        14,
        "a lone surrogate on the command line",
        DATA,
        "--set task: a lone surrogate (U+DCFF); remove it",
        command=f"{TRAIN} --set task=\udcff",
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
        lines=(
            "--output train.csv: is the table that the run was trained on; choose another file",
        ),
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
        lines=("--run-dir train.csv: is a file; name a folder that is new or empty",),
    ),
    Case(
        numbers=(15,),
        name="a run into the folder of the table",
        given=(put("d.yaml", "data: {path: deep/t.csv, target: y}\n"), put("deep/t.csv", "x,y\n")),
        command="train --config d.yaml --run-dir deep",
        code=2,
        lines=("--run-dir deep: holds an input, deep/t.csv; name a folder that is new or empty",),
    ),
    Case(
        numbers=(15,),
        name="a run into the folder of the config",
        command="train --config number.yaml --run-dir .",
        code=2,
        lines=("--run-dir .: holds an input, number.yaml; name a folder that is new or empty",),
    ),
    refused(
        16,
        "an absurd width",
        f"{DATA}model: {{widths: [3000000, 3000000]}}\n",
        "c.yaml:2:8: 9,000,024,000,001 parameters and batches of 32 rows need {n} GiB of memory, "
        "but only {n} GiB are free; reduce the widths or train.batch_size",
    ),
    refused(
        16,
        "a width that overflows",
        f"{DATA}model: {{widths: [9223372036854775807]}}\n",
        "c.yaml:2:8: 64,563,604,257,983,430,650 parameters and batches of 32 rows need {n} GiB of "
        "memory, but only {n} GiB are free; reduce the widths or train.batch_size",
    ),
]
