"""Dates: which come next, and the parts that are features."""

import numpy as np
import pytest

from ml2021.data.dates import next_dates


def moments(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]")


@pytest.mark.parametrize(
    ("last", "following"),
    [
        ("2021-01-01 2021-01-02", "2021-01-03 2021-01-04"),
        ("2021-02-22 2021-03-01", "2021-03-08 2021-03-15"),
        ("2021-03-01T22 2021-03-01T23", "2021-03-02T00 2021-03-02T01"),
        ("2021-01-01T00:00 2021-01-01T00:15", "2021-01-01T00:30 2021-01-01T00:45"),
        ("2021-02-01 2021-03-01", "2021-04-01 2021-05-01"),
        # 31 days twice, but months.
        ("2021-07-01 2021-08-01 2021-09-01", "2021-10-01 2021-11-01"),
        ("2021-07-01 2021-10-01", "2022-01-01 2022-04-01"),
        ("2019-06-30 2020-06-30", "2021-06-30 2022-06-30"),
        # Month ends, and a day that short months do not have.
        ("2020-12-31 2021-01-31", "2021-02-28 2021-03-31"),
        ("2021-01-31 2021-02-28", "2021-03-31 2021-04-30"),
        ("2021-06-30 2021-09-30", "2021-12-31 2022-03-31"),
        ("2021-01-30 2021-02-28 2021-03-30", "2021-04-30 2021-05-30"),
        ("2021-02-28 2021-03-28", "2021-04-28 2021-05-28"),
        # Leap years.
        ("2019-12-31 2020-01-31", "2020-02-29 2020-03-31"),
        ("2020-02-29 2021-02-28", "2022-02-28 2023-02-28"),
        ("2022-02-28 2023-02-28", "2024-02-28 2025-02-28"),
        ("2021-01-01T12 2021-02-01T12", "2021-03-01T12 2021-04-01T12"),
        ("2021-01-01 2021-01-29 2021-02-26", "2021-03-26 2021-04-23"),
        ("1969-11-30 1969-12-31", "1970-01-31 1970-02-28"),
    ],
)
def test_evenly_spaced_dates_go_on(last: str, following: str) -> None:
    found = next_dates(moments(*last.split()), 2)
    assert found is not None
    assert found.tolist() == moments(*following.split()).tolist()


@pytest.mark.parametrize(
    "last",
    [
        "2021-01-01",
        "2021-01-01 2021-01-01",
        "2021-01-02 2021-01-01",
        "2021-01-01 2021-01-02 2021-01-04",
        "2021-01-01 2021-02-02 2021-03-01",
        "2021-01-01T10 2021-02-01T11 2021-03-01T10",
        "2021-01-01 NaT 2021-01-03",
        "2021-03-01 2021-02-01",
    ],
)
def test_other_dates_do_not(last: str) -> None:
    assert next_dates(moments(*last.split()), 2) is None


def test_any_count_of_dates() -> None:
    days = moments("2021-01-01", "2021-01-02")
    assert next_dates(days, 0) is not None
    following = next_dates(days, 1000)
    assert following is not None
    assert following[-1] == np.datetime64("2023-09-29")
