"""The command `export`: the function of a run as an ONNX model, its preprocessing inside."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.errors import ConfigError, ResourceError
from ml2021.formatting import echo, listed
from ml2021.runs.directory import open_run
from ml2021.runs.outputs import check_output, tables_of, write_output
from ml2021.runs.summary import read_summary_if_ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ValueInfoProto

_LEVEL = 0.9
"""Of the intervals, where none is asked for and the run has rows that determine them."""
_HEAD = b"\x08\x0a\x12\x06ml2021"
"""With which our files begin: a model's IR version, 10, and who produced it."""
_CARD_HEAD = b"<!-- Written by ml2021 export. -->\n"
"""With which a card begins."""
_KINDS = {1: "float", 7: "int64", 8: "text", 11: "double"}
"""By the number of the type in ONNX."""


@dataclass(frozen=True)
class Exported:
    """The run, the file that was written, and what it takes and gives."""

    run: Path
    output: Path
    lines: tuple[str, ...]


def export(
    run_path: Path | None,
    output: Path,
    interval: float | None,
    *,
    is_matrix: bool = False,
    card: Path | None = None,
) -> Exported:
    """Write the model of a run as ONNX. interval: the level of its intervals, 0.9 by default.

    is_matrix: with one input for all columns. card: where its model card goes, None for none.
    Raises ConfigError for an output that is no place for it, a level that the run does not allow,
    or columns that are no matrix; ResourceError where the package onnx is missing, or one file
    cannot hold the model.
    """
    if importlib.util.find_spec("onnx") is None:
        raise ResourceError("export needs the package onnx; pip install 'ml2021[onnx]'")
    run = open_run(run_path)
    check_output("--output", output, tables_of(run), replaced=_HEAD)
    if card is not None:
        _check_card(card, output, tables_of(run))

    from ml2021.export.card import card_of
    from ml2021.export.function import build, refuse_matrix
    from ml2021.runs.model import load_model

    model = load_model(run.best)
    if is_matrix:
        refuse_matrix(model.preprocessing)
    level = interval
    if interval is None:
        try:
            model.half_widths(_LEVEL, "--interval")
        except ConfigError:  # classes, or too few rows
            pass
        else:
            level = _LEVEL
    built = build(model, level, is_matrix=is_matrix)
    content = built.SerializeToString(deterministic=True)
    write_output(output, content)
    lines = [
        f"takes {_described(built.graph.input)}",
        f"gives {_described(built.graph.output)}",
        f"ONNX opset {built.opset_import[0].version}, {len(content) / 1e6:.2f} MB",
    ]
    if card is not None:
        facts = {each.key: each.value for each in built.metadata_props}
        page = card_of(model, read_summary_if_ended(run), facts, output.name)
        write_output(card, _CARD_HEAD + page.encode())
        lines.append(f"model card: {echo(card)}")
    return Exported(run.path, output, tuple(lines))


def _check_card(card: Path, output: Path, tables: "Sequence[Path]") -> None:
    """Raise ConfigError unless a card may be written there, or replaced."""
    if card.resolve() == output.resolve():
        raise ConfigError(f"--card {echo(card)}: is the --output; choose another file")
    check_output("--card", card, tables, replaced=_CARD_HEAD)


def _described(values: "Sequence[ValueInfoProto]") -> str:
    """Return the names of inputs or outputs, each with its type and, beyond 1, its width."""
    texts = []
    for value in values:
        tensor = value.type.tensor_type
        width = tensor.shape.dim[1].dim_value
        kind = _KINDS[tensor.elem_type]
        texts.append(f"{echo(value.name)} ({kind}{f' x {width}' if width > 1 else ''})")
    return listed(texts, 12)
