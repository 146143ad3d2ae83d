"""How a command is run where the process itself matters: signals, limits, disks, pipes."""

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from tests.catalogue.case import Runner
from tests.commands import PROGRAM, Outcome, environment
from tests.forks import is_traced
from tests.started import Started

Condition = Callable[[Path, int], bool]
"""Whether the time for a signal has come, by the folder and the id of the process."""
CLONE_NEWNS = 0x00020000  # of sched.h
MOUNT = """
import ctypes, subprocess
assert ctypes.CDLL(None).unshare({0}) == 0
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", {1!r}, "tmpfs", {2!r}], check=True)
"""


def stopped(when: Condition, *signals: int, program: str = "") -> Runner:
    """Return what runs a command, and sends signals once it is time, a moment apart."""

    def run(folder: Path, arguments: Sequence[str]) -> Outcome:
        process = Started(folder, *arguments, before=program)
        wait_until(folder, process, when)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.2)
        return ended(process)

    return run


def wait_until(folder: Path, process: Started, when: Condition) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and not when(folder, process.pid):
        assert time.monotonic() < deadline, "its time never came"
        time.sleep(0.005)


def ended(process: Started) -> Outcome:
    """Wait for the end; a process that a signal killed has the code that a shell gives it."""
    stdout, stderr = process.communicate()
    code = process.wait()
    return Outcome(128 - code if code < 0 else code, stdout, stderr)


def opened(name: str) -> Condition:
    """Return whether the process has that file open."""

    def is_time(folder: Path, pid: int) -> bool:
        try:
            return any(
                entry.resolve() == folder / name for entry in Path(f"/proc/{pid}/fd").iterdir()
            )
        except OSError:
            return False

    return is_time


def exists(name: str, after: float = 0.0) -> Condition:
    """Return whether that path has been there for so many seconds."""

    def is_time(folder: Path, pid: int) -> bool:
        if not (folder / name).exists():
            return False
        time.sleep(after)
        return True

    return is_time


def killed(times: int) -> Runner:
    """Return what kills a training each time it has saved, and then lets a resume end it."""

    def run(folder: Path, arguments: Sequence[str]) -> Outcome:
        place = arguments[arguments.index("--run-dir") + 1]
        last = folder / place / "checkpoints" / "last.safetensors"
        resuming = ["train", "--quiet", "--resume", place]
        for kill in range(times):
            before = last.stat().st_mtime_ns if last.exists() else 0
            process = Started(folder, *(resuming if kill else arguments))
            while not last.exists() or last.stat().st_mtime_ns == before:
                assert process.poll() is None, "it ended before it was killed"
                time.sleep(0.005)
            process.kill()
            assert ended(process).code == 128 + signal.SIGKILL
        return ended(Started(folder, *resuming))

    return run


def prepared(program: str) -> Runner:
    """Return what runs lines of Python first, when all libraries are in memory."""
    return lambda folder, arguments: ended(Started(folder, *arguments, before=program))


def limited(kind: int, limit: int) -> Runner:
    """Return what runs a command under a limit of the system."""
    return prepared(f"resource.setrlimit({kind}, ({limit}, {limit}))")


def failing(call: str, error: str) -> Runner:
    """Return what lets a system call fail whenever it is made."""

    def run(folder: Path, arguments: Sequence[str]) -> Outcome:
        process = Started(folder, *arguments, before="os.kill(os.getpid(), 19)")  # SIGSTOP
        options = ["-f", "-qq", "-o", os.devnull, "-e", f"trace={call}"]
        inject = ["-e", f"inject={call}:error={error}"]
        with subprocess.Popen(["strace", *options, *inject, "-p", str(process.pid)]):
            wait_until(folder, process, lambda _, pid: is_traced(pid))
            process.send_signal(signal.SIGCONT)
            return ended(process)

    return run


def mounted(name: str, options: str) -> Runner:
    """Return what runs a command with a small disk at that place, which nobody else sees."""

    def run(folder: Path, arguments: Sequence[str]) -> Outcome:
        (folder / name).mkdir()
        outcome = prepared(MOUNT.format(CLONE_NEWNS, options, name))(folder, arguments)
        (folder / name).rmdir()
        return outcome

    return run


def in_shell(script: str) -> Runner:
    """Return what runs a line of bash, in which $ml2021 is the command."""

    def run(folder: Path, arguments: Sequence[str]) -> Outcome:
        command = script.replace("$ml2021", shlex.join([*PROGRAM, *arguments]))
        return _apart(folder, ["bash", "-c", f"set -o pipefail; {command}"])

    return run


def _apart(folder: Path, command: Sequence[str]) -> Outcome:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@cache
def without_strace() -> str:
    """Say why no system call can be made to fail here, "" where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(
        ["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else f"strace cannot trace here: {done.stderr.strip()}"


@cache
def without_mounts() -> str:
    """Say why no disk can be mounted here, "" where it can."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    command = ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no disk can be mounted: {done.stderr.strip()}"
