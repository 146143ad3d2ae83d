"""Groups of ranks without torchrun: one process imports torch and forks the ranks of each group.

A sweep's ranks may be threads of one process, see `as_ranks`.

Started as a program it trains the cases of `CASES_OF` on 2 and on 3 ranks and prints, as a line of
JSON, how far each is from the same training on one; and so for each mutant, of which every rank is
one, on 3 ranks and two cases.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.distributed import HashStore  # type: ignore[attr-defined]

from ml2021.commands import sweep
from ml2021.engine import distributed
from ml2021.engine.dataset import Dataset
from ml2021.engine.distributed import Ranks
from ml2021.engine.fit import fit
from ml2021.engine.losses import CrossEntropy, Huber, Loss, Mae, Mse
from ml2021.engine.ranks import Follower
from ml2021.engine.state import Hyperparameters, start
from ml2021.sweeps.ranks import train_packs
from tests import mutants
from tests.test_engine_updates import NETWORKS, OPTIMIZERS, TRAINING, rows_for


@dataclass(frozen=True)
class Case:
    """A training of 200 updates in float64: 50 epochs of 8, 8, 8 and 2 rows, or 200 of all rows."""

    network: str
    hparams: Hyperparameters
    has_weights: bool = False
    have_own_rows: bool = False

    def train_set(self) -> Dataset:
        """Return its rows, each member's own or shared."""
        rows = rows_for(self.hparams.loss)
        inputs, targets, weights = rows.inputs, rows.targets, None
        if self.has_weights:
            weights = 0.2 + torch.arange(len(rows), dtype=torch.float64)[:, None]
        if self.have_own_rows:
            members = [torch.roll(torch.arange(len(rows)), k) for k in self.hparams.seeds]
            inputs = torch.stack([inputs[own] + k for k, own in enumerate(members)])
            targets = torch.stack([targets[own] for own in members])
            weights = None if weights is None else weights.expand(len(members), -1, -1)
        return Dataset(inputs, targets, weights)


def _cases() -> Iterator[tuple[str, Case]]:
    losses: list[Loss] = [Mse(), Huber(1.0), CrossEntropy(), Mae()]
    networks = list(NETWORKS)
    for number, (name, (optimizer, _)) in enumerate(OPTIMIZERS.items()):
        hparams = replace(
            TRAINING,
            optimizer=optimizer,
            loss=losses[number % 4],
            seeds=(3, 4) if number % 2 else (3,),
            clip_norm=0.1 if number % 3 == 0 else None,
        )
        network = networks[(number + number // 4) % 4]
        yield name, Case(network, hparams, has_weights=number % 4 < 3)
    full = replace(TRAINING, batch_size=None, epochs=200, seeds=(1, 2), clip_norm=0.5)
    yield "full batch", Case("relu_stack", full, has_weights=True)
    own = replace(TRAINING, seeds=(1, 2), loss=CrossEntropy())
    many = replace(TRAINING, seeds=(1, 2, 3, 4, 5), clip_norm=0.1)
    yield "members", Case("relu_stack", many, has_weights=True, have_own_rows=True)
    yield "own rows", Case("sigmoid_sum", own, has_weights=True, have_own_rows=True)


CASES = dict(_cases())
FEW = ("adam", "own rows", "members")
"""On 3 ranks these divide rows, rows of 2 members, and 5 members."""
CASES_OF = {2: (*FEW, "momentum"), 3: tuple(CASES)}


def train(case: Case, ranks: Ranks | None = None) -> list[Tensor]:
    """Return the parameters and the mean losses of every epoch."""
    network, rows = NETWORKS[case.network], case.train_set()
    state = start(network, case.hparams, len(rows), rows.inputs)
    epochs = fit(network, case.hparams, state, rows, None, ranks=ranks)
    losses = [step.train_loss for step in epochs if step.is_epoch_end]
    return [state.theta, torch.stack(losses)]


def difference(case: Case, ranks: Ranks) -> float:
    """Return the largest difference between training on the ranks and on one."""
    both = zip(train(case), train(case, ranks), strict=True)
    return max(float((one - other).abs().max()) for one, other in both)


def follow(ranks: Ranks) -> None:
    """Follow the leader until it ends."""
    follower = Follower(ranks)
    while (message := ranks.hear())["do"] != "end":
        follower.handle(message)


def in_groups(
    sizes: Sequence[int], lead: Callable[[Ranks], Any], mutant: str | None = None
) -> dict[int, Any]:
    """Return what `lead` returns on the leader of a group of each size; None where it failed."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    found, children = {}, []
    for size in sizes:
        receiver, sender = os.pipe()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank in range(size):
            if (child := os.fork()) == 0:
                store = TCPStore("127.0.0.1", port, is_master=rank == 0, wait_for_workers=False)
                ranks = Ranks(rank, size, store, local=rank)
                if mutant is not None:
                    mutants.MUTANTS[mutant].apply()
                if rank:
                    follow(ranks)
                else:
                    answer = lead(ranks)
                    os.write(sender, json.dumps(answer).encode())
                    ranks.end(0)
                    while store.add("gone", 0) < size - 1:  # until then the store is served
                        time.sleep(0.01)
                store.add("gone", 1)
                os._exit(0)
            children.append(child)
        os.close(sender)
        found[size] = receiver
    answers = {}
    for size, receiver in found.items():
        with os.fdopen(receiver, "rb") as file:
            text = file.read()
        answers[size] = json.loads(text) if text else None
    for child in children:
        os.waitpid(child, 0)
    return answers


@contextlib.contextmanager
def as_ranks(size: int) -> Iterator[None]:
    """Let a sweep of this process be that of rank 0; the others are threads."""
    store = HashStore()
    ranks = [Ranks(rank, size, store) for rank in range(size)]
    ranks[0].connect_store = lambda: store

    def follow(rank: Ranks) -> None:
        assert rank.hear()["do"] == "sweep"
        train_packs(rank)

    threads = [threading.Thread(target=follow, args=(each,)) for each in ranks[1:]]
    with (
        patch.object(sweep, "is_one_of_several", lambda: True),
        patch.object(sweep, "most_threads", lambda: 1),
        patch.object(distributed, "_joined", ranks[:1]),
        patch.object(threading, "excepthook", threading.excepthook),  # two writers of events
    ):
        for thread in threads:
            thread.start()
        yield
        ranks[0].end(0)
        for thread in threads:
            thread.join()


def main() -> None:
    """Train all, and print how far they are from one rank."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"

    def lead(ranks: Ranks) -> dict[str, float]:
        names = FEW if "few" in sys.argv else CASES_OF[ranks.size]
        return {name: difference(CASES[name], ranks) for name in names}

    def lead_few(ranks: Ranks) -> dict[str, float]:
        return {name: difference(CASES[name], ranks) for name in ("adam", "members")}

    right = in_groups([*CASES_OF], lead)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 (mutants fail, as they should)
    broken = {name: in_groups([3], lead_few, name)[3] for name in mutants.names("test_ranks")}
    print(json.dumps({"right": right, "broken": broken}))


if __name__ == "__main__":
    main()
