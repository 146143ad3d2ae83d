"""Broken variants of the program: each suite must turn red on its own, or it tests nothing.

A mutant changes functions of a process that is thrown away; none of this ships. `caught_by` names
the test file whose suite has to notice it.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """What is broken: `apply` breaks it in this process."""

    caught_by: str
    apply: Callable[[], None]


def settings(*, report_seconds: float | None = None) -> None:
    """Set how often the engine yields: below 0 it does, and training saves, at every update."""
    from ml2021.engine import fit

    if report_seconds is not None:
        fit.PROGRESS_SECONDS = report_seconds


def put(original: Callable[..., Any], broken: Callable[..., Any]) -> None:
    """Put a broken function in place of the original, wherever a module has imported it."""
    found = 0
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "ml2021":
            for key, value in list(vars(module).items()):
                if value is original:
                    setattr(module, key, broken)
                    found += 1
    assert found, original


def _write_in_place() -> None:
    from ml2021.errors import ResourceError
    from ml2021.files import replace_file

    def broken(path: Path, *content: bytes | memoryview) -> None:
        try:
            with path.open("wb", buffering=0) as file:
                file.write(b"".join(content))
                os.fsync(file.fileno())
        except OSError as error:
            raise ResourceError(f"{path}: cannot be written ({error.strerror})") from None

    put(replace_file, broken)


def _replace_without(*left_out: str) -> Callable[[], None]:
    """Return what makes `replace_file` leave a step out, or do it after the rename."""

    def apply() -> None:
        from ml2021.files import replace_file

        def broken(path: Path, *content: bytes | memoryview) -> None:
            temporary = path.with_name(f".{path.name}.{os.getpid()}.ml2021")
            with temporary.open("wb") as file:
                for piece in content:
                    file.write(piece)
                file.flush()
                if "late" in left_out:
                    temporary.replace(path)
                if "file" not in left_out:
                    os.fsync(file.fileno())
            if "late" not in left_out:
                temporary.replace(path)
            if "folder" not in left_out:
                folder = os.open(path.parent, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)

        put(replace_file, broken)

    return apply


def _swallow_disk_errors() -> None:
    from ml2021.errors import ResourceError
    from ml2021.files import replace_file

    def broken(path: Path, *content: bytes | memoryview) -> None:
        with contextlib.suppress(ResourceError):
            replace_file(path, *content)

    put(replace_file, broken)


def _metrics_unflushed() -> None:
    from ml2021.runs.metrics_csv import MetricsWriter

    MetricsWriter.flush = lambda self: None  # type: ignore[method-assign]


def _metrics_not_cut_back() -> None:
    from ml2021.runs import metrics_csv

    whole = metrics_csv.MetricsWriter.__init__

    def broken(self: Any, path: Path, columns: Any, epochs: int) -> None:
        if not epochs:
            whole(self, path, columns, epochs)
            return
        self._path, self._columns, self._file = path, columns, path.open("a")

    metrics_csv.MetricsWriter.__init__ = broken  # type: ignore[method-assign]


def _leftovers_stay() -> None:
    from ml2021.runs.directory import remove_leftovers

    put(remove_leftovers, lambda run: None)


def _half_made_is_in_the_way() -> None:
    from ml2021.runs import directory

    put(directory._has_not_begun, lambda path: False)


def _finished_without_a_summary() -> None:
    from ml2021.files import is_there

    put(is_there, lambda path: path.name == "summary.json" or is_there(path))


def _a_failing_disk_is_a_missing_file() -> None:
    from ml2021.files import is_there

    def broken(path: Path) -> bool:
        with contextlib.suppress(OSError):
            return is_there(path)
        return False

    put(is_there, broken)


def _order_from_a_stream() -> None:
    import torch

    from ml2021.engine.dataset import EpochOrder

    stream = torch.Generator().manual_seed(0)

    class Broken(EpochOrder):
        def __init__(self, seed: int, epoch: int, rows: int) -> None:
            super().__init__(seed, epoch, rows)
            self._order = torch.randperm(rows, generator=stream)

    put(EpochOrder, Broken)


def _restored_without(*names: str) -> Callable[[], None]:
    """Return what leaves a part of the state as it was before the first update."""

    def apply() -> None:
        from ml2021.runs.checkpoints import restore_state

        def broken(state: Any, last: Any) -> None:
            from dataclasses import fields

            before = {field.name: getattr(state, field.name) for field in fields(state)}
            kept: dict[str, Any] = {}
            for name in names:
                value = before[name]
                if name == "slots":
                    kept[name] = {key: slot.clone() for key, slot in value.items()}
                else:
                    kept[name] = value.clone() if hasattr(value, "clone") else value
            restore_state(state, last)
            for name, value in kept.items():
                setattr(state, name, value)

        put(restore_state, broken)

    return apply


def _begins_at_the_seed() -> None:
    from ml2021.training.trainer import build_trainer

    def broken(data: Any, where: str, last: Any, threads: Any, theta: Any = None) -> Any:
        return build_trainer(data, where, last, threads, theta if threads is None else None)

    put(build_trainer, broken)


def _fits_its_own_statistics() -> None:
    from ml2021.data.preprocessing.reuse import reuse_if_compatible

    put(reuse_if_compatible, lambda own, other: own)


def _no_checksum() -> None:
    from ml2021.runs import checkpoints as checkpoints

    class Fitting(str):
        """A digest that is that of anything."""

        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    whole = checkpoints._digest
    put(whole, lambda description, tensors: Fitting(whole(description, tensors)))


def _a_checksum_without(left_out: str) -> Callable[[], None]:
    """Return what makes the digest pass over the tensors, or over the description."""

    def apply() -> None:
        from ml2021.runs import checkpoints as checkpoints

        whole = checkpoints._digest

        def broken(description: Any, tensors: Any) -> str:
            if left_out == "tensors":
                return whole(description, {})
            return whole({}, tensors)

        put(whole, broken)

    return apply


def _a_lenient_yaml() -> None:
    import yaml

    from ml2021.config.yaml_reader import Document, parse_document

    def broken(text: str, source: str, rank: int = 0) -> Document:
        document = parse_document(text, source, rank)
        if document.problems:
            return document
        return Document(value=yaml.safe_load(text), nodes=document.nodes, is_empty=False)

    put(parse_document, broken)


def _repeated_keys_win() -> None:
    from ml2021.config.yaml_reader import parse_document

    def broken(text: str, source: str, rank: int = 0) -> Any:
        document = parse_document(text, source, rank)
        kept = [p for p in document.problems if not p.message.startswith("duplicate key")]
        document.problems[:] = kept
        return document

    put(parse_document, broken)


def _lines_of_a_config_from_0() -> None:
    from ml2021.config import yaml_reader

    reader = yaml_reader._Reader
    place = reader._place
    reader._place = lambda self, line, column: place(  # type: ignore[method-assign]
        self, max(1, line - 1), column
    )


def _no_line_count() -> None:
    from ml2021.data.csv.scan import Header, TableFormat
    from ml2021.data.tables import Table, read_table

    def broken(path: Path, format: TableFormat, **more: Any) -> Table:
        import pandas as pd

        frame = pd.read_csv(
            path,
            sep=format.separator,
            decimal=format.decimal,
            na_values=list(map(str, format.missing)),
            keep_default_na=False,
        )
        names = tuple(map(str, frame))
        return Table(Header(path, names, names), frame, "")

    put(read_table, broken)


def _odd_cells_are_missing() -> None:
    from ml2021.data.csv.faults import reject_invalid

    put(reject_invalid, lambda format, checked, find: None)


def _rows_are_lines() -> None:
    from ml2021.data import passes

    find = passes.csv_cells

    def broken(path: Path, *arguments: Any) -> Any:
        found = find(path, *arguments)
        return {row: (f"{path}:{row + 2}", cells) for row, (_, cells) in found.items()}

    put(find, broken)


def _no_sum() -> None:
    from ml2021.engine.distributed import Ranks

    Ranks.sum = lambda self, tensor: None  # type: ignore[method-assign]


def _last_rows_are_skipped() -> None:
    from ml2021.engine.updates import share

    def broken(rows: int, ranks: Any) -> range:
        whole = rows if ranks is None else rows - rows % ranks.size
        return share(whole, ranks)

    put(share, broken)


def _members_stay() -> None:
    from ml2021.engine.distributed import Ranks

    gather = Ranks.gather

    def broken(self: Ranks, tensor: Any) -> Any:
        gather(self, tensor)  # so that they stay in step
        return [tensor] * self.size

    Ranks.gather = broken  # type: ignore[method-assign]


def _means_of_shares() -> None:
    from ml2021.engine.losses import build_loss

    put(build_loss, lambda loss, gradient, of_rows=None: build_loss(loss, gradient))


MUTANTS: dict[str, Mutant] = {
    "a file is written in place": Mutant("test_kill_points", _write_in_place),
    "metrics come after the checkpoint": Mutant("test_kill_points", _metrics_unflushed),
    "metrics are not cut back": Mutant("test_kill_points", _metrics_not_cut_back),
    "leftovers stay": Mutant("test_kill_points", _leftovers_stay),
    "a half-made folder is in the way": Mutant("test_kill_points", _half_made_is_in_the_way),
    "finished without a summary": Mutant("test_kill_points", _finished_without_a_summary),
    "the order is drawn from a stream": Mutant("test_stops", _order_from_a_stream),
    "the optimizer forgets": Mutant("test_stops", _restored_without("slots")),
    "the losses so far are forgotten": Mutant("test_stops", _restored_without("batch_losses")),
    "the best loss is forgotten": Mutant("test_stops", _restored_without("best_loss")),
    "the best parameters are forgotten": Mutant("test_stops", _restored_without("best")),
    "the epoch begins again": Mutant("test_stops", _restored_without("batch")),
    "a resume begins at the seed": Mutant("test_init_from", _begins_at_the_seed),
    "a resume fits its own statistics": Mutant("test_init_from", _fits_its_own_statistics),
    "the file is not synced": Mutant("test_durability", _replace_without("file")),
    "the folder is not synced": Mutant("test_durability", _replace_without("folder")),
    "the file is synced after the rename": Mutant("test_durability", _replace_without("late")),
    "disk errors are swallowed": Mutant("test_disk_errors", _swallow_disk_errors),
    "a full disk destroys the old file": Mutant("test_disk_errors", _write_in_place),
    "no checksum": Mutant("damage", _no_checksum),
    "a checksum of the description alone": Mutant("damage", _a_checksum_without("tensors")),
    "a checksum of the tensors alone": Mutant("damage", _a_checksum_without("description")),
    "a lenient YAML": Mutant("yaml", _a_lenient_yaml),
    "a repeated key wins": Mutant("yaml", _repeated_keys_win),
    "a config's lines are off": Mutant("yaml", _lines_of_a_config_from_0),
    "no line count": Mutant("csv", _no_line_count),
    "odd cells are missing": Mutant("csv", _odd_cells_are_missing),
    "rows are taken for lines": Mutant("csv", _rows_are_lines),
    "no all-reduce": Mutant("test_ranks", _no_sum),
    "a rank skips the last rows": Mutant("test_ranks", _last_rows_are_skipped),
    "each share has its own mean": Mutant("test_ranks", _means_of_shares),
    "members stay where they are trained": Mutant("test_ranks", _members_stay),
    "a failing disk is a missing file": Mutant(
        "test_disk_errors", _a_failing_disk_is_a_missing_file
    ),
}


def names(suite: str) -> list[str]:
    """Return the mutants that a suite has to catch."""
    return [name for name, mutant in MUTANTS.items() if mutant.caught_by == suite]
