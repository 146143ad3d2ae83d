"""Where training has been: which points are kept, what they hold, and that a resume keeps them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml2021.engine import trajectory as module
from ml2021.engine.fit import fit
from ml2021.engine.layout import Layout
from ml2021.engine.losses import Mse
from ml2021.engine.state import TrainingState, start
from ml2021.engine.trajectory import TrajectoryRecorder
from tests.oracle import oracle_module
from tests.test_engine_updates import NETWORKS, TRAINING, rows_for

NETWORK = NETWORKS["relu_stack"]
LAYOUT = Layout((1, 1))


def walk(path: TrajectoryRecorder, first: int, last: int) -> None:
    """Take the updates from `first` up to `last`; θ and gradient say which it is."""
    for update in range(first, last):
        if path.is_due(update):
            path.record(update, torch.full((2,), float(update)), torch.tensor([3.0, 4.0]) * update)


@given(capacity=st.integers(2, 12), updates=st.integers(0, 300))
def test_points_are_evenly_apart_and_as_many_as_fit(capacity: int, updates: int) -> None:
    path = TrajectoryRecorder(LAYOUT, capacity, torch.zeros(1))
    walk(path, 0, updates)
    kept = path.updates.tolist()
    assert kept == list(range(0, updates, path.stride))
    assert len(kept) <= capacity
    assert path.stride == 1 or len(kept) > capacity // 2  # no sparser than it must be
    assert path.points.tolist() == [[float(u)] * 2 for u in kept]
    assert path.gradient_norms.flatten().tolist() == [5.0 * u for u in kept]


@given(capacity=st.integers(2, 12), updates=st.integers(0, 200), stop=st.integers(0, 200))
def test_a_restored_path_goes_on_as_it_would_have(capacity: int, updates: int, stop: int) -> None:
    whole = TrajectoryRecorder(LAYOUT, capacity, torch.zeros(1))
    walk(whole, 0, updates)
    stop = min(stop, updates)
    first, second = (TrajectoryRecorder(LAYOUT, capacity, torch.zeros(1)) for _ in range(2))
    walk(first, 0, stop)
    kept = first.updates, first.points, first.gradient_norms
    assert second.takes(*kept)
    second.restore(*kept)
    walk(second, stop, updates)
    assert torch.equal(second.updates, whole.updates)
    assert torch.equal(second.points, whole.points)


def test_what_does_not_fit_is_not_taken() -> None:
    path = TrajectoryRecorder(LAYOUT, 4, torch.zeros(1))
    updates, points, norms = torch.tensor([0, 2, 4]), torch.zeros(3, 2), torch.zeros(3, 1)
    assert path.takes(updates, points, norms)
    assert not path.takes(torch.tensor([0, 2, 5]), points, norms)
    assert not path.takes(torch.tensor([2, 4, 6]), points, norms)
    assert not path.takes(updates.int(), points, norms)
    assert not path.takes(updates, points[:2], norms)
    assert not path.takes(updates, points.double(), norms)
    assert not path.takes(updates, points, norms[:, [0, 0]])
    assert not path.takes(torch.arange(5), torch.zeros(5, 2), torch.zeros(5, 1))


def test_a_large_network_keeps_fewer_points_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    like = torch.zeros(1)
    assert TrajectoryRecorder.begin(LAYOUT, like) is not None
    monkeypatch.setattr(module, "MOST_BYTES", 8 * module.FEWEST_POINTS)
    fewer = TrajectoryRecorder.begin(LAYOUT, like)
    assert fewer is not None
    walk(fewer, 0, 1000)
    assert len(fewer.updates) <= module.FEWEST_POINTS
    monkeypatch.setattr(module, "MOST_BYTES", 8 * module.FEWEST_POINTS - 1)
    assert TrajectoryRecorder.begin(LAYOUT, like) is None


def travelled() -> tuple[TrainingState, list[torch.Tensor]]:
    """Train for 50 epochs of one full batch; return the state, and θ before each update."""
    training = replace(TRAINING, batch_size=None, clip_norm=1e-3)
    data = rows_for(training.loss)
    state = start(NETWORK, training, len(data), data.inputs, keep_path=True)
    thetas = [state.theta[0].clone()]
    for _ in fit(NETWORK, training, state, data, None):
        thetas.append(state.theta[0].clone())
    return state, thetas


def test_a_point_is_where_training_was_and_how_steep_it_was_there() -> None:
    state, thetas = travelled()
    path, data = state.path, rows_for(Mse())
    assert path is not None
    assert path.updates.tolist() == list(range(50))
    assert torch.equal(path.points, torch.stack(thetas[:50]))
    for update in (0, 17, 49):
        oracle = oracle_module(NETWORK, thetas[update])
        loss = torch.nn.functional.mse_loss(oracle(data.inputs[:, :-1]), data.targets)
        gradients = torch.autograd.grad(loss, list(oracle.parameters()))
        norms = [
            torch.cat([weight.flatten(), bias]).norm()
            for weight, bias in zip(gradients[::2], gradients[1::2], strict=True)
        ]
        torch.testing.assert_close(path.gradient_norms[update], torch.stack(norms))


def test_keeping_a_path_changes_nothing() -> None:
    state, _ = travelled()
    training = replace(TRAINING, batch_size=None, clip_norm=1e-3)
    data = rows_for(training.loss)
    other = start(NETWORK, training, len(data), data.inputs)
    for _ in fit(NETWORK, training, other, data, None):
        pass
    assert torch.equal(state.theta, other.theta)
