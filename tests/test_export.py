"""`export`: the ONNX model gives what `predict` gives, from raw columns, for each kind of run."""

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import ml2021
from ml2021.export import function
from ml2021.export.dates import MISSING_DATE, calendar_of
from ml2021.export.graph import INT64, Graph
from ml2021.formatting import score_text
from ml2021.model import Model
from tests.commands import refusal, run_well
from tests.conftest import Record

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::ml2021.DataWarning")

BASE: dict[str, Any] = {
    "data": {"target": "y", "exclude": ["cls", "z"]},
    "preset": "fast",
    "train": {"epochs": 2},
}
CASES: dict[str, dict[str, Any]] = {
    "linear": {"model": {"type": "linear"}},
    "linear pieces": {"model": {"type": "linear"}, "data": {"numbers": "piecewise"}},
    "sigmoids": {"model": {"type": "sigmoid_sum", "units": 9}, "train": {"members": 3}},
    "hard sigmoids": {
        "model": {"type": "sigmoid_sum", "units": 9, "activation": "hard_sigmoid"},
        "data": {"numbers": "piecewise"},
    },
    "relus": {"model": {"type": "relu_stack", "widths": [8, 7]}, "train": {"members": 2}},
    "other categories": {"data": {"max_categories": 4, "numbers": "piecewise"}},
    "missing numbers": {"data": {"missing": ["", "-", -2, "x"], "max_categories": 4}},
    "all parts of dates": {
        "data": {"dates": ["year", "month", "day", "weekday", "hour", "elapsed"]}
    },
    "two targets": {"data": {"target": ["y", "z"], "exclude": ["cls"]}, "train": {"members": 2}},
    "classes": {"data": {"target": "cls", "exclude": ["y", "z"]}, "train": {"members": 2}},
    "classes of pieces": {
        "data": {"target": "cls", "exclude": ["y", "z"], "numbers": "piecewise"},
        "train": {"calibrate": True},
        "model": {"type": "relu_stack", "widths": [8]},
    },
    "linear classes": {
        "data": {"target": "cls", "exclude": ["y", "z"]},
        "model": {"type": "linear"},
    },
}
SERIES: dict[str, dict[str, Any]] = {
    "one series": {
        "data": {"target": "y", "features": ["a"], "lags": 3, "horizon": 2, "missing": ["", -7.5]}
    },
    "linear series": {
        "data": {"target": "y", "lags": 7, "exclude": ["cls", "z", "when"]},
        "model": {"type": "linear"},
    },
    "series of pieces": {
        "data": {
            "target": "y",
            "lags": 5,
            "order_by": "when",
            "exclude": ["cls", "z"],
            "numbers": "piecewise",
            "max_categories": 4,
        },
        "train": {"members": 3},
    },
    "grouped series": {
        "data": {
            "target": "y",
            "features": ["a", "when"],
            "lags": 3,
            "group_by": "c",
            "order_by": "when",
            "dates": ["month", "elapsed"],
        },
        "train": {"members": 2},
    },
    "grouped series of pieces": {
        "data": {
            "target": "y",
            "lags": 4,
            "horizon": 3,
            "group_by": "c",
            "order_by": "when",
            "exclude": ["cls", "z"],
            "numbers": "piecewise",
            "split": {"method": "sequential", "validation": 0.2},
        },
        "model": {"type": "sigmoid_sum", "units": 9},
        "train": {"members": 2},
    },
}


def settings(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a case: `BASE`, and its own values."""
    found = {key: dict(value) if isinstance(value, dict) else value for key, value in BASE.items()}
    for section, values in own.items():
        found[section] = {**found.get(section, {}), **values}
    return found


def table(rows: int, seed: int, *, is_new: bool = False) -> pd.DataFrame:
    """Draw a table of all types, with missing cells; a new one has values that training has not."""
    random = np.random.default_rng(seed)
    draw = random.choice
    a = random.normal(size=rows).round(3)
    days = random.integers(-9000, 20_000 if is_new else 9000, rows)
    when = np.datetime64("2001-03-01T00", "h") + days * np.timedelta64(25, "h")
    frame = pd.DataFrame(
        {
            "a": np.where(random.random(rows) < 0.1, np.nan, a),
            "large": random.normal(size=rows) * 1e25,
            "few": draw([-2.0, 0.0, 1.0], rows),
            "c": draw(np.array(["x", "é", "z", normalize("NFD", "ñ"), None, "-"], object), rows),
            "many": [f"k{n:.0f}" for n in random.exponential(4, rows)],
            "truth": draw([True, False], rows),
            "when": when.astype("datetime64[s]"),
            "y": 3 * a + random.normal(size=rows) + 1000,
            "z": a**2,
            "cls": np.where(a > 0.5, "10", draw(["b", "c"], rows)),
        }
    )
    frame.loc[random.random(rows) < 0.1, "when"] = pd.NaT
    if is_new:
        odd = random.random((2, rows)) < 0.1
        frame.loc[odd[0], "large"] = draw([1e30, -1e30], rows)[odd[0]]
        new = [normalize("NFD", "é"), "ñ", "new", "other", "Z"]
        frame.loc[odd[1], "c"] = draw(new, rows)[odd[1]]
        frame.loc[odd[1], "many"] = "k1000"
    return frame


def session_of(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def facts_of(session: Any) -> dict[str, str]:
    found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return found


def feed(session: Any, frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the inputs as the guide says that they are given."""
    found: dict[str, NDArray[Any]] = {}
    for name, kind in json.loads(facts_of(session)["columns"]).items():
        column = frame[name]
        match kind:
            case "number":
                values = column.to_numpy(np.float64)
            case "text":
                values = column.astype(object).where(column.notna(), "").astype(str)
                values = values.to_numpy(object)
            case _:
                seconds = column.to_numpy("datetime64[s]").astype(np.int64)
                values = np.where(column.isna(), MISSING_DATE, seconds)
        found[name] = values[:, None]
    return found


def run_onnx(session: Any, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(inputs)), strict=True))


def exported(folder: Path, model: Model) -> Any:
    """Save the model as a run, export it, and open the file."""
    model.save(folder / "run")
    run_well(folder, "export", "run", "--output", "m.onnx")
    return session_of(folder / "m.onnx")


def compare(
    model: Model,
    session: Any,
    new: pd.DataFrame,
    deviation: float,
    history: NDArray[np.float64] | None = None,
    tolerance: float = 1e-6,
) -> None:
    """Assert that the outputs are those of `predict`, to so much of the value or the deviation.

    history: of a time series, whose rows are NaN where it has a gap.
    """
    inputs, known = feed(session, new), np.ones(len(new), np.bool_)
    if history is not None:
        inputs["history"], known = history, np.asarray(~np.isnan(history).any(axis=1))
        assert known.sum() > len(new) / 2
    found = run_onnx(session, inputs)
    if "label" in found:
        proba = model.predict_proba(new).to_numpy()
        np.testing.assert_allclose(found["probabilities"], proba, atol=tolerance, rtol=0)
        first, second = np.sort(proba, axis=1)[:, :-3:-1].T
        is_clear = first - second > tolerance
        labels = model.predict(new).astype(str).to_numpy()
        assert (found["label"][:, 0] == labels)[is_clear].all()
        if len(model.members) > 1:
            each = [member.predict_proba(new).to_numpy() for member in model.members]
            spread = np.std(each, axis=0, ddof=1)
            np.testing.assert_allclose(found["std"], spread, atol=tolerance, rtol=0)
        return
    values = np.asarray(model.predict(new)).reshape(len(new), -1)
    ends = model.predict_interval(new, 0.9).to_numpy().reshape(len(new), -1, 2)
    expected = {"prediction": values, "low": ends[:, :, 0], "high": ends[:, :, 1]}
    most = np.abs(values)
    if len(model.members) > 1:
        each = [np.asarray(m.predict(new)).reshape(len(new), -1) for m in model.members]
        expected["std"], most = np.std(each, axis=0, ddof=1), np.max(np.abs(each), axis=0)
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert np.isnan(found[name][~known]).all()
        error = np.abs(found[name] - wanted)[known]
        np.testing.assert_array_less(error, tolerance * np.maximum(most[known], deviation))


def equal_on_new_rows(folder: Path, name: str, rows: int, tolerance: float) -> None:
    model = ml2021.train(settings(CASES[name]), table(240, 0))
    session = exported(folder, model)
    compare(model, session, table(rows, 1, is_new=True), deviation=3.0, tolerance=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_onnx_gives_what_predict_gives(tmp_path: Path, name: str) -> None:
    """To more digits than if its inputs were not rounded to float32, as those of `predict` are."""
    equal_on_new_rows(tmp_path, name, 300, tolerance=1e-11)


@pytest.mark.soak
@pytest.mark.parametrize("name", CASES)
def test_onnx_gives_what_predict_gives_on_many_rows(
    tmp_path: Path, name: str, record: Record
) -> None:
    equal_on_new_rows(tmp_path, name, 100_000, tolerance=1e-6)
    record(f"ONNX against predict, {name}", "100,000 rows within 1e-6")


def series_agree(folder: Path, name: str, rows: int, tolerance: float) -> None:
    """Train on a series, and compare on a later one, whose first rows have no history."""
    frame = table(240, 0).dropna(subset=["c", "when"]).assign(c=lambda t: t["c"].str[:1])
    frame = frame.sort_values("when", kind="stable").drop_duplicates("when")
    own = settings(SERIES[name])
    if "features" in own["data"]:
        del own["data"]["exclude"]
    model = ml2021.train(own, frame)
    session = exported(folder, model)
    new = table(2 * rows, 1, is_new=True)
    new["when"] = np.datetime64("1950-01-01T00", "s") + np.arange(2 * rows) * np.timedelta64(8, "h")
    new = new[new["c"].isin(frame["c"])][:rows].reset_index(drop=True)
    assert len(new) == rows
    lags = json.loads(facts_of(session)["lags"])
    groups = new["c"] if "grouped" in name else pd.Series("", new.index)
    before = [new["y"].groupby(groups).shift(lag).to_numpy() for lag in range(lags, 0, -1)]
    compare(model, session, new, 3.0, np.stack(before, axis=1), tolerance)


@pytest.mark.parametrize("name", SERIES)
def test_onnx_continues_a_series(tmp_path: Path, name: str) -> None:
    series_agree(tmp_path, name, 200, tolerance=1e-11)


@pytest.mark.soak
@pytest.mark.parametrize("name", SERIES)
def test_onnx_continues_a_series_of_many_rows(tmp_path: Path, name: str, record: Record) -> None:
    series_agree(tmp_path, name, 100_000, tolerance=1e-6)
    record(f"ONNX against predict, {name}", "100,000 rows within 1e-6")


def test_a_history_with_a_missing_value_is_a_gap(tmp_path: Path) -> None:
    frame = table(60, 0)
    session = exported(tmp_path, ml2021.train(settings(SERIES["one series"]), frame))
    history = np.array([[1000.0, 1001, 999], [-7.5, 1001, 999], [1000, np.nan, 999]])
    found = run_onnx(session, {**feed(session, frame[:3]), "history": history})
    assert np.isfinite(found["prediction"][:, 0]).tolist() == [True, False, False]


def test_the_calendar_is_that_of_every_day() -> None:
    days = np.arange(np.datetime64("0001-01-01"), np.datetime64("9999-12-31"), 3)
    graph = Graph(["days"])
    graph.input("days", INT64, 1)
    for part, value in calendar_of(graph, "days").items():
        graph.output(part, value, INT64, 1)
    session = onnxruntime.InferenceSession(graph.model("", {}).SerializeToString())
    found = run_onnx(session, {"days": days.astype(np.int64)[:, None]})
    months = days.astype("datetime64[M]")
    assert (found["year"][:, 0] == days.astype("datetime64[Y]").astype(np.int64) + 1970).all()
    assert (found["month"][:, 0] == months.astype(np.int64) % 12 + 1).all()
    assert (found["day"][:, 0] == (days - months).astype(np.int64) + 1).all()


def test_a_row_that_predict_refuses_is_not_a_number(tmp_path: Path) -> None:
    model = ml2021.train(settings(CASES["relus"]), table(240, 0))
    session = exported(tmp_path, model)
    far = table(3, 1).assign(a=[0.5, 1e30, np.inf])
    with pytest.raises(ml2021.DataError):
        model.predict(far)
    found = run_onnx(session, feed(session, far))
    for name in ("prediction", "std", "low", "high"):
        assert np.isfinite(found[name][:, 0]).tolist() == [True, False, False]


def test_a_second_outside_the_years_of_dates_is_not_a_number(tmp_path: Path) -> None:
    model = ml2021.train(settings(CASES["all parts of dates"]), table(240, 0))
    session = exported(tmp_path, model)
    ends = (np.datetime64("0001-01-01T00:00:00"), np.datetime64("9999-12-31T23:59:59"))
    first, last = (int(end.astype(np.int64)) for end in ends)
    row = feed(session, table(1, 1))
    inputs = {name: np.repeat(values, 6, axis=0) for name, values in row.items()}
    inputs["when"] = np.array([[0], [first], [last], [first - 1], [last + 1], [MISSING_DATE]])
    found = run_onnx(session, inputs)["prediction"][:, 0]
    assert np.isfinite(found).tolist() == [True, True, True, False, False, True]


def test_the_spread_is_given_where_predict_writes_it(tmp_path: Path) -> None:
    own = settings({"train": {"epochs": 2, "members": 2, "spread": False}})
    session = exported(tmp_path, ml2021.train(own, table(240, 0)))
    assert "std" not in [output.name for output in session.get_outputs()]


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    """One file of opset 21 and IR 10, plain operators, its names free of those of columns."""
    frame = table(240, 0).rename(columns={"a": "prediction", "large": "/0_Concat", "c": "low"})
    model = ml2021.train(settings(CASES["relus"]), frame)
    session = exported(tmp_path, model)
    loaded = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert [(each.domain, each.version) for each in loaded.opset_import] == [("", 21)]
    assert loaded.ir_version == 10
    assert {node.domain for node in loaded.graph.node} == {""}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m.onnx"]
    facts = facts_of(session)
    assert json.loads(facts["columns"])["prediction"] == "number"
    outputs = json.loads(facts["outputs"])
    assert outputs["prediction"] == "prediction_"
    assert outputs["low"] == "low_"
    assert next(iter(outputs)) == "prediction"
    assert facts["target"] == "y"
    assert facts["ml2021_version"] == ml2021.__version__
    assert len(facts["data_sha256"]) == 64
    before = (tmp_path / "m.onnx").read_bytes()
    run_well(tmp_path, "export", "run", "--output", "m.onnx")  # replaces it by the same bytes
    assert (tmp_path / "m.onnx").read_bytes() == before


def test_numbers_may_be_one_matrix(tmp_path: Path) -> None:
    """It has the columns in the order of the training file."""
    own = settings(CASES["linear pieces"])
    own["data"] |= {"features": ["few", "z", "a", "large"]}
    del own["data"]["exclude"]
    model = ml2021.train(own, table(240, 0)[["few", "a", "large", "y", "z"]])
    model.save(tmp_path / "run")
    run_well(tmp_path, "export", "run", "--output", "m.onnx", "--matrix")
    session = session_of(tmp_path / "m.onnx")
    (given,) = session.get_inputs()
    columns = [*json.loads(facts_of(session)["columns"])]
    assert (given.name, given.shape, given.type) == ("input", ["N", 4], "tensor(double)")
    assert facts_of(session)["matrix"] == "input"
    assert columns == ["few", "a", "large", "z"]
    new = table(300, 1, is_new=True)
    new.loc[3, "few"] = np.nan
    found = run_onnx(session, {"input": new[columns].to_numpy(np.float64)})["prediction"][:, 0]
    np.testing.assert_allclose(found, model.predict(new), rtol=1e-11)


@pytest.mark.parametrize(("name", "word"), [("relus", "'c'"), ("one series", "history")])
def test_what_is_no_matrix_is_refused(tmp_path: Path, name: str, word: str) -> None:
    own = settings({**CASES, **SERIES}[name])
    if name == "one series":
        del own["data"]["exclude"]
    ml2021.train(own, table(60, 0)).save(tmp_path / "run")
    code, line = refusal(tmp_path, "export", "run", "--output", "m.onnx", "--matrix")
    assert code == 2
    assert line.startswith("--matrix: ")
    assert word in line
    assert not (tmp_path / "m.onnx").exists()


def columns_of(count: int) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(60, count)).round(2)
    return pd.DataFrame(values, columns=[f"p{place}" for place in range(count)])


CARDS: dict[str, tuple[dict[str, Any], pd.DataFrame]] = {
    "all types": (CASES["relus"], table(240, 0).rename(columns={"c": 'a|"b'})),
    "classes": (CASES["linear classes"], table(60, 0)),
    "a series": (SERIES["one series"], table(60, 0).rename(columns={"a": "history"})),
    "many columns": ({}, table(60, 0).join(columns_of(20))),
    "a matrix": ({}, columns_of(3).assign(y=1.0 * np.arange(60))),
    "a wide matrix": ({}, columns_of(20).assign(y=1.0 * np.arange(60))),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_card_says_what_the_model_takes_and_its_example_runs(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own, frame = settings(CARDS[case][0]), CARDS[case][1]
    if case == "a series":
        own["data"] |= {"features": ["history"]}
    if case == "a series" or "matrix" in case:
        del own["data"]["exclude"]
    model = ml2021.train(own, frame)
    model.save("run")
    options = ["--output", "m.onnx", "--card", "m.md", *["--matrix"] * ("matrix" in case)]
    run_well(tmp_path, "export", "run", *options)
    text = Path("m.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    first = names["label"] if case == "classes" else names["prediction"]
    assert len(first) == 2
    assert first[0, 0] == first[0, 0] != ""
    features = [name for name in model.features if name != "y" or case != "a series"]
    for name in features:
        assert f"\n| {name.replace('|', chr(92) + '|')} | " in text
    metric = "log_loss" if case == "classes" else "rmse"
    (network,) = re.findall(r"\n\| network (.*)", text)
    assert f" {score_text(metric, model.scores['test'][metric])} |" in network
    assert model._model.data_sha256 in text
    assert ml2021.__version__ in text
    if case == "all types":
        assert f"{frame['few'].min():g} to {frame['few'].max():g}" in text
        assert "5: -, ñ, x, z, é" in normalize("NFC", text)
        run_well(tmp_path, "export", "run", *options)
        assert Path("m.md").read_text() == text
    if case == "a matrix":
        Path("other.md").write_text("mine")
        for name in ("other.md", "m.onnx"):
            assert refusal(tmp_path, "export", "run", *options[:2], "--card", name)[0] == 2
        assert Path("other.md").read_text() == "mine"


def test_only_a_model_is_replaced(tmp_path: Path) -> None:
    ml2021.train(settings(CASES["linear"]), table(60, 0)).save(tmp_path / "run")
    for name in ("table.csv", "c.yaml"):
        (tmp_path / name).write_text("mine\n")
        assert refusal(tmp_path, "export", "run", "--output", name)[0] == 2
        assert (tmp_path / name).read_text() == "mine\n"
    assert refusal(tmp_path, "export", "run", "--output", "run/m.onnx")[0] == 2


def test_the_level_of_intervals(tmp_path: Path) -> None:
    model = ml2021.train(settings(CASES["linear"]), table(240, 0))
    model.save(tmp_path / "run")
    run_well(tmp_path, "export", "run", "--output", "m.onnx", "--interval", "0.5")
    session, new = session_of(tmp_path / "m.onnx"), table(30, 1)
    found = run_onnx(session, feed(session, new))
    ends = model.predict_interval(new, 0.5).to_numpy()
    np.testing.assert_allclose(found["low"][:, 0], ends[:, 0], rtol=1e-9)
    code, line = refusal(tmp_path, "export", "run", "--output", "m.onnx", "--interval", "0.9999")
    assert code == 2
    assert line.startswith("--interval 0.9999")


def test_what_no_file_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ml2021.train(settings(CASES["linear"]), table(60, 0)).save(tmp_path / "run")
    monkeypatch.setattr(function, "_MOST_BYTES", 400)
    code, line = refusal(tmp_path, "export", "run")
    assert code == 5
    assert "GB" in line
    assert not (tmp_path / "model.onnx").exists()


def test_without_the_package_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ml2021.train(settings(CASES["linear"]), table(60, 0)).save(tmp_path / "run")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name)
    )
    code, line = refusal(tmp_path, "export", "run")
    assert code == 5
    assert "pip install 'ml2021[onnx]'" in line
