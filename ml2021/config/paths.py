"""Look up the schema at a path of the user's file.

Pydantic's locations contain the tag of a union's member (`type`, `method`), which the user's file
does not; `resolve` removes it.
"""

from collections.abc import Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from ml2021.config.schema import Config
from ml2021.config.yaml_reader import KeyPath

Models = list[type[BaseModel]]


def models_at(path: KeyPath) -> Models:
    """Return the models allowed at `path`: several for a union, none for a plain value."""
    return _models_in(_types_at(path))


def resolve(location: Sequence[str | int]) -> tuple[KeyPath, Models]:
    """Return the path in the user's file of a pydantic location, and the models allowed there."""
    models: Models = [Config]
    path: list[str | int] = []
    for part in location:
        if len(models) > 1:
            models = [members(models)[str(part)]]
        elif models or isinstance(part, int) or _is_key(_types_at(tuple(path)), part):
            # else the tag of a union of plain values
            path.append(part)
            models = _models_in(_types_below(models, part))
    return tuple(path), models


def _is_key(types: list[Any], part: str) -> bool:
    """Whether a part is a key of a mapping, not the tag of a union of which the mapping is one."""
    return dict in types and (part != "dict" or {*types} <= {dict, NoneType})


def members(models: Models) -> dict[str, type[BaseModel]]:
    """Return the members of a union, by the values of their tag."""
    tag = tag_of(models)
    return {
        value: model for model in models for value in get_args(model.model_fields[tag].annotation)
    }


def tag_of(models: Models) -> str:
    """Return the key that selects a member of a union."""
    return next(iter(models[0].model_fields))


def takes_null(path: KeyPath) -> bool:
    """Whether null is allowed at `path`."""
    return NoneType in _types_at(path)


def takes_numbers(path: KeyPath) -> bool:
    """Whether a number is allowed at `path`."""
    return not {int, float}.isdisjoint(_types_at(path))


def takes_whole_numbers(path: KeyPath) -> bool:
    """Whether a number at `path` must be an integer."""
    types = _types_at(path)
    return int in types and float not in types


def takes_list(path: KeyPath) -> bool:
    """Whether a list is allowed at `path`."""
    return list in _types_at(path)


@cache
def parents() -> dict[str, list[KeyPath]]:
    """Return the paths of the mappings that allow each key of the schema."""
    found: dict[str, list[KeyPath]] = {}
    todo: list[KeyPath] = [()]
    for path in todo:  # which grows
        for key in dict.fromkeys(key for model in models_at(path) for key in model.model_fields):
            found.setdefault(key, []).append(path)
            if models_at((*path, key)):
                todo.append((*path, key))
    return found


def _types_at(path: KeyPath) -> list[Any]:
    """Return the types allowed at `path`; none for an item of a list."""
    types: list[Any] = [Config]
    for part in path:
        types = _types_below(_models_in(types), part)
    return types


def _types_below(models: Models, part: str | int) -> list[Any]:
    return [leaf for model in models for leaf in _types_of(model, str(part))]


def _models_in(types: list[Any]) -> Models:
    return [x for x in types if isinstance(x, type) and issubclass(x, BaseModel)]


@cache
def _types_of(model: type[BaseModel], key: str) -> list[Any]:
    field = model.model_fields.get(key)
    return [] if field is None else _leaves(field.annotation)


def _leaves(annotation: object) -> list[Any]:
    """Return the members of a union type, or the type itself."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _leaves(arguments[0])
    if origin in (Union, UnionType):
        return [leaf for argument in arguments for leaf in _leaves(argument)]
    return [origin or annotation]
