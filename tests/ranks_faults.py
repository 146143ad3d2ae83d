"""Commands under torchrun: start them, kill, stop or interrupt their ranks, and see how all end."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.commands import environment

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
END_SECONDS = 15.0
"""By when all ranks have ended after a fault."""
_POLL = 0.02


@dataclass
class Launched:
    """A command on several ranks. ranks: their processes, by number."""

    launcher: "subprocess.Popen[bytes]"
    errors: Path
    ranks: list[int]

    def text(self) -> str:
        """Return what was printed to stderr so far."""
        return self.errors.read_text()

    def wait_for(self, path: Path) -> None:
        """Wait until a file is there."""
        until = time.monotonic() + 60
        while not path.exists():
            assert self.launcher.poll() is None, self.text()
            assert time.monotonic() < until, self.text()
            time.sleep(_POLL)

    def seconds_to_end(self, ranks: list[int]) -> float:
        """Wait until these ranks have ended, and return how long that took."""
        begun = time.monotonic()
        while any(map(_is_alive, ranks)):
            assert time.monotonic() < begun + 60, self.text()
            time.sleep(_POLL)
        return time.monotonic() - begun


def _stat(pid: int) -> list[str]:
    """Return the state and the parent of a process, and what follows; nothing if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _is_alive(pid: int) -> bool:
    return bool(stat := _stat(pid)) and stat[0] not in "ZX"


def listening(pid: int) -> set[str]:
    """Return the addresses on which a process listens, in the hexadecimal of /proc/net."""
    own = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            own.add(str(handle.readlink()).removeprefix("socket:[").rstrip("]"))
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and line[9] in own}


def _ranks_of(launcher: int) -> dict[int, int]:
    """Return the processes of the ranks that a launcher has started, by number."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (stat := _stat(int(folder.name))):
            with contextlib.suppress(OSError):
                own = (folder / "environ").read_bytes().split(b"\0")
                number = next((v for v in own if v.startswith(b"RANK=")), None)
                if int(stat[1]) == launcher and number is not None:
                    found[int(number[5:])] = int(folder.name)
    return found


@contextlib.contextmanager
def launched(folder: Path, *arguments: object, ranks: int = 2) -> Iterator[Launched]:
    """Start a command on ranks; whatever is left of them at the end is killed."""
    errors = folder / f"torchrun-{random.getrandbits(40):x}.txt"
    with errors.open("wb") as stream:
        launcher = subprocess.Popen(
            [*TORCHRUN, "--nproc-per-node", str(ranks), "-m", "ml2021", *map(str, arguments)],
            cwd=folder,
            env=environment(),
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    found: dict[int, int] = {}
    try:
        while len(found) < ranks and launcher.poll() is None:
            time.sleep(_POLL)
            found = _ranks_of(launcher.pid)
        yield Launched(launcher, errors, [found[rank] for rank in sorted(found)])
    finally:
        for pid in (*found.values(), launcher.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        launcher.wait()


def run_on_ranks(folder: Path, *arguments: object, ranks: int = 2) -> tuple[int, str]:
    """Run a command to its end; return torchrun's exit code and what was printed."""
    with launched(folder, *arguments, ranks=ranks) as command:
        code = command.launcher.wait(timeout=120)
        return code, command.text()
