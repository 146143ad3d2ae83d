"""The loss over a plane of parameters, point by point; principal directions against numpy's."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ml2021.engine import losses
from ml2021.engine.dataset import Dataset
from ml2021.engine.loss_surface import losses_over, principal_directions, steepest_descent
from ml2021.engine.networks import Network, initial_parameters, linear, relu_stack
from tests.oracle import oracle_module
from tests.test_engine_updates import LOSSES

ROWS, FEATURES = 70, 3
ORACLES: dict[str, tuple[losses.Loss, Callable[[Tensor, Tensor], Tensor], int]] = {
    name: (*LOSSES[name], outputs)
    for name, outputs in {"mae": 2, "mse": 1, "cross_entropy": 4}.items()
}


def rows_for(loss: losses.Loss, outputs: int) -> Dataset:
    random = torch.Generator().manual_seed(1)
    inputs = torch.randn(ROWS, FEATURES + 1, generator=random, dtype=torch.float64)
    inputs[:, -1] = 1
    if isinstance(loss, losses.CrossEntropy):
        return Dataset(inputs, torch.randint(outputs, (ROWS,), generator=random))
    return Dataset(inputs, torch.randn(ROWS, outputs, generator=random, dtype=torch.float64))


def draw(network: Network) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    return initial_parameters(network, generators, torch.float64)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", ORACLES)
def test_the_losses_are_those_of_each_point(
    name: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, oracle, outputs = ORACLES[name]
    network = relu_stack(FEATURES, outputs, [5, 4])
    monkeypatch.setattr(
        "ml2021.engine.loss_surface._MEMBER_BYTES", 4 * 8 * network.layout.parameters
    )
    centre, *directions = draw(network)
    coordinates = torch.randn(11, 2, generator=torch.Generator().manual_seed(2)).double()
    rows = rows_for(loss, outputs)
    found = losses_over(network, loss, rows, centre, torch.stack(directions), coordinates, workers)
    for value, (u, v) in zip(found, coordinates, strict=True):
        theta = centre + u * directions[0] + v * directions[1]
        with torch.no_grad():
            expected = oracle(oracle_module(network, theta)(rows.inputs[:, :-1]), rows.targets)
        assert float(value) == pytest.approx(float(expected), rel=1e-10)


def test_overflow_is_not_finite_and_affects_no_other_point() -> None:
    network = linear(FEATURES, 1)
    rows = rows_for(losses.Mse(), 1)
    rows = Dataset(rows.inputs.float(), rows.targets.float())
    centre = draw(network)[0].float()
    coordinates = torch.tensor([[0.0], [1e38], [0.0]])
    direction = torch.full_like(centre[None], 10)
    first, far, last = losses_over(network, losses.Mse(), rows, centre, direction, coordinates)
    assert not far.isfinite()
    assert first.isfinite()
    assert first == last


def test_the_steepest_descent_is_minus_the_gradient() -> None:
    network, rows = relu_stack(FEATURES, 2, [5]), rows_for(losses.Mae(), 2)
    theta = draw(network)[0]
    down = steepest_descent(network, losses.Mae(), rows, theta)
    step = 1e-6
    for index in range(0, len(theta), 5):
        direction = torch.zeros_like(theta)
        direction[index] = step
        ends = torch.tensor([[-1.0], [1.0]]).double()
        below, above = losses_over(network, losses.Mae(), rows, theta, direction[None], ends)
        assert float(down[index]) == pytest.approx(float(below - above) / (2 * step), abs=1e-6)


def test_the_principal_directions_are_those_of_the_covariance() -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(30, 7)) @ np.diag([5, 3, 1, 1, 0.5, 0.1, 0.1]) + 100
    directions, shares = principal_directions(torch.from_numpy(points), 2)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum(), rtol=1e-9)
    overlap = np.abs(directions.numpy() @ vectors[:, ::-1][:, :2])
    np.testing.assert_allclose(overlap, np.eye(2), atol=1e-9)


def test_a_straight_trajectory_has_one_direction() -> None:
    points = torch.linspace(0, 1, 9).double()[:, None] * torch.tensor([3.0, 4.0]).double()
    directions, shares = principal_directions(points, 2)
    assert directions.abs().tolist()[0] == pytest.approx([0.6, 0.8])
    assert directions[1].tolist() == [0, 0]
    assert shares.tolist() == pytest.approx([1, 0])
