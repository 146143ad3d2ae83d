"""What a run records of itself: environment.json when it begins, summary.json when it has ended."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ml2021.config.schema import Config, Task
from ml2021.data.preprocessing.records import Preprocessing, Record
from ml2021.errors import CheckpointError
from ml2021.evaluation.comparison import RunResult
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import (
    ALONE,
    SPLITS,
    Evaluation,
    SplitScores,
    mean_scores,
    standard_errors,
)
from ml2021.evaluation.verdict import Judgement
from ml2021.files import FORMAT_VERSION, is_there
from ml2021.runs.content import read_record, write_json
from ml2021.runs.directory import RunDirectory

MOST_THREADS = 1024
"""A run that claims more was not written by ml2021."""
Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Environment(Record):
    """What the result depends on beside config and data.

    device: the model of the GPU, or cpu. threads: of the CPU. ranks: processes that shared the
    updates. data, test: the absolute paths of the training file and of data.test_path, as the
    config names them. data_sha256, test_sha256: of those files. parts, test_parts: where a table
    has several files, these with their SHA-256. init_sha256: of the checkpoint whose parameters
    training began with.
    """

    format_version: Literal[5] = FORMAT_VERSION
    ml2021: str
    python: str
    torch: str
    numpy: str
    platform: str
    command: tuple[str, ...]
    seed: int
    device: str
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)]
    ranks: Annotated[int, Field(ge=1)] = 1
    data: str | list[str]
    test: str | list[str] | None = None
    data_sha256: str
    test_sha256: str | None = None
    parts: dict[str, str] = Field(default_factory=dict)
    test_parts: dict[str, str] = Field(default_factory=dict)
    init_sha256: str | None = None


class EnsembleMember(Record):
    """One of several networks. diverged_at_update: None for one that did not diverge."""

    seed: int
    best_epoch: Count
    diverged_at_update: Count | None = None


class IntervalLevel(Record):
    """A level, half the width of its intervals by target, and the share of test values inside.

    The widths are in the units of the data. coverage: None without test rows.
    """

    level: Annotated[float, Field(gt=0, lt=1)]
    half_width: dict[str, NotNegative]
    coverage: Annotated[float, Field(ge=0, le=1)] | None = None


class Intervals(Record):
    """What `ml2021.evaluation.intervals` found on so many rows of validation, or of the folds."""

    calibrated_on: Literal["validation", "folds"]
    rows: Count
    levels: tuple[IntervalLevel, ...]


class Threshold(Record):
    """The threshold of two classes that was best on rows that training had not seen.

    positive: the label of the positive class, whose probability it is. test, test_at_half: the
    scores of the test rows at it and at 0.5; None without test rows.
    """

    positive: str
    threshold: Annotated[float, Field(ge=0, le=1)]
    chosen_on: Literal["validation", "folds"]
    rows: Count
    test: Scores | None = None
    test_at_half: Scores | None = None


class MeanScores(Record):
    """The means over folds of the scores of a member alone, and their standard errors."""

    scores: Scores
    standard_errors: Scores


class FoldScores(Record):
    """What a cross-validation came to.

    best_epochs: for each fold those of its ensemble members. scores, baselines: the means over the
    folds. members: those of an ensemble member alone. pooled: all held-out rows scored together.
    """

    folds: Annotated[int, Field(ge=2)]
    rows: Count
    best_epochs: tuple[tuple[Count, ...], ...]
    final_epochs: Annotated[int, Field(ge=1)]
    seconds: NotNegative
    scores: Scores
    standard_errors: Scores
    baselines: dict[str, Scores]
    baseline_standard_errors: dict[str, Scores]
    pooled: Evaluation
    members: MeanScores | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.baselines.keys() != self.baseline_standard_errors.keys():
            raise ValueError("means and standard errors of different baselines")
        means, errors = self.tables()
        if {(*scores,) for scores in (*means.values(), *errors.values())} != {(*self.scores,)}:
            raise ValueError("scores of different metrics")
        return self

    @classmethod
    def of(
        cls,
        evaluations: list[Evaluation],
        pooled: Evaluation,
        best_epochs: tuple[tuple[int, ...], ...],
        final_epochs: int,
        seconds: float,
    ) -> Self:
        """Return the means over the folds, each scored by its `evaluations`."""
        tables = [evaluation.table() for evaluation in evaluations]
        by_name = {name: [table[name] for table in tables] for name in tables[0]}
        means = {name: mean_scores(scores) for name, scores in by_name.items()}
        errors = {name: standard_errors(scores) for name, scores in by_name.items()}
        members = None
        if ALONE in means:
            members = MeanScores(scores=means.pop(ALONE), standard_errors=errors.pop(ALONE))
        return cls(
            folds=len(evaluations),
            rows=pooled.rows,
            best_epochs=best_epochs,
            final_epochs=final_epochs,
            seconds=round(seconds, 3),
            scores=means.pop("network"),
            standard_errors=errors.pop("network"),
            baselines=means,
            baseline_standard_errors=errors,
            pooled=pooled,
            members=members,
        )

    def tables(self) -> tuple[dict[str, Scores], dict[str, Scores]]:
        """Return the means and the standard errors by name, those of the network first."""
        means, errors = {"network": self.scores}, {"network": self.standard_errors}
        if self.members is not None:
            means[ALONE], errors[ALONE] = self.members.scores, self.members.standard_errors
        return means | self.baselines, errors | self.baseline_standard_errors

    def evaluation(self) -> Evaluation:
        """Return the means over the folds; the scores by target are of all held-out rows.

        The verdict, by all held-out rows too, shows the same means as the table of scores.
        """
        verdict = self.pooled.verdict
        if verdict is not None:
            judged = (self._with_means(each) for each in verdict.others)
            decides = self._with_means(verdict.decides)
            verdict = verdict.model_copy(update={"decides": decides, "others": tuple(judged)})
        means = {"scores": self.scores, "baselines": self.baselines, "members": ()}
        return self.pooled.model_copy(update={**means, "verdict": verdict})

    def _with_means(self, judged: Judgement) -> Judgement:
        """Return a judgement with the means over the folds as its scores, if both have one."""
        network = self.scores.get(judged.metric)
        best = self.baselines[judged.baseline].get(judged.metric)
        if network is None or best is None:
            return judged
        return judged.model_copy(update={"network": network, "best": best})


class PiecewiseFacts(Record):
    """What `ml2021 piecewise` says of the curve that it built a network from.

    range, rms_difference, ...: in the units of the data. rms_difference_of_even_pieces: None where
    the network is exact.
    """

    points: Count
    pieces: Count
    hard_sigmoids: Count
    range: NotNegative
    rms_difference: NotNegative
    rms_difference_of_even_pieces: NotNegative | None = None
    largest_rounding_of_float32: NotNegative


class SplitSizes(Record):
    """How rows were divided, and how many each split has."""

    method: str
    train: Count
    validation: Count
    test: Count


class RunSummary(Record):
    """What a run came to: summary.json, written when training has ended.

    left_out: rows that were left out, by reason. best_epoch: of several members the latest.
    seconds, rows_per_second: of the last session. scores: by split. classes: their labels. members:
    of an ensemble. interval: None for classes and where no rows calibrate intervals. threshold: of
    two classes. final_epochs: of the final model, if it was trained again with the validation rows.
    temperature: what its outputs were divided by. piecewise: of a network that was not trained.
    notes: on the data and the baselines, as printed before training.
    """

    format_version: Literal[5] = FORMAT_VERSION
    task: Task
    parameters: Count
    split: SplitSizes
    left_out: dict[str, int]
    epochs: Count
    stopped_early: bool
    best_epoch: Count
    seconds: NotNegative
    rows_per_second: Count | None
    scores: dict[str, Evaluation]
    classes: tuple[str, ...] | None = None
    members: tuple[EnsembleMember, ...] = ()
    interval: Intervals | None = None
    threshold: Threshold | None = None
    final_epochs: Count | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    cross_validation: FoldScores | None = None
    piecewise: PiecewiseFacts | None = None
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.scores or not self.scores.keys() <= set(SPLITS) - {"held-out"}:
            raise ValueError("scores of no split, or of an unknown one")
        is_class = self.task == "classification"
        if is_class != (self.classes is not None):
            raise ValueError("classes without a classification, or none with one")
        for evaluation in self.evaluations.values():
            if is_class != ("accuracy" in evaluation.scores):
                raise ValueError("scores that are not those of the task")
            if (evaluation.confusion is not None) != is_class:
                raise ValueError("a confusion matrix without classes, or none with them")
        return self

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The scores by split; those of the rows that folds have held out are means over folds."""
        found = dict(self.scores)
        if self.cross_validation is not None:
            found["held-out"] = self.cross_validation.evaluation()
        return found

    @property
    def best_epochs(self) -> tuple[int, ...]:
        """The best epoch of each ensemble member that predicts; empty for a single network."""
        fine = [member for member in self.members if member.diverged_at_update is None]
        return tuple(member.best_epoch for member in fine or self.members)

    def result(self, config: Config) -> RunResult:
        """Return what is compared with other runs."""
        splits = {
            name: SplitScores(**{key: getattr(each, key) for key in SplitScores.model_fields})
            for name, each in self.evaluations.items()
        }
        own = self.model_dump(include={"task", "parameters", "epochs", "best_epoch"})
        return RunResult(config=config, splits=splits, **own)

    def fits(self, preprocessing: Preprocessing) -> bool:
        """Whether the scores and intervals are those of the targets of a model."""
        target = preprocessing.target
        if self.task != preprocessing.task or self.classes not in (None, target.labels):
            return False
        labels = [*target.labels]
        named = [list(each.targets) for each in self.evaluations.values()]
        named += [list(level.half_width) for level in self.interval.levels] if self.interval else []
        counted = [each.confusion for each in self.evaluations.values()]
        sizes = [len(labels if each is None else each.rows) for each in counted]
        return all(names == labels for names in named) and set(sizes) <= {len(labels)}


def write_record(path: Path, record: Environment | RunSummary) -> None:
    """Replace the file whole; what is None by default is left out."""
    plain = record.model_dump(mode="json", exclude_defaults=True)
    write_json(path, {"format_version": FORMAT_VERSION, **plain})


def read_environment(run: RunDirectory) -> Environment:
    """Read environment.json. Raises CheckpointError if it is missing, damaged or outdated."""
    return read_record(run.environment, Environment)


def is_saved_model(run: RunDirectory) -> bool:
    """Whether `ml2021.Model.save` wrote it: a model, but nothing of how it was trained."""
    history = (run.config, run.environment, run.metrics)
    return is_there(run.best) and not any(map(is_there, history))


def refuse_saved_model(run: RunDirectory, lacks: str, remedy: str) -> None:
    """Raise CheckpointError for what `is_saved_model`, where a command needs more."""
    if is_saved_model(run):
        raise CheckpointError(f"{run.path}: a model saved from Python, without {lacks}; {remedy}")


def read_summary(run: RunDirectory) -> RunSummary:
    """Read summary.json. Raises as `read_environment` does."""
    return read_record(run.summary, RunSummary)


def read_summary_if_ended(run: RunDirectory) -> RunSummary | None:
    """Read summary.json; None where the run was stopped before its end."""
    return read_summary(run) if is_there(run.summary) else None
