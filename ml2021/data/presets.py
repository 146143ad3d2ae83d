"""Presets: defaults that fit the table, for the keys that a config leaves unset.

`fast` is a single network on standardised numbers, the defaults of the schema. `default` costs at
most three times as much on up to 10,000 rows, and as much as `fast` from 40,000 on. `best` takes
its time. configs/guide.md has what each costs and gains.

What they set was chosen by the mean error over tables and splits, see tests/benchmarks/accuracy.md.
"""

import math
from itertools import product
from typing import Any, get_args

from ml2021.config import schema

_FEW, _SOME, _MANY = 1_000, 10_000, 40_000
_CLASSES = ("classification", "cross_entropy")


def fill_preset(config: schema.Config, rows: int) -> schema.Config:
    """Return the resolved config with what its preset sets, for the keys that it leaves unset.

    rows: the number of training rows. Only stacks of ReLUs without lags are filled: linear models,
    sums of sigmoids and series have one network on standardised columns unless a key says so. With
    any preset sums of sigmoids have a learning rate of their own, as a sigmoid far from its middle
    hardly moves, and no weight decay, which would flatten them.
    """
    is_set = "members" in config.train.model_fields_set
    if config.train.spread is None:
        train = config.train.model_copy(update={"spread": is_set and config.train.members > 1})
        config = config.model_copy(update={"train": train})
    if isinstance(config.model, schema.SigmoidSum):
        return _filled(config, {"optimizer": {"lr": 0.005, "weight_decay": 0.0}})
    if not isinstance(config.model, schema.ReluStack) or config.data.lags:
        return config
    train = config.train
    batches = 0 if train.batch_size == "full" else -(-rows // train.batch_size)
    optimizer: dict[str, Any] = {"lr": 0.003}
    loss: dict[str, Any] = {}
    match config.preset:
        case "fast":
            return config
        case "default":
            train_keys = _default(rows, batches)
        case "best":
            train_keys = _best(rows, batches)
            if config.task != "classification":
                # Gradients shrink with the residuals over a long schedule, and a memory of 20
                # updates follows. Those of classes shrink with confidence, and it overshoots.
                optimizer["beta2"] = 0.95
                # The fewer rows, the more of an error is a single network's chance. Classes gained
                # nothing from more members.
                train_keys["members"] = round(16 - 8 * _position(rows, _FEW, 2 * _FEW))
    if not train_keys:
        return config
    if config.task == "classification":
        train_keys["calibrate"] = True
        faded = 0.0 if config.preset == "best" else _position(rows, _SOME, _MANY)
        loss = _smoothing(rows, 1 - faded)
    if isinstance(config.data.split, schema.KFoldSplit):
        train_keys["refit"] = False
    numbers = {"numbers": schema.Auto()}
    filled = {"data": numbers, "train": train_keys, "optimizer": optimizer, "loss": loss}
    return _filled(config, filled)


def keys_of_presets() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the keys that presets set, and by which presets they are set, by the model.

    Found by filling configs for tables of all kinds.
    """
    found: dict[str, dict[str, dict[str, None]]] = {}
    presets = get_args(schema.Config.model_fields["preset"].annotation)
    models, tasks = ("relu_stack", "sigmoid_sum"), (("regression", "mse"), _CLASSES)
    splits = ("random", "kfold")
    for model, preset, (task, loss), split in product(models, presets, tasks, splits):
        data = {"path": "-", "target": "-", "split": split}
        plain = {"data": data, "task": task, "loss": loss, "preset": preset, "model": model}
        config = schema.Config.model_validate({**plain, "train": {"spread": False}})
        for rows in (_FEW // 2, _FEW, _SOME, _MANY):
            filled = fill_preset(config, rows)
            for name in ("data", "train", "optimizer", "loss"):
                before, after = getattr(config, name), getattr(filled, name)
                for key in type(after).model_fields:
                    if getattr(before, key) != getattr(after, key):
                        found.setdefault(f"{name}.{key}", {}).setdefault(model, {})[preset] = None
    return {
        key: {model: tuple(by) for model, by in of.items()} for key, of in sorted(found.items())
    }


def _filled(config: schema.Config, values_of: dict[str, dict[str, Any]]) -> schema.Config:
    """Return the config with these values of its sections where it has none.

    Those of the optimizer are AdamW's.
    """
    sections = {}
    for name, values in values_of.items():
        if name == "optimizer" and config.optimizer.type != "adamw":
            continue
        section = getattr(config, name)
        unset = {key: value for key, value in values.items() if key not in section.model_fields_set}
        sections[name] = section.model_copy(update=unset)
    return config.model_copy(update=sections)


def _default(rows: int, batches: int) -> dict[str, Any]:
    """Return the keys of `train`: fewer members and epochs the more rows there are."""
    if rows >= _MANY:
        return {}
    if rows <= _SOME:
        members = 5 - 2 * _position(rows, _FEW, _SOME)
        fewest = 60.0
    else:
        members = 3 - 2 * _position(rows, _SOME, _MANY)
        fewest = 60 + 40 * _position(rows, _SOME, _MANY)
    epochs = _epochs(batches, updates=4_000, fewest=round(fewest), most=200)
    return {**epochs, "members": round(members), "refit": rows <= 2_000}


def _best(rows: int, batches: int) -> dict[str, Any]:
    epochs = _epochs(batches, updates=10_000, fewest=100, most=400)
    return {**epochs, "members": 8, "refit": True}


def _smoothing(rows: int, share: float) -> dict[str, Any]:
    """Return the keys of `loss` for classes; share: of the most smoothing that a preset sets.

    It delays overfitting. What it takes from the probabilities, the temperature gives back; that is
    fitted on the validation rows, a tenth as many, of which it takes a hundred.
    """
    return {"label_smoothing": round(0.05 * share, 3)} if rows >= _FEW else {}


def _epochs(batches: int, *, updates: int, fewest: int, most: int) -> dict[str, Any]:
    """Return enough epochs for that many updates, within bounds, and the patience for them.

    Early stopping waits for a third of the schedule: the loss falls most when the rate does.
    """
    if not batches:  # gradient descent on all rows
        return {}
    epochs = min(max(math.ceil(updates / batches), fewest), most)
    return {"epochs": epochs, "early_stopping": schema.EarlyStopping(patience=max(20, epochs // 3))}


def _position(rows: int, low: int, high: int) -> float:
    """Return where `rows` lies between two other numbers, from 0 to 1, on a log scale."""
    return math.log(min(max(rows, low), high) / low) / math.log(high / low)
