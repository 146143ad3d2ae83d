"""A config with a sweep: which runs it means, and the exact line for what is wrong with it."""

import math

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
    assert load_config_text(variation.loaded.text, "c").config == variation.loaded.config


def test_a_key_is_set_before_those_inside_of_it() -> None:
    (variation,) = load("{grid: {model.units: [7], model: [sigmoid_sum]}}").variations
    assert variation.loaded.config.model == SigmoidSum(units=7)


def test_nested_keys_mean_dotted_ones() -> None:
    nested = "{grid: {optimizer: {lr: [1, 2]}}, random: {train: {epochs: {low: 1, high: 9}}}}"
    dotted = "{grid: {optimizer.lr: [1, 2]}, random: {train.epochs: {low: 1, high: 9}}}"
    assert settings(nested) == settings(dotted)
    overrides = ["sweep.grid.optimizer.lr=[1, 2]", "sweep.random.train.epochs={low: 1, high: 9}"]
    assert settings("{grid: {}}", *overrides) == settings(dotted)


def test_draws_depend_on_the_section_s_seed_alone() -> None:
    section = "{grid: {seed: [0, 1, 2]}, random: {optimizer.lr: {low: 0.1, high: 1}}, samples: 4}"
    first = settings(section)
    assert first == settings(section)
    assert first != settings(section, "sweep.seed=1")
    wider = settings(section.replace("random: {", "random: {train.epochs: [1, 2, 3], "))
    assert [run["optimizer.lr"] for run in wider] == [run["optimizer.lr"] for run in first]
    assert settings(section, "sweep.samples=2")[:2] == first[:2]


def test_runs_that_differ_in_the_seed_alone_share_a_draw() -> None:
    section = (
        "{grid: {seed: [0, 1], train.batch_size: [8, 16]}, "
        "random: {optimizer.lr: {low: 0.1, high: 1}}, samples: 2}"
    )
    drawn: dict[tuple[object, object], set[object]] = {}
    by_seed: dict[object, list[object]] = {}
    for run in settings(section):
        drawn.setdefault((run["seed"], run["train.batch_size"]), set()).add(run["optimizer.lr"])
        by_seed.setdefault(run["seed"], []).append(run["optimizer.lr"])
    assert by_seed[0] == by_seed[1]
    assert drawn[0, 8].isdisjoint(drawn[0, 16])
    assert all(len(values) == 2 for values in drawn.values())


def test_a_log_range_is_even_in_the_logarithm() -> None:
    runs = settings("{random: {optimizer.lr: {low: 1e-6, high: 1e-2, scale: log}}, samples: 4000}")
    exponents = [math.log10(float(str(run["optimizer.lr"]))) for run in runs]
    counts = [sum(-6 + k <= e < -5 + k for e in exponents) for k in range(4)]
    assert min(exponents) >= -6
    assert max(exponents) <= -2
    assert all(abs(count - 1000) < 120 for count in counts)  # four standard deviations


def test_whole_keys_draw_whole_numbers_ends_included() -> None:
    runs = settings("{random: {train.epochs: {low: 1, high: 4}}, samples: 2000}")
    drawn = [run["train.epochs"] for run in runs]
    assert all(type(value) is int for value in drawn)
    assert all(400 < drawn.count(value) < 600 for value in (1, 2, 3, 4))
    logs = settings("{random: {train.epochs: {low: 1, high: 100, scale: log}}, samples: 2000}")
    assert {1, 100} <= {run["train.epochs"] for run in logs}
    assert sum(int(str(run["train.epochs"])) <= 10 for run in logs) > 900


def test_a_list_is_drawn_from() -> None:
    runs = settings("{random: {model.widths: [[8], [8, 8]]}, samples: 200}")
    drawn = [run["model.widths"] for run in runs]
    assert 60 < drawn.count([8]) < 140
    assert drawn.count([8]) + drawn.count([8, 8]) == 200


def test_scales_are_known_for_drawing() -> None:
    section = "{random: {optimizer.lr: {low: 1, high: 2, scale: log}, seed: {low: 1, high: 2}}}"
    assert load(section).scales == {"optimizer.lr": "log", "seed": "linear"}


REFUSED = {
    "{}": "2:8: a sweep sets keys; give it as sweep: with grid, random or runs",
    "{grid: {}}": "2:8: a sweep sets keys; give it as sweep: with grid, random or runs",
    "null": "2:8: a sweep sets keys; give it as sweep: with grid, random or runs",
    "3": "2:8: sweep must be a mapping or null, not 3",
    "{grid: 3}": "2:15: sweep.grid must be a mapping, not 3",
    "{grid: {seed: 3}}": "2:22: seed in sweep.grid must be a list of values, not 3; write [3]",
    "{grid: {seed: []}}": "2:22: seed in sweep.grid must not be empty",
    "{grid: {seed: [1, 2, 1]}}": "2:29: seed in sweep.grid has 1 twice; keep one",
    "{grid: {optimizer.learning_rate: [1, 2]}}": (
        "2:16: unknown key 'learning_rate' in optimizer; did you mean 'lr'?"
    ),
    "{grid: {optimizer.lr: [1, -1]}}": "2:34: optimizer.lr must be greater than 0, not -1",
    "{grid: {model.widths: [[8, 0]]}}": "2:35: model.widths[1] must be greater than 0, not 0",
    "{grid: {model: [linear, mlp]}}": (
        "2:32: model type must be one of linear, sigmoid_sum, relu_stack, not 'mlp'; "
        "did you mean 'relu_stack'?"
    ),
    "{grid: {data.path.x: [3]}}": "2:16: data.path is a plain value and has no keys; "
    "set data.path itself",
    "{grid: {a..b: [3]}}": "2:16: not a dotted key; write a key such as optimizer.lr",
    "{grid: {sweep.seed: [3]}}": "2:16: a sweep does not vary itself; remove it",
    "{grid: {seed: [1]}, random: {seed: [1]}}": (
        "2:37: seed stands in sweep.grid and in sweep.random; keep one"
    ),
    "{grid: {seed: [1]}, samples: 2}": (
        "2:37: sweep.samples 2 needs sweep.random; else all are the same"
    ),
    "{grid: {seed: [1]}, samples: 0}": "2:37: sweep.samples must be greater than 0, not 0",
    "{runs: [{}]}": "2:16: must set a key, such as {optimizer.lr: 0.01}",
    "{runs: [{seed: 1}, {seed: 1}]}": (
        "2:27: the same settings stand in sweep.runs already; keep one"
    ),
    "{runs: [{seed: 1}, 3]}": "2:27: sweep.runs[1] must be a mapping, not 3",
    "{random: {seed: 3}}": (
        "2:24: seed in sweep.random must be a list, or {low, high, scale}, not 3; write [3]"
    ),
    "{random: {seed: {low: 1}}}": "2:24: missing key 'high' in sweep.random.seed; add it",
    "{random: {seed: {low: 1.5, high: 3}}}": "2:30: seed low must be a whole number, not 1.5",
    "{random: {seed: {low: 3, high: 3}}}": "2:30: seed low must be less than high 3",
    "{random: {optimizer.lr: {low: 0, high: 3, scale: log}}}": (
        "2:38: optimizer.lr low must be greater than 0 with scale log, not 0"
    ),
    "{random: {optimizer.lr: {low: a, high: 3}}}": (
        "2:38: optimizer.lr low must be a number, not 'a'"
    ),
    "{random: {seed: {low: 1, high: 3, scale: logarithm}}}": (
        "2:49: seed scale must be one of linear, log, not 'logarithm'"
    ),
    "{random: {seed: {low: 1, high: 3, sale: log}}}": (
        "2:42: unknown key 'sale' in sweep.random.seed; did you mean 'scale'?"
    ),
}


@pytest.mark.parametrize("section", REFUSED, ids=lambda text: text[:60])
def test_refused(section: str) -> None:
    assert lines(section) == [f"c:{REFUSED[section]}"]


def test_every_mistake_is_said_at_once() -> None:
    section = "{grid: {optimizer.lr: [1, -1], seed: 3, qq: [1]}, x: 3, random: {train.epochs: {}}}"
    found = lines(section, rest="loss: foo\n")
    assert [line.split(": ")[0] for line in found] == ["c:2:7"] + [
        f"c:3:{column}" for column in (34, 45, 48, 58, 87, 87)
    ]


def test_what_does_not_go_together_is_said_once() -> None:
    section = "{grid: {model: [linear, sigmoid_sum], model.units: [3], seed: [0, 1, 2]}}"
    assert lines(section) == [
        "c:2:46: model type linear has no key 'units'; remove it, or choose type sigmoid_sum"
    ]


def test_a_setting_from_an_override_with_report_there() -> None:
    assert lines("{grid: {seed: [1]}}", "sweep.grid.seed=[-1]") == [
        "--set sweep.grid.seed: seed must be at least 0, not -1"
    ]


def test_a_sweep_that_explodes_is_refused_before_it_is_made() -> None:
    values = ", ".join(map(str, range(200)))
    section = f"{{grid: {{seed: [{values}], data.split.seed: [{values}], data.lags: [{values}]}}}}"
    assert lines(section) == [f"c:2:8: 8,000,000 runs; make it {RUN_LIMIT:,} or fewer"]


def test_a_config_without_a_sweep_is_no_sweep() -> None:
    with pytest.raises(ConfigError) as caught:
        load_sweep_text(DATA, "c")
    assert caught.value.lines == (
        "c:1:1: a sweep sets keys; give it as sweep: with grid, random or runs",
    )
