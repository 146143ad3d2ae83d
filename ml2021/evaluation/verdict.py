"""The verdict: the network is better than the best baseline, worse, or too close to tell.

Network and baseline are compared on the same rows, where errors that both make cancel. A score is a
smooth function of means over rows, and so, by the delta method, is the difference D of two scores:
each row has an influence zᵢ on D, with Σ zᵢ = 0, and D is approximately normal with the variance of
the mean of the zᵢ (van der Vaart 1998, Asymptotic Statistics, chapters 3 and 20). The interval is

    D ± t · s,  t the 97.5 % quantile of Student's distribution

rather than a bootstrap's: it takes one pass over the rows, has no random numbers, and the quantile
allows for few rows. s and the degrees of freedom depend on how the rows hang together:

    independent   s² = Σ zᵢ² / (N(N − 1)),  N − 1
    in clusters   the sums of the G clusters in place of the rows (Liang and Zeger 1986),  G − 1
    in order      the long-run variance, for errors that resemble those just before them: the mean
                  square of the first B = 0.4·N^(2/3) cosine coefficients of the zᵢ, divided by N,
                  with B degrees of freedom, which holds its level better than the moving-block
                  bootstrap and Newey-West (Lazarus, Lewis, Stock and Watson 2018, Journal of
                  Business & Economic Statistics 36:541); for forecasts the idea is that of
                  Diebold and Mariano 1995

The best baseline is the one that scores best on the very rows that are judged. That makes "better"
hard to reach, as it should be; it makes "worse" a little easier than 2.5 % where several baselines
are about equally good. Held-out rows of all folds are judged together, as if by one network.

Legend: N rows, T targets, C classes, G clusters.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ml2021.data.preprocessing.records import Record
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS, ClassAnswers, Scores
from ml2021.formatting import HIGHER_IS_BETTER, heading, interval, number, plural, score_text

Truth = NDArray[np.float64] | NDArray[np.int64]
NETWORK = "network"
FEW_ROWS = 20
"""With fewer rows, the interval is itself too uncertain to rely on."""
MOST = 0.75
"""Where one class holds this share of the rows, the accuracy of always naming it is high already,
and hides what matters in the rest: the log loss decides then."""
NORMAL_QUANTILE = NormalDist().inv_cdf(0.975)
Metric = Literal["mae", "rmse", "accuracy", "balanced_accuracy", "log_loss"]
"""The metrics that can be compared row by row."""
Outcome = Literal["better", "too close to tell", "worse"]


class Judgement(Record):
    """The network beside the best baseline by one metric.

    network, best: their scores. low, high: the 95 % interval of the difference, network − baseline.
    error: the standard error of the network's own score.
    """

    metric: Metric
    baseline: str
    network: float
    best: float
    low: float
    high: float
    error: Annotated[float, Field(ge=0)]
    outcome: Outcome

    @property
    def is_ahead(self) -> bool:
        """Whether the network scored better, significantly or not."""
        sign = _sign(self.metric)
        return sign * self.network < sign * self.best

    def __str__(self) -> str:
        """Return both scores and the interval, without the name of the metric."""
        name = self.baseline.replace("_", " ")
        if self.baseline not in ("least_squares", "logistic_regression"):
            name = f"the {name}"
        return (
            f"{score_text(self.metric, self.network)} vs {score_text(self.metric, self.best)} of "
            f"{name} "
            f"(95 % interval of the difference: {interval(self.low, self.high)})"
        )


class Verdict(Record):
    """The network beside the best baseline on so many rows.

    minority: how many rows are not of the most frequent class; None for numbers. decides: by the
    metric that decides. others: by the other metrics that can be compared row by row.
    """

    rows: Annotated[int, Field(ge=2)]
    minority: Annotated[int, Field(ge=0)] | None = None
    decides: Judgement
    others: tuple[Judgement, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = REAL_METRICS if self.minority is None else CLASS_METRICS
        if any(each.metric not in known for each in (self.decides, *self.others)):
            raise ValueError("a verdict by metrics of another task")
        return self

    @property
    def outcome(self) -> Outcome:
        """The outcome by the metric that decides."""
        return self.decides.outcome

    @property
    def disagreeing(self) -> tuple[Judgement, ...]:
        """The other metrics that contradict the outcome, or that can tell where it cannot."""
        if self.outcome == "too close to tell":
            return tuple(each for each in self.others if each.outcome != self.outcome)
        is_better = self.outcome == "better"
        return tuple(each for each in self.others if each.is_ahead != is_better)

    def sentences(self, split: str = "") -> list[str]:
        """Return the verdict in words, with what one has to know to believe it.

        split: the kind of rows, such as test; empty for those of a file.
        """
        outcome = "Too close to tell"
        if self.outcome != "too close to tell":
            outcome = f"The network is {self.outcome} than the best baseline"
        rows, deciding = plural(self.rows, f"{split} row".strip()), _name(self.decides.metric)
        sentences = [f"{outcome} on {rows}: {deciding} {self.decides}."]
        for each in self.disagreeing:
            sentences.append(f"By {_name(each.metric)} it is {each.outcome}: {each}.")
        if self.minority is not None and is_mostly_one_class(self.rows, self.minority):
            some = f"Only {self.minority:,}" if self.minority else "None"
            few = ", and all of this is uncertain" if self.minority < FEW_ROWS else ""
            sentences.append(
                f"{some} of these rows {'is' if self.minority == 1 else 'are'} of another class "
                f"than the most frequent one, so {deciding} decides rather than accuracy{few}."
            )
        elif self.rows < FEW_ROWS:
            sentences.append(f"{plural(self.rows, 'row')} are few: even the interval is uncertain.")
        return sentences


def _name(metric: str) -> str:
    return "balanced accuracy" if metric == "balanced_accuracy" else heading(metric)


def _sign(metric: str) -> int:
    """Return 1 where a lower score is better, else −1."""
    return -1 if metric in HIGHER_IS_BETTER else 1


def is_mostly_one_class(rows: int, minority: int) -> bool:
    """Whether so few rows are of another than the most frequent class that accuracy misleads."""
    return minority <= (1 - MOST) * rows


def metrics_to_judge(loss: str, truth: Truth) -> tuple[Metric, ...]:
    """Return the metrics by which rows are judged, the one that decides first.

    For numbers the one nearest to the loss decides: the network is judged by what it was asked for,
    and the other stands beside it. For classes it is accuracy, what a choice is made for; where one
    class holds most rows, the log loss, or balanced accuracy where a row of a class without
    training rows leaves the log loss undefined.
    """
    if truth.ndim == 2:
        return ("mae", "rmse") if loss == "mae" else ("rmse", "mae")
    if not is_mostly_one_class(len(truth), _minority(truth)):
        return "accuracy", "balanced_accuracy", "log_loss"
    if (truth >= 0).all():
        return "log_loss", "balanced_accuracy", "accuracy"
    return "balanced_accuracy", "accuracy"


def _minority(truth: Truth) -> int:
    """Return how many of the rows are not of the most frequent class."""
    return len(truth) - int(np.unique(truth, return_counts=True)[1].max(initial=0))


def judge(
    metrics: Sequence[Metric],
    truth: Truth,
    predictions: Mapping[str, NDArray[np.float64] | ClassAnswers],
    scores: Mapping[str, Scores],
    *,
    weights: NDArray[np.float64] | None = None,
    clusters: NDArray[np.int64] | None = None,
    is_ordered: bool = False,
) -> Verdict | None:
    """Return the verdict on the predictions of `NETWORK`, beside all the others.

    metrics: the one that decides first. truth: values (N, T), or classes (N,), −1 for one without
    training rows. predictions: by name, values (N, T), or answers for these classes. scores:
    theirs, by the same names. weights: (N,), of the rows, at least one above 0. clusters: (N,), a
    number that rows which hang together share. is_ordered: whether the rows are in the order of
    time; clusters come first.

    None with fewer than two rows of weight, and where the metric that decides is undefined.
    """
    if weights is not None:  # a row of weight 0 is as good as absent
        kept = weights > 0
        truth, weights = truth[kept], weights[kept]
        predictions = {
            name: each.take(kept) if isinstance(each, ClassAnswers) else each[kept]
            for name, each in predictions.items()
        }
        clusters = None if clusters is None else clusters[kept]
    if len(truth) < 2:
        return None
    judgements: list[Judgement] = []
    for metric in metrics:
        sign, own = _sign(metric), scores[NETWORK][metric]
        known = {n: v for n, s in scores.items() if n != NETWORK and (v := s[metric]) is not None}
        if own is None or not known:
            if not judgements:
                return None
            continue
        best = min(known, key=lambda name: sign * known[name])
        influence = _influence(metric, truth, predictions[NETWORK], weights)
        difference = influence - _influence(metric, truth, predictions[best], weights)
        error, _ = _standard_error(influence, clusters, is_ordered=is_ordered)
        spread, freedom = _standard_error(difference, clusters, is_ordered=is_ordered)
        if metric in ("accuracy", "balanced_accuracy"):
            spread = math.hypot(spread, _unseen_discordance(metric, truth))
        half = student_quantile(freedom) * spread
        gap = own - known[best]
        low, high = gap - half, gap + half
        outcome: Outcome = "too close to tell"
        # A difference that no table shows is none, however many rows it was measured on.
        if not low <= 0 <= high and number(own) != number(known[best]):
            outcome = "better" if sign * gap < 0 else "worse"
        judgements.append(
            Judgement(
                metric=metric,
                baseline=best,
                network=own,
                best=known[best],
                low=low,
                high=high,
                error=error,
                outcome=outcome,
            )
        )
    decides, *others = judgements
    minority = _minority(truth) if truth.ndim == 1 else None
    return Verdict(rows=len(truth), minority=minority, decides=decides, others=tuple(others))


def _influence(
    metric: Metric,
    truth: Truth,
    predictions: NDArray[np.float64] | ClassAnswers,
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Return the influence (N,) of each row on the score; their mean is 0.

    That of a weighted mean m = Σ wᵢlᵢ / Σ wᵢ is N·wᵢ(lᵢ − m) / Σ wᵢ, that of its root the same over
    2√m, and that of a mean of means the mean of theirs, each 0 outside of its own rows.
    """
    losses: NDArray[np.float64]
    if not isinstance(predictions, ClassAnswers):
        errors = truth - predictions
        (np.abs if metric == "mae" else np.square)(errors, out=errors)  # large, of many rows
        losses = errors.mean(axis=1)
        del errors
    elif metric == "log_loss":
        losses = predictions.log_losses
    else:
        losses = (predictions.predicted == truth).astype(np.float64)
    if metric == "balanced_accuracy":
        _, of_class, sizes = np.unique(truth, return_inverse=True, return_counts=True)
        own = np.ones(len(truth)) if weights is None else weights
        total = np.bincount(of_class, own)
        recall = np.bincount(of_class, own * losses) / total
        influence = own * (losses - recall[of_class]) / total[of_class]
        return np.asarray(len(truth) * influence / len(sizes))
    mean = np.average(losses, weights=weights)
    influence = losses
    influence -= mean
    if weights is not None:
        influence *= weights / weights.mean()
    if metric == "rmse" and mean > 0:
        influence /= 2 * math.sqrt(mean)
    return np.asarray(influence)


def _standard_error(
    influence: NDArray[np.float64], clusters: NDArray[np.int64] | None, *, is_ordered: bool
) -> tuple[float, int]:
    """Return the standard error of a score from its rows' influence (N,), and its freedom."""
    rows = len(influence)
    if clusters is not None:
        sums = np.bincount(np.unique(clusters, return_inverse=True)[1], influence)
        count = len(sums)
        # A single cluster has no spread: as uncertain as two that pull to either side.
        return math.sqrt(count / max(1, count - 1) * float(sums @ sums)) / rows, max(1, count - 1)
    if not is_ordered:
        return math.sqrt(float(influence @ influence) / (rows * (rows - 1))), rows - 1
    # The cosine transform by one FFT (Makhoul 1980).
    count = max(1, round(0.4 * rows ** (2 / 3)))
    folded = np.concatenate([influence[::2], influence[1::2][::-1]])
    frequencies = np.arange(1, count + 1)
    phases = np.exp(-0.5j * np.pi * frequencies / rows)
    coefficients = (phases * np.fft.fft(folded)[1 : count + 1]).real
    return math.sqrt(2 * float(coefficients @ coefficients) / count) / rows, count


def _unseen_discordance(metric: Metric, truth: Truth) -> float:
    """Return the standard error that a share has even if the two never differ on these rows.

    As if one row more had gone to either side (Bonett and Price 2012, Journal of Educational and
    Behavioral Statistics 37:479): without it, 3 hits in 3 rows would be certain.
    """
    if metric == "accuracy":
        return math.sqrt(2) / (len(truth) + 2)
    sizes = np.unique(truth, return_counts=True)[1]
    return float(np.sqrt(2 * np.square(1 / (sizes + 2)).sum()) / len(sizes))


def student_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, within 1 % from two degrees of freedom on.

    The expansion in 1/ν of Abramowitz and Stegun 1964, 26.7.5; for one degree the exact value.
    """
    if freedom == 1:
        return math.tan(0.475 * math.pi)
    x, v = NORMAL_QUANTILE, freedom
    return (
        x
        + (x**3 + x) / (4 * v)
        + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * v**2)
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * v**3)
        + (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / (92160 * v**4)
    )
