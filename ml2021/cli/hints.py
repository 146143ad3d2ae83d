"""Wrong command lines in one line: what is wrong, and what to type instead.

Options of other programs, such as `--lr 0.1`, become the key of the config that they mean.
"""

import shlex
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from ml2021.formatting import closest, echo

_WORDS = {
    "run-dir": (
        "run",
        "run_name",
        "name",
        "out",
        "o",
        "output",
        "output_dir",
        "out_dir",
        "save_dir",
        "log_dir",
        "dir",
    ),
    "output": ("name", "out", "o", "out_file", "output_file", "save"),
    "run": ("model", "m", "checkpoint", "model_path", "run_name", "run_dir"),
    "resume": ("continue", "checkpoint", "resume_from"),
    "init-from": ("pretrained", "weights", "warm_start", "checkpoint_path"),
    "config": ("config_file", "cfg", "yaml", "c", "f"),
    "jobs": ("n_jobs", "j", "workers", "num_workers", "processes"),
    "ahead": ("horizon", "steps", "forecast"),
    "interval": ("level", "confidence", "coverage", "alpha"),
    "id": ("keep", "key", "columns", "index"),
    "threshold": ("cutoff",),
    "quiet": ("q", "silent"),
    "verbose": ("v", "debug"),
    "version": ("V",),
    "plots": ("figures", "png"),
    "pieces": ("n", "segments"),
    "target": ("y", "label", "t"),
}
"""Names of our options in other programs."""
_COMMANDS = {
    **dict.fromkeys(("fit", "run", "learn", "start"), "train"),
    **dict.fromkeys(("test", "score", "eval"), "evaluate"),
    **dict.fromkeys(("infer", "inference", "apply", "forecast"), "predict"),
    **dict.fromkeys(("plot", "show", "view"), "report"),
    **dict.fromkeys(("tune", "search", "grid"), "sweep"),
    **dict.fromkeys(("new", "create"), "init"),
    **dict.fromkeys(("validate", "lint", "dry_run"), "check"),
}
"""Commands of other programs."""
_VALUES = {"gpu": "device=cuda", "cuda": "device=cuda", "cpu": "device=cpu"}
"""Options of other programs that are a value of a key."""
_OF_CONFIGS = ("train", "sweep", "init", "check")
"""The commands whose --set takes any key; that of the others takes how a CSV is written."""
_EXACT, _ALIKE = 1.0, 0.75


def usage_line(error: Any, arguments: Sequence[str]) -> str:
    """Describe a Typer usage error in one line.

    error: a UsageError, whose class typer does not export. arguments: all that was typed.
    """
    message, name = str(error.format_message()), getattr(error, "option_name", None)
    if name is not None and "No such option" in message and error.ctx is not None:
        return _unknown_option(name, error.ctx, arguments)
    if "No such command" in message and error.ctx is not None:
        return _unknown_command(error.ctx, arguments)
    command = error.ctx.command_path if error.ctx is not None else f"ml2021 {arguments[0]}"
    if type(error).__name__ == "BadParameter" and error.param is None and not error.param_hint:
        message = error.message
    message = (message[:1].lower() + message[1:]).rstrip(".")
    if "unexpected extra argument" in message:
        if setting := _apart(arguments):
            return f"{command}: --set {setting[0]} has spaces; write --set {setting[1]}"
        extra = echo(message.partition("(")[2].removeprefix("s) (").removesuffix(")"))
        also = (
            f", or name the target by --target {extra}"
            if command.endswith(" train") and "." not in extra
            else ", or quote the pattern of a table in parts"
            if "." in extra
            and not _is_number(extra)
            and command.endswith((" train", " check", " init"))
            else ""
        )
        message = f"unexpected {extra}; remove it{also}"
    message = message.partition(", unable to parse")[0]
    return f"{command}: {message}; see {command} --help"


def _unknown_command(context: Any, arguments: Sequence[str]) -> str:
    """Say which command is meant by one of another program, or by none at all."""
    name = next(word for word in arguments if word not in context.command.commands)
    unknown = f"ml2021: no such command '{echo(name)}'"
    if Path(name).exists():
        return f"{unknown}; did you mean: ml2021 train {shlex.quote(echo(name))}?"
    meant = closest(name, context.command.commands, _COMMANDS)
    return f"{unknown}; " + (f"did you mean '{meant}'?" if meant else "see ml2021 --help")


def _unknown_option(name: str, context: Any, arguments: Sequence[str]) -> str:
    """Say which key or option an unknown one means."""
    typed, values = _as_typed(name, arguments)
    unknown = f"{' '.join([typed, *map(echo, values)])}: no such option"
    word = name.lstrip("-").replace("-", "_")
    own = {
        option.lstrip("-"): option
        for parameter in context.command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }
    synonyms = {word: option for option in own for word in _WORDS.get(option, ())}
    for cutoff in (_EXACT, _ALIKE):
        if meant := closest(word, own, synonyms, cutoff=cutoff):
            return f"{unknown}; did you mean {own[meant]}?"
        if "set" in own and (setting := _setting(word, values, context.info_name, cutoff)):
            return f"{unknown}; use --set {shlex.quote(setting)}"
    return f"{unknown}; see {context.command_path} --help"


def _setting(word: str, values: Sequence[str], command: str, cutoff: float) -> str | None:
    """Return KEY=VALUE for an option of another program, if it means a key of the config."""
    from ml2021.config.messages import TAGS, dotted, key_named
    from ml2021.config.paths import members, models_at, takes_list
    from ml2021.config.schema import FORMAT_KEYS
    from ml2021.config.yaml_scalars import dump_value, resolve_scalar

    path = key_named(word, cutoff)
    if command not in _OF_CONFIGS and path not in [("data", key) for key in FORMAT_KEYS]:
        return None
    if path is None:
        return _VALUES.get(word)
    if path[0] == "sweep" and command == "train":
        return None
    if path[-1] in TAGS and not {*values} <= members(models_at(path[:-1])).keys():
        return None  # a name or method of something else
    if [*values] == [","]:  # a mark, no list
        return f"{dotted(path)}=,"
    texts = [text.strip() for value in values for text in value.strip("[]()").split(",")]
    try:
        items = [dump_value(resolve_scalar(text)) for text in texts] or ["VALUE"]
    except ValueError:  # such as 010, which YAML reads in several ways
        items = texts
    if takes_list(path) and (len(items) > 1 or _is_number(items[0])):
        return f"{dotted(path)}=[{', '.join(items)}]"
    return f"{dotted(path)}={items[0]}"


def _apart(arguments: Sequence[str]) -> tuple[str, str] | None:
    """Return a KEY=VALUE that was typed with spaces, as `lr = 0.1` or `lr: 0.1`, and without."""
    from ml2021.config.messages import key_named

    for position, argument in enumerate(arguments[:-2]):
        first, *rest = arguments[position + 1 : position + 4]
        key = first.rstrip(":=")
        if argument != "--set" or "=" in key or key_named(key, _EXACT) is None:
            continue
        value = next(text for text in (rest[0].lstrip("="), *rest[1:]) if text)
        typed = [first, *rest[: 1 + (rest[0] == "=")]]
        return echo(" ".join(typed)), shlex.quote(echo(f"{key}={value}"))
    return None


def _as_typed(name: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return an option as it was typed, and its value, or several if they are numbers."""
    for position, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option == name:
            following = [value] if equals else list(arguments[position + 1 :])
            following = following[following[:1] == ["="] :]  # --lr = 0.1
            numbers = list(takewhile(_is_number, following))
            if len(numbers) > 1:
                return option, numbers
            return option, [value for value in following[:1] if not value.startswith("--")]
    return name, []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
