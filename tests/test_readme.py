"""The README: its commands run as shown, CI runs its set-up commands, its tree is the package."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ml2021.cli.app import app
from tests.commands import read_rows

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in SHELL_BLOCKS for line in block.splitlines()]
PACKAGE = ROOT / "ml2021"


def test_every_command_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("configs", "data"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    ours = [line.removeprefix("ml2021 ") for line in COMMANDS if line.startswith("ml2021 ")]
    assert len(ours) >= 6
    for line in ours:
        result = CliRunner().invoke(app, line.split())
        assert result.exit_code == 0, (line, result.output, result.exception)
    check_the_ladder(tmp_path / "runs" / "ladder-sweep-1" / "sweep.csv")


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


def test_the_two_set_up_commands_are_whole() -> None:
    train, test = (line for line in COMMANDS if line.startswith("python3 -m venv"))
    assert train.endswith(".venv/bin/ml2021 train --config configs/views_relu.yaml")
    assert test in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("name", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_links_lead_somewhere(name: str) -> None:
    assert (ROOT / name).exists()


def listed_paths(tree: str) -> list[str]:
    """Return the paths of a tree, which indents by two spaces and ends a folder's name in /."""
    paths: list[str] = []
    folders: list[str] = []
    for line in filter(None, tree.splitlines()):
        name, *clause = line.split(maxsplit=1)
        assert clause, f"{name} has no clause"
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        path = "".join(folders[:depth]) + name
        paths.append(path)
        if name.endswith("/"):
            folders[depth:] = [name]
    return paths


def test_the_tree_lists_every_module_once() -> None:
    found = re.search(r"```\nml2021/\n(.*?)```", README, re.DOTALL)
    assert found is not None
    modules = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".css", ".js"}]
    folders = {path.parent for path in modules} - {PACKAGE}
    on_disk = [str(path.relative_to(PACKAGE)) for path in modules if path.name != "__init__.py"]
    on_disk += [f"{path.relative_to(PACKAGE)}/" for path in folders]
    assert sorted(listed_paths(found[1])) == sorted(on_disk)
