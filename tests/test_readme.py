"""The README and the guide: their commands run as shown, their links and the tree are true."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ml2021.cli.app import app
from tests.commands import read_rows, run_well

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "configs" / "guide.md").read_text()
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README + GUIDE, re.DOTALL)
OUTPUTS = [
    block
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    if not language and " ± " in block
]
"""What the guide shows that its commands print."""
COMMANDS = [line for block in SHELL_BLOCKS for line in block.splitlines()]
TRACKERS = {
    match[1]: block
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    if (match := re.match(r"import .*\b(mlflow|wandb)\b", block))
}
PYTHON_BLOCKS = [
    block
    for block in re.findall(r"```python\n(.*?)```", README + GUIDE, re.DOTALL)
    if block not in TRACKERS.values()
]
PAGES = ("README.md", "configs", "data", "tests", "tests/benchmarks")
LINKS = [
    (page.parent, name)
    for place in PAGES
    for page in ([ROOT / place] if place.endswith(".md") else sorted((ROOT / place).glob("*.md")))
    for name in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", page.read_text())
]
PACKAGE = ROOT / "ml2021"


def test_every_command_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("configs", "data"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    assert sum(line.startswith("ml2021 ") for line in COMMANDS) >= 20
    printed: set[str] = set()
    for line in COMMANDS:
        if line.startswith(("mkdir ", "head ", "(head ")):
            subprocess.run(line, shell=True, check=True)
        if line.startswith("ml2021 "):
            result = CliRunner().invoke(app, shlex.split(line.removeprefix("ml2021 ")))
            assert result.exit_code == 0, (line, result.output, result.exception)
            printed |= {digits_masked(text) for text in result.output.splitlines()}
    shown = {digits_masked(line) for block in OUTPUTS for line in block.splitlines()}
    assert len(OUTPUTS) == 2
    assert shown - printed == {"..."}
    check_the_ladder(tmp_path / "runs" / "ladder-sweep-1" / "sweep.csv")


def digits_masked(line: str) -> str:
    """Return a line that is the same where digits differ, but for those after a point."""
    line = re.sub(r"(?<![.\d])\d+(,\d+)*", "0", line)
    return re.sub(r"\d", "0", re.sub(r" +", " ", line))


def check_the_ladder(path: Path) -> None:
    """Hold the README's table against what its command found here, where digits may differ."""
    rows = re.findall(r"^\| \[.*?\]\(configs/ladder/\w+\.yaml\) (\|.*)\|$", README, re.MULTILINE)
    found = read_rows(path)
    assert len(rows) == len(found) == 11
    for row, run in zip(rows, found, strict=True):
        parameters, train, test = (float(cell.replace(",", "")) for cell in row.split("|")[1:])
        assert parameters == float(run["parameters"])
        assert train == pytest.approx(float(run["train_mae"]), rel=0.1, abs=2)
        assert test == pytest.approx(float(run["test_mae"]), rel=0.1)


def test_the_python_runs_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "data" / "diabetes.csv", tmp_path / "data")
    quick = ("--quiet", "--set", "preset=fast", "--set", "train.epochs=3")
    run_well(tmp_path, "train", "data/diabetes.csv", "--target", "progression", *quick)
    monkeypatch.chdir(tmp_path)
    if importlib.util.find_spec("onnx") is not None:
        run_well(tmp_path, "export", "diabetes-1", "--output", "diabetes.onnx")
    names: dict[str, object] = {}
    assert len(PYTHON_BLOCKS) == 5
    for block in PYTHON_BLOCKS:
        if "onnxruntime" not in block or importlib.util.find_spec("onnxruntime") is not None:
            exec(block, names)
    told = capsys.readouterr().out
    assert "data.target: no column 'progress' in frame; did you mean 'progression'?\n" in told
    assert "frame: column 'bmi' is missing\n" in told
    assert (tmp_path / "runs" / "diabetes-saved").is_dir()


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_recipes_for_trackers_run_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str
) -> None:
    assert len(TRACKERS[tracker].splitlines()) <= 15
    pytest.importorskip(tracker)
    shutil.copytree(ROOT / "data", tmp_path / "data")
    quick = ("--quiet", "--set", "preset=fast", "--set", "train.epochs=3")
    run_well(tmp_path, "train", "data/diabetes.csv", "--target", "progression", *quick)
    monkeypatch.chdir(tmp_path)
    exec(TRACKERS[tracker], {})
    assert {"mlflow": list(tmp_path.glob("mlruns*")), "wandb": [tmp_path / "wandb"]}[tracker]


def test_the_two_set_up_commands_are_whole() -> None:
    train, test = (line for line in COMMANDS if line.startswith("python3 -m venv"))
    assert train.endswith(".venv/bin/ml2021 train --config configs/views_relu.yaml")
    assert test in (ROOT / ".ci" / "run").read_text().splitlines()


def test_it_is_read_in_ten_minutes() -> None:
    assert len(README.splitlines()) <= 220


@pytest.mark.parametrize(("folder", "name"), LINKS, ids=[name for _, name in LINKS])
def test_links_lead_somewhere(folder: Path, name: str) -> None:
    assert (folder / name).exists()


def test_the_tree_lists_every_room_once() -> None:
    found = re.search(r"```\nml2021/\n(.*?)```", README, re.DOTALL)
    assert found is not None
    rooms = re.findall(r"^  (\w+)/ +\w.*$", found[1], re.MULTILINE)
    assert len(rooms) == len(found[1].splitlines())  # each has a clause
    on_disk = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert sorted(rooms) == sorted(on_disk)


def test_one_setting_makes_the_links_of_the_package_whole() -> None:
    packaging = pytest.importorskip("ml2021.packaging", reason="setuptools is not installed")
    assert packaging.links_of(ROOT / "pyproject.toml") == ""
    assert packaging.absolute_links(README, "") == README
    whole = packaging.absolute_links(README, "https://a.example/ml2021/")
    for folder, name in LINKS:
        if folder == ROOT:
            assert f"](https://a.example/ml2021/{name}" in whole
    assert not re.search(r"\]\((?!https?:|#)", whole)
    assert len(whole.splitlines()) == len(README.splitlines())
