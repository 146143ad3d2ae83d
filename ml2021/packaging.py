"""Builds the package: absolute links in the README, and a whole source distribution.

A page of a package index shows the README without the repository around it. pyproject.toml names
`egg_info` as the command of setuptools that writes the description and lists the files of the
source distribution; `[tool.ml2021] links` is the address of the repository's files. Nothing of this
runs after the build.
"""

import re
import tomllib
from pathlib import Path

from setuptools.command import egg_info as setuptools_egg_info

_LINK = re.compile(r"\]\((?!https?:|#)")


def absolute_links(text: str, links: str) -> str:
    """Return Markdown whose relative links begin with `links`; unchanged where that is empty."""
    return _LINK.sub(f"]({links.rstrip('/')}/", text) if links else text


def links_of(pyproject: Path) -> str:
    """Return the address that `[tool.ml2021] links` names, "" for none."""
    links = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["ml2021"]["links"]
    if not isinstance(links, str):
        raise TypeError(f"{pyproject}: tool.ml2021.links must be text")
    return links


_SOURCES = ("CHANGELOG.md", ".ci/run")
_FOLDERS = ("configs", "data", "tests")


class egg_info(setuptools_egg_info.egg_info):  # noqa: N801 - the name of the command
    """Write the package's description, with absolute links, and list what the repository has."""

    def run(self) -> None:
        """Run the command of setuptools on the changed description."""
        metadata = self.distribution.metadata
        text = metadata.long_description or ""
        metadata.long_description = absolute_links(text, links_of(Path("pyproject.toml")))
        super().run()

    def find_sources(self) -> None:
        """Add the tests, and what they and the README show, to the source distribution."""
        super().find_sources()
        for path in _SOURCES:
            self.filelist.include(path)
        for folder in _FOLDERS:
            self.filelist.graft(folder)
        self.filelist.global_exclude("*.py[cod]")
