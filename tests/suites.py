"""Many odd inputs at once, in a process of their own under limits of memory and time.

A suite is a function that puts so many cases to the program and tallies what came of them. It runs
in a process that is thrown away, so that a mutant may break the program there, and so that what
eats all memory or never ends does not take the tests with it.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parent.parent
LONGEST_SECONDS = 5.0
"""What takes longer is a hang."""
IDLE_SECONDS = 60.0
"""And what takes so long without working."""
MEMORY = 1 << 30
"""How much a suite may take beside what the libraries have taken when it begins."""
_SHOWN = 5


@dataclass
class Tally:
    """What came of the cases: right ones, by kind, and the first of the wrong ones."""

    cases: int = 0
    right: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    wrong_cases: int = 0
    hangs: int = 0
    slowest_seconds: float = 0.0

    def add(self, verdict: str, *, is_right: bool) -> None:
        """Count a case."""
        self.cases += 1
        if is_right:
            self.right[verdict] = self.right.get(verdict, 0) + 1
            return
        self.wrong_cases += 1
        if len(self.wrong) < _SHOWN:
            self.wrong.append(verdict[:2000])

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Give a case its time; HangError where it takes more."""
        begun, worked = time.perf_counter(), time.process_time()

        def ring(number: int, frame: FrameType | None) -> None:
            is_idle = time.process_time() - worked < LONGEST_SECONDS / 2
            if is_idle and time.perf_counter() - begun < IDLE_SECONDS:  # others have the machine
                signal.setitimer(signal.ITIMER_REAL, 1.0)
                return
            self.hangs += 1
            raise HangError

        previous = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
            self.slowest_seconds = max(self.slowest_seconds, time.perf_counter() - begun)


class HangError(BaseException):
    """A case took longer than `LONGEST_SECONDS`."""


Suite = Callable[[int], Tally]


def run_suite(name: str, count: int, mutants: Sequence[str] = ()) -> dict[str, Tally]:
    """Run the suite of that name on about `count` cases: the program as "", and these mutants."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.suites", name, str(count), *mutants],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=(1 + len(mutants)) * (120 + count),
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    tallies = [Tally(**json.loads(line)) for line in lines]
    return dict(zip((*mutants, ""), tallies, strict=True))


def serve(name: str, count: int, mutants: Sequence[str]) -> None:
    """Be that process; each mutant gets a fork of it, since it is broken for good."""
    suite: Suite
    if name == "damage":
        from tests.damage import suite
    elif name == "received":
        from tests.received import in_this_process as suite
    elif name == "csv":
        from tests.fuzz_csv import suite
    else:
        assert name == "yaml"
        from tests.fuzz_yaml import suite
    from tests.mutants import MUTANTS

    for mutant in (*mutants, ""):
        child = 0
        if mutant and (child := os.fork()):
            assert os.waitpid(child, 0)[1] == 0, mutant
            continue
        if mutant:
            MUTANTS[mutant].apply()
        print(json.dumps(asdict(_limited(suite, count))), flush=True)
        if mutant:
            os._exit(0)


def _limited(suite: Suite, count: int) -> Tally:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    return suite(count)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
