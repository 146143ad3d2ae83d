"""The command line to try next: that of a run, with other settings."""

import shlex
from collections.abc import Sequence

_TAKES_VALUE = {"--config", "--set", "--target", "--run-dir", "--init-from", "--resume"}
"""The options of `train` that are followed by a value; the others are flags."""


def next_command(command: Sequence[str], config_path: str, settings: Sequence[str]) -> str:
    """Return the command line of a new run with these settings.

    command: that of the run, as in `sys.argv`; if it names neither a config nor a table,
    `config_path` is used.
    """
    source = ["--config", config_path]
    targets: list[str] = []
    overrides: list[str] = []
    for option, value in _parsed(command[2:] if [*command[1:2]] == ["train"] else ()):
        match option:
            case "--config":
                source = [option, value]
            case "":
                source = [value]
            case "--target":
                targets += [option, value]
            case "--set":
                overrides.append(value)
    changed = {setting.partition("=")[0] for setting in settings}
    kept = [text for text in overrides if text.partition("=")[0] not in changed]
    sets = [word for text in (*kept, *settings) for word in ("--set", text)]
    return shlex.join(["ml2021", "train", *source, *targets, *sets])


def _parsed(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options of a command line with their values; "" is that of an argument."""
    found = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if option in _TAKES_VALUE:
            found.append((option, value if equals or not rest else rest.pop(0)))
        elif not word.startswith("--"):
            found.append(("", word))
    return found
