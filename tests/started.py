"""The program in processes of its own that do not wait for its imports.

`python -m ml2021` takes a second and a half of processor time before its command begins. A server
imports everything once, and each `Started` is a fork of it: a process with a number, signals,
limits, files and an end of its own. Where imports or the way into the program matter, tests start
`commands.PROGRAM` instead; hundreds of commands, one after the other, go through `forks.py`.
"""

import atexit
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tests.commands import environment
from tests.forks import ROOT, import_all

SECONDS = 60.0
"""What no command here may take without being waited for longer."""


class Started:
    """The program, started with these arguments; its methods are those of `subprocess.Popen`.

    before: lines of Python that run first; they know os, resource, sys and ml2021.
    """

    def __init__(self, folder: Path, *arguments: object, before: str = "") -> None:
        request = {
            "folder": str(folder),
            "arguments": [str(argument) for argument in arguments],
            "before": before,
            "environment": environment(),
        }
        self.returncode: int | None = None
        self._stdout, self._stderr = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115
        reading, writing = os.pipe()
        files = [writing, self._stdout.fileno(), self._stderr.fileno()]
        socket.send_fds(_server(), [json.dumps(request).encode()], files)
        os.close(writing)
        self._status = os.fdopen(reading)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Return the exit code, minus a signal's number, or None before the end."""
        return self._wait(0)

    def wait(self, timeout: float = SECONDS) -> int:
        """Wait for the end, and return the exit code."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("ml2021", timeout)
        return code

    def _wait(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """Wait for the end, and return what stands on stdout and stderr."""
        self.wait(timeout)
        texts = self._read(self._stdout.fileno()), self.said()
        self._stdout.close()
        self._stderr.close()
        return texts

    def said(self) -> str:
        """Return what stands on stderr so far."""
        return self._read(self._stderr.fileno())

    @staticmethod
    def _read(file: int) -> str:
        return os.pread(file, os.fstat(file).st_size, 0).decode()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


@cache
def _server() -> socket.socket:
    """Start the server; it ends when this process does."""
    ours, its = socket.socketpair()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.started", str(its.fileno())],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        pass_fds=[its.fileno()],
    )
    its.close()
    atexit.register(server.wait)
    atexit.register(ours.close)  # before
    return ours


def serve(channel: socket.socket) -> None:
    """Fork a process for each request, and another that waits for it."""
    import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        message, files, _, _ = socket.recv_fds(channel, 1 << 20, 3)
        if not message:
            return
        if os.fork() == 0:
            channel.close()
            _keep(json.loads(message), *files)
        for file in files:
            os.close(file)


def _keep(request: Mapping[str, Any], status: int, stdout: int, stderr: int) -> NoReturn:
    """Fork the program; write its number, and its exit code once it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        os.close(status)
        _become(request, stdout, stderr)
    os.write(status, f"{child}\n".encode())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(status, f"{code}\n".encode())
    os._exit(0)


def _become(request: Mapping[str, Any], stdout: int, stderr: int) -> NoReturn:
    """Be the program: everything as in a process of its own, but for the imports."""
    try:
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.close(stdout)
        os.close(stderr)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = ["ml2021", *request["arguments"]]
        import ml2021.__main__

        sys.modules["__main__"] = ml2021.__main__  # which workers of a sweep look at
        exec(request["before"], {"os": os, "resource": resource, "sys": sys, "ml2021": ml2021})
        ml2021.__main__.run()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(98)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
