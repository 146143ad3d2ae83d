"""A page drawn section by section, and its figures as PNG files: the way onto the disk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml2021.errors import ResourceError, RunInterruptedError
from ml2021.figures.style import to_png
from ml2021.report.blocks import Picture, Section
from ml2021.report.page import render
from ml2021.runs.directory import write_text
from ml2021.runs.files import replace_file


@dataclass(frozen=True)
class Heading:
    """What stands above the sections, and `footer` below them; `words` the most important first."""

    title: str
    subtitle: str
    words: Sequence[str]
    footer: str


def draw_page(
    page: Path,
    heading: Heading,
    sections: Iterable[Section],
    stop_signal: Callable[[], int | None],
    plots: Path | None,
) -> None:
    """Write the page, whole or not at all, and its figures as PNG into `plots`.

    Raises ResourceError where a file cannot be written, and RunInterruptedError when `stop_signal`
    has a signal.
    """
    if plots is not None:
        try:
            plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{plots}: cannot be made ({error.strerror})") from None

    def watched() -> Iterator[Section]:
        for section in sections:
            if (number_of_signal := stop_signal()) is not None:
                raise RunInterruptedError(
                    number_of_signal,
                    "stopped while drawing the report; all that it shows is saved; "
                    f"draw it with: ml2021 report --run {page.parent}",
                )
            yield section
            if plots is not None:  # after the page has it, which is then the same with them
                for block in section.blocks:
                    if isinstance(block, Picture):
                        replace_file(plots / f"{block.name}.png", to_png(block.figure))

    text = render(heading.title, heading.subtitle, heading.words, watched(), heading.footer)
    write_text(page, text)
