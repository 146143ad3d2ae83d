"""The process `ml2021`, also as `python -m ml2021`: settings that must come first, and a quick end.

What the command line does is left to `ml2021.cli`.
"""

import contextlib
import gc
import os
import sys
from typing import NoReturn

SPIN_COUNT = "1000"
"""How long an idle thread of OpenMP waits awake for work, in turns of its loop. By default it waits
for milliseconds, and where another process wants the core, the threads of an update then wait for
each other: at W2 on 2 cores an update took 0.4 ms on a quiet machine and over 10 ms beside a busy
one; with this it takes 0.4 ms and 1.7-3 ms."""

COLLECTION_THRESHOLD = 1_000_000
"""How many more objects there must be before Python looks for cycles: imports make nearly a
million, none of them garbage. Looking through them takes 0.2 s at the default of 700, and at
200,000 still 0.06 s of the 0.9 s of importing pandas and torch."""


def run() -> NoReturn:
    """Run the command line, and leave with its exit code.

    The interpreter is not taken down piece by piece: with torch loaded that takes 0.4 s, and every
    file has been closed and every stream flushed by then.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    gc.set_threshold(COLLECTION_THRESHOLD)

    code: object = 0
    try:
        from ml2021.cli import main

        main()
    except SystemExit as leaving:
        code = leaving.code
    except KeyboardInterrupt:  # before the command line could take it
        code = 130
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    run()
