"""The "did you mean" at the end of a message about a wrong key, choice or column name.

What may be meant, and the other words for it, are left to the caller.
"""

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache

NO_SYNONYMS: Mapping[str, str] = {}

WORD_LIMIT = 100
"""Longer words, in characters, get no suggestion: they are no slip of the keyboard."""

CHOICE_LIMIT = 5_000
"""Of more choices, only one that differs in case, spaces or punctuation is suggested: comparing a
word with 100,000 others takes a minute."""


def closest(
    wrong: str, choices: Iterable[str], synonyms: Mapping[str, str] = NO_SYNONYMS
) -> str | None:
    """Return the one of `choices` that `wrong` probably means, or None.

    Case, spaces and punctuation do not count. `synonyms` maps other words to choices; an entry
    whose choice is not among `choices` is passed over.
    """
    if len(wrong) > WORD_LIMIT:
        return None
    known: dict[str, str] = {}
    for choice in choices:
        known.setdefault(_fold(choice), choice)
    word = _fold(wrong)
    if word in known:
        return known[word]
    for synonym, choice in synonyms.items():
        if _fold(synonym) == word and known.get(_fold(choice)) == choice:
            return choice
    near = difflib.get_close_matches(word, known, n=1) if len(known) <= CHOICE_LIMIT else []
    return known[near[0]] if near else None


def suggest(wrong: str, choices: Iterable[str], synonyms: Mapping[str, str] = NO_SYNONYMS) -> str:
    """Return `; did you mean 'x'?` for the choice that `wrong` probably means, else ""."""
    choice = closest(wrong, choices, synonyms)
    return "" if choice is None else f"; did you mean '{choice}'?"


@lru_cache(maxsize=10_000)
def _fold(text: str) -> str:
    """Drop what people get wrong without meaning another word."""
    folded = "".join(c for c in text.casefold() if c.isalnum())
    return folded or text
