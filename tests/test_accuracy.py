"""The benchmark of accuracy: which rows are trained on and tested on, and what it counts."""

import csv
from pathlib import Path

import pytest

from tests.benchmarks.accuracy import Job, System, measure, parse_ours, report, write_files
from tests.benchmarks.accuracy_tables import Table, parse_table


def table_of(tmp_path: Path, lines: list[str], options: str) -> Table:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    return parse_table(f"{path} {options}")


def test_rows_of_files_and_of_draws(tmp_path: Path) -> None:
    lines = [
        "x,x,kind",
        *(f'{row},"a, b",{"yes" if row % 4 else "no"}' for row in range(40)),
        "1,?,NA",
    ]
    (tmp_path / "index_0.txt").write_text("3\n5\n")
    (tmp_path / "index_1.txt").write_text("0.0 39.0")
    target = "target=kind missing=?"
    table = table_of(tmp_path, lines, f"{target} splits={tmp_path}/index_*.txt")
    assert table.content[0] == ["x.0", "x.1", "kind"]
    assert len(table.content[1]) == 40  # a row without a target is left out
    assert table.task == "classification"
    assert [split.test for split in table.splits()] == [[3, 5], [0, 39]]
    drawn = [*table_of(tmp_path, lines, f"{target} stratified=3 test=0.3").splits()]
    assert len({tuple(split.test) for split in drawn}) == 3
    for split in drawn:
        assert len([row for row in split.test if row % 4 == 0]) == 3
        assert sorted([*split.train, *split.test]) == [*range(40)]
    with pytest.raises(SystemExit, match="unknown splitz"):
        parse_table("t.csv target=y splitz=3")


def test_a_peer_gets_the_lags_of_a_series_and_the_same_rows(tmp_path: Path) -> None:
    lines = ["day,y", *(f"2024-01-{day:02d},{day}" for day in range(1, 11)), "2024-01-11,"]
    options = "target=y lags=2 by=day validation_from=2024-01-05 test_from=2024-01-08"
    table = table_of(tmp_path, lines, options)
    (split,) = table.splits()
    assert (split.train, split.test) == ([2, 3, 4, 5, 6], [7, 8, 9])
    write_files(table, split, tmp_path, is_peer=True)
    with (tmp_path / "test.csv").open() as file:
        assert [*csv.reader(file)][:2] == [["y", "lag 2", "lag 1"], ["8", "6", "7"]]


def test_ratios_are_paired_and_a_failure_is_said(tmp_path: Path) -> None:
    table = table_of(
        tmp_path, ["x,y", *(f"{row},{row * 1.5}" for row in range(20))], "target=y random=2"
    )
    ours, peer, odd = parse_ours("ours: model=linear"), System("peer", is_peer=True), System("odd")
    jobs = [Job(table, split, 0, s) for split in table.splits() for s in (ours, peer, odd)]
    scores = [{"rmse": 2.0, "mae": 1.0}, {"rmse": 1.0, "mae": 1.0}, None] * 2
    scores[3] = {"rmse": 4.0, "mae": 1.0}
    found = {
        job.key: {"error": "no"} if score is None else {"scores": score, "cpu": 2.0}
        for job, score in zip(jobs, scores, strict=True)
    }
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in report([table], [ours, peer, odd], jobs, found)
    ]
    assert ["ours", "3.000 ± 1", "1.000 ± 0", "1.000 ± 0", "2.0"] in rows
    assert ["peer", "1.000 ± 0", "1.000 ± 0", "0.375 ± 0.12", "2.0"] in rows
    assert ["odd", "failed", "", "", ""] in rows


@pytest.mark.soak
def test_ours_is_scored_on_the_rows_that_were_held_out(tmp_path: Path) -> None:
    table = table_of(
        tmp_path, ["x,y", *(f"{row},{row * 1.5}" for row in range(40))], "target=y random=1"
    )
    (split,) = table.splits()
    ours = parse_ours("ours: model=linear train.epochs=2 preset=fast")
    one = measure(Job(table, split, 0, ours), "test")
    assert one["linear"]["rmse"] < 1e-3
    assert one["scores"]["rmse"] > one["scores"]["mae"] > 0
    assert one["cpu"] > 0
    assert "ended with 2" in measure(Job(table, split, 0, parse_ours("a: loss=x")), "test")["error"]
