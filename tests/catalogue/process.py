"""68 to 82: signals, disks, memory, locks, devices."""

import fcntl
import gzip
import os
import resource
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import torch

from tests import commands
from tests.catalogue import runners
from tests.catalogue.case import Case, Step, in_process, put
from tests.catalogue.runners import exists, opened, stopped
from tests.commands import Outcome
from tests.started import Started

DATA = "preset: fast\ndata: {path: train.csv, target: y, exclude: [id, kind, p*]}\ndevice: cpu\n"
# Epochs without end, saved all the time; one long epoch; and updates that take seconds.
ENDLESS = f"""{DATA}model: {{type: relu_stack, widths: [8]}}
train: {{epochs: 1000000, early_stopping: null, save_seconds: 1e-9}}
"""
LONG = f"""{DATA.replace("train.csv", "long.csv")}model: {{type: relu_stack, widths: [8]}}
train: {{epochs: 1, batch_size: 1, save_seconds: 1e-9}}
"""
SLOW = f"""{DATA.replace("train.csv", "long.csv")}model: {{type: relu_stack, widths: [3000, 3000]}}
train: {{epochs: 50, batch_size: full}}
"""
LAST = "run/checkpoints/last.safetensors"
BEGUN = exists("run/metrics.csv", after=0.3)
HASTE = "import ml2021.signals; ml2021.signals.GRACE_SECONDS = 0.5"
RESUME = "Resume with: ml2021 train --resume run"
SCORING = f"interrupted while the trained run was scored; it is saved. {RESUME}"
MIDDLE = "stopped in the middle of a long step; the last save is intact"


def trained(config: str) -> str:
    return f"train --quiet --config {config}.yaml --run-dir run"


def lengthened(name: str, times: int) -> Step:
    """Write train.csv with its rows several times over."""

    def step(folder: Path) -> None:
        header, rows = (folder / "train.csv").read_bytes().split(b"\n", 1)
        (folder / name).write_bytes(header + b"\n" + rows * times)

    return step


def packed(folder: Path) -> None:
    """Write a table that takes long to read: 1 GiB, packed to 2 MiB."""
    header, rows = (folder / "train.csv").read_bytes().split(b"\n", 1)
    piece = gzip.compress(rows * 400)
    content = gzip.compress(header + b"\n") + piece * ((1 << 30) // (len(rows) * 400))
    (folder / "slow.csv.gz").write_bytes(content)


def saved_and_stopped(folder: Path, outcome: Outcome) -> None:
    """Check that a resume goes on from there, and is left as it was."""
    more = commands.run_well(folder, *["evaluate", "--run", "run"])
    assert "network" in more.stdout
    assert not (folder / "run" / "summary.json").exists()


def ended_as_never_stopped(folder: Path, outcome: Outcome) -> None:
    commands.run_well(folder, *["train", "--quiet", "--config", "long.yaml", "--run-dir", "whole"])
    for name in ("checkpoints/last.safetensors", "checkpoints/best.safetensors", "metrics.csv"):
        assert (folder / "run" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    shutil.rmtree(folder / "whole")


def removing(folder: Path, arguments: Sequence[str]) -> Outcome:
    """Remove the run directory while its run is trained."""
    process = Started(folder, *arguments)
    runners.wait_until(folder, process, exists(LAST))
    (folder / "run").rename(folder / "gone")
    outcome = runners.ended(process)
    shutil.rmtree(folder / "gone")
    return outcome


def held(folder: Path, arguments: Sequence[str]) -> Outcome:
    """Run the command while another process would hold the run."""
    handle = os.open(folder / "runs" / "number", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        return in_process(folder, arguments)
    finally:
        os.close(handle)


def one_of_two(folder: Path, arguments: Sequence[str]) -> Outcome:
    """Start two trainings into one directory; return what the one says that comes too late."""
    first = Started(folder, *arguments)
    runners.wait_until(folder, first, exists(LAST))
    late = in_process(folder, arguments)
    first.kill()
    runners.ended(first)
    return late


def no_cuda() -> str:
    return "there is a CUDA device here" if torch.cuda.is_available() else ""


def interrupted(number: int, name: str, code: int, *signals: int) -> Case:
    """Return the row of a training that saves and ends at a signal."""
    return Case(
        numbers=(number,),
        name=name,
        given=(put("c.yaml", ENDLESS),),
        command=trained("c"),
        code=code,
        lines=("interrupted at epoch {n} of 1000000; progress is saved. " + RESUME,),
        leaves=("run",),
        then=(saved_and_stopped,),
        run=stopped(exists(LAST), *signals),
    )


CASES = [
    interrupted(68, "SIGINT", 130, signal.SIGINT),
    interrupted(69, "SIGTERM", 143, signal.SIGTERM),
    interrupted(70, "SIGHUP", 129, signal.SIGHUP),
    Case(
        numbers=(68,),
        name="a second SIGINT, in a long step",
        given=(put("c.yaml", SLOW), lengthened("long.csv", 160)),
        command=trained("c"),
        code=130,
        leaves=("run",),
        run=stopped(BEGUN, signal.SIGINT, signal.SIGINT),
    ),
    Case(
        numbers=(68,),
        name="SIGINT while a table is read",
        given=(packed,),
        command="predict slow.csv.gz --run runs/number",
        code=130,
        lines=("stopped by SIGINT",),
        run=stopped(opened("slow.csv.gz"), signal.SIGINT),
    ),
    Case(
        numbers=(69,),
        name="SIGTERM while a table is read",
        given=(packed,),
        command="train --quiet --config number.yaml --set data.path=slow.csv.gz --run-dir run",
        code=143,
        lines=("stopped by SIGTERM",),
        run=stopped(opened("slow.csv.gz"), signal.SIGTERM),
    ),
    Case(
        numbers=(69,),
        name="SIGTERM in a step that outlasts its grace",
        given=(put("c.yaml", SLOW), lengthened("long.csv", 160)),
        command=trained("c"),
        code=143,
        lines=(MIDDLE,),
        leaves=("run",),
        run=stopped(BEGUN, signal.SIGTERM, program=HASTE),
    ),
    Case(
        numbers=(69,),
        name="SIGTERM while the trained run is scored",
        given=(lengthened("test.csv", 3000),),
        command="train --quiet --config number.yaml --run-dir run --set train.epochs=1 "
        "--set data.test_path=test.csv --set model.widths=[256,256]",
        code=143,
        lines=(SCORING,),
        leaves=("run",),
        run=stopped(exists(LAST), signal.SIGTERM),
    ),
    Case(
        numbers=(69,),
        name="SIGTERM in the last save",
        command="train --quiet --config number.yaml --run-dir run",
        code=143,
        lines=(SCORING,),
        leaves=("run",),
        run=runners.prepared(
            "replace = os.replace\n"
            "def killed_within(old, new):\n"
            "    if str(new).endswith('last.safetensors'):\n"
            "        os.kill(os.getpid(), 15)\n"
            "    replace(old, new)\n"
            "os.replace = killed_within"
        ),
    ),
    Case(
        numbers=(69,),
        name="SIGTERM when the last save is done",
        command="train --quiet --config number.yaml --run-dir run",
        code=143,
        lines=(SCORING,),
        leaves=("run",),
        run=runners.prepared(
            "from ml2021.console import ProgressBar\n"
            "leave = ProgressBar.__exit__\n"
            "def killed_within(self, *error):\n"
            "    leave(self, *error)\n"
            "    os.kill(os.getpid(), 15)\n"
            "ProgressBar.__exit__ = killed_within"
        ),
    ),
    Case(
        numbers=(69,),
        name="SIGTERM while the results are printed",
        command="train --quiet --config number.yaml --run-dir run --no-report",
        code=143,
        lines=("interrupted after training had finished; run is complete",),
        leaves=("run",),
        run=runners.prepared(
            "import ml2021.commands.train\n"
            "say = ml2021.commands.train._say_results\n"
            "def killed_within(*arguments):\n"
            "    os.kill(os.getpid(), 15)\n"
            "    say(*arguments)\n"
            "ml2021.commands.train._say_results = killed_within"
        ),
    ),
    Case(
        numbers=(71, 72),
        name="SIGKILL twice in one epoch, then a resume",
        given=(put("long.yaml", LONG), lengthened("long.csv", 40)),
        command=trained("long"),
        code=0,
        leaves=("run",),
        then=(ended_as_never_stopped,),
        run=runners.killed(times=2),
    ),
    Case(
        numbers=(73,),
        name="a reader that stops reading",
        given=(lengthened("long.csv", 200),),
        command="predict long.csv --run runs/number --output -",
        code=0,
        lines=("long.csv: 24,000 rows to stdout",),
        run=runners.in_shell("$ml2021 | head -1"),
    ),
    Case(
        numbers=(73,),
        name="messages that nobody reads",
        command="train --config number.yaml --run-dir run --no-report",
        code=0,
        leaves=("run",),
        run=runners.in_shell("$ml2021 2>&1 >/dev/null | head -1"),
    ),
    Case(
        numbers=(74,),
        name="a checkpoint larger than what is left",
        command="train --quiet --resume runs/number --set train.epochs=6",
        code=5,
        lines=("runs/number/checkpoints/{any}: cannot be written (File too large)",),
        leaves=(
            "runs/number/config.resolved.yaml",
            "runs/number/metrics.csv",
            "runs/number/summary.json",
        ),
        run=runners.limited(resource.RLIMIT_FSIZE, 2500),
    ),
    Case(
        numbers=(74,),
        name="a disk that is full",
        command="train --quiet --config number.yaml --run-dir small/run --set model.widths=[64,64]",
        code=5,
        lines=("small/run/checkpoints/{any}: cannot be written (No space left on device)",),
        run=runners.mounted("small", "size=40k"),
        needs=runners.without_mounts,
    ),
    Case(
        numbers=(75,),
        name="rows on a disk that is too small for them",
        given=(lengthened("long.csv", 100),),
        command="train --config number.yaml --run-dir run --set data.path=long.csv "
        "--set data.memory=disk --set data.cache=small",
        code=5,
        lines=(
            "small: 67 MB for rows on the disk cannot be reserved (No space left on device); "
            "free some space, or set data.cache to a folder that has it",
        ),
        run=runners.mounted("small", "size=1m"),
        needs=runners.without_mounts,
    ),
    Case(
        numbers=(75,),
        name="rows in a run",
        command="train --config number.yaml --run-dir run --set data.memory=disk "
        "--set data.cache=runs/number/rows",
        code=2,
        lines=("data.cache runs/number/rows: is in a run directory; choose another folder",),
    ),
    Case(
        numbers=(75,),
        name="rows in a file",
        command="train --config number.yaml --run-dir run --set data.memory=disk "
        "--set data.cache=train.csv",
        code=5,
        lines=("data.cache train.csv: cannot be made (File exists)",),
    ),
    Case(
        numbers=(76,),
        name="predictions onto a full disk",
        command="predict new.csv --run runs/number --output /dev/full",
        code=5,
        lines=("/dev/full: cannot be written (No space left on device)",),
    ),
    Case(
        numbers=(76,),
        name="predictions to a stdout on a full disk",
        command="predict new.csv --run runs/number --output -",
        code=5,
        lines=("stdout: cannot be written (No space left on device)",),
        run=runners.in_shell("$ml2021 > /dev/full"),
    ),
    Case(
        numbers=(76,),
        name="predictions larger than what is left",
        given=(put("out.csv", "old\n"), lengthened("long.csv", 20)),
        command="predict long.csv --run runs/number --output out.csv",
        code=5,
        lines=("{here}/out.csv: cannot be written (File too large)",),
        run=runners.limited(resource.RLIMIT_FSIZE, 3000),
    ),
    Case(
        numbers=(79,),
        name="no memory for a time series",
        command="predict series.csv --run runs/series --output out.csv",
        code=5,
        lines=(
            "series.csv: about {n} rows of a time series, held in memory together, need about {n} "
            "MB of memory, but only 1 MB are free; predict the last of them alone",
        ),
        run=runners.prepared("import ml2021.memory; ml2021.memory.free_memory = lambda: 999"),
    ),
    Case(
        numbers=(79,),
        name="no memory for the inputs",
        command="evaluate train.csv --run runs/number",
        code=5,
        lines=(
            "120 rows of 5 inputs need about 1 MB of memory, but only 1 MB are free; end other "
            "programs, or use fewer rows",
        ),
        run=runners.prepared(
            "import ml2021.memory; ml2021.memory.free_memory = lambda: 999\n"
            "import ml2021.data.samples; ml2021.data.samples._CERTAIN_TO_FIT = 0"
        ),
    ),
    Case(
        numbers=(79,),
        name="no memory for the scores",
        command="evaluate train.csv --run runs/number",
        code=5,
        lines=(
            "train.csv: the scores of 120 rows need about 1 MB of memory, but only 1 MB are free; "
            "score fewer rows at a time",
        ),
        run=runners.prepared("import ml2021.memory; ml2021.memory.free_memory = lambda: 999"),
    ),
    Case(
        numbers=(79,),
        name="no memory for the pictures",
        command="report --run runs/number",
        code=5,
        lines=(
            "the pictures of the report need about {n} MB of memory, but only 1 MB are free; end "
            "other programs",
        ),
        run=runners.prepared("import ml2021.memory; ml2021.memory.free_memory = lambda: 999"),
    ),
    Case(
        numbers=(76,),
        name="metrics larger than what is left",
        given=(put("c.yaml", ENDLESS.replace("1e-9", "1e9")),),
        command=trained("c"),
        code=5,
        lines=("run/metrics.csv: cannot be written (File too large)",),
        leaves=("run",),
        run=runners.limited(resource.RLIMIT_FSIZE, 20_000),
    ),
    *(
        Case(
            numbers=(77,),
            name=f"{call} gives {error}",
            command="train --quiet --resume runs/number --set train.epochs=6",
            code=5,
            lines=(f"runs/number/metrics.csv: cannot be written ({reason})",),
            run=runners.failing(call, error),
            needs=runners.without_strace,
        )
        for call, error, reason in (
            ("fsync", "EIO", "Input/output error"),
            ("rename", "EDQUOT", "Disk quota exceeded"),
        )
    ),
    Case(
        numbers=(77,),
        name="too many open files",
        command="train --quiet --config number.yaml --run-dir run",
        code=5,
        lines=("{here}/number.yaml: cannot be read (Too many open files)",),
        run=runners.prepared(
            "import contextlib\n"
            "with contextlib.suppress(Exception):  # imports open files too\n"
            "    ml2021.cli.app.app(['train', '--config', 'none'], standalone_mode=False)\n"
            "most = max(map(int, os.listdir('/proc/self/fd'))) + 2\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))"
        ),
    ),
    Case(
        numbers=(78,),
        name="a folder that may not be written to",
        given=(lambda folder: (folder / "runs").chmod(0o500),),
        command="train --quiet --config number.yaml --run-dir runs/new",
        code=5,
        lines=("runs/new: cannot be made (Permission denied)",),
        then=(lambda folder, outcome: (folder / "runs").chmod(0o700),),
        needs=lambda: "root may write everywhere" if os.geteuid() == 0 else "",
    ),
    Case(
        numbers=(78,),
        name="a disk that is read-only",
        command="train --quiet --config number.yaml --run-dir disk/run",
        code=5,
        lines=("disk/run: cannot be made (Read-only file system)",),
        run=runners.mounted("disk", "ro"),
        needs=runners.without_mounts,
    ),
    Case(
        numbers=(78,),
        name="a run directory that is gone",
        command="train --quiet --resume runs/gone",
        code=4,
        lines=("{here}/runs/gone: no such run directory",),
    ),
    Case(
        numbers=(78,),
        name="a run directory removed while its run is trained",
        given=(put("c.yaml", ENDLESS),),
        command=trained("c"),
        code=5,
        lines=("run/checkpoints/{any}: cannot be written (No such file or directory)",),
        run=removing,
    ),
    Case(
        numbers=(79,),
        name="no memory to train in",
        given=(put("c.yaml", f"{DATA}model: {{type: relu_stack, widths: [6000, 6000]}}\n"),),
        command=trained("c"),
        code=5,
        lines=(
            "out of memory with train.batch_size 32 and model {'type': 'relu_stack', 'widths': "
            "[6000, 6000]}; make one of them smaller",
        ),
        run=runners.prepared(
            "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)\n"
            "import ml2021.memory; ml2021.memory.free_memory = lambda: None"  # not told
        ),
    ),
    Case(
        numbers=(80,),
        name="a run that another process trains",
        command="train --resume runs/number",
        code=7,
        lines=("runs/number: another process is training this run",),
        run=held,
    ),
    Case(
        numbers=(80,),
        name="two trainings into one directory",
        given=(put("c.yaml", ENDLESS),),
        command=trained("c"),
        code=7,
        lines=(
            "run: not an empty directory; choose another --run-dir, "
            "or resume its run with --resume run",
        ),
        leaves=("run",),
        run=one_of_two,
    ),
    Case(
        numbers=(81,),
        name="a directory that holds a run",
        command="train --config number.yaml --run-dir runs/number",
        code=7,
        lines=(
            "runs/number: not an empty directory; choose another --run-dir, "
            "or resume its run with --resume runs/number",
        ),
    ),
    Case(
        numbers=(81,),
        name="init where the config exists",
        given=(put("train.yaml", "mine"),),
        command="init train.csv --target y",
        code=2,
        lines=("{here}/train.yaml: already exists; move it, or choose another --output",),
    ),
    Case(
        numbers=(81,),
        name="init --example where its table exists",
        given=(put("houses.csv", "mine"),),
        command="init --example",
        code=2,
        lines=("{here}/houses.csv: already exists; move it, or use another folder",),
    ),
    Case(
        numbers=(82,),
        name="no CUDA",
        command="train --quiet --config number.yaml --set device=cuda",
        code=5,
        lines=(
            "device: cuda is not available (torch {torch} sees 0 CUDA devices); set device: cpu",
        ),
        needs=no_cuda,
    ),
    Case(
        numbers=(82,),
        name="fewer addresses than numpy needs",
        command="train --config number.yaml",
        code=5,
        lines=(
            "out of memory: this process may use 150 MiB of addresses, but its libraries need some "
            "{n} MiB; raise the limit (ulimit -v)",
        ),
        run=lambda folder, arguments: commands.run_apart(
            folder,
            *arguments,
            before=lambda: resource.setrlimit(resource.RLIMIT_AS, (150 << 20, 150 << 20)),
        ),
    ),
]
