"""Commands by the hundred: a process that has imported everything forks a child for each.

A command in a process of its own pays two seconds for its imports; a child that is forked after
them pays none. The child stops itself before the command, so that `strace` can take hold of it:
every call to the kernel that a command makes from then on can be watched, refused or made its last.
Started by `Forks`, this module is that process; it reads a line of JSON for each child.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.commands import Outcome

ROOT = Path(__file__).parent.parent
SECONDS = 60.0
"""What no command here may take; a child that does is killed, and its code is `HUNG`."""
HUNG = -1000
_LATE = (
    *("ml2021.data.load", "encodings.utf_8_sig", "pyarrow.pandas_compat", "safetensors.torch"),
    *("pydantic.type_adapter", "typer._adapters", "typer._click.decorators"),
    "pyarrow.vendored.version",
)


@dataclass(frozen=True)
class Injection:
    """What strace does to the `when`-th of the calls named `syscall`: "signal=SIGKILL", say."""

    syscall: str
    what: str
    when: int


class Forks:
    """A process that has imported the program, and forks children that run commands."""

    def __enter__(self) -> "Forks":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == {"ready": True}
        return self

    @property
    def pid(self) -> int:
        """The process that forks, whose limits its children have."""
        return self._process.pid

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=SECONDS)
        self._process.stdout.close()

    def run(
        self,
        folder: Path,
        *arguments: object,
        mutant: str | None = None,
        settings: Mapping[str, Any] | None = None,
        kill_after: float | None = None,
        most_work: int | None = None,
    ) -> Outcome:
        """Run a command in `folder`; after `kill_after` seconds it is sent SIGKILL.

        most_work: the seconds of processor time after which it counts as hung.
        """
        self._begin(
            folder,
            arguments,
            mutant,
            settings,
            is_stopped=False,
            kill_after=kill_after,
            most_work=most_work,
        )
        return self._end()

    def trace(
        self,
        folder: Path,
        *arguments: object,
        calls: str,
        inject: Injection | None = None,
        mutant: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> tuple[Outcome, list[str]]:
        """Run a command under strace, and return the lines of its log too.

        `calls` are the names of those to watch, with commas between them.
        """
        child = self._begin(folder, arguments, mutant, settings, is_stopped=True)
        with tempfile.NamedTemporaryFile("r", suffix=".strace") as log:
            command = ["strace", "-f", "-y", "-s", "0", "-o", log.name, "-p", str(child)]
            command += ["-e", f"trace={calls}", "-e", "signal=none"]
            if inject is not None:
                command += ["-e", f"inject={inject.syscall}:{inject.what}:when={inject.when}"]
            tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + SECONDS
            while not is_traced(child):
                assert tracer.poll() is None, "strace could not take hold of the child"
                assert time.monotonic() < deadline
                time.sleep(0.001)
            os.kill(child, signal.SIGCONT)
            outcome = self._end()
            tracer.wait(timeout=SECONDS)
            return outcome, log.read().splitlines()

    def _begin(
        self,
        folder: Path,
        arguments: Sequence[object],
        mutant: str | None,
        settings: Mapping[str, Any] | None,
        *,
        is_stopped: bool,
        kill_after: float | None = None,
        most_work: int | None = None,
    ) -> int:
        request = {
            "folder": str(folder),
            "arguments": [str(argument) for argument in arguments],
            "mutant": mutant,
            "settings": dict(settings or {}),
            "is_stopped": is_stopped,
            "kill_after": kill_after,
            "most_work": most_work,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        child = self._answer()["child"]
        assert isinstance(child, int)
        return child

    def _end(self) -> Outcome:
        ended = self._answer()
        return Outcome(ended["code"], ended["stdout"], ended["stderr"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


def is_traced(child: int) -> bool:
    """Whether a tracer has attached, and the child stands where it stopped itself."""
    status = Path(f"/proc/{child}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return fields["TracerPid"] != "0" and fields["State"][0] in "tT"


def serve() -> None:
    """Fork a child for each line of stdin, and answer with its number, and then with its end."""
    import_all()
    _say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            child = os.fork()
            if child == 0:
                _child(request, stdout.fileno(), stderr.fileno())
            if request["is_stopped"]:
                os.waitpid(child, os.WUNTRACED)
            _say({"child": child})
            code = _wait(child, request["kill_after"])
            stdout.seek(0)
            stderr.seek(0)
            texts = {"stdout": stdout.read().decode(), "stderr": stderr.read().decode()}
            _say({"code": code, **texts})


def _say(answer: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _wait(child: int, kill_after: float | None) -> int:
    limit = SECONDS if kill_after is None else kill_after
    handle = os.pidfd_open(child)
    try:
        has_ended = bool(select.select([handle], [], [], limit)[0])
    finally:
        os.close(handle)
    if not has_ended:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not has_ended:
        return HUNG if kill_after is None else -signal.SIGKILL
    return HUNG if code == -signal.SIGXCPU else code


def import_all() -> None:
    """Import all that a command may need, so that a fork has it."""
    import pandas  # noqa: F401
    import torch

    import ml2021

    for module in pkgutil.walk_packages(ml2021.__path__, "ml2021."):
        if module.name != "ml2021.packaging":
            importlib.import_module(module.name)
    # An import within a command makes calls of its own, more of them when a folder has changed, and
    # the calls are counted.
    for name in _LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

    torch.zeros(2).sum()
    gc.collect()
    gc.freeze()  # so that a collection in a child does not copy every page of what was imported


def _child(request: Mapping[str, Any], stdout: int, stderr: int) -> None:
    """Be the command: everything as in a process of its own, but for the imports."""
    code = 98
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        if (seconds := request["most_work"]) is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        os.chdir(request["folder"])
        sys.argv = ["ml2021", *request["arguments"]]
        from tests import mutants

        mutants.settings(**request["settings"])
        if request["mutant"] is not None:
            mutants.MUTANTS[request["mutant"]].apply()
        from ml2021.__main__ import run

        if request["is_stopped"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        run()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
