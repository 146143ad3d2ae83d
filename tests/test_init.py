"""`init`: a commented config for a table, which trains as it stands."""

import json
import random
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ml2021.commands.example import example_csv
from ml2021.config.loading import load_config
from ml2021.config.schema import Data
from ml2021.config.yaml_reader import parse_document
from ml2021.data.csv.scan import TableFormat
from ml2021.data.detect import settings_in
from tests.commands import contents, refusal, run, run_well, table, write_rows

ROWS = 80


def cells(seed: int = 0) -> list[tuple[float, int, str, float]]:
    """Return rows of a decimal number, a whole one, a word and a target."""
    rng = random.Random(seed)
    rows = []
    for _ in range(ROWS):
        a, b, c = rng.uniform(1, 9), rng.randrange(1000, 9000), rng.choice(["red", "blue"])
        rows.append((round(a, 2), b, c, round(3 * a + b / 1000 + 2 * (c == "red"), 2)))
    return rows


def written(
    separator: str = ",",
    decimal: str = ".",
    thousands: str = "",
    missing: str = "",
    before: str = "",
    header: str = "a;b;c;y",
) -> str:
    """Return a table, written in some way."""
    lines = [separator.join(header.split(";"))] if header else []
    for row, (a, b, c, y) in enumerate(cells()):
        grouped = f"{b:,}".replace(",", thousands)
        plain = [str(a), grouped, c, str(y)]
        plain = [plain[0].replace(".", decimal), grouped, c, plain[3].replace(".", decimal)]
        if missing and row % 8 == 3:
            plain[0] = missing
        lines.append(separator.join(plain))
    return before + "\n".join(lines) + "\n"


def section(folder: Path, name: str = "t.yaml") -> Data:
    return load_config(folder / name).config.data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (written(), {}),
        (written(";"), {"separator": ";"}),
        (written("\t"), {"separator": "\t"}),
        (written("|"), {"separator": "|"}),
        (written(";", ","), {"separator": ";", "decimal": ","}),
        (written(";", ",", "."), {"separator": ";", "decimal": ",", "thousands": "."}),
        (written(";", ".", ","), {"separator": ";", "thousands": ","}),
        (written(";", thousands="'"), {"separator": ";", "thousands": "'"}),
        (written(before="# by the station\n# 2021\n"), {"skip_rows": 2}),
        (written(";", before="sep=;\n"), {"separator": ";", "skip_rows": 1}),
        (written(before="Sales of 2021\n\n"), {"skip_rows": 1}),
        (written(header=""), {"header": False}),
    ],
)
def test_how_the_file_is_written_is_found(
    tmp_path: Path, text: str, expected: dict[str, object]
) -> None:
    (tmp_path / "t.csv").write_text(text)
    run_well(tmp_path, "init", "t.csv")
    data = section(tmp_path)
    default = Data(path="t.csv", target="y")
    found = {key: getattr(data, key) for key in Data.model_fields if key != "path"}
    changed = {key: value for key, value in found.items() if value != getattr(default, key)}
    assert changed.pop("target", "y") in ("y", "3")
    if "skip_rows" in expected and "skip_rows" in changed:
        assert changed.pop("skip_rows")
        expected = {key: value for key, value in expected.items() if key != "skip_rows"}
    assert changed == expected


def test_numbers_as_names_are_no_row(tmp_path: Path) -> None:
    rows = [f"land{row % 5},{row},{row * 2}" for row in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["country,2019,2020.5", *rows]) + "\n")
    run_well(tmp_path, "init", "t.csv")
    assert section(tmp_path).header
    assert section(tmp_path).target == "2020.5"


def train(folder: Path, name: str = "t.yaml") -> None:
    settings = ("--set", "train.epochs=2", "--set", "preset=fast", "--set", "model=linear")
    run_well(folder, "train", name, "--quiet", *settings)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-8-sig"])
def test_the_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    text = written().replace("red", "größe").replace("blue", "été")
    (tmp_path / "t.csv").write_text(text, encoding=encoding)
    run_well(tmp_path, "init", "t.csv")
    assert "größe" in (tmp_path / "t.yaml").read_text()


@pytest.mark.parametrize("missing", ["NULL", "?", "#N/A", "-999", "-", "n.a.", "unknown"])
def test_what_looks_missing_is_found_and_said(tmp_path: Path, missing: str) -> None:
    (tmp_path / "t.csv").write_text(written(missing=missing))
    run_well(tmp_path, "init", "t.csv")
    assert missing in map(str, section(tmp_path).missing)
    (line,) = (x for x in (tmp_path / "t.yaml").read_text().splitlines() if x.startswith("# a "))
    assert line.split()[2:4] == ["number", "10"]


def test_the_config_trains_unedited(tmp_path: Path) -> None:
    text = written(";", ",", ".", missing="?", before="# by the station\n")
    (tmp_path / "t.csv").write_text(text, encoding="latin-1")
    run_well(tmp_path, "init", "t.csv")
    train(tmp_path)


def test_labels_of_the_target_are_not_missing_values(tmp_path: Path) -> None:
    rows = [(a, "+" if y > 20 else "-") for a, _, _, y in cells()]
    write_rows(tmp_path / "t.csv", {"a": [a for a, _ in rows], "sign": [s for _, s in rows]})
    run_well(tmp_path, "init", "t.csv")
    assert "-" not in section(tmp_path).missing


def test_a_code_that_is_a_plain_number_elsewhere_is_no_missing_value(tmp_path: Path) -> None:
    columns = table(60)
    a = [999 if row % 9 == 0 else round(float(str(v)), 2) for row, v in enumerate(columns["a"])]
    price = [float(900 + 5 * row) for row in range(59)] + [999.0]
    write_rows(tmp_path / "t.csv", {"a": a, "price": price, "y": columns["y"]})
    run_well(tmp_path, "init", "t.csv")
    assert 999 not in section(tmp_path).missing
    assert "999 occurs 7 times" in (tmp_path / "t.yaml").read_text()


def test_without_a_target_the_last_column_is_taken_and_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(written())
    outcome = run_well(tmp_path, "init", "t.csv")
    assert "no --target given: y is taken" in outcome.stderr
    assert outcome.stdout == "t.yaml\n"
    assert "target: y  # the last column" in (tmp_path / "t.yaml").read_text()
    outcome = run_well(tmp_path, "init", "t.csv", "--target", "c", "--output", "c.yaml")
    assert "--target" not in outcome.stderr
    assert section(tmp_path, "c.yaml").target == "c"


def test_the_comments_say_what_each_column_holds(tmp_path: Path) -> None:
    columns = table(120)
    columns["b"] = ["" if row % 10 == 0 else value for row, value in enumerate(columns["b"])]
    columns["sold"] = [f"2021-03-{1 + row % 28:02d}" for row in range(120)]
    write_rows(tmp_path / "t.csv", columns)
    run_well(tmp_path, "init", "t.csv", "--target", "y")
    text = (tmp_path / "t.yaml").read_text()
    lines = {line.split()[1]: line for line in text.splitlines() if line.startswith("# ")}
    assert lines["y"].endswith("target")
    assert lines["b"].split()[2:4] == ["number", "12"]
    assert lines["colour"].split()[2] == "category"
    assert "3: " in lines["colour"]
    assert "2021-03-01 to 2021-03-28" in lines["sold"]
    assert "not used" in lines["id"]
    assert "rows 84 train, 12 validation, 24 test" in text


def test_the_schema_lies_beside_it_and_accepts_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(written(";", ","))
    (tmp_path / "deep").mkdir()
    run_well(tmp_path, "init", "t.csv", "--output", "deep/own.yaml")
    text = (tmp_path / "deep" / "own.yaml").read_text()
    name = text.splitlines()[0].partition("$schema=")[2]
    schema = json.loads((tmp_path / "deep" / name).read_text())
    Draft202012Validator(schema).validate(parse_document(text, "own.yaml").value)


@pytest.mark.parametrize("name", ["t.yaml", "t.schema.json"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(written())
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    code, line = refusal(tmp_path, "init", "t.csv")
    assert (code, name in line) == (2, True)
    assert contents(tmp_path) == before


def test_it_refuses_as_train_does_and_writes_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.csv", {"a": [1, 2, 3] * 9, "name": [f"n{row}" for row in range(27)]})
    outcome = run(tmp_path, "init", "t.csv")
    first, second = outcome.stderr.splitlines()
    assert outcome.code == 3
    assert "too many for classes" in first
    assert "--target" in second
    assert run(tmp_path, "init", "t.csv", "--target", "b").code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_settings_go_into_the_config(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(written(";"))
    settings = ("--set", "data.lags=3", "--set", "train.epochs=7", "--set", "data.exclude=[c]")
    run_well(tmp_path, "init", "t.csv", *settings)
    config = load_config(tmp_path / "t.yaml").config
    assert (config.data.lags, config.data.separator, config.train.epochs) == (3, ";", 7)


def test_odd_names_do_not_break_the_comments(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a\n# b",": c",y\n' + "1,2,3\n4,5,7\n6,3,5\n" * 20)
    run_well(tmp_path, "init", "t.csv")
    train(tmp_path)


def test_the_example_needs_nothing(tmp_path: Path) -> None:
    outcome = run_well(tmp_path, "init", "--example")
    assert outcome.stdout == "houses.yaml\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "houses.csv",
        "houses.yaml",
        "houses.schema.json",
    }
    assert (tmp_path / "houses.csv").read_text() == example_csv()
    train(tmp_path, "houses.yaml")
    assert run(tmp_path, "init", "--example").code == 2
    assert run(tmp_path, "init", "--example", "t.csv").code == 2
    assert run(tmp_path, "init").code == 2


@pytest.mark.parametrize(
    "keys",
    [
        {"separator": '";"'},
        {"separator": '"\\t"', "decimal": '","'},
        {"thousands": '"\'"'},
        {"encoding": "latin-1"},
        {"header": "false"},
        {"missing": '["", "NA", "n, a", "x\\"]; set data.header: false"]'},
        {"encoding": None},
    ],
)
@pytest.mark.parametrize("after", ["", ", or set data.decimal: \",\" if ',' marks decimals", "; x"])
def test_settings_are_read_as_they_are_said(keys: dict[str, str | None], after: str) -> None:
    said = f"1 field; {TableFormat().setting(**keys)}{after}"
    values = {
        key: parse_document(value, "").value for key, value in keys.items() if value is not None
    }
    if values or not after:
        assert settings_in(said) == values


def test_a_line_that_may_be_a_row_is_not_dropped(tmp_path: Path) -> None:
    assert (
        settings_in(f"1 field; add the missing, or {TableFormat().skipping(7, 7)} if no row") == {}
    )
    (tmp_path / "t.csv").write_text(written() + "Total\n" + "1,2,red,3\n")
    assert run(tmp_path, "init", "t.csv").code == 3


def test_a_config_is_refused_as_such_and_not_as_a_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("data: {path: t.csv, target: y}\n")
    code, line = refusal(tmp_path, "init", "t.yaml")
    assert (code, "t.yaml is a config" in line) == (2, True)


def test_columns_have_one_way_of_printing_numbers(tmp_path: Path) -> None:
    """Years have no comma, and no other number of four digits has one, either."""
    rows = range(40)
    columns: dict[str, list[float]] = {
        "year": [1990 + row for row in rows],
        "x": [1500.5 + 150 * row for row in rows],
        "y": [row * 1000 for row in rows],
    }
    write_rows(tmp_path / "t.csv", columns)
    run_well(tmp_path, "init", "t.csv")
    text = (tmp_path / "t.yaml").read_text()
    for shown in ("1990 to 2029", "1500 to 7350", "0 to 39,000"):
        assert shown in text, text
