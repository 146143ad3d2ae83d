"""What a person would write with pandas and scikit-learn instead of `ml2021 train` and `predict`.

    python sklearn_peer.py train CSV --widths 100 100 --epochs 20 --batch-size 32 [--save FILE]
    python sklearn_peer.py predict CSV --model FILE --output FILE

The target is the last column. How long it takes is left to `commands`.
"""

import argparse
import warnings
from pathlib import Path


def train(csv: Path, widths: list[int], epochs: int, batch_size: int, save: Path | None) -> None:
    """Read, split as ml2021 does by default, standardise, train, and score on the test rows."""
    import pandas as pd
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    table = pd.read_csv(csv)
    inputs = table.iloc[:, :-1].to_numpy("float32")
    targets = table.iloc[:, -1:].to_numpy("float32")
    inputs, test_inputs, targets, test_targets = train_test_split(
        inputs, targets, test_size=0.2, random_state=0
    )
    inputs, valid_inputs, targets, valid_targets = train_test_split(
        inputs, targets, test_size=0.125, random_state=0
    )
    input_scaler, target_scaler = StandardScaler().fit(inputs), StandardScaler().fit(targets)
    network = MLPRegressor(
        hidden_layer_sizes=widths,
        batch_size=batch_size,
        alpha=0.0,
        max_iter=epochs,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(input_scaler.transform(inputs), target_scaler.transform(targets)[:, 0])
    for part, rows, baselines in (
        ("validation", valid_inputs, valid_targets),
        ("test", test_inputs, test_targets),
    ):
        baselines = target_scaler.transform(baselines)[:, 0]
        print(part, "r2", network.score(input_scaler.transform(rows), baselines))
    if save is not None:
        import joblib

        joblib.dump((input_scaler, target_scaler, network), save)


def predict(csv: Path, model: Path, output: Path) -> None:
    """Read, standardise, predict, and write a CSV with the target's column."""
    import joblib
    import pandas as pd

    input_scaler, target_scaler, network = joblib.load(model)
    table = pd.read_csv(csv)
    inputs = input_scaler.transform(table.iloc[:, :-1].to_numpy("float32"))
    predictions = target_scaler.inverse_transform(network.predict(inputs)[:, None])
    pd.DataFrame(predictions, columns=table.columns[-1:]).to_csv(output, index=False)


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("csv", type=Path)
    training.add_argument("--widths", type=int, nargs="+", required=True)
    training.add_argument("--epochs", type=int, required=True)
    training.add_argument("--batch-size", type=int, required=True)
    training.add_argument("--save", type=Path)
    prediction = commands.add_parser("predict")
    prediction.add_argument("csv", type=Path)
    prediction.add_argument("--model", type=Path, required=True)
    prediction.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(
            arguments.csv, arguments.widths, arguments.epochs, arguments.batch_size, arguments.save
        )
    else:
        predict(arguments.csv, arguments.model, arguments.output)


if __name__ == "__main__":
    main()
