"""Every model × loss × depth: outputs and gradients against autograd through a torch module."""

from functools import partial

import pytest
import torch
from torch import Tensor

from ml2021.engine import losses
from ml2021.engine.networks import (
    SIGMOID_SPREAD,
    SIGMOID_STEEPNESS,
    Network,
    Pass,
    initial_parameters,
    linear,
    relu_stack,
    sigmoid_sum,
)
from ml2021.engine.updates import BatchStep
from tests import test_engine_updates as cases
from tests.oracle import gradient_of, oracle_module, outputs

FEATURES, TARGETS, ROWS, MEMBERS = 5, 3, 17, 2

NETWORKS: dict[str, Network] = {
    "linear": linear(FEATURES, TARGETS),
    "sigmoid_sum": sigmoid_sum(FEATURES, TARGETS, 7, "sigmoid"),
    "hard_sigmoid_sum": sigmoid_sum(FEATURES, TARGETS, 7, "hard_sigmoid"),
    "relu_stack_1": relu_stack(FEATURES, TARGETS, [6]),
    "relu_stack_2": relu_stack(FEATURES, TARGETS, [6, 4]),
    "relu_stack_4": relu_stack(FEATURES, TARGETS, [6, 4, 8, 5]),
}
LOSSES = cases.LOSSES | {
    "huber": (losses.Huber(0.7), partial(torch.nn.functional.huber_loss, delta=0.7))
}


def draw(network: Network, loss: losses.Loss, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return θ (K, P), rows (K, N, F + 1) and targets, float64."""
    generator = torch.Generator().manual_seed(0)
    theta = initial_parameters(network, [generator] * MEMBERS, torch.float64) * scale
    features = torch.randn(MEMBERS, ROWS, FEATURES, generator=generator, dtype=torch.float64)
    rows = torch.cat([features, torch.ones(MEMBERS, ROWS, 1, dtype=torch.float64)], 2)
    if isinstance(loss, losses.CrossEntropy):
        return theta, rows, torch.randint(TARGETS, (MEMBERS, ROWS), generator=generator)
    return theta, rows, torch.randn(MEMBERS, ROWS, TARGETS, generator=generator).double()


def backpropagate(
    network: Network, loss: losses.Loss, theta: Tensor, rows: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean loss (K,) and the gradient (K, P) of the engine."""
    gradient = torch.full_like(theta, torch.nan)
    chain = Pass(network, theta, rows.shape[1], gradient)
    output_gradient = theta.new_empty(len(theta), rows.shape[1], network.layout.outputs)
    total = theta.new_empty(len(theta), 1, 1)
    with torch.inference_mode():
        result = chain.forward(rows)
        losses.build_loss(loss, output_gradient)(result, targets, total)
        chain.backward(rows, output_gradient)
    return total.flatten() / rows.shape[1], gradient


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("network_name", NETWORKS)
@pytest.mark.parametrize("scale", [1.0, 200.0], ids=["ordinary", "saturated"])
def test_value_and_gradient_are_those_of_autograd(
    network_name: str, loss_name: str, scale: float
) -> None:
    network, (loss, reference) = NETWORKS[network_name], LOSSES[loss_name]
    theta, rows, targets = draw(network, loss, scale)
    value, gradient = backpropagate(network, loss, theta, rows, targets)
    for member in range(MEMBERS):
        module = oracle_module(network, theta[member])
        expected = reference(module(rows[member, :, :-1]), targets[member])
        torch.autograd.backward(expected)
        torch.testing.assert_close(value[member], expected.detach(), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gradient[member], gradient_of(module), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("network_name", NETWORKS)
def test_outputs_do_not_depend_on_the_block_size(
    network_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = NETWORKS[network_name]
    theta, rows, _ = draw(network, losses.Mse())
    many = torch.cat([rows[0]] * 40)
    whole = outputs(network, theta, many)
    monkeypatch.setattr("ml2021.engine.networks.BLOCK_BYTES", 0)
    torch.testing.assert_close(outputs(network, theta, many), whole, rtol=1e-12, atol=1e-12)
    for member in range(MEMBERS):
        expected = oracle_module(network, theta[member])(many[:, :-1]).detach()
        torch.testing.assert_close(whole[member], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss_name", LOSSES)
def test_mean_loss_is_the_loss_of_all_rows(loss_name: str) -> None:
    loss, reference = LOSSES[loss_name]
    network = NETWORKS["linear"]
    _, rows, targets = draw(network, loss)
    result = rows[:, :, :TARGETS].clone()
    shared = targets[0]
    expected = torch.stack([reference(result[member], shared) for member in range(MEMBERS)])
    torch.testing.assert_close(losses.mean_loss(loss, result, shared), expected)


def test_huge_outputs_give_a_finite_loss_and_gradient() -> None:
    """Softmax and sigmoid at ±1e4: no NaN, no infinity."""
    network = NETWORKS["sigmoid_sum"]
    loss = losses.CrossEntropy()
    theta, rows, targets = draw(network, loss, scale=1e4)
    for pair in map(torch.isfinite, backpropagate(network, loss, theta, rows, targets)):
        assert bool(pair.all())


@pytest.mark.parametrize("is_weighted", [False, True])
def test_label_smoothing_is_that_of_torch_in_the_gradient_and_not_in_the_value(
    is_weighted: bool,
) -> None:
    network, loss = NETWORKS["relu_stack_2"], losses.CrossEntropy(label_smoothing=0.2)
    theta, rows, targets = draw(network, loss)
    generator = torch.Generator().manual_seed(4)
    weights = torch.rand(MEMBERS, ROWS, 1, generator=generator, dtype=torch.float64)
    given = weights if is_weighted else torch.ones_like(weights)
    gradient, total = torch.full_like(theta, torch.nan), theta.new_empty(MEMBERS, 1, 1)
    with torch.inference_mode():
        step = BatchStep(network, theta, gradient, ROWS, loss)
        step(rows, targets, total, weights if is_weighted else None)
    for member in range(MEMBERS):
        module = oracle_module(network, theta[member])
        plain, smoothed = (
            torch.nn.functional.cross_entropy(
                module(rows[member, :, :-1]), targets[member], reduction="none", label_smoothing=s
            )
            @ given[member, :, 0]
            for s in (0.0, 0.2)
        )
        torch.autograd.backward(smoothed / ROWS)
        torch.testing.assert_close(total[member, 0, 0], plain.detach())
        torch.testing.assert_close(gradient[member], gradient_of(module), rtol=1e-10, atol=1e-10)


def test_two_relus_make_one_hard_sigmoid() -> None:
    """hard(z) = (ReLU(z + 3) − ReLU(z − 3)) / 6, exactly: the lecture's construction."""
    hard = sigmoid_sum(1, 1, 1, "hard_sigmoid")
    pair = relu_stack(1, 1, [2])
    z = torch.linspace(-10, 10, 401, dtype=torch.float64)
    rows = torch.stack([z, torch.ones_like(z)], 1)
    of_hard = outputs(hard, torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64), rows)
    relus = [[1.0, 3.0, 1.0, -3.0, 1 / 6, -1 / 6, 0.0]]
    of_pair = outputs(pair, torch.tensor(relus, dtype=torch.float64), rows)
    torch.testing.assert_close(of_pair, of_hard, rtol=0, atol=1e-15)


def test_sigmoids_start_steep_and_among_the_data() -> None:
    network = sigmoid_sum(50, 1, 4000, "sigmoid")
    theta = initial_parameters(network, [torch.Generator().manual_seed(0)], torch.float64)
    first = network.layout.views(theta)[0][0]
    lengths = first[:, :-1].norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, SIGMOID_STEEPNESS))
    # The middle lies at w·x + b = 0: along w, as far from the origin as N(0, SIGMOID_SPREAD²) is.
    distances = first[:, -1] / lengths
    assert abs(float(distances.mean())) < 0.05
    assert float(distances.std()) == pytest.approx(SIGMOID_SPREAD, rel=0.05)
