"""Entry point of `ml2021` and `python -m ml2021`: early settings, and a fast exit.

The command line itself is in `ml2021.cli.main`.
"""

import contextlib
import gc
import os
import sys
import warnings
from typing import NoReturn

SPIN_COUNT = "1000"
"""How many loop iterations an idle OpenMP thread spins before it sleeps. The default spins for
milliseconds, so when another process needs the core, the threads of an update wait for each other:
100,000 x 20 rows on 2 cores took 0.4 ms an update when idle and over 10 ms next to a busy process;
with this setting 0.4 ms and 1.7-3 ms."""
BLAS_TIMEOUT = "18"
"""For how long an idle thread of NumPy's OpenBLAS spins, as a power of 2 of clock cycles: 0.1 ms.
At its default of 26 a command of 1.6 s spun for 0.15 s on a second core."""
COLLECTION_THRESHOLD = 1_000_000
"""How many new objects trigger a garbage collection. Imports create nearly a million, none of them
garbage; collecting takes 0.2 s of the 0.9 s of importing pandas and torch at the default of 700,
and still 0.06 s at 200,000."""
STACK_SIZE = 1 << 14
"""How many values `run` may have on its stack, far more than it has. CPython keeps the frames of
functions in chunks of 16 KiB, and maps and unmaps one whenever a call crosses a chunk's end: 24
times an epoch, or, ten frames deeper, 85 times, which took 0.1 s of 1.8. For so large a frame it
makes a chunk of 256 KiB, which the functions that `run` calls share."""


def run() -> NoReturn:
    """Run the command line and exit with its code.

    Skips the interpreter's shutdown, which takes 0.4 s with torch loaded: by then every file is
    closed and every stream flushed.
    """
    if os.name == "nt":  # file locks and signals differ there
        sys.stderr.write("ml2021 needs Linux or macOS; on Windows, run it in WSL\n")
        sys.exit(5)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # which any package may bring
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", BLAS_TIMEOUT)
    gc.set_threshold(COLLECTION_THRESHOLD)
    if not sys.warnoptions:  # those of libraries are for us: the tests make them errors
        warnings.simplefilter("ignore")

    code: object = 0
    try:
        from ml2021.cli.main import main

        main()
    except SystemExit as exit_:
        code = exit_.code
    except KeyboardInterrupt:  # before `ml2021.cli.main` handles signals
        code = 130
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


run.__code__ = run.__code__.replace(co_stacksize=STACK_SIZE)

if __name__ == "__main__":
    run()
