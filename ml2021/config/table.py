"""The section `data` of a config: the table, what its columns mean, and which rows do what.

Part of `ml2021.config.schema`, which says how to read it.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ml2021.config.values import (
    Character,
    Column,
    ColumnOrColumns,
    Count,
    Encoding,
    Fraction,
    Index,
    Scalar,
    Section,
    Text,
    conflict,
    short_for,
)


class FractionSplit(Section):
    """Rows are dealt out by share."""

    method: Literal["auto", "random", "stratified", "sequential"] = "auto"
    """How rows are chosen: `random`; `stratified`, which keeps the share of each class;
    `sequential`, the last rows in the order of the series. `auto` is stratified for classes,
    sequential with lags, else random."""
    validation: Fraction = 0.1
    """Share of the rows that choose the best epoch and stop training early."""
    test: Fraction = 0.2
    """Share of the rows that only the final scores see; 0 for none."""
    seed: Index = 0
    """Seed of the choice of rows; its own, so that runs with other seeds see the same rows."""

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "FractionSplit":
        if self.validation + self.test >= 1:
            raise conflict(
                f"data.split.validation {self.validation:g} and data.split.test {self.test:g} "
                "leave no rows to train on; make their sum less than 1",
                "validation",
                "test",
            )
        return self


class ColumnSplit(Section):
    """A column says which rows train, validate and test."""

    method: Literal["column"]
    """`column`: the rows are told apart by a column of the table."""
    column: Column
    """Name of that column. Its values are train, validation and test, or with `validation_from`
    and `test_from` something that has an order, such as dates. It is no feature."""
    validation_from: Scalar | None = None
    """Rows with this value or a greater one validate, up to `test_from`."""
    test_from: Scalar | None = None
    """Rows with this value or a greater one test."""


class KFoldSplit(Section):
    """Every row is held out once: as many networks are trained as there are folds."""

    method: Literal["kfold"]
    """`kfold`: cross-validation, stratified for classes. The scores are those of networks that did
    not see the rows that they are scored on; the final model is trained on all rows."""
    folds: Annotated[int, Field(ge=2)] = 10
    """Number of parts of equal size, each held out once."""
    validation: Fraction = 0.1
    """Share of each fold's training rows that choose its best epoch and stop it early."""
    seed: Index = 0
    """Seed of the choice of rows; its own, so that runs with other seeds see the same rows."""


Split = Annotated[
    FractionSplit | ColumnSplit | KFoldSplit,
    Field(discriminator="method"),
    short_for("method", "auto"),
]


class Data(Section):
    """The table, and what its columns mean."""

    path: Text
    """The CSV file (also .gz; Parquet where pyarrow is installed), relative to the working
    directory."""
    test_path: Text | None = None
    """A separate file to test on; null: the test rows come from `path`."""
    separator: Character = ","
    """The character between two fields of a row."""
    decimal: Literal[".", ","] = "."
    """The decimal mark in numbers."""
    encoding: Encoding = "utf-8"
    """The text encoding of the file."""
    header: bool = True
    """Whether the first row names the columns; if false they are named 0, 1, 2, ..."""
    missing: list[Scalar] = ["", "NA", "N/A", "null", "None", "NaN"]
    """Texts and numbers that mean a missing value."""
    target: ColumnOrColumns
    """The column to predict; a list or globs (`pixel_*`) make a structured output."""
    target_shape: Annotated[list[Count], Field(min_length=1)] | None = None
    """Shape of a structured output, such as [4, 8] for an image of 4 rows and 8 columns."""
    features: list[Column] = ["*"]
    """Columns to predict from, as names or globs; targets and excluded columns never count."""
    exclude: list[Column] = []
    """Columns to leave out, as names or globs."""
    lags: Index = 0
    """For a time series: how many previous values of the target become features."""
    horizon: Count = 1
    """With lags: how many values, the next ones, are predicted at once."""
    order_by: Column | None = None
    """The column that sorts the rows of a series; null: the order of the file."""
    split: Split = FractionSplit()
    """Which rows train, validate and test."""

    @model_validator(mode="after")
    def _marks_differ(self) -> "Data":
        if self.separator == self.decimal:
            raise conflict(
                f"data.separator and data.decimal are both '{self.decimal}'; change one of them",
                "decimal" if self.decimal == "," else "separator",
            )
        return self

    @model_validator(mode="after")
    def _series_is_one_column(self) -> "Data":
        if self.horizon > 1 and self.lags == 0:
            raise conflict(
                f"data.horizon {self.horizon} needs data.lags greater than 0; "
                "set data.lags, or data.horizon to 1",
                "horizon",
            )
        if self.lags > 0 and isinstance(self.target, list) and len(self.target) > 1:
            raise conflict(
                "data.lags needs one column as data.target, not "
                f"{len(self.target)}; set data.lags to 0, or choose one target",
                "lags",
            )
        if self.lags > 0 and isinstance(self.split, KFoldSplit):
            raise conflict(
                "data.split kfold deals rows out at random, and with data.lags a network would "
                "train on the days after those that it is scored on; use sequential",
                ("split", "method"),
                "split",
            )
        return self
