"""What a sweep knows of each of its runs, and the table `sweep.csv` of them.

A result is what a worker reports when a run has ended; it is kept as a line of JSON. What is not
known yet has the status `missing`.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ml2021.config.schema import Config
from ml2021.config.yaml_scalars import dump_value
from ml2021.evaluation.comparison import RunResult
from ml2021.evaluation.metrics import selection_metric

if TYPE_CHECKING:
    from ml2021.evaluation.metrics import Scores

PARTS = ("train", "validation", "test")

Status = Literal["done", "diverged", "failed", "missing"]


@dataclass(frozen=True)
class Result:
    """How a run ended. All but the number and the status is empty where it has no model.

    config: with every default. scores, rows, truths: for each part that has rows, the scores of
    the best parameters, the number of rows, and the digest of their true answers. baselines: the
    trivial answers' scores. lines, exit_code: what went wrong.
    """

    run: int
    status: Status
    task: str | None = None
    config: Mapping[str, Any] | None = None
    data_sha256: str | None = None
    parameters: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    scores: Mapping[str, "Scores"] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    truths: Mapping[str, str] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, "Scores"]] = field(default_factory=dict)
    lines: Sequence[str] = ()
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**vars(self)}


def read_results(text: str) -> dict[int, Result]:
    """Return the results of a file of JSON lines, by run; a last line cut short does not count.

    Raises ValueError, KeyError or TypeError where the text holds something else.
    """
    lines = text.split("\n")[:-1]
    results = [Result(**json.loads(line)) for line in lines]
    return {result.run: result for result in results}


def write_line(result: Result) -> str:
    """Return a result as its line."""
    return json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False) + "\n"


def losses_of(configs: Iterable[Config]) -> list[str]:
    """Return the names of the losses that the runs minimise, each once."""
    return sorted({config.loss.type for config in configs if config.loss is not None})


def validation_value(result: Result, losses: Sequence[str]) -> float | None:
    """Return the selecting score on the validation rows, None where there is none."""
    score = selection_metric(result.task, losses)
    return result.scores.get("validation", {}).get(score)


def choose_best(results: Iterable[Result], losses: Sequence[str]) -> Result | None:
    """Return the run that is best on its validation rows, the first of equals.

    None where no run has such rows, or where the runs do not answer one question.
    """
    done = [result for result in results if result.status == "done"]
    if not answer_one_question(done):
        return None
    values = [(validation_value(result, losses), result) for result in done]
    known = [(value, result.run, result) for value, result in values if value is not None]
    return min(known, key=lambda item: item[:2])[2] if known else None


def answer_one_question(results: Iterable[Result]) -> bool:
    """Whether runs that have ended well have one task and one target: else none beats another."""
    questions = {(each.task, json.dumps((each.config or {})["data"]["target"])) for each in results}
    return len(questions) == 1


def table(
    settings: Sequence[Mapping[str, Any]],
    configs: Sequence[Config],
    results: Mapping[int, Result],
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of sweep.csv, a row for each run in the order of the sweep.

    settings and configs are those of run 1, 2, ...
    """
    keys = list(dict.fromkeys(key for one in settings for key in one))
    columns = _score_columns(results.values())
    header = ["run", *keys, "status", "parameters", "epochs", "best_epoch"]
    header += [f"{part}_{score}" for part, score in columns]
    rows = []
    for number, (own, config) in enumerate(zip(settings, configs, strict=True), start=1):
        result = results.get(number, Result(number, "missing"))
        row = [str(number), *(setting_text(key, own, config) for key in keys), result.status]
        row += [_cell(v) for v in (result.parameters, result.epochs, result.best_epoch)]
        row += [_cell(result.scores.get(part, {}).get(score)) for part, score in columns]
        rows.append(row)
    return header, rows


def run_result_of(result: Result, name: str, settings: Mapping[str, str]) -> RunResult:
    """Return a run that is done, to be held against others by these settings."""
    assert result.task is not None
    assert result.parameters is not None
    assert result.best_epoch is not None
    return RunResult(
        name=name,
        config=Config.model_validate(result.config),
        settings=settings,
        task=result.task,
        parameters=result.parameters,
        best_epoch=result.best_epoch,
        scores=result.scores,
        rows=result.rows,
        truths=result.truths,
        baselines=result.baselines,
    )


def to_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def setting_text(key: str, settings: Mapping[str, Any], config: Config) -> str:
    """Return the value of a key in a run as it would stand in a config; "" where it has none."""
    value = setting_value(key, settings, config)
    return "" if value is None and key not in settings else dump_value(value)


def setting_value(key: str, settings: Mapping[str, Any], config: Config) -> Any:
    """Return the value of a key in a run, set or not, as plain values; None where it has none."""
    if key in settings:
        return settings[key]
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part, None)
    return value.model_dump() if hasattr(value, "model_dump") else value


def _score_columns(results: Iterable[Result]) -> list[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {part: {} for part in PARTS}
    for result in results:
        for part, scores in result.scores.items():
            found[part] |= dict.fromkeys(scores)
    return [(part, score) for part in PARTS for score in found[part]]


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)
