"""The command `evaluate`: the scores of a run, beside those of the baselines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import LoadedConfig, load_saved_config
from ml2021.config.schema import FRAME, FractionSplit, KFoldSplit, each_path
from ml2021.data.csv.scan import TableFormat
from ml2021.data.new_table import read_new_table
from ml2021.data.parts import find_parts
from ml2021.data.placement import place_rows
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.data.preprocessing.transform import shown_counts, value_counts
from ml2021.data.samples import Samples
from ml2021.data.table_source import FileSource
from ml2021.errors import CheckpointError, ConfigError, DataError, Ml2021Error
from ml2021.evaluation.scoring import SPLITS, Evaluation, truth_digest
from ml2021.files import is_there
from ml2021.formatting import echo, plural, score_table
from ml2021.runs.directory import RunDirectory, chosen_run, open_run, refuse_run
from ml2021.runs.summary import (
    FoldScores,
    read_environment,
    read_summary_if_ended,
    refuse_saved_model,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ml2021.runs.model import TrainedModel

_SHOWN_TARGETS = 20
_MOST_BYTES = 64 << 20  # of a training file that is read to compare its rows


@dataclass(frozen=True)
class ScoredRows:
    """What was scored, and how. `split` is one of the run's own, or the path of the CSV.

    folds: the scores of a run with folds; where nothing but the folds was held out, `split` is
    folds, and the evaluation has the means of their scores. are_seen: whether rows that were not
    held out are among those of a CSV.
    """

    run: Path
    split: str
    task: str
    evaluation: Evaluation
    notes: tuple[str, ...]
    folds: FoldScores | None
    are_seen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the one JSON object that `--json` prints."""
        evaluation, verdict = self.evaluation, self.evaluation.verdict
        found: dict[str, Any] = {
            "run": str(self.run),
            "split": self.split,
            "rows": evaluation.rows,
            "task": self.task,
            "scores": evaluation.scores,
            "targets": evaluation.targets,
            "baselines": evaluation.baselines,
            "verdict": verdict and verdict.model_dump(mode="json", exclude_defaults=True),
        }
        if evaluation.members:
            found["members"] = list(evaluation.members)
        if self.are_seen:
            found["training_rows"] = True
        if self.folds is not None:
            found["cross_validation"] = self.folds.model_dump(mode="json", exclude_defaults=True)
        return found

    def lines(self) -> list[str]:
        """Return the tables for people."""
        lines: list[str] = []
        if self.folds is not None:
            title = f"{self.folds.rows:,} rows, each held out once"
            lines += score_table(title, *self.folds.tables())
            lines += [f"mean ± standard error over {self.folds.folds} folds"]
        if self.split != "folds":
            title = f"{plural(self.evaluation.rows, 'row')}, {echo(self.split)}"
            lines += [*([""] if lines else []), *score_table(title, self.evaluation.table())]
        targets = self.evaluation.targets
        if len(targets) > 1:
            shown = dict(list(targets.items())[:_SHOWN_TARGETS])
            kind = "target" if self.evaluation.confusion is None else "class"
            lines += ["", *score_table(f"network, by {kind}", shown, keep_names=True)]
            if more := len(targets) - len(shown):
                lines.append(f"and {more:,} more; --json lists them all")
        split = {"folds": "held-out"}.get(self.split, self.split if self.split in SPLITS else "")
        lines += ["", self.evaluation.verdict_words(split)]
        if self.are_seen:
            lines.append("Training rows are among these, so this says less about new rows.")
        return lines


def evaluate(csvs: Sequence[Path], run_path: Path | None, overrides: Sequence[str]) -> ScoredRows:
    """Score a run's best parameters on a CSV, or on the run's own test or validation rows.

    csvs: none, one, or the parts of one table. overrides: how they are written, where they differ
    from the training file.
    """
    if not csvs and overrides:
        raise ConfigError("--set: says how a CSV is written; name the CSV to score")
    for csv in csvs:
        refuse_run(csv)
    run = open_run(run_path)

    from ml2021.evaluation.ensembles import evaluate_members
    from ml2021.runs.model import load_model, reload_training_data
    from ml2021.training.memory import check_scores

    model = load_model(run.best)
    table_format = model.table_format(overrides)
    task = model.preprocessing.task
    notes: list[str] = []
    seen: list[str] = []
    unseen_classes = ""
    folds = None
    if not csvs and isinstance(model.config.data.split, KFoldSplit):
        folds = _folds_of(run)
        if model.test_sha256 is None:  # nothing but the folds was held out
            return ScoredRows(run.path, "folds", task, folds.evaluation(), (), folds)
    with chosen_run(run, run_path):
        if not csvs:
            split, samples = reload_training_data(run, model, "name a CSV to score").scored_split
            model = model.of_split(split)
        else:
            split, samples, notes, unseen_classes, seen = _rows_of(csvs, run, model, table_format)
        check_scores(model.preprocessing, len(samples), len(model.theta), echo(split))
        evaluation, _ = evaluate_members(
            model.member_predictions, model.config, model.preprocessing, model.baselines, samples
        )
    notes += [*seen, *samples.notes]
    if evaluation.confusion is not None and (unseen := int((samples.classes < 0).sum())):
        examples = f" ({unseen_classes})" if unseen_classes else ""
        notes.append(
            f"rows of a class never seen in training, counted as wrong: {unseen:,}{examples}"
        )
    return ScoredRows(run.path, split, task, evaluation, tuple(notes), folds, bool(seen))


def _folds_of(run: RunDirectory) -> FoldScores:
    """Return the scores of the folds. Raises CheckpointError where the run has none yet."""
    summary = read_summary_if_ended(run)
    if summary is None:
        refuse_saved_model(run, "scores", "name a CSV to score")
        raise CheckpointError(
            f"{run.path}: not finished; resume it with: ml2021 train --resume {run.path}"
        )
    if summary.cross_validation is None:
        raise CheckpointError(f"{run.summary}: damaged, it has no folds; train the run again")
    return summary.cross_validation


def _rows_of(
    csvs: Sequence[Path], run: RunDirectory, model: "TrainedModel", table_format: TableFormat
) -> tuple[str, Samples, list[str], str, list[str]]:
    """Return the rows of another file that can be scored, notes, and examples of new classes.

    The last are notes on rows that were not held out.
    """
    table = find_parts(csvs)
    section = model.config.data.model_copy(update={"split": FractionSplit()})  # of these rows
    columns = len(model.preprocessing.sources)
    source = FileSource(table, table_format)
    placed = place_rows(section, source, columns, run.path)
    matched = read_new_table(model.preprocessing, table, table_format, "scored")
    rows = matched.table.scorable_rows()
    if not len(rows):
        needed = matched.table.needed_to_score
        raise DataError(f"{table}: every row lacks its {needed}; add rows to score")
    notes = [*placed, *matched.columns.notes()]
    if unscored := len(matched.table.frame) - len(rows):
        needed = matched.table.needed_to_score
        notes.append(f"rows without a {needed}, left out: {unscored}")
    samples, target = matched.table.samples(rows), model.preprocessing.target
    unseen_classes = ""
    if isinstance(target, ClassTarget):
        labels = matched.table.frame[target.name].iloc[rows]
        unseen_classes = shown_counts(value_counts(labels[samples.classes < 0]))
    seen: list[str] = []
    if matched.sha256 == model.data_sha256:
        seen = [_note_on_training_file(run, model, len(matched.table.frame))]
    elif matched.sha256 != model.test_sha256:
        seen = _notes_on_training_rows(run, model, samples, source)
    return str(table), samples, notes, unseen_classes, seen


def _note_on_training_file(run: RunDirectory, model: "TrainedModel", rows: int) -> str:
    """Say how many rows of the training file were held out, where that is known."""
    note = "this is the training file"
    if isinstance(model.config.data.split, KFoldSplit):
        return f"{note}, and all its rows were trained on; score the folds by naming no CSV"
    summary = read_summary_if_ended(run)
    if summary is None or model.test_sha256 is not None:
        return f"{note}, so these scores are too good for new rows"
    held_out = summary.split.test
    if not held_out:
        return f"{note}, and none of its {rows:,} rows were held out for testing"
    return (
        f"{note}; only {held_out:,} of its {rows:,} rows were held out; to score those alone, "
        "name no CSV"
    )


def _notes_on_training_rows(
    run: RunDirectory, model: "TrainedModel", samples: Samples, source: FileSource
) -> list[str]:
    """Say how many rows are those of the training file that were not held out, if it is at hand.

    Of a DataFrame only a file of all of it is recognised. In tables of few distinct rows, new ones
    are the same by chance, as the run's test rows show.
    """
    import numpy as np

    from ml2021.runs.model import reload_training_data

    loaded = load_saved_config(run.resolved_config)
    if loaded.config.data.path == FRAME:
        return _notes_on_frame(run, model, loaded, source)
    if not is_there(run.environment):  # of a model saved from Python
        return []
    recorded = read_environment(run)
    files = [Path(path) for path in recorded.parts or each_path(recorded.data)]
    if not all(file.is_file() for file in files):
        return []
    if sum(file.stat().st_size for file in files) > _MOST_BYTES:
        return []
    try:
        data = reload_training_data(run, model)
    except Ml2021Error:  # the file has changed since
        return []
    used = [_row_hashes(part) for part in (data.train, data.validation) if len(part)]
    seen = np.concatenate(used)
    found = int(np.isin(_row_hashes(samples), seen).sum())
    by_chance = np.isin(_row_hashes(data.test), seen).mean() if len(data.test) else 0.0
    if found <= 2 * by_chance * len(samples):
        return []
    return [
        f"rows of the training file that were not held out: {found:,} of {len(samples):,}; "
        "the scores say less about new rows"
    ]


def _notes_on_frame(
    run: RunDirectory, model: "TrainedModel", loaded: LoadedConfig, source: FileSource
) -> list[str]:
    """Say whether a file holds the DataFrame that was trained on, by the answers of a split."""
    from ml2021.data.load import load_training_data

    summary = read_summary_if_ended(run)
    if summary is None or source.size() > _MOST_BYTES:
        return []
    try:
        data = load_training_data(loaded, model.preprocessing, source=source, beside=run.path)
    except Ml2021Error:  # another table
        return []
    split, samples = data.scored_split
    truth = truth_digest(model.preprocessing.target.labels, samples.targets, samples.weights)
    if split not in summary.scores or truth != summary.scores[split].truth_sha256:
        return []
    used = sum(map(len, data.splits.values()))
    held_out = f"only {len(data.test):,}" if len(data.test) else "none"
    return [f"this is the table that was trained on; {held_out} of its {used:,} rows were held out"]


def _row_hashes(samples: Samples) -> "NDArray[np.uint64]":
    """Return a hash (S,) of the inputs and targets of each row."""
    import numpy as np
    import pandas as pd

    columns = np.column_stack([samples.inputs, samples.targets])
    hashes = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False)
    return np.asarray(hashes, np.uint64)
