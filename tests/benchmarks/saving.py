"""What saving costs at the default `train.save_seconds`, and what a kill can cost: real runs.

    python tests/benchmarks/saving.py [W1 W3 ...] [--seconds 70] [--output FILE]

Each workload is trained for about so long as the command does it, scores and progress included, and
every save is timed: how long it took, and how long after the one before it began. Prints the table
and writes it as Markdown.
"""

import argparse
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ml2021.config.loading import load_config_text
from ml2021.console import Console
from ml2021.data.load import load_training_data
from ml2021.runs.directory import create_run
from ml2021.training import trainer as sessions
from ml2021.training.final_model import train_and_score
from ml2021.training.loop import Saver
from ml2021.training.trainer import build_trainer, open_metrics
from tests.benchmarks.measure import describe_machine, markdown_table, verdict_table
from tests.benchmarks.workloads import LR, WORKLOADS, Workload, make_rows, write_csv

ALL = {
    "W1": WORKLOADS["W1"],
    "W3": Workload("W3", 40_000, 28, (256, 256, 256), 4096, None, 1, 1, 12),
    "large": Workload("large", 4_000, 784, (1000, 1000), 128, None, 1, 1, 100),
}
CALIBRATING_SECONDS = 2.0


@dataclass
class Saves:
    """When saves began, as seconds since training did, and how long each took; what was written."""

    begun: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    parameters: int = 0
    size_bytes: int = 0
    interval_seconds: float = 0.0
    training_seconds: float = 0.0

    @property
    def share(self) -> float:
        """The part of the training time that saving took."""
        return sum(self.took) / self.training_seconds

    @property
    def longest_gap(self) -> float:
        """The most that a kill could have cost: from a save's beginning to the next one's end."""
        ends = [begun + took for begun, took in zip(self.begun, self.took, strict=True)]
        return max(end - begun for begun, end in zip([0.0, *self.begun], ends, strict=False))


def train(workload: Workload, seconds: float, folder: Path) -> Saves:
    """Train for about so long."""
    table = folder / f"{workload.name}.csv"
    write_csv(table, make_rows(workload, workload.rows))
    epochs, took = 1, 0.0
    while took < CALIBRATING_SECONDS:
        epochs *= 4
        took = _train(workload, table, folder / f"{epochs}", epochs).training_seconds
    return _train(workload, table, folder / "run", max(1, round(epochs * seconds / took)))


def _train(workload: Workload, table: Path, place: Path, epochs: int) -> Saves:
    text = f"""
data: {{path: {table}, target: y}}
model: {{type: relu_stack, widths: {list(workload.widths)}}}
optimizer: {{type: adam, lr: {LR}}}
train: {{epochs: {epochs}, batch_size: {workload.batch_size}, early_stopping: null}}
device: cpu
"""
    loaded = load_config_text(text, "saving.py")
    session = build_trainer(load_training_data(loaded), "model", None, None)
    run, saves = create_run(place, "run"), Saves()
    saves.parameters = session.network.layout.parameters
    saves.interval_seconds = loaded.config.train.save_seconds
    begun = time.perf_counter()

    class TimedSaver(Saver):
        def save(self) -> None:
            now = time.perf_counter()
            super().save()
            saves.begun.append(now - begun)
            saves.took.append(time.perf_counter() - now)

    with (
        patch.object(sessions, "Saver", TimedSaver),
        closing(open_metrics(session, run)) as metrics,
    ):
        train_and_score(session, run, metrics, Console(quiet=True))
    saves.training_seconds = time.perf_counter() - begun
    saves.size_bytes = run.best.stat().st_size + run.last.stat().st_size
    return saves


def main() -> None:
    """Measure, print the report and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=list(ALL), help=", ".join(ALL))
    parser.add_argument("--seconds", type=float, default=70.0, help="of training, of each")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    with TemporaryDirectory() as place:
        found = {}
        for name in arguments.names:
            (folder := Path(place) / name).mkdir()
            found[name] = train(ALL[name], arguments.seconds, folder)
    rows = [
        (
            f"{name}, {saves.parameters:,} parameters",
            f"{saves.size_bytes / 1e6:.2f}",
            f"{saves.training_seconds:.0f}",
            f"{len(saves.took)}",
            f"{1000 * median(saves.took):.1f}",
            f"{100 * saves.share:.2f} %",
            f"{saves.longest_gap:.1f}",
        )
        for name, saves in found.items()
    ]
    header = ("run", "MB", "seconds", "saves", "ms a save", "of the time", "a kill costs, s")
    limit = max(saves.interval_seconds for saves in found.values())
    # A save is due when the interval has passed: a kill also costs the update and the save then.
    verdicts = [
        ("of the training time, in %", 100 * max(s.share for s in found.values()), 2.0),
        ("seconds that a kill can cost", max(s.longest_gap for s in found.values()), limit + 1),
    ]
    lines = [
        "# The cost of saving",
        "",
        *describe_machine(("torch", "numpy")),
        f"- save_seconds {limit:g}, the default; including the last save, at the end of training",
        "",
        *markdown_table(header, rows),
        "",
        *verdict_table(verdicts),
    ]
    print(*lines, sep="\n")
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
