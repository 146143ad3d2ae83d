"""The environment: little memory, odd settings, and libraries that talk."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml2021.cli import main as command_line
from ml2021.data.preprocessing.records import NumberFeature, Preprocessing, RealTargets
from ml2021.data.preprocessing.transform import encode_inputs
from ml2021.errors import DataError, lacks_memory
from tests import commands
from tests.commands import run_apart, run_well, write_rows
from tests.tables import sources_of

SMALL = "model: {type: relu_stack, widths: [4]}\ntrain: {epochs: 1}\ndevice: cpu\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "t.csv", commands.table(30))
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.csv, target: y, features: [a, b]}}\n{SMALL}")
    return tmp_path


def test_settings_of_matplotlib_do_not_matter(folder: Path) -> None:
    """C5: another backend, and a matplotlibrc that would run text as TeX."""
    (folder / "matplotlibrc").write_text("backend: bogus\ntext.usetex: True\nno such key\n")
    code = "import ml2021.report.figures.style as style; style._apply_style(); "
    code += "import os; print(style.mpl.rcParams['text.usetex'], os.environ['MPLBACKEND'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "bogus"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("False bogus\n", "")


@pytest.mark.soak
def test_a_home_without_a_cache_is_no_news(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E7: matplotlib then looks for all fonts anew, which takes seconds."""
    run_well(folder, "train", "--config", "c.yaml", "--run-dir", "run")
    (folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/proc/none")
    monkeypatch.delenv("HOME", raising=False)
    done = run_apart(folder, "report", "--run", "run")
    assert (done.code, done.stdout, done.stderr) == (0, "run/report.html\n", "")
    assert not [*(folder / "tmp").iterdir()]


def test_a_report_that_cannot_be_drawn_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C5: whatever fails, from the first import of the page on."""
    monkeypatch.setitem(sys.modules, "ml2021.report.write", None)
    done = run_well(folder, "train", "--config", "c.yaml", with_report=True)
    said = [line for line in done.stderr.splitlines() if "report" in line]
    assert len(said) == 1
    assert "its report could not be written (ModuleNotFoundError" in said[0]


@pytest.mark.parametrize("size", [150 << 20, 700 << 20])
def test_little_address_space_is_one_line(folder: Path, size: int) -> None:
    """C6: before numpy is imported, whose BLAS would end the process, and while torch is."""
    done = run_apart(
        folder,
        *("train", "--config", "c.yaml"),
        before=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
    )
    assert done.code == 5, done.stderr
    assert done.stderr.splitlines()[-1].startswith("out of memory")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("std::bad_alloc"), True),
        (ImportError("no module named torch"), False),
        (ValueError("failed to map segment"), False),
    ],
)
def test_want_of_memory_is_known_by_what_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, lacks: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise error
        except Exception:
            raise ImportError("numpy: see above") from error

    monkeypatch.setattr(command_line, "app", fail)
    assert lacks_memory(error) is lacks
    done = commands.run(folder, "train")
    assert done.code == (5 if lacks else 1)
    assert ("Traceback" in done.stderr) is not lacks


def test_warnings_of_libraries_are_not_for_users(folder: Path) -> None:
    """E2 and E3, in a process of its own, as under pytest all of them are errors."""
    code = "import warnings; from ml2021.__main__ import run; import ml2021.cli.main as m; "
    code += "m.main = lambda: warnings.warn('noise'); run()"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_scale_near_zero_is_an_error_without_a_warning() -> None:
    """E3: it divides large values beyond what a number can be."""
    feature = NumberFeature(
        name="a", mean=0.0, scale=1e-90, fill=0.0, has_indicator=False, minimum=0.0, maximum=1.0
    )
    fitted = Preprocessing(
        task="regression",
        features=(feature,),
        history=None,
        target=RealTargets(names=("y",), labels=("y",), means=(0.0,), scales=(1.0,)),
        sources=sources_of("a", "y"),
        width=2,
        numbered=False,
    )
    with pytest.raises(DataError, match="out of range"):
        encode_inputs(fitted, pd.DataFrame({"a": [1e300, 2.0]}), np.arange(2))


@pytest.mark.soak
def test_a_constant_target_near_two_to_the_60_is_drawn(tmp_path: Path) -> None:
    """E2: the axis of one value so large that its neighbours are no other floats."""
    columns: dict[str, list[object]] = {"a": [*range(40)], "y": [2**60 + 1] * 40}
    write_rows(tmp_path / "t.csv", columns)
    (tmp_path / "c.yaml").write_text(f"data: {{path: t.csv, target: y}}\n{SMALL}")
    done = run_well(tmp_path, "train", "--config", "c.yaml", with_report=True)
    assert "could not be written" not in done.stderr
