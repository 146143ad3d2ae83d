"""Recognise numbers in another writing, such as 1,234 or 5 %, and words among numbers.

`recognise` looks at the distinct cells of a column of text, once, for features and targets alike;
`ml2021.data.csv.cells` decides what the column is read as, and the messages say what it found.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Literal, NamedTuple

from ml2021.formatting import echo

NOT_FINITE = re.compile(r"\s*[+-]?(?:inf(?:inity)?|nan)\s*", re.ASCII | re.IGNORECASE)
_FEW = 20  # distinct numbers; more are no categories
KEYED = frozenset(f"the {what} mark '{mark}'" for what in ("thousands", "decimal") for mark in ",.")
"""What numbers have whose marks may be those of `data.decimal` and `data.thousands`."""
_ENOUGH = 300  # distinct cells of a column, the most frequent first, without a number among them
_LISTED = 3  # other texts
_LEAST = 5  # distinct numbers beside one word, which are then worth a word to the user

_MEANS_MISSING = re.compile(
    r"[-–—.?…*]+|-?nan|nat|<na>|#?n/?a|n\.a\.?|\\n|\(?(?:null|none|nil|blank|empty|missing)\)?"
    r"|#(?:null|value|ref|div/0|name|num)[!?]|-?1\.#(?:qnan|ind)",
    re.IGNORECASE,
)
_MEANS_NO_NUMBER = re.compile(
    r"unk(?:nown)?|un(?:available|defined)|not (?:available|applicable|known)|no ?(?:data|value)"
    r"|#?error|void|nul|n\.?d\.?|[ns]/d|tb[da]|k\. ?a\.|keine angabe|unbekannt|fehlt|fehlend|leer"
    r"|inconnu|manquant|vide|desconocido",
    re.IGNORECASE,
)

_BLANK = " \u00a0\u2007\u2009\u202f"
MARKS = {",": ",", ".": r"\.", " ": f"[{_BLANK}]", "'": "['\u2019]", "_": "_"}
"""The values of `data.thousands`, each with the pattern of the characters that it stands for."""
_CODES = (
    "USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RUB|TRY|BRL|MXN|ZAR|KRW|SGD"
    "|HKD|THB|kr|Kr|zł|Kč|Ft|Fr|Rs"
)
_MINUS = "\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d"
_TIME = re.compile(r"(?P<sign>[-+−]?)(?P<parts>\d{1,4}(?::[0-5]\d){1,2})(?:[.,](?P<rest>\d+))?")
_PLAIN_BODY = r"(?:[0-9]+{d}?[0-9]*|{d}[0-9]+)(?:[eE][+-]?[0-9]+)?"
_EXPONENT = r"(?P<exponent>(?:[eE][+-]?[0-9]+)?)"
_GROUPED = re.compile(
    rf"(?P<whole>[1-9][0-9]{{0,2}}(?P<mark>[,.'’_{_BLANK}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*)"
    rf"(?:(?P<point>[.,])(?P<rest>[0-9]*))?{_EXPONENT}"
)
_INDIAN = re.compile(r"(?P<whole>[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3})(?:\.(?P<rest>[0-9]*))?")
_UNIT_LETTERS = frozenset("mgshdtlkAVWKJNCFLMBT")
_POWERS = {"k": 3, "Mio": 6, "Mn": 6, "mn": 6, "bn": 9, "Mrd": 9}
"""Units that multiply by a power of ten, and so does an attached K; apart, it is kelvin."""
_NO_UNITS = re.compile(  # ordinals, times of the day, months
    r"st|nd|rd|th|er|e|ère|ème|o|a|[ap]\.?m|jan\w*|feb\w*|mar|märz|march|apr\w*|may|mai|june?|juni|july?"
    r"|juli|aug\w*|sept?\w*|o[ck]t\w*|nov\w*|de[cz]\w*|x|of",
    re.IGNORECASE,
)


@cache
def _currency() -> str:
    """Return the pattern of a currency."""
    symbols = "".join(chr(c) for c in range(0xFFFF) if unicodedata.category(chr(c)) == "Sc")
    return rf"(?:[A-Z]{{0,3}}[{symbols}]|(?:{_CODES})\.?)"


@cache
def _cell_pattern() -> re.Pattern[str]:
    """Return what a number in another writing looks like, which few tables need: it takes 10 ms."""
    currency = _currency()
    return re.compile(
        rf"""
        (?P<open>\()? \s*
        (?P<compared>[<>≤≥~≈±]=?)? \s*
        (?P<sign>[-+{_MINUS}])? (?P<gap>\s*)
        (?P<before>{currency})? \s*
        (?P<inner>[-+{_MINUS}])? \s*
        (?P<body>(?:[0-9][0-9.,'’_{_BLANK}]*[0-9]|[0-9]|[.,][0-9]+) [.,]? (?:[eE][+-]?[0-9]+)?)
        (?P<space>\s*)
        (?P<after>{currency}(?:/\w+)?|[%‰]|°\s?[CFKcf]?|["″]
          |[^\W\d_]{{1,12}}\^?[²³23]?\.?(?:[/·*](?:100\s?)?[^\W\d_]{{1,9}}\^?[²³23]?)?
          (?:\ [a-z][a-z./²³]{{0,9}})?)? \s*
        (?P<trailing>[-{_MINUS}])? \s*
        (?P<close>\))?
        """,
        re.VERBOSE,
    )


def looks_missing(text: str) -> bool:
    """Whether a text is one that files use for a missing value, such as NULL, ? or #N/A."""
    return text.isspace() or _MEANS_MISSING.fullmatch(text.strip()) is not None


def means_no_number(text: str) -> bool:
    """Whether a text among numbers says that there is none: it looks missing, or says unknown."""
    return looks_missing(text) or _MEANS_NO_NUMBER.fullmatch(text.strip()) is not None


class Decorated(NamedTuple):
    """A number in another writing: what it has, the plain number, its mark and its unit.

    oddities: phrases that follow "a number with". thousands, decimal: the marks that it has beside
    those of the config, or "". is_unsure: the thousands mark may as well mark decimals.
    """

    oddities: tuple[str, ...]
    plain: str
    thousands: str = ""
    decimal: str = ""
    unit: str = ""
    is_unsure: bool = False


def decorated(text: str, decimal: str) -> Decorated | None:
    """Return what is unusual about a number that is not plainly written, or None for other text."""
    if not any(c.isdecimal() for c in text):
        return None
    oddities: list[str] = []
    core = text.strip(f"{_BLANK}\t\v\f\r\n\u200b\u2060\ufeff\u3000\u2002\u2003")
    if odd := text.replace(core, "", 1).strip(" \t\v\f\r\n"):
        oddities.append(f"a blank of another kind (U+{ord(odd[0]):04X})")
    if not all(c.isascii() for c in core if c.isdecimal()):
        core = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in core)
        oddities.append("digits of another script")
    if (time := _TIME.fullmatch(core)) is not None:
        return Decorated((*oddities, "colons, a time or duration"), _seconds(time, decimal))
    cell = _cell_pattern().fullmatch(core)
    if cell is None or bool(cell["open"]) != bool(cell["close"]):
        return None
    signs = [s for s in (cell["sign"], cell["inner"], cell["trailing"]) if s]
    if len(signs) > 1 or (signs and cell["open"]):
        return None
    number = _body(cell["body"], decimal)
    after = cell["after"] or ""
    if number is None or _unit(after, is_attached=not cell["space"]) is None:
        return None
    multiplier = "k" if after == "K" and not cell["space"] else after
    if cell["open"]:
        oddities.append("parentheses for minus")
    if cell["compared"]:
        oddities.append(f"'{cell['compared']}'")
    if signs and signs[0] not in "+-":
        oddities.append(f"the minus sign U+{ord(signs[0]):04X}")
    elif cell["trailing"]:
        oddities.append("the sign at the end")
    elif cell["gap"]:
        oddities.append("a blank after the sign")
    if cell["before"]:
        oddities.append(f"the currency '{cell['before']}'")
    if after in ("%", "‰"):
        oddities.append("a percent sign" if after == "%" else "a per mille sign")
    elif after and re.match(_currency(), after):
        oddities.append(f"the currency '{after}'")
    elif after:
        oddities.append(f"the unit '{after}'")
    is_negative = bool(cell["open"]) or (bool(signs) and signs[0] != "+")
    found = number._replace(
        oddities=(*oddities, *number.oddities),
        plain=("-" if is_negative else "") + _times_power(number.plain, multiplier, decimal),
        unit=after,
    )
    return found if found.oddities else None


def _body(body: str, decimal: str) -> Decorated | None:
    """Return the digits of a number with any marks, or None if they are grouped in no known way."""
    if re.fullmatch(_PLAIN_BODY.format(d=re.escape(decimal)), body):
        return Decorated((), body)
    if (grouped := _GROUPED.fullmatch(body)) and grouped["mark"] != grouped["point"]:
        mark = next(m for m, pattern in MARKS.items() if re.fullmatch(pattern, grouped["mark"]))
        whole = re.sub("[^0-9]", "", grouped["whole"])
        point, rest = grouped["point"] or "", grouped["rest"] or ""
        oddities = [f"the thousands mark '{mark}'"]
        if point not in ("", decimal):
            oddities.append(f"the decimal mark '{point}'")
        plain = whole + (decimal + rest if rest else "") + grouped["exponent"]
        is_single = len(whole) <= 6 and not point and mark in ",."
        other = point if point != decimal else ""
        return Decorated(tuple(oddities), plain, mark, other, is_unsure=is_single)
    other = "," if decimal == "." else "."
    if re.fullmatch(_PLAIN_BODY.format(d=re.escape(other)), body):
        plain = body.replace(other, decimal)
        return Decorated((f"the decimal mark '{other}'",), plain, decimal=other)
    if indian := _INDIAN.fullmatch(body):
        plain = indian["whole"].replace(",", "") + (
            decimal + indian["rest"] if indian["rest"] else ""
        )
        return Decorated(("grouped digits",), plain)
    return None


def _unit(after: str, *, is_attached: bool) -> str | None:
    """Return what follows a number as its unit, or None if it is none, as in 1st."""
    word = after.rstrip(".")
    if word and word[0].isalpha():
        if _NO_UNITS.fullmatch(word):
            return None
        if len(word) == 1 and is_attached and word not in _UNIT_LETTERS:
            return None
    return after


def _times_power(plain: str, unit: str, decimal: str) -> str:
    """Return a plain number times the power of ten that its unit stands for, as 12600 for 12.6k."""
    power = _POWERS.get(unit.rstrip("."))
    if power is None or "e" in plain.lower():
        return plain
    whole, _, rest = plain.partition(decimal)
    digits = (whole + rest[:power].ljust(power, "0")).lstrip("0") or "0"
    return digits + (decimal + rest[power:] if rest[power:] else "")


def _seconds(time: re.Match[str], decimal: str) -> str:
    """Return a time or duration as a number of its smallest unit."""
    value = 0
    for part in time["parts"].split(":"):
        value = value * 60 + int(part)
    sign = "-" if time["sign"] not in ("", "+") else ""
    return f"{sign}{value}" + (f"{decimal}{time['rest']}" if time["rest"] else "")


@dataclass(frozen=True)
class Writing:
    """What a column of text holds.

    kind: `numbers`, plain ones and words; `marks`, numbers whose marks a key of the config reads;
    `decorated`, numbers that have to be rewritten; `mixed`, numbers and cells of which the user has
    to say what they mean; `text`. share: of the filled cells, those that are numbers. distinct: how
    many different numbers. words: what looks missing, and a few other texts, with their counts.
    oddities: what the numbers are written with, the most frequent first; example: such a cell, and
    plain: the same number as it should be written. thousands, decimal: their marks beside those of
    the config, or "". is_unsure: the thousands mark may as well mark decimals. remedy: what to do,
    and listing: how to list the words as missing, for which the format of the file has to be known.
    """

    kind: Literal["numbers", "marks", "decorated", "mixed", "text"]
    share: float = 0.0
    distinct: int = 0
    is_varied: bool = False
    words: Mapping[str, int] = field(default_factory=dict)
    oddities: tuple[str, ...] = ()
    example: str = ""
    plain: str = ""
    thousands: str = ""
    decimal: str = ""
    units: tuple[str, ...] = ()
    is_unsure: bool = False
    remedy: str = ""
    listing: str = ""

    def describe(self) -> str:
        """Say how the numbers are written, with an example."""
        return f"numbers with {' and '.join(self.oddities[:3])} ('{echo(self.example)}')"

    def keys(self, separator: str, decimal: str) -> dict[str, str | None]:
        """Return the keys of `data` that read these numbers, as YAML; none if no key does."""
        other = self.decimal
        if self.thousands == decimal:  # 1.234.567 where the point is said to mark decimals
            other = "," if decimal == "." else "."
        are_marks = all("mark '" in oddity for oddity in self.oddities)
        if len(self.thousands + other) > 2 or not are_marks or (other and other == separator):
            return {}
        keys = {"thousands": self.thousands, "decimal": other}
        return {key: f'"{mark}"' for key, mark in keys.items() if mark}

    def rewriting(self) -> str:
        """Say how to rewrite the numbers."""
        within = ", all in one unit" if len(self.units) > 1 else ""
        return f"write plain numbers, such as {echo(self.plain)}{within}"


_TEXT = Writing("text")


def writing_of(text: str, decimal: str) -> Writing | None:
    """Return how one number is written, or None if it is no number in another writing."""
    found = decorated(text, decimal)
    return None if found is None else _written({text: (found, 1)})


def recognise(
    cells: Iterable[tuple[str, int]], is_number: Callable[[str], bool], decimal: str
) -> Writing:
    """Return what a column holds, from its filled, distinct cells with their counts.

    It holds numbers, whatever their share, if the other cells look missing, are at most a tenth of
    the rest, or are one text beside many different numbers.
    """
    cells = list(cells)
    total = sum(count for _, count in cells)
    plain: dict[str, int] = {}
    words: dict[str, int] = {}
    rest: dict[str, int] = {}
    odd: dict[str, tuple[Decorated, int]] = {}
    unknown = 0
    for index, (text, count) in enumerate(cells):
        if index == _ENOUGH and not plain and not odd:
            return _TEXT
        if is_number(text) or NOT_FINITE.fullmatch(text):
            plain[text] = count
        elif means_no_number(text):
            words[text] = count
        elif (found := decorated(text, decimal)) is not None:
            odd[text] = found, count
        else:
            rest[text] = count
            unknown += count
            if len(rest) > 1 and 2 * unknown > total:
                return _TEXT
    _move_if_no_unit(odd, rest, sum(plain.values()))
    marked = {text: each for text, each in odd.items() if KEYED.issuperset(each[0].oddities)}
    if 10 * (sum(plain.values()) + sum(count for _, count in marked.values())) >= 9 * total:
        rest |= {text: count for text, (_, count) in odd.items() if text not in marked}
        odd = marked
    numbers = sum(plain.values()) + sum(count for _, count in odd.values())
    writing = _written(odd)
    return replace(
        writing,
        kind=_kind(writing, len(plain) + len(odd), numbers, rest, total),
        share=numbers / max(1, total),
        distinct=len(plain) + len(odd),
        is_varied=_are_many(len(plain) + len(odd), numbers),
        words=words | dict(islice(rest.items(), _LISTED)),
    )


def _move_if_no_unit(
    odd: dict[str, tuple[Decorated, int]], rest: dict[str, int], plain: int
) -> None:
    """Move cells such as 12a, 14b and 3rd to the rest: a column has few units, each used often."""
    united = {text: found.unit for text, (found, _) in odd.items() if found.unit[:1].isalpha()}
    units = Counter(united.values())
    are_letters = any(len(unit) == 1 for unit in units)
    if (
        len(units) > _LEAST
        or (len(units) > 1 and len(united) < 4 * len(units))
        or (are_letters and 10 * plain > sum(count for _, count in odd.values()))
    ):
        for text in united:
            rest[text] = odd.pop(text)[1]


def _written(odd: Mapping[str, tuple[Decorated, int]]) -> Writing:
    """Return how the odd numbers of a column are written."""
    if not odd:
        return _TEXT
    found = [each for each, _ in odd.values()]
    decimals = {each.decimal for each in found if each.decimal}
    # where some are like 1,5 then 1,234 is no thousands mark either
    unsure = {each.thousands for each in found if each.is_unsure}
    marks = {each.thousands for each in found if each.thousands and not each.is_unsure}
    is_unsure = bool(unsure) and not marks and not decimals
    if unsure and not unsure & decimals:
        marks |= unsure
    oddities: Counter[str] = Counter()
    for each, count in odd.values():
        oddities.update(dict.fromkeys(each.oddities, count))
    if unsure & decimals:
        del oddities[f"the thousands mark '{min(unsure)}'"]
    example = max(odd, key=lambda text: len(odd[text][0].oddities))
    return Writing(
        "text",
        oddities=tuple(name for name, _ in oddities.most_common()),
        example=example,
        plain=odd[example][0].plain,
        thousands="".join(sorted(marks)),
        decimal="".join(sorted(decimals)),
        units=tuple(dict.fromkeys(each.unit for each in found if each.unit)),
        is_unsure=is_unsure,
    )


def _kind(
    writing: Writing, distinct: int, numbers: int, rest: Mapping[str, int], total: int
) -> Literal["numbers", "marks", "decorated", "mixed", "text"]:
    unknown = sum(rest.values())
    are_numbers = distinct >= 2 and 10 * unknown <= numbers + unknown
    are_numbers |= len(rest) == 1 and _are_many(distinct, numbers)
    is_readable = bool(writing.oddities) and KEYED.issuperset(writing.oddities)
    if is_readable and (are_numbers or 10 * numbers >= 9 * total):
        return "marks"
    if are_numbers:
        return "decorated" if writing.oddities else "numbers"
    if 2 * numbers >= total or (len(rest) == 1 and distinct >= _LEAST):
        return "mixed"
    return "text"


def _are_many(distinct: int, count: int) -> bool:
    """Whether so many different numbers are measured or counted, rather than categories."""
    return distinct > _FEW or (distinct >= _LEAST and 2 * distinct > count)
