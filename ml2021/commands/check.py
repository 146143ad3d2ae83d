"""The command `check`: what `train` does before its first update, in words. It writes nothing."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ml2021.commands.prepare import describe_training, prepare
from ml2021.data.overview import table_of
from ml2021.formatting import memory_size
from ml2021.memory import free_memory


def check(
    source: Path,
    overrides: Sequence[str],
    init_from: Path | None,
    *,
    is_table: bool = False,
    target: Sequence[str] | None = None,
) -> list[str]:
    """Return lines on the columns, the rows, the model, and the memory and time that it takes.

    The arguments, the errors and their exit codes are those of `ml2021.commands.train.train`.
    """
    lines: list[str] = []

    def say(*said: str) -> None:
        lines.extend(said)

    prepared = prepare(
        source, overrides, None, init_from, say, is_table=is_table, target=target, with_columns=True
    )
    trainer = prepared.trainer
    from ml2021.training.duration import estimate
    from ml2021.training.memory import job_of

    needed, free = max(job_of(trainer.data).steps().values()), free_memory()
    left = "" if free is None else f" ({memory_size(free)} free)"
    lines += ["", *table_of(trainer.data.columns), ""]
    lines.append(describe_training(trainer))
    lines.append(f"memory: about {memory_size(needed)} beside the table{left}")
    lines.append(f"time: {estimate(trainer).describe()}")
    command = ["ml2021", "train", str(source)]
    command += [word for name in target or () for word in ("--target", name)]
    command += [word for text in overrides for word in ("--set", text)]
    command += [] if init_from is None else ["--init-from", str(init_from)]
    lines.append(f"nothing was written; to train: {shlex.join(command)}")
    return lines
