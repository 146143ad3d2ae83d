"""The JSON Schema of a config, for editors: what `ml2021 schema` prints.

It judges a config as the program does before it has seen the table, apart from rules that a schema
cannot say; the test of this module lists those.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from ml2021.config.paths import models_at, parents, takes_numbers, takes_whole_numbers
from ml2021.config.schema import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAMED_BY_USER = (("data", "types"), ("train", "class_weight"))
"""Keys that hold a mapping whose keys are columns or classes."""
Path = tuple[str, ...]
_SOME = {"not": {"type": "null"}}
_POSITIVE = {"type": "integer", "minimum": 1}
_REAL_LOSSES = ("mae", "mse", "huber")


def _chosen(tag: str, *values: str) -> dict[str, Any]:
    """Return the schema of a section of one of these types, in the short form or the long one."""
    chosen = {"enum": list(values)}
    mapping = {"type": "object", "properties": {tag: chosen}, "required": [tag]}
    return {"anyOf": [chosen, mapping]}


_FORBIDDEN: dict[str, list[tuple[dict[str, Any], tuple[str, ...]]]] = {
    "Data": [
        ({"decimal": {"const": ","}, "separator": {"const": ","}}, ("decimal",)),
        ({"decimal": {"const": "."}, "separator": {"const": "."}}, ("separator",)),
        ({"decimal": {"const": "."}, "thousands": {"const": "."}}, ("thousands",)),
        ({"decimal": {"const": ","}, "thousands": {"const": ","}}, ("decimal", "thousands")),
        ({"horizon": {"minimum": 2}, "lags": {"const": 0}}, ("horizon",)),
        ({"gaps": _SOME, "lags": {"const": 0}}, ("gaps",)),
        ({"lags": _POSITIVE, "target": {"type": "array", "minItems": 2}}, ("lags", "target")),
        ({"lags": _POSITIVE, "split": _chosen("method", "kfold")}, ("lags", "split")),
        (
            {"lags": _POSITIVE, "group_by": _SOME, "split": _chosen("method", "random")},
            ("lags", "group_by", "split"),
        ),
        ({"memory": {"const": "ram"}, "cache": _SOME}, ("memory", "cache")),
        ({"memory": {"const": "disk"}, "split": _chosen("method", "kfold")}, ("memory", "split")),
    ],
    "Sgd": [({"nesterov": {"const": True}, "momentum": {"const": 0}}, ("nesterov",))],
    "": [
        (
            {"task": {"const": "classification"}, "loss": _chosen("type", *_REAL_LOSSES)},
            ("task", "loss"),
        ),
        (
            {
                "task": {"enum": ["regression", "structured"]},
                "loss": _chosen("type", "cross_entropy"),
            },
            ("task", "loss"),
        ),
        (
            {
                "task": {"const": "classification"},
                "data": {"properties": {"lags": _POSITIVE}, "required": ["lags"]},
            },
            ("task", "data"),
        ),
    ],
}
"""Values that exclude each other, by model: the conflicts of `ml2021.config.schema`. A key that
need not be there has that value by default."""


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a config file."""
    plain = Config.model_json_schema()
    assert isinstance(plain, dict)
    schema: dict[str, Any] = _simplified(plain)
    definitions = schema.pop("$defs")
    definitions |= _sweep_definitions()
    sweep = definitions["Sweep"]
    for part in ("grid", "random"):
        own = sweep["properties"][part]
        own.pop("additionalProperties")
        own["$ref"] = f"#/$defs/{part}"
    sweep["properties"]["runs"]["items"] = {"$ref": "#/$defs/settings"}
    sweep["anyOf"] = [{"required": [part]} for part in ("runs", "grid", "random")]
    for name, values in _FORBIDDEN.items():
        owner = definitions[name] if name else schema
        owner["allOf"] = [
            {"not": {"properties": given, "required": list(keys)}} for given, keys in values
        ]
    return {"$schema": DIALECT, "title": "ml2021 config", **schema, "$defs": definitions}


def schema_text() -> str:
    """Return the JSON Schema as the text of a file."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


def _simplified(value: Any) -> Any:
    """Drop what editors do not need, and let values match several members of a union."""
    if isinstance(value, list):
        return [_simplified(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        if key in ("title", "discriminator") and not isinstance(item, dict | list):
            continue
        if key == "discriminator":
            continue
        if key == "description" and isinstance(item, str):
            found[key] = " ".join(item.split())
        elif key == "default":
            found[key] = item
        else:
            found["anyOf" if key == "oneOf" else key] = _simplified(item)
    return found


def _sweep_definitions() -> dict[str, dict[str, Any]]:
    """Return the definitions of what a sweep sets: `grid`, `random` and the `settings` of a run.

    Their keys are dotted or nested: those inside a section have a definition of their own.
    """
    keys = sorted(_keys())
    made: dict[str, dict[str, Any]] = {}
    for section in ((), *(path for path in keys if models_at(path))):
        inside = [path for path in keys if path[: len(section)] == section != path]
        for part in ("grid", "random"):
            values = {path[len(section) :]: _values(path, part) for path in inside}
            made[".".join((part, *section))] = _mapping(values, section, part)
    made["settings"] = {"minProperties": 1, **_mapping({path: _at(path) for path in keys}, (), "")}
    for name, kind in (("numbers", "number"), ("whole numbers", "integer")):
        ends = {"low": {"type": kind}, "high": {"type": kind}}
        made[f"range of {name}"] = {
            "type": "object",
            "properties": {**ends, "scale": {"enum": ["linear", "log"]}},
            "required": ["low", "high"],
            "additionalProperties": False,
        }
    return made


def _keys() -> Iterator[Path]:
    """Yield the paths of all keys that a sweep can set."""
    for name, above in parents().items():
        for path in above:
            if (*path, name)[0] != "sweep":
                yield (*map(str, path), name)


def _at(path: Path) -> dict[str, Any]:
    """Return a reference to the schema of a key, or to those that it has in a union."""
    *above, name = path
    own = [m for m in models_at(tuple(above)) if name in m.model_fields]
    owners = ["#"] if not above else [f"#/$defs/{model.__name__}" for model in own]
    choices = [{"$ref": f"{owner}/properties/{name}"} for owner in owners]
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _values(path: Path, part: str) -> dict[str, Any]:
    """Return the schema of a key of `grid` or `random`: a list, a range, or keys inside it."""
    choices: list[dict[str, Any]] = [{"type": "array", "minItems": 1, "items": _at(path)}]
    if part == "random" and takes_numbers(path):
        name = "whole numbers" if takes_whole_numbers(path) else "numbers"
        choices.append({"$ref": f"#/$defs/range of {name}".replace(" ", "%20")})
    if models_at(path):
        choices.append({"$ref": f"#/$defs/{'.'.join((part, *path))}"})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _mapping(values: dict[Path, Any], section: Path, part: str) -> dict[str, Any]:
    """Return the schema of a mapping with dotted keys, some of them named by the user."""
    named = {}
    for path in _NAMED_BY_USER:
        if path[: len(section)] == section != path:
            inner = re.escape(".".join(path[len(section) :]))
            named[rf"^{inner}\..+"] = {"type": "array", "minItems": 1} if part else {}
    properties = {".".join(path): value for path, value in values.items()}
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return {
        **found,
        **({"patternProperties": named} if named else {}),
        "additionalProperties": False,
    }
