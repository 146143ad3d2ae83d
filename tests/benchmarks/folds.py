"""What folds and members cost against one run: in turn, in one process, at W1.

    python tests/benchmarks/folds.py [--rounds 5] [--epochs 60] [--output FILE]

Ten folds are trained with their final model, ten members with their ensemble's scores; neither
stops early, so that all do the work that they are named for. Prints the table and writes it as
Markdown.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.config.loading import load_config_text
from ml2021.console import Console
from ml2021.data.load import TrainingData, load_training_data
from ml2021.runs.directory import create_run
from ml2021.training.cross_validation import cross_validate
from ml2021.training.final_model import train_and_score
from ml2021.training.trainer import build_trainer, open_metrics
from tests.benchmarks.measure import (
    alternate,
    describe_machine,
    markdown_table,
    median_ratio,
    timed,
    verdict_table,
)
from tests.benchmarks.workloads import LR, WORKLOADS, make_rows, write_csv

ONE, FOLDS, MEMBERS = "one run", "10 folds and the final model", "10 members"
SPLITS = {ONE: "{test: 0.0}", FOLDS: "{method: kfold, folds: 10}", MEMBERS: "{test: 0.0}"}
LIMIT = 6.0


def load(table: Path, name: str, epochs: int) -> TrainingData:
    """Return the problem of W1 with the split, and the members, of that name."""
    workload = WORKLOADS["W1"]
    text = f"""
data: {{path: {table}, target: y, split: {SPLITS[name]}}}
model: {{type: relu_stack, widths: {list(workload.widths)}}}
optimizer: {{type: adam, lr: {LR}}}
train:
  epochs: {epochs}
  batch_size: {workload.batch_size}
  early_stopping: null
  members: {10 if name == MEMBERS else 1}
device: cpu
"""
    loaded = load_config_text(text, "folds.py")
    return load_training_data(loaded)


def train(data: TrainingData, folder: Path) -> None:
    """Train as the command does, from the table in memory to the scores."""
    quiet = Console(quiet=True)
    trainer = build_trainer(data, "model", last=None, threads=None)
    with TemporaryDirectory(dir=folder) as place:
        run = create_run(Path(place), "run")
        with closing(open_metrics(trainer, run)) as metrics:
            if data.folds is not None:
                cross_validate(trainer, run, quiet)
            train_and_score(trainer, run, metrics, quiet)


def measure(epochs: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        table = folder / "w1.csv"
        write_csv(table, make_rows(WORKLOADS["W1"], WORKLOADS["W1"].rows))
        blocks: dict[str, Callable[[], float]] = {}
        for name in SPLITS:
            work = partial(train, load(table, name, epochs), folder)
            blocks[name] = partial(timed, work, lambda: None)
        return alternate(blocks, rounds)


def main() -> None:
    """Measure, print the report and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--epochs", type=int, default=60, help="epochs of each network")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    took = measure(arguments.epochs, arguments.rounds)
    rows = [
        (
            name,
            f"{median(seconds):.2f}",
            f"{min(seconds):.2f} to {max(seconds):.2f}",
            f"{median_ratio(seconds, took[ONE]):.2f}",
        )
        for name, seconds in took.items()
    ]
    ratio = median_ratio(took[FOLDS], took[ONE])
    lines = [
        "# Folds and ensemble members compared with one run",
        "",
        *describe_machine(("torch", "numpy")),
        f"- W1: {WORKLOADS['W1'].describe()}; {arguments.epochs} epochs; {arguments.rounds} rounds",
        "",
        *markdown_table(("what", "seconds", "range", "of one run"), rows),
        "",
        *verdict_table([(f"{FOLDS} / {ONE}", ratio, LIMIT)]),
    ]
    print(*lines, sep="\n")
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
