"""The colours that meet in a figure can be told apart by any kind of colour vision.

Dichromatic vision is simulated in linear RGB (Machado, Oliveira and Fernandes 2009, "A
physiologically-based model for simulation of color vision deficiency", severity 1), and distances
are those of CIE 1976 L*a*b*, where about 2 can just be seen.
"""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from ml2021.report.figures import style

Floats = NDArray[np.float64]

VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
MEETING = {
    "learning": (style.TRAINING, style.VALIDATION, style.BEST),
    "predictions": (style.TRUTH, style.PREDICTION, style.TRIVIAL),
    "surface": (style.PATH, style.BEST, "#ffffff"),
    "curve": (style.TRAINING, style.TANGENT, style.PATH, style.BEST),
    "sign": (style.PREDICTION, style.VALIDATION),
    "series": style.SERIES,
}


def seen(colours: Floats, vision: str) -> Floats:
    """Return sRGB colours (n, 3) in L*a*b* as somebody sees them."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ VISION[vision].T, 0, 1) @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def nearest(colours: tuple[str, ...], vision: str) -> float:
    points = seen(np.array([to_rgb(colour) for colour in colours]), vision)
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(points, 2))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", MEETING)
def test_colours_that_meet_are_told_apart(name: str, vision: str) -> None:
    assert nearest(MEETING[name], vision) > 10


def test_red_and_green_would_not_be() -> None:
    assert nearest(("#d62728", "#2ca02c"), "normal") > 100
    assert nearest(("#ff0000", "#8f7f00"), "protanopia") < 60
    assert nearest(("#c46a4a", "#7f8a3a"), "deuteranopia") < 10


@pytest.mark.parametrize("vision", VISION)
def test_the_map_of_losses_grows_lighter_whatever_the_vision(vision: str) -> None:
    colours = mpl.colormaps[style.SEQUENTIAL](np.linspace(0, 1, 20))[:, :3]
    lightness = seen(np.asarray(colours, np.float64), vision)[:, 0]
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize("vision", VISION)
def test_the_map_of_signs_has_two_sides(vision: str) -> None:
    ends = mpl.colormaps[style.DIVERGING](np.array([0.1, 0.5, 0.9]))[:, :3]
    low, middle, high = seen(np.asarray(ends, np.float64), vision)
    assert np.linalg.norm(low - high) > 40
    assert middle[0] > max(low[0], high[0]) + 20
