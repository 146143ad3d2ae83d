"""Look up the schema at a path of the user's file.

Pydantic's locations contain the tag of a union's member (`type`, `method`), which the user's file
does not; `resolve` removes it.
"""

from collections.abc import Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from ml2021.config.schema import Config
from ml2021.config.yaml_reader import KeyPath

Models = list[type[BaseModel]]


def models_at(path: KeyPath) -> Models:
    """Return the models allowed at `path`: several for a union, none for a plain value."""
    models: Models = [Config]
    for part in path:
        models = _models_below(models, part)
    return models


def resolve(location: Sequence[str | int]) -> tuple[KeyPath, Models]:
    """Return the path in the user's file of a pydantic location, and the models allowed there."""
    models: Models = [Config]
    path: list[str | int] = []
    for part in location:
        if len(models) > 1:
            models = [members(models)[str(part)]]
        elif models or isinstance(part, int):  # else the tag of a union of plain values
            path.append(part)
            models = _models_below(models, part)
    return tuple(path), models


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
    if not path or isinstance(path[-1], int):
        return False
    fields = [model.model_fields.get(path[-1]) for model in models_at(path[:-1])]
    return any(field is not None and NoneType in _leaves(field.annotation) for field in fields)


def takes_whole_numbers(path: KeyPath) -> bool:
    """Whether a number at `path` must be an integer."""
    fields = [model.model_fields.get(str(path[-1])) for model in models_at(path[:-1])]
    leaves = [leaf for field in fields if field for leaf in _leaves(field.annotation)]
    return int in leaves and float not in leaves


@cache
def parents() -> dict[str, list[KeyPath]]:
    """Return the paths of the mappings that allow each key of the schema."""
    found: dict[str, list[KeyPath]] = {}
    todo: list[KeyPath] = [()]
    while todo:
        path = todo.pop(0)
        keys = dict.fromkeys(key for model in models_at(path) for key in model.model_fields)
        for key in keys:
            found.setdefault(key, []).append(path)
            if models_at((*path, key)):
                todo.append((*path, key))
    return found


def _models_below(models: Models, part: str | int) -> Models:
    key = str(part)
    return [x for model in models if key in model.model_fields for x in _models_in(model, key)]


@cache
def _models_in(model: type[BaseModel], key: str) -> tuple[type[BaseModel], ...]:
    leaves = _leaves(model.model_fields[key].annotation)
    return tuple(x for x in leaves if isinstance(x, type) and issubclass(x, BaseModel))


def _leaves(annotation: object) -> list[object]:
    """Return the members of a union type, or the type itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _leaves(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [leaf for argument in get_args(annotation) for leaf in _leaves(argument)]
    return [origin or annotation]
