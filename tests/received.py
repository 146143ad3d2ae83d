"""Received runs: one file of a run or sweep that somebody else may have made is not what it was.

Each mutation goes through a command that reads the file: in a forked child, or in one process after
the other, which takes a third of the time. It is refused in lines, or handled: never a traceback, a
warning, a hang, or a change outside the directory.
"""

import hashlib
import json
import random
import resource
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests import commands
from tests.commands import Outcome
from tests.damage import change_somewhere, flipped, signed, spliced
from tests.finishing import scratch
from tests.forks import HUNG, Forks
from tests.suites import HangError, Tally

SECONDS = 10
"""The processor time that no mutation may take. One that waits is hung after `forks.SECONDS`."""
MEMORY = 3 << 30
"""What a child may take beside what was taken when it was forked."""
KEPT, VICTIM = "kept", "victim"

_NUMBER = "preset: fast\ndevice: cpu\nmodel: {type: relu_stack, widths: [4]}\n"
_TABLE = "data: {path: t.csv, %s}\n"
CONFIGS = {
    "number": _NUMBER
    + _TABLE % "target: y, exclude: [id, kind, p*], numbers: {type: piecewise, pieces: 4}"
    + "train: {epochs: 2, members: 2, refit: true}\n",
    "classes": _NUMBER
    + _TABLE % "target: kind, exclude: [id, y, p*], dates: [month, elapsed], weight: w"
    + "train: {epochs: 2, calibrate: true, class_weight: balanced}\n",
    "two": _NUMBER
    + _TABLE % "target: two, exclude: [id, y, kind, p*], group_by: colour"
    + "train: {epochs: 2, members: 2, metric: auroc, calibrate: true}\n",
    "pixels": _NUMBER.replace("relu_stack, widths: [4]", "sigmoid_sum, units: 3")
    + _TABLE % "target: 'p*', target_shape: [2, 3], exclude: [id, y, kind, two, when]"
    + "train: {epochs: 2}\n",
    "series": _NUMBER.replace("relu_stack, widths: [4]", "linear")
    + "data: {path: s.csv, target: views, lags: 3, order_by: date, group_by: shop, horizon: 2, "
    "gaps: {type: interpolate, limit: 2}}\ntrain: {epochs: 2}\n",
    "folds": _NUMBER
    + _TABLE % "target: y, exclude: [id, kind, p*], split: {method: kfold, folds: 3}"
    + "train: {epochs: 2}\n",
}
_SWEEP = CONFIGS["number"].replace(", members: 2, refit: true", "") + (
    "sweep: {grid: {optimizer.lr: [0.01, 0.02], seed: [0, 1]}}\n"
)


@dataclass(frozen=True)
class Reader:
    """A command that reads files of a directory. slow: it takes a second or more.

    without: the files that are removed first, so that it reads the others.
    """

    words: tuple[str, ...]
    slow: bool = False
    without: tuple[str, ...] = ()


_RUN = ("--run", VICTIM)
_RESUME = ("train", "--no-report", "--quiet", "--resume", VICTIM)
EVALUATE = Reader(("evaluate", *_RUN))
SCORE = Reader(("evaluate", "NEW", *_RUN, "--json"))
PREDICT = Reader(("predict", "NEW", *_RUN, "--output", "-"))
COMPARE = Reader(("compare", VICTIM, f"{KEPT}/number"))
REPORT = Reader(("report", *_RUN), slow=True)
SURFACE = Reader(("surface", *_RUN), slow=True)
FINISHED = Reader(_RESUME)
FURTHER = Reader((*_RESUME, "--set", "train.epochs=3"), slow=True)
AGAIN = Reader(_RESUME, slow=True, without=("summary.json",))
FIRST = Reader(_RESUME, slow=True, without=("summary.json", "checkpoints/last.safetensors"))
SWEEP = Reader(("sweep", "--no-report", "--quiet", "--jobs", "1", "--resume", VICTIM))
SWEEP_AGAIN = Reader(SWEEP.words, without=("sweep.csv",))

RUN_READERS: dict[str, tuple[Reader, ...]] = {
    "summary.json": (COMPARE, COMPARE, EVALUATE, SCORE, REPORT, FINISHED),
    "environment.json": (FINISHED, FINISHED, SCORE, PREDICT, AGAIN),
    "metrics.csv": (REPORT, FURTHER, AGAIN),
    "config.resolved.yaml": (EVALUATE, EVALUATE, COMPARE, FINISHED, REPORT, SURFACE, AGAIN),
    "checkpoints/best.safetensors": (PREDICT, PREDICT, SCORE, SCORE, EVALUATE, REPORT, SURFACE),
    "checkpoints/last.safetensors": (FINISHED, AGAIN, REPORT, SURFACE, FURTHER),
    "checkpoints/refit.safetensors": (AGAIN,),
    "checkpoints/init.safetensors": (FIRST, SURFACE),
    "checkpoints/folds-1.safetensors": (AGAIN, FIRST, REPORT),
}
SWEEP_READERS: dict[str, tuple[Reader, ...]] = {
    "sweep.json": (COMPARE, COMPARE, SWEEP, SWEEP_AGAIN, REPORT),
    "results.jsonl": (COMPARE, COMPARE, SWEEP, SWEEP_AGAIN, REPORT),
    "best/sweep_run.json": (SWEEP_AGAIN,),
    "best/config.resolved.yaml": (EVALUATE, SURFACE),
    "best/checkpoints/best.safetensors": (PREDICT, EVALUATE),
    "best/environment.json": (SCORE, PREDICT),
}


@dataclass
class Mutations:
    """The directories to damage, and what is changed in them, by number.

    run: runs a command in a folder. most_slow: the share of the slow commands that are taken where
    they are drawn.
    """

    folder: Path
    run: Callable[..., Outcome]
    most_slow: float = 1.0
    kinds: list[str] = field(default_factory=list)
    kept: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make a run of each kind, a curve, a run that began with another one's, and a sweep."""
        folder = self.folder
        table = commands.table(60)
        table["two"] = ["yes" if value > 0 else "no" for value in table["a"]]  # type: ignore[operator]
        table["w"] = [1 + row % 3 for row in range(60)]
        table["when"] = commands.series(60)["date"]
        commands.write_rows(folder / "t.csv", table)
        commands.write_rows(folder / "new.csv", {k: v[:9] for k, v in table.items()})
        series = commands.series(40)
        views = ["" if row == 9 else value for row, value in enumerate(series["views"] * 2)]
        shops = ["north"] * 40 + ["south"] * 40
        columns: dict[str, list[object]] = {"date": series["date"] * 2, "views": [*views]}
        columns["shop"] = [*shops]
        commands.write_rows(folder / "s.csv", columns)
        commands.write_rows(folder / "curve.csv", {"x": [0, 1, 2, 4], "y": [5, 3, 8, 1]})
        train = ("train", "--no-report", "--quiet")
        for name, text in {**CONFIGS, "sweep": _SWEEP}.items():
            (folder / f"{name}.yaml").write_text(text)
            words = ("sweep", "--no-report", "--quiet", "--jobs", "1") if name == "sweep" else train
            self._well(*words, "--config", f"{name}.yaml", "--run-dir", f"{KEPT}/{name}")
        begun = ("--config", "number.yaml", "--run-dir", f"{KEPT}/init")
        self._well(*train, *begun, "--init-from", f"{KEPT}/number")
        self._well("piecewise", "curve.csv", "--quiet", "--run-dir", f"{KEPT}/curve")
        self.kinds = [*CONFIGS, "init", "curve", "curve", "sweep", "sweep"]
        self.kept = self.listing()

    def _well(self, *words: str) -> None:
        outcome = self.run(self.folder, *words)
        assert outcome.code == 0, outcome.stderr

    def listing(self) -> dict[str, str]:
        """Return all that lies outside the victim, with the SHA-256 of each file."""
        found = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if name.split("/")[0] != VICTIM:
                is_file = path.is_file()
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "folder"
        return found

    def try_one(self, number: int) -> tuple[str, str, Outcome]:
        """Make the mutation of that number; return the file, the command and what came of it."""
        choose = random.Random(number)
        kind = choose.choice(self.kinds)
        readers = SWEEP_READERS if kind == "sweep" else RUN_READERS
        victim = self.folder / VICTIM
        shutil.rmtree(victim, ignore_errors=True)
        shutil.copytree(self.folder / KEPT / kind, victim)
        name = choose.choice([each for each in readers if (victim / each).is_file()])
        path = victim / name
        path.write_bytes(mutated(name, path.read_bytes(), choose))
        quick = [each for each in readers[name] if not each.slow]
        every = readers[name] if choose.random() < self.most_slow else quick or readers[name]
        reader = choose.choice(every)
        for each in reader.without:
            (victim / each).unlink(missing_ok=True)
        table = {"series": "s.csv", "curve": "curve.csv"}.get(kind, "new.csv")
        words = [table if word == "NEW" else word for word in reader.words]
        outcome = self.run(self.folder, *words)
        return f"{kind}/{name}", " ".join(words), outcome

    def fault(self, outcome: Outcome) -> str:
        """Return what is wrong, "" for nothing."""
        if outcome.code == HUNG:
            return "a hang"
        if not 0 <= outcome.code <= 7 or outcome.code == 1:
            return f"exit code {outcome.code}"
        if "Traceback" in outcome.stderr or "Warning" in outcome.stderr:
            return "a traceback or a warning"
        if not all(line.isprintable() for line in outcome.stderr.splitlines()):
            return "characters that are not printable"
        if self.listing() != self.kept:
            return "a change outside the directory"
        return ""


@contextmanager
def forked(folder: Path) -> Iterator[Mutations]:
    """Give the directories, and a child for each command, of so much time and memory."""
    with Forks() as forks:
        mutations = Mutations(folder, partial(forks.run, most_work=SECONDS))
        mutations.prepare()
        used = int(Path(f"/proc/{forks.pid}/statm").read_text().split()[0])
        limit = used * resource.getpagesize() + MEMORY
        resource.prlimit(forks.pid, resource.RLIMIT_AS, (limit, limit))
        yield mutations


def in_this_process(count: int) -> Tally:
    """Try so many mutations, in the time and memory that `tests.suites` allows."""
    warnings.simplefilter("ignore")  # as `ml2021.__main__` does
    with scratch() as place:
        mutations = Mutations(place, _run_here, most_slow=0.0)
        mutations.prepare()
        return suite(mutations, range(count))


def _run_here(folder: Path, *words: str) -> Outcome:
    try:
        with Tally().timed():
            return commands.run(folder, *words)
    except HangError:
        return Outcome(HUNG, "", "")


def suite(mutations: Mutations, numbers: Sequence[int]) -> Tally:
    """Try these mutations."""
    tally = Tally()
    for number in numbers:
        name, words, outcome = mutations.try_one(number)
        fault = mutations.fault(outcome)
        verdict = f"{name.split('/', 1)[1]}: exit code {outcome.code}"
        if fault:
            last = "\n".join(outcome.stderr.splitlines()[-14:])
            verdict = f"{number}: {fault}: {words} with another {name}\n{last}"
        tally.add(verdict, is_right=not fault)
    return tally


def mutated(name: str, content: bytes, choose: random.Random) -> bytes:
    """Return a file of a run with something else in it."""
    draw = choose.random()
    if name.endswith(".safetensors"):
        return signed(content, choose)
    if draw < 0.05:
        return choose.choice([spliced, flipped])(content, choose)
    text = content.decode()
    if name.endswith("sweep.json") and draw < 0.4:
        plan = json.loads(text)
        run = choose.choice(plan["runs"])
        run["config"] = _changed_lines(run["config"], choose)
        return json.dumps(plan).encode()
    if name.endswith(".json"):
        return _changed_tree(text, choose).encode()
    if name.endswith(".jsonl"):
        lines = text.splitlines()
        at = choose.randrange(len(lines))
        others: list[Callable[[], object]] = [
            lambda: lines.__setitem__(at, _changed_tree(lines[at], choose)),
            lambda: lines.__setitem__(at, _changed_tree(lines[at], choose)),
            lambda: lines.__setitem__(at, _changed_tree(lines[at], choose)),
            lambda: lines.__delitem__(at),
            lambda: lines.insert(at, choose.choice(lines)),
        ]
        choose.choice(others)()
        return "".join(f"{line}\n" for line in lines).encode()
    change = _changed_cells if name.endswith(".csv") else _changed_lines
    for _ in range(choose.choice([1, 1, 2])):
        text = change(text, choose)
    return text.encode("utf-8", "surrogateescape")


_LITERALS = ("NaN", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', '"\\u001b[31m\\u202e"', "5e-324")


def _changed_tree(text: str, choose: random.Random) -> str:
    """Return JSON with one or two values changed, or with a literal that few readers expect."""
    tree = json.loads(text)
    for _ in range(choose.choice([1, 1, 1, 2])):
        change_somewhere(tree, choose)
    changed = json.dumps(tree)
    if choose.random() < 0.15:
        leaves = [place for place, letter in enumerate(changed) if letter in "0123456789"]
        if leaves:
            at = choose.choice(leaves)
            changed = changed[:at] + choose.choice(_LITERALS) + changed[at + 1 :]
    return changed


_SCALARS = (
    *("null", "true", "-1", "0", "0.5", "1e308", "5e-324", "1000000000", "100000000000000000000"),
    *(".nan", ".inf", "''", "x", "[]", "{}", "[x]", "{x: 1}", "[[[[1]]]]", "'\\0'", '"\\u202e\\e"'),
    *("auto", "/", "..", "/dev/zero", "new.csv", "nothing.csv", "cuda", "classification", "kfold"),
    *("y", "kind", "a", "'*'", "structured", "regression", "cross_entropy", "mae", "utf-16"),
)


def _changed_lines(text: str, choose: random.Random) -> str:
    """Return YAML with another value, or with a line less, twice, or elsewhere."""
    lines = text.splitlines() or [""]
    at = choose.randrange(len(lines))
    key, colon, _ = lines[at].partition(":")
    draw = choose.random()
    if draw < 0.75 and colon:
        few = _SCALARS if key.strip() != "epochs" else _SCALARS[:2]  # many would be a long training
        lines[at] = f"{key}: {choose.choice(few)}"
    elif draw < 0.85:
        del lines[at]
    elif draw < 0.9:
        lines.insert(choose.randrange(len(lines)), lines[at])
    elif draw < 0.95:
        lines[at] = choose.choice(["  ", "- ", "\t", "&a ", "? ", "\x1b", "\udcff"]) + lines[at]
    else:
        lines[at] = lines[at].strip()
    return "".join(f"{line}\n" for line in lines)


_CELLS = (
    *("", "nan", "inf", "-inf", "-1", "1e400", "1e308", "5e-324", "0", "x", '"', '"a\nb"', "\0"),
    *("9" * 40, "1_0", " 1", "١", "1.5", "-0.0", "0x1", "1" * 200_000, "\x1b[31m"),
)


def _changed_cells(text: str, choose: random.Random) -> str:
    """Return CSV with another cell, or with a row less, twice, short or long."""
    rows = [line.split(",") for line in text.splitlines()]
    if not rows:
        return choose.choice(_CELLS)
    at = choose.randrange(len(rows))
    row = rows[at]
    cell = choose.randrange(len(row))
    draw = choose.random()
    if draw < 0.7:
        row[cell] = choose.choice(_CELLS)
    elif draw < 0.8:
        del rows[at]
    elif draw < 0.9:
        rows.insert(at, list(row))
    elif draw < 0.95:
        del row[cell]
    else:
        row.insert(cell, "1")
    return "".join(f"{','.join(row)}\n" for row in rows)
