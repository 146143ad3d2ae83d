"""The package: a source distribution that is whole, a wheel made from it, and what is public."""

import email
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import ml2021
from tests.test_readme import README, ROOT

BUILD = """
import sys
from setuptools import build_meta
getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2])
"""
FOLDERS = ("ml2021", "configs", "data", "tests")
FILES = ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", ".ci/run")


def files_of(folder: Path) -> set[str]:
    """Return the files of the repository, or of a copy of it, by their paths in it."""
    found = {
        str(path.relative_to(folder)) for name in FOLDERS for path in (folder / name).rglob("*")
    }
    found = {name for name in found if (folder / name).is_file()}
    return {name for name in found if "__pycache__" not in name} | {*FILES}


def build(kind: str, source: Path, place: Path) -> Path:
    """Build a distribution as pip does, but in this environment."""
    command = [sys.executable, "-c", BUILD, kind, str(place)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = place.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a source distribution, and the wheel that is built from its content alone."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    folder = tmp_path_factory.mktemp("package")
    for name in files_of(ROOT):
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    sdist = build("sdist", folder / "source", folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return sdist, build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)


def test_the_distributions_are_whole(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    ours = files_of(ROOT)
    assert files_of(sdist.with_name(sdist.name.removesuffix(".tar.gz"))) == ours
    package = {name for name in ours if name.startswith("ml2021/")}
    assert "ml2021/py.typed" in package
    assert {".js", ".css"} <= {Path(name).suffix for name in package}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == package
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        described = email.message_from_bytes(archive.read(metadata))
    assert described["Version"] == ml2021.__version__
    assert "torch<2.14,>=2.9" in described.get_all("Requires-Dist", [])


def test_the_distributions_pass_twine(built: tuple[Path, Path]) -> None:
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_lists_what_is_public() -> None:
    found = re.search(r"Public are (.*?); all else may change\.", README, re.DOTALL)
    assert found is not None
    assert sorted(re.findall(r"`(\w+)`", found[1])) == sorted(ml2021.__all__)
