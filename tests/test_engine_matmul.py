"""Matrix products by oneDNN, compared with those in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ml2021.engine import matmul, networks
from ml2021.engine.losses import Mse, build_loss
from ml2021.engine.matmul import build_product

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="needs a torch with oneDNN",
)


@pytest.fixture(autouse=True)
def _onednn_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let oneDNN multiply everything, on any processor."""
    monkeypatch.setattr(matmul, "LEAST_WORK", 0)
    monkeypatch.setattr(matmul, "_has_faster", lambda out: out.dtype == torch.float32)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


LAYOUTS: dict[str, tuple[Callable[[int], Tensor], Callable[[int], Tensor]]] = {
    "weights · sums on their side": (lambda k: draw(k, 9, 8), lambda k: draw(k, 8, 12)),
    "weights · rows": (lambda k: draw(k, 9, 8), lambda k: draw(k, 12, 8).mT),
    "weights without biases, back": (
        lambda k: draw(k, 8, 10)[:, :, :-1].mT,
        lambda k: draw(k, 8, 12),
    ),
    "one output": (lambda k: draw(k, 1, 12), lambda k: draw(k, 12, 5)),
    "rows that members share": (lambda k: draw(k, 9, 8), lambda k: draw(12, 8).expand(k, 12, 8).mT),
}


@pytest.mark.parametrize("is_placed", [False, True])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_the_product(layout: str, members: int, is_placed: bool) -> None:
    left, right = (make(members) for make in LAYOUTS[layout])
    expected = left.double() @ right.double()
    out = torch.full_like(expected, torch.nan, dtype=torch.float32)
    found = build_product(out, left.shape[2], is_placed=is_placed)(left, right)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert not is_placed or found.data_ptr() == out.data_ptr()


def test_it_refuses_what_would_be_slow() -> None:
    multiply = build_product(torch.empty(1, 9, 12), 8)
    with pytest.raises(AssertionError):
        multiply(draw(1, 9, 8), draw(1, 8, 24)[:, :, ::2])


@pytest.mark.parametrize("members", [1, 2])
def test_a_pass_has_the_gradient_of_float64(members: int) -> None:
    network = networks.relu_stack(7, 3, (33, 20))
    generators = [torch.Generator().manual_seed(seed) for seed in range(members)]
    wide = networks.initial_parameters(network, generators, torch.float64)
    inputs, targets = draw(40, 8), draw(members, 40, 3)
    inputs[:, -1] = 1
    gradients = []
    for theta in (wide, wide.float()):
        gradient, slope = torch.empty_like(theta), theta.new_empty(members, 40, 3)
        one_pass = networks.Pass(network, theta, 40, gradient)
        rows = inputs.to(theta.dtype).expand(members, 40, 8)
        loss = build_loss(Mse(), slope)
        loss(one_pass.forward(rows), targets.to(theta.dtype), theta.new_empty(members, 1, 1))
        one_pass.backward(rows, slope)
        gradients.append(gradient.double())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)
