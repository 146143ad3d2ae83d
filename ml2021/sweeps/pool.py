"""The worker processes of a sweep: tasks go out, events come back.

Each worker gets one pack at a time. A worker that dies fails the runs of its pack only, and another
one replaces it; in `concurrent.futures`, one dead worker breaks the whole pool. What a worker does
is in `ml2021.sweeps.worker`.
"""

import contextlib
import gc
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TextIO

from ml2021.errors import ResourceError
from ml2021.sweeps.packing import Pack
from ml2021.sweeps.results import Result


@dataclass(frozen=True)
class PackTask:
    """A pack to train.

    sweep: the sweep's directory. runs: run number -> the text of its config. first: the text of the
    sweep's first run on the same data, by which `data.numbers: auto` is decided for all of them, in
    whatever worker. threads: CPU threads.
    share: of the free memory. losses: of all runs; they determine the metric. best: the validation
    score and the number of the best run so far. settings: run number -> its hyperparameters, where
    event files are written.
    """

    sweep: str
    runs: Mapping[int, str]
    first: str
    threads: int
    share: float
    losses: Sequence[str]
    best: tuple[float, int] | None
    settings: Mapping[int, Mapping[str, float | str]]

    def to_line(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(vars(self), allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "PackTask":
        """Parse what `to_line` returned."""
        value = json.loads(line)
        runs, settings = (
            {int(run): own for run, own in value.pop(name).items()} for name in ("runs", "settings")
        )
        best = value.pop("best")
        return cls(**value, runs=runs, best=best and tuple(best), settings=settings)


class RunEnded(NamedTuple):
    """A run has ended."""

    result: Result


class TableRead(NamedTuple):
    """A table has been read; the lines describe it."""

    lines: Sequence[str]


class Progressed(NamedTuple):
    """How many of the runs in training are done; a run half-way counts as 0.5."""

    done: float


class FilesSent(NamedTuple):
    """What a worker elsewhere has made of a run: file -> its content in base 64.

    kind: a run directory, since the run may become the best; or its event files.
    """

    kind: Literal["candidate", "events"]
    run: int
    files: Mapping[str, str]


Event = RunEnded | TableRead | Progressed | FilesSent
POLL_SECONDS = 0.1
"""How long a signal may go unnoticed."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# A worker imports what this process does, nothing from the working directory, and collects garbage
# as rarely (see `ml2021.__main__`).
_CODE = (
    "import gc, json, sys, warnings; sys.path[:], threshold = json.loads(sys.argv[1]); "
    "sys.warnoptions or warnings.simplefilter('ignore'); "  # as in `ml2021.__main__`
    "gc.set_threshold(threshold); from ml2021.sweeps.worker import main; main()"
)


class Link(Protocol):
    """What leads to a worker; its replies come through a thread that the link has started."""

    def send(self, line: str) -> None:
        """Send a task. Raises OSError where the worker has died, which its reader reports."""

    def finish(self) -> None:
        """Let the worker end. Raises OSError, as `send`."""

    def kill(self) -> None:
        """End the worker now."""

    def end(self) -> int:
        """Wait until it has ended, and return its exit code."""


@dataclass
class _Worker:
    link: Link
    pack: Pack = ()
    waiting: set[int] = field(default_factory=set)
    done: float = 0.0

    @property
    def done_of_waiting(self) -> float:
        """How many of the runs that have not ended are done, as in `Progressed`."""
        return max(0.0, self.done - (len(self.pack) - len(self.waiting)))


class _Process:
    """A worker that is a process of this machine, and its pipes."""

    def __init__(self, threads: int, reply: Callable[[str | None], None]) -> None:
        environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, json.dumps([sys.path, gc.get_threshold()[0]])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
            process_group=0,  # so that Ctrl-C at the terminal reaches this process alone
        )
        assert self._process.stdin is not None
        self._input = self._process.stdin
        self._reader = threading.Thread(
            target=_read, args=(self._process.stdout, reply), daemon=True
        )
        self._reader.start()

    def send(self, line: str) -> None:
        self._input.write(line)
        self._input.flush()

    def finish(self) -> None:
        self._input.close()

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        code = self._process.wait()
        self._reader.join()
        with contextlib.suppress(OSError):  # the last task may not have been written
            self._input.close()
        return code


def _read(replies: TextIO, reply: Callable[[str | None], None]) -> None:
    with replies:
        for line in replies:
            reply(line)
    reply(None)


class Pool:
    """Workers, and the packs that wait for one; use it in a `with`.

    threads: per worker. data_of: a key for the data of a pack; a worker gets a pack whose data it
    has already loaded if there is one. links: what makes the link to each worker that is not a
    process of its own, given where its replies go.
    """

    def __init__(
        self,
        packs: Sequence[Pack],
        jobs: int,
        threads: int,
        make_task: Callable[[Pack], PackTask],
        data_of: Callable[[Pack], object],
        links: Sequence[Callable[[Callable[[str | None], None]], Link]] = (),
    ) -> None:
        self._packs = list(packs)
        self._jobs, self._threads = jobs, threads
        self._make_task, self._data_of = make_task, data_of
        self._links = list(links)
        self._workers: dict[int, _Worker] = {}  # in the order in which they started
        self._started = 0
        self._replies: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.link.kill()
            worker.link.end()

    def run(self, stopped: Callable[[], bool]) -> Iterator[Event]:
        """Train all packs, or until `stopped`, and yield what the workers report."""
        while not stopped():
            while self._packs and len(self._workers) < self._jobs:
                self._assign_pack(self._start())
            if not self._workers:
                return
            try:
                number, line = self._replies.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if line is None:
                yield from self._fail_runs(self._workers.pop(number))
            else:
                yield from self._handle_reply(self._workers[number], json.loads(line))
            yield Progressed(sum(worker.done_of_waiting for worker in self._workers.values()))

    def _handle_reply(self, worker: _Worker, reply: Mapping[str, Any]) -> Iterator[Event]:
        match reply["event"]:
            case "result":
                result = Result.model_validate_json(json.dumps(reply["result"]))
                worker.waiting.discard(result.run)
                yield RunEnded(result)
            case "progress":
                worker.done = reply["done"]
            case "data":
                yield TableRead(reply["lines"])
            case "files":
                yield FilesSent(reply["kind"], reply["run"], reply["files"])
            case "idle":
                self._assign_pack(worker)
            case _:
                raise RuntimeError(f"a worker failed:\n{reply['text']}")

    def _start(self) -> _Worker:
        number, self._started = self._started, self._started + 1

        def reply(line: str | None) -> None:
            self._replies.put((number, line))

        link = self._links.pop(0)(reply) if self._links else _Process(self._threads, reply)
        worker = self._workers[number] = _Worker(link)
        return worker

    def _assign_pack(self, worker: _Worker) -> None:
        """Give a worker its next pack; if none is left, let it end."""
        with contextlib.suppress(OSError):  # it has died, which its reader will report
            if not self._packs:
                worker.pack, worker.waiting = (), set()
                worker.link.finish()
                return
            loaded = self._data_of(worker.pack) if worker.pack else None
            index = next((i for i, p in enumerate(self._packs) if self._data_of(p) == loaded), 0)
            worker.pack = self._packs.pop(index)
            worker.waiting, worker.done = set(worker.pack), 0.0
            worker.link.send(self._make_task(worker.pack).to_line())

    def _fail_runs(self, worker: _Worker) -> Iterator[Event]:
        """Mark a dead worker's unfinished runs as failed."""
        code = worker.link.end()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        line = f"its worker process {how}; the system may have run out of memory"
        for run in sorted(worker.waiting):
            code = ResourceError.exit_code
            yield RunEnded(Result(run=run, status="failed", lines=(line,), exit_code=code))
