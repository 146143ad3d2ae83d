"""Training that begins with another run's parameters: its function first, and then its own way."""

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from ml2021.config.loading import load_config
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    History,
    NumberFeature,
    Preprocessing,
    RealTargets,
    Source,
)
from ml2021.data.preprocessing.reuse import incompatibilities, reuse
from ml2021.inspection.loss_surface import load_trajectory
from ml2021.runs.checkpoints import load_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import load_model
from tests import commands, mutants
from tests.commands import contents, refusal, run_well, write_rows
from tests.finishing import NOT_BEGUN, RESUME, RUN, SETTINGS, WHOLE, begin_again, different, scratch
from tests.forks import Forks, Injection
from tests.tables import sources_of

NUMBER = "data: {path: train.csv, target: y, exclude: [id, kind, p*]}\npreset: fast\n"
CLASSES = "data: {path: train.csv, target: kind, exclude: [id, y, p*]}\npreset: fast\n"
SERIES = "data: {path: series.csv, target: views, exclude: [date], lags: 7}\npreset: fast\n"
SMALL = "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 3"
CONFIGS = {
    "number": f"{NUMBER}{SMALL}}}\n",
    "classes": f"{CLASSES}{SMALL}}}\n",
    "series": f"{SERIES}{SMALL}}}\n",
    "members": f"{NUMBER}{SMALL}, members: 2}}\n",
}
OTHER = ("--set", "data.path=other.csv")
# So small a step that no parameter changes in float32: the function stays that of the start.
STANDING = ("--set", "optimizer={type: sgd, lr: 1e-30}", "--set", "train.epochs=1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of each config."""
    folder = tmp_path_factory.mktemp("trained")
    write_rows(folder / "train.csv", commands.table(120))
    # Other rows, of other means and scales, the columns in another order.
    other = commands.table(90, seed=3)
    other["a"] = [5 * float(str(value)) + 2 for value in other["a"]]
    write_rows(folder / "other.csv", dict(reversed(other.items())))
    write_rows(folder / "series.csv", commands.series(80))
    write_rows(folder / "curve.csv", {"day": [0, 1, 3, 4, 6], "views": [1100, 1300, 1050, 1400, 9]})
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text)
        run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "here"))


def begun(folder: Path, name: str, source: str, *options: str) -> Path:
    given = ("--config", f"{name}.yaml", "--run-dir", "new", "--init-from", source)
    run_well(folder, "train", "--quiet", *given, *options)
    return folder / "new"


def predicted(folder: Path, run: str, table: str) -> str:
    return run_well(folder, "predict", table, "--run", run, "--output", "-").stdout


@pytest.mark.parametrize("name", CONFIGS)
def test_before_the_first_update_it_is_the_source(folder: Path, name: str) -> None:
    other = () if name == "series" else OTHER
    table = "series.csv" if name == "series" else "other.csv"
    begun(folder, name, name, *other, *STANDING)
    assert predicted(folder, "new", table) == predicted(folder, name, table)
    thetas = [
        load_model(folder / run / "checkpoints/best.safetensors").theta for run in (name, "new")
    ]
    assert torch.equal(*thetas)
    # And the rows that it scores are seen as in training.
    scores = json.loads((folder / "new" / "summary.json").read_text())["scores"]["test"]
    again = json.loads(run_well(folder, "evaluate", "--run", "new", "--json").stdout)
    assert again["scores"] == scores["scores"]


def test_it_goes_its_own_way_from_there(folder: Path) -> None:
    path = RunDirectory(begun(folder, "number", "number", *OTHER))
    source = load_model(folder / "number" / "checkpoints/best.safetensors").theta
    first = load_checkpoint(path.last).tensors["trajectory.points"][0]
    assert torch.equal(first, source[0])
    assert not torch.equal(load_model(path.best).theta, source)


@pytest.mark.parametrize("relu", [[], ["--relu"]])
def test_a_curve_that_was_built_is_trained_on(folder: Path, relu: list[str]) -> None:
    run_well(folder, "piecewise", "curve.csv", "--run-dir", "built", *relu)
    shutil.copyfile(folder / "built" / "config.yaml", folder / "curve.yaml")
    run = begun(folder, "curve", "built", *STANDING)
    assert predicted(folder, "new", "curve.csv") == predicted(folder, "built", "curve.csv")
    shutil.rmtree(run)
    begun(folder, "curve", "built", "--set", "train.epochs=2")
    code, line = refusal(folder, "train", "--resume", "built")
    assert code == 4
    assert line.startswith("built: ")
    assert line.endswith("--init-from built")


@pytest.mark.parametrize(("source", "members"), [("number", 1), ("members", 2)])
def test_what_a_preset_would_set_is_as_in_the_source(
    folder: Path, source: str, members: int
) -> None:
    text = (folder / f"{source}.yaml").read_text()
    (folder / "free.yaml").write_text(
        text.replace("preset: fast", "preset: default").replace(", members: 2", "")
    )
    run = begun(folder, "free", source)
    config = load_config(run / "config.resolved.yaml").config
    own = load_config(folder / source / "config.resolved.yaml").config
    assert (config.train.members, config.data.numbers) == (members, own.data.numbers)
    assert config.train.spread == own.train.spread


def test_the_source_is_recorded_by_its_digest(folder: Path) -> None:
    run = RunDirectory(begun(folder, "number", "number"))
    source = (folder / "number" / "checkpoints" / "best.safetensors").read_bytes()
    digest = sha256(source).hexdigest()
    assert run.init.read_bytes() == source
    assert json.loads(run.environment.read_text())["init_sha256"] == digest
    for path in (run.best, run.last):
        assert load_checkpoint(path).description.init_sha256 == digest
        assert str(folder).encode() not in path.read_bytes()
    plain = RunDirectory(folder / "number")
    assert load_checkpoint(plain.best).description.init_sha256 is None
    assert "init_sha256" not in json.loads(plain.environment.read_text())


def test_two_runs_from_one_source_have_the_same_bytes(folder: Path) -> None:
    first = contents(begun(folder, "number", "number", *OTHER))
    shutil.move(folder / "new", folder / "first")
    shutil.move(folder / "number", folder / "moved")
    second = contents(begun(folder, "number", "moved", *OTHER))
    same = [name for name in first if name.endswith((".safetensors", ".csv"))]
    assert len(same) == 4
    assert [first[name] for name in same] == [second[name] for name in same]


def test_a_run_is_one_of_a_seed_where_nothing_is_said(folder: Path) -> None:
    begun(folder, "number", "number", "--set", "seed=5")
    anew = ("--config", "number.yaml", "--run-dir", "anew", "--set", "seed=5")
    run_well(folder, "train", "--quiet", *anew)
    assert predicted(folder, "new", "other.csv") != predicted(folder, "anew", "other.csv")
    assert not (folder / "anew" / "checkpoints" / "init.safetensors").exists()


def test_what_a_killed_start_left_is_no_start(folder: Path) -> None:
    begun(folder, "number", "number")
    for path in (folder / "new").rglob("*"):
        if path.is_file() and path.name not in ("ml2021.tag", "init.safetensors", "config.yaml"):
            path.unlink()
    given = ("--config", "number.yaml", "--run-dir", "new")
    run_well(folder, "train", "--quiet", *given)
    assert not (folder / "new" / "checkpoints" / "init.safetensors").exists()
    for name in ("checkpoints/last.safetensors", "metrics.csv"):
        assert (folder / "new" / name).read_bytes() == (folder / "number" / name).read_bytes()


def test_the_surface_begins_there_too(folder: Path) -> None:
    run = RunDirectory(begun(folder, "number", "number", "--set", "train.keep_path=false"))
    way = load_trajectory(run, load_model(run.best))
    source = load_model(folder / "number" / "checkpoints" / "best.safetensors").theta[0]
    assert len(way.path) == 0
    assert way.start is not None
    assert torch.equal(way.start, source.double())


def test_rows_that_the_source_may_have_seen_are_told(folder: Path) -> None:
    given = ("train", "--config", "number.yaml", "--init-from", "number")
    said = "those parameters were trained on this table with a different split"
    assert said not in run_well(folder, *given).stderr
    assert said in run_well(folder, *given, "--set", "data.split.seed=9").stderr
    assert said not in run_well(folder, *given, "--set", "data.split.seed=9", *OTHER).stderr


# Going on with such a run.


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


TRAIN = ("train", "--no-report", "--quiet", "--config", "c.yaml", "--init-from", "source")
SAVING = f"{NUMBER}{SMALL}, batch_size: 8, save_seconds: 1e-9}}\n"


@pytest.fixture(scope="module")
def killable(trained: Path, forks: Forks) -> Iterator[Path]:
    """Return a folder with a run from another one that was never stopped."""
    with scratch() as folder:
        for name in ("train.csv", "other.csv"):
            shutil.copyfile(trained / name, folder / name)
        (folder / "c.yaml").write_text(SAVING.replace("train.csv", "other.csv"))
        shutil.copytree(trained / "number", folder / "source")
        outcome = forks.run(folder, *TRAIN, "--run-dir", WHOLE, settings=SETTINGS)
        assert outcome.code == 0, outcome.stderr
        yield folder


def wrong_after_a_kill(
    forks: Forks, folder: Path, rename: int, mutant: str | None = None
) -> list[str]:
    """Kill a training at that rename, and go on without the source; say what is wrong."""
    begin_again(folder)
    kill = Injection("rename", "signal=SIGKILL", rename)
    train = (*TRAIN, "--run-dir", RUN)
    outcome, _ = forks.trace(
        folder, *train, calls="rename", inject=kill, mutant=mutant, settings=SETTINGS
    )
    assert outcome.code == -9, outcome
    (folder / "source").rename(folder / "gone")
    outcome = forks.run(folder, *RESUME, mutant=mutant, settings=SETTINGS)
    (folder / "gone").rename(folder / "source")
    if outcome.code == 4 and NOT_BEGUN.search(outcome.stderr):
        outcome = forks.run(folder, *train, mutant=mutant, settings=SETTINGS)
    if outcome.code:
        return [outcome.stderr]
    return different(folder / RUN, folder / WHOLE)


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
# ml2021.tag, config.yaml, environment.json, init.safetensors, metrics.csv, config.resolved.yaml;
# then saves.
RENAMES = range(1, 11)


@needs_strace
@pytest.mark.parametrize("rename", RENAMES)
def test_a_kill_loses_nothing_and_the_source_may_be_gone(
    forks: Forks, killable: Path, rename: int
) -> None:
    assert wrong_after_a_kill(forks, killable, rename) == []


@needs_strace
@pytest.mark.parametrize("mutant", mutants.names("test_init_from"))
def test_a_mutant_begins_otherwise(forks: Forks, killable: Path, mutant: str) -> None:
    assert any(wrong_after_a_kill(forks, killable, rename, mutant) for rename in RENAMES)


# Which tables a preprocessing has a place for.


def preprocessing(**changed: object) -> Preprocessing:
    own = Preprocessing(
        task="regression",
        features=(
            NumberFeature(
                name="x", mean=1, scale=2, fill=0, has_indicator=False, minimum=-1, maximum=1
            ),
            CategoryFeature(name="c", storage="text", categories=("a", "b")),
        ),
        history=None,
        target=RealTargets(names=("y",), labels=("y",), means=(1.0,), scales=(3.0,)),
        sources=sources_of("x", "c", "y"),
        width=3,
        numbered=False,
    )
    return own.model_copy(update=changed)


def features_with(**changed: object) -> Preprocessing:
    number, category = preprocessing().features
    return preprocessing(features=(number.model_copy(update=changed), category))


def categories(*values: object, storage: str = "text") -> Preprocessing:
    number, category = preprocessing().features
    new = category.model_copy(update={"categories": values, "storage": storage})
    return preprocessing(features=(number, new))


def classes(*values: str | float) -> Preprocessing:
    storage = "text" if isinstance(values[0], str) else "number"
    target = ClassTarget(name="y", label="y", storage=storage, classes=values)  # type: ignore[arg-type]
    return preprocessing(task="classification", target=target)


def lagged(lags: int, horizon: int = 1) -> Preprocessing:
    used = tuple(range(1, lags + 1))
    history = History(
        lags=lags,
        used=used,
        horizon=horizon,
        mean=0,
        scale=1,
        order_by=None,
        group_by=None,
        gap_limit=0,
    )
    return preprocessing(history=history)


@pytest.mark.parametrize(
    ("own", "other", "text"),
    [
        (classes("p", "q"), preprocessing(), "the task is classification here, but regression the"),
        (
            preprocessing(features=preprocessing().features[:1]),
            preprocessing(),
            "column 'c' is a feature only there",
        ),
        (
            preprocessing(),
            preprocessing(features=preprocessing().features[1:]),
            "column 'x' is a feature only here",
        ),
        (
            preprocessing(features=(preprocessing().features[1].model_copy(update={"name": "x"}),)),
            preprocessing(features=preprocessing().features[:1]),
            "column 'x' is a category here, but a number there",
        ),
        (
            features_with(has_indicator=True),
            preprocessing(),
            "column 'x' has missing values here, but had none there",
        ),
        (
            categories("a", "z", "u"),
            preprocessing(),
            "column 'c' has categories that it did not have there: 'z', 'u'",
        ),
        (
            categories(1.0, 2.0, storage="number"),
            preprocessing(),
            "column 'c' holds numbers here, but text there",
        ),
        (lagged(5), lagged(7), "data.lags is 5 here, but 7 there"),
        (lagged(5), preprocessing(), "data.lags is 5 here, but 0 there"),
        (lagged(5, horizon=2), lagged(5), "data.horizon is 2 here, but 1 there"),
        (
            preprocessing(
                target=RealTargets(names=("z",), labels=("z",), means=(0.0,), scales=(1.0,))
            ),
            preprocessing(),
            "the target is 'z' here, but 'y' there",
        ),
        (
            classes("p", "r"),
            classes("p", "q"),
            "column 'y' has classes that it did not have there: 'r'",
        ),
        (classes(1.0, 2.0), classes("p", "r"), "column 'y' holds numbers here, but text there"),
    ],
)
def test_what_has_no_place_is_told(own: Preprocessing, other: Preprocessing, text: str) -> None:
    found = incompatibilities(own, other)
    assert found
    assert found[0].startswith(text)


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (preprocessing(), features_with(mean=9.0, scale=8.0, fill=7.0, has_indicator=True)),
        (categories("a"), preprocessing()),
        (classes("q", "r"), classes("p", "q", "r")),
        (lagged(3), lagged(3).model_copy(update={"features": preprocessing().features[::-1]})),
    ],
)
def test_what_has_a_place_is_taken_in(own: Preprocessing, other: Preprocessing) -> None:
    assert incompatibilities(own, other) == []
    taken = reuse(own, other)
    assert taken.inputs == other.inputs
    assert taken == other
    assert reuse(own, own) == own


def test_names_ranges_and_shape_stay_those_of_the_table() -> None:
    sources = {
        name: Source(raw="v", occurrence=i, position=i) for i, name in enumerate(("x", "c", "y"))
    }
    own = features_with(minimum=-9.0, maximum=9.0)
    target = own.target.model_copy(update={"labels": ("Y",), "shape": (1, 1)})
    own = own.model_copy(update={"sources": sources, "target": target})
    other = features_with(mean=5.0)
    taken = reuse(own, other)
    number = taken.features[0]
    assert isinstance(number, NumberFeature)
    assert (number.mean, number.minimum, number.maximum) == (5.0, -9.0, 9.0)
    assert isinstance(taken.target, RealTargets)
    assert (taken.target.labels, taken.target.shape) == (("Y",), (1, 1))
    np.testing.assert_array_equal(taken.target.means, other.target.means)  # type: ignore[union-attr]
    assert taken.sources == sources
