"""Simulate the daily views of a channel of lecture videos, and write them to views.csv.

The numbers are made up: no channel was counted. They have the shape of the curve that the first
lecture predicts, so that its ladder (one day back, a week, a month, deeper networks) can be
climbed with data that may be passed on freely. Run it with an optional folder to write to:

    python data/simulate_views.py [FOLDER]

All components multiply. With d the day, 2017-01-01 to 2021-03-31:

    views(d) = trend(d) · season(d) · week(d) · (1 + boost(d)) · noise(d)

trend    views a day: starts at `START_VIEWS` and grows by `GROWTH_PER_YEAR` a year.
season   a factor from holidays to exams. It is `HOLIDAY_FACTOR` between semesters and 1 in term;
         in the last `EXAM_RAMP_DAYS` days of a semester it climbs linearly to `EXAM_FACTOR`, and
         over the first `RETURN_DAYS` days it comes back from the holidays.
week     a factor for the day of the week. Friday and Saturday are low: much lower in term, when
         people study for classes, than in holidays, when they watch when they like.
boost    views that uploads add, as a part of the views without them (1 doubles the views). An
         upload falls on a day from Sunday to Thursday with a probability a day (higher in term)
         and adds a jump from a gamma distribution, times the room left below `BOOST_LIMIT`: an
         audience that is already there cannot come twice. From one day to the next a small boost
         keeps `BOOST_KEPT` of itself, a boost b only `BOOST_KEPT` − `BURN_OUT`·b.
noise    a lognormal factor whose logarithm has the deviation `NOISE`, independent from day to day.

Left to ml2021: everything that is learnt from the table. The generator is NumPy's PCG64 with the
fixed `SEED`, so that every run writes the same bytes.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np

FIRST_DAY, LAST_DAY = date(2017, 1, 1), date(2021, 3, 31)
SEED = 2021

START_VIEWS = 3_500.0  # views a day, in term, on an ordinary weekday
GROWTH_PER_YEAR = 0.06

# Semesters as (month, day) of the first and the last day; the first one ends in the new year.
SEMESTERS = (((9, 10), (1, 15)), ((2, 18), (6, 24)))
HOLIDAY_FACTOR = 0.78
EXAM_FACTOR, EXAM_RAMP_DAYS = 1.25, 28
RETURN_DAYS = 10

# Monday to Sunday.
WEEK_IN_TERM = (1.02, 1.06, 1.04, 0.98, 0.66, 0.54, 0.90)
WEEK_IN_HOLIDAYS = (1.02, 1.04, 1.02, 0.98, 0.84, 0.76, 0.92)

UPLOADS_PER_DAY_IN_TERM, UPLOADS_PER_DAY_IN_HOLIDAYS = 0.07, 0.02
JUMP_SHAPE, JUMP_SCALE = 2.0, 0.18  # on average 0.36 of the views without uploads
BOOST_LIMIT = 0.8
BOOST_KEPT = 0.92  # of a boost near 0, from one day to the next
BURN_OUT = 0.3  # how much less of itself a boost of 1 would keep

NOISE = 0.04  # about 4 % up or down


def semester_position(day: date) -> tuple[int, int] | None:
    """Return the days since the semester's first day and the days to its last; None in holidays."""
    for (first_month, first_day), (last_month, last_day) in SEMESTERS:
        for year in (day.year - 1, day.year):
            first = date(year, first_month, first_day)
            last = date(year + (last_month < first_month), last_month, last_day)
            if first <= day <= last:
                return (day - first).days, (last - day).days
    return None


def season_factor(day: date) -> float:
    """Return the factor of the time of the year: holidays, term, the weeks before exams."""
    position = semester_position(day)
    if position is None:
        return HOLIDAY_FACTOR
    since_first, to_last = position
    returned = min(1.0, since_first / RETURN_DAYS)
    near_exams = max(0.0, 1.0 - to_last / EXAM_RAMP_DAYS)
    return HOLIDAY_FACTOR + (1.0 - HOLIDAY_FACTOR) * returned + (EXAM_FACTOR - 1.0) * near_exams


def simulate() -> list[tuple[date, int]]:
    """Return (day, views) for every day, the same at each call."""
    random = np.random.Generator(np.random.PCG64(SEED))
    rows = []
    boost = 0.0
    for number in range((LAST_DAY - FIRST_DAY).days + 1):
        day = FIRST_DAY + timedelta(days=number)
        in_term = semester_position(day) is not None
        # Every day draws the same three numbers, used or not, so that a change of one probability
        # leaves the noise of all days as it was.
        chance = random.random()
        jump = random.gamma(JUMP_SHAPE, JUMP_SCALE)
        noise = np.exp(NOISE * random.standard_normal())

        boost *= BOOST_KEPT - BURN_OUT * boost
        uploads_per_day = UPLOADS_PER_DAY_IN_TERM if in_term else UPLOADS_PER_DAY_IN_HOLIDAYS
        if chance < uploads_per_day and day.weekday() not in (4, 5):
            boost = min(boost + jump * (1.0 - boost / BOOST_LIMIT), BOOST_LIMIT)

        trend = START_VIEWS * (1.0 + GROWTH_PER_YEAR) ** (number / 365.25)
        week = (WEEK_IN_TERM if in_term else WEEK_IN_HOLIDAYS)[day.weekday()]
        rows.append((day, round(trend * season_factor(day) * week * (1.0 + boost) * noise)))
    return rows


def write_views(folder: Path) -> Path:
    """Write views.csv into `folder` and return its path."""
    path = folder / "views.csv"
    lines = ["date,views"] + [f"{day.isoformat()},{views}" for day, views in simulate()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
    return path


if __name__ == "__main__":
    write_views(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
