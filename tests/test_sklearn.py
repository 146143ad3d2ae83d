"""`ml2021.sklearn`: the estimators as scikit-learn wants them, with the bits of the command."""

import copy
import importlib
import os
import pickle
import re
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.exceptions import DataConversionWarning, SkipTestWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import ml2021
from ml2021.sklearn import Classifier, Regressor
from tests.commands import run_well

QUICK: dict[str, Any] = {"preset": "fast", "epochs": 3, "device": "cpu"}
BOTH = pytest.mark.parametrize("kind", [Regressor, Classifier])
WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "batches and validation rows are drawn by the "
    "places of the rows, which repeated and left out rows move; the objective, the statistics and "
    "the scores are the same"
}
"""The checks that cannot pass, with the reason."""


def numbers(rows: int = 60, columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, columns))
    return X, X[:, 0] - 2 * X[:, 1] + 0.1 * random.normal(size=rows)


def mixed(rows: int = 80) -> tuple[pd.DataFrame, pd.Series]:
    """Return a frame with text and gaps, under an index of its own, and a target."""
    random = np.random.default_rng(1)
    size = random.normal(size=rows)
    colour = random.choice(["red", "green", "blue"], rows)
    y = size + 3 * (colour == "red")
    frame = pd.DataFrame({"size": size, "colour": colour, "age": random.integers(1, 90, rows)})
    frame.loc[3, "size"], frame.loc[4, "colour"] = np.nan, None
    frame["kind"] = pd.Categorical(random.choice(["u", "v"], rows))
    frame.index = pd.Index(np.arange(rows)[::-1] * 7)
    return frame, pd.Series(y, frame.index, name="price")


def run_checks(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)  # its array API needs the environment
        results = check_estimator(estimator, expected_failed_checks=WEIGHTS, on_fail=None)
    assert len(results) > 50
    assert [r["check_name"] for r in results if r["status"] == "failed"] == []
    assert {r["check_name"] for r in results if r["status"] == "xfail"} <= {*WEIGHTS}


@BOTH
def test_scikit_learns_own_checks_pass(kind: type) -> None:
    run_checks(kind(preset="fast", epochs=20))


@pytest.mark.soak
def test_its_checks_pass_with_the_defaults_in_90_seconds() -> None:
    before = time.process_time()
    for kind in (Regressor, Classifier):
        run_checks(kind())
    assert time.process_time() - before < 90


def test_ten_lines_for_a_network_of_scikit_learn_run_with_ours() -> None:
    X, y = make_regression(n_samples=150, n_features=8, random_state=1)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
    network = Regressor(random_state=1, preset="fast")
    assert network.fit(X_train, y_train) is network
    assert network.predict(X_test[:2]).shape == (2,)
    assert network.score(X_test, y_test) > 0.8
    assert network.n_features_in_ == 8
    assert 1 <= network.n_iter_ <= 100
    assert network.get_params()["random_state"] == 1
    assert repr(network) == "Regressor(preset='fast', random_state=1)"


def same(one: ml2021.Model, other: ml2021.Model) -> bool:
    """Whether two models have the same parameters, bit for bit."""
    ours, theirs = one.to_torch().state_dict(), other.to_torch().state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


X, Y = numbers()
CASES: dict[str, tuple[Any, Any, Any]] = {
    "numbers": (np.where(X > 1.9, np.nan, X), Y, None),
    "float32": (X.astype(np.float32), Y.astype(np.float32), None),
    "integers": ((X * 9).astype(int), (Y * 9).astype(int), None),
    "several": (X[:, :2], X, None),
    "weights": (X, Y, np.arange(60) % 3),
    "texts": (X, np.where(Y > 0, "up", "down"), None),
    "labels": (X, np.digitize(Y, [-1, 1]) * 9, None),
    "truth": (X, Y > 0, None),
}


@pytest.mark.skipif(pd.__version__ < "3", reason="its reader rounds the last bit of some numbers")
@pytest.mark.parametrize("case", CASES)
def test_fit_on_arrays_is_the_command_on_their_csv_bit_for_bit(case: str, tmp_path: Path) -> None:
    X, y, weights = CASES[case]
    kind = Classifier if case in ("texts", "labels", "truth") else Regressor
    estimator = kind(**QUICK, members=2, numbers="piecewise").fit(X, y, weights)
    table = pd.DataFrame(X, columns=[f"x{place}" for place in range(X.shape[1])])
    targets = ["y"] if y.ndim == 1 else [f"y{place}" for place in range(y.shape[1])]
    table[targets] = y.reshape(len(y), -1)
    if weights is not None:
        table["sample_weight"] = weights
    table.to_csv(tmp_path / "table.csv", index=False)
    sets = [
        *("data.numbers=piecewise", "data.split.test=0.0", "preset=fast"),
        *("train.epochs=3", "train.members=2", "device=cpu"),
    ]
    sets += ["data.weight=sample_weight"] if weights is not None else []
    sets += ["task=classification"] if kind is Classifier else []
    arguments = [word for text in sets for word in ("--set", text)]
    target = [word for name in targets for word in ("--target", name)]
    run_well(tmp_path, "train", "--quiet", "table.csv", *target, "--run-dir", "run", *arguments)
    model = ml2021.load(tmp_path / "run")
    assert same(estimator.model_, model)
    if kind is Regressor and X.dtype != np.float32:
        np.testing.assert_array_equal(
            estimator.predict(X), model.predict(pd.read_csv(tmp_path / "table.csv"))
        )


@BOTH
def test_a_frame_with_text_and_gaps_needs_no_transformer(kind: type) -> None:
    frame, y = mixed()
    if kind is Classifier:
        y = (y > 1).map({True: "high", False: "low"})
    assert not np.isnan(cross_val_score(kind(**QUICK), frame, y, cv=2)).any()
    estimator = kind(preset="fast", epochs=30, device="cpu").fit(frame, y)
    assert estimator.feature_names_in_.tolist() == ["size", "colour", "age", "kind"]
    found = estimator.predict(frame)
    assert found.shape == (80,)
    assert (found == estimator.predict(frame.set_index(frame.index + 1))).all()
    importance = permutation_importance(estimator, frame, y, n_repeats=2, random_state=0)
    assert importance.importances_mean[1] > importance.importances_mean[2]
    with pytest.raises(ValueError, match="same order"):
        estimator.predict(frame[["age", "size", "colour", "kind"]])
    with pytest.raises(ml2021.DataError, match="size"):
        estimator.predict(frame.astype({"size": object}).assign(size="large"))


def test_a_wrong_parameter_or_target_is_told_in_the_users_terms() -> None:
    kinds: list[type] = [Regressor, Classifier]
    for kind in kinds:
        with pytest.raises(TypeError, match=rf"^{kind.__name__}\.__init__\(\).*'epoch'"):
            kind(epoch=3)
    labels = pd.Series(np.where(Y > 0, "yes", "no"))
    for y in (labels, labels.to_numpy(), [*labels], labels.astype("category"), labels.to_frame()):
        with pytest.raises(ValueError, match=r"y holds text, such as '(yes|no)'; use Classifier"):
            Regressor(**QUICK).fit(X, y)


def test_a_search_sets_sections_and_their_keys() -> None:
    grid = {
        "optimizer__lr": np.array([1e-9, 0.05]),
        "model": ["linear", {"type": "relu_stack", "widths": (8,)}],
    }
    search = GridSearchCV(Regressor(preset="fast", epochs=8), grid, cv=2).fit(X, Y)
    assert search.best_params_["optimizer__lr"] == 0.05
    assert search.best_estimator_.optimizer == {"lr": 0.05}
    inside = make_pipeline(StandardScaler(), Regressor(optimizer="sgd", **QUICK))
    inside.set_params(regressor__optimizer__lr=0.05, regressor__epochs=np.int64(2)).fit(X, Y)
    assert inside[-1].model_.config["optimizer"]["type"] == "sgd"
    assert inside[-1].model_.config["optimizer"]["lr"] == 0.05
    assert inside[-1].n_iter_ == 2
    with pytest.raises(ValueError, match="Invalid parameter 'optimiser'"):
        Regressor().set_params(optimiser__lr=1)
    with pytest.raises(ml2021.ConfigError, match="optimizer__rate: unknown key 'rate'"):
        Regressor().set_params(optimizer__rate=1).fit(X, Y)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": "many"}, "epochs"),
        ({"model": "tree"}, "model"),
        ({"loss": "cross_entropy"}, "loss"),
        ({"validation": 1.5}, "validation"),
        ({"exclude": ["x9"]}, "x9"),
        ({"random_state": -1}, "^random_state"),
        ({"validation": 0.999}, "lower validation$"),
        ({"validation": 1e-9}, "^validation: "),
        ({"exclude": ["x*"]}, "see features and exclude"),
        ({"features": "x0"}, r"^features: .*write \['x0'\]"),
        ({"clip_norm": "train.members"}, "^clip_norm: .* or None, not 'train.members'"),
        ({"early_stopping": 5}, "^early_stopping: .* or False"),
        ({"early_stopping": {"epochs": 5}}, "epochs.*is a parameter of its own"),
        ({"optimizer": {"lags": 5}}, "unknown key 'lags' in optimizer; remove it"),
        ({"refit": "no"}, "^refit: .*True or False"),
        ({"device": "cuda:99"}, "set device='cpu'"),
        ({"types": {"y": "category"}}, "Regressor does not fit 'y', a category in types"),
        ({"missing": 3}, "^missing: must be a list"),
        ({"optimizer": {"type": "sgd", "lr": 1e30}}, "smaller optimizer__lr, or clip_norm"),
    ],
)
def test_a_wrong_parameter_is_named_as_the_estimator_takes_it(
    setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(ml2021.Ml2021Error, match=message) as error:
        Regressor(**{**QUICK, **setting}).fit(X, Y)
    assert not re.search(r"(^|[^'])\b(data\.|train\.|seed\b|task\b|frame\b)", str(error.value))
    if "device" not in setting:
        assert isinstance(error.value, ValueError)


def test_what_a_classifier_and_intervals_lack_is_named_as_a_parameter() -> None:
    labels = np.where(Y > 0, "up", "down")
    wrong: dict[str, dict[str, Any]] = {
        "^class_weight.*or None": {"class_weight": "even"},
        "^loss: .*with Classifier; choose cross_entropy$": {"loss": "mse"},
        r"^metric auroc: .*validation rows \(validation\)": {"metric": "auroc", "validation": 0.02},
    }
    for message, setting in wrong.items():
        with pytest.raises(ValueError, match=message):
            Classifier(**{**QUICK, **setting}).fit(X, labels)
    many = pytest.warns(UserWarning, match="unique classes")  # of scikit-learn itself
    with many, pytest.raises(ValueError, match="another y, or use Regressor"):
        Classifier(**QUICK).fit(X, np.arange(60))
    for validation, message in ((0.0, "train with validation above 0"), (0.1, "raise validation")):
        estimator = Regressor(**QUICK, validation=validation).fit(X, Y)
        with pytest.raises(ValueError, match=message):
            estimator.predict_interval(X)


@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes"],
        [3, -7],
        [False, True],
        [2.0, 1.0],
        ["NA", ""],
        ["10", "9", "x"],
        ["1", "1.0", "01"],
        ["a", " a", "A"],
        [2**60, 2**60 + 1, 5],
        [10, 9, 100],
        ["1,5", "<=50K", "2021-03-01"],
    ],
    ids=str,
)
def test_labels_of_any_type_come_back_as_they_were(labels: list[Any]) -> None:
    classes = np.array(labels)
    y = classes[np.digitize(Y, [-0.5, 0.5]) % len(classes)]
    estimator = Classifier("linear", preset="fast", epochs=30, optimizer={"lr": 0.1}).fit(X, y)
    assert estimator.classes_.dtype == classes.dtype
    assert estimator.classes_.tolist() == sorted(labels)
    found = estimator.predict(X)
    assert found.dtype == classes.dtype
    probabilities = estimator.predict_proba(X)
    assert probabilities.shape == (60, len(classes))
    assert (estimator.classes_[probabilities.argmax(axis=1)] == found).all()
    assert estimator.score(X, y) > 0.6


def test_what_is_no_target_is_a_value_error() -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=60))
    for y, words in (
        (days, "y holds a Timestamp|y holds a datetime64"),
        (days.dt.tz_localize("Europe/Berlin"), "y holds a"),
        (days - days[0], "y holds a timedelta64"),
        (pd.Series([1, None] * 30, dtype="Int64"), "y contains NaN"),
    ):
        with pytest.raises(ValueError, match=words):
            Regressor(**QUICK).fit(X, y)
    for dtype in ("string", "category", "boolean"):
        labels = pd.Series([None, True if dtype == "boolean" else "a"], dtype=dtype)
        with pytest.raises(ValueError, match="y contains NaN"):
            Classifier(**QUICK).fit(X[:2], labels)
    exact = [Decimal(f"{value:.3f}") for value in Y]
    assert Regressor(**QUICK).fit(X, exact).predict(X).dtype == np.float64


def test_names_of_targets_are_those_of_no_predictions() -> None:
    y = pd.DataFrame({"a_std": Y, "a": -Y})
    estimator = Regressor(**QUICK, members=2).fit(X, y)
    assert estimator.predict(X).shape == (60, 2)
    assert estimator.model_.config["data"]["target"] == ["a_std_", "a"]


def test_numbers_with_marks_are_to_be_converted() -> None:
    frame = pd.DataFrame({"a": [f"{row + 1},500" for row in range(60)], "b": Y})
    with pytest.raises(ml2021.DataError, match=r"'1,500'\); convert them \(and 59 more"):
        Regressor(**QUICK).fit(frame, Y)


def test_columns_may_be_called_as_globs_are() -> None:
    frame = pd.DataFrame(X, columns=["a*", "?", "*"])
    estimator = Regressor(**QUICK).fit(frame, pd.Series(Y, name="*"))
    assert estimator.model_.features == ("a*", "?", "*")
    assert estimator.model_.config["data"]["target"] == "*_"
    assert (
        Regressor(**QUICK).fit(frame[["a*"]], pd.Series(Y, name="*")).predict(frame[["a*"]]).any()
    )


@pytest.mark.parametrize("dtype", ["boolean", "Int64", "string", "category"])
def test_labels_of_pandas_types_are_those_of_numpy(dtype: Any) -> None:
    given = {"boolean": Y > 0, "Int64": np.where(Y > 0, 7, -1)}
    values = given.get(dtype, np.where(Y > 0, "u", "v"))
    estimator = Classifier(**QUICK).fit(X, pd.Series(pd.array(values, dtype=dtype)))
    assert estimator.classes_.tolist() == np.unique(values).tolist()
    assert estimator.classes_.dtype.kind in (values.dtype.kind, "O")


def test_a_class_without_training_rows_has_no_probability() -> None:
    y = np.where(Y > 0, "up", "down").astype(object)
    y[7] = "once"
    weights = np.ones(60)
    weights[7] = 0
    estimator = Classifier(**QUICK).fit(X, y, weights)
    assert estimator.classes_.tolist() == ["down", "once", "up"]
    assert (estimator.predict_proba(X)[:, 1] == 0).all()
    assert set(estimator.predict(X)) <= {"down", "up"}


def test_weights_of_classes_are_named_by_their_labels() -> None:
    y = Y > 0
    plain = Classifier(**QUICK).fit(X, y).predict(X)
    heavy = Classifier(class_weight={True: 1000, False: 1e-3}, **QUICK).fit(X, y).predict(X)
    assert heavy.sum() > plain.sum()
    with pytest.raises(ValueError, match="'maybe' is no class"):
        Classifier(class_weight={"maybe": 2}, **QUICK).fit(X, y)
    Classifier(class_weight="balanced", **QUICK).fit(X, y)


def test_several_targets_keep_their_shape_and_have_intervals() -> None:
    y = pd.DataFrame({"a": Y, "x0": -Y})
    estimator = Regressor(**QUICK, validation=0.4).fit(X, y)
    assert estimator.predict(X).shape == (60, 2)
    ends = estimator.predict_interval(X, 0.5)
    assert ends.shape == (60, 2, 2)
    assert (ends[..., 0] < estimator.predict(X)).all()
    assert estimator.model_.config["data"]["target"] == ["a", "x0_"]
    assert estimator.score(X, y) < 1
    column = Regressor(**QUICK).fit(X, Y[:, None])
    assert column.predict(X).shape == (60, 1)
    single = Regressor(**QUICK, validation=0.4).fit(X, Y)
    low, high = single.predict_interval(X, level=0.8).T
    assert ((low < single.predict(X)) & (single.predict(X) < high)).all()
    with pytest.raises(ValueError, match="predict_interval"):
        single.predict_interval(X, 0.99)


@BOTH
def test_copies_predict_the_same(kind: type, tmp_path: Path) -> None:
    y = Y if kind is Regressor else Y > 0
    estimator = kind(**QUICK, members=2).fit(X, y)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    for other in (
        pickle.loads(pickle.dumps(estimator)),
        copy.deepcopy(estimator),
        joblib.load(tmp_path / "estimator.joblib"),
    ):
        np.testing.assert_array_equal(other.predict(X), estimator.predict(X))
        assert other.model_.scores == estimator.model_.scores
        assert other.n_iter_ == estimator.n_iter_
    fresh = clone(estimator)
    assert not hasattr(fresh, "model_")
    assert same(fresh.fit(X, y).model_, estimator.model_)


def test_frames_of_a_pipeline_and_routed_weights_arrive() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    steps = make_pipeline(StandardScaler(), Regressor(**QUICK)).set_output(transform="pandas")
    assert steps.fit(frame, Y)[-1].feature_names_in_.tolist() == ["a", "b", "c"]
    assert steps[-1].model_.features == ("a", "b", "c")
    weights = np.arange(60) % 2
    with sklearn.config_context(enable_metadata_routing=True):
        asked = Regressor(**QUICK).set_fit_request(sample_weight=True)
        search = GridSearchCV(asked.set_score_request(sample_weight=True), {"epochs": [2]}, cv=2)
        found = search.fit(X, Y, sample_weight=weights).best_estimator_
    assert same(found.model_, Regressor(**QUICK | {"epochs": 2}).fit(X, Y, weights).model_)


@pytest.fixture
def state() -> Iterator[None]:
    """Hold everything global to what it was."""

    def now() -> tuple[Any, ...]:
        return (
            torch.get_num_threads(),
            torch.get_rng_state().tolist(),
            repr(np.random.get_state()),
            torch.get_default_dtype(),
            np.geterr(),
            warnings.filters[:],
            {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            Path.cwd(),
        )

    import_module("sympy")  # by torch at some first use; it adds a filter of warnings
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 2)
    before = now()
    yield
    after = now()
    torch.set_num_threads(threads)
    assert after == before


@pytest.mark.usefixtures("state")
def test_nothing_global_changes_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    estimator = Regressor(**QUICK, random_state=np.random.RandomState(3)).fit(X, Y)
    estimator.predict(X)
    with pytest.raises(ValueError, match="constant"):
        Regressor(**QUICK).fit(np.ones((9, 2)), np.arange(9))
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("state")
def test_threads_train_side_by_side_to_the_same_bits() -> None:
    before = torch.get_num_threads()
    alone = [Regressor(**QUICK, random_state=seed).fit(X, Y).model_ for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        beside = [*pool.map(lambda seed: Regressor(**QUICK, random_state=seed).fit(X, Y), range(4))]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == before
    assert all(same(one, other.model_) for one, other in zip(alone, beside, strict=True))


@pytest.mark.soak
def test_workers_of_joblib_train_to_the_same_scores() -> None:
    frame, y = mixed()
    alone = cross_val_score(Regressor(**QUICK), frame, y, cv=3)
    np.testing.assert_array_equal(
        cross_val_score(Regressor(**QUICK), frame, y, cv=3, n_jobs=2), alone
    )


def test_small_tables_and_odd_arrays() -> None:
    assert Regressor(**QUICK).fit(X[:2], Y[:2]).predict(X[:1]).shape == (1,)
    assert Classifier(**QUICK).fit(X[:4], [1, 2, 1, 2]).predict(X).shape == (60,)
    Regressor(**QUICK).fit(X[:, :1], Y)
    words = np.array([["a", 1], ["b", 2], ["a", None], ["b", 4]] * 5, object)
    assert Regressor(**QUICK).fit(words, Y[:20]).predict(words[:2]).shape == (2,)
    with pytest.raises(ValueError, match="class"):
        Classifier(**QUICK).fit(X, np.ones(60))
    with pytest.raises(ValueError, match="infinity"):
        Regressor(**QUICK).fit(np.where(X > 1, np.inf, X), Y)
    with pytest.raises(ValueError, match="Negative"):
        Regressor(**QUICK).fit(X, Y, -np.ones(60))
    with pytest.raises(ValueError, match="shape"):
        Regressor(**QUICK).fit(pd.DataFrame(index=range(5)), Y[:5])
    with pytest.warns(DataConversionWarning):
        Classifier(**QUICK).fit(X, (Y > 0)[:, None])


def test_without_scikit_learn_the_import_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "ml2021.sklearn")
    with pytest.raises(
        ImportError, match=r"^ml2021\.sklearn needs scikit-learn.*ml2021\[sklearn\]'$"
    ):
        importlib.import_module("ml2021.sklearn")
