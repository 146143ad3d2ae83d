"""`train houses.csv --target price`: the config that it stands for, and where messages point."""

import shlex
from pathlib import Path

import pytest

from ml2021.commands.from_table import load_table_config
from ml2021.config.loading import load_config_text
from ml2021.data.resolve import check_columns
from ml2021.data.table_source import source_of
from ml2021.errors import ConfigError, DataError
from tests.commands import contents, run, run_well, table, write_rows


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("tables") / "houses.csv", table(40))


def test_the_text_stands_for_the_command(csv: Path) -> None:
    loaded, notes = load_table_config(csv, ["y"], ["optimizer.lr=0.1", "data.exclude=[p*]"])
    again = load_config_text(loaded.text, "c.yaml").config
    assert again == loaded.config
    assert again.data.target == "y"
    assert again.data.path == str(csv)
    assert again.optimizer.lr == 0.1
    assert again.data.exclude == ["p*"]
    assert not notes


def test_several_targets_are_a_list(csv: Path) -> None:
    assert load_table_config(csv, ["p1", "p2"], [])[0].config.data.target == ["p1", "p2"]


def test_without_a_target_the_last_column_is_it(csv: Path) -> None:
    loaded, (note,) = load_table_config(csv, None, [])
    assert loaded.config.data.target == "p5"
    assert "p5" in note
    loaded, notes = load_table_config(csv, None, ["data.target=y"])
    assert (loaded.config.data.target, notes) == ("y", [])


def test_with_a_target_the_table_is_not_opened(tmp_path: Path) -> None:
    assert load_table_config(tmp_path / "none.csv", ["y"], [])[0].config.data.target == "y"
    with pytest.raises(DataError, match="no such file"):
        load_table_config(tmp_path / "none.csv", None, [])


def test_the_last_column_is_that_of_the_file_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b;c\n1;2;3\n4;5;6\n")
    loaded, _ = load_table_config(path, None, ['data.separator=";"'])
    assert loaded.config.data.target == "c"


@pytest.mark.parametrize(
    ("target", "overrides", "start"),
    [
        (["why"], [], "--target: no column 'why'"),
        ([""], [], "--target: data.target must not be empty"),
        (["y"], ["optimizer.learning_rate=1"], "--set optimizer.learning_rate: unknown key"),
        (["y"], ["data.lags"], "--set data.lags: no value"),
        (["y", "zz"], [], "--target: no column 'zz'"),
    ],
)
def test_messages_name_the_option(
    csv: Path, target: list[str], overrides: list[str], start: str
) -> None:
    def check() -> None:
        loaded = load_table_config(csv, target, overrides)[0]
        check_columns(loaded, source_of(loaded).header())

    with pytest.raises(ConfigError) as error:
        check()
    assert [line for line in error.value.lines if line.startswith(start)]


def test_the_run_keeps_what_the_command_stood_for(csv: Path, tmp_path: Path) -> None:
    settings = ("--set", "train.epochs=2", "--set", "preset=fast", "--set", "data.exclude=[id, p*]")
    outcome = run_well(tmp_path, "train", csv, "--target", "y", *settings)
    kept = tmp_path / "runs" / "houses-1" / "config.yaml"
    assert "cp runs/houses-1/config.yaml" in outcome.stderr
    again = load_config_text(kept.read_text(), "c.yaml").config
    assert (again.data.target, again.train.epochs) == ("y", 2)
    run_well(tmp_path, "train", "--quiet", "--config", kept, "--run-dir", "again")
    runs = (tmp_path / "again", kept.parent)
    assert len({contents(run / "checkpoints")["best.safetensors"] for run in runs}) == 1


ROWS = [f"{row},{row % 4},{2 * row}" for row in range(40)]
TABLES = {
    "a cell": ["a,b,y", *ROWS, "1O5,2,3", ",2,3"],
    "cells": ["a,b,y", *ROWS, "1O5,2,3", ",2,3", "2O5,1,x y", "7,'z,3"],
    "too large a number": ["a,b,y", *ROWS, "1e400,2,3"],
    "a word that looks missing": ["a,b,y", *ROWS, "NULL,2,3"],
    "another separator and mark": ["a;b;y", *(row.replace(",", ";") + ",5" for row in ROWS)],
    "a title": ["sales", "", "a,b,y", *ROWS],
    "few rows": ["a,b,y", *ROWS[1:4]],
    "few rows, not all of which train": ["a,b,y", *ROWS[1:5]],
}


def test_a_key_that_is_only_named_is_shown_as_an_option(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.csv", {"a": range(60), "y": [f"n{row}" for row in range(60)]})
    assert run(tmp_path, "check", "t.csv").stderr.endswith("choose another --target\n")
    said = run(tmp_path, "check", "t.csv", "--target", "a").stderr  # y has a value per row
    assert said.endswith("as in --set data.exclude=VALUE\n")


@pytest.mark.parametrize("lines", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("command", ["check", "init"])
def test_a_remedy_works_as_it_is_copied(tmp_path: Path, lines: list[str], command: str) -> None:
    (tmp_path / "t.csv").write_text("\n".join([*lines, ""]))
    options: list[str] = []
    for _ in range(3):
        outcome = run(tmp_path, command, "t.csv", "--target", "y", *options)
        if not outcome.code:
            return
        if "or let ml2021 init" in outcome.stderr:
            run_well(tmp_path, "init", "t.csv", "--output", "found.yaml")
        _, use, remedy = outcome.stderr.partition(" --set ")
        assert use, outcome.stderr
        words = shlex.split(remedy.partition("; ")[0].partition("\n")[0])
        pairs = ["--set", words[0].removesuffix(","), *words[1:]]
        options += [w for at, w in enumerate(pairs) if w == "--set" or pairs[at - 1] == "--set"]
    assert not outcome.code, outcome.stderr
