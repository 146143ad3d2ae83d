"""How much memory this process may still use: of the machine, of its control group, of its limits.

A limit that is passed ends the process, or fails in the middle of what it does; what is certain not
to fit is refused before any time is spent on it.
"""

import resource
from collections.abc import Iterator
from pathlib import Path

from ml2021.errors import ResourceError
from ml2021.formatting import memory_size

_GROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""What a control group without a limit may say instead of "max"."""


def free_memory() -> int | None:
    """Return the bytes that this process may still use, or None if the system does not tell."""
    found = [*_of_machine(), *_of_groups(), *_of_limits()]
    return max(0, min(found)) if found else None


def check_fits(needed: int, what: str, remedy: str) -> None:
    """Raise ResourceError if so many bytes do not fit, with that number and the one that is free.

    what: what needs them, with its place. remedy: what to do.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise ResourceError(
            f"{what} need about {memory_size(needed)} of memory, but only {memory_size(free)} are "
            f"free; {remedy}"
        )


def _of_machine() -> Iterator[int]:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups() -> Iterator[int]:
    """Yield what each control group of the process leaves: a group's limit holds for those in it.

    Pages of files that were read count as used, but are given up when memory is short.
    """
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = _GROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = _GROUPS / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        own = root / path.strip().lstrip("/")
        for group in (own, *own.parents):
            limit, used = (_number(group / name) for name in names[:2])
            if limit is not None and used is not None and limit < _UNLIMITED:
                cached = [line.split() for line in _lines(group / "memory.stat")]
                yield limit - used + sum(int(n) for name, n in cached if name == names[2])
            if group == root:
                break


def _of_limits() -> Iterator[int]:
    """Yield what `ulimit -v` and `ulimit -d` leave."""
    sizes = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(":") for line in _lines(Path("/proc/self/status")))
        if name in ("VmSize", "VmData")
    }
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most, _ = resource.getrlimit(limit)
        if most != resource.RLIM_INFINITY and name in sizes:
            yield most - sizes[name]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdecimal() else None
