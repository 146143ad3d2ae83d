"""Field types of the config, the base class of its sections, and our own validation errors."""

import ast
import inspect
import re
import sys
import unicodedata
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, core_schema

WRONG_VALUE = "wrong_value"
"""Type of an error about one value; its message continues the key: `must be ...`."""
CONFLICT = "conflict"
"""Type of an error about keys that exclude each other, which are `keys` in its context."""


class Section(BaseModel):
    """A mapping of the config: no extra keys, strict types, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe each key by the string under it.

        pydantic's own `use_attribute_docstrings` reads the source of each class at each start.
        """
        found = handler(schema)
        properties = handler.resolve_ref_schema(found).get("properties", {})
        for name, text in _strings_under_fields(cls.__module__).get(cls.__name__, {}).items():
            properties[name]["description"] = text
        return found


@cache
def _strings_under_fields(module: str) -> dict[str, dict[str, str]]:
    """Return the string under each field of each class of a module, by class and field."""
    source = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        owner.name: {
            field.target.id: inspect.cleandoc(str(below.value.value))
            for field, below in pairwise(owner.body)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        }
        for owner in source.body
        if isinstance(owner, ast.ClassDef)
    }


def conflict(message: str, *keys: str | tuple[str, ...]) -> PydanticCustomError:
    """Return an error to be reported at the first of `keys` that the user wrote."""
    paths = tuple((key,) if isinstance(key, str) else key for key in keys)
    return PydanticCustomError(CONFLICT, "{message}", {"message": message, "keys": paths})


def wrong_value(message: str) -> PydanticCustomError:
    """Return an error about one value; `messages` adds the key and the value to `message`."""
    return PydanticCustomError(WRONG_VALUE, "{message}", {"message": message})


class ShortFor:
    """Accept text x as short for `{tag: x}`, and add the default tag to a mapping without one.

    In the JSON Schema, a text is one of the tags, and only a member of the default tag may lack it.
    """

    def __init__(self, tag: str, default: str | None = None) -> None:
        self.tag, self.default = tag, default

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Expand the value before it is checked."""
        return core_schema.no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema of the short form beside that of the mapping."""
        members = handler(schema)
        choices = members.get("oneOf", [members])
        tags: list[str] = []
        mappings: list[dict[str, Any]] = []
        for choice in choices:
            model = handler.resolve_ref_schema(choice)
            tag = model["properties"][self.tag]
            names = tag["enum"] if "enum" in tag else [tag["const"]]
            if not {*model.get("required", ())} - {self.tag}:  # else the tag alone is not enough
                tags += names
            is_free = self.default in names or len(choices) == 1
            mappings.append(choice if is_free else {**choice, "required": [self.tag]})
        return {"anyOf": [{"enum": tags}, *mappings]}

    def _expand(self, value: object) -> object:
        if isinstance(value, str):
            return {self.tag: value}
        if self.default is not None and isinstance(value, dict) and self.tag not in value:
            return {self.tag: self.default, **value}
        return value


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
PathOrPaths = Annotated[
    Annotated[Text, Tag("str")] | Annotated[list[Text], Field(min_length=1), Tag("list")],
    _by_type("must be a path or a list of paths"),
]
Character = Annotated[
    str,
    AfterValidator(_single_character),
    WithJsonSchema({"type": "string", "maxLength": 1, "pattern": r'^[^"\r\n\x00]$'}),
]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
Device = Annotated[
    str,
    AfterValidator(_known_device),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["auto", "cpu", "cuda"]},
                {"type": "string", "pattern": "^cuda:[0-9]{1,4}$"},
            ]
        }
    ),
]
Column = Annotated[
    Text,
    BeforeValidator(_column_name, json_schema_input_type=Text | int),
    AfterValidator(_composed),
]
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
