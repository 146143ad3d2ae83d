"""The peers: how the same network is trained without ml2021, each as its own documentation shows.

All train by Adam with the same learning rate, in batches of the same size, and record the training
loss. A package is imported by the function that needs it, so that the others run without it.
"""

import importlib.util
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ml2021.engine.dataset import generator
from ml2021.engine.networks import initial_parameters, to_module
from tests.benchmarks.systems import NEVER, System, repeated
from tests.benchmarks.workloads import LR, Rows, Workload


def build_peers(workload: Workload, rows: Rows, device: torch.device) -> Iterator[System]:
    """Yield those peers that are installed. JAX gets all rows, the others those of `peer_rows`."""
    few, epochs = rows.first(workload.peer_rows), workload.peer_epochs
    yield build_dataloader_loop(workload, few, device, epochs)
    yield build_permuted_loop(workload, few, device, epochs)
    yield build_sklearn(workload, few, epochs)
    if is_installed("jax"):
        yield build_jax(workload, rows, workload.epochs)
    if is_installed("skorch"):
        yield build_skorch(workload, few, device, epochs)
    if is_installed("lightning"):
        yield build_lightning(workload, few, device, epochs)


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def _system(
    name: str, work: Callable[[], object], workload: Workload, rows: Rows, epochs: int
) -> System:
    """Return the system whose work is so many epochs."""
    count = len(rows.inputs)
    return System(name, work, workload.batches(count) * epochs, count)


def _module(workload: Workload) -> nn.Sequential:
    """Return the network as an ordinary module, with the initial weights of ml2021."""
    theta = initial_parameters(workload.network, [generator(0, "weights")])
    return to_module(workload.network, theta[0])


def _criterion(workload: Workload) -> nn.Module:
    return nn.MSELoss() if workload.classes is None else nn.CrossEntropyLoss()


def _tensors(rows: Rows) -> tuple[Tensor, Tensor]:
    """Return inputs (N, F) and targets: (N, 1), or (N,) for classes."""
    targets = torch.from_numpy(rows.targets)
    if targets.is_floating_point():
        targets = targets[:, None]
    return torch.from_numpy(rows.inputs), targets


def build_dataloader_loop(
    workload: Workload, rows: Rows, device: torch.device, epochs: int
) -> System:
    """Write the loop of the tutorials: DataLoader, autograd, torch.optim.Adam, loss.item()."""
    dataset = torch.utils.data.TensorDataset(*_tensors(rows))
    loader = torch.utils.data.DataLoader(dataset, workload.batch_size, shuffle=True)
    module, criterion = _module(workload).to(device), _criterion(workload)
    optimizer = torch.optim.Adam(module.parameters(), LR)

    def epoch() -> float:
        total = 0.0
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(module(inputs.to(device)), targets.to(device))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
        return total / len(dataset)

    return _system("torch autograd + DataLoader", repeated(epoch, epochs), workload, rows, epochs)


def build_permuted_loop(
    workload: Workload, rows: Rows, device: torch.device, epochs: int
) -> System:
    """Write the loop of who has profiled: rows permuted once an epoch, fused Adam, no item()."""
    all_inputs, all_targets = (tensor.to(device) for tensor in _tensors(rows))
    module, criterion = _module(workload).to(device), _criterion(workload)
    optimizer = torch.optim.Adam(module.parameters(), LR, fused=True)

    def epoch() -> Tensor:
        order = torch.randperm(len(all_inputs)).to(device)
        total = torch.zeros((), device=device)
        batches = zip(
            torch.split(all_inputs[order], workload.batch_size),
            torch.split(all_targets[order], workload.batch_size),
            strict=True,
        )
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss = criterion(module(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(inputs)
        return total / len(all_inputs)

    name = "torch autograd, permuted, fused Adam"
    return _system(name, repeated(epoch, epochs), workload, rows, epochs)


def build_graphed_step(workload: Workload, rows: Rows, device: torch.device, epochs: int) -> System:
    """Write what PyTorch's notes on CUDA graphs show: a captured step of autograd and fused Adam.

    Only full batches, whose rows are copied to where the graph reads them.
    """
    all_inputs, all_targets = (tensor.to(device) for tensor in _tensors(rows))
    size, count = workload.batch_size, len(all_inputs) // workload.batch_size
    module, criterion = _module(workload).to(device), _criterion(workload)
    optimizer = torch.optim.Adam(module.parameters(), LR, fused=True, capturable=True)
    inputs, targets = all_inputs[:size].clone(), all_targets[:size].clone()
    total = torch.zeros((), device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(module(inputs), targets)
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def epoch() -> None:
        order = torch.randperm(len(all_inputs), device=device)
        for batch in torch.split(order[: count * size], size):
            torch.index_select(all_inputs, 0, batch, out=inputs)
            torch.index_select(all_targets, 0, batch, out=targets)
            graph.replay()

    name = "torch autograd, a step as a CUDA graph"
    return System(name, repeated(epoch, epochs), count * epochs, count * size)


def build_sklearn(workload: Workload, rows: Rows, epochs: int) -> System:
    """Call `fit` of MLPRegressor or MLPClassifier, for so many epochs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    estimator = MLPRegressor if workload.classes is None else MLPClassifier
    model = estimator(
        hidden_layer_sizes=workload.widths,
        batch_size=workload.batch_size,
        solver="adam",
        learning_rate_init=LR,
        alpha=0.0,
        max_iter=epochs,
        n_iter_no_change=NEVER,
        early_stopping=False,
        random_state=0,
    )

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(rows.inputs, rows.targets)

    return _system(f"scikit-learn {estimator.__name__}", work, workload, rows, epochs)


def build_jax(workload: Workload, rows: Rows, epochs: int) -> System:
    """Compile a whole epoch with `jit`: permuted rows, `scan` over the batches, the ragged one."""
    import jax

    epoch = _jax_epoch(workload, len(rows.inputs))
    inputs = jax.numpy.asarray(rows.inputs)
    targets = jax.numpy.asarray(rows.targets)
    theta = jax.tree.map(jax.numpy.asarray, _jax_parameters(workload))
    zeros = jax.tree.map(jax.numpy.zeros_like, theta)
    state = (theta, zeros, zeros, jax.numpy.zeros(()))
    random = np.random.default_rng(0)
    order = random.permutation(len(rows.inputs))
    begun = time.perf_counter()
    compiled = jax.jit(epoch).lower(state, inputs, targets, order).compile()
    seconds = time.perf_counter() - begun

    def work() -> None:
        nonlocal state
        for _ in range(epochs):
            order = random.permutation(len(rows.inputs))
            state, loss = compiled(state, inputs, targets, order)
        loss.block_until_ready()

    name = "JAX, jit of an epoch with scan"
    return replace(_system(name, work, workload, rows, epochs), compile_seconds=seconds)


def _jax_parameters(workload: Workload) -> list[tuple[Any, Any]]:
    """Return weight (in, out) and bias (out,) of each layer."""
    layers = [layer for layer in _module(workload) if isinstance(layer, nn.Linear)]
    return [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers]


def _jax_epoch(workload: Workload, rows: int) -> Callable[[Any, Any, Any, Any], tuple[Any, Any]]:
    """Return (state, inputs, targets, order) -> (state, mean loss)."""
    import jax
    import jax.numpy as jnp

    whole, rest = divmod(rows, workload.batch_size)
    cut = whole * workload.batch_size

    def loss_of(theta: Any, inputs: Any, targets: Any) -> Any:
        *hidden, (weight, bias) = theta
        values = inputs
        for w, b in hidden:
            values = jax.nn.relu(values @ w + b)
        outputs = values @ weight + bias
        if workload.classes is None:
            return jnp.mean((outputs[:, 0] - targets) ** 2)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[:, None], 1)
        return -jnp.mean(chosen)

    def update(state: Any, batch: Any) -> tuple[Any, Any]:
        theta, mean, squares, count = state
        loss, gradient = jax.value_and_grad(loss_of)(theta, *batch)
        count = count + 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        squares = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, squares, gradient)
        step, scale = LR / (1 - 0.9**count), 1 / (1 - 0.999**count)
        theta = jax.tree.map(
            lambda p, m, s: p - step * m / (jnp.sqrt(s * scale) + 1e-8), theta, mean, squares
        )
        return (theta, mean, squares, count), loss * len(batch[0])

    def epoch(state: Any, inputs: Any, targets: Any, order: Any) -> tuple[Any, Any]:
        inputs, targets = inputs[order], targets[order]
        shape = (whole, workload.batch_size)
        batches = (inputs[:cut].reshape(*shape, -1), targets[:cut].reshape(shape))
        state, losses = jax.lax.scan(update, state, batches)
        total = losses.sum()
        if rest:
            state, last = update(state, (inputs[cut:], targets[cut:]))
            total = total + last
        return state, total / rows

    return epoch


def build_skorch(workload: Workload, rows: Rows, device: torch.device, epochs: int) -> System:
    """Call `partial_fit` of a NeuralNet, its default callbacks on, without validation."""
    from skorch import NeuralNetClassifier, NeuralNetRegressor

    is_regression = workload.classes is None
    net = (NeuralNetRegressor if is_regression else NeuralNetClassifier)(
        _module(workload),
        criterion=_criterion(workload),
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=workload.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        device=str(device),
    )
    targets = rows.targets[:, None] if is_regression else rows.targets
    net.initialize()

    def work() -> None:
        net.partial_fit(rows.inputs, targets, epochs=epochs)

    return _system("skorch", work, workload, rows, epochs)


def build_lightning(workload: Workload, rows: Rows, device: torch.device, epochs: int) -> System:
    """Call Trainer.fit with a DataLoader and nothing else switched on."""
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Regression(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.module, self.criterion = _module(workload), _criterion(workload)

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Any:
            return self.criterion(self.module(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), LR)

    dataset = torch.utils.data.TensorDataset(*_tensors(rows))
    loader = torch.utils.data.DataLoader(dataset, workload.batch_size, shuffle=True)

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                accelerator="cpu" if device.type == "cpu" else "gpu",
                devices=1,
                max_epochs=epochs,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(Regression(), loader)

    return _system("Lightning", work, workload, rows, epochs)
