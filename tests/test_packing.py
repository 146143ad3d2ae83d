"""Which runs train side by side, and that a member trains as it would alone."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml2021.config.schema import Config
from ml2021.data.load import TrainingData
from ml2021.engine import hardware
from ml2021.engine.build import build_hyperparameters
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit, fit_members
from ml2021.engine.networks import relu_stack
from ml2021.engine.state import Hyperparameters, TrainingState, start
from ml2021.sweeps.pack import FinishedRun, pack_hyperparameters, prepare_tensors, train_pack
from ml2021.sweeps.packing import MEMBER_LIMIT, group_key, make_packs
from tests.tables import Cell, load, write_csv


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: for small networks on a busy machine a second one only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


DATA = {"path": "a.csv", "target": "y"}

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"momentum": 0.9, "weight_decay": 0.01}, {"lr": 0.05}, {"momentum": 0.5}],
    "sgd with nesterov": [
        {"lr": 0.02, "momentum": 0.9, "nesterov": True},
        {"lr": 0.03, "momentum": 0.3, "nesterov": True, "weight_decay": 0.1},
    ],
    "adagrad": [{"lr": 0.02, "eps": 1e-10}, {"lr": 0.05, "eps": 1e-3, "weight_decay": 0.1}],
    "rmsprop": [
        {"lr": 0.002, "alpha": 0.99},
        {"lr": 0.005, "alpha": 0.9, "momentum": 0.9},
        {"lr": 0.001, "alpha": 0.5, "eps": 1e-4, "weight_decay": 0.01},
    ],
    "adam": [
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.999},
        {"lr": 0.001, "beta1": 0.5, "beta2": 0.9, "eps": 1e-4},
        {"lr": 0.003, "weight_decay": 0.1},
    ],
    "adam, lr": [{"lr": 0.01}, {"lr": 0.001}, {"lr": 0.03}],
    "adamw": [
        {"lr": 0.01, "weight_decay": 0.0},
        {"weight_decay": 0.3, "beta1": 0.8},
        {"lr": 0.003},
    ],
    "adamw, lr and weight_decay": [{"lr": 0.01, "weight_decay": 0.0}, {"weight_decay": 0.3}],
}


def config_of(**keys: object) -> Config:
    return Config.model_validate({"data": DATA, "loss": "mse", **keys})


def numbered(configs: Iterable[Config]) -> dict[int, Config]:
    return dict(enumerate(configs, start=1))


def random_rows(count: int, seed: int) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    inputs[:, -1] = 1
    targets = inputs[:, :1].tanh() + 0.1 * torch.randn(count, 1, generator=generator).double()
    return Dataset(inputs, targets)


def train_all(hparams: Hyperparameters, train: Dataset, validation: Dataset) -> TrainingState:
    network = relu_stack(5, 1, [8, 7])
    state = start(network, hparams, len(train), train.inputs)
    for _ in fit_members(network, hparams, state, train, validation):
        pass
    return state


def assert_same_member(together: TrainingState, member: int, alone: TrainingState) -> None:
    assert torch.allclose(together.best[member], alone.best[0], rtol=0, atol=1e-9)
    assert together.best_epoch[member] == alone.best_epoch[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_a_member_trains_as_it_would_alone(name: str, clip_norm: float | None) -> None:
    """Parity: float64, 200 updates, 1e-9, numbers of its own; the oracle is a pack of one."""
    numbers = [{"type": name.split(",")[0].split()[0], **own} for own in OPTIMIZERS[name]]
    train = {"epochs": 50, "batch_size": 16, "early_stopping": None, "clip_norm": clip_norm}
    configs = [config_of(optimizer=own, seed=k, train=train) for k, own in enumerate(numbers)]
    rows, held_out = random_rows(60, 0), random_rows(20, 1)  # 4 updates an epoch, the last ragged
    assert pack_hyperparameters(configs, rows.inputs).batches(len(rows)) * 50 == 200
    together = train_all(pack_hyperparameters(configs, rows.inputs), rows, held_out)
    for member, config in enumerate(configs):
        network, hparams = relu_stack(5, 1, [8, 7]), build_hyperparameters(config)
        alone = start(network, hparams, len(rows), rows.inputs)
        for _ in fit(network, hparams, alone, rows, held_out):
            pass
        assert_same_member(together, member, alone)
        assert torch.allclose(together.theta[member], alone.theta[0], rtol=0, atol=1e-9)
        assert abs(float(together.best_loss[member]) - float(alone.best_loss[0])) < 1e-9


def test_each_member_stops_early_by_itself() -> None:
    train = {"epochs": 60, "batch_size": 16, "early_stopping": {"patience": 3}}
    lrs = enumerate([0.1, 0.001, 0.03, 0.01])
    configs = [config_of(optimizer={"lr": lr}, seed=k, train=train) for k, lr in lrs]
    rows, held_out = random_rows(60, 0), random_rows(20, 1)
    together = train_all(pack_hyperparameters(configs, rows.inputs), rows, held_out)
    alone = [train_all(pack_hyperparameters([c], rows.inputs), rows, held_out) for c in configs]
    assert len({state.epoch for state in alone}) > 1
    for member, state in enumerate(alone):
        assert_same_member(together, member, state)


def test_only_what_differs_becomes_a_tensor() -> None:
    configs = [config_of(optimizer={"type": "adam", "lr": lr}) for lr in (0.1, 0.2)]
    optimizer: Any = pack_hyperparameters(configs, torch.ones(1, dtype=torch.float64)).optimizer
    assert optimizer.lr.tolist() == [[0.1], [0.2]]
    assert optimizer.lr.dtype == torch.float64
    assert optimizer.beta1 == 0.9


@pytest.mark.parametrize(
    ("keys", "is_shared"),
    [
        ({"seed": 5}, True),
        ({"optimizer": {"type": "sgd", "lr": 0.3, "weight_decay": 0.5, "momentum": 0.1}}, True),
        ({"optimizer": {"type": "sgd", "momentum": 0.9, "nesterov": True}}, False),
        ({"optimizer": "adam"}, False),
        ({"model": {"widths": [100, 99]}}, False),
        ({"model": "linear"}, False),
        ({"loss": "mae"}, False),
        ({"train": {"epochs": 99}}, False),
        ({"train": {"batch_size": 64}}, False),
        ({"train": {"schedule": "constant"}}, False),
        ({"train": {"early_stopping": None}}, False),
        ({"data": {**DATA, "split": {"seed": 1}}}, False),
    ],
)
def test_what_a_pack_shares(keys: dict[str, Any], is_shared: bool) -> None:
    one, other = config_of(optimizer="sgd"), config_of(**{"optimizer": "sgd", **keys})
    assert (group_key(one) == group_key(other)) == is_shared


def test_all_workers_get_work() -> None:
    same = numbered(config_of(seed=seed) for seed in range(32))
    assert list(map(len, make_packs(same, 2))) == [16, 16]
    assert list(map(len, make_packs(same, 5))) == [7, 7, 6, 6, 6]
    assert list(map(len, make_packs(same, 100))) == [1] * 32


def test_many_groups_stay_whole_the_largest_first() -> None:
    configs = [config_of(seed=s, model={"widths": [w]}) for w in range(1, 8) for s in range(w)]
    assert list(map(len, make_packs(numbered(configs), 2))) == [7, 6, 5, 4, 3, 2, 1]


def test_what_takes_longest_is_begun_first() -> None:
    sum_of_900 = {"type": "sigmoid_sum", "units": 900}
    models = ["linear", {"widths": [8]}, sum_of_900, {"widths": [90, 90]}]
    configs = [config_of(model=model) for model in models]
    configs += [config_of(model={"widths": [8]}, train={"epochs": 5000})]
    assert make_packs(numbered(configs), 1) == [(5,), (3,), (4,), (2,), (1,)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=150), st.integers(1, 9))
def test_every_run_is_in_one_pack_with_its_like(widths: list[int], jobs: int) -> None:
    configs = numbered(
        config_of(seed=seed, model={"widths": [width]}) for seed, width in enumerate(widths)
    )
    packs = make_packs(configs, jobs)
    assert sorted(run for pack in packs for run in pack) == list(configs)
    for pack in packs:
        assert len(pack) <= MEMBER_LIMIT
        assert len({group_key(configs[run]) for run in pack}) == 1


def finished(data: Sequence[TrainingData], share: float = 1.0) -> list[FinishedRun]:
    tensors = prepare_tensors(data[0])
    return [run for progress in train_pack(data, tensors, 1, share) for run in progress.ended]


def test_memory_splits_a_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(tmp_path / "a.csv", {"x": range(40), "y": [x % 7 for x in range(40)]})
    lines = ("  target: y", "train: {epochs: 2}", "device: cpu")
    data = [load(path, *lines, f"seed: {seed}") for seed in range(5)]
    whole = finished(data)
    monkeypatch.setattr(hardware, "free_memory", lambda: 10**6)
    done = [progress.done for progress in train_pack(data, prepare_tensors(data[0]), 1, 0.9)]
    assert done == sorted(done)
    assert done[0] == 1.5  # three of the five fit, and are half-way
    assert done[-1] == 5
    for place, (one, other) in enumerate(zip(whole, finished(data, 0.9), strict=True)):
        assert one.place == other.place == place
        assert torch.allclose(one.trainer.state.best, other.trainer.state.best, atol=1e-5)


@pytest.mark.parametrize("target", ["y", "kind"])
def test_a_members_history_is_that_of_the_run_alone(tmp_path: Path, target: str) -> None:
    cells: dict[str, list[Cell]] = {
        "x": list(range(60)),
        "y": [x % 7 for x in range(60)],
        "kind": ["abc"[x % 3] for x in range(60)],
    }
    path = write_csv(tmp_path / "a.csv", cells)
    lines = (f"  target: {target}", "  features: [x]", "train: {epochs: 3, schedule: constant}")
    lrs = [0.001, 1e200, 0.1]
    data = [
        load(path, *lines, f"seed: {k}", f"optimizer: {{type: sgd, lr: {lr}}}", "device: cpu")
        for k, lr in enumerate(lrs)
    ]
    ended = {run.place: run for run in finished(data)}
    assert [len(ended[place].history) for place in range(3)] == [3, 0, 3]
    for place in (0, 2):
        (alone,) = finished([data[place]])
        for row, other in zip(ended[place].history, alone.history, strict=True):
            assert row["lr"] == lrs[place]
            defined = {name: value for name, value in row.items() if value is not None}
            assert row == {**other, **defined}
            assert defined == pytest.approx({name: other[name] for name in defined}, rel=1e-4)
