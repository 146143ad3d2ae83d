"""Ranks of torchrun as the workers of a sweep: tasks and replies go through its store.

Rank 0 alone writes, and trains packs too, in a thread. Another rank makes its files in a folder of
its own and sends them. Each reads the tables itself, by the paths of the configs. What a rank that
dies had not reported is trained by `sweep --resume`.
"""

import base64
import json
import queue
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ml2021.engine.distributed import Channel, Ranks, current
from ml2021.errors import ResourceError, lacks_memory
from ml2021.sweeps.directory import SweepDirectory
from ml2021.sweeps.pool import Link, PackTask

_GRACE_SECONDS = 5.0
"""How long the thread of rank 0 may take to stop: until its next progress report."""


class _Thread:
    """The link to a worker that is a thread of this process, which has imported torch already."""

    def __init__(self, reply: Callable[[str | None], None]) -> None:
        self._reply = reply
        self._tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._is_ended = threading.Event()
        self._code = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        from ml2021.sweeps.worker import Worker

        worker = Worker(self._send)
        try:
            while line := self._tasks.get():
                worker.train(PackTask.from_line(line))
        except Exception as error:  # whatever it is, the sweep has to end and say so
            self._code = ResourceError.exit_code
            if not lacks_memory(error):
                self._send({"event": "bug", "text": traceback.format_exc()})
        self._reply(None)

    def _send(self, event: Mapping[str, Any]) -> None:
        if self._is_ended.is_set():
            sys.exit()  # of this thread
        self._reply(json.dumps(event, allow_nan=False))

    def send(self, line: str) -> None:
        self._tasks.put(line)

    def finish(self) -> None:
        self._tasks.put("")

    def kill(self) -> None:
        self._is_ended.set()
        self._tasks.put("")

    def end(self) -> int:
        self._thread.join(_GRACE_SECONDS)
        return self._code


class _Rank:
    """The link to a worker that is another rank."""

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


def call_ranks() -> None:
    """Let the other ranks wait for packs, and import meanwhile what they need for them."""
    ranks = current()
    assert ranks is not None
    ranks.tell(do="sweep")


def links_to_ranks() -> list[Callable[[Callable[[str | None], None]], Link]]:
    """Return what makes the link to each rank, which `call_ranks` has called."""
    ranks = current()
    assert ranks is not None
    return [_Thread, *(partial(_Rank, ranks, rank) for rank in range(1, ranks.size))]


def train_packs(ranks: Ranks) -> None:
    """Train the packs that rank 0 sends to this one, until there are no more."""
    from ml2021.sweeps.worker import Worker

    tasks = Channel(ranks.store, f"tasks/{ranks.rank}")
    replies = Channel(ranks.store, f"replies/{ranks.rank}")
    ranks.folder = folder = Path(tempfile.mkdtemp())
    own = SweepDirectory(folder)
    own.candidates.mkdir()

    def reply(event: Mapping[str, Any]) -> None:
        if (code := ranks.ended_with()) is not None:
            sys.exit(code)
        for kind, place in (("candidate", own.candidates), ("events", own.tensorboard)):
            for made in place.iterdir() if place.is_dir() else ():
                if made.name.startswith("."):
                    continue
                files = {
                    str(path.relative_to(made)): base64.b64encode(path.read_bytes()).decode()
                    for path in made.rglob("*")
                    if path.is_file()
                }
                sent = {"event": "files", "kind": kind, "run": int(made.name), "files": files}
                replies.send(json.dumps(sent))
                shutil.rmtree(made)
        replies.send(json.dumps(event, allow_nan=False))

    worker = Worker(reply)
    try:
        while line := tasks.receive(lambda: ranks.ended_with() is not None):
            worker.train(replace(PackTask.from_line(line), sweep=str(folder)))
        replies.send("")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
