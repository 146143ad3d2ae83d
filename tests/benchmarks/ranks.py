"""Two ranks of one thread beside one: an update at W3, a sweep of 64 runs of W1, and folds.

    python tests/benchmarks/ranks.py [--rounds 3] [--epochs 400] [--output FILE]

The update: one rank alone, both of them, and the sum alone, in turn in the same processes. The
sweep: whole commands, `torchrun --nproc-per-node 2 -m ml2021 sweep` beside the same with one rank
(and `--jobs 1`), and beside `ml2021 sweep --jobs 1` without torchrun. The folds: ten at W1, on two
ranks beside one. Needs two free cores. Prints the tables and writes them as Markdown.
"""

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.engine.distributed import join
from ml2021.engine.losses import Mse
from ml2021.engine.optimizers import Adam
from ml2021.engine.ranks import Costs, Follower, measure
from ml2021.engine.schedules import Constant
from ml2021.engine.state import Hyperparameters, start
from tests.benchmarks.measure import (
    alternate,
    describe_machine,
    markdown_table,
    median_ratio,
    run_command,
)
from tests.benchmarks.workloads import LR, WORKLOADS, make_rows, to_dataset, write_csv

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "ml2021"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
Seconds = dict[str, list[float]]
UPDATE, SWEEP = 0.9, 1.8
"""What is asked of an update, of t1 / (t1 / 2 + the sum), and of a sweep's speed."""


def rank(rounds: int) -> None:
    """Measure an update at W3, as one of the ranks; the leader prints a line for each round."""
    torch.set_num_threads(1)
    ranks = join()
    assert ranks is not None
    if not ranks.leads:
        follower = Follower(ranks)
        while (message := ranks.hear())["do"] != "end":
            follower.handle(message)
        os._exit(0)
    workload = WORKLOADS["W3"]
    rows = to_dataset(make_rows(workload, workload.rows), torch.device("cpu"))
    hparams = Hyperparameters(
        loss=Mse(),
        optimizer=Adam(LR),
        schedule=Constant(),
        epochs=1,
        batch_size=workload.batch_size,
        clip_norm=None,
        patience=None,
        seeds=(0,),
    )
    state = start(workload.network, hparams, len(rows), rows.inputs)
    for _ in range(rounds):
        costs = measure(ranks, workload.network, hparams, state, rows, threads=1, seconds=1.0)
        print(json.dumps(vars(costs)), flush=True)
    ranks.end(0)
    os._exit(0)


def of_update(rounds: int) -> list[Costs]:
    """Return the costs of an update at W3, of each round."""
    words = [*TORCHRUN, "2", str(Path(__file__).resolve()), "--rank", "--rounds", str(rounds)]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = [line for line in said.splitlines() if line.startswith("{")]
    return [Costs(**json.loads(line)) for line in lines]


def of_commands(rounds: int, epochs: int) -> tuple[Seconds, Seconds]:
    """Return the seconds of a sweep of 64 runs, and of ten folds, by each command in turn."""
    w1 = WORKLOADS["W1"]
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_csv(folder / "w1.csv", make_rows(w1, w1.rows * 5 // 4))
        text = (
            "preset: fast\ndata: {path: w1.csv, target: y, numbers: standardise}\n"
            f"model: {{type: relu_stack, widths: {list(w1.widths)}}}\ndevice: cpu\n"
            f"train: {{epochs: {epochs}, batch_size: {w1.batch_size}, early_stopping: null}}\n"
        )
        (folder / "folds.yaml").write_text(text)
        (folder / "sweep.yaml").write_text(
            f"{text}sweep: {{grid: {{optimizer.lr: [0.001, 0.002, 0.005, 0.01], "
            f"seed: {list(range(16))}}}}}\n"
        )
        sweep = ["sweep", "--quiet", "--no-report", "--config", "sweep.yaml"]
        folds = ["train", "--quiet", "--no-report", "--config", "folds.yaml"]
        folds += ["--set", "data.split.method=kfold"]
        taken = []
        for words, one in ((sweep, ["--jobs", "1"]), (folds, [])):
            commands = {
                "one process": [*PROGRAM, *words, *one],
                "one rank": [*TORCHRUN, "1", "-m", "ml2021", *words, *one],
                "two ranks": [*TORCHRUN, "2", "-m", "ml2021", *words],
            }
            blocks = {
                name: partial(run_command, command, folder, ROOT)
                for name, command in commands.items()
            }
            found = alternate(blocks, rounds, warm_up=False)
            taken.append({name: [each.seconds for each in found[name]] for name in commands})
    return taken[0], taken[1]


def main() -> None:
    """Measure both, print the tables, and write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank:
        rank(given.rounds)
    costs = of_update(given.rounds)
    sweep, folds = of_commands(given.rounds, given.epochs)
    t1, t2, summing = (
        median(getattr(each, name) for each in costs) for name in ("alone", "shared", "summing")
    )
    gain = median(each.alone / each.shared for each in costs)
    best = median(each.alone / (each.alone / 2 + each.summing) for each in costs)
    rows = [[f"{t1 * 1e3:.1f}", f"{t2 * 1e3:.1f}", f"{summing * 1e3:.2f}", f"{gain:.2f}"]]
    rows[0] += [f"{best:.2f}", f"{gain / best:.2f} (asked: {UPDATE})"]
    header = ["one rank, ms", "two, ms", "the sum, ms", "gain", "t1 / (t1/2 + sum)", "of that"]
    lines = ["# Ranks", "", *describe_machine(["torch"]), ""]
    lines += ["An update at W3, ranks of one thread:", "", *markdown_table(header, rows), ""]
    lines += [f"Whole commands at W1, {given.epochs} epochs, and how many times as fast:", ""]
    header = ["", *(f"{name}, s" for name in sweep), "of one rank", "of one process"]
    rows = []
    for name, took in (("64 runs of a sweep", sweep), ("ten folds", folds)):
        gains = [median_ratio(took[one], took["two ranks"]) for one in ("one rank", "one process")]
        asked = f" (asked: {SWEEP})" if took is sweep else ""
        rows.append([name, *(f"{median(each):.1f}" for each in took.values())])
        rows[-1] += [f"{gains[0]:.2f}{asked}", f"{gains[1]:.2f}"]
    lines += markdown_table(header, rows)
    text = "\n".join(lines)
    print(text)
    if given.output is not None:
        given.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
