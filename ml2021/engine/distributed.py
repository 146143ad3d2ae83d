"""The ranks that torchrun has started: messages, sums over them, and what ends them all.

Rank 0 is the program: it reads the table, decides, prints and writes. The others follow it. They
wait for its messages in the store of the rendezvous, which torchrun itself serves, so that they may
wait for any time; only within updates, where all ranks are busy, do they meet in collectives.
Messages are JSON and tensors are sent as they are: nothing is unpickled.

Each rank has a thread that tells the store twice a second that it is there, and ends its process
where the launcher has ended or a rank does not answer any more.
"""

import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import DistStoreError, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from ml2021.console import write_message
from ml2021.errors import ResourceError
from ml2021.formatting import message

BEAT_SECONDS = 0.5
SILENT_SECONDS = 10.0
"""How long a rank may be silent, or come later to a sum than another, before all end."""
BUSY_SECONDS = 120.0
"""The same for a rank whose process runs: reading a table can keep the interpreter for seconds."""
_POLL = timedelta(seconds=5)
_PIECE_BYTES = 64 << 20
"""How much of a tensor is sent at a time, so that no piece takes `SILENT_SECONDS`."""
_PAYLOAD_BYTES = 2 << 20
"""How much of a text is put into the store at a time; it takes 8 MiB."""
_SLOWEST = 1e9
"""Floating-point operations a second, of the slowest core that anybody trains on."""
Message = Mapping[str, Any]
_joined: list["Ranks"] = []


def current() -> "Ranks | None":
    """Return the ranks that this process belongs to, None unless it is one of several."""
    return _joined[0] if _joined else None


def join() -> "Ranks | None":
    """Join the ranks of torchrun's environment, None where this is the only one."""
    size = int(os.environ["WORLD_SIZE"])
    if size == 1:
        return None
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    rank = int(os.environ["RANK"])
    is_served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    prefix = f"ml2021/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"

    def connect(*, serve: bool) -> Store:
        own = TCPStore(address, port, is_master=serve, wait_for_workers=False)
        return PrefixStore(prefix, own)

    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":  # all on this machine
        loopback = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), None)
        if loopback is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", loopback)
    store = connect(serve=rank == 0 and not is_served)
    ranks = Ranks(rank, size, store, local=int(os.environ["LOCAL_RANK"]))
    ranks.connect_store = lambda: connect(serve=False)
    ranks.watch(ranks.connect_store())
    _joined.append(ranks)
    return ranks


class Ranks:
    """One process of `size`: number `rank` of all, `local` of those on its machine; 0 leads.

    remedy: what a user does when a rank is lost, for messages. connect_store: makes another
    connection to the store, for a thread of its own.
    """

    connect_store: Callable[[], Store]

    def __init__(self, rank: int, size: int, store: Store, local: int = 0) -> None:
        self.rank, self.size, self.local = rank, size, local
        self.remedy = "start the command again"
        self.store = store
        self.folder: Path | None = None  # for files that end with the process
        self._number = 0
        self._is_connected = False
        self._watch: _Watch | None = None

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which runs the command."""
        return self.rank == 0

    def watch(self, store: Store) -> None:
        """Start the thread that watches the other ranks; `store` is its own connection."""
        self._watch = _Watch(self, store)

    def tell(self, **message: object) -> None:
        """Send a message to the followers."""
        with _Lost(self):
            self.store.set(f"message/{self._number}", json.dumps(message, allow_nan=False))
            if self._number >= 2 and message["do"] == "go":  # after a sum: all have read those
                self.store.delete_key(f"message/{self._number - 2}")
        self._number += 1

    def hear(self) -> Message:
        """Wait for the leader's next message."""
        key = f"message/{self._number}"
        self._number += 1
        while True:
            with suppress(DistStoreError):
                self.store.wait([key], _POLL)
                return cast(Message, json.loads(self.store.get(key)))

    def end(self, code: int) -> None:
        """Let the followers end with an exit code; the leader is about to."""
        if self._watch is not None:
            self._watch.stop()
        with suppress(RuntimeError):
            self.store.set("end", str(code))
            self.store.set(f"message/{self._number}", json.dumps({"do": "end", "code": code}))

    def ended_with(self) -> int | None:
        """Return the exit code of the leader, None if it has not ended in order."""
        with suppress(RuntimeError):
            if self.store.check(["end"]):
                return int(self.store.get("end"))
        return None

    def has_lost_leader(self) -> bool:
        """Whether the leader's process was on this machine and is no more."""
        try:
            return self._watch is not None and self._watch.state_of(0) == "gone"
        except RuntimeError:  # the store is gone, and torchrun with it
            return True

    def pass_on(self, signal_number: int) -> None:
        """Let the leader stop as if it had got that signal, which this rank did."""
        if self._watch is not None:
            self._watch.signal_number = signal_number

    def leave(self, code: int) -> NoReturn:
        """End this process at once; only a kill leaves its folder behind."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(code)

    def fail(self, code: int, lines: Sequence[str]) -> None:
        """Report a follower's error, which the leader prints; return when all may end."""
        with suppress(RuntimeError):
            self.store.set("failed", json.dumps({"code": code, "lines": lines}))
            for _ in range(round(SILENT_SECONDS / BEAT_SECONDS)):
                if self.ended_with() is not None or self.has_lost_leader():
                    return
                time.sleep(BEAT_SECONDS)

    def connect(self, update_work: float, *, with_cuda: bool) -> None:
        """Connect all ranks for collectives, once; the leader calls it.

        update_work: the floating-point operations of an update, by which late ranks are judged.
        """
        if self._is_connected:
            return
        seconds = max(SILENT_SECONDS, 3 * update_work / self.size / _SLOWEST)
        self.tell(do="connect", seconds=seconds, with_cuda=with_cuda)
        self.accept(seconds, with_cuda=with_cuda)

    def accept(self, seconds: float, *, with_cuda: bool) -> None:
        """Connect this rank, as the leader has said."""
        if with_cuda:
            torch.cuda.set_device(self.local)
        with _Lost(self):
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if with_cuda else "gloo",
                store=PrefixStore("group", self.store),
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=seconds),
            )
        self._is_connected = True

    def sum(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all ranks, the same bits on each."""
        with _Lost(self):
            dist.all_reduce(tensor)

    def broadcast(self, tensor: Tensor) -> None:
        """Send a contiguous tensor from rank 0 to the others, in place."""
        flat = tensor.view(-1)
        with _Lost(self):
            for piece in torch.split(flat, max(1, _PIECE_BYTES // tensor.element_size())):
                dist.broadcast(piece, 0)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all ranks, which have one shape, to each of them."""
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        with _Lost(self):
            dist.all_gather(found, tensor)
        return found


class Channel:
    """ASCII texts of any length from one rank to another; one end sends, the other receives."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name, self._number = store, name, 0

    def send(self, text: str) -> None:
        """Send a text. Raises RuntimeError where the store is gone."""
        for start in range(0, max(1, len(text)), _PAYLOAD_BYTES):
            piece = text[start : start + _PAYLOAD_BYTES]
            mark = "." if start + _PAYLOAD_BYTES >= len(text) else "+"
            self._store.set(f"{self._name}/{self._number}", mark + piece)
            self._number += 1

    def receive(self, stopped: Callable[[], bool]) -> str | None:
        """Wait for a text and return it, None once `stopped`. Raises RuntimeError as `send`."""
        pieces = []
        while not stopped():
            key = f"{self._name}/{self._number}"
            try:
                self._store.wait([key], timedelta(seconds=BEAT_SECONDS))
            except DistStoreError:
                continue
            found = self._store.get(key).decode()
            self._store.delete_key(key)
            self._number += 1
            pieces.append(found[1:])
            if found[:1] == ".":
                return "".join(pieces)
        return None


class _Lost:
    """Turn the error of a connection into ResourceError, once the watch had time for a better."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError):
            time.sleep(2 * BEAT_SECONDS)
            raise ResourceError(
                f"a rank has ended or does not respond; {self._ranks.remedy}"
            ) from None


class _Watch:
    """The thread of a rank that shows that it is there, and looks after the others."""

    def __init__(self, ranks: Ranks, store: Store) -> None:
        self._ranks, self._store = ranks, store
        self._parent = os.getppid()
        self._is_stopped = False
        self.signal_number: int | None = None
        self._peers = [0] if ranks.rank else [*range(1, ranks.size)]
        self._seen: dict[int, tuple[str, float]] = {}
        store.set(f"who/{ranks.rank}", json.dumps([_machine(), os.getpid()]))
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Look after nobody any more: this process is about to end."""
        self._is_stopped = True

    def _run(self) -> None:
        beat = 0
        while not self._is_stopped:
            try:
                beat += 1
                self._store.set(f"beat/{self._ranks.rank}", str(beat))
                if self.signal_number is not None:
                    self._store.set("signal", str(self.signal_number))
                self._look()
            except RuntimeError:
                self._give_up(f"torchrun has ended; {self._ranks.remedy}")
            if os.getppid() != self._parent:
                self._give_up(f"torchrun has ended; {self._ranks.remedy}")
            time.sleep(BEAT_SECONDS)

    def _look(self) -> None:
        if self._ranks.leads:
            if self._store.check(["signal"]):
                os.kill(os.getpid(), signal.SIGTERM)
            if self._store.check(["failed"]):
                failed = json.loads(self._store.get("failed"))
                self._give_up(*failed["lines"], code=failed["code"])
        elif self._store.check(["end"]):
            time.sleep(4 * BEAT_SECONDS)  # of a follower that is in the middle of something
            self._give_up(code=int(self._store.get("end")))
        now = time.monotonic()
        for peer in self._peers:
            key = f"beat/{peer}"
            value = self._store.get(key).decode() if self._store.check([key]) else ""
            before, since = self._seen.setdefault(peer, (value, now))
            if value != before:
                self._seen[peer] = value, now
            elif now - since > self._patience(peer, value):
                self._give_up(f"rank {peer} does not respond; {self._ranks.remedy}")

    def _patience(self, peer: int, beat: str) -> float:
        """Return how many seconds a rank may be silent."""
        if not beat:
            return BUSY_SECONDS  # it has not begun
        match self.state_of(peer):
            case "running":
                return BUSY_SECONDS
            case "gone":
                return 2 * BEAT_SECONDS
            case _:
                return SILENT_SECONDS

    def state_of(self, peer: int) -> Literal["running", "stopped", "gone", "elsewhere"]:
        """Return what the system says of a rank's process, if it is on this machine."""
        machine, pid = json.loads(self._store.get(f"who/{peer}"))
        if machine != _machine():
            return "elsewhere"
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # no such process, or no /proc, as on macOS
            return "elsewhere" if _is_there(pid) else "gone"
        return "gone" if state in "ZX" else "stopped" if state in "Tt" else "running"

    def _give_up(self, *lines: str, code: int = ResourceError.exit_code) -> None:
        """End this process at once, and let the leader say why; what was saved stays intact."""
        if self._is_stopped:
            return
        if self._ranks.leads:
            with suppress(RuntimeError):
                self._store.set("end", str(code))
            for line in lines:
                write_message(message(line))
        self._ranks.leave(code)


def _is_there(pid: int) -> bool:
    """Whether the machine has a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _machine() -> str:
    """Return what names this machine, as far as its processes see each other."""
    with suppress(OSError):
        started = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{started} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()
