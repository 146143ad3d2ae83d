"""Column names, column types, the task and dates, held to tables made by hand."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml2021.data.column_types import ColumnTypes, infer_column_types
from ml2021.data.csv.scan import Header
from ml2021.data.resolve import Problem, Selection, match_names, select_columns
from ml2021.data.series import is_date, sort_keys, to_moments
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
    header = header_of("date", "use", "a", "y")
    extra = {("data", "order_by"): "date", ("data", "split", "column"): "use"}
    selection, problems = select(header, extra=extra)
    assert not problems
    assert (selection.features, selection.extra) == (("a",), ("date", "use"))
    assert selection.used == ("a", "y", "date", "use")
    named, _ = select(header, features=["a", "date"], extra=extra)
    assert (named.features, named.extra) == (("date", "a"), ("use",))
    globbed, _ = select(header, features=["da*", "a"], extra=extra)
    assert (globbed.features, globbed.extra) == (("a",), ("date", "use"))


def test_a_repeated_name_is_told_apart_and_the_bare_one_is_refused() -> None:
    header = header_of("x", "y", "x", "y", "y")
    selection, problems = select(header, target="y.2", features=["x.*", "y.0"])
    assert not problems
    assert selection == Selection(targets=("y.2",), features=("x.0", "y.0", "x.1"), extra=())
    _, problems = select(header, target="y", exclude=["x"])
    assert [problem.keys for problem in problems] == [("data", "target"), ("data", "exclude", 0)]
    assert [problem.text.endswith("y.0, y.1, y.2") for problem in problems] == [True, False]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("veiws", "did you mean 'Views'?"),
        ("Date ", "did you mean 'date'?"),
        ("qqqq", "the columns are Views, date, c0, c1, c2, c3, c4, c5 and 2 more"),
        ("zzz*", "no column matches 'zzz*'"),
    ],
)
def test_a_wrong_name_gets_a_hint(name: str, hint: str) -> None:
    header = header_of("Views", "date", *(f"c{i}" for i in range(8)))
    _, (problem,) = select(header, target=["Views", name])
    assert problem.keys == ("data", "target", 1)
    assert problem.text.endswith(hint)


def test_a_column_cannot_be_target_and_excluded() -> None:
    _, (problem,) = select(header_of("a", "y"), exclude=["*"])
    assert problem.keys == ("data", "exclude")
    assert "'y'" in problem.text


def types_of(
    columns: Mapping[str, Sequence[Cell]],
    target: str | Sequence[str] = "y",
    task: AnyTask = "auto",
    lags: int = 0,
) -> ColumnTypes:
    """Infer the types; without a target, of columns that predict numbers."""
    columns = {"y": SERIES, **columns}
    selection, problems = select(header_of(*columns), target=target)
    assert not problems
    return infer_column_types(
        frame_of(columns), selection, task=task, lags=lags, max_categories=100, dates=[]
    )


ROWS = 40
SERIES = [((i * 37) % 101) / 4 for i in range(ROWS)]


def test_types_of_numbers_and_text() -> None:
    columns: dict[str, tuple[str, list[Cell]]] = {
        "number": ("number", [i % 3 for i in range(ROWS)]),
        "two": ("number", [i % 2 for i in range(ROWS)]),
        "two with gaps": ("number", [None if i % 5 == 0 else i % 2 * 2.5 for i in range(ROWS)]),
        "one": ("number", [7] * ROWS),
        "text": ("category", ["abc"[i % 3] for i in range(ROWS)]),
        "boolean": ("category", [str(i % 2 == 0) for i in range(ROWS)]),
        "empty or not": ("category", ["x" if i % 4 else "" for i in range(ROWS)]),
    }
    found = types_of({name: cells for name, (_, cells) in columns.items()})
    assert {f.name: f.type for f in found.features} == {name: t for name, (t, _) in columns.items()}
    assert found.notes == ()


def test_dates_names_and_empty_columns_are_excluded_with_a_note() -> None:
    found = types_of(
        {
            "day": [f"2021-03-{i % 28 + 1:02}" for i in range(ROWS)],
            "time": [f"{i % 24:02}.00.00" for i in range(ROWS)],
            "name": [f"person {i}" for i in range(ROWS)],
            "nothing": [None] * ROWS,
            "kept": SERIES[::-1],
        }
    )
    assert [(f.name, f.type) for f in found.features] == [("kept", "number")]
    names = ["day, time", "name", "nothing"]
    for note, name in zip(found.notes, names, strict=True):
        assert note.startswith(f"excluded: {name} (")


def test_text_is_a_category_if_it_has_few_values_or_they_repeat() -> None:
    repeated: list[Cell] = [f"v{i // 2}" for i in range(ROWS)]  # 20 values
    columns: dict[str, list[Cell]] = {
        "repeated": repeated,
        "names": [*repeated[:-1], "another"],
        "few": [f"v{i}" if i < 20 else None for i in range(ROWS)],  # a value per row, but only 20
    }
    assert [f.name for f in types_of(columns).features] == ["repeated", "few"]
    often: dict[str, list[Cell]] = {
        "often": [f"v{i % 21}" for i in range(126)],
        "y": [float(i * i % 37) for i in range(126)],
    }
    assert [f.type for f in types_of(often).features] == ["category"]


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
    found = types_of({"id": list(range(5, 5 + ROWS)), "step": list(range(0, 2 * ROWS, 2))})
    assert [(f.name, f.type) for f in found.features] == [("id", "number"), ("step", "number")]
    (note,) = found.notes
    assert note.startswith("id looks like a row number")


def pixels(count: int, top: float, stem: str = "px") -> dict[str, list[Cell]]:
    rows = np.random.default_rng(1).integers(0, 256, (ROWS, count)) * (top / 255)
    whole = top == 255
    return {f"{stem}{j}": [int(v) if whole else float(v) for v in rows[:, j]] for j in range(count)}


def groups(columns: Mapping[str, Sequence[Cell]]) -> set[str | None]:
    return {f.group for f in types_of(columns).features if f.type == "number"}


@pytest.mark.parametrize("top", [255, 1.0])
def test_sixteen_columns_of_numbers_from_one_stem_are_pixels(top: float) -> None:
    found = types_of({**pixels(16, top), "weight": SERIES[::-1]})
    assert [f.group for f in found.features] == ["px"] * 16 + [None]
    (note,) = found.notes
    assert note.startswith("px* are treated as pixels")


def test_what_is_no_image_gets_no_group() -> None:
    assert groups(pixels(15, 255)) == {None}
    assert groups(pixels(16, 254)) == {None}  # not whole numbers
    assert groups({**pixels(15, 255), "px15": [-1] * ROWS}) == {None}
    assert groups({**pixels(15, 255), "px15": [256] * ROWS}) == {None}
    assert groups({**pixels(15, 255), "q15": SERIES}) == {None}
    one_hot: dict[str, list[Cell]] = {
        f"px{j}": [int(i % 16 == j) for i in range(ROWS)] for j in range(16)
    }
    assert groups(one_hot) == {None}


def test_pixels_may_lack_values_and_be_two_valued_one_by_one() -> None:
    columns = pixels(16, 255)
    columns["px3"] = [0 if i % 2 else 255 for i in range(ROWS)]
    columns["px4"] = [None, *columns["px4"][1:]]
    columns["px5"] = [None] * ROWS
    found = types_of(columns)
    assert [(f.type, f.group) for f in found.features] == [("number", "px")] * 16


FEATURE: dict[str, list[Cell]] = {"x": [float(i * i) for i in range(ROWS)]}
CYCLE = list(range(ROWS))


@pytest.mark.parametrize(
    ("target", "task", "notes"),
    [
        (["ab"[i % 2] for i in CYCLE], "classification", 0),
        ([str(i % 2 == 0) for i in CYCLE], "classification", 0),
        ([f"class {i % 20}" for i in CYCLE], "classification", 0),
        ([i % 2 for i in CYCLE], "classification", 1),
        ([None if i % 4 == 0 else i % 2 - 0.5 for i in CYCLE], "classification", 1),
        ([i % 20 for i in CYCLE], "regression", 1),
        ([i % 21 for i in CYCLE], "regression", 0),
        ([i % 3 + 0.5 for i in CYCLE], "regression", 0),
        ([5] * ROWS, "regression", 0),
    ],
)
def test_the_task_follows_the_target(target: list[Cell], task: str, notes: int) -> None:
    found = types_of({**FEATURE, "y": target})
    assert (found.task, len(found.notes)) == (task, notes)
    assert all(note.startswith("y has ") and "set task: " in note for note in found.notes)


@pytest.mark.parametrize("task", ["regression", "classification", "structured"])
def test_the_config_overrides_the_task_of_numbers(task: AnyTask) -> None:
    found = types_of({**FEATURE, "y": [i % 2 for i in CYCLE]}, task=task)
    assert (found.task, found.notes) == (task, ())


def test_several_targets_are_structured() -> None:
    columns: dict[str, list[Cell]] = {**FEATURE, "a": [i % 2 for i in CYCLE], "b": [*SERIES]}
    assert types_of(columns, target=["a", "b"]).task == "structured"
    with pytest.raises(DataError, match="column 'b' is text"):
        types_of({**columns, "b": ["u"] * ROWS}, target=["a", "b"])


@pytest.mark.parametrize("task", ["regression", "structured"])
def test_text_is_no_number(task: AnyTask) -> None:
    with pytest.raises(DataError, match=f"column 'y' is text, but task: {task}"):
        types_of({**FEATURE, "y": ["ab"[i % 2] for i in CYCLE]}, task=task)


def test_no_feature_is_an_error_but_not_for_a_series() -> None:
    columns = {"name": [f"n{i}" for i in CYCLE]}
    with pytest.raises(DataError, match="y: no column is left"):
        types_of(columns)
    assert types_of(columns, lags=3).features == ()


def test_other_columns_beside_a_history_get_a_note() -> None:
    (note,) = types_of(FEATURE, lags=3).notes
    assert note.startswith("x comes from the predicted row")


def moments(*texts: str) -> list[np.datetime64]:
    return list(to_moments(pd.Series(texts, dtype=object)))


def test_numbers_sort_as_numbers_and_dates_in_time() -> None:
    assert list(sort_keys(pd.Series([3, 1, 2]), "data.order_by")) == [3.0, 1.0, 2.0]
    texts = pd.Series(["2021-01-10", np.nan, "2020/12/31", "2021-01-02 03:04", ""], dtype=object)
    keys = sort_keys(texts, "data.order_by")
    assert list(np.argsort(keys, kind="stable")) == [2, 3, 0, 1, 4]
    assert np.isnat(keys).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize(
    "text",
    [
        *("10.3.2021", "2021-3-1", "2021-02-30", "March", "2021", "20210331", "10:00"),
        *("2021-01-01T24:00", "2021-01-01 10:60", "0000-01-01"),
        *("0001-01-01T00:00+05:00", "9999-12-31T23:00-05:00"),  # no year of four digits in UTC
    ],
)
def test_text_without_an_order_in_time_is_refused(text: str) -> None:
    column = pd.Series(["2021-01-10", np.nan, text], name="day", dtype=object)
    with pytest.raises(DataError) as caught:
        sort_keys(column, "data.order_by")
    for fact in ("column 'day'", "data.order_by", f"'{text}'"):
        assert fact in str(caught.value)


def test_dates_written_in_several_ways_stand_in_the_order_of_time() -> None:
    in_order = [
        "1500-12-31T23:59:59",
        "2021-03-28T01:30+02:00",
        "2021-03-28 00:00",
        "2021-03-28T00:59:59,5Z",
        "2021-03-28T03:30:00+0200",
        "2021/03/28 01:31",
        "2021-03-28 01:31:00.250",
        "2021-03-28 01:31:00.250000123",
        "2021-03-28T01:31:01Z",
        "2021-03-29",
        "2021/04/01",
        "9999-12-31 23:59:59.999999",
    ]
    keys = moments(*in_order)
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys) - 1  # microseconds count, nanoseconds do not


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    st.none() | st.integers(-23 * 60, 23 * 60),
    st.sampled_from("T "),
    st.sampled_from(["minutes", "seconds", "microseconds"]),
)
def test_a_key_is_the_moment_in_utc(
    moment: datetime, offset: int | None, separator: str, unit: str
) -> None:
    zone = UTC if offset is None else timezone(timedelta(minutes=offset))
    text = moment.replace(tzinfo=None if offset is None else zone).isoformat(separator, unit)
    in_utc = datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    assert moments(text) == [np.datetime64(in_utc.replace(tzinfo=None), "us")]
