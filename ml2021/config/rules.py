"""The sections `loss`, `optimizer` and `train.schedule` of a config: what training goes by.

Part of `ml2021.config.schema`, which says how to read it.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ml2021.config.values import (
    Count,
    Momentum,
    NotNegative,
    Positive,
    Section,
    conflict,
    short_for,
)


class Mae(Section):
    """Mean absolute error."""

    type: Literal["mae"] = "mae"
    """`mae`: mean absolute error; outliers count little."""


class Mse(Section):
    """Mean squared error."""

    type: Literal["mse"] = "mse"
    """`mse`: mean squared error; outliers count much."""


class Huber(Section):
    """Squared where the error is small, absolute where it is large."""

    type: Literal["huber"] = "huber"
    """`huber`: squared error up to `delta`, absolute error beyond it."""
    delta: Positive = 1.0
    """Where squared becomes absolute, in standard deviations of the target."""


class CrossEntropy(Section):
    """Cross-entropy of the predicted probabilities."""

    type: Literal["cross_entropy"] = "cross_entropy"
    """`cross_entropy`: minus the logarithm of the true class's probability."""


Loss = Annotated[Mae | Mse | Huber | CrossEntropy, Field(discriminator="type"), short_for("type")]


class Sgd(Section):
    """Steps against the gradient."""

    type: Literal["sgd"] = "sgd"
    """`sgd`: stochastic gradient descent."""
    lr: Positive = 0.01
    """Learning rate: the length of a step per unit of gradient."""
    momentum: Momentum = 0.0
    """Share of the last step that carries over into the next; 0 for none."""
    nesterov: bool = False
    """Whether the gradient is taken as if the carried-over step were already done."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise conflict(
                "optimizer.nesterov needs optimizer.momentum greater than 0; "
                "set optimizer.momentum, such as 0.9",
                "nesterov",
            )
        return self


class Adagrad(Section):
    """Steps shrink with all the gradients seen so far."""

    type: Literal["adagrad"] = "adagrad"
    """`adagrad`: each parameter's steps are divided by its gradients' root of summed squares."""
    lr: Positive = 0.01
    """Learning rate: the length of the first step."""
    eps: Positive = 1e-10
    """Added to the divisor, so that it is never 0."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Rmsprop(Section):
    """Steps are divided by the recent size of the gradients."""

    type: Literal["rmsprop"] = "rmsprop"
    """`rmsprop`: each parameter's steps are divided by its gradients' recent root mean square."""
    lr: Positive = 0.01
    """Learning rate: about the length of a step."""
    alpha: Momentum = 0.99
    """Share of the mean square that stays at each update; nearer 1 remembers longer."""
    eps: Positive = 1e-8
    """Added to the divisor, so that it is never 0."""
    momentum: Momentum = 0.0
    """Share of the last step that carries over into the next; 0 for none."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Adam(Section):
    """Momentum, divided by the recent size of the gradients."""

    type: Literal["adam"] = "adam"
    """`adam`: running means of the gradient and of its square make the step."""
    lr: Positive = 0.001
    """Learning rate: about the length of a step."""
    beta1: Momentum = 0.9
    """Share of the mean gradient that stays at each update."""
    beta2: Momentum = 0.999
    """Share of the mean squared gradient that stays at each update."""
    eps: Positive = 1e-8
    """Added to the divisor, so that it is never 0."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Adamw(Section):
    """Adam whose weight decay does not pass through the gradient."""

    type: Literal["adamw"] = "adamw"
    """`adamw`: adam with weight decay applied to the weights directly."""
    lr: Positive = 0.002
    """Learning rate: about the length of a step."""
    beta1: Momentum = 0.9
    """Share of the mean gradient that stays at each update."""
    beta2: Momentum = 0.999
    """Share of the mean squared gradient that stays at each update."""
    eps: Positive = 1e-8
    """Added to the divisor, so that it is never 0."""
    weight_decay: NotNegative = 0.1
    """Share by which the weights shrink at each update, times the learning rate."""


Optimizer = Annotated[
    Sgd | Adagrad | Rmsprop | Adam | Adamw,
    Field(discriminator="type"),
    short_for("type", "adamw"),
]


class Constant(Section):
    """The learning rate stays."""

    type: Literal["constant"] = "constant"
    """`constant`: the learning rate stays as it is."""


class Cosine(Section):
    """The learning rate falls to 0 along half a cosine."""

    type: Literal["cosine"] = "cosine"
    """`cosine`: the learning rate falls to 0 over all epochs, along half a cosine."""


class Step(Section):
    """The learning rate falls in steps."""

    type: Literal["step"] = "step"
    """`step`: the learning rate is multiplied by `factor` every so many epochs."""
    every: Count = 30
    """Epochs between two steps."""
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What the learning rate is multiplied by at each step."""


Schedule = Annotated[
    Constant | Cosine | Step, Field(discriminator="type"), short_for("type", "cosine")
]
