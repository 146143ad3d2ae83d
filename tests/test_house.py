"""The gate: style, types, the direction of imports, and what this package never does."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ml2021"
MODULES = sorted(PACKAGE.rglob("*.py"))
BIN = Path(sys.executable).parent

GATE = {
    "ruff check": [sys.executable, "-m", "ruff", "check", "."],
    "ruff format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "mypy": [sys.executable, "-m", "mypy"],
    "import-linter": [str(BIN / "lint-imports")],
}

NEVER_IMPORTED = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "torch.optim"}
NEVER_NAMED = {"DataLoader"}
NEVER_CALLED = {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize("name", GATE)
def test_the_gate_is_open(name: str) -> None:
    done = subprocess.run(
        GATE[name], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def offences(tree: ast.AST) -> Iterator[str]:
    """Yield what the package never does: autograd, DataLoader, torch.optim, pickle, eval."""
    for node in ast.walk(tree):
        names: list[str] = []
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom():
                module = node.module or ""
                names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
            case ast.Attribute():
                names = [ast.unparse(node)]
            case ast.Name():
                names = [node.id]
        for name in names:
            if any(name == never or name.startswith(f"{never}.") for never in NEVER_IMPORTED):
                yield name
            if name in ("torch.save", "torch.load", "torch.autograd", "torch.jit.load"):
                yield name
            if name.rpartition(".")[2] in NEVER_NAMED:
                yield name
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in NEVER_CALLED:
            yield f"{node.func.id}()"
        # The engine's own `backward` takes inputs and a gradient, autograd's takes nothing.
        if isinstance(node.func, ast.Attribute):
            bare = not node.args and not node.keywords
            if node.func.attr == "requires_grad_" or (node.func.attr == "backward" and bare):
                yield f".{node.func.attr}()"
        if any(keyword.arg == "requires_grad" for keyword in node.keywords):
            yield "requires_grad="


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_keeps_the_rules_of_the_house(path: Path) -> None:
    assert list(offences(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "code",
    [
        "from torch.utils.data import DataLoader",
        "torch.utils.data.DataLoader(rows)",
        "import torch.optim",
        "from torch import optim",
        "torch.optim.Adam(parameters)",
        "loss.backward()",
        "torch.ones(1, requires_grad=True)",
        "weights.requires_grad_()",
        "import pickle",
        "from pickle import loads",
        "torch.save(state, path)",
        "torch.load(path)",
        "from torch import load",
        "eval(text)",
        "exec(text)",
    ],
)
def test_an_offence_is_found(code: str) -> None:
    assert list(offences(ast.parse(code)))


def test_what_is_only_mentioned_is_no_offence() -> None:
    code = '"""No pickle, no torch.load, no DataLoader."""\nstep.backward(inputs, gradient)\n'
    assert list(offences(ast.parse(code))) == []
