"""The engine on a GPU against the engine on the CPU; skipped, visibly, where there is none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from ml2021.engine.dataset import generator
from ml2021.engine.fit import fit
from ml2021.engine.inference import member_outputs
from ml2021.engine.networks import initial_parameters
from ml2021.engine.state import start
from ml2021.engine.updates import Updates
from tests.oracle import outputs
from tests.test_engine_updates import LOSSES, NETWORKS, OPTIMIZERS, TRAINING, rows_for, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
CUDA = torch.device("cuda")


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("network_name", NETWORKS)
def test_training_on_a_gpu_is_training_on_the_cpu(
    network_name: str, loss_name: str, optimizer_name: str
) -> None:
    """200 updates in float64 give the same numbers, except for the order of additions.

    Adam's GPU kernel takes its learning rate in float32.
    """
    network, loss = NETWORKS[network_name], LOSSES[loss_name][0]
    hparams = replace(TRAINING, loss=loss, optimizer=OPTIMIZERS[optimizer_name][0])
    data = rows_for(loss)
    here = train(network, hparams, data).theta
    there = train(network, hparams, data.to(CUDA)).theta
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), here, rtol=1e-6, atol=1e-6)


def test_one_float32_epoch_agrees_with_the_cpu() -> None:
    hparams = replace(TRAINING, epochs=1)
    data = rows_for(hparams.loss, rows=1000, dtype=torch.float32)
    network = NETWORKS["relu_stack"]
    here = outputs(network, train(network, hparams, data).theta, data.inputs)
    on_gpu = data.to(CUDA)
    there = outputs(network, train(network, hparams, on_gpu).theta, on_gpu.inputs)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("network_name", NETWORKS)
def test_predictions_on_a_gpu_are_those_of_the_cpu(network_name: str) -> None:
    network = NETWORKS[network_name]
    theta = initial_parameters(network, [generator(seed, "weights") for seed in range(2)])
    inputs = np.random.default_rng(0).normal(size=(1000, network.layout.inputs + 1))
    inputs[:, -1] = 1
    rows = inputs.astype(np.float32)
    here = list(member_outputs(network, theta, rows))
    there = list(member_outputs(network, theta.to(CUDA), rows))
    np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [8, None])
def test_members_replayed_from_a_graph_are_those_updated_one_by_one(
    optimizer_name: str, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clipped, each with its own learning rate, and with the trajectory recorded in between."""
    lr = torch.tensor([[0.01], [0.005]], dtype=torch.float64, device=CUDA)
    hparams = replace(
        TRAINING,
        optimizer=replace(OPTIMIZERS[optimizer_name][0], lr=lr),
        seeds=(3, 4),
        clip_norm=0.1,
        batch_size=batch_size,
    )
    data = rows_for(hparams.loss).to(CUDA)
    network = NETWORKS["relu_stack"]
    graphed = train(network, hparams, data, keep_path=True)
    monkeypatch.setattr("ml2021.engine.cuda_graph.GraphedUpdates", Updates)
    eager = train(network, hparams, data, keep_path=True)
    torch.testing.assert_close(graphed.theta, eager.theta, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(graphed.batch_losses, eager.batch_losses)
    mine, theirs = graphed.trajectory, eager.trajectory
    assert mine is not None
    assert theirs is not None
    assert torch.equal(mine.updates, theirs.updates)
    torch.testing.assert_close(mine.points, theirs.points, rtol=1e-6, atol=1e-6)


def test_an_update_is_one_launch() -> None:
    """From the third epoch on, each full batch is one replay of the graph and launches nothing."""
    hparams = replace(TRAINING, batch_size=1)
    data = rows_for(hparams.loss, rows=200, dtype=torch.float32).to(CUDA)
    state = start(NETWORKS["relu_stack"], hparams, len(data), data.inputs)
    progress = fit(NETWORKS["relu_stack"], hparams, state, data, None)
    next(progress)
    next(progress)
    with profile(
        activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True
    ) as profiler:
        next(progress)
    events = profiler.events()
    assert events is not None
    replays = sum("cudaGraphLaunch" in event.name for event in events)
    launches = sum("cudaLaunchKernel" in event.name for event in events)
    assert replays == 200
    assert launches < 100  # gathering, and the end of the epoch


def test_same_seed_same_bits() -> None:
    data = rows_for(TRAINING.loss, dtype=torch.float32).to(CUDA)
    first, second = (train(NETWORKS["relu_stack"], TRAINING, data).theta for _ in range(2))
    assert torch.equal(first, second)
