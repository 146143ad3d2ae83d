"""Ranks of torchrun as the workers of a sweep: tasks and replies go through its store.

Rank 0 alone writes: another rank makes its candidates in a folder of its own and sends their files.
Each reads the tables itself, by the paths of the configs. What a rank that dies had not reported is
trained by `sweep --resume`.
"""

import base64
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ml2021.engine.distributed import Channel, Ranks, current
from ml2021.sweeps.directory import SweepDirectory
from ml2021.sweeps.pool import Link, PackTask


class _Rank:
    """The link to a worker that is a rank."""

    def __init__(self, ranks: Ranks, rank: int, reply: Callable[[str | None], None]) -> None:
        self._tasks = Channel(ranks.connect_store(), f"tasks/{rank}")
        self._replies = Channel(ranks.connect_store(), f"replies/{rank}")
        self._reply = reply
        self._is_ended = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while line := self._replies.receive(self._is_ended.is_set):
            self._reply(line)
        self._reply(None)

    def send(self, line: str) -> None:
        self._tasks.send(line)

    def finish(self) -> None:
        self._tasks.send("")

    def kill(self) -> None:
        self._is_ended.set()  # the rank ends with rank 0

    def end(self) -> int:
        self._is_ended.set()
        self._reader.join()
        return 0


def links_to_ranks() -> list[Callable[[Callable[[str | None], None]], Link]]:
    """Return what makes the link to each rank but this one; they begin to wait for packs."""
    ranks = current()
    assert ranks is not None
    return [partial(_begin, ranks, rank) for rank in range(1, ranks.size)]


def _begin(ranks: Ranks, rank: int, reply: Callable[[str | None], None]) -> Link:
    if not ranks.are_working:
        ranks.tell(do="sweep")
        ranks.are_working = True
    return _Rank(ranks, rank, reply)


def train_packs(ranks: Ranks) -> None:
    """Train the packs that rank 0 sends to this one, until there are no more."""
    from ml2021.sweeps.worker import Worker

    tasks = Channel(ranks.store, f"tasks/{ranks.rank}")
    replies = Channel(ranks.store, f"replies/{ranks.rank}")
    folder = Path(tempfile.mkdtemp())
    own = SweepDirectory(folder)
    own.candidates.mkdir()

    def reply(event: Mapping[str, Any]) -> None:
        for candidate in own.candidates.iterdir():
            if not candidate.name.startswith("."):
                files = {
                    str(path.relative_to(candidate)): base64.b64encode(path.read_bytes()).decode()
                    for path in candidate.rglob("*")
                    if path.is_file()
                }
                sent = {"event": "candidate", "run": int(candidate.name), "files": files}
                replies.send(json.dumps(sent))
                shutil.rmtree(candidate)
        replies.send(json.dumps(event, allow_nan=False))

    worker = Worker(reply)
    try:
        while line := tasks.receive(lambda: ranks.ended_with() is not None):
            worker.train(replace(PackTask.from_line(line), sweep=str(folder)))
        replies.send("")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
