"""How each run of a sweep ended, and the table `sweep.csv` of them.

A worker reports a result when a run has ended; it is kept as a line of JSON.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from ml2021.config.schema import Config
from ml2021.config.yaml_scalars import dump_value
from ml2021.data.preprocessing.records import Record
from ml2021.evaluation.comparison import RunResult
from ml2021.evaluation.metrics import selection_metric

SPLITS_OF_A_RUN = ("train", "validation", "test")


class Result(Record):
    """How a run ended.

    result: what it scored, without splits where it diverged; None where no model was produced.
    lines, exit_code: what went wrong.
    """

    run: Annotated[int, Field(ge=1)]
    status: Literal["done", "diverged", "failed", "missing"]
    data_sha256: str | None = None
    result: RunResult | None = None
    lines: tuple[str, ...] = ()
    exit_code: Annotated[int, Field(ge=0, le=255)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.status in ("failed", "diverged")) != bool(self.exit_code and self.lines):
            raise ValueError("an error without a message, or a message without an error")
        if (self.status in ("done", "diverged")) != (self.result is not None):
            raise ValueError("a result without a run, or a run without its result")
        if self.result is not None and (self.status == "done") != bool(self.result.splits):
            raise ValueError("a finished run without scores, or scores of one that diverged")
        return self

    def is_of(self, settings: Mapping[str, Any], config: Config) -> bool:
        """Whether it may be a result of the run of a sweep with these settings and this config."""
        if self.result is None:
            return True
        found = self.result.config
        numbers = {k: v for k, v in settings.items() if isinstance(v, int | float)}
        return found.seed == config.seed and all(
            setting_value(key, {}, found) == value for key, value in numbers.items()
        )

    def score(self, split: str, metric: str) -> float | None:
        """Return a score; None where the split was not scored, or the score is undefined."""
        return None if self.result is None else self.result.score(split, metric)

    def to_line(self) -> str:
        """Return it as a line of results.jsonl."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(plain, allow_nan=False, ensure_ascii=False) + "\n"


def read_results(text: str) -> dict[int, Result]:
    """Return the results of a file of JSON lines, by run; a last line cut short does not count.

    Raises ValueError where the text holds something else.
    """
    results = [Result.model_validate_json(line) for line in text.split("\n")[:-1]]
    return {result.run: result for result in results}


def losses_of(configs: Iterable[Config]) -> list[str]:
    """Return the names of the losses that the runs minimise, each once."""
    return sorted({config.loss.type for config in configs if config.loss is not None})


def validation_value(result: Result, losses: Sequence[str]) -> float | None:
    """Return the score on the validation rows that tells which run is best; None without one."""
    if result.result is None:
        return None
    return result.score("validation", selection_metric(result.result.task, losses))


def choose_best(results: Iterable[Result], losses: Sequence[str]) -> Result | None:
    """Return the run that is best on its validation rows, the first of equals.

    None where no run has such rows, or where the runs do not answer one question.
    """
    done = [result for result in results if result.status == "done"]
    values = [(validation_value(result, losses), result) for result in done]
    known = [(value, result.run, result) for value, result in values if value is not None]
    if not known or not answer_one_question(done):
        return None
    return min(known, key=lambda item: item[:2])[2]


def answer_one_question(results: Iterable[Result]) -> bool:
    """Whether finished runs share one task and one target, so that they can be ranked."""
    runs = [each.result for each in results if each.result is not None]
    return len({(run.task, json.dumps(run.config.data.target)) for run in runs}) == 1


def table(
    settings: Sequence[Mapping[str, Any]], configs: Sequence[Config], results: Mapping[int, Result]
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of sweep.csv, a row for each run in the order of the sweep.

    settings and configs are those of run 1, 2, ...
    """
    keys = _keys(settings)
    columns = _score_columns(results.values())
    counts = ("parameters", "epochs", "best_epoch")
    header = ["run", *keys, "status", *counts, *map("_".join, columns)]
    rows = []
    for number, (own, config) in enumerate(zip(settings, configs, strict=True), start=1):
        ended = results.get(number, Result(run=number, status="missing"))
        row = [str(number), *(setting_text(key, own, config) for key in keys), ended.status]
        row += [_cell(getattr(ended.result, name, None)) for name in counts]
        rows.append([*row, *(_cell(ended.score(*column)) for column in columns)])
    return header, rows


def _keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for one in settings for key in one))


def hyperparameters(
    settings: Sequence[Mapping[str, Any]], configs: Sequence[Config]
) -> list[dict[str, float | str]]:
    """Return the value in each run of every key that a run sets: a number if it is one in all.

    Every other key is a text in all runs, as in sweep.csv, since TensorBoard gives a key one type.
    """
    found: list[dict[str, float | str]] = [{} for _ in configs]
    for key in _keys(settings):
        pairs = list(zip(settings, configs, strict=True))
        values: list[Any] = [setting_value(key, *pair) for pair in pairs]
        if any(type(value) not in (int, float) for value in values):
            values = [setting_text(key, *pair) for pair in pairs]
        for own, value in zip(found, values, strict=True):
            own[key] = value
    return found


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
        fields = type(value).model_fields if isinstance(value, BaseModel) else {}
        value = getattr(value, part) if part in fields else None
    return value.model_dump() if isinstance(value, BaseModel) else value


def _score_columns(results: Iterable[Result]) -> list[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {split: {} for split in SPLITS_OF_A_RUN}
    for run in filter(None, (each.result for each in results)):
        for split, scored in run.splits.items():
            found[split] |= dict.fromkeys(scored.scores)
    return [(split, metric) for split, metrics in found.items() for metric in metrics]


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)
