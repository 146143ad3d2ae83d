"""Estimators of scikit-learn: `Regressor` and `Classifier`.

They train as `ml2021.train` does, on the same numbers. A data frame may hold text, categories,
dates and missing cells; its columns are treated as those of a CSV. An array holds numbers, NaN for
missing, or objects that are numbers or text; its columns are called x0, x1, ... in `model_`.
Legend: N rows, F columns, T targets, C classes.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"ml2021.sklearn needs scikit-learn 1.6 or newer ({error}); pip install 'ml2021[sklearn]'"
    ) from None

from ml2021.config.parameters import SECTIONS, as_mapping, named_by_parameters
from ml2021.config.schema import FractionSplit
from ml2021.data.array_names import class_names, column_name, target_names, unused_name
from ml2021.data.preprocessing.records import value_text
from ml2021.fitting import train
from ml2021.model import Model

_Setting = str | Mapping[str, Any] | None
"""A section of the config: the type, or a mapping of its keys; None: the default."""


class _Estimator(BaseEstimator):
    """What both estimators share: parameters, columns, and the training."""

    model_: Model
    n_iter_: int
    n_features_in_: int

    def __init__(
        self,
        model: _Setting = None,
        *,
        loss: _Setting = None,
        optimizer: _Setting = None,
        preset: Literal["fast", "default", "best"] | None = None,
        members: int | None = None,
        epochs: int | None = None,
        batch_size: int | Literal["full"] | None = None,
        schedule: _Setting = None,
        clip_norm: float | None = None,
        early_stopping: Mapping[str, int] | Literal[False] | None = None,
        metric: str | None = None,
        refit: bool | None = None,
        validation: float | None = None,
        features: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        numbers: _Setting = None,
        types: Mapping[str, str] | None = None,
        dates: Sequence[str] | None = None,
        max_categories: int | None = None,
        missing: Sequence[str | float] | None = None,
        device: str | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.preset = preset
        self.members = members
        self.epochs = epochs
        self.batch_size = batch_size
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.metric = metric
        self.refit = refit
        self.validation = validation
        self.features = features
        self.exclude = exclude
        self.numbers = numbers
        self.types = types
        self.dates = dates
        self.max_categories = max_categories
        self.missing = missing
        self.device = device
        self.random_state = random_state

    __init__.__qualname__ = "Regressor.__init__"  # whose alone it is, and which errors name

    def set_params(self, **params: Any) -> Self:
        """Set parameters, and single keys of those that are sections, such as optimizer__lr=0.01.

        A key joins what the section is at that time. Raises ValueError for unknown parameters; what
        the keys are is checked by `fit`.
        """
        known = self.get_params(deep=False)
        keys = {name: name.split("__", 1) for name in params if name.split("__")[0] in known}
        inner = {name: parts for name, parts in keys.items() if len(parts) == 2}
        super().set_params(**{name: params[name] for name in params if name not in inner})
        for name, (section, key) in inner.items():
            setattr(self, section, {**as_mapping(getattr(self, section)), key: params[name]})
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        # Text is taken, too; but the tag `string` demands that any object in an array is.
        return tags

    def _settings(self) -> dict[str, Any]:
        """Return the parameters as a config, without its columns."""
        config: dict[str, Any] = {"data": {"split": {"test": 0.0}}, "train": {"keep_path": False}}
        values = self.get_params(deep=False)
        for sections, names in SECTIONS.items():
            place = config
            for section in sections:
                place = place[section]
            given = {name: values[name] for name in names if values.get(name) is not None}
            if given.get("early_stopping") is False:
                given["early_stopping"] = None
            place |= given
        if self.random_state is not None:
            seed = self.random_state
            if not isinstance(seed, Integral):
                seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
            config["seed"] = seed
        return config

    def _fit(
        self,
        table: pd.DataFrame,
        targets: Mapping[str, Any],
        sample_weight: Any,
        config: Mapping[str, Any],
    ) -> None:
        """Train on the table and its targets, each (N,) by a name that the table has not."""
        columns: dict[str, Any] = {**targets}
        data, names = config["data"], [*targets]
        data["target"] = names[0] if len(names) == 1 else names
        rows = len(table)
        if sample_weight is not None:
            weights = _check_weights(sample_weight, rows)
            rows = int(np.count_nonzero(weights))
            data["weight"] = unused_name("sample_weight", {*table.columns, *names})
            columns[data["weight"]] = weights
        split = data["split"]
        if "validation" not in split and round(rows * FractionSplit().validation) == 0:
            split["validation"] = 0.0
        with named_by_parameters():
            self.model_ = train(config, pd.concat([table, pd.DataFrame(columns)], axis=1))
        assert self.model_.epochs is not None
        self.n_iter_ = self.model_.epochs

    def _table(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Return the rows as a frame, its columns called as in training, under a plain index.

        Raises ValueError for other columns than in training, and whatever is no table; TypeError
        for a sparse matrix; NotFittedError.
        """
        if not reset:
            check_is_fitted(self)
        least = 2 if reset else 1
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, skip_check_array=True, reset=reset)
            if len(X) < least or not X.shape[1]:
                raise ValueError(f"X has the shape {X.shape}; at least {(least, 1)} is needed")
            table = X.copy(deep=False)
            table.index = pd.RangeIndex(len(X))
        else:
            checks = {"ensure_all_finite": "allow-nan", "ensure_min_samples": least}
            X = validate_data(self, X, reset=reset, dtype=None, **checks)
            if X.dtype.kind == "O":
                with suppress(ValueError):  # of text; what is neither it nor a number: TypeError
                    X = X.astype(np.float64)
            elif X.dtype.kind in "US":
                X = X.astype(str).astype(object)
            table = pd.DataFrame(X)
        names = [f"x{place}" for place in range(self.n_features_in_)]
        table.columns = pd.Index(getattr(self, "feature_names_in_", names))
        return table


class Regressor(RegressorMixin, _Estimator):
    """A network for numbers, as an estimator of scikit-learn.

    The parameters are named as the config's keys, which `ml2021 keys NAME` and configs/README.md
    explain; None is the config's default. What is a section there is its type, such as
    model="linear", or a mapping: optimizer={"type": "sgd", "lr": 0.1}. `set_params` and searches
    also take single keys of them: optimizer__lr. early_stopping=False stops never. validation is
    the share of the rows given to `fit` that choose the best epoch and calibrate intervals; by
    default a tenth, none of fewer than six rows. There are no test rows. random_state is the
    `seed`; None is 0, so that the same data give the same model, and a RandomState draws it.

    Fitted attributes: model_, the `ml2021.Model`; n_iter_, the epochs trained; n_features_in_, and
    of a data frame feature_names_in_.

    `fit` raises ValueError; ml2021.ConfigError, ml2021.DataError and ml2021.DivergenceError are.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows (N, F) and their numbers y, (N,), or (N, T) for several at once.

        sample_weight: (N,), each at least 0; a row of weight 2 counts as two.
        """
        table = self._table(X, reset=True)
        values = _check_target(y, "numeric")
        check_consistent_length(table, values)
        if values.dtype.kind == "b":
            values = values.astype(np.float64)
        self._shape = values.shape[1:]
        width = values.shape[1] if self._shape else 1
        names = target_names(y, width, {*table.columns})
        targets = dict(zip(names, values.reshape(len(values), width).T, strict=True))
        task = "regression" if width == 1 else "structured"
        self._fit(table, targets, sample_weight, {**self._settings(), "task": task})
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the predictions, (N,) or (N, T) as y was."""
        table = self._table(X, reset=False)
        with named_by_parameters():
            values: NDArray[np.float64] = self.model_.predict(table).to_numpy()
        return values.reshape(len(table), *self._shape)

    def predict_interval(self, X: Any, level: float = 0.9) -> NDArray[np.float64]:
        """Return the two ends of an interval around each prediction, (N, 2) or (N, T, 2).

        A share of `level` of the validation rows is within theirs. Raises ValueError if they are
        too few for that level.
        """
        table = self._table(X, reset=False)
        with named_by_parameters():
            ends = self.model_.predict_interval(table, level).to_numpy()
        return ends.reshape(len(table), *self._shape, 2)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class Classifier(ClassifierMixin, _Estimator):
    """A network for classes, as an estimator of scikit-learn.

    The parameters are those of `Regressor`; class_weight, which is "balanced" or a mapping from
    labels to weights; and calibrate. Labels are texts, integers or truth values, as y holds them.

    Fitted attributes: those of `Regressor`, and classes_ (C,), the labels of y in sorted order.
    `model_` calls the classes by the text of their labels; where two would be alike or one stands
    for a missing value, by their places in classes_.

    `fit` raises the errors of `Regressor`.
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        model: _Setting = None,
        *,
        loss: _Setting = None,
        optimizer: _Setting = None,
        preset: Literal["fast", "default", "best"] | None = None,
        members: int | None = None,
        epochs: int | None = None,
        batch_size: int | Literal["full"] | None = None,
        schedule: _Setting = None,
        clip_norm: float | None = None,
        early_stopping: Mapping[str, int] | Literal[False] | None = None,
        metric: str | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        refit: bool | None = None,
        calibrate: bool | None = None,
        validation: float | None = None,
        features: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        numbers: _Setting = None,
        types: Mapping[str, str] | None = None,
        dates: Sequence[str] | None = None,
        max_categories: int | None = None,
        missing: Sequence[str | float] | None = None,
        device: str | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            model,
            loss=loss,
            optimizer=optimizer,
            preset=preset,
            members=members,
            epochs=epochs,
            batch_size=batch_size,
            schedule=schedule,
            clip_norm=clip_norm,
            early_stopping=early_stopping,
            metric=metric,
            refit=refit,
            validation=validation,
            features=features,
            exclude=exclude,
            numbers=numbers,
            types=types,
            dates=dates,
            max_categories=max_categories,
            missing=missing,
            device=device,
            random_state=random_state,
        )
        self.class_weight = class_weight
        self.calibrate = calibrate

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows (N, F) and their labels y (N,).

        sample_weight: (N,), each at least 0; a row of weight 2 counts as two.
        """
        table = self._table(X, reset=True)
        labels = column_or_1d(_check_target(y, None), warn=True)
        check_classification_targets(labels)
        check_consistent_length(table, labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        config = self._settings() | {"task": "classification"}
        data = config["data"]
        target = unused_name(column_name(y) or "y", {*table.columns})
        names = class_names(self.classes_, data.get("missing"))
        if not isinstance(names[0], int):
            data["types"] = {**data.get("types", {}), target: "category"}
        if isinstance(weights := self.class_weight, Mapping):
            texts = dict(zip(self.classes_.tolist(), map(str, names), strict=True))
            if unknown := [label for label in weights if label not in texts]:
                raise ValueError(f"class_weight: {unknown[0]!r} is no class of y")
            own = {texts[label]: weight for label, weight in weights.items()}
            config["train"]["class_weight"] = own
        self._fit(table, {target: np.array(names)[codes]}, sample_weight, config)
        self._places = {str(name): place for place, name in enumerate(names)}
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable label of each row (N,)."""
        places = self.predict_proba(X).argmax(axis=1)  # which says so if it is not fitted
        return np.asarray(self.classes_[places])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each of classes_, (N, C); 0 of one without training rows."""
        table = self._table(X, reset=False)
        with named_by_parameters():
            found = self.model_.predict_proba(table)
        probabilities = np.zeros((len(table), len(self.classes_)))
        texts = (str(x) if isinstance(x, bool) else value_text(x) for x in found.columns.tolist())
        places = [self._places[text] for text in texts]
        probabilities[:, places] = found.to_numpy()
        return probabilities


def _check_target(y: Any, dtype: Literal["numeric"] | None) -> NDArray[Any]:
    """Return y as an array (N,) or (N, T). Raises ValueError for what it cannot hold."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    if isinstance(y, pd.Series) and y.hasnans:  # of which check_array makes a TypeError for text
        raise ValueError("Input y contains NaN.")
    if isinstance(y, pd.Series) and hasattr(y.dtype, "numpy_dtype"):
        y = y.to_numpy(y.dtype.numpy_dtype)  # truth values, which become floats otherwise
    try:
        values = np.asarray(check_array(y, ensure_2d=False, dtype=dtype, input_name="y"))
        if dtype == "numeric" and values.dtype.kind == "O":
            with suppress(TypeError):
                values = values.astype(np.float64)
    except ValueError:
        text = next((cell for cell in np.asarray(y, object).flat if isinstance(cell, str)), None)
        if dtype is None or text is None:
            raise
        raise ValueError(f"y holds text, such as {text!r}; use Classifier, or convert it") from None
    if dtype == "numeric" and values.dtype.kind not in "biuf":
        raise ValueError(f"y holds a {type(values.flat[0]).__name__}, no number; convert it")
    return values


def _check_weights(sample_weight: Any, rows: int) -> NDArray[np.float64]:
    """Return the weights of the rows (N,), not all zero. Raises ValueError for others."""
    if isinstance(sample_weight, Real):
        sample_weight = np.full(rows, sample_weight)
    weights = check_array(
        sample_weight,
        ensure_2d=False,
        dtype=np.float64,
        ensure_non_negative=True,
        input_name="sample_weight",
    )
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight has the shape {weights.shape}, not {(rows,)}")
    if not weights.any():
        raise ValueError("every sample_weight is zero")
    return np.asarray(weights)
