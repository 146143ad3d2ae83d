"""Names of parameters: by number, by column, and the errors for wrong names."""

import pytest

from ml2021.data.preprocessing.records import ClassTarget, NumberFeature, Preprocessing, RealTargets
from ml2021.engine.networks import Layout
from ml2021.errors import ConfigError
from ml2021.inspection.features import ModelType, ParameterNames
from tests.tables import sources_of


def preprocessing(columns: list[str], targets: list[str]) -> Preprocessing:
    features = tuple(
        NumberFeature(name=name, mean=0, scale=1, fill=0, has_indicator=False, minimum=0, maximum=1)
        for name in columns
    )
    ones = (1.0,) * len(targets)
    target: RealTargets | ClassTarget = RealTargets(
        names=tuple(targets), labels=tuple(targets), means=ones, scales=ones
    )
    return Preprocessing(
        task="regression" if len(targets) == 1 else "structured",
        features=features,
        history=None,
        target=target,
        sources=sources_of(*columns, *targets),
        width=len(columns) + len(targets),
        numbered=False,
    )


def names(
    model: ModelType,
    sizes: tuple[int, ...],
    columns: list[str] | None = None,
    targets: list[str] | None = None,
) -> ParameterNames:
    columns = columns or [f"x{i}" for i in range(1, sizes[0] + 1)]
    targets = targets or [f"y{i}" for i in range(1, sizes[-1] + 1)]
    return ParameterNames(model, Layout(sizes), preprocessing(columns, targets))


CASES = [
    ("linear", (1, 1), {"w": 0, "w1": 0, "w[x1]": 0, "b": 1, "W1[1,1]": 0, "b1": 1}),
    ("linear", (2, 1), {"w1": 0, "w[2]": 1, " w[x2] ": 1, "b": 2, "W1[y1,x2]": 1, "b1[1]": 2}),
    # Layer 1 is (w11, w12, b1), (w21, w22, b2), ...; then c1, c2, c3, b.
    (
        "sigmoid_sum",
        (2, 3, 1),
        {"w[1,1]": 0, "w[2,x2]": 4, "b[1]": 2, "b3": 8, "c[2]": 10, "c1": 9, "b": 12, "b2[1]": 12},
    ),
    ("sigmoid_sum", (1, 2, 1), {"w[2]": 2, "w2": 2, "w[2,x1]": 2, "W2[1]": 4}),
    (
        "relu_stack",
        (2, 3, 2, 1),
        {"W1[3,2]": 7, "W1[3,x2]": 7, "b1[3]": 8, "W2[2,3]": 15, "b2[2]": 16, "W3[2]": 18},
    ),
    ("linear", (2, 2), {"W1[y2,x1]": 3, "W1[2,1]": 3, "b1[y2]": 5}),
    ("sigmoid_sum", (1, 2, 2), {"W1[2]": 2, "b1[2]": 3, "W2[y2,2]": 8, "b2[y2]": 9}),
]


@pytest.mark.parametrize(("model", "sizes", "indices"), CASES)
def test_names_lead_to_their_parameters(
    model: ModelType, sizes: tuple[int, ...], indices: dict[str, int]
) -> None:
    named = names(model, sizes)
    assert {text: named.find(text, "--x").index for text in indices} == indices
    own = [named.at(index).name for index in range(Layout(sizes).parameters)]
    assert [named.find(text, "--x").index for text in own] == list(range(len(own)))


def test_a_column_of_any_name_is_found() -> None:
    named = names("linear", (4, 1), ["2", "a,b", "views−1", "x[1]"])
    found = [named.find(f"w[{c}]", "--x").index for c in ("2", "a,b", "views-1", "x[1]", "3")]
    assert found == [0, 1, 2, 3, 2]
    wide = names("relu_stack", (2, 2, 1), ["a,b", "c"])
    assert wide.find(" W1 [2, a,b]", "--x").index == 3


def test_a_large_network_has_numbered_names_only() -> None:
    sizes = (4, 20_001, 1)
    named = names("sigmoid_sum", sizes)
    for index in (0, 4, 9, Layout(sizes).parameters - 1):
        assert named.find(named.at(index).name, "--x").index == index
    for text in ("W1[1,x1]", "w[1,1]", "W1[0,1]", "W1[1,5]", "b1[20002]", "b3[1]", "b"):
        with pytest.raises(ConfigError, match=r"W1\[1,1\] to W1\[20001,4\]"):
            named.find(text, "--x")


@pytest.mark.parametrize(
    ("model", "sizes", "text", "listed"),
    [
        ("linear", (2, 1), "w3", "w[x1], w[x2], b"),
        ("linear", (2, 1), "w[²]", "w[x1], w[x2], b"),
        ("relu_stack", (2, 9, 1), "w[1,1]", "W1[1,x1] to W1[9,x2], b1[1] to b1[9], W2["),
        ("sigmoid_sum", (2, 9, 1), "w[10,1]", "w[1,x1] to w[9,x2], b[1] to b[9], c[1] to c[9], b"),
        ("sigmoid_sum", (2, 9, 1), "", "--x "),
        ("relu_stack", (2, 9, 1), "W0[1,1]", "W0[1,1]"),
        ("relu_stack", (2, 9, 1), "W1[1,1", "W1[1,1"),
        ("relu_stack", (2, 9, 1), "b" + "9" * 5000, "b999"),
    ],
)
def test_a_wrong_name_is_told_the_right_ones(
    model: ModelType, sizes: tuple[int, ...], text: str, listed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        names(model, sizes).find(text, "--x")
    assert listed in str(caught.value)


def test_a_slip_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"'w\[age\]'"):
        names("linear", (2, 1), ["age", "weight"]).find("w[aeg]", "--x")
