"""The parameters of an estimator, which has no config: where their keys are, and messages by them.

`ml2021.sklearn` trains by a config that it makes; what is wrong in it, or in the table, is told by
the names that the user gave.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ml2021.errors import ConfigError, DataError, DivergenceError, ResourceError

SECTIONS = {
    (): ("model", "loss", "optimizer", "preset", "device"),
    ("train",): (
        *("members", "epochs", "batch_size", "schedule", "clip_norm", "early_stopping", "metric"),
        *("class_weight", "refit", "calibrate"),
    ),
    ("data",): ("features", "exclude", "numbers", "types", "dates", "max_categories", "missing"),
    ("data", "split"): ("validation",),
}
"""The section of the config that has the key of each parameter but `random_state`."""
_PARAMETERS = {name for names in SECTIONS.values() for name in names}
_QUOTED = re.compile(r"'[^']*'")
_ELSEWHERE = re.compile(r"; (?:did you mean '(\w+)' in|it belongs) [^;]*$")
"""Where an unknown key of a section is said to belong to another."""
_UNKNOWN = re.compile(r"unknown key '(\w+)'")
_WORDS = [
    *(
        (rf"\b{'.'.join(section)}\.{name}\b", name)
        for section, names in SECTIONS.items()
        if section
        for name in names
    ),
    (r" or data\.split\.test\b", ""),  # there are no test rows
    (r"\bdata\.split\b", "validation"),
    (r"\bdata\.target\b", "y"),
    (r"\bdata\.weight\b", "sample_weight"),
    (r"\bhold out more validation rows\b", "raise validation"),
    (r"^seed\b", "random_state"),
    (r", or another task$", ""),
    (r"^task: (task: .*); remove one of them$", r"\1; remove it from types"),
    (r"\bset task: (?:regression|structured)\b", "use Regressor"),
    (r"\btask:? (?:regression|structured)\b", "Regressor"),
    (r"\btask:? classification\b", "Classifier"),
    (r"\bset data\.(?:decimal|thousands): .*?(?= \(and |$)", "convert them"),
    (r"\bset types: \{(.*): category\}", r"set types={'\1': 'category'}"),
    (r"\bset (\w+): (\w+)", r"set \1='\2'"),
    (r"\bset (\w+): \[", r"set \1=["),
    (r"^(early_stopping: .*) or None\b", r"\1 or False"),
    (r"^frame: (row|column)\b", r"\1"),
    (r"\bframe\b", "the table"),
    (r"\b(model|loss|optimizer|schedule|early_stopping|numbers)\.(\w+)", r"\1__\2"),
]


def as_mapping(section: Any) -> dict[str, Any]:
    """Return a section as a mapping of its keys; False, of early stopping, has none."""
    if isinstance(section, Mapping):
        return {**section}
    return {"type": section} if section else {}


@contextmanager
def named_by_parameters() -> Iterator[None]:
    """Raise errors about a config or a table as ones about the parameters of an estimator."""
    try:
        yield
    except (ConfigError, DataError, DivergenceError, ResourceError) as error:
        raise type(error)(*map(by_parameters, error.lines)) from None


def by_parameters(line: str) -> str:
    """Return a message with the names of parameters in place of keys, but for what is quoted."""
    unknown = _UNKNOWN.search(line)
    is_known = unknown is not None and unknown[1] in _PARAMETERS
    line = _ELSEWHERE.sub(r"; it is a parameter of its own" if is_known else "; remove it", line)
    quoted = iter(_QUOTED.findall(line))
    line = _QUOTED.sub("\0", line)
    for pattern, words in _WORDS:
        line = re.sub(pattern, words, line)
    return re.sub("\0", lambda _: next(quoted), line)
