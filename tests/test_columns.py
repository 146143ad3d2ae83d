"""Names against a header, kinds and task against rows, held to tables made by hand."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml2021.data.column_types import ColumnTypes, infer_column_types
from ml2021.data.csv.headers import Header
from ml2021.data.resolve import Problem, Selection, match_names, select_columns
from ml2021.data.series import date_key, is_date, sort_keys
from ml2021.errors import DataError
from tests.tables import Cell, frame_of, header_of

AnyTask = Literal["auto", "regression", "classification", "structured"]


def select(
    header: Header,
    target: str | Sequence[str] = "y",
    features: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    extra: Mapping[tuple[str, ...], str] | None = None,
) -> tuple[Selection, list[Problem]]:
    return select_columns(
        header, target=target, features=features, exclude=exclude, extra=extra or {}
    )


def test_an_exact_name_wins_over_a_glob() -> None:
    header = header_of("a*", "ab", "a?", "ac")
    assert match_names(header, "a*") == ["a*"]
    assert match_names(header, "a?") == ["a?"]
    assert match_names(header_of("ab", "a?x", "ac"), "a?") == ["ab", "ac"]


@pytest.mark.parametrize("name", ["C[", "a.b", "C6H6(GT)", "[ab]", "a|b", "^a$", "a\\", "{2}", "+"])
def test_only_star_and_question_mark_are_special(name: str) -> None:
    header = header_of("a", "b", "axb", name, f"{name}1")
    assert match_names(header, name) == [name]
    assert match_names(header, f"{name}*") == [name, f"{name}1"]
    assert match_names(header, f"{name}?") == [f"{name}1"]


@given(st.lists(st.text("ab.*?[\n", min_size=1, max_size=4), unique=True), st.text("ab.*?[\n"))
def test_globs_match_as_a_slow_matcher_does(names: list[str], pattern: str) -> None:
    def matches(glob: str, name: str) -> bool:
        if not glob:
            return not name
        if glob[0] == "*":
            return matches(glob[1:], name) or (bool(name) and matches(glob, name[1:]))
        return bool(name) and glob[0] in ("?", name[0]) and matches(glob[1:], name[1:])

    expected = [pattern] if pattern in names else [n for n in names if matches(pattern, n)]
    assert match_names(header_of(*names), pattern) == expected


def test_selection_is_in_file_order_and_without_targets_and_excluded() -> None:
    header = header_of("d", "y", "c", "b", "a", "x")
    selection, problems = select(header, features=["a", "b", "*"], exclude=["x", "c*"])
    assert not problems
    assert selection == Selection(targets=("y",), features=("d", "b", "a"), extra=())
    assert selection.used == ("d", "b", "a", "y")


def test_a_target_is_no_feature_even_when_it_is_named() -> None:
    selection, problems = select(header_of("y", "a"), features=["y", "a"])
    assert (selection.features, problems) == (("a",), [])


def test_targets_keep_the_order_of_the_config_and_come_once() -> None:
    header = header_of("p_1", "a", "p_2", "q")
    selection, _ = select(header, target=["q", "p_2", "p_*"])
    assert selection.targets == ("q", "p_2", "p_1")
    assert selection.features == ("a",)


def test_columns_that_sort_or_split_are_features_only_by_name() -> None:
    header = header_of("date", "part", "a", "y")
    extra = {("data", "order_by"): "date", ("data", "split", "column"): "part"}
    selection, problems = select(header, extra=extra)
    assert not problems
    assert (selection.features, selection.extra) == (("a",), ("date", "part"))
    assert selection.used == ("a", "y", "date", "part")
    named, _ = select(header, features=["a", "date"], extra=extra)
    assert (named.features, named.extra) == (("date", "a"), ("part",))
    globbed, _ = select(header, features=["da*", "a"], extra=extra)
    assert (globbed.features, globbed.extra) == (("a",), ("date", "part"))


def test_a_repeated_name_is_told_apart_and_the_bare_one_is_refused() -> None:
    header = header_of("x", "y", "x", "y", "y")
    selection, problems = select(header, target="y.2", features=["x.*", "y.0"])
    assert not problems
    assert selection == Selection(targets=("y.2",), features=("x.0", "y.0", "x.1"), extra=())
    _, problems = select(header, target="y", exclude=["x"])
    assert problems == [
        Problem(
            ("data", "target"),
            "column name 'y' occurs more than once; choose one of y.0, y.1, y.2",
        ),
        Problem(
            ("data", "exclude", 0), "column name 'x' occurs more than once; choose one of x.0, x.1"
        ),
    ]


def test_every_wrong_name_is_said_with_its_key() -> None:
    _, problems = select(
        header_of("Views", "weekday", "date", "part"),
        target=["Views", "veiws"],
        features=["weekday", "weekdays", "zzz*"],
        exclude=["Date "],
        extra={("data", "order_by"): "day", ("data", "split", "column"): "qqqq"},
    )
    columns = "; the columns are Views, weekday, date, part"
    assert problems == [
        Problem(("data", "target", 1), "no column 'veiws' in t.csv; did you mean 'Views'?"),
        Problem(("data", "exclude", 0), "no column 'Date ' in t.csv; did you mean 'date'?"),
        Problem(("data", "features", 1), "no column 'weekdays' in t.csv; did you mean 'weekday'?"),
        Problem(("data", "features", 2), "no column matches 'zzz*'"),
        Problem(("data", "order_by"), "no column 'day' in t.csv; did you mean 'weekday'?"),
        Problem(("data", "split", "column"), f"no column 'qqqq' in t.csv{columns}"),
    ]


def test_a_long_header_is_not_listed_in_full() -> None:
    _, problems = select(header_of(*(f"c{i}" for i in range(10))), target="qqqq")
    assert problems[0].text == (
        "no column 'qqqq' in t.csv; the columns are c0, c1, c2, c3, c4, c5, c6, c7 and 2 more"
    )


def test_a_column_cannot_be_target_and_excluded() -> None:
    _, problems = select(header_of("a", "y"), exclude=["*"])
    assert problems == [
        Problem(
            ("data", "exclude"),
            "column 'y' is excluded and a target; leave it out of one of them",
        )
    ]


def plan(
    columns: Mapping[str, Sequence[Cell]],
    target: str | Sequence[str] = "y",
    task: AnyTask = "auto",
    lags: int = 0,
) -> ColumnTypes:
    frame = frame_of(columns)
    selection, problems = select(header_of(*columns), target=target)
    assert not problems
    return infer_column_types(frame, selection, task=task, lags=lags)


ROWS = 40
SERIES = [((i * 37) % 101) / 4 for i in range(ROWS)]


def kinds(columns: Mapping[str, Sequence[Cell]]) -> tuple[dict[str, str], tuple[str, ...]]:
    found = plan({**columns, "y": SERIES})
    return {f.name: f.kind for f in found.features}, found.notes


def test_kinds_of_numbers_and_text() -> None:
    found, notes = kinds(
        {
            "number": [i % 3 for i in range(ROWS)],
            "two": [i % 2 for i in range(ROWS)],
            "two with gaps": [None if i % 5 == 0 else i % 2 * 2.5 for i in range(ROWS)],
            "one": [7] * ROWS,
            "text": ["abc"[i % 3] for i in range(ROWS)],
            "boolean": [str(i % 2 == 0) for i in range(ROWS)],
            "empty or not": ["x" if i % 4 else "" for i in range(ROWS)],
        }
    )
    assert found == {
        "number": "number",
        "two": "category",
        "two with gaps": "category",
        "one": "number",
        "text": "category",
        "boolean": "category",
        "empty or not": "category",
    }
    assert notes == ()


def test_dates_names_and_empty_columns_are_left_out_with_a_note() -> None:
    found, notes = kinds(
        {
            "day": [f"2021-03-{i % 28 + 1:02}" for i in range(ROWS)],
            "time": [f"{i % 24:02}.00.00" for i in range(ROWS)],
            "name": [f"person {i}" for i in range(ROWS)],
            "nothing": [None] * ROWS,
            "kept": SERIES[::-1],
        }
    )
    assert found == {"kept": "number"}
    assert notes == (
        "left out: day, time (dates or times)",
        "left out: name (text with nearly a value per row)",
        "left out: nothing (no value at all)",
    )


def test_text_is_a_category_up_to_twenty_values_or_half_the_rows() -> None:
    repeated = [f"v{i // 2}" for i in range(ROWS)]  # 20 values
    found, _ = kinds({"repeated": repeated, "names": [*repeated[:-1], "another"]})
    assert found == {"repeated": "category"}
    few = [f"v{i}" if i < 20 else None for i in range(ROWS)]  # a value per row, but only 20
    assert kinds({"few": few})[0] == {"few": "category"}
    values = [f"v{i % 21}" for i in range(2 * 21)]
    frame: dict[str, list[Cell]] = {"half": [*values], "y": [float(i * i % 37) for i in range(42)]}
    assert [f.kind for f in plan(frame).features] == ["category"]


@pytest.mark.parametrize(
    "text",
    [
        "2021-03-31",
        "2021/03/31 10:00",
        "2021-03-31T10:00:00.123Z",
        "2021-03-31 10:00:00+02:00",
        "31.3.2021",
        "3/31/21",
        "10/03/2004 18.00.00",
        "18.00.00",
        "18:00",
        "6:00:00",
    ],
)
def test_dates_and_times_as_people_write_them(text: str) -> None:
    assert is_date([text])
    assert not is_date([f"{text} or so"])


def test_one_odd_value_in_ten_still_makes_dates() -> None:
    dates = [f"2021-03-{i:02}" for i in range(1, 19)]
    assert is_date([*dates, "unknown", "later"])
    assert not is_date([*dates, "unknown", "later", "never"])
    assert not is_date([])


def test_a_column_that_counts_the_rows_is_kept_with_a_note() -> None:
    found, notes = kinds({"id": list(range(5, 5 + ROWS)), "step": list(range(0, 2 * ROWS, 2))})
    assert found == {"id": "number", "step": "number"}
    assert notes == ("id counts the rows; if it only names them, add it to data.exclude",)


def pixels(count: int, top: float, stem: str = "p") -> dict[str, list[Cell]]:
    rows = np.random.default_rng(1).integers(0, 256, (ROWS, count)) * (top / 255)
    whole = top == 255
    return {f"{stem}{j}": [int(v) if whole else float(v) for v in rows[:, j]] for j in range(count)}


def groups(columns: Mapping[str, Sequence[Cell]]) -> set[str | None]:
    return {f.group for f in plan({**columns, "y": SERIES}).features if f.kind == "number"}


@pytest.mark.parametrize("top", [255, 1.0])
def test_sixteen_columns_of_numbers_from_one_stem_are_pixels(top: float) -> None:
    found = plan({**pixels(16, top), "weight": SERIES[::-1], "y": SERIES})
    assert [f.group for f in found.features] == ["p"] * 16 + [None]
    assert found.notes == ("p* are taken for pixels: numbers that share one scale",)


def test_what_is_no_image_gets_no_group() -> None:
    assert groups(pixels(15, 255)) == {None}
    assert groups(pixels(16, 254)) == {None}  # not whole numbers
    assert groups({**pixels(15, 255), "p15": [-1] * ROWS}) == {None}
    assert groups({**pixels(15, 255), "p15": [256] * ROWS}) == {None}
    assert groups({**pixels(15, 255), "q15": SERIES}) == {None}
    one_hot: dict[str, list[Cell]] = {
        f"p{j}": [int(i % 16 == j) for i in range(ROWS)] for j in range(16)
    }
    assert groups(one_hot) == set()


def test_pixels_may_lack_values_and_be_two_valued_one_by_one() -> None:
    columns = pixels(16, 255)
    columns["p3"] = [0 if i % 2 else 255 for i in range(ROWS)]
    columns["p4"] = [None, *columns["p4"][1:]]
    columns["p5"] = [None] * ROWS
    found = plan({**columns, "y": SERIES})
    assert [(f.kind, f.group) for f in found.features] == [("number", "p")] * 16


FEATURE: dict[str, list[Cell]] = {"x": [float(i * i) for i in range(ROWS)]}
CYCLE = list(range(ROWS))


@pytest.mark.parametrize(
    ("target", "task", "notes"),
    [
        (["ab"[i % 2] for i in CYCLE], "classification", ()),
        ([str(i % 2 == 0) for i in CYCLE], "classification", ()),
        ([f"class {i % 20}" for i in CYCLE], "classification", ()),
        (
            [i % 2 for i in CYCLE],
            "classification",
            ("y has two values: classification; task: regression overrides it",),
        ),
        (
            [None if i % 4 == 0 else i % 2 - 0.5 for i in CYCLE],
            "classification",
            ("y has two values: classification; task: regression overrides it",),
        ),
        (
            [i % 20 for i in CYCLE],
            "regression",
            (
                "y has 20 different whole numbers and is predicted as a number; "
                "set task: classification if they are classes",
            ),
        ),
        ([i % 21 for i in CYCLE], "regression", ()),
        ([i % 3 + 0.5 for i in CYCLE], "regression", ()),
        ([5] * ROWS, "regression", ()),
    ],
)
def test_the_task_follows_the_target(target: list[Cell], task: str, notes: tuple[str, ...]) -> None:
    found = plan({**FEATURE, "y": target})
    assert (found.task, found.notes) == (task, notes)


@pytest.mark.parametrize("task", ["regression", "classification", "structured"])
def test_the_config_overrides_the_task_of_numbers(task: AnyTask) -> None:
    found = plan({**FEATURE, "y": [i % 2 for i in CYCLE]}, task=task)
    assert (found.task, found.notes) == (task, ())


def test_several_targets_are_structured() -> None:
    columns: dict[str, list[Cell]] = {**FEATURE, "a": [i % 2 for i in CYCLE], "b": [*SERIES]}
    assert plan(columns, target=["a", "b"]).task == "structured"
    with pytest.raises(DataError) as caught:
        plan({**columns, "b": ["u"] * ROWS}, target=["a", "b"])
    assert str(caught.value) == (
        "column 'b' is text, and a structured output is made of numbers; "
        "leave it out of data.target"
    )


@pytest.mark.parametrize("task", ["regression", "structured"])
def test_text_is_no_number(task: AnyTask) -> None:
    with pytest.raises(DataError) as caught:
        plan({**FEATURE, "y": ["ab"[i % 2] for i in CYCLE]}, task=task)
    assert str(caught.value) == (
        f"column 'y' is text and task: {task} predicts numbers; "
        "set task: classification, or leave the key out"
    )


def test_no_feature_is_an_error_but_not_for_a_series() -> None:
    columns: dict[str, list[Cell]] = {"name": [f"n{i}" for i in CYCLE], "y": [*SERIES]}
    with pytest.raises(DataError) as caught:
        plan(columns)
    assert str(caught.value) == (
        "y: no column is left to predict it from; see data.features and data.exclude"
    )
    assert plan(columns, lags=3).features == ()


def test_other_columns_beside_a_history_get_a_note() -> None:
    found = plan({**FEATURE, "y": SERIES}, lags=3)
    assert found.notes == (
        "x of the predicted row itself must be known when predicting, beside the history; "
        "data.exclude leaves columns out",
    )


def test_numbers_sort_as_numbers_and_dates_in_time() -> None:
    assert list(sort_keys(pd.Series([3, 1, 2]), "data.order_by")) == [3.0, 1.0, 2.0]
    texts = pd.Series(["2021-01-10", np.nan, "2020/12/31", "2021-01-02 03:04", ""], dtype=object)
    keys = sort_keys(texts, "data.order_by")
    assert list(np.argsort(keys, kind="stable")) == [1, 4, 2, 3, 0]
    assert [bool(key) for key in keys] == [True, False, True, True, False]


@pytest.mark.parametrize("text", ["10.3.2021", "2021-3-1", "2021-02-30", "March", "2021", "10:00"])
def test_text_without_an_order_in_time_is_refused(text: str) -> None:
    column = pd.Series(["2021-01-10", text], name="day", dtype=object)
    with pytest.raises(DataError) as caught:
        sort_keys(column, "data.order_by")
    assert str(caught.value) == (
        f"column 'day', used as data.order_by, holds '{text}', which is neither a number nor a "
        "date like 2021-03-31; rewrite the column so"
    )


def test_dates_written_in_several_ways_stand_in_the_order_of_time() -> None:
    in_order = [
        "2021-03-28T01:30+02:00",
        "2021-03-28 00:00",
        "2021-03-28T00:59:59.5Z",
        "2021-03-28T03:30:00+0200",
        "2021/03/28 01:31",
        "2021-03-28 01:31:00.250",
        "2021-03-28T01:31:01Z",
        "2021-03-29",
        "2021/04/01",
    ]
    keys = [date_key(text) for text in in_order]
    assert None not in keys
    assert keys == sorted(str(key) for key in keys)
    assert len(set(keys)) == len(keys)


@given(st.datetimes(), st.datetimes())
def test_the_order_of_keys_is_the_order_of_moments(a: datetime, b: datetime) -> None:
    first, second = date_key(a.isoformat(" ")), date_key(b.isoformat("T"))
    assert first is not None
    assert second is not None
    assert (first < second) == (a < b)


def test_a_moment_beyond_the_calendar_is_no_key() -> None:
    assert date_key("0001-01-01T00:00+05:00") is None
