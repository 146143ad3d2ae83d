"""What the distinct texts of a column say: identifiers, other spellings, missing values, numbers.

Labels are used as they are written; these notes say which of them may mean the same.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml2021.data.csv.writings import Writing, looks_missing
from ml2021.errors import DataError
from ml2021.formatting import echo, listed, plural

if TYPE_CHECKING:
    import pandas as pd

FEW = 20
"""So many distinct texts are always categories."""
_OFTEN = 5  # rows of a category that repeats
_SHOWN = 3
_FEWEST_NUMBERS = 3  # different ones; two are classes
_FEWEST_NOTED = 5  # different ones of a feature; fewer are categories


def why_identifiers(texts: "pd.Series", max_categories: int) -> str | None:
    """Return why a column of texts (N,), none missing, holds identifiers; None for categories.

    These are nearly a value per row, or texts of which hardly any repeats: the categories that
    would get an input and have at least 5 rows hold less than a quarter of all rows.
    """
    counts = np.sort(texts.value_counts(sort=False).to_numpy())
    if len(counts) <= FEW:
        return None
    if len(counts) > 0.5 * len(texts):
        return "text with nearly one value per row; see data.types"
    with_input = counts if len(counts) <= max_categories else counts[1 - max_categories :]
    if with_input[with_input >= _OFTEN].sum() < 0.25 * len(texts):
        return "text in which hardly any value repeats; see data.types"
    return None


def notes_on_labels(
    name: str, labels: Iterable[str], what: Literal["classes", "categories"]
) -> list[str]:
    """Return notes on labels that look missing, and on those that may be spellings of one."""
    spellings: dict[str, list[str]] = {}
    missing = []
    for label in labels:
        if looks_missing(label):
            missing.append(label)
        else:
            spellings.setdefault(_spelling(label), []).append(label)
    notes = []
    if missing:
        shown = listed(map(_quoted, sorted(missing)), 6)
        notes.append(
            f"{echo(name)}: {what} that look like missing values: {shown}; if they are, list them "
            "in data.missing"
        )
    groups = [sorted(alike) for alike in spellings.values() if len(alike) > 1]
    if groups:
        shown = "; ".join(_listed_apart(alike) for alike in sorted(groups)[:_SHOWN])
        if len(groups) > _SHOWN:
            shown += f"; and {plural(len(groups) - _SHOWN, 'more such group')}"
        notes.append(
            f"{echo(name)}: {what} that differ only in case, spaces or Unicode form: {shown}; if "
            "they mean the same, write them alike in the file"
        )
    return notes


def notes_on_numbers(
    writings: Mapping[str, Writing], features: Sequence[str], targets: Sequence[str], task: str
) -> list[str]:
    """Return notes on columns of text that hold numbers; `writings` says how, for each such column.

    Raises DataError for a target that holds numbers, unless the task of the config is
    classification; a few that repeat, as 10 mm, are classes with a note.
    """
    notes = []
    of_numbers = {
        name: found for name, found in writings.items() if found.kind in ("decorated", "mixed")
    }
    for name in targets:
        found = of_numbers.get(name)
        if found is None or task == "classification":
            continue
        fewest = _FEWEST_NUMBERS if found.kind == "decorated" else _FEWEST_NOTED
        if task == "auto" and found.distinct < fewest:
            continue
        what = f"{found.describe()}; {found.remedy}" if found.oddities else _beside(found)
        if task == "auto" and found.oddities and found.distinct <= FEW and not found.is_varied:
            if not any(oddity.startswith(("'<", "'>")) for oddity in found.oddities):  # <=50K
                notes.append(f"{echo(name)} is predicted as classes, but holds {what}")
            continue
        remedy = "; if these are classes, set task: classification" if task == "auto" else ""
        raise DataError(f"column '{echo(name)}' holds {what}{remedy}")
    for name in features:
        found = of_numbers.get(name)
        if found is None:
            continue
        if found.kind == "mixed":
            notes.append(f"{echo(name)} is treated as text, but holds {_beside(found)}")
        elif found.distinct >= _FEWEST_NOTED:
            words = f"; list {_counted(found)} in data.missing" if found.words else ""
            what = f"{found.describe()}; {found.remedy}{words}"
            notes.append(f"{echo(name)} is treated as text, but holds {what}")
    return notes


def _beside(found: Writing) -> str:
    """Return what a column of numbers and other texts holds, and what to do."""
    return (
        f"{100 * found.share:.0f} % numbers beside {_counted(found)}; if this means missing, "
        f"{found.listing}"
    )


def _counted(found: Writing) -> str:
    return listed([f"{_quoted(echo(w))} ({plural(n, 'cell')})" for w, n in found.words.items()], 3)


def _spelling(label: str) -> str:
    """Return the label without case, white space, invisible characters and Unicode form."""
    if label.isascii():
        return "".join(label.split()).casefold()
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())
    return "".join(c for c in folded if not c.isspace() and unicodedata.category(c) != "Cf")


def _listed_apart(labels: list[str]) -> str:
    """Return the labels quoted, with escapes where they look the same."""
    looks = {unicodedata.normalize("NFC", label) for label in labels}
    texts = labels if len(looks) == len(labels) else [ascii(label)[1:-1] for label in labels]
    return listed(map(_quoted, texts), 4)


def _quoted(label: str) -> str:
    return f"'{label}'"
