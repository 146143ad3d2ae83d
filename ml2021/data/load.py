"""Load training data: from a config and its table to training, validation and test samples.

`load_training_data` serves training, and scoring a run on its own rows; `ml2021.data.new_table`
reads any other table. Legend: N rows of the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ml2021.config import schema
from ml2021.data import cache
from ml2021.data.column_types import infer_column_types, with_date_parts
from ml2021.data.csv.scan import Header
from ml2021.data.dates import with_parts
from ml2021.data.folds import split_rows_in_folds
from ml2021.data.groups import group_codes, notes_on_groups
from ml2021.data.output_names import check_output_names
from ml2021.data.overview import ColumnSummary, summarise_columns
from ml2021.data.parts import find_parts
from ml2021.data.placement import place_rows
from ml2021.data.preprocessing.fit import fit_preprocessing
from ml2021.data.preprocessing.records import (
    ClassTarget,
    Preprocessing,
    RealTargets,
    describe_columns,
)
from ml2021.data.preprocessing.reuse import reuse_if_compatible
from ml2021.data.presets import fill_preset
from ml2021.data.repeated_rows import notes_on_repeated, row_hashes
from ml2021.data.resolve import (
    LocatedConfig,
    check_columns,
    date_parts,
    resolve_config,
    table_format_of,
)
from ml2021.data.row_notes import excluded_names, notes_on_rows
from ml2021.data.samples import FittedTable, Folds, Samples, notes_on_unfamiliar
from ml2021.data.series import usable_rows
from ml2021.data.splits import Split, split_rows, without_unseen
from ml2021.data.table_source import (
    FileSource,
    TableSource,
    notes_on_reading,
    read_in_order,
    source_of,
)
from ml2021.data.tables import Rows, refuse_rounded
from ml2021.data.weights import class_factors, named_classes
from ml2021.disk import columns_of, uses_disk
from ml2021.errors import ConfigError, DataError
from ml2021.formatting import bulleted, echo, listed, number, plural

if TYPE_CHECKING:
    from ml2021.data.new_table import NewTable


@dataclass(frozen=True)
class TrainingData:
    """All that training needs from the data. `config` has its defaults resolved.

    data_path: what messages call the table. data_sha256: of its bytes; test_sha256: of
    `data.test_path`, if given. parts, test_parts: the files of each, if it has several, with the
    SHA-256 of each.
    unused: the columns of the file that are not features or targets and do not order or split rows.
    folds: of a cross-validation; the samples and the preprocessing are then for the final model.
    init_sha256: of the checkpoint whose parameters training starts from, if any. columns: what each
    column in use holds, where the caller asked for it.
    """

    config: schema.Config
    preprocessing: Preprocessing
    split: Split
    data_path: Path
    data_sha256: str
    test_sha256: str | None
    notes: tuple[str, ...]
    unused: tuple[str, ...]
    train: Samples
    validation: Samples
    test: Samples
    folds: Folds | None
    parts: Mapping[Path, str] = field(default_factory=dict)
    test_parts: Mapping[Path, str] = field(default_factory=dict)
    init_sha256: str | None = None
    columns: tuple[ColumnSummary, ...] = ()

    @property
    def splits(self) -> dict[str, Samples]:
        """The samples of train, validation and test by name, without empty splits."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: samples for name, samples in splits.items() if len(samples)}

    @property
    def scored_split(self) -> tuple[str, Samples]:
        """The test split, the validation split if there is no test, or else the training split."""
        return list(self.splits.items())[-1]


class Plan(NamedTuple):
    """What is known of a run before its rows are encoded: what it takes depends on it.

    rows: of each split.
    """

    config: schema.Config
    preprocessing: Preprocessing
    rows: Mapping[str, int]
    folds: int


def load_training_data(
    loaded: LocatedConfig,
    reuse: Preprocessing | None = None,
    *,
    source: TableSource | None = None,
    with_columns: bool = False,
    beside: Path | None = None,
    check: Callable[[Plan], None] | None = None,
) -> TrainingData:
    """Read the table, split its rows, fit the preprocessing on the training rows, and apply it.

    The preprocessing `reuse` replaces the fitted one if it is compatible; callers report if not.
    source: the table, in place of the file that the config names.
    with_columns: also say what each column holds, which takes a pass over the table. beside: the
    run's directory, for rows that are on the disk. check: called before the rows are encoded, to
    refuse what does not fit into memory.

    Raises ConfigError for column names that the file does not have, DataError for its contents.
    """
    source = source or source_of(loaded)
    header = source.header()
    selection = check_columns(loaded, header)
    excluded = excluded_names(loaded.config.data, header, selection.used, source.size())
    place_notes = place_rows(loaded.config.data, source, len(selection.used), beside)
    can_keep = loaded.config.data.cache is not None and isinstance(source, FileSource)
    can_keep = can_keep and uses_disk() and cache.can_keep(loaded.config.data)
    if can_keep and not with_columns:
        kept_rows, cache_notes = cache.read_rows(loaded.config, reuse)
        if kept_rows is not None:
            return _from_cache(loaded, header, kept_rows, [*place_notes, *cache_notes], check)
        place_notes += cache_notes
    frame, file_order, read = read_in_order(source, loaded.config.data, selection, excluded)
    task, lags = loaded.config.task, loaded.config.data.lags
    read_notes = notes_on_reading(read, frame, selection, task)
    most = loaded.config.data.max_categories
    dates = date_parts(loaded.config.data)
    types = infer_column_types(
        frame, selection, task=task, lags=lags, max_categories=most, dates=dates
    )
    config = resolve_config(loaded, types.task)
    if types.task == "classification":
        refuse_rounded(read.rounded, selection.targets)
    columns = summarise_columns(frame, selection, types) if with_columns else ()
    rows, left_out = usable_rows(frame, selection, config.data)
    split = split_rows(config, frame, selection, rows)
    types = with_date_parts(types, frame, dates, split.train)
    frame = with_parts(frame, types.dates)
    config = fill_preset(config, len(split.train))
    preprocessing, fit_notes = fit_preprocessing(config, header, frame, selection, types, split)
    fitted = preprocessing
    if reuse is not None:
        preprocessing = reuse_if_compatible(preprocessing, reuse)
    _check_class_weight(loaded, preprocessing.target)
    name_notes = _check_names(config, preprocessing)
    split = without_unseen(split, preprocessing.target, frame)
    fold_splits, fold_notes = split_rows_in_folds(config, frame, selection, rows)
    if check is not None:
        check(Plan(config, preprocessing, split.sizes(), len(fold_splits)))
    notes = [
        *read_notes,
        *types.notes,
        *notes_on_rows(frame, selection, config.data, excluded),
        *fit_notes,
        *fold_notes,
    ]

    hashes = None if config.data.lags else row_hashes(frame, preprocessing)
    frame = frame.drop(columns=excluded) if excluded else frame
    clusters = None
    if config.data.group_by is not None:
        notes += notes_on_groups(config.data, frame[config.data.group_by], split.rows)
        if config.data.lags == 0:
            clusters = group_codes(frame[config.data.group_by])
    folds = None
    if fold_splits:
        own = FittedTable(frame, file_order, preprocessing, clusters)
        folds = Folds(own, types.features, fold_splits)
    order = _order_column(config.data)
    test_path = config.data.test_path
    table, features = FittedTable(frame, file_order, preprocessing, clusters).apart(order)
    del frame  # so that what `take_samples` has encoded is released
    if config.data.lags:
        notes += table.notes_on_filled(np.concatenate([*split.rows.values()]))
    kept = split if test_path is None else replace(split, test=split.test[:0])
    train, validation, test = table.take_samples(
        features, [kept.train, kept.validation, kept.test], order
    )
    test_sha256 = test_hashes = None
    test_parts: Mapping[Path, str] = {}
    if test_path is not None:
        left_out["marked as test, but data.test_path is given"] = len(split.test)
        new, rows = _read_test_file(loaded.config.data, preprocessing)
        test, test_sha256, test_parts = new.table.samples(rows, order), new.sha256, new.parts
        test_hashes = row_hashes(new.table.frame, preprocessing)[rows]
        unscored = f"no {new.table.needed_to_score} in data.test_path"
        left_out[unscored] = len(new.table.frame) - len(rows)
        split = replace(split, test=np.arange(len(test)))

    if hashes is not None:
        notes += notes_on_repeated(hashes, kept, fold_splits, test_hashes)
    left_out |= split.left_out
    used = {feature.name for feature in preprocessing.features}
    used |= {*selection.targets, *selection.extra, *(d.name for d in preprocessing.dates)}
    if isinstance(preprocessing.target, ClassTarget) and (unseen := int((test.classes < 0).sum())):
        text = f"{plural(unseen, 'test row')} of a class without training rows, counted as wrong"
        notes.append(text)
    for name, samples in (("validation", validation), ("test", test)):
        notes += notes_on_unfamiliar(name, samples)
    notes += [f"{plural(n, 'row')} excluded: {reason}" for reason, n in left_out.items() if n]
    data = TrainingData(
        config=config,
        preprocessing=preprocessing,
        split=split,
        data_path=header.path,
        data_sha256=read.sha256,
        test_sha256=test_sha256,
        parts=read.parts,
        test_parts=test_parts,
        notes=tuple(notes),
        unused=tuple(name for name in header.names if name not in used),
        train=train,
        validation=validation,
        test=test,
        folds=folds,
        columns=columns,
    )
    if can_keep:
        cache.keep_rows(loaded.config, data, is_fitted=preprocessing == fitted)
    before = (*place_notes, *_notes_on_names(header), *name_notes)
    return replace(data, notes=(*before, *data.notes))


def _from_cache(
    loaded: LocatedConfig,
    header: Header,
    kept: cache.KeptRows,
    notes: list[str],
    check: Callable[[Plan], None] | None,
) -> TrainingData:
    """Return the data whose rows were kept. Raises as `load_training_data` does."""
    meta, split = kept.meta, kept.split
    config = fill_preset(resolve_config(loaded, meta.task), len(split.train))
    _check_class_weight(loaded, meta.preprocessing.target)
    name_notes = _check_names(config, meta.preprocessing)
    if check is not None:
        check(Plan(config, meta.preprocessing, split.sizes(), 0))
    return TrainingData(
        config=config,
        preprocessing=meta.preprocessing,
        split=split,
        data_path=header.path,
        data_sha256=meta.data_sha256,
        test_sha256=meta.test_sha256,
        parts=cache.kept_parts(meta.parts),
        test_parts=cache.kept_parts(meta.test_parts),
        notes=(*notes, *_notes_on_names(header), *name_notes, *meta.notes),
        unused=meta.unused,
        train=kept.samples("train"),
        validation=kept.samples("validation"),
        test=kept.samples("test"),
        folds=None,
    )


def without_pieces(data: TrainingData) -> TrainingData:
    """Return the data as `data.numbers: standardise` loads them, bit for bit.

    Nothing is read again: the pieces are dropped from the inputs. Those of folds are made anew.
    """
    kept = [*data.preprocessing.plain_inputs, -1]
    preprocessing = data.preprocessing.without_pieces()
    folds, section = data.folds, data.config.data
    if folds is not None:
        folds = replace(folds, table=replace(folds.table, preprocessing=preprocessing))
    train, validation, test = (
        replace(samples, inputs=columns_of(samples.inputs, kept))
        for samples in (data.train, data.validation, data.test)
    )
    section = section.model_copy(update={"numbers": schema.Standardise()})
    return replace(
        data,
        config=data.config.model_copy(update={"data": section}),
        preprocessing=preprocessing,
        train=train,
        validation=validation,
        test=test,
        folds=folds,
    )


def with_config(data: TrainingData, loaded: LocatedConfig) -> TrainingData:
    """Return the data with another config of the same `data` section and task.

    Raises ConfigError if the config does not fit the data.
    """
    assert data.config.task != "auto"
    _check_class_weight(loaded, data.preprocessing.target)
    config = fill_preset(resolve_config(loaded, data.config.task), len(data.split.train))
    if isinstance(config.data.numbers, schema.Auto):  # decided once for all
        numbers = {"numbers": data.config.data.numbers}
        config = config.model_copy(update={"data": config.data.model_copy(update=numbers)})
    _check_names(config, data.preprocessing)
    return replace(data, config=config)


def _read_test_file(data: schema.Data, preprocessing: Preprocessing) -> "tuple[NewTable, Rows]":
    """Return the table of `data.test_path`, and its rows that can be scored."""
    from ml2021.data.new_table import read_new_table

    assert data.test_path is not None
    path = find_parts(data.test_path)
    new = read_new_table(preprocessing, path, table_format_of(data), "scored")
    rows = new.table.scorable_rows()
    if len(rows) == 0:
        needed = new.table.needed_to_score
        raise DataError(f"{path}: no row has a {needed}; add rows to score")
    return new, rows


def _check_class_weight(loaded: LocatedConfig, target: RealTargets | ClassTarget) -> None:
    """Raise ConfigError for a weight of what is no class."""
    setting = loaded.config.train.class_weight
    if not isinstance(setting, dict) or not isinstance(target, ClassTarget):
        return
    named = [(key, label) for key in setting for label in named_classes({key: 1.0}, target)]
    if unknown := [key for key, label in named if label not in target.labels]:
        where = loaded.locate("train", "class_weight", unknown[0])
        raise ConfigError(
            f"{where}: '{echo(unknown[0])}' is no class of {echo(target.label)}; "
            f"the classes are {listed(target.labels, 8)}"
        )


def _check_names(config: schema.Config, preprocessing: Preprocessing) -> list[str]:
    has_spread = bool(config.train.spread) and config.train.members > 1
    return check_output_names(preprocessing.target, preprocessing.history, spread=has_spread)


def _order_column(data: schema.Data) -> str | None:
    """Return the column that rows are ordered by, or split at thresholds, if any."""
    split = data.split
    if data.order_by is None and isinstance(split, schema.ColumnSplit):
        has_thresholds = split.validation_from is not None or split.test_from is not None
        return split.column if has_thresholds else None
    return data.order_by


def _notes_on_names(header: Header) -> list[str]:
    """Return a note on how repeated column names are numbered, with the first as an example."""
    if not header.repeated:
        return []
    names = next(iter(header.repeated.values()))
    more = f", and {plural(others, 'more name')}" if (others := len(header.repeated) - 1) else ""
    return [f"repeated column names are numbered: {listed(names)}{more}"]


def describe(data: TrainingData) -> list[str]:
    """Return lines on what is predicted, from how many rows, and how the columns are encoded."""
    sizes = data.split.sizes()
    target = data.preprocessing.target
    rows = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
    if data.folds is not None:
        rows = f"{sizes['train']:,} in {len(data.folds)} folds"
        rows += f", {sizes['test']:,} test" if sizes["test"] else ""
    names = listed(target.labels, 8)
    if isinstance(target, ClassTarget):
        names = f"{echo(target.label)} ({names})"
    first = f"{data.config.task} of {names}: rows {rows}"
    lines = describe_columns(data.preprocessing)
    if isinstance(target, ClassTarget):
        setting, train = data.config.train.class_weight, data.train
        factors = class_factors(setting, target, train.classes, train.weights)
        if factors is not None:
            each = zip(target.labels, factors.tolist(), strict=True)
            shown = listed((f"{echo(label)} {number(factor)}" for label, factor in each), 8)
            lines.append(f"weights of the classes in the objective: {shown}")
    return [first, *bulleted([*lines, *data.notes])]
