"""A config with a sweep: the runs that it stands for, and where it is wrong."""

import math
from pathlib import Path

import pytest

from ml2021.config.loading import load_config_text
from ml2021.config.schema import SigmoidSum
from ml2021.errors import ConfigError
from ml2021.sweeps.search_space import RUN_LIMIT, LoadedSweep, load_sweep_text

DATA = "data: {path: a.csv, target: y}\n"


def load(section: str, *overrides: str, rest: str = "") -> LoadedSweep:
    return load_sweep_text(f"{DATA}{rest}sweep: {section}\n", "c", overrides)


def settings(section: str, *overrides: str) -> list[dict[str, object]]:
    return [dict(variation.settings) for variation in load(section, *overrides).variations]


def lines(section: str, *overrides: str, rest: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(section, *overrides, rest=rest)
    return list(caught.value.lines)


def test_a_grid_is_every_combination_the_last_key_fastest() -> None:
    assert settings("{grid: {optimizer.lr: [0.1, 0.2], seed: [0, 1]}}") == [
        {"optimizer.lr": 0.1, "seed": 0},
        {"optimizer.lr": 0.1, "seed": 1},
        {"optimizer.lr": 0.2, "seed": 0},
        {"optimizer.lr": 0.2, "seed": 1},
    ]


def test_runs_are_crossed_with_the_grid() -> None:
    runs = "[{model: linear, data.lags: 1}, {model.units: 5, model.type: sigmoid_sum}]"
    sweep = load(f"{{runs: {runs}, grid: {{seed: [3, 4]}}}}")
    assert [v.loaded.config.seed for v in sweep.variations] == [3, 4, 3, 4]
    assert [v.loaded.config.data.lags for v in sweep.variations] == [1, 1, 0, 0]
    assert sweep.variations[3].loaded.config.model == SigmoidSum(units=5)


def test_the_config_of_a_run_is_that_of_its_overrides() -> None:
    """The oracle is `--set` on the config without its sweep."""
    rest = "model: sigmoid_sum\ntrain: {epochs: 3}\n"
    section = "{grid: {model.units: [7], optimizer: [{type: sgd, lr: 0.5}], data.lags: [2]}}"
    (variation,) = load(section, rest=rest).variations
    overrides = ["model.units=7", "optimizer={type: sgd, lr: 0.5}", "data.lags=2"]
    assert variation.loaded.config == load_config_text(DATA + rest, "c", overrides).config
    data = DATA.replace("a.csv", str(Path("a.csv").absolute()))
    kept = load_config_text(variation.loaded.text, "c").config
    assert kept == load_config_text(data + rest, "c", overrides).config
    (reversed_keys,) = load("{grid: {model.units: [7], model: [sigmoid_sum]}}").variations
    assert reversed_keys.loaded.config.model == SigmoidSum(units=7)


def test_nested_keys_mean_dotted_ones() -> None:
    nested = "{grid: {optimizer: {lr: [1, 2]}}, random: {train: {epochs: {low: 1, high: 9}}}}"
    dotted = "{grid: {optimizer.lr: [1, 2]}, random: {train.epochs: {low: 1, high: 9}}}"
    assert settings(nested) == settings(dotted)
    overrides = ["sweep.grid.optimizer.lr=[1, 2]", "sweep.random.train.epochs={low: 1, high: 9}"]
    assert settings("{grid: {}}", *overrides) == settings(dotted)


def test_samples_depend_on_sweep_seed_alone() -> None:
    section = "{grid: {seed: [0, 1, 2]}, random: {optimizer.lr: {low: 0.1, high: 1}}, samples: 4}"
    first = settings(section)
    assert first == settings(section)
    assert first != settings(section, "sweep.seed=1")
    wider = settings(section.replace("random: {", "random: {train.epochs: [1, 2, 3], "))
    assert [run["optimizer.lr"] for run in wider] == [run["optimizer.lr"] for run in first]
    assert settings(section, "sweep.samples=2")[:2] == first[:2]


def test_runs_that_differ_in_the_seed_alone_share_a_sample() -> None:
    section = (
        "{grid: {seed: [0, 1], train.batch_size: [8, 16]}, "
        "random: {optimizer.lr: {low: 0.1, high: 1}}, samples: 2}"
    )
    sampled: dict[tuple[object, object], list[object]] = {}
    for run in settings(section):
        sampled.setdefault((run["seed"], run["train.batch_size"]), []).append(run["optimizer.lr"])
    assert sampled[0, 8] == sampled[1, 8]
    assert sampled[0, 16] == sampled[1, 16]
    assert len({*sampled[0, 8], *sampled[0, 16]}) == 4


def test_a_log_range_is_even_in_the_logarithm() -> None:
    runs = settings("{random: {optimizer.lr: {low: 1e-6, high: 1e-2, scale: log}}, samples: 4000}")
    exponents = [math.log10(float(str(run["optimizer.lr"]))) for run in runs]
    counts = [sum(-6 + k <= e < -5 + k for e in exponents) for k in range(4)]
    assert min(exponents) >= -6
    assert max(exponents) <= -2
    assert all(abs(count - 1000) < 120 for count in counts)  # four standard deviations


def test_whole_keys_draw_whole_numbers_ends_included() -> None:
    runs = settings("{random: {train.epochs: {low: 1, high: 4}}, samples: 2000}")
    sampled = [run["train.epochs"] for run in runs]
    assert all(type(value) is int for value in sampled)
    assert all(400 < sampled.count(value) < 600 for value in (1, 2, 3, 4))
    logs = settings("{random: {train.epochs: {low: 1, high: 100, scale: log}}, samples: 2000}")
    assert {1, 100} <= {run["train.epochs"] for run in logs}
    assert sum(int(str(run["train.epochs"])) <= 10 for run in logs) > 900


def test_a_list_is_drawn_from() -> None:
    runs = settings("{random: {model.widths: [[8], [8, 8]]}, samples: 200}")
    sampled = [run["model.widths"] for run in runs]
    assert 60 < sampled.count([8]) < 140
    assert sampled.count([8]) + sampled.count([8, 8]) == 200


def test_each_range_has_a_scale() -> None:
    section = "{random: {optimizer.lr: {low: 1, high: 2, scale: log}, seed: {low: 1, high: 2}}}"
    assert load(section).scales == {"optimizer.lr": "log", "seed": "linear"}


REFUSED = {
    "{}": "2:8: add a section sweep with grid, random or runs",
    "{grid: {}}": "2:8: add a section sweep with grid, random or runs",
    "null": "2:8: add a section sweep with grid, random or runs",
    "3": "2:8: a mapping or null, not 3",
    "{grid: 3}": "2:15: sweep.grid must be a mapping",
    "{grid: {seed: 3}}": "2:22: must be a list, not 3; write [3]",
    "{grid: {seed: []}}": "2:22: must not be empty",
    "{grid: {seed: [1, 2, 1]}}": "2:29: has 1 twice",
    "{grid: {optimizer.learning_rate: [1, 2]}}": "2:16: did you mean 'lr'?",
    "{grid: {optimizer.lr: [1, -1]}}": "2:34: optimizer.lr must be greater than 0, not -1",
    "{grid: {model.widths: [[8, 0]]}}": "2:35: model.widths[1] must be greater than 0, not 0",
    "{grid: {model: [linear, mlp]}}": "2:32: not 'mlp'; did you mean 'relu_stack'?",
    "{grid: {data.path.x: [3]}}": "2:16: set data.path itself",
    "{grid: {a..b: [3]}}": "2:16: not a dotted key",
    "{grid: {sweep.seed: [3]}}": "2:16: a sweep cannot vary its own section",
    "{grid: {seed: [1]}, random: {seed: [1]}}": "2:37: in both sweep.grid and sweep.random",
    "{grid: {seed: [1]}, samples: 2}": "2:37: sweep.samples 2 needs sweep.random",
    "{grid: {seed: [1]}, samples: 0}": "2:37: sweep.samples must be greater than 0",
    "{runs: [{}]}": "2:16: must set a key",
    "{runs: [{seed: 1}, {seed: 1}]}": "2:27: the same settings twice",
    "{runs: [{seed: 1}, 3]}": "2:27: sweep.runs[1] must be a mapping",
    "{random: {seed: 3}}": "2:24: must be a list or {low, high, scale}, not 3; write [3]",
    "{random: {seed: {low: 1}}}": "2:24: missing key 'high' in sweep.random.seed",
    "{random: {seed: {low: 1.5, high: 3}}}": "2:30: a whole number, not 1.5",
    "{random: {seed: {low: 3, high: 3}}}": "2:30: seed low must be less than high 3",
    "{random: {optimizer.lr: {low: 0, high: 3, scale: log}}}": "2:38: greater than 0 with",
    "{random: {optimizer.lr: {low: a, high: 3}}}": "2:38: a number, not 'a'",
    "{random: {seed: {low: 1, high: 3, scale: logarithm}}}": "2:49: linear, log, not 'logarithm'",
    "{random: {seed: {low: 1, high: 3, sale: log}}}": "2:42: did you mean 'scale'?",
}
"""A section -> the place of its only error, and words of the message."""


@pytest.mark.parametrize("section", REFUSED, ids=lambda text: text[:60])
def test_refused(section: str) -> None:
    place, _, words = REFUSED[section].partition(": ")
    (line,) = lines(section)
    assert line.startswith(f"c:{place}: ")
    assert words in line


def test_every_mistake_is_said_at_once() -> None:
    section = "{grid: {optimizer.lr: [1, -1], seed: 3, qq: [1]}, x: 3, random: {train.epochs: {}}}"
    found = lines(section, rest="loss: foo\n")
    assert [line.split(": ")[0] for line in found] == ["c:2:7"] + [
        f"c:3:{column}" for column in (34, 45, 48, 58, 87, 87)
    ]


def test_what_does_not_go_together_is_said_once() -> None:
    section = "{grid: {model: [linear, sigmoid_sum], model.units: [3], seed: [0, 1, 2]}}"
    (line,) = lines(section)
    assert line.startswith("c:2:46: model type linear has no key 'units'")


def test_an_error_in_an_override_names_the_override() -> None:
    (line,) = lines("{grid: {seed: [1]}}", "sweep.grid.seed=[-1]")
    assert line.startswith("--set sweep.grid.seed: ")


def test_a_sweep_that_explodes_is_refused_before_it_is_made() -> None:
    values = ", ".join(map(str, range(200)))
    section = f"{{grid: {{seed: [{values}], data.split.seed: [{values}], data.lags: [{values}]}}}}"
    (line,) = lines(section)
    assert line.startswith("c:2:8: 8,000,000 runs")
    assert f"{RUN_LIMIT:,}" in line


def test_a_config_without_a_sweep_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load_sweep_text(DATA, "c")
    assert caught.value.lines[0].startswith("c:1:1: ")
