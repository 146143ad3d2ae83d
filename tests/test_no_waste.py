"""Speed tested without a clock: what is not imported, allocated, copied or waited for."""

import json
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from ml2021.data.column_types import FeatureColumn
from ml2021.data.csv.scan import TableFormat, TextScan, open_scan
from ml2021.data.preprocessing.fit import fit_features
from ml2021.data.preprocessing.records import Preprocessing, RealTargets
from ml2021.data.preprocessing.transform import encode_splits
from ml2021.data.tables import read_table
from ml2021.engine import matmul, optimizers
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import Progress, fit
from ml2021.engine.losses import CrossEntropy, Loss, LossFunction, build_loss
from ml2021.engine.networks import Network, linear, relu_stack, sigmoid_sum
from ml2021.engine.state import Hyperparameters, start
from tests import test_engine_updates as cases
from tests.tables import sources_of

FEATURES, OUTPUTS, BATCH = 7, 3, 64
FEW_BATCHES, MANY_BATCHES = 4, 16

NETWORKS = {
    "linear": linear(FEATURES, OUTPUTS),
    "sigmoid_sum": sigmoid_sum(FEATURES, OUTPUTS, 11, "sigmoid"),
    "hard_sigmoid_sum": sigmoid_sum(FEATURES, OUTPUTS, 11, "hard_sigmoid"),
    "relu_stack": relu_stack(FEATURES, OUTPUTS, (11, 9)),
}
# So slow that every epoch improves: copying the best parameters allocates too.
OPTIMIZERS: dict[str, optimizers.Optimizer] = {
    **{name: replace(ours, lr=1e-4) for name, (ours, _) in cases.OPTIMIZERS.items()},
    "adam_of_tensors": optimizers.Adam(torch.full((1, 1), 0.001)),
}
TRAINING = replace(
    cases.TRAINING, optimizer=optimizers.Adam(0.001), batch_size=BATCH, patience=100, epochs=100
)


@pytest.fixture(autouse=True)
def _no_progress_within_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Yield only at the end of epochs, however slow the machine is."""
    monkeypatch.setattr("ml2021.engine.fit.PROGRESS_SECONDS", float("inf"))


def make_dataset(rows: int, hparams: Hyperparameters, device: str) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, FEATURES + 1, generator=generator)
    inputs[:, -1] = 1
    if isinstance(hparams.loss, CrossEntropy):
        targets = torch.randint(OUTPUTS, (rows,), generator=generator)
    else:
        targets = torch.randn(rows, OUTPUTS, generator=generator)
    return Dataset(inputs, targets).to(torch.device(device))


def warm_fit(
    network: Network, hparams: Hyperparameters, batches: int, device: str = "cpu"
) -> Iterator[Progress]:
    """Return a fit that has completed an epoch; the last batch of an epoch is smaller."""
    train = make_dataset(batches * BATCH - 10, hparams, device)
    validation = make_dataset(50, hparams, device)
    state = start(network, hparams, len(train), train.inputs)
    progress = fit(network, hparams, state, train, validation)
    next_epoch(progress)
    return progress


def next_epoch(progress: Iterator[Progress]) -> None:
    while not next(progress).is_epoch_end:
        pass


@dataclass(frozen=True)
class Traced:
    """What happened in an epoch.

    allocations: bytes of each. gathered: shapes of index_select's inputs. reads: how often it
    waited for a value (`.item()`, `bool()`).
    """

    allocations: list[int]
    gathered: list[tuple[int, ...]]
    reads: int


def trace_epoch(
    network: Network, hparams: Hyperparameters, batches: int, device: str = "cpu"
) -> Traced:
    """Trace the second epoch, including what happens inside of operations."""
    progress = warm_fit(network, hparams, batches, device)
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True, record_shapes=True
    ) as profiler:
        next_epoch(progress)
    assert profiler.profiler is not None
    results = profiler.profiler.kineto_results
    assert results is not None
    events = profiler.events()
    assert events is not None
    sizes = [event.nbytes() for event in results.events() if event.name() == "[memory]"]
    gathered = [tuple(e.input_shapes[0]) for e in events if e.name == "aten::index_select"]
    reads = [e for e in events if e.name == "aten::_local_scalar_dense"]
    return Traced(sizes, gathered, sum(not is_in_fused_kernel(event) for event in reads))


def is_in_fused_kernel(event: FunctionEvent | None) -> bool:
    """Whether an event is part of torch's Adam, which on the CPU reads its count from memory."""
    while event is not None and "_fused_adam" not in event.name:
        event = event.cpu_parent
    return event is not None


def growth(network: Network, hparams: Hyperparameters, device: str = "cpu") -> tuple[int, int]:
    """Return how many more large allocations and reads an epoch has if it has 12 more updates.

    A large allocation could hold an output of every row of a batch.
    """
    least = BATCH * torch.float32.itemsize
    few, many = (
        trace_epoch(network, hparams, batches, device) for batches in (FEW_BATCHES, MANY_BATCHES)
    )
    few_large, many_large = (sum(size >= least for size in t.allocations) for t in (few, many))
    return many_large - few_large, many.reads - few.reads


@pytest.mark.parametrize("loss", cases.LOSSES)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_pass_allocates_nothing_and_waits_for_nothing(network: str, loss: str) -> None:
    hparams = replace(TRAINING, loss=cases.LOSSES[loss][0])
    assert growth(NETWORKS[network], hparams) == (0, 0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_allocates_nothing_and_waits_for_nothing(optimizer: str) -> None:
    hparams = replace(TRAINING, optimizer=OPTIMIZERS[optimizer], clip_norm=0.1)
    assert growth(NETWORKS["relu_stack"], hparams) == (0, 0)


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="needs a torch with oneDNN",
)
def test_a_large_product_allocates_no_more_than_onednn_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matmul, "LEAST_WORK", 0)
    monkeypatch.setattr(matmul, "_has_faster", lambda out: True)
    layers = 3
    results, reads = growth(NETWORKS["relu_stack"], TRAINING)
    # Forward except the output layer, backward except the inputs, and a gradient for each layer. A
    # product allocates its result, scratch memory, and a copy if its left matrix is not contiguous.
    count = (layers - 1) + (layers - 1) + layers
    assert results <= (MANY_BATCHES - FEW_BATCHES) * count * 3
    assert reads == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_on_cuda_no_update_waits_for_a_value(optimizer: str) -> None:
    rule = OPTIMIZERS[optimizer]
    if isinstance(rule.lr, Tensor):
        rule = replace(rule, lr=rule.lr.cuda())  # as sweeps do: on the device of the parameters
    hparams = replace(TRAINING, optimizer=rule, clip_norm=0.1)
    _, reads = growth(NETWORKS["relu_stack"], hparams, "cuda")
    assert reads == 0


def test_waste_in_an_update_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail: here every update makes a copy and reads a value."""

    def build_wasteful_loss(
        loss: Loss, gradient: Tensor, of_rows: int | None = None
    ) -> LossFunction:
        function = build_loss(loss, gradient, of_rows)

        def call(
            outputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
        ) -> None:
            function(outputs.clone(), targets, total, weights)
            total.item()

        return call

    monkeypatch.setattr("ml2021.engine.updates.build_loss", build_wasteful_loss)
    more = MANY_BATCHES - FEW_BATCHES
    assert growth(NETWORKS["relu_stack"], TRAINING) == (more, more)


@pytest.mark.parametrize("batches", [FEW_BATCHES, MANY_BATCHES])
def test_an_epoch_gathers_its_rows_once(batches: int) -> None:
    rows = batches * BATCH - 10
    traced = trace_epoch(NETWORKS["relu_stack"], TRAINING, batches)
    assert traced.gathered == [(rows, FEATURES + 1), (rows, OUTPUTS)]


def modules_after(arguments: list[str], folder: Path, expected: int) -> set[str]:
    """Run the command in a separate process; return the modules that it has imported."""
    code = (
        "import json, sys\n"
        "from ml2021.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print('\\n' + json.dumps(sorted(sys.modules)))\n"
    )
    program = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "code", "more"),
    [(["--help"], 0, {"pydantic", "yaml", "tqdm"}), (["train", "--config", "bad.yaml"], 2, set())],
)
def test_help_and_config_errors_import_nothing_large(
    tmp_path: Path, arguments: list[str], code: int, more: set[str]
) -> None:
    (tmp_path / "bad.yaml").write_text("data: {path: table.csv, targt: y}\n")
    modules = modules_after(arguments, tmp_path, code)
    assert not modules & {"torch", "pandas", "matplotlib", "numpy", *more}


def test_training_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 7},{3 * i + 1}\n" for i in range(60))
    (tmp_path / "table.csv").write_text("a,b,y\n" + rows)
    (tmp_path / "small.yaml").write_text(
        "data: {path: table.csv, target: y}\ntrain: {epochs: 2}\ndevice: cpu\n"
    )
    modules = modules_after(["train", "--config", "small.yaml", "--no-report"], tmp_path, 0)
    assert "torch" in modules
    # torch itself imports torch.utils.data, and pandas imports pyarrow where it is installed
    unneeded = {"torch._dynamo", "torch._inductor", "sympy", "matplotlib", "sklearn", "scipy"}
    assert not modules & (unneeded | {"ml2021.engine.cuda_graph"})


def test_a_table_of_numbers_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[Path] = []

    def counting(path: Path, *arguments: Any) -> TextScan:
        passes.append(path)
        return open_scan(path, *arguments)

    monkeypatch.setattr("ml2021.data.passes.open_scan", counting)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1.5,\n2,7\n" * 100)
    read_table(path, TableFormat())
    assert passes == [path]
    path.write_text("a,b\n" + "1.5,true\n2,false\n" * 100)
    read_table(path, TableFormat())
    assert passes == [path] * 3  # read again, for how the second column is written


def test_encoded_columns_are_freed() -> None:
    names, rows = [f"x{index}" for index in range(8)], 1000
    table = {name: pd.Series(np.random.default_rng(0).standard_normal(rows)) for name in names}
    features = [FeatureColumn(name, "number") for name in names]
    fitted = fit_features(pd.DataFrame(table), features, np.arange(rows)).features
    preprocessing = Preprocessing(
        task="regression",
        features=tuple(fitted),
        history=None,
        target=RealTargets(names=("y",), labels=("y",), means=(0.0,), scales=(1.0,)),
        sources=sources_of(*names, "y"),
        width=len(names) + 1,
        numbered=False,
    )
    seen: list[weakref.ref[pd.Series]] = []

    def take(name: str) -> pd.Series:
        # the one before may still be in use
        assert [reference() for reference in seen[:-1]] == [None] * len(seen[:-1])
        column = table.pop(name)
        seen.append(weakref.ref(column))
        return column

    parts = [np.arange(0, 700), np.arange(700, rows)]
    encoded = encode_splits(preprocessing, take, parts)
    assert [part.inputs.shape for part in encoded] == [(700, 9), (300, 9)]
    assert all(part.inputs.flags.c_contiguous for part in encoded)
    assert len(seen) == len(names)
    assert all(reference() is None for reference in seen)
