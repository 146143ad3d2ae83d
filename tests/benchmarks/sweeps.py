"""What a sweep costs against as many fits one after the other: in turn, in one run, at W1.

    python tests/benchmarks/sweeps.py [--rounds 4] [--epochs 400] [--output FILE]

32 runs, 8 learning rates by 4 seeds, without early stopping, so that all do the same work. Prints
the table and writes it as Markdown.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from joblib import Parallel, delayed

from ml2021.data.load import TrainingData, load_training_data, with_config
from ml2021.sweeps.pack import prepare_tensors, train_pack
from ml2021.sweeps.search_space import load_sweep
from tests.benchmarks.measure import (
    alternate,
    cores,
    describe_machine,
    markdown_table,
    median_ratio,
    run_command,
    timed,
)
from tests.benchmarks.peers import build_dataloader_loop, build_sklearn
from tests.benchmarks.workloads import WORKLOADS, Rows, make_rows, write_csv

ROOT = Path(__file__).resolve().parents[2]
ML2021 = "from ml2021.__main__ import run; run()"
W1 = WORKLOADS["W1"]
RUNS = 32
SWEEP = (
    "{optimizer.lr: [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02], seed: [0, 1, 2, 3]}"
)

COMMAND, START = "ml2021 sweep --no-report", "the same with one epoch"
PACKED = "ml2021, 32 members, one thread"
SKLEARN, SKLEARN_BOTH = "scikit-learn MLPRegressor", "scikit-learn MLPRegressor, joblib"
DATALOADER = "torch autograd + DataLoader"
TARGETS = {SKLEARN: 6.0, DATALOADER: 20.0}
"""How many times faster than these a sweep should be."""

NOTES = """\
- ml2021 sweep: the whole command, from the start of Python to the saved best run: it reads the CSV,
  records every run's loss, and scores it on the validation rows after each epoch and on all rows at
  its end. One worker with one thread per core. With one epoch: the cost of everything but training.
- 32 members: the same training and scores on one core, without start-up and files.
- The peers fit the same training rows, already in memory, for as many epochs, without scores. All
  their fits take equally long, so only some are timed and scaled to 32. torch uses one thread,
  which is no slower than two for products this small. joblib: n_jobs is the number of cores, and
  its processes are already running."""


@dataclass(frozen=True)
class Block:
    """A way to train: `seconds` of so many of the runs."""

    seconds: Callable[[], float]
    runs: int


def write_config(folder: Path, epochs: int) -> Path:
    """Write W1's rows as a CSV, so many more that 80 % are those to train on, and the sweep."""
    csv = folder / "w1.csv"
    write_csv(csv, make_rows(W1, W1.rows * 5 // 4))
    path = folder / "w1.yaml"
    path.write_text(
        f"data: {{path: {csv}, target: y, split: {{validation: 0.1, test: 0.1}}}}\n"
        f"model: {{type: relu_stack, widths: {list(W1.widths)}}}\n"
        f"train: {{epochs: {epochs}, batch_size: {W1.batch_size}, early_stopping: null}}\n"
        f"device: cpu\nsweep: {{grid: {SWEEP}}}\n"
    )
    return path


def load_members(config: Path) -> list[TrainingData]:
    """Return the problem of each run, the rows of all of them being the same."""
    variations = load_sweep(config).variations
    assert len(variations) == RUNS
    data = load_training_data(variations[0].loaded)
    assert len(data.train) == W1.rows, data.split.sizes()
    return [with_config(data, each.loaded) for each in variations]


def train_members(problems: Sequence[TrainingData]) -> None:
    """Train them side by side to the end."""
    from ml2021.sweeps.worker import result_of

    ended = [
        result_of(member.place, member)
        for progress in train_pack(problems, prepare_tensors(problems[0]), 1, 0.5)
        for member in progress.ended
    ]
    assert [result.status for result, _ in ended] == ["done"] * RUNS


def sweep(folder: Path, config: Path, *options: str) -> float:
    """Return the seconds of the command."""
    with TemporaryDirectory(dir=folder) as place:
        arguments = ("--quiet", "--no-report", "--config", str(config), "--run-dir", f"{place}/s")
        command = [sys.executable, "-c", ML2021, "sweep", *arguments, *options]
        return run_command(command, folder, ROOT).seconds


def fit_sklearn(rows: Rows, epochs: int) -> None:
    """Fit once, on the threads of the process."""
    build_sklearn(W1, rows, epochs).work()


def fit_with_joblib(rows: Rows, epochs: int, fits: int) -> None:
    """Fit that often, as GridSearchCV with n_jobs does."""
    Parallel(n_jobs=cores())(delayed(fit_sklearn)(rows, epochs) for _ in range(fits))


def build_blocks(folder: Path, epochs: int) -> dict[str, Block]:
    """Return what is timed."""
    config, rows = write_config(folder, epochs), make_rows(W1, W1.rows)
    problems = load_members(config)
    few = _few(epochs)
    loop = build_dataloader_loop(W1, rows, torch.device("cpu"), few)

    def in_process(work: Callable[[], object]) -> Callable[[], float]:
        return partial(timed, work, lambda: None)

    fits = cores()
    return {
        COMMAND: Block(partial(sweep, folder, config), RUNS),
        START: Block(partial(sweep, folder, config, "--set", "train.epochs=1"), RUNS),
        PACKED: Block(in_process(partial(train_members, problems)), RUNS),
        SKLEARN: Block(in_process(partial(fit_sklearn, rows, epochs)), 1),
        SKLEARN_BOTH: Block(in_process(partial(fit_with_joblib, rows, epochs, fits)), fits),
        DATALOADER: Block(lambda: timed(loop.work, lambda: None) * epochs / few, 1),
    }


def _few(epochs: int) -> int:
    """Return how many epochs of the slowest are timed."""
    return max(1, epochs // 8)


def main() -> None:
    """Measure, print the report and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=4, help="rounds that count")
    parser.add_argument("--epochs", type=int, default=400, help="epochs of each run")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as place:
        blocks = build_blocks(Path(place), arguments.epochs)
        samples = alternate(
            {name: block.seconds for name, block in blocks.items()}, arguments.rounds
        )
    took = {
        name: [seconds * RUNS / blocks[name].runs for seconds in each]
        for name, each in samples.items()
    }
    timed_runs = {name: f"{block.runs}" for name, block in blocks.items()}
    timed_runs[DATALOADER] = f"1, {_few(arguments.epochs)} epochs"
    header = ("32 runs by", "seconds", "range", "x the command", "x one thread", "runs timed")
    rows = [
        (
            name,
            f"{median(seconds):.1f}",
            f"{min(seconds):.1f} to {max(seconds):.1f}",
            f"{median_ratio(seconds, took[COMMAND]):.1f}",
            f"{median_ratio(seconds, took[PACKED]):.1f}",
            timed_runs[name],
        )
        for name, seconds in took.items()
    ]
    verdicts = []
    for peer, least in TARGETS.items():
        faster = median_ratio(took[peer], took[COMMAND])
        verdict = "yes" if faster >= least else "NO"
        verdicts.append((f"{COMMAND}, against {peer}", f"{faster:.1f}", f"{least:.0f}", verdict))
    lines = [
        "# A sweep compared with sequential fits",
        "",
        *describe_machine(("torch", "numpy", "scikit-learn")),
        f"- W1: {W1.describe()}; {arguments.epochs} epochs; {arguments.rounds} rounds after a",
        "  warm-up",
        *NOTES.splitlines(),
        "",
        *markdown_table(header, rows),
        "",
        *markdown_table(("times faster", "measured", "at least", "met"), verdicts),
    ]
    print(*lines, sep="\n")
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
