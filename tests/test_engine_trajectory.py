"""The trajectory: which points are recorded, what they hold, and that a resume keeps the same."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml2021.engine import trajectory as module
from ml2021.engine.fit import fit
from ml2021.engine.networks import Layout
from ml2021.engine.state import start
from ml2021.engine.trajectory import TrajectoryRecorder
from tests.oracle import oracle_module
from tests.test_engine_updates import NETWORKS, TRAINING, rows_for, train

NETWORK = NETWORKS["relu_stack"]
LAYOUT = Layout((1, 1))


def walk(recorder: TrajectoryRecorder, first: int, last: int) -> None:
    """Record the updates from `first` up to `last`; θ and gradient tell them apart."""
    for update in range(first, last):
        if recorder.is_due(update):
            theta, gradient = torch.full((2,), float(update)), torch.tensor([3.0, 4.0]) * update
            recorder.record(update, theta, gradient)


@given(capacity=st.integers(2, 12), updates=st.integers(0, 300))
def test_points_are_evenly_spaced_and_as_many_as_fit(capacity: int, updates: int) -> None:
    recorder = TrajectoryRecorder(LAYOUT, capacity, torch.zeros(1))
    walk(recorder, 0, updates)
    kept = recorder.updates.tolist()
    assert kept == list(range(0, updates, recorder.stride))
    assert len(kept) <= capacity
    assert recorder.stride == 1 or len(kept) > capacity // 2  # no sparser than necessary
    assert recorder.points.tolist() == [[float(u)] * 2 for u in kept]
    assert recorder.gradient_norms.flatten().tolist() == [5.0 * u for u in kept]


@given(capacity=st.integers(2, 12), updates=st.integers(0, 200), stop=st.integers(0, 200))
def test_a_restored_recorder_continues_as_without_a_stop(
    capacity: int, updates: int, stop: int
) -> None:
    whole, first, second = (TrajectoryRecorder(LAYOUT, capacity, torch.zeros(1)) for _ in range(3))
    walk(whole, 0, updates)
    stop = min(stop, updates)
    walk(first, 0, stop)
    kept = first.updates, first.points, first.gradient_norms
    assert second.takes(*kept)
    second.restore(*kept)
    walk(second, stop, updates)
    assert torch.equal(second.updates, whole.updates)
    assert torch.equal(second.points, whole.points)


def test_what_does_not_fit_is_not_taken() -> None:
    recorder = TrajectoryRecorder(LAYOUT, 4, torch.zeros(1))
    updates, points, norms = torch.tensor([0, 2, 4]), torch.zeros(3, 2), torch.zeros(3, 1)
    assert recorder.takes(updates, points, norms)
    for wrong in (
        (torch.tensor([0, 2, 5]), points, norms),
        (torch.tensor([2, 4, 6]), points, norms),
        (updates.int(), points, norms),
        (updates, points[:2], norms),
        (updates, points.double(), norms),
        (updates, points, norms[:, [0, 0]]),
        (torch.arange(5), torch.zeros(5, 2), torch.zeros(5, 1)),
    ):
        assert not recorder.takes(*wrong)


def test_a_large_network_records_fewer_points_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    like = torch.zeros(1)
    assert TrajectoryRecorder.begin(LAYOUT, like) is not None
    monkeypatch.setattr(module, "MOST_BYTES", 8 * module.FEWEST_POINTS)
    fewer = TrajectoryRecorder.begin(LAYOUT, like)
    assert fewer is not None
    walk(fewer, 0, 1000)
    assert len(fewer.updates) <= module.FEWEST_POINTS
    monkeypatch.setattr(module, "MOST_BYTES", 8 * module.FEWEST_POINTS - 1)
    assert TrajectoryRecorder.begin(LAYOUT, like) is None


def test_a_point_holds_the_parameters_and_gradient_norms_before_its_update() -> None:
    """50 epochs of one clipped full batch; recording them does not change training."""
    hparams = replace(TRAINING, batch_size=None, clip_norm=1e-3)
    data = rows_for(hparams.loss)
    state = start(NETWORK, hparams, len(data), data.inputs, keep_path=True)
    thetas = [state.theta[0].clone()]
    for _ in fit(NETWORK, hparams, state, data, None):
        thetas.append(state.theta[0].clone())
    assert torch.equal(state.theta, train(NETWORK, hparams, data).theta)
    recorder = state.trajectory
    assert recorder is not None
    assert recorder.updates.tolist() == list(range(50))
    assert torch.equal(recorder.points, torch.stack(thetas[:50]))
    for update in (0, 17, 49):
        oracle = oracle_module(NETWORK, thetas[update])
        loss = torch.nn.functional.mse_loss(oracle(data.inputs[:, :-1]), data.targets)
        gradients = torch.autograd.grad(loss, list(oracle.parameters()))
        norms = [
            torch.cat([weight.flatten(), bias]).norm()
            for weight, bias in zip(gradients[::2], gradients[1::2], strict=True)
        ]
        torch.testing.assert_close(recorder.gradient_norms[update], torch.stack(norms))
