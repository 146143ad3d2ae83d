"""How much memory a run takes from its first input to its last score, estimated before it begins.

Each step of the run is estimated by the arrays that it holds beside the table and the program; the
largest one decides. `tests/benchmarks/memory.md` holds the estimate against what was measured.

Legend: N rows, F inputs, T outputs or classes, K members.
"""

from ml2021.config import schema
from ml2021.data.load import Plan, TrainingData
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    NumberFeature,
    Preprocessing,
)
from ml2021.disk import uses_disk
from ml2021.engine.build import build_hyperparameters, build_network
from ml2021.engine.hardware import choose_device, memory_needed
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters
from ml2021.evaluation.logistic import MOST_COEFFICIENTS
from ml2021.formatting import plural
from ml2021.memory import check_fits

PACK_BYTES = 1 << 30
"""The memory of a pack of folds; more folds than fit are trained in further packs."""
TRIAL_MEMBERS = 2
TRIAL_ROWS = 20_000
"""The networks, and the rows, of the trial of `ml2021.training.numbers`."""
_ON_RANK_0 = {"encoding", "baselines", "trial"}
"""The steps that come before the other ranks get their rows."""
_COLUMNS = 3
"""Columns of numbers that are in memory at once where the rows are on the disk."""
_BLOCK = 64 << 20
"""The most that the scores of a block of rows hold, or a chunk of rows as float64."""


def _block(rows: int, width: int) -> int:
    """Return the bytes of a few float64 arrays of a block of rows."""
    return min(_BLOCK, 32 * rows * width)


def _plain(preprocessing: Preprocessing, rows: int) -> int:
    """Return the bytes of the inputs without pieces."""
    return 4 * rows * (len(preprocessing.plain_inputs) + 1)


def scores_needed(preprocessing: Preprocessing, rows: int, members: int) -> int:
    """Return the bytes of scoring so many rows, beside their inputs and targets."""
    width, plain = preprocessing.target.width, _plain(preprocessing, rows)
    if isinstance(preprocessing.target, ClassTarget):
        return 2 * _block(rows, width) + plain + 3000 * width
    return 8 * rows * width * (6 + 2 * (members > 1)) + plain


def check_scores(preprocessing: Preprocessing, rows: int, members: int, what: str) -> None:
    """Raise ResourceError if scoring so many rows does not fit into memory. what: the rows."""
    needed = scores_needed(preprocessing, rows, members)
    check_fits(needed, f"{what}: the scores of {plural(rows, 'row')}", "score fewer rows at a time")


class Job(Plan):
    """The memory of a run, by what is known before its rows are encoded."""

    @property
    def network(self) -> Network:
        """The network, of which nothing is allocated."""
        return build_network(self.config.model, *self.preprocessing.sizes)

    @property
    def hparams(self) -> Hyperparameters:
        """The hyperparameters of training."""
        return build_hyperparameters(self.config)

    @property
    def inputs(self) -> int:
        """The bytes of all encoded inputs (N, F + 1)."""
        return self._of_inputs(sum(self.rows.values()))

    def _of_inputs(self, rows: int) -> int:
        return 4 * rows * (len(self.preprocessing.inputs) + 1)

    def steps(self, followers: int = 0) -> dict[str, int]:
        """Return the bytes that each step holds at once, the encoded inputs among them.

        followers: the other ranks on this machine, which hold training rows of their own.
        """
        network, hparams = self.network, self.hparams
        rows, validation = self.rows["train"], self.rows["validation"]
        width, members = network.layout.outputs, len(hparams.seeds)
        is_class = isinstance(self.preprocessing.target, ClassTarget)
        total, most = sum(self.rows.values()), max(self.rows.values())
        kept = self.inputs + (8 if is_class else 16 * width) * total
        parameters = 4 * network.layout.parameters * members
        losses = validation * width * members * (4 if is_class else 28)
        losses += _block(validation, width) * is_class
        training = kept + memory_needed(network, hparams, rows) + losses
        if choose_device(self.config.device).type == "cuda":  # whose memory is its own
            training = kept
        found = {
            "encoding": self.inputs + self._of_inputs(most),
            "baselines": kept + self._baselines(rows),
            "training": training,
            "scoring": kept + 3 * parameters + scores_needed(self.preprocessing, most, members),
        }
        if isinstance(self.config.data.numbers, schema.Auto):
            found["trial"] = kept + self._trial(network, hparams)
        if self.config.train.refit and validation:
            both = rows + validation
            again = self._of_inputs(both) + memory_needed(network, hparams, both)
            found["final"] = kept + 3 * parameters + again
        if self.folds:
            found["folds"] = training + self._folds(network, hparams)
        if followers:
            own = self.follower(rows + validation * self.config.train.refit)
            found |= {name: found[name] + followers * own for name in {*found} - _ON_RANK_0}
            if self.folds:
                networks = self._pack(network, hparams) * members
                found["folds"] += followers * networks * self._sent(rows)
        return found

    def follower(self, rows: int) -> int:
        """Return the bytes of a rank other than 0: the training rows, and its share of a batch."""
        received = 0 if uses_disk() else self._sent(rows)
        return received + memory_needed(self.network, self.hparams, rows)

    def _sent(self, rows: int) -> int:
        """Return the bytes of training rows as the other ranks get them, in a dataset."""
        is_class = isinstance(self.preprocessing.target, ClassTarget)
        target = 8 if is_class else 4 * self.network.layout.outputs
        is_weighted = (
            self.preprocessing.weight is not None or self.config.train.class_weight is not None
        )
        return self._of_inputs(rows) + rows * (target + 8 * is_weighted)

    def _baselines(self, rows: int) -> int:
        """Return the bytes of fitting least squares, or logistic regression."""
        inputs, width = len(self.preprocessing.plain_inputs) + 1, self.preprocessing.target.width
        own = _plain(self.preprocessing, rows) if inputs <= len(self.preprocessing.inputs) else 0
        if isinstance(self.preprocessing.target, ClassTarget):
            coefficients = inputs * width
            return (
                own
                + _block(rows, width)
                + (160 * coefficients if coefficients <= MOST_COEFFICIENTS else 0)
            )
        least = min(rows, inputs)
        deviations = 16 * rows * inputs if inputs > rows else _block(rows, inputs)
        return own + 32 * least**2 + deviations + 8 * (2 * rows + 4 * inputs) * width

    def _trial(self, network: Network, hparams: Hyperparameters) -> int:
        """Return the bytes of the inputs without pieces, and of training on some rows of either."""
        rows = min(self.rows["train"], TRIAL_ROWS)
        own = memory_needed(network, hparams, rows) * TRIAL_MEMBERS // len(hparams.seeds)
        plain = _plain(self.preprocessing, sum(self.rows.values()))
        return plain + self._of_inputs(rows) + own

    def _folds(self, network: Network, hparams: Hyperparameters) -> int:
        """Return the bytes of a pack of folds: its samples, their stack, and its training."""
        rows = self.rows["train"]
        own = memory_needed(network, hparams, rows, own_rows=True)
        return self._pack(network, hparams) * (2 * self._of_inputs(rows) + own)

    def _pack(self, network: Network, hparams: Hyperparameters) -> int:
        """Return how many folds a pack has."""
        own = memory_needed(network, hparams, self.rows["train"], own_rows=True)
        return min(self.folds, max(1, PACK_BYTES // own))

    def beside_disk(self) -> int:
        """Return the bytes that training holds where its rows are on the disk."""
        members, rows = len(self.hparams.seeds), self.rows["train"]
        parameters = 4 * self.network.layout.parameters * members
        own = memory_needed(self.network, self.hparams, rows) + 3 * parameters
        return own + _COLUMNS * 8 * sum(self.rows.values())

    def describe(self) -> str:
        """Return what the memory is for, in words."""
        members, parameters = len(self.hparams.seeds), self.network.layout.parameters
        several = f"{members:,} members of " if members > 1 else ""
        batch = self.config.train.batch_size
        batches = "all" if batch == "full" else f"{min(batch, self.rows['train']):,}"
        return (
            f"{plural(sum(self.rows.values()), 'row')} of {len(self.preprocessing.inputs):,} "
            f"inputs, {several}{parameters:,} parameters and batches of {batches} rows"
        )

    def remedy(self) -> str:
        """Return which key lowers what takes the most memory."""
        steps = self.steps()
        largest = max(steps, key=lambda name: steps[name])
        features = self.preprocessing.features
        inputs = self.inputs + self._of_inputs(max(self.rows.values()))
        if 2 * inputs < steps[largest] and largest != "baselines":
            if len(self.hparams.seeds) > 1:
                return "reduce train.members, the widths or train.batch_size"
            return "reduce the widths or train.batch_size"
        half = len(self.preprocessing.inputs) / 2
        if sum(len(f.inputs) for f in features if isinstance(f, CategoryFeature)) > half:
            return "reduce data.max_categories, or list columns in data.exclude"
        pieces = sum(len(f.edges) for f in features if isinstance(f, NumberFeature))
        if pieces > half:
            return "set data.numbers: standardise"
        return "list columns in data.exclude, or use fewer rows"


def job_of(data: TrainingData) -> Job:
    """Return the job of training on data that is loaded."""
    folds = 0 if data.folds is None else len(data.folds)
    return Job(data.config, data.preprocessing, data.split.sizes(), folds)


def check_job(
    job: Job, where: str, *, is_encoded: bool, is_begun: bool = False, followers: int = 0
) -> None:
    """Raise ResourceError if a run does not fit into memory. where: the place of the model.

    is_encoded: whether the inputs are in memory already. is_begun: whether the run goes on, so that
    its config stays. followers: the other ranks on this machine that share its updates.
    """
    if uses_disk():
        needed = job.beside_disk() + followers * job.follower(job.rows["train"])
    else:
        needed = max(job.steps(followers).values()) - (job.inputs if is_encoded else 0)
    remedy = "end other programs, or start a new run" if is_begun else job.remedy()
    if followers:
        remedy = f"start fewer ranks on this machine, or {remedy}"
    check_fits(needed, f"{where}: {job.describe()}", remedy)
