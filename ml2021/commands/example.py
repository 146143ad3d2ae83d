"""A small table to begin with, made of nothing but a seed: `ml2021 init --example`.

House prices, simulated: 600 sales, with a few empty cells. The price of a square metre depends on
the city, falls with age and rises again for old houses, so that a straight line is not enough.
"""

import math
import random
from datetime import date, timedelta

NAME = "houses"
TARGET = "price"
ROWS = 600
_SEED = 2021
_CITIES = {"Harbour": 4100, "Hill": 3300, "Old Town": 3900, "Suburb": 2400, "Village": 1700}
_MISSING = 0.04
_HEADER = "area,rooms,built,city,garden,distance,sold,price"


def example_csv() -> str:
    """Return the table as CSV; the same on every machine."""
    rng = random.Random(_SEED)
    return "\n".join([_HEADER, *(_row(rng) for _ in range(ROWS))]) + "\n"


def _row(rng: random.Random) -> str:
    """Return a sale: area in m², distance to the centre in km, price in euros."""
    city = rng.choice(list(_CITIES))
    area = round(math.exp(rng.gauss(4.6, 0.35)))
    rooms = max(1, min(9, round(area / 27 + rng.gauss(0, 0.7))))
    built = 2020 - round(rng.triangular(0, 120, 25))
    garden = rng.random() < (0.8 if city in ("Suburb", "Village") else 0.25)
    distance = round(rng.expovariate(1 / 6), 1)
    sold = date(2018, 1, 1) + timedelta(days=rng.randrange(1826))
    age = sold.year - built
    condition = 1 - 0.35 * math.exp(-(((age - 45) / 22) ** 2))
    growth = 1 + 0.05 * (sold - date(2018, 1, 1)).days / 365
    price = area * _CITIES[city] * condition * growth * (0.6 + 0.6 * math.exp(-distance / 5))
    price = price * (1.08 if garden else 1) * math.exp(rng.gauss(0, 0.06)) + 9_000 * rooms
    cells = [area, rooms, built, city, "yes" if garden else "no", distance, sold.isoformat()]
    texts = [
        "" if name in ("rooms", "built", "distance") and rng.random() < _MISSING else str(cell)
        for name, cell in zip(_HEADER.split(","), cells, strict=False)
    ]
    return ",".join([*texts, str(round(price / 1000) * 1000)])
