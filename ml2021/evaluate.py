"""The command `evaluate`: the scores of a run, beside those of the trivial answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.data.samples import Samples, read_matching
from ml2021.errors import DataError
from ml2021.runs.directory import chosen_run, open_run
from ml2021.scoring import Report, full_report

if TYPE_CHECKING:
    from ml2021.model import Model


@dataclass(frozen=True)
class Evaluation:
    """What was scored, and how. `split` is a part of the run's own rows, or the CSV's path."""

    run: Path
    split: str
    task: str
    report: Report
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the one JSON object that `--json` prints."""
        report = self.report
        return {
            "run": str(self.run),
            "split": self.split,
            "rows": report.rows,
            "task": self.task,
            "scores": report.scores,
            "targets": report.targets,
            "baselines": report.baselines,
        }


def evaluate(csv: Path | None, run_path: Path | None) -> Evaluation:
    """Score a run's best parameters on a CSV, or on the run's own test or validation rows."""
    run = open_run(run_path)

    from ml2021.model import load_model, load_own_problem

    model = load_model(run.best)
    notes: list[str] = []
    with chosen_run(run, run_path):
        if csv is None:
            split, samples = load_own_problem(run, model).scored_part
        else:
            split, samples, notes = _rows_of(csv, model)
        predictions = model.predict(samples.inputs)
    report = full_report(model.preprocessing, model.answers, samples, predictions)
    notes += samples.notes
    if report.confusion is not None and (unseen := int((samples.classes < 0).sum())):
        notes.append(f"rows of a class never seen in training, counted as wrong: {unseen}")
    return Evaluation(run.path, split, model.preprocessing.task, report, tuple(notes))


def _rows_of(csv: Path, model: "Model") -> tuple[str, Samples, list[str]]:
    """Return the rows of another file that can be scored, and notes."""
    matched = read_matching(model.preprocessing, csv, model.table_format, "scored")
    rows = matched.table.scorable_rows()
    if not len(rows):
        raise DataError(f"{csv}: every row lacks its target or history; add rows to score")
    notes = matched.notes()
    if unscored := len(matched.table.frame) - len(rows):
        notes.append(f"rows without a target or history, left out: {unscored}")
    return str(csv), matched.table.samples(rows), notes
