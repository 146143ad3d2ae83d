"""`ml2021.load`: a run as a model in Python, with the same digits as the command `predict`."""

import inspect
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ml2021
from ml2021.commands.prediction_csv import _digits, _numbers
from ml2021.data import spellings
from ml2021.data.preprocessing.records import RealTargets
from tests import commands
from tests.commands import run, run_well, write_rows

SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3}\npreset: fast\ndevice: cpu\n"
SERIES = "path: series.csv, target: y, order_by: day, lags: 3"
CONFIGS = {
    "number": "data: {path: train.csv, target: y, exclude: [id, kind, code, p*, twice*]}\n" + SMALL,
    "classes": "data: {path: train.csv, target: kind, exclude: [id, y, code, p*, twice*]}\n"
    + SMALL,
    "codes": "data: {path: train.csv, target: code, exclude: [id, y, kind, p*, twice*],"
    " types: {code: category, size: category}}\ntask: classification\n" + SMALL,
    "pixels": 'data: {path: train.csv, target: "p*", exclude: [id, y, kind, code, twice*]}\n'
    + SMALL,
    "members": "data: {path: train.csv, target: y, features: [a, colour], numbers: piecewise}\n"
    "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3, members: 3}\ndevice: cpu\n",
    "folds": "data: {path: train.csv, target: y, features: [a, b, colour], split: {method: kfold,"
    " folds: 3}}\n" + SMALL,
    "repeated": "data: {path: train.csv, target: y, features: ['twice*', a]}\n" + SMALL,
    "dates": "data: {path: train.csv, target: y, features: [bought, sold, a]}\n" + SMALL,
    "series": f"data: {{{SERIES}, features: [shop], group_by: shop}}\n{SMALL}",
    "week": f"data: {{{SERIES}, features: [], group_by: shop, horizon: 2}}\n{SMALL}",
}


def table(rows: int, seed: int) -> dict[str, list[object]]:
    columns = commands.table(rows, seed)
    days = np.datetime64("2021-01-01") + np.arange(rows) * 3
    columns["a"][3], columns["colour"][4] = "", ""
    columns["code"] = [(row * 7 + seed) % 3 for row in range(rows)]
    columns["size"] = [round(0.1 * (1 + (row + seed) % 4), 1) for row in range(rows)]
    columns["bought"] = [str(day) for day in days]
    columns["sold"] = [f"{str(d)[8:]}.{str(d)[5:7]}.{str(d)[:4]}" for d in days + 9]
    return columns


def write_table(path: Path, columns: dict[str, list[object]], seed: int) -> Path:
    """Write a table with two columns of one name."""
    random = np.random.default_rng(seed)
    twice = random.normal(size=(2, len(columns["a"]))).round(3)
    names = [*columns, "twice", "twice"]
    cells = [*columns.values(), *twice.tolist()]
    lines = [",".join(map(str, row)) for row in zip(*cells, strict=True)]
    path.write_text("\n".join([",".join(names), *lines, ""]))
    return path


def panel(rows: int) -> dict[str, list[object]]:
    random = np.random.default_rng(3)
    days = [str(np.datetime64("2021-01-01") + row // 2) for row in range(rows)]
    y: list[object] = (50 + random.normal(size=rows)).round(3).tolist()
    y[-4:] = [""] * 4
    shops: list[object] = ["north", "south"] * (rows // 2)
    return {"day": [*days], "shop": shops, "y": y}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_table(folder / "train.csv", table(120, 0), 0)
    write_table(folder / "new.csv", table(40, 1), 1)
    write_rows(folder / "series.csv", panel(60))
    return commands.train_runs(folder, CONFIGS)


def model_of(runs: Path, name: str) -> ml2021.Model:
    return ml2021.load(runs / name)


def frame_of(runs: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(runs / ("series.csv" if name in ("series", "week") else "new.csv"))


def by_command(runs: Path, name: str, frame: pd.DataFrame, *arguments: object) -> pd.DataFrame:
    """Write a frame, predict the file, and return the cells as text."""
    frame.to_csv(runs / "frame.csv", index=False)
    options = ("--run", name, "--output", "-", *arguments)
    return pd.read_csv(
        StringIO(run_well(runs, "predict", "frame.csv", *options).stdout),
        dtype=str,
        keep_default_na=False,
    )


def values_of(model: ml2021.Model, frame: pd.DataFrame) -> list[Any]:
    return model.predict(frame).to_numpy().tolist()


def digits_of(model: ml2021.Model, index: int = 0) -> int:
    target = model._target
    if not isinstance(target, RealTargets):
        return 9
    return _digits(target.means[index], target.scales[index])


@pytest.mark.parametrize("name", CONFIGS)
def test_predictions_have_the_digits_of_the_command(runs: Path, name: str) -> None:
    model, frame = model_of(runs, name), frame_of(runs, name)
    if name == "repeated":  # pandas numbers the second, which in the file is no other name
        frame = frame.rename(columns={"twice": "twice.0"})
        written = frame.rename(columns={"twice.0": "twice", "twice.1": "twice"})
    else:
        written = frame
    expected = by_command(runs, name, written)
    found = model.predict(frame)
    assert found.index.equals(frame.index)
    if isinstance(found, pd.Series):
        found = found.to_frame()
    assert [*found] == [name for name in expected if name in found]
    for place, column in enumerate(found):
        texts = [*map(str, found[column])]
        if found[column].dtype == np.float64:
            texts = _numbers(found[column].to_numpy(), digits_of(model, place))
        assert texts == expected[column].tolist()
    if name in ("classes", "codes"):
        probabilities = model.predict_proba(frame)
        for label in probabilities:
            target = model._target.label  # type: ignore[union-attr]
            cells = expected[f"{target}_probability_{label}"].tolist()
            assert _numbers(probabilities[label].to_numpy()) == cells


def test_labels_are_those_of_the_file(runs: Path) -> None:
    frame = frame_of(runs, "codes")
    assert {*model_of(runs, "codes").predict(frame)} <= {0, 1, 2}
    assert [*model_of(runs, "codes").predict_proba(frame)] == [0, 1, 2]
    assert {*model_of(runs, "classes").predict(frame)} <= {"low", "middle", "high"}


@pytest.mark.parametrize("name", ["number", "members", "folds", "pixels", "series"])
def test_intervals_have_the_digits_of_the_command(runs: Path, name: str) -> None:
    model, frame = model_of(runs, name), frame_of(runs, name)
    found = model.predict_interval(frame, 0.7)
    expected = by_command(runs, name, frame, "--interval", 0.7)
    for place, column in enumerate(found):
        digits = digits_of(model, place // 2)
        assert _numbers(found[column].to_numpy(), digits) == expected[column].tolist()


OTHER_TYPES: dict[str, Any] = {
    "category": lambda f: f.astype({"colour": "category", "size": "category"}),
    "string": lambda f: f.astype({"colour": "string"}),
    "object": lambda f: f.astype(object).where(f.notna(), None),
    "text": lambda f: f.astype(str).where(f.notna(), "NA"),
    "nullable": lambda f: f.convert_dtypes(),
    "other order": lambda f: f[[*f.columns[::-1]]],
    "other index": lambda f: f.set_index(pd.Index(range(7, 7 + len(f)))[::-1]),
    "extra": lambda f: f.assign(extra=[[]] * len(f)),
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
@pytest.mark.parametrize("name", ["number", "codes"])
def test_columns_of_other_types_mean_the_same(runs: Path, name: str, kind: str) -> None:
    model, frame = model_of(runs, name), frame_of(runs, name)
    other = OTHER_TYPES[kind](frame)
    assert np.array_equal(model.encode(other), model.encode(frame))
    assert values_of(model, other) == values_of(model, frame)
    many = pd.concat([other] * 3)  # of more rows each text is read once
    assert np.array_equal(model.encode(many), np.tile(model.encode(frame), (3, 1)))
    assert values_of(model, many) == 3 * values_of(model, frame)


TEXTS: dict[str, list[object]] = {
    "texts": ["red", "NA", "", "e\u0301", "\u00e9", None, "a\0b", "a\0c", " red"],
    "mixed": [1, True, 1.0, "1", "True", np.nan, -0.0, 0, "red", pd.NA],
    "integers": [1, 2, 3],
    "floats": [1.0, 2.5, -0.0, 0.0, np.nan],
    "booleans": [True, False],
    "moments": [pd.Timestamp("2021-03-04"), pd.Timestamp("2021-03-05 10:00"), pd.NaT],
    "durations": [pd.Timedelta(hours=1), pd.NaT],
    "periods": [*pd.period_range("2021-01", periods=3, freq="M")],
}


@pytest.mark.parametrize("kind", TEXTS)
def test_each_text_is_what_it_is_among_a_few(
    runs: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spellings, "_TOO_MANY", 1000)
    model, frame = model_of(runs, "number"), frame_of(runs, "number")
    cells = pd.Series(TEXTS[kind])
    for given in (cells, cells.astype("category"), cells.astype(object)):
        few = frame.iloc[: len(given)].assign(colour=given)
        read = np.asarray(model._reader.columns(few)["colour"])
        many = model._reader.columns(pd.concat([few] * 20).iloc[: 101 + len(few)])["colour"]
        assert [*map(repr, np.resize(read, len(many)))] == [*map(repr, np.asarray(many))]


def test_float32_stands_for_the_category_that_it_was_written_as(runs: Path) -> None:
    model, frame = model_of(runs, "codes"), frame_of(runs, "codes")
    other = frame.astype({"size": np.float32})
    assert np.array_equal(model.encode(other), model.encode(frame))


def test_moments_are_written_as_in_training(runs: Path) -> None:
    model, frame = model_of(runs, "dates"), frame_of(runs, "dates")
    expected = model.encode(frame)
    sold = pd.to_datetime(frame["sold"], format="%d.%m.%Y")
    bought = pd.to_datetime(frame["bought"])
    given = [
        frame.assign(sold=sold, bought=bought),
        frame.assign(sold=sold.dt.date, bought=bought.dt.tz_localize("Europe/Berlin")),
        frame.assign(sold=sold.astype(object), bought=bought.dt.date),
        frame.assign(sold=sold.dt.tz_localize("UTC"), bought=bought.astype("date32[pyarrow]")),
    ]
    for other in given:
        assert np.array_equal(model.encode(other), expected)
        many = pd.concat([other] * 3)
        assert values_of(model, many) == 3 * values_of(model, frame)
    series, other = frame_of(runs, "series"), frame_of(runs, "series")
    other["day"] = pd.to_datetime(other["day"])
    model = model_of(runs, "series")
    pd.testing.assert_series_equal(model.predict(other), model.predict(series))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "names", [["twice", "twice.1"], ["twice.0", "twice.1"], ["twice", "twice"]]
)
def test_repeated_names_are_told_apart(runs: Path, names: tuple[str, str]) -> None:
    model, frame = model_of(runs, "repeated"), frame_of(runs, "repeated")
    other = frame.set_axis([*frame.columns[:-2], *names], axis=1)
    assert np.array_equal(model.encode(other), model.encode(frame))
    if names[0] != names[1]:
        backwards = other[other.columns[::-1]]
        assert np.array_equal(model.encode(backwards), model.encode(frame))


def test_the_parts_of_a_model(runs: Path) -> None:
    model = model_of(runs, "members")
    frame = frame_of(runs, "members")
    assert model.features == ("a", "colour")
    assert model_of(runs, "week").features == ("day", "shop", "y")
    assert model.config["train"]["members"] == 3
    assert set(model.scores) == {"train", "validation", "test"}
    assert model.scores["test"]["rmse"] > 0  # type: ignore[operator]
    alone = [member.predict(frame) for member in model.members]
    assert len(alone) == 3
    assert np.mean(alone, axis=0) == pytest.approx(model.predict(frame).to_numpy(), rel=1e-12)
    (single,) = model_of(runs, "number").members
    assert len(single.members) == 1


@pytest.mark.parametrize("name", ["number", "classes", "pixels", "members", "series"])
def test_a_torch_module_is_the_same_function(runs: Path, name: str) -> None:
    model, frame = model_of(runs, name), frame_of(runs, name)
    inputs = model.encode(frame)
    known = ~np.isnan(inputs).any(axis=1)
    module = model.to_torch()
    outputs = module(torch.from_numpy(inputs[known])).detach().numpy()
    expected = model.predict_proba(frame) if name == "classes" else model.predict(frame)
    assert outputs.dtype == np.float64
    values = expected.to_numpy().reshape(len(frame), -1)[known]
    assert outputs == pytest.approx(values, rel=1e-12, abs=1e-12)


def test_a_saved_model_is_a_run(runs: Path, tmp_path: Path) -> None:
    model, frame = model_of(runs, "members"), frame_of(runs, "members")
    model.save(tmp_path / "kept")
    again = ml2021.load(tmp_path / "kept")
    assert again.scores == model.scores
    assert values_of(again, frame) == values_of(model, frame)
    best = Path("checkpoints", "best.safetensors")
    assert (tmp_path / "kept" / best).read_bytes() == (runs / "members" / best).read_bytes()
    run_well(runs, "predict", "new.csv", "--run", tmp_path / "kept", "--output", "-")
    scored = run_well(runs, "evaluate", "new.csv", "--run", tmp_path / "kept").stdout
    assert scored == run_well(runs, "evaluate", "new.csv", "--run", "members").stdout
    model.members[1].save(tmp_path / "one")
    assert values_of(ml2021.load(tmp_path / "one"), frame) == values_of(model.members[1], frame)
    with pytest.raises(ml2021.RunInUseError):
        model.save(tmp_path / "kept")
    with pytest.raises(ml2021.ConfigError):
        model.save(tmp_path / "kept" / "inside")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ml2021.ConfigError, match="is not a folder"):
        model.save(tmp_path / "a.txt" / "x")


def test_a_run_is_found_by_its_name(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    Path("runs").mkdir(exist_ok=True)
    if not Path("runs/named").exists():
        ml2021.load("number").save("runs/named")
    assert ml2021.load("named").features == ml2021.load("number").features
    with pytest.raises(ml2021.CheckpointError, match="no such run"):
        ml2021.load("nowhere")


ODD_FRAMES: dict[str, tuple[Any, str]] = {
    "no column": (lambda f: f.drop(columns="colour"), "column 'colour' is missing"),
    "no rows": (lambda f: f.iloc[:0], "no rows"),
    "no number": (lambda f: f.assign(a=["1O5", *f["b"][1:].astype(str)]), "row 1: .*'1O5'"),
    "infinite": (lambda f: f.assign(a=np.inf), "row 1: .*'inf'"),
    "no cells": (lambda f: f.assign(a=[[1]] * len(f)), "holds a list"),
    "spelling": (lambda f: f.assign(colour=f["colour"].str.upper()), "here RED|here "),
}


@pytest.mark.parametrize("what", ODD_FRAMES)
def test_an_odd_frame_is_refused(runs: Path, what: str) -> None:
    change, message = ODD_FRAMES[what]
    model, frame = model_of(runs, "number"), frame_of(runs, "number")
    with pytest.raises(ml2021.DataError, match=message) as caught:
        model.predict(change(frame))
    with pytest.raises(ml2021.DataError, match=message):
        model.predict(change(pd.concat([frame] * 3, ignore_index=True)))
    assert "--" not in str(caught.value)
    assert isinstance(caught.value, ml2021.Ml2021Error)


class Other:
    """A data frame of another library."""

    to_pandas = None


def test_what_a_model_cannot_do_is_refused(runs: Path) -> None:
    frame = frame_of(runs, "number")
    with pytest.raises(ml2021.ConfigError, match="predict_proba"):
        model_of(runs, "number").predict_proba(frame)
    for name, level in [("classes", 0.9), ("number", 0.999), ("number", 1.5)]:
        with pytest.raises(ml2021.ConfigError, match="predict_interval"):
            model_of(runs, name).predict_interval(frame, level)
    for odd in ("0.9", None, True, [0.9], float("nan")):
        with pytest.raises(ml2021.ConfigError, match=r"between 0 and 1, such as 0\.9"):
            model_of(runs, "number").predict_interval(frame, odd)  # type: ignore[arg-type]
    model_of(runs, "number").predict_interval(frame, np.float32(0.7))  # type: ignore[arg-type]
    with pytest.raises(ml2021.ConfigError, match=r"a member of an ensemble .* the whole ensemble"):
        model_of(runs, "members").members[0].predict_interval(frame)
    with pytest.raises(TypeError, match=r"not list$"):
        model_of(runs, "number").predict([[1, 2]])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"not tests\.Other; call its to_pandas\(\)$"):
        model_of(runs, "number").predict(Other())  # type: ignore[arg-type]


def test_a_row_alone_is_predicted_as_among_others(runs: Path) -> None:
    for name in ("number", "members"):
        model, frame = model_of(runs, name), frame_of(runs, name)
        alone = [values_of(model, frame.iloc[[row]])[0] for row in range(10)]
        assert alone == values_of(model, frame.iloc[:10])


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys; before = {*sys.modules}; import ml2021; "
        "print(ml2021.__version__, *({*sys.modules} - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"torch", "pandas", "numpy", "pydantic", "typer"} & {*done.stdout.split()}


def test_all_that_is_public_is_there_and_described() -> None:
    for name in ml2021.__all__:
        assert name in dir(ml2021)
        assert name == "__version__" or inspect.getdoc(getattr(ml2021, name))
    public = [name for name in vars(ml2021.Model) if not name.startswith("_")]
    assert {*public} == {
        *("predict", "predict_proba", "predict_interval", "members", "features", "config"),
        *("scores", "notes", "notes_on", "epochs", "to_torch", "encode", "save"),
    }
    assert all(inspect.getdoc(getattr(ml2021.Model, name)) for name in public)
    with pytest.raises(AttributeError):
        _ = ml2021.nothing  # type: ignore[attr-defined]


def test_a_failed_command_is_unchanged(runs: Path) -> None:
    assert run(runs, "predict", "new.csv", "--run", "number", "--interval", 2).code == 2
