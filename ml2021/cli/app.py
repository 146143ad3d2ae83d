"""The Typer app: how commands are added, listed and helped."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from typer import Exit, Option, Typer, _completion_classes
from typer.core import TyperGroup

from ml2021 import __version__

EXIT_CODES = """Exit codes: 0 done; 1 a bug; 2 the config or the command line is wrong; 3 the data;
4 the run or its checkpoint; 5 the machine: disk, memory, device; 6 training diverged; 7 the run is
in use; 130 stopped by Ctrl-C."""

_ORDER = (
    *("init", "check", "train", "evaluate", "predict", "report", "explore", "compare", "sweep"),
    *("surface", "piecewise", "export", "keys", "schema"),
)

_LEAST_ADDRESSES, _ADDRESSES_OF_A_THREAD = 192 << 20, 32 << 20
"""Bytes with which numpy can be imported: on two cores it took 200 to 250 MB."""

Function = TypeVar("Function", bound=Callable[..., Any])


class _Group(TyperGroup):
    """The program: its commands in the order in which a newcomer needs them."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


app = Typer(
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  ml2021 train houses.csv --target price\n  ml2021 predict new.csv\n\n"
    + EXIT_CODES,
)

# Typer renders the descriptions with rich where that is installed: 0.1 s at each Tab.
_completion_classes._sanitize_help_text = lambda text: text


def command(*examples: str) -> Callable[[Function], Function]:
    """Add a command, whose help ends with these examples and the exit codes."""

    def add(function: Function) -> Function:
        described = inspect.cleandoc(function.__doc__ or "")
        lines = "\n".join(f"  ml2021 {example}" for example in examples)
        title = "Example" if len(examples) == 1 else "Examples"
        return app.command(
            short_help=described.partition("\n\n")[0].replace("\n", " "),  # whole, never cut
            epilog=f"\b\n{title}:\n{lines}\n\n{EXIT_CODES}",
        )(function)

    return add


def _print_version(value: bool) -> None:
    if value:
        print(f"ml2021 {__version__}")
        raise Exit


@app.callback()
def _options(
    version: Annotated[
        bool, Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train small neural networks on tables."""
    _check_address_space()


def _check_address_space() -> None:
    """Raise ResourceError where numpy's BLAS, which knows no exceptions, would end the process."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return

    from ml2021.errors import ResourceError
    from ml2021.files import cores

    if limit < _LEAST_ADDRESSES + cores() * _ADDRESSES_OF_A_THREAD:
        raise ResourceError(
            f"out of memory: this process may use {limit >> 20:,} MiB of addresses, but its "
            "libraries need some 3,000 MiB; raise the limit (ulimit -v)"
        )
