"""What the distinct texts of a column say about it: identifiers, other spellings, missing values.

Labels are used as they are written; these notes say which of them may mean the same.
"""

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml2021.data.csv.writings import looks_missing
from ml2021.formatting import echo, listed, plural

if TYPE_CHECKING:
    import pandas as pd

FEW = 20
"""So many distinct texts are always categories."""
_OFTEN = 5  # rows of a category that repeats
_SHOWN = 3


def why_identifiers(texts: "pd.Series", max_categories: int) -> str | None:
    """Return why a column of texts (N,), none missing, holds identifiers; None for categories.

    These are nearly a value per row, or texts of which hardly any repeats: the categories that
    would get an input and have at least 5 rows hold less than a quarter of all rows.
    """
    counts = np.sort(texts.value_counts(sort=False).to_numpy())
    if len(counts) <= FEW:
        return None
    if len(counts) > 0.5 * len(texts):
        return "text with nearly one value per row"
    with_input = counts if len(counts) <= max_categories else counts[1 - max_categories :]
    if with_input[with_input >= _OFTEN].sum() < 0.25 * len(texts):
        return "text in which hardly any value repeats"
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
