"""Field types of the config, the base class of its sections, and our own validation errors."""

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)
from pydantic_core import PydanticCustomError

WRONG_VALUE = "wrong_value"
"""Type of an error about one value; its message continues the key: `must be ...`."""
CONFLICT = "conflict"
"""Type of an error about keys that exclude each other, which are `keys` in its context."""


class Section(BaseModel):
    """A mapping of the config: no extra keys, strict types, immutable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def conflict(message: str, *keys: str | tuple[str, ...]) -> PydanticCustomError:
    """Return an error to be reported at the first of `keys` that the user wrote."""
    paths = tuple((key,) if isinstance(key, str) else key for key in keys)
    return PydanticCustomError(CONFLICT, "{message}", {"message": message, "keys": paths})


def wrong_value(message: str) -> PydanticCustomError:
    """Return an error about one value; `messages` adds the key and the value to `message`."""
    return PydanticCustomError(WRONG_VALUE, "{message}", {"message": message})


def short_for(tag: str, default: str | None = None) -> BeforeValidator:
    """Accept text x as short for `{tag: x}`, and add the default tag to a mapping without one."""

    def expand(value: object) -> object:
        if isinstance(value, str):
            return {tag: value}
        if default is not None and isinstance(value, dict) and tag not in value:
            return {tag: default, **value}
        return value

    return BeforeValidator(expand)


def _by_type(message: str, *words: str) -> Discriminator:
    """Select a union's member by the name of the value's type, or by the value if in `words`."""
    return Discriminator(
        lambda value: value if value in words else type(value).__name__,
        custom_error_type=WRONG_VALUE,
        custom_error_message=message,
    )


def _column_name(value: object) -> object:
    # Columns without a header are named 0, 1, 2, ...; bool is a subclass of int.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _composed(value: str) -> str:
    # As are the names in a table's header: é may also be written as e and an accent.
    return unicodedata.normalize("NFC", value)


def _known_device(value: str) -> str:
    if not re.fullmatch("auto|cpu|cuda(:[0-9]{1,4})?", value):
        raise wrong_value("must be auto, cpu, cuda or cuda:N, where N is a device number")
    return value


def _known_encoding(value: str) -> str:
    try:
        "".encode(value)
    except (LookupError, ValueError):
        raise wrong_value("must be a text encoding known to Python, such as utf-8") from None
    return value


def _single_character(value: str) -> str:
    if len(value) != 1 or value in '"\r\n\0':
        raise wrong_value("must be one character other than a quote or a line break")
    return value


Count = Annotated[int, Field(gt=0, lt=2**63)]
Index = Annotated[int, Field(ge=0, lt=2**63)]
Members = Annotated[int, Field(gt=0, le=1_000_000)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Text = Annotated[str, Field(min_length=1)]
Character = Annotated[str, AfterValidator(_single_character)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
Device = Annotated[str, AfterValidator(_known_device)]
Column = Annotated[Text, BeforeValidator(_column_name), AfterValidator(_composed)]
Columns = Annotated[list[Column], Field(min_length=1)]

ColumnOrColumns = Annotated[
    Annotated[Column, Tag("str")] | Annotated[Column, Tag("int")] | Annotated[Columns, Tag("list")],
    _by_type("must be a column name or a list of column names"),
]

Scalar = Annotated[
    Annotated[str, Tag("str")] | Annotated[int, Tag("int")] | Annotated[float, Tag("float")],
    _by_type("must be text or a number"),
]

ClassWeight = Annotated[
    Annotated[Literal["balanced"], Tag("balanced")]
    | Annotated[Annotated[dict[Text, Positive], Field(min_length=1)], Tag("dict")],
    _by_type("must be balanced or a mapping from classes to weights", "balanced"),
]

CountOrFull = Annotated[
    Annotated[Count, Tag("int")] | Annotated[Literal["full"], Tag("full")],
    _by_type("must be a whole number or full", "full"),
]

CountOrLines = Annotated[
    Annotated[Index, Tag("int")] | Annotated[list[Count], Field(min_length=1), Tag("list")],
    _by_type("must be a number of lines or a list of line numbers"),
]
