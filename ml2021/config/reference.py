"""The reference of all keys of a config: what `ml2021 keys` prints, and `configs/README.md` holds.

Types, defaults and meanings are those of the schema and its docstrings; units and examples, which
it has no place for, stand here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ml2021.config.json_schema import config_schema
from ml2021.config.messages import key_named
from ml2021.config.paths import Models, members, models_at, tag_of
from ml2021.config.yaml_scalars import dump_value
from ml2021.errors import ConfigError
from ml2021.formatting import closest, echo

MARKDOWN = "ml2021 keys --markdown > configs/README.md"
"""The command that writes `configs/README.md`."""
REQUIRED = "none, must be set"
Path = tuple[str, ...]
Model = type[BaseModel]
Schema = dict[str, Any]

UNITS = {
    "data.skip_rows": "lines",
    "data.max_categories": "inputs",
    "data.numbers.pieces": "pieces",
    "data.lags": "rows",
    "data.horizon": "rows",
    "data.gaps.limit": "rows",
    "data.split.validation": "fraction of the rows",
    "data.split.test": "fraction of the rows",
    "data.split.folds": "folds",
    "data.target_shape": "outputs along each axis",
    "model.units": "sigmoids",
    "model.widths": "ReLUs",
    "loss.delta": "standard deviations of the target",
    "train.epochs": "epochs",
    "train.batch_size": "rows",
    "train.schedule.every": "epochs",
    "train.clip_norm": "Euclidean norm of the gradient",
    "train.early_stopping.patience": "epochs",
    "train.members": "networks",
    "train.save_seconds": "seconds",
    "sweep.samples": "draws",
}
"""What the numbers of a key count or measure; others are pure numbers."""
EXAMPLES = {
    "data": "{path: houses.csv, target: price}",
    "data.path": "houses.csv",
    "data.test_path": "houses_2024.csv",
    "data.separator": '";"',
    "data.decimal": '","',
    "data.thousands": '","',
    "data.encoding": "latin-1",
    "data.skip_rows": "[2, 7]",
    "data.missing": '["", NA, -999]',
    "data.target": "price",
    "data.target_shape": "[4, 8]",
    "data.features": '[area, "room_*"]',
    "data.exclude": "[id, name]",
    "data.max_categories": "20",
    "data.types": "{zip: category, sold: date}",
    "data.dates": "[year, month, elapsed]",
    "data.numbers.pieces": "8",
    "data.lags": "7",
    "data.horizon": "7",
    "data.order_by": "date",
    "data.group_by": "store",
    "data.gaps.limit": "3",
    "data.weight": "weight",
    "data.split.validation": "0.15",
    "data.split.test": "0.1",
    "data.split.seed": "1",
    "data.split.column": "part",
    "data.split.validation_from": "2024-01-01",
    "data.split.test_from": "2024-07-01",
    "data.split.folds": "5",
    "task": "classification",
    "model.units": "20",
    "model.activation": "hard_sigmoid",
    "model.widths": "[64, 64, 64]",
    "loss.delta": "1.5",
    "loss.label_smoothing": "0.05",
    "optimizer.lr": "0.0005",
    "optimizer.momentum": "0.9",
    "optimizer.weight_decay": "0.01",
    "optimizer.alpha": "0.95",
    "optimizer.beta1": "0.95",
    "optimizer.beta2": "0.99",
    "optimizer.eps": "1e-6",
    "train": "{epochs: 50, batch_size: full}",
    "train.epochs": "300",
    "train.batch_size": "full",
    "train.schedule.every": "20",
    "train.schedule.factor": "0.5",
    "train.clip_norm": "1.0",
    "train.early_stopping": "null",
    "train.early_stopping.patience": "50",
    "train.metric": "mae",
    "train.class_weight": "balanced",
    "train.members": "5",
    "train.spread": "true",
    "train.save_seconds": "300",
    "preset": "fast",
    "seed": "1",
    "device": "cpu",
    "sweep": "{grid: {optimizer.lr: [0.001, 0.01], seed: [0, 1]}}",
    "sweep.runs": "[{model: linear}, {model: relu_stack, train.epochs: 50}]",
    "sweep.grid": "{optimizer.lr: [0.001, 0.01], seed: [0, 1]}",
    "sweep.random": "{optimizer.lr: {low: 0.0001, high: 0.1, scale: log}}",
    "sweep.samples": "8",
    "sweep.seed": "1",
}
"""A value of each key, as YAML. Of true or false, and of choices, it is the first other than the
default."""
_NEEDED = {
    "data.horizon": "data.lags=3",
    "data.gaps": "data.lags=3",
    "data.decimal": "data.separator=;",
    "data.split.validation_from": "data.split.column=part",
    "data.split.test_from": "data.split.column=part",
    "optimizer.nesterov": "optimizer.momentum=0.9",
}
"""What else has to be set for the example of a key, or of those inside it, beside its type."""


@dataclass(frozen=True)
class Variant:
    """A key in some members of a union, `of` by their tags; all there are where it is empty."""

    of: tuple[str, ...]
    type: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """A key: its variants, at least one, the unit of its numbers, and an example as YAML.

    needs: the settings, KEY=VALUE, without which the example is refused.
    """

    key: str
    variants: tuple[Variant, ...]
    unit: str
    example: str
    needs: tuple[str, ...] = ()

    @property
    def types(self) -> str:
        """The type, or each with its members."""
        return self._merged("type")

    @property
    def defaults(self) -> str:
        """The default, or each with its members."""
        return self._merged("default")

    @property
    def meanings(self) -> str:
        """The meaning, or each with its members."""
        return self._merged("meaning")

    def _merged(self, name: str) -> str:
        found: dict[str, list[str]] = {}
        for variant in self.variants:
            found.setdefault(getattr(variant, name), []).extend(variant.of)
        if len(found) == 1:
            return next(iter(found))
        if name == "meaning":
            return " ".join(f"{', '.join(of)}: {text}" for text, of in found.items())
        return ", ".join(f"{text} ({', '.join(of)})" for text, of in found.items())


@cache
def entries() -> dict[str, Entry]:
    """Return all keys in the order of the schema, those of a section after it."""
    schema = config_schema()
    found: dict[str, Entry] = {}
    for path in _paths(()):
        key, above = ".".join(path), models_at(path[:-1])
        union = above if len(above) > 1 else []
        if union and path[-1] == tag_of(union):
            variants = [_tag(path, union, schema)]
            choices: list[Any] = list(members(union))
        else:
            own = [model for model in above if path[-1] in model.model_fields]
            variants = [_variant(path, model, union, schema) for model in own]
            choices = _choices(_node(path, own[0], schema))
        default = variants[0].default
        other = (dump_value(choice) for choice in choices if dump_value(choice) != default)
        example = EXAMPLES.get(key) or next(other, default)
        needs = [value for start, value in _NEEDED.items() if f"{key}.".startswith(f"{start}.")]
        if of := variants[0].of:
            tag = found[".".join((*path[:-1], tag_of(union)))]
            if tag.variants[0].default not in of:
                needs.insert(0, f"{tag.key}={of[0]}")
        found[key] = Entry(key, tuple(variants), UNITS.get(key, ""), example, tuple(needs))
    return found


def find(name: str) -> list[Entry]:
    """Return the keys of that name: the key itself, and all inside it.

    Raises ConfigError with the key that was probably meant.
    """
    known = entries()
    if inside := [e for key, e in known.items() if key == name or key.startswith(f"{name}.")]:
        return inside
    if ends := [entry for key, entry in known.items() if key.endswith(f".{name}")]:
        return ends
    path = key_named(name, 0.6)
    meant = closest(name, known) if path is None else ".".join(map(str, path))
    hint = f"did you mean {meant}?" if meant else "ml2021 keys lists all of them"
    raise ConfigError(f"{echo(name)}: no such key; {hint}")


def _paths(above: Path) -> Iterator[Path]:
    """Yield the paths of all keys, those of a section after it."""
    for key in dict.fromkeys(key for model in models_at(above) for key in model.model_fields):
        path = (*above, key)
        yield path
        if models_at(path):
            yield from _paths(path)


def _node(path: Path, model: Model, schema: Schema) -> Schema:
    """Return the schema of a key of a model."""
    owner = schema if len(path) == 1 else schema["$defs"][model.__name__]
    node: Schema = owner["properties"][path[-1]]
    return node


def _tag(path: Path, union: Models, schema: Schema) -> Variant:
    """Return the key that selects a member of a union."""
    place = _node(path[:-1], models_at(path[:-2])[0], schema)
    free = [each["$ref"] for each in place["anyOf"] if "$ref" in each and "required" not in each]
    fields = [model.model_fields[path[-1]] for model in union]
    default = REQUIRED
    for model, field in zip(union, fields, strict=True):
        if f"#/$defs/{model.__name__}" in free:
            default = dump_value(field.default)
    meaning = " ".join(_text(_node(path, model, schema)) for model in union)
    return Variant((), _joined([*members(union)]), default, meaning)


def _variant(path: Path, model: Model, union: Models, schema: Schema) -> Variant:
    """Return what a key is in one model, the member of a union if there is one."""
    field = model.model_fields[path[-1]]
    tags: tuple[str, ...] = ()
    if union:
        tags = tuple(tag for tag, member in members(union).items() if member is model)
    if field.default is PydanticUndefined:
        default = REQUIRED
    elif isinstance(field.default, BaseModel):
        inner = models_at(path)
        tag = tag_of(inner) if len(inner) > 1 else None
        default = dump_value(getattr(field.default, tag)) if tag else "that of its keys"
    else:
        default = dump_value(field.default)
    node = _node(path, model, schema)
    return Variant(tags, _type(node, schema), default, _text(node))


def _text(node: Schema) -> str:
    return " ".join(node.get("description", "").split())


def _choices(node: Schema) -> list[Any]:
    """Return the values of a key that has few."""
    if node.get("type") == "boolean":
        return [True, False]
    choices: list[Any] = list(node.get("enum", ()))
    return choices + [value for each in node.get("anyOf", ()) for value in each.get("enum", ())]


def _joined(texts: Sequence[str]) -> str:
    """Return "a, b or c"."""
    *most, last = dict.fromkeys(texts)
    return f"{', '.join(most)} or {last}" if most else last


def _alternatives(node: Schema, schema: Schema) -> list[str]:
    """Return the values that a schema lists, each as YAML, or else its type."""
    if "anyOf" in node:
        return [text for inner in node["anyOf"] for text in _alternatives(inner, schema)]
    if "enum" in node or "const" in node:
        return [dump_value(value) for value in node.get("enum") or [node["const"]]]
    return [_type(node, schema)]


def _type(node: Schema, schema: Schema) -> str:
    """Say which values a key takes."""
    if not {"anyOf", "enum", "const"}.isdisjoint(node):
        return _joined(_alternatives(node, schema))
    if "$ref" in node:
        return "a mapping of its keys"
    match node.get("type"):
        case "integer":
            least = node.get("minimum", 1 if "exclusiveMinimum" in node else None)
            most = f" to {node['maximum']}" if "maximum" in node else ""
            if most:
                return f"a whole number from {least}{most}"
            return "a whole number" if least is None else f"a whole number of at least {least}"
        case "number":
            return f"a number{_bounds(node)}"
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "array":
            return f"a list of ({_type(node['items'], schema)})"
        case "object":
            values = node.get("additionalProperties")
            what = f" to ({_type(values, schema)})" if isinstance(values, dict) else ""
            return f"a mapping{what}"
        case _:
            return "one character" if node.get("maxLength") == 1 else "text"


def _bounds(node: Schema) -> str:
    """Say between what a number lies."""
    words = {
        "exclusiveMinimum": "greater than",
        "minimum": "at least",
        "exclusiveMaximum": "less than",
        "maximum": "at most",
    }
    bounds = [f"{word} {node[key]:g}" for key, word in words.items() if key in node]
    return f" {' and '.join(bounds)}" if bounds else ""
