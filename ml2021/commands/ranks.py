"""A process that torchrun has started: rank 0 runs the command, the others follow it."""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from ml2021.console import write_message
from ml2021.errors import Ml2021Error, ResourceError, lacks_memory

if TYPE_CHECKING:
    from ml2021.engine.distributed import Ranks

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 10.0
"""How long a follower that got a signal waits for the leader to end."""


def run_as_rank(run: Callable[[], None]) -> NoReturn:
    """Run the command on rank 0, follow it on the others; exit with its code on all of them."""
    is_leader = os.environ["RANK"] == "0"
    if not is_leader:  # before any thread starts, which inherits it
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # the rest is our own lines
    from ml2021.engine.distributed import join

    try:
        ranks = join()
    except RuntimeError:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        if is_leader:
            write_message(f"{address}: torchrun's rendezvous cannot be reached; start it again")
        sys.exit(ResourceError.exit_code)
    assert ranks is not None
    if not is_leader:
        sys.exit(_follow(ranks))
    code: object = 1
    try:
        run()
    except SystemExit as end:
        code = end.code
        raise
    finally:
        ranks.end(code if isinstance(code, int) else 0 if code is None else 1)
    sys.exit(0)


def _follow(ranks: "Ranks") -> int:
    """Do what the leader says until it ends; return its exit code."""
    threading.Thread(target=_pass_signals_on, args=(ranks,), daemon=True).start()
    from ml2021.engine.ranks import Follower

    follower = Follower(ranks)
    try:
        while (message := ranks.hear())["do"] != "end":
            if message["do"] == "sweep":
                from ml2021.sweeps.ranks import train_packs

                train_packs(ranks)
            else:
                follower.handle(message)
    except Exception as error:  # whatever it is, the leader prints it and all ranks end
        if (code := _wait_for_end(ranks)) is not None:
            return code
        lines, code = _described(error), ResourceError.exit_code
        if isinstance(error, Ml2021Error):
            lines, code = [f"rank {ranks.rank}: {line}" for line in error.lines], error.exit_code
        ranks.fail(code, lines)
        return code
    return int(message["code"])


def _described(error: Exception) -> list[str]:
    """Return the lines for an error that is not of ours."""
    if lacks_memory(error):
        return ["out of memory on a rank; use fewer ranks on a machine, or a smaller model"]
    return [
        *traceback.format_exception(error)[-1].rstrip().split("\n"),
        "this is a bug in ml2021; please report it with the lines above",
    ]


def _wait_for_end(ranks: "Ranks") -> int | None:
    """Return the code of a leader that is ending, None of one that is not."""
    for _ in range(10):
        if (code := ranks.ended_with()) is not None or ranks.has_lost_leader():
            return code
        time.sleep(0.1)
    return None


def _pass_signals_on(ranks: "Ranks") -> None:
    """Let the leader save and stop when this rank gets a signal, and end with it."""
    number = signal.sigwait(_SIGNALS)
    ranks.pass_on(number)
    time.sleep(GRACE_SECONDS)
    ranks.leave(128 + number)
