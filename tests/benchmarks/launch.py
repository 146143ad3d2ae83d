"""Run a command and write what it took as JSON: `python launch.py RESULT COMMAND...`.

A process of its own because the kernel counts the memory of the process that starts a command as
the command's: this one is small, where a process that has numpy or torch in it is not.
"""

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Run the command that the arguments hold."""
    result, *command = sys.argv[1:]
    begun = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes there, KiB elsewhere
    code = os.waitstatus_to_exitcode(status)
    took = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * unit,
        "code": code,
    }
    Path(result).write_text(json.dumps(took))


if __name__ == "__main__":
    main()
