"""How accurate ml2021 is on real tables, beside the peers that are installed, and at what cost.

    python tests/benchmarks/accuracy.py --table "concrete.csv target=strength splits=test_*.txt"
        [--table ...] [--tables FILE] --ours "default:" --ours "five: train.members=5"
        [--peers all] [--peer-python PYTHON] [--seeds 3] [--on validation] [--jobs 1]
        [--output FILE.md] [--results FILE.jsonl]

A table is a CSV and what to do with it, in quotes, as KEY=VALUE:

    target=COLUMN     what to predict
    task=...          regression or classification; else what ml2021 takes it for
    splits=GLOB       files of zero-based rows (without the header) to test on, one a split
    random=N          N random splits instead (`stratified=N`: by class), of which
    test=0.2          is tested
    exclude=A,B       columns that are not features
    missing=?,-       cells that mean a missing value, beside the usual ones
    lags=L by=COLUMN validation_from=V test_from=T    a series, tested from T on

`--ours` takes a name and settings as `--set` does; `program=PATH` runs another ml2021. Each system
is trained on the same rows with the same seeds, `data.split.seed` with them, and scored on the same
rows: RMSE and MAE, or log loss and accuracy. Peers keep their defaults; of a series they are given
the lags as columns. CPU seconds are user and system of the whole command, reading included.

`of first` is the mean ratio to the first row's score, paired over splits and seeds, with its
standard error; the last table has the geometric mean over tables, and how many each wins.
Results are appended to `--results` as they come, and those in it are not measured again.
"""

import argparse
import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import exp, log, sqrt
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.formatting import plural
from tests.benchmarks.accuracy_tables import Split, Table, is_number, parse_table
from tests.benchmarks.measure import describe_machine, markdown_table, run_command

ROOT = Path(__file__).resolve().parents[2]
PEER = Path(__file__).with_name("accuracy_peer.py")
METRICS = {"regression": ("rmse", "mae"), "classification": ("log_loss", "accuracy")}
LINEAR = ("logistic_regression", "least_squares")
PACKAGES = ("torch", "numpy", "scikit-learn")
Scores = dict[str, float]


@dataclass(frozen=True)
class System:
    """A named way to train: settings of ml2021, or a peer. program: another ml2021."""

    name: str
    settings: Sequence[str] = ()
    program: str | None = None
    is_peer: bool = False
    python: str = sys.executable


@dataclass(frozen=True)
class Job:
    """One system on one split with one seed."""

    table: Table
    split: Split
    seed: int
    system: System
    key: str = field(init=False)

    def __post_init__(self) -> None:
        settings = " ".join([*self.system.settings, self.system.program or ""]).strip()
        parts = (*_named(self.table), self.split.name, str(self.seed), self.system.name, settings)
        object.__setattr__(self, "key", " | ".join(parts))


def _named(table: Table) -> tuple[str, str]:
    return table.path.stem, " ".join(f"{key}={value}" for key, value in table.options.items())


def measure(job: Job, on: str) -> dict[str, Any]:
    """Train and score; return scores and CPU seconds, or the error."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_files(job.table, job.split, folder, is_peer=job.system.is_peer)
        try:
            found = (measure_peer if job.system.is_peer else measure_ours)(job, folder, on)
        except RuntimeError as error:
            found = {"error": str(error)[-600:]}
    return {"key": job.key, **found}


def write_files(table: Table, split: Split, folder: Path, *, is_peer: bool) -> None:
    """Write train.csv and test.csv; of a series, whole for ml2021, and with lags for a peer."""
    names, rows = table.content
    parts = {"train": split.train, "test": split.test}
    if table.lags and not is_peer:
        parts = {"train": [*range(len(rows))]}
    lags: list[list[str]] = [[] for _ in rows]
    if table.lags and is_peer:
        target = table.column(table.target)
        lags = [target[max(0, row - table.lags) : row] for row in range(len(rows))]
    left_out = _excluded(table) if is_peer else set()
    kept = [place for place, name in enumerate(names) if name not in left_out]
    for part, chosen in parts.items():
        with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([names[place] for place in kept] + _lag_names(table, is_peer))
            writer.writerows([rows[row][place] for place in kept] + lags[row] for row in chosen)


def _lag_names(table: Table, is_peer: bool) -> list[str]:
    return [f"lag {lag}" for lag in range(table.lags, 0, -1)] if is_peer else []


def _excluded(table: Table) -> set[str]:
    excluded = set(filter(None, table.options.get("exclude", "").split(",")))
    return excluded | {table.options["by"]} if table.lags else excluded


def measure_ours(job: Job, folder: Path, on: str) -> dict[str, Any]:
    """Train by the command, and read the scores of the run."""
    table, settings = job.table, [f"data.split.seed={job.seed}"]
    data: dict[str, Any] = {"path": "train.csv", "target": table.target}
    if table.lags:
        options = table.options
        split: dict[str, Any] = {"method": "column", "column": options["by"]}
        split |= {key: _scalar(options[key]) for key in ("validation_from", "test_from")}
        data |= {"lags": table.lags, "split": split}
        settings = []
    else:
        data |= {"test_path": "test.csv", "split": {"test": 0.0}}
    data["exclude"] = sorted(_excluded(table) - {table.options.get("by")})
    config = {"data": data, "task": table.task, "seed": job.seed}
    (folder / "c.yaml").write_text(json.dumps(config))
    ours = [job.system.program] if job.system.program else [sys.executable, "-m", "ml2021"]
    settings += job.system.settings
    command = [*ours, "train", "--config", "c.yaml", "--run-dir", "run", "--no-report", "--quiet"]
    command += [word for setting in settings for word in ("--set", setting)]
    usage = run_command(command, folder, folder if job.system.program else ROOT)
    scored = json.loads((folder / "run" / "summary.json").read_text())["scores"][on]
    if on == "test" and scored["rows"] != len(job.split.test):
        raise RuntimeError(f"{scored['rows']} rows were scored, not {len(job.split.test)}")
    metrics = METRICS[table.task]
    baselines = scored["baselines"]
    linear: dict[str, float] = next((baselines[n] for n in LINEAR if n in baselines), {})
    return {
        "scores": {name: scored["scores"][name] for name in metrics},
        "linear": {name: linear.get(name) for name in metrics},
        "cpu": usage.cpu_seconds,
    }


def _scalar(text: str) -> str | int | float:
    return text if not is_number(text) else float(text) if "." in text else int(text)


def measure_peer(job: Job, folder: Path, on: str) -> dict[str, Any]:
    """Train and predict in a process of its own, and score the predictions."""
    table, system = job.table, job.system
    what = [system.name, "train.csv", "test.csv", table.target, table.task, str(job.seed), "p.csv"]
    usage = run_command([system.python, str(PEER), *what], folder, folder)
    predictions = np.loadtxt(folder / "p.csv", delimiter=",", ndmin=1)
    cells = table.column(table.target)
    truth = [cells[row] for row in job.split.test]
    if table.task == "regression":
        errors = predictions.reshape(-1) - np.array(truth, float)
        scores = {"rmse": float(sqrt(np.mean(errors**2))), "mae": float(np.abs(errors).mean())}
    else:
        classes = sorted({cells[row] for row in job.split.train})
        # A class that no training row has is predicted by nobody.
        place = np.array([classes.index(x) if x in classes else len(classes) for x in truth])
        predictions = np.hstack([predictions, np.zeros((len(place), 1))])
        chosen = np.clip(predictions[np.arange(len(place)), place], 1e-15, 1)
        accuracy = float((predictions.argmax(axis=1) == place).mean())
        scores = {"log_loss": float(-np.log(chosen).mean()), "accuracy": accuracy}
    return {"scores": scores, "cpu": usage.cpu_seconds}


def report(
    tables: Sequence[Table], systems: Sequence[System], jobs: Sequence[Job], found: dict[str, Any]
) -> list[str]:
    """Return a table for each CSV, then the means over all of them."""
    lines: list[str] = []
    ratios: dict[str, list[float]] = {system.name: [] for system in systems}
    for table in tables:
        first, second = METRICS[table.task]
        own = [job for job in jobs if job.table is table]
        by_system = {
            system.name: [found[job.key] for job in own if job.system is system]
            for system in systems
        }
        by_system["linear baseline"] = [
            {"scores": one["linear"]} if "linear" in one else {}
            for one in by_system[systems[0].name]
        ]
        base = [one.get("scores", {}).get(first) for one in next(iter(by_system.values()))]
        rows = []
        for name, results in by_system.items():
            scores = [one.get("scores", {}) for one in results]
            values = [score.get(first) for score in scores]
            if not any(value is not None for value in values):
                is_failed = any("error" in one for one in results)
                rows.append((name, "failed" if is_failed else "–", "", "", ""))
                continue
            ratio = [a / b for a, b in zip(values, base, strict=True) if a and b]
            if ratio and name in ratios:
                ratios[name].append(fmean(ratio))
            cpu = [one["cpu"] for one in results if "cpu" in one]
            rows.append(
                (
                    name,
                    _mean(v for v in values if v is not None),
                    _mean(v for s in scores if (v := s.get(second)) is not None),
                    _mean(ratio, digits=3),
                    f"{fmean(cpu):.1f}" if cpu else "",
                )
            )
        names, seeds = {job.split.name for job in own}, {job.seed for job in own}
        each = ((len(names), "split"), (len(seeds), "seed"))
        runs = " x ".join(plural(n, what) for n, what in each if n > 1) or "once"
        size = f"{len(table.content[1]):,} rows, {len(table.content[0])} columns"
        lines += ["", f"### {table.path.stem}: {size}, {runs}", ""]
        lines += markdown_table(("system", first, second, "of first", "CPU s"), rows)
    if len(tables) > 1:
        lines += ["", f"### All {len(tables)} tables", ""]
        lines += markdown_table(("system", "geometric mean of ratios", "tables better"), [
            (
                name,
                f"{exp(fmean(map(log, values))):.3f}" if values else "–",
                f"{sum(value < 1 for value in values)} of {len(values)}",
            )
            for name, values in ratios.items()
        ])  # fmt: skip
    return lines


def _mean(values: Any, digits: int | None = None) -> str:
    """Return mean ± standard error."""
    known = list(values)
    if not known:
        return "–"
    form = f"{{:.{digits}f}}" if digits is not None else "{:#.4g}"
    text = form.format(fmean(known))
    if len(known) > 1:
        text += f" ± {stdev(known) / sqrt(len(known)):.2g}"
    return text


def parse_ours(text: str) -> System:
    """Return the settings that an argument of `--ours` describes."""
    name, _, rest = text.partition(":")
    words = shlex.split(rest)
    programs = [word.split("=", 1)[1] for word in words if word.startswith("program=")]
    settings = [word for word in words if not word.startswith("program=")]
    return System(name.strip(), settings, programs[0] if programs else None)


def find_peers(wanted: Sequence[str], python: str) -> list[System]:
    """Return the peers that are installed in that Python and wanted; `all` wants all."""
    listed = subprocess.run([python, str(PEER)], capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    chosen = [name for name in names if "all" in wanted or name in wanted]
    if missing := [name for name in wanted if name != "all" and name not in names]:
        print(f"not installed: {', '.join(missing)}; there are {', '.join(names)}")
    return [System(name, is_peer=True, python=python) for name in chosen]


def main() -> None:
    """Measure what is not yet in the results, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--table", action="append", type=parse_table, default=[])
    parser.add_argument("--tables", type=Path, help="a file with the text of a --table per line")
    parser.add_argument("--ours", action="append", type=parse_ours)
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--jobs", type=int, default=1, help="jobs at a time; CPU seconds suffer")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    tables = list(arguments.table)
    if arguments.tables is not None:
        lines = arguments.tables.read_text().splitlines()
        tables += [parse_table(line) for line in lines if line.strip() and line[0] != "#"]
    if not tables:
        parser.error("name at least one --table, or --tables")
    systems = arguments.ours or [System("default")]
    if arguments.on == "test" and arguments.peers:
        systems += find_peers(arguments.peers, arguments.peer_python)
    jobs = [
        Job(table, split, seed, system)
        for table in tables
        for split in table.splits()
        for seed in range(arguments.seeds)
        for system in systems
    ]
    found: dict[str, Any] = {}
    results: Path | None = arguments.results
    if results is not None and results.exists():
        for line in results.read_text().splitlines():
            found[json.loads(line)["key"]] = json.loads(line)
    left = [job for job in jobs if job.key not in found]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        measured = pool.map(lambda job: measure(job, arguments.on), left)
        for number, (job, one) in enumerate(zip(left, measured, strict=True), 1):
            found[job.key] = one
            said = one.get("error") or " ".join(f"{k} {v:.4g}" for k, v in one["scores"].items())
            print(f"{number}/{len(left)} {job.key}: {said}", file=sys.stderr, flush=True)
            if results is not None:
                with results.open("a") as file:
                    file.write(json.dumps(one) + "\n")
    lines = ["# Accuracy beside peers", "", *describe_machine(PACKAGES)]
    lines += [f"- scores on the {arguments.on} rows, mean ± standard error"]
    lines += [f"- {s.name}: {' '.join(s.settings) or 'defaults'}" for s in systems if not s.is_peer]
    lines += report(tables, systems, jobs, found)
    print("\n".join(lines))
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
