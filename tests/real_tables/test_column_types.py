"""What a column is: guessed from its values, or said by data.types."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ml2021.data.preprocessing.records import CategoryFeature, ClassTarget, NumberFeature
from ml2021.errors import ConfigError, DataError
from tests.commands import read_rows, refusal, run_well
from tests.tables import Cell, load, write_csv

ROWS = 60
Columns = Mapping[str, Sequence[Cell]]


def columns(**more: Sequence[Cell]) -> Columns:
    x = np.random.default_rng(0).normal(size=ROWS).round(3)
    return {"x": x.tolist(), **more, "y": (5 * x + 2).round(3).tolist()}


def test_a_number_of_two_values_goes_on_beyond_them(tmp_path: Path) -> None:
    children = [row % 2 * 2 for row in range(ROWS)]
    y = [180 + 10 * count for count in children]
    write_csv(tmp_path / "t.csv", {"children": children, "y": y})
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y}\ntask: regression\nmodel: linear\n"
        "optimizer: {lr: 0.1, weight_decay: 0.0}\ntrain: {epochs: 60}\n"
    )
    run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "run")
    write_csv(tmp_path / "new.csv", {"children": list(range(5))})
    run_well(tmp_path, "predict", "new.csv", "--run", "run", "--output", "p.csv")
    found = [float(row["y"]) for row in read_rows(tmp_path / "p.csv")]
    assert found == pytest.approx([180, 190, 200, 210, 220], abs=1)


def test_true_and_false_stay_a_category(tmp_path: Path) -> None:
    flag: list[Cell] = ["true" if row % 3 else "false" for row in range(ROWS)]
    data = load(write_csv(tmp_path / "t.csv", columns(flag=flag)), "  target: y")
    assert data.preprocessing.inputs == ("x", "flag=false", "flag=true")


def test_a_category_keeps_its_text_in_training_and_prediction(tmp_path: Path) -> None:
    codes: list[Cell] = [["00601", "10001", "601"][row % 3] for row in range(ROWS)]
    write_csv(tmp_path / "t.csv", columns(zip_a=codes, zip_b=codes))
    (tmp_path / "c.yaml").write_text(
        "data: {path: t.csv, target: y, types: {zip_*: category, zip_b: number}}\n"
        "train: {epochs: 1}\nmodel: linear\n"
    )
    outcome = run_well(tmp_path, "train", "--config", "c.yaml", "--run-dir", "run")
    assert "one-hot: zip_a (3)" in outcome.stderr
    assert "standardised: x, zip_b" in outcome.stderr
    new: Columns = {"x": [0] * 3, "zip_a": ["00601", "601", "10001"], "zip_b": [5] * 3}
    write_csv(tmp_path / "new.csv", new)
    run_well(tmp_path, "predict", "new.csv", "--run", "run", "--output", "p.csv")
    assert len({row["y"] for row in read_rows(tmp_path / "p.csv")}) == 3


def test_a_type_overrules_each_guess(tmp_path: Path) -> None:
    names: list[Cell] = [f"n{row}" for row in range(ROWS)]
    day: list[Cell] = [20210000 + row for row in range(ROWS)]
    table = write_csv(tmp_path / "t.csv", columns(who=names, day=day))
    data = load(table, "  target: y", "  types: {who: category, day: date}")
    _, who = data.preprocessing.features
    assert isinstance(who, CategoryFeature)
    assert len(who.categories) == len(data.train)
    assert any(note.startswith("excluded: day (") for note in data.notes)
    text: list[Cell] = [*["7"] * 30, *["seven"] * 30]
    with pytest.raises(DataError, match=r"t\.csv:32: column 'n': 'seven'"):
        load(write_csv(tmp_path / "t.csv", columns(n=text)), "  target: y", "  types: {n: number}")


def test_the_type_of_a_target_decides_the_task(tmp_path: Path) -> None:
    stars: list[Cell] = [row % 5 for row in range(ROWS)]
    table = write_csv(tmp_path / "t.csv", columns(stars=stars, two=[s == 0 for s in stars]))
    data = load(table, "  target: stars", "  types: {stars: category}")
    assert isinstance(data.preprocessing.target, ClassTarget)
    assert data.preprocessing.target.labels == ("0", "1", "2", "3", "4")
    table = write_csv(tmp_path / "t.csv", columns(two=[row % 2 for row in range(ROWS)]))
    assert load(table, "  target: two").config.task == "classification"
    declared = load(table, "  target: two", "  types: {two: number}")
    assert declared.config.task == "regression"


@pytest.mark.parametrize(
    ("lines", "facts"),
    [
        (("  types: {xx: number}",), "c.yaml:4:15 | 'xx' | did you mean 'x'?"),
        (("  types: {y: category}", "task: regression"), "task | 'y'"),
        (("  types: {y: number}", "task: classification"), "task | 'y'"),
        (("  types: {y: pixel}",), "'y' | pixel"),
        (("  types: {x*: number, '?': category}",), "'x' | number | category"),
    ],
)
def test_types_that_do_not_fit(tmp_path: Path, lines: Sequence[str], facts: str) -> None:
    table = write_csv(tmp_path / "t.csv", columns())
    with pytest.raises(ConfigError) as caught:
        load(table, "  target: y", *lines)
    (line,) = caught.value.lines
    assert all(fact in line for fact in facts.split(" | ")), line


def test_a_price_is_no_class(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", columns())
    (tmp_path / "c.yaml").write_text("data: {path: t.csv, target: y}\ntask: classification\n")
    code, line = refusal(tmp_path, "train", "--quiet", "--config", "c.yaml")
    assert code == 3
    assert "'y'" in line
    assert "too many for classes" in line


def test_labels_as_several_targets_get_a_note(tmp_path: Path) -> None:
    labels = {name: [row // step % 2 for row in range(ROWS)] for name, step in (("a", 1), ("b", 3))}
    data = load(write_csv(tmp_path / "t.csv", columns(**labels)), "  target: [a, b]")
    (note,) = [note for note in data.notes if note.startswith("a, b have two values")]
    assert "task: classification" in note
    data = load(write_csv(tmp_path / "t.csv", columns(**labels)), "  target: [x, y]")
    assert not any("two values" in note for note in data.notes)


def images(depth: int, stem: str) -> dict[str, list[Cell]]:
    """Return 4 x 4 images of a bright spot."""
    random = np.random.default_rng(2)
    spot = random.uniform(0, 15, size=(ROWS, 1))
    bright = np.exp(-np.square(np.arange(16) - spot) / 8)
    values = (depth * bright / bright.max(axis=1, keepdims=True)).round().astype(int)
    return {f"{stem}{i}": values[:, i].tolist() for i in range(16)}


@pytest.mark.parametrize(("depth", "stem"), [(255, "f"), (16, "f"), (16, "pixel_"), (1000, "f")])
def test_pixels_are_known_by_their_values(tmp_path: Path, depth: int, stem: str) -> None:
    data = load(write_csv(tmp_path / "t.csv", columns(**images(depth, stem))), "  target: y")
    numbers = [f for f in data.preprocessing.features if isinstance(f, NumberFeature)]
    scales = {feature.scale for feature in numbers if feature.name != "x"}
    assert (len(scales) == 1) == (depth < 256)


@pytest.mark.parametrize("kind", ["answers", "counts", "shares"])
def test_other_numbered_columns_are_no_pixels(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(3)
    taste = random.normal(size=(ROWS, 1))
    values = {
        "answers": np.clip((3 + taste + random.normal(size=(ROWS, 20))).round(), 1, 5).astype(int),
        "counts": random.poisson(np.exp(taste + 1), (ROWS, 20)),
        "shares": random.beta(2, 5, (ROWS, 20)).round(3),
    }[kind]
    table = columns(**{f"f{i}": values[:, i].tolist() for i in range(20)})
    data = load(write_csv(tmp_path / "t.csv", table), "  target: y")
    assert not any("pixels" in note for note in data.notes)
    said = load(tmp_path / "t.csv", "  target: y", "  types: {f*: pixel}")
    assert any(note.startswith("f* are treated as pixels") for note in said.notes)


def test_shuffled_identifiers_get_a_hint(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    ids = random.permutation(ROWS) + 1000
    codes = random.choice(900_000, ROWS, replace=False) + 100_000
    y = random.normal(size=ROWS).round(3)
    income = (30_000 + 5_000 * y + 1_000 * random.normal(size=ROWS)).astype(int)
    table = {"id": ids, "code": codes, "income": income, "rank": np.argsort(np.argsort(y)), "y": y}
    path = write_csv(tmp_path / "t.csv", {name: v.tolist() for name, v in table.items()})
    (note,) = [note for note in load(path, "  target: y").notes if "identifier" in note]
    assert note.startswith("id, code look like identifiers")
    assert "data.exclude" in note


@pytest.mark.parametrize("written", ["00601", '"00601"', " 007"])
def test_leading_zeros_get_a_note(tmp_path: Path, written: str) -> None:
    cells: list[Cell] = [written if row == 30 else 10_000 + row % 7 for row in range(ROWS)]
    path = write_csv(tmp_path / "t.csv", {"zip": cells, **columns()})
    (note,) = [note for note in load(path, "  target: y").notes if "leading zeros" in note]
    assert note.startswith("zip ")
    assert written.strip(' "') in note
    assert "data.types" in note
    declared = load(path, "  target: y", "  types: {zip: category}")
    assert not any("leading zeros" in note for note in declared.notes)


def test_other_zeros_get_no_note(tmp_path: Path) -> None:
    numbers: list[Cell] = [["0.5", "0", "10.05", "-0.1", "0e0", "00.5"][r % 6] for r in range(ROWS)]
    days: list[Cell] = [f"2021-01-{row % 28 + 1:02}" for row in range(ROWS)]
    path = write_csv(tmp_path / "t.csv", columns(number=numbers, day=days))
    assert not any("leading zeros" in note for note in load(path, "  target: y").notes)


def test_several_targets_of_two_words_are_told_what_to_do(tmp_path: Path) -> None:
    words = {name: ["yes", "no"] * 20 for name in ("a", "b")}
    path = write_csv(tmp_path / "t.csv", {"x": list(range(40)), **words})
    with pytest.raises(DataError, match=r"'a' is text.* 1 and 0, or train a run for each target"):
        load(path, "  target: [a, b]")
