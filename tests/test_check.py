"""`check`: all that `train` says and refuses before its first update, and nothing written."""

from pathlib import Path

import pytest

from ml2021.commands.check import check
from ml2021.errors import Ml2021Error
from ml2021.formatting import duration, memory_size
from ml2021.training import loop
from tests.commands import contents, run, run_well, series, table, write_rows

CONFIG = """\
data: {path: t.csv, target: y, exclude: [id, kind, p*]}
model: {type: relu_stack, widths: [8]}
train: {epochs: 3, members: 2}
preset: fast
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    columns = table(120)
    columns["b"] = ["" if row % 10 == 0 else value for row, value in enumerate(columns["b"])]
    write_rows(tmp_path / "t.csv", columns)
    write_rows(tmp_path / "s.csv", series(80))
    (tmp_path / "c.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_says_what_train_would_do_and_writes_nothing(folder: Path) -> None:
    before = contents(folder)
    lines = check(Path("c.yaml"), ["optimizer.lr=0.01"], None)
    assert contents(folder) == before
    text = "\n".join(lines)
    assert "rows 84 train, 12 validation, 24 test" in text
    cells = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert cells["b"][1:3] == ["number", "12"]
    assert cells["colour"][1:3] == ["category", "-"]
    assert cells["y"][-1] == "target"
    assert "training 2 ensemble members of relu_stack" in text
    assert "memory: about 1 MB" in text
    assert "3 epochs of" in text
    assert lines[-1].endswith("ml2021 train c.yaml --set optimizer.lr=0.01")


def test_a_table_and_a_target_are_enough(folder: Path) -> None:
    lines = check(Path("t.csv"), ["preset=fast"], None, is_table=True, target=["y"])
    assert lines[-1].endswith("ml2021 train t.csv --target y --set preset=fast")


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.target=yy"],
        ["loss=mee"],
        ["data.path=none.csv"],
        ["data.separator=;"],
        ["task=classification"],
        ["model.widths=[100000, 100000]"],
        ["device=cuda:77"],
        ["data.split.test=0.99"],
        ["data.types={colour: number}"],
        ["sweep.grid.seed=[1, 2]"],
        ["train.metric=auroc"],
    ],
)
def test_it_refuses_what_train_refuses_in_the_same_words(
    folder: Path, overrides: list[str]
) -> None:
    trained = run(folder, "train", "--quiet", "--config", "c.yaml", "--set", overrides[0])
    with pytest.raises(Ml2021Error) as error:
        check(Path("c.yaml"), [*overrides, "preset=fast"], None)
    assert error.value.exit_code == trained.code != 0
    said = [_without_sizes(line) for line in trained.stderr.splitlines()]
    assert [_without_sizes(line) for line in error.value.lines] == said


def _without_sizes(line: str) -> str:
    """Return a line without the memory that is free, which changes from one moment to the next."""
    return line.partition(" of memory, but only")[0]


def test_folds_and_the_final_model_count(folder: Path) -> None:
    once = check(Path("c.yaml"), [], None)
    again = check(Path("c.yaml"), ["train.refit=true"], None)
    folds = check(Path("c.yaml"), ["data.split={method: kfold, folds: 4}"], None)
    which = ("", " (those of train.refit included)", " (those of 4 folds included)")
    for lines, epochs, included in zip((once, again, folds), (3, 6, 15), which, strict=True):
        (line,) = [line for line in lines if f"{epochs} epochs of" in line]
        assert line.partition(" epochs of ")[2].partition(", ")[0].endswith(f"s{included}")


def test_the_range_of_dates_is_that_of_time_and_blank_names_are_seen(folder: Path) -> None:
    days = [f"{day:02}/{month:02}/{2004 + month // 12}" for month in (10, 12) for day in (2, 29)]
    write_rows(folder / "d.csv", {" ": days * 9, "x": range(36), "y": [i % 9 for i in range(36)]})
    lines = check(Path("d.csv"), ["preset=fast"], None, is_table=True, target=["y"])
    (line,) = [line for line in lines if line.startswith("' '")]
    assert line.split() == ["'", "'", "date", "-", "02/10/2004", "to", "29/12/2005"]
    assert any("standardised: '  year', x" in line for line in lines)


def test_it_does_not_change_what_training_finds(folder: Path) -> None:
    run_well(folder, "train", "--quiet", "--config", "c.yaml", "--run-dir", "a")
    check(Path("c.yaml"), [], None)
    run_well(folder, "train", "--quiet", "--config", "c.yaml", "--run-dir", "b")
    assert contents(folder / "a" / "checkpoints") == contents(folder / "b" / "checkpoints")


def test_training_tells_the_expected_time_once_it_is_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TOLD_AFTER", 0.0)
    told = "at most about"
    assert told not in run_well(folder, "train", "--config", "c.yaml").stderr
    monkeypatch.setattr(loop, "LONG", 0.0)
    lines = run_well(folder, "train", "--config", "c.yaml").stderr.splitlines()
    (line,) = (line for line in lines if told in line)
    assert line.endswith("for 3 epochs")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4e-05, "0.1 ms"),
        (0.003, "3 ms"),
        (0.42, "0.4 s"),
        (9.6, "10 s"),
        (89.0, "89 s"),
        (300.0, "5 min"),
        (9000.0, "2.5 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_memory_sizes() -> None:
    assert [memory_size(size) for size in (1, 23_400_000, 3_400_000_000)] == [
        "1 MB",
        "23 MB",
        "3.4 GB",
    ]
