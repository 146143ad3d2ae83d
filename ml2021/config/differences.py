"""How two configs differ, in lines for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml2021.config.documents import Path
from ml2021.config.messages import dotted
from ml2021.config.scalars import dump_value
from ml2021.errors import echo

_TAGS = ("type", "method")


def differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield each key whose value is not what it was, and the sentence that says so.

    Both are plain configs. Where a union has another member, only its tag is named.
    """
    yield from _below((), now, then)


def _below(path: Path, now: object, then: object) -> Iterator[tuple[Path, str]]:
    if now == then:
        return
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        keys = dict.fromkeys((*now, *then))
        tag = next((key for key in keys if key in _TAGS and now.get(key) != then.get(key)), None)
        for key in keys if tag is None else (tag,):
            yield from _below((*path, key), now.get(key), then.get(key))
    else:
        yield path, f"{dotted(path)} is {echo(dump_value(now))}, and was {echo(dump_value(then))}"
