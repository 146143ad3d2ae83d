"""Write digits.csv and diabetes.csv, two real tables, from the copies inside scikit-learn.

Nothing is downloaded and nothing is changed: the rows keep their order, the numbers their value.
Where the tables come from and what their columns mean is told in README.md beside this file. Run
it with an optional folder to write to:

    python data/bundled_tables.py [FOLDER]
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sklearn.datasets import load_diabetes, load_digits


def write_table(path: Path, header: Sequence[str], rows: Iterable[Iterable[float]]) -> None:
    """Write a CSV with the shortest text that reads back as the same float64, 3 rather than 3.0."""
    lines = [",".join(header)]
    lines += [",".join(repr(float(value)).removesuffix(".0") for value in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def write_digits(folder: Path) -> None:
    """Write digits.csv: 64 pixels, row by row from the top left one, then the digit."""
    pixels, digits = load_digits(return_X_y=True)
    header = [*(f"pixel_{number}" for number in range(64)), "digit"]
    rows = ([*row, digit] for row, digit in zip(pixels, digits, strict=True))
    write_table(folder / "digits.csv", header, rows)


def write_diabetes(folder: Path) -> None:
    """Write diabetes.csv: ten features as they were measured, not scaled, then the progression."""
    table = load_diabetes(scaled=False)
    rows = ([*row, target] for row, target in zip(table.data, table.target, strict=True))
    write_table(folder / "diabetes.csv", [*table.feature_names, "progression"], rows)


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    write_digits(chosen)
    write_diabetes(chosen)
