"""What a person would write with another library: read, fit, predict, with its default settings.

    python accuracy_peer.py NAME TRAIN.csv TEST.csv TARGET TASK SEED OUTPUT.csv

TASK is regression or classification. OUTPUT gets a line for each row of TEST.csv: the prediction,
or the probabilities of the classes, in the order of their sorted texts. Imports nothing of ml2021,
so that it also runs with the Python of another environment. `python accuracy_peer.py` lists the
names that are installed.
"""

import importlib.util
import sys
import warnings
from typing import Any

PACKAGES = {
    "scikit-learn network": "sklearn",
    "LightGBM": "lightgbm",
    "XGBoost": "xgboost",
    "CatBoost": "catboost",
    "RealMLP-TD": "pytabkit",
}
MISSING = ["", "NA", "N/A", "null", "None", "NaN"]  # as `data.missing` is by default
_MOST_CATEGORIES = 100


def build(name: str, is_regression: bool, seed: int, texts: list[str]) -> Any:
    """Return the estimator of that name; `texts` are the columns of categories."""
    if name == "LightGBM":
        from lightgbm import LGBMClassifier, LGBMRegressor

        boosted = LGBMRegressor if is_regression else LGBMClassifier
        return boosted(random_state=seed, verbose=-1)
    if name == "XGBoost":
        from xgboost import XGBClassifier, XGBRegressor

        boosted = XGBRegressor if is_regression else XGBClassifier
        return boosted(random_state=seed, enable_categorical=True)
    if name == "CatBoost":
        from catboost import CatBoostClassifier, CatBoostRegressor

        boosted = CatBoostRegressor if is_regression else CatBoostClassifier
        settings = {"verbose": False, "allow_writing_files": False, "cat_features": texts}
        return boosted(random_seed=seed, **settings)
    if name == "RealMLP-TD":
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

        tuned = RealMLP_TD_Regressor if is_regression else RealMLP_TD_Classifier
        return tuned(random_state=seed, device="cpu", verbosity=0)
    return build_network(is_regression, seed, texts)


def build_network(is_regression: bool, seed: int, texts: list[str]) -> Any:
    """Return scikit-learn's network at its defaults, on standardised and one-hot columns."""
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", max_categories=_MOST_CATEGORIES)
    columns = ColumnTransformer([("text", one_hot, texts)], remainder=numbers)
    if not is_regression:
        return make_pipeline(columns, MLPClassifier(random_state=seed))
    network = make_pipeline(columns, MLPRegressor(random_state=seed))
    return TransformedTargetRegressor(network, transformer=StandardScaler())


def main() -> None:
    """Fit on the training rows and predict the test rows, or list what is installed."""
    if len(sys.argv) == 1:
        found = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]
        print("\n".join(found))
        return
    import numpy as np
    import pandas as pd

    name, train_path, test_path, target, task, seed, output = sys.argv[1:]
    is_regression = task == "regression"
    types = {} if is_regression else {target: str}
    train, test = (
        pd.read_csv(path, dtype=types, keep_default_na=False, na_values=MISSING)
        for path in (train_path, test_path)
    )
    inputs, others = train.drop(columns=target), test.drop(columns=target)
    inputs = inputs.dropna(axis=1, how="all")
    others = others[list(inputs)]
    texts = [column for column in inputs if not pd.api.types.is_numeric_dtype(inputs[column])]
    for column in texts:
        known = inputs[column].astype(str)
        inputs[column] = known.astype("category")
        others[column] = others[column].astype(str).astype(inputs[column].dtype)
        if name in ("CatBoost", "scikit-learn network"):  # their missing categories are texts
            inputs[column] = inputs[column].astype(str)
            others[column] = others[column].astype(str)
    # XGBoost refuses brackets in names.
    names = {column: f"x{place}" for place, column in enumerate(inputs)}
    inputs, others = inputs.rename(columns=names), others.rename(columns=names)
    if name == "RealMLP-TD":  # it refuses missing numbers
        medians = inputs.median(numeric_only=True)
        inputs, others = inputs.fillna(medians), others.fillna(medians)
    labels = train[target]
    if not is_regression:
        labels = labels.map({text: place for place, text in enumerate(sorted(labels.unique()))})
    model = build(name, is_regression, int(seed), [names[column] for column in texts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(inputs, labels)
        predicted = model.predict(others) if is_regression else model.predict_proba(others)
    np.savetxt(output, np.asarray(predicted), delimiter=",", fmt="%.17g")


if __name__ == "__main__":
    main()
