"""The engine on a GPU against the engine on the CPU; skipped, visibly, where there is none."""

from dataclasses import replace

import pytest
import torch

from ml2021.engine.networks import outputs
from tests.test_engine_updates import LOSSES, NETWORKS, OPTIMIZERS, TRAINING, rows_for, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
CUDA = torch.device("cuda")


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("network_name", NETWORKS)
def test_training_on_a_gpu_is_training_on_the_cpu(
    network_name: str, loss_name: str, optimizer_name: str
) -> None:
    """In float64, 200 updates: the same numbers but for the order of additions."""
    network, loss = NETWORKS[network_name], LOSSES[loss_name][0]
    training = replace(TRAINING, loss=loss, optimizer=OPTIMIZERS[optimizer_name][0])
    data = rows_for(loss)
    here = train(network, training, data).theta
    there = train(network, training, data.to(CUDA)).theta
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), here, rtol=1e-7, atol=1e-7)


def test_one_float32_epoch_agrees_with_the_cpu() -> None:
    training = replace(TRAINING, epochs=1)
    data = rows_for(training.loss, rows=1000, dtype=torch.float32)
    network = NETWORKS["relu_stack"]
    here = outputs(network, train(network, training, data).theta, data.inputs)
    on_gpu = data.to(CUDA)
    there = outputs(network, train(network, training, on_gpu).theta, on_gpu.inputs)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)


def test_same_seed_same_bits() -> None:
    data = rows_for(TRAINING.loss, dtype=torch.float32).to(CUDA)
    first, second = (train(NETWORKS["relu_stack"], TRAINING, data).theta for _ in range(2))
    assert torch.equal(first, second)
