"""Makes the README's relative links absolute where `[tool.ml2021] links` says where they lead.

A page of a package index shows the README without the repository around it.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup


def readme(links: str) -> str:
    """Return the README; with an address in `links`, that of this folder, every link is whole."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    if not links:
        return text
    return re.sub(r"\]\((?!https?:|#)", f"]({links.rstrip('/')}/", text)


if __name__ == "__main__":
    project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8"))
    setup(
        long_description=readme(project["tool"]["ml2021"]["links"]),
        long_description_content_type="text/markdown",
    )
