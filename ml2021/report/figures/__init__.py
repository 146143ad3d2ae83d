"""Figures, each drawn from plain arrays and names.

matplotlib is imported here first, so that the settings of the user's environment do not matter: no
display is needed, and a directory for its cache that cannot be written is no news.
"""

import logging
import os
import shutil

logging.getLogger("matplotlib").setLevel(logging.ERROR)
_backend = os.environ.pop("MPLBACKEND", None)
_directory = os.environ.get("MPLCONFIGDIR")

import matplotlib  # noqa: E402
from matplotlib import font_manager  # noqa: E402, F401

matplotlib.get_configdir()
matplotlib.get_cachedir()
if _backend is not None:
    os.environ["MPLBACKEND"] = _backend
if (_made := os.environ.get("MPLCONFIGDIR")) is not None and _made != _directory:
    # a temporary directory, which matplotlib removes at an exit of the interpreter that we skip
    shutil.rmtree(_made, ignore_errors=True)
