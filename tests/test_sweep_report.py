"""The report of a sweep: a picture for each key, in one file, and what stands in it."""

import re
from pathlib import Path

import pytest

from ml2021.report import sweep as of_sweep
from ml2021.sweeps.directory import create_sweep
from tests.commands import contents, read_rows, refusal, run, run_well, table, text_of, write_rows

HEAD = """\
data: {path: t.csv, target: y, features: [a, b, colour]}
model: {type: relu_stack, widths: [4]}
train: {epochs: 3}
device: cpu
"""
SWEEPS = {
    "grid": "grid: {optimizer.lr: [0.001, 0.01, 0.1], model.widths: [[4], [4, 4]], seed: [0, 1]}",
    "random": "random: {optimizer.lr: {low: 1e-4, high: 0.1, scale: log}, train.epochs: [2, 3]}\n"
    "  samples: 5",
    "runs": "runs: [{model: linear}, {model: {type: sigmoid_sum, units: 2}, train.epochs: 2}, "
    "{optimizer: {type: sgd, lr: 1e300}}]",
    "classes": "grid: {data.target: [kind], optimizer.lr: [0.001, 0.01]}",
    "no_validation": "grid: {data.split.validation: [0.0], optimizer.lr: [0.001, 0.01]}",
    "one": "grid: {optimizer.lr: [0.01]}",
}
PICTURES = {
    "grid": {"slice_optimizer_lr", "slice_model_widths", "slice_seed", "validation_test"},
    "random": {"slice_optimizer_lr", "slice_train_epochs", "validation_test"},
    "runs": {"slice_model", "slice_train_epochs"},
    "classes": {"slice_optimizer_lr"},
    "no_validation": {"slice_optimizer_lr"},
    "one": set(),
}
"""A key with the same value in all completed runs has no slice."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep_report")
    write_rows(folder / "t.csv", table(120))
    for name, section in SWEEPS.items():
        (folder / f"{name}.yaml").write_text(f"{HEAD}sweep:\n  {section}\n")
        options = ("--config", f"{name}.yaml", "--run-dir", name, "--jobs", 1)
        run_well(folder, "sweep", *options, with_report=name == "grid")  # else --no-report
        assert (folder / name / "report.html").exists() == (name == "grid")
    return folder


@pytest.mark.parametrize("name", SWEEPS)
def test_every_kind_of_sweep_has_its_slices(folder: Path, name: str) -> None:
    outcome = run_well(folder, "report", "--run", name, "--plots", f"plots/{name}")
    assert outcome.stdout == f"{name}/report.html\n"
    page = (folder / name / "report.html").read_text()
    assert set(re.findall(r'<figure id="(\w+)"', page)) == PICTURES[name]
    assert {path.stem for path in (folder / "plots" / name).iterdir()} == PICTURES[name]
    assert page.count("<section ") == 3
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)


def test_a_sweep_ends_with_the_report_that_the_command_makes(folder: Path) -> None:
    page = folder / "grid" / "report.html"
    made = page.read_bytes()
    page.unlink()
    best = contents(folder / "grid" / "best")
    run_well(folder, "report", "--run", "grid")
    assert page.read_bytes() == made
    assert contents(folder / "grid" / "best") == best


def test_it_says_what_the_table_says(folder: Path) -> None:
    text = text_of(folder / "grid" / "report.html")
    rows = read_rows(folder / "grid" / "sweep.csv")
    best = min(rows, key=lambda row: float(row["validation_rmse"]))
    assert f"run {best['run']} (optimizer.lr {best['optimizer.lr']}" in text
    assert "0.001, 0.01, 0.1" in text
    assert "12, all completed" in text
    assert "84 train, 12 validation, 24 test" in text
    for row in rows:
        assert f"{float(row['test_rmse']):.4g}" in text


def test_what_diverged_is_named(folder: Path) -> None:
    run_well(folder, "report", "--run", "runs")
    text = text_of(folder / "runs" / "report.html")
    assert "1 of 3 runs diverged." in text
    assert "run 3: training diverged" in text


def test_a_failure_to_draw_does_not_lose_the_sweep(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("no\x1bink")

    monkeypatch.setattr(of_sweep, "_runs", fail)
    options = ("--quiet", "--config", folder / "one.yaml", "--run-dir", tmp_path / "s")
    outcome = run(folder, "sweep", *options, with_report=True)
    assert outcome.code == 0
    assert "(ValueError: no\\x1bink)" in outcome.stderr
    assert f"ml2021 report --run {tmp_path / 's'}\n" in outcome.stderr
    assert not [*(tmp_path / "s").glob("*report*")]


def test_runs_of_several_targets_have_no_best(folder: Path, tmp_path: Path) -> None:
    section = "grid: {data.target: [y, b], model.widths: [[4], [3]]}"
    head = HEAD.replace("features: [a, b", "features: [a")
    (folder / "two.yaml").write_text(f"{head}sweep: {{{section}}}\n")
    options = ("--config", "two.yaml", "--run-dir", tmp_path / "s", "--jobs", 1)
    outcome = run_well(folder, "sweep", *options, with_report=True)
    assert "different tasks or targets" in outcome.stderr
    assert {row["status"] for row in read_rows(tmp_path / "s" / "sweep.csv")} == {"done"}
    left = {path.name for path in (tmp_path / "s").iterdir()}
    assert left == {"ml2021.tag", "config.yaml", "sweep.json", "results.jsonl", "sweep.csv"}
    code, line = refusal(folder, "report", "--run", tmp_path / "s")
    assert code == 2
    assert "sweep one target at a time" in line
    outcome = run_well(folder, "sweep", "--resume", tmp_path / "s", with_report=True)
    assert outcome.stderr.endswith("nothing to do\n")


def test_refusals(folder: Path, tmp_path: Path) -> None:
    code, line = refusal(folder, "report", "--run", "grid", "--plots", "t.csv")
    assert (code, line) == (2, "--plots t.csv: is a file; name a folder")
    create_sweep(tmp_path / "s", "s")
    (tmp_path / "s" / "sweep.json").write_text((folder / "one" / "sweep.json").read_text())
    code, line = refusal(folder, "report", "--run", tmp_path / "s")
    assert code == 4
    assert "none of its runs completed" in line
