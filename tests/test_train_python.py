"""`ml2021.train`: from Python, on a file or a data frame, with the same bits as the command."""

import datetime
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ml2021
from tests.commands import contents, refusal, run, run_well

QUICK: dict[str, Any] = {
    "model": {"type": "relu_stack", "widths": [4]},
    "train": {"epochs": 2},
    "preset": "fast",
    "device": "cpu",
}
KINDS = ("plain", "classes", "folds", "auto", "refit")


def config_of(kind: str, **data: object) -> dict[str, Any]:
    section: dict[str, object] = {"target": "y", "exclude": ["z"], **data}
    config = {**QUICK, "data": section}
    if kind == "classes":
        section |= {"target": "text", "exclude": ["y"]}
    elif kind == "folds":
        section["split"] = {"method": "kfold", "folds": 3}
    elif kind == "auto":
        section["numbers"] = "auto"
    elif kind == "refit":
        config["train"] = {"epochs": 2, "members": 2, "refit": True}
    return config


def table(rows: int = 90) -> pd.DataFrame:
    """Return a frame with columns of many dtypes, missing cells, and an index of its own."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": random.normal(size=rows),
            "short": random.normal(size=rows).astype(np.float32),
            "whole": random.integers(0, 1000, rows).astype(np.int16),
            "text": random.choice(["x", "y", "z"], rows),
            "kind": pd.Categorical(random.choice(["u", "v"], rows)),
            "level": pd.Categorical(random.choice([1, 2, 3], rows)),
            "count": pd.array(random.integers(0, 50, rows), dtype="Int64"),
            "flag": pd.array(random.random(rows) > 0.5, dtype="boolean"),
            "yes": random.random(rows) > 0.5,
            "when": pd.date_range("2020-01-01", periods=rows, freq="7h"),
            "mixed": [*random.normal(size=rows - 1), "12"],
            "z": random.choice(["p", "q"], rows),
        }
    )
    frame["y"] = frame["a"] * 2 + frame["whole"] / 100
    for row, name in enumerate(("a", "short", "text", "kind", "count", "flag", "when", "y")):
        frame.loc[row, name] = None
    frame.index = pd.Index(np.arange(rows)[::-1] // 2)
    return frame


def bits(model: ml2021.Model) -> dict[str, bytes]:
    """Return the parameters, the baselines and the residuals of a model."""
    return {name: each.numpy().tobytes() for name, each in model._checkpoint.tensors.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("python")
    table().to_csv(place / "table.csv", index=False)
    return place


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_trains_as_the_file_of_it_does(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    frame, config = table(), config_of(kind)
    of_frame = ml2021.train(config, frame)
    in_file = folder / f"{kind}.yaml"
    in_file.write_text(str(config_of(kind, path="table.csv")).replace("True", "true"))
    run_well(folder, "train", "--config", in_file, "--run-dir", kind, "--quiet")
    by_command = ml2021.load(kind)
    models = [of_frame]
    if kind == "plain":
        models += [ml2021.train(in_file), ml2021.train(in_file, run_dir="again")]
        assert {*contents(folder / kind)} == {*contents(folder / "again")}
    for other in models:
        assert bits(other) == bits(by_command)
        assert other.scores == by_command.scores
        assert other.notes == by_command.notes
    again = pd.read_csv("table.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ml2021.DataWarning)
        assert np.array_equal(of_frame.predict(frame), by_command.predict(again))
    pd.testing.assert_frame_equal(frame, table())


def small(rows: int = 60) -> pd.DataFrame:
    a = np.arange(float(rows))
    return pd.DataFrame({"a": a, "b": np.sin(a), "y": a / 3})


def test_nothing_is_written_printed_or_left_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(temporary))
    tempfile.tempdir = None
    opened: list[object] = []

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and threading.current_thread() is thread:
            _, _, flags = arguments
            is_written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            opened.extend(arguments[:1] * bool(is_written))

    def state() -> tuple[object, ...]:
        signals = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        random = torch.random.get_rng_state().tolist(), str(np.random.get_state())
        threads = torch.get_num_threads(), torch.get_default_dtype()
        return signals, random, threads, [*warnings.filters], torch.is_grad_enabled()

    models = []
    for kind in ("plain", "folds", "refit"):
        before = state()
        thread = threading.current_thread()
        sys.addaudithook(look)
        models.append(ml2021.train(config_of(kind), table()))
        thread = threading.Thread()
        assert state() == before
    assert not opened
    assert not [*temporary.iterdir()]
    assert [*tmp_path.iterdir()] == [temporary]
    assert capfd.readouterr() == ("", "")
    found: list[ml2021.Model] = []
    other = threading.Thread(target=lambda: found.append(ml2021.train(config_of("plain"), table())))
    other.start()
    other.join()
    assert bits(found[0]) == bits(models[0])


def test_a_config_from_python_is_checked_as_yaml_is(tmp_path: Path) -> None:
    frame = small()
    train = {"epochs": np.int64(2)}
    fine = {
        "data": {"target": "y", "features": ("a", np.str_("b")), "missing": ["", -1]},
        "model": {"type": "relu_stack", "widths": np.array([4, 4])},
        "optimizer": {"lr": np.float32(0.5)},
        "train": train,
    }
    assert ml2021.train(fine, frame).config["optimizer"]["lr"] == 0.5
    loop: dict[str, Any] = {"target": "y"}
    loop["split"] = loop
    sections: list[tuple[Any, str, str]] = [
        ({}, "config: ", "data"),
        ({"data": {}}, "data: ", "target"),
        ({"data": {"target": "y", "path": "y.csv"}}, "data.path: ", "DataFrame"),
        ({"data": {"target": "y", "test_path": "y.csv"}}, "data.test_path: ", "DataFrame"),
        ({"data": {"target": "y"}, "optimizer": {"learning_rate": 1}}, "optimizer.", "'lr'?"),
        ({"data": {"target": "y"}, "optimizer": {"lr": "1"}}, "optimizer.lr: must be a ", "1"),
        ({"data": {"target": "y"}, "train": {"epochs": 2.5}}, "train.epochs: must be", "2.5"),
        ({"data": {"target": "y"}, "train": {"epochs": frame}}, "train.epochs: ", "DataFrame"),
        ({"data": {"target": "y"}, ("a", "b"): 1}, "config: ", "('a', 'b')"),
        ({"data": {"target": "y"}, "sweep": {"grid": {"seed": [1]}}}, "sweep: ", "sweep"),
        ({"data": loop}, "data.split", "levels"),
        ({"data": {"target": "Y"}}, "data.target: ", "'y'?"),
    ]
    for config, place, word in sections:
        with pytest.raises(ml2021.ConfigError) as error:
            ml2021.train(config, frame)
        assert any(line.startswith(place) and word in line for line in error.value.lines), config
    path = tmp_path / "c.yaml"
    path.write_text("data: {target: y, path: y.csv}\n")
    with pytest.raises(ml2021.ConfigError, match=r"c\.yaml:1:\d+: .*DataFrame"):
        ml2021.train(path, frame)
    for wrong in (3, None, [1]):
        with pytest.raises(TypeError):
            ml2021.train(wrong, frame)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            ml2021.train({"data": {"target": "y"}}, wrong or "y")  # type: ignore[arg-type]


@pytest.mark.parametrize("as_file", [False, True])
def test_a_config_without_a_table_may_be_given_a_frame(tmp_path: Path, as_file: bool) -> None:
    (path := tmp_path / "c.yaml").write_text("data: {target: y}")
    with pytest.raises(ml2021.ConfigError, match=r"missing key 'path'.*, or pass a frame"):
        ml2021.train(path if as_file else {"data": {"target": "y"}})


def test_what_is_wrong_with_a_frame_is_a_data_error() -> None:
    frame, config = small(), {**QUICK, "data": {"target": "y", "weight": "w"}}
    frame["w"] = 1.0

    def with_last(cell: object) -> pd.DataFrame:
        cells: list[Any] = frame["a"].tolist()
        return frame.assign(a=pd.Series([*cells[:-1], cell], dtype=object))

    for odd, words in (
        (frame.iloc[:0], "no rows"),
        (frame.assign(a=np.inf), "row 1"),
        (frame.assign(w=-1.0), "row 1: column 'w'"),
        (with_last([1]), "row 60: column 'a' holds a list"),
        (with_last("?"), "row 60: column 'a': '?'"),
    ):
        with pytest.raises(ml2021.DataError, match=words):
            ml2021.train(config, odd)
    with pytest.raises(ml2021.DivergenceError):
        ml2021.train(
            {**QUICK, "data": {"target": "y"}, "optimizer": {"type": "sgd", "lr": 1e30}}, small()
        )


def test_names_and_dtypes_of_a_frame_are_those_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(60, 4)).round(2))
    frame.columns = pd.Index([0, 1.5, "x", "x"])
    frame.insert(0, "text", random.choice(["1", "007", "NA", "-4"], 60))
    frame.insert(0, "half", random.normal(size=60).astype(np.float16))
    frame.insert(0, "day", [datetime.date(2020, 1, 1 + row % 28) for row in range(60)])
    frame.insert(0, "none", None)
    frame.insert(0, "large", np.arange(60) + 2**60)
    frame.insert(0, "moment", pd.date_range("2020-01-01", periods=60, tz="Europe/Berlin"))
    frame.insert(0, "numbers", pd.Series(random.integers(0, 9, 60)).astype("Float32"))
    frame.to_csv("odd.csv", index=False)
    config = {**QUICK, "data": {"target": "x.1"}}
    model = ml2021.train(config, frame)
    other = ml2021.train({**config, "data": {"target": "x.1", "path": Path("odd.csv")}})
    assert model._model.preprocessing == other._model.preprocessing
    assert bits(model) == bits(other)
    assert model.notes == other.notes
    others = [*range(frame.shape[1] - 2)][::-1]
    shuffled = frame.iloc[:, [*others, -2, -1]]
    assert np.array_equal(model.predict(shuffled), model.predict(frame))


def test_periods_and_durations_are_what_a_file_would_hold() -> None:
    """A period is the date of its beginning, a duration its seconds, an interval its text."""
    frame = small()
    months: Any = pd.period_range("2015-01", periods=60, freq="M")
    spans: Any = pd.to_timedelta(np.arange(60) ** 2 * 90, unit="s").to_series(index=frame.index)
    spans[3] = pd.NaT
    odd: dict[str, Any] = {"time": [datetime.time(row % 24) for row in range(60)]}
    given = frame.assign(
        p=pd.Series([pd.NaT, *months[1:]], dtype=object),
        q=months.asfreq("Q"),
        d=spans,
        o=spans.astype(object),
        cut=pd.cut(frame["b"], 3),
        **odd,
    )
    plain = frame.assign(
        p=["", *map(str, months.to_timestamp()[1:])],
        q=months.asfreq("Q").to_timestamp().astype(str),
        d=spans.dt.total_seconds(),
        o=spans.dt.total_seconds(),
        cut=given["cut"].astype(str),
        time=given["time"].astype(str),
    )
    config = {**QUICK, "data": {"target": "y", "dates": ["year", "month"]}}
    model, other = (ml2021.train(config, each) for each in (given, plain))
    assert model.features == ("a", "b", "p", "q", "d", "o", "cut")
    assert bits(model) == bits(other)
    assert model.notes == other.notes
    for some in (given, given[5:9], given.astype({"p": "period[M]", "cut": object})):
        assert np.array_equal(model.predict(some), model.predict(plain.loc[some.index]))


def test_what_only_a_file_has_is_not_asked_of_a_frame(tmp_path: Path) -> None:
    texts = small().assign(b=lambda t: [f"{value:.3f}".replace(".", ",") for value in t["b"]])
    with pytest.raises(ml2021.DataError, match=r'set data\.decimal: ","'):
        ml2021.train({**QUICK, "data": {"target": "y"}}, texts)
    model = ml2021.train({**QUICK, "data": {"target": "y", "decimal": ","}}, texts, tmp_path / "r")
    assert model.notes_on(texts[:2]) == ()
    texts.to_csv(tmp_path / "new.csv", sep=";", decimal=",", index=False)
    run_well(tmp_path, "evaluate", "new.csv", "--run", "r")
    config = {**QUICK, "data": {"target": 2, "header": False}}
    with pytest.raises(ml2021.DataError, match=r"data\.header is false, but .* names, such as 'a'"):
        ml2021.train(config, small())
    assert ml2021.train(config, small().set_axis(range(3), axis=1)).features == ("0", "1")


def test_a_label_and_its_text_are_one_class() -> None:
    labels = [1, "1", 2.0, "2", "x", np.int8(1)] * 10
    config = {**QUICK, "data": {"target": "y"}}
    model = ml2021.train(config, small().assign(y=pd.Series(labels, dtype=object)))
    assert model.predict_proba(small()).columns.tolist() == ["1", "2", "x"]
    texts = small().assign(y=["1", "1", "2", "2", "x", "1"] * 10)
    assert bits(model) == bits(ml2021.train(config, texts))


def test_a_frame_has_one_digest(tmp_path: Path) -> None:
    frame, config = table(), config_of("plain")
    digest = ml2021.train(config, frame)._model.data_sha256
    same = frame.reset_index(drop=True).assign(unused=1)
    same = same.astype({"count": "float64", "kind": object, "whole": np.int64})
    excluding = config_of("plain", exclude=["z", "unused"])
    assert digest == ml2021.train(excluding, same)._model.data_sha256
    other = frame.copy()
    other["a"] = other["a"] + 1e-9
    assert digest != ml2021.train(config, other)._model.data_sha256


def test_commands_say_that_a_run_was_trained_on_a_frame(tmp_path: Path) -> None:
    frame, run_dir = small(), tmp_path / "mine"
    model = ml2021.train({**QUICK, "data": {"target": "y"}}, frame, run_dir)
    assert bits(model) == bits(ml2021.train({**QUICK, "data": {"target": "y"}}, frame))
    for command in (("evaluate", "--run"), ("train", "--resume"), ("surface", "--run")):
        code, line = refusal(tmp_path, *command, run_dir)
        assert code == 3
        assert "DataFrame" in line
    frame.to_csv(tmp_path / "again.csv", index=False)
    run_well(tmp_path, "evaluate", "again.csv", "--run", run_dir)
    run_well(tmp_path, "predict", "again.csv", "--run", run_dir, "--output", "out.csv")
    with pytest.raises(ml2021.RunInUseError, match="run_dir"):
        ml2021.train({**QUICK, "data": {"target": "y"}}, frame, run_dir)
    for place in (tmp_path / "again.csv", run_dir / "in"):
        with pytest.raises(ml2021.ConfigError, match="run_dir"):
            ml2021.train({**QUICK, "data": {"target": "y"}}, frame, place)
    warm = {**QUICK, "data": {"target": "y"}}
    assert ml2021.train(warm, frame, init_from=run_dir).scores
    with pytest.raises(ml2021.ConfigError, match="init_from"):
        ml2021.train({**warm, "model": "linear"}, frame, init_from=run_dir)


def test_an_interrupt_is_a_keyboard_interrupt(tmp_path: Path) -> None:
    frame = small()
    frame.to_csv(tmp_path / "t.csv", index=False)
    config = {
        **QUICK,
        "data": {"target": "y", "path": str(tmp_path / "t.csv")},
        "train": {"epochs": 10**6, "early_stopping": None, "save_seconds": 0.05},
    }
    run_dir = tmp_path / "cut"

    def interrupt() -> None:
        while not (run_dir / "checkpoints" / "last.safetensors").exists():
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    def stop() -> None:
        threading.Thread(target=interrupt, daemon=True).start()
        ml2021.train(config, run_dir=run_dir)

    before = torch.get_num_threads()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            stop()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert torch.get_num_threads() == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert ml2021.load(run_dir).predict(frame).notna().all()
    told = run(tmp_path, "train", "--resume", run_dir, "--set", "train.epochs=1")
    assert "already done" in told.stderr


def test_unseen_categories_warn_and_the_rest_is_in_the_notes() -> None:
    frame = small().assign(c=["x", "y"] * 30)
    model = ml2021.train({**QUICK, "data": {"target": "y"}}, frame)
    assert not [note for note in model.notes_on(frame) if "unseen" in note]
    odd = frame.assign(c=["x", "z"] * 30, a=1e6, more=1)
    with pytest.warns(ml2021.DataWarning, match="z × 30") as caught:
        model.predict(odd)
    assert [each.filename for each in caught] == [__file__]
    notes = " ".join(model.notes_on(odd))
    assert all(word in notes for word in ("more", "z × 30", "outside the training range: a 60"))
    with pytest.raises(ml2021.DataError, match="set it to NaN"):
        model.predict(frame.assign(a=1e30))


def test_moments_of_several_offsets_are_all_read() -> None:
    """Summer and winter time in one column of objects: each cell is what its text would be."""
    zones = [datetime.timezone(datetime.timedelta(hours=hours)) for hours in (1, 2)]
    when = [datetime.datetime(2020, 1 + i % 12, 1 + i % 28, tzinfo=zones[i % 2]) for i in range(60)]
    frame = pd.DataFrame({"when": when, "y": [float(each.month) for each in when]})
    config = {**QUICK, "data": {"target": "y"}, "task": "regression"}
    model = ml2021.train(config, frame)
    as_text = ml2021.train(config, frame.assign(when=frame["when"].map(str)))
    assert np.array_equal(model.predict(frame), as_text.predict(frame))
    assert not [note for note in model.notes_on(frame) if "missing" in note]


def test_truth_values_are_predicted_as_such() -> None:
    frame = pd.DataFrame({"a": np.arange(60.0)}).assign(y=lambda t: t["a"] > 30)
    model = ml2021.train({**QUICK, "data": {"target": "y"}}, frame)
    assert model.predict(frame).dtype == bool
    assert [*model.predict_proba(frame).columns] == [False, True]


def test_the_config_of_a_model_trains_it_again() -> None:
    frame = pd.DataFrame({"a": np.arange(60.0)}).assign(y=lambda t: t["a"] ** 2)
    model = ml2021.train({**QUICK, "data": {"target": "y"}}, frame)
    again = ml2021.train(model.config, frame)
    assert np.array_equal(again.predict(frame), model.predict(frame))


def test_a_column_without_a_name_is_refused() -> None:
    frame = pd.DataFrame({"": [1.0, 2.0, 3.0] * 9, "y": [1.0, 2.0, 3.0] * 9})
    with pytest.raises(ml2021.DataError, match="column 1 has no name"):
        ml2021.train({"data": {"target": "y"}, "preset": "fast"}, frame)


def test_a_run_may_lie_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"a": np.arange(60.0)}).assign(y=lambda t: t["a"] ** 2)
    config = {**QUICK, "data": {"target": "y"}}
    model = ml2021.train(config, frame, run_dir=".")
    assert np.array_equal(ml2021.load(tmp_path).predict(frame), model.predict(frame))
