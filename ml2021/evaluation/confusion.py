"""Confusion: how often rows of one class were predicted as another.

Legend: N rows, C classes.
"""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ml2021.data.preprocessing.records import Record

MOST_CLASSES = 60
"""With more classes only the most frequent mistakes are kept: a picture of all shows nothing."""
MOST_MISTAKES = 100
Count = Annotated[int, Field(ge=0)]


class Confusion(Record):
    """How often rows of known classes were predicted as each class.

    rows: (C,) of each true class. cells: (true class, predicted class, rows), in that order, where
    there are rows; with more than `MOST_CLASSES` classes the most frequent mistakes alone.
    """

    rows: tuple[Count, ...]
    cells: tuple[tuple[Count, Count, Annotated[int, Field(ge=1)]], ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        classes = len(self.rows)
        if any(true >= classes or predicted >= classes for true, predicted, _ in self.cells):
            raise ValueError("a confusion of classes that there are not")
        found = dict.fromkeys(range(classes), 0)
        for true, _, rows in self.cells:
            found[true] += rows
        if len({cell[:2] for cell in self.cells}) < len(self.cells) or any(
            found[true] > rows or (found[true] < rows and self.is_whole)
            for true, rows in enumerate(self.rows)
        ):
            raise ValueError("a confusion that does not add up to the rows of its classes")
        return self

    @classmethod
    def of(cls, truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Self:
        """Count classes (N,) and the predictions (N,); rows of an unknown class, −1, are left out.

        The memory grows with the rows, not with the square of the classes.
        """
        assert truth.shape == predicted.shape == (len(truth),), (truth.shape, predicted.shape)
        for values in (truth, predicted):
            assert values.dtype == np.int64, values.dtype
            assert (values < classes).all(), f"class out of range({classes})"
        truth, predicted = truth[truth >= 0], predicted[truth >= 0]
        assert (predicted >= 0).all()
        cells, counts = np.unique(truth * classes + predicted, return_counts=True)
        true_classes, predicted_classes = np.divmod(cells, classes)
        if classes > MOST_CLASSES:
            mistakes = np.flatnonzero(true_classes != predicted_classes)
            frequent = np.argsort(-counts[mistakes], kind="stable")[:MOST_MISTAKES]
            kept = np.sort(mistakes[frequent])
        else:
            kept = np.arange(len(cells))
        of_class = np.bincount(truth, minlength=classes)
        each = (values[kept].tolist() for values in (true_classes, predicted_classes, counts))
        return cls(rows=tuple(of_class.tolist()), cells=tuple(zip(*each, strict=True)))

    @property
    def is_whole(self) -> bool:
        """Whether all cells with rows are there."""
        return len(self.rows) <= MOST_CLASSES

    def table(self) -> NDArray[np.int64]:
        """Return all counts (C, C), a line for each true class, of at most `MOST_CLASSES`."""
        assert self.is_whole
        counts = np.zeros((len(self.rows), len(self.rows)), np.int64)
        for true, predicted, rows in self.cells:
            counts[true, predicted] = rows
        return counts

    def mistakes(self, most: int) -> list[tuple[int, int, int]]:
        """Return the most frequent of the cells of another class than predicted."""
        wrong = [cell for cell in self.cells if cell[0] != cell[1]]
        return sorted(wrong, key=lambda cell: -cell[2])[:most]
