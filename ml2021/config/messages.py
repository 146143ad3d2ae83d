"""Messages about validation errors, in the terms of the config file.

`loading` adds their place in the file.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ml2021.config.paths import members, models_at, parents, resolve, tag_of, takes_null
from ml2021.config.types import CONFLICT, WRONG_VALUE
from ml2021.config.yaml_reader import KeyPath
from ml2021.config.yaml_scalars import dump_value, resolve_scalar
from ml2021.formatting import closest, echo, suggest

KEY_SYNONYMS = {
    "learning_rate": "lr", "learning_rate_init": "lr", "eta": "lr", "step_size": "lr",
    "n_epochs": "epochs", "num_epochs": "epochs", "max_epochs": "epochs", "n_iter": "epochs",
    "max_iter": "epochs", "iterations": "epochs",
    "batch": "batch_size", "minibatch": "batch_size", "minibatch_size": "batch_size",
    "hidden_layers": "widths", "hidden_layer_sizes": "widths", "layers": "widths",
    "hidden": "widths", "hidden_sizes": "widths", "layer_sizes": "widths", "neurons": "units",
    "hidden_units": "units", "hidden_size": "units", "width": "units",
    "l2": "weight_decay", "alpha": "weight_decay", "decay": "weight_decay",
    "epsilon": "eps", "beta_1": "beta1", "beta_2": "beta2", "rho": "alpha",
    "random_state": "seed", "random_seed": "seed", "manual_seed": "seed",
    "label": "target", "labels": "target", "y": "target", "output": "target",
    "outputs": "target", "output_features": "target", "targets": "target",
    "inputs": "features", "input_features": "features", "x": "features", "columns": "features",
    "drop": "exclude", "ignore": "exclude", "csv": "path", "file": "path", "filename": "path",
    "train_path": "path", "test_file": "test_path", "test": "test_path",
    "sep": "separator", "delimiter": "separator", "na_values": "missing",
    "window": "lags", "lookback": "lags", "lag": "lags", "steps_ahead": "horizon",
    "validation_split": "validation", "validation_fraction": "validation", "val": "validation",
    "val_split": "validation", "val_fraction": "validation", "test_split": "test",
    "valid": "validation", "valid_size": "validation", "val_size": "validation",
    "test_size": "test", "test_fraction": "test", "shuffle": "method", "strategy": "method",
    "name": "type", "kind": "type", "tolerance": "patience", "early_stop": "early_stopping",
    "clip": "clip_norm", "grad_clip": "clip_norm", "gradient_clipping": "clip_norm",
    "max_norm": "clip_norm", "scheduler": "schedule", "lr_scheduler": "schedule",
    "gamma": "factor", "step_epochs": "every", "optim": "optimizer", "solver": "optimizer",
    "training": "train", "trainer": "train", "dataset": "data", "network": "model", "net": "model",
    "criterion": "loss", "objective": "loss", "problem": "task", "accelerator": "device",
}  # fmt: skip
"""Names of our keys in other programs."""

CHOICE_SYNONYMS = {
    "mlp": "relu_stack", "relu": "relu_stack", "dense": "relu_stack", "nn": "relu_stack",
    "sigmoid": "sigmoid_sum", "logistic": "linear", "softmax": "linear",
    "l1": "mae", "mean_absolute_error": "mae", "absolute_error": "mae", "l1_loss": "mae",
    "l2": "mse", "mean_squared_error": "mse", "squared_error": "mse", "rmse": "mse",
    "smooth_l1": "huber", "log_loss": "cross_entropy", "bce": "cross_entropy",
    "categorical_crossentropy": "cross_entropy", "binary_crossentropy": "cross_entropy",
    "momentum": "sgd", "gradient_descent": "sgd",
    "classify": "classification", "binary": "classification", "multiclass": "classification",
    "time_series": "sequential", "ordered": "sequential", "shuffle": "random",
    "cosine_annealing": "cosine", "step_lr": "step", "none": "constant", "fixed": "constant",
    "piecewise_linear": "hard_sigmoid", "gpu": "cuda", "nvidia": "cuda",
}  # fmt: skip
"""Names of our choices in other programs."""

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a mapping",
    "dict_type": "a mapping",
}

_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}

_YAML_WORDS = {
    "None": "null", "True": "true", "False": "false", "inf": ".inf", "-inf": "-.inf", "nan": ".nan"
}  # fmt: skip

TAGS = ("type", "method")
"""The keys that choose a member of a union."""


class Finding(NamedTuple):
    """A message, and the paths that it is about: it belongs at the first that the user wrote."""

    paths: tuple[KeyPath, ...]
    is_at_key: bool
    message: str


def describe(error: ErrorDetails) -> Finding:
    """Describe a validation error of `Config` in the terms of the config file."""
    kind, location, context = error["type"], error["loc"], error.get("ctx", {})
    path, models = resolve(location)
    if kind == "extra_forbidden":
        (model,) = resolve(location[:-1])[1]
        chosen = str(location[-2]) if len(location) > 1 else ""
        return Finding((path,), True, _unknown_key(path, model, chosen))
    if kind == "missing":
        message = f"missing key '{path[-1]}' {_within(path[:-1])}; add it"
        return Finding((path,), False, message)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tag, choices = tag_of(models), members(models)
        message = f"missing key '{tag}' {_within(path)}; add it, as one of {_choices(choices)}"
        if kind == "union_tag_invalid":
            message = f"{dotted(path)} {tag} {_not_a_choice(choices, error['input'][tag])}"
        return Finding(((*path, tag),), False, message)
    if kind == CONFLICT:
        paths = tuple((*path, *keys) for keys in context["keys"])
        return Finding(paths, False, error["msg"])
    return Finding((path,), False, f"{dotted(path)} {_wrong_value(error, path, models)}")


def dotted(path: KeyPath) -> str:
    """Return a path in the notation of messages: `model.widths[1]`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{echo(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def key_named(word: str, cutoff: float) -> KeyPath | None:
    """Return the key that a word means, perhaps of another program: `lr`, `batch-size`, `hidden`.

    None if it means none; cutoff: as in `closest`. Of several keys of that name, return the one
    nearest to the top.
    """
    path = tuple(word.split("."))
    if path[:-1] in parents().get(path[-1], ()):
        return path
    key = closest(path[-1], parents(), KEY_SYNONYMS, cutoff=cutoff)
    return None if key is None else (*parents()[key][0], key)


def _wrong_value(error: ErrorDetails, path: KeyPath, models: Sequence[type[BaseModel]]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    given = shown(value)
    if kind in _BOUNDS:
        words, limit = _BOUNDS[kind]
        return f"must be {words} {context[limit]:.0f}, not {given}"
    if kind == "finite_number":
        return f"must be a finite number, not {given}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    if kind == "literal_error":
        return _not_a_choice(re.findall("'([^']*)'", context["expected"]), value)
    or_null = " or null" if takes_null(path) else ""
    if kind == "model_attributes_type":
        names = _choices(members(list(models)))
        return f"must be one of {names}, or a mapping{or_null}, not {given}"
    wanted = error["msg"] if kind == WRONG_VALUE else f"must be {_WANTED[kind]}"
    off = "; write null to turn it off" if value is False and or_null else ""
    return f"{wanted}{or_null}, not {given}{off or _advice(wanted, value)}"


def _advice(wanted: str, value: object) -> str:
    """Say how to fix a value of the wrong type, if the type does not make that obvious."""
    if isinstance(value, str) and "number" in wanted and _looks_like_number(value):
        return "; remove the quotes"
    if isinstance(value, str) and "cuda" in wanted:
        return suggest(value, ["cuda"], CHOICE_SYNONYMS)
    if isinstance(value, str) and wanted == "must be a list":
        return f"; write [{echo(value)}]"
    if isinstance(value, float) and "whole number" in wanted and value.is_integer():
        return f"; write {value:.0f}"
    if isinstance(value, bool | int | float | None) and ("text" in wanted or "name" in wanted):
        return "; quote it if it is text"
    return ""


def _looks_like_number(text: str) -> bool:
    try:
        return type(resolve_scalar(text)) in (int, float)
    except ValueError:
        return False


def _not_a_choice(choices: Iterable[str], wrong: object) -> str:
    hint = suggest(wrong, choices, CHOICE_SYNONYMS) if isinstance(wrong, str) else ""
    return f"must be one of {_choices(choices)}, not {shown(wrong)}{hint}"


def _unknown_key(path: KeyPath, model: type[BaseModel], chosen: str) -> str:
    *above, key = path
    assert isinstance(key, str), "keys of a mapping are text"
    where = tuple(above)
    union = models_at(where)
    if len(union) > 1:
        tag = tag_of(union)
        others = [name for name, m in members(union).items() if key in m.model_fields]
        if others:
            choices = " or ".join(filter(None, (", ".join(others[:-1]), others[-1])))
            wrong = f"{dotted(where)} {tag} {chosen} has no key '{key}'"
            return f"{wrong}; remove it, or choose {tag} {choices}"
    named = f"unknown key '{echo(key)}' {_within(where)}"
    if key in parents():
        return f"{named}; it belongs {' or '.join(map(_within, parents()[key]))}"
    near = suggest(key, model.model_fields, KEY_SYNONYMS)
    if near:
        return named + near
    far = closest(key, parents(), KEY_SYNONYMS)
    if far is not None:
        return f"{named}; did you mean '{far}' {_within(parents()[far][0])}?"
    return f"{named}; valid keys: {', '.join(model.model_fields)}"


def _within(where: KeyPath) -> str:
    return f"in {dotted(where)}" if where else "at the top level"


def _choices(names: Iterable[str]) -> str:
    return ", ".join(n if n.replace("_", "").isalnum() else f"'{n}'" for n in names)


def shown(value: object) -> str:
    """Return a value as it is written in YAML; lists and mappings are only named."""
    if isinstance(value, str):
        return f"'{echo(value)}'"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    text = echo(value)
    return _YAML_WORDS.get(text, text)


def differences(now: object, then: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the path of each value that differs between two plain configs, and a message about it.

    If a union has another member, only its tag is reported.
    """
    if now == then:
        return
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        keys = dict.fromkeys((*now, *then))
        tag = next((key for key in keys if key in TAGS and now.get(key) != then.get(key)), None)
        for key in keys if tag is None else (tag,):
            yield from differences(now.get(key), then.get(key), (*path, key))
    else:
        yield path, f"{dotted(path)} is {echo(dump_value(now))}, but was {echo(dump_value(then))}"
