"""Links to notebooks, with a second one that opens them in Colab where their GitHub repository is known."""

from __future__ import annotations

import os
import re

VARIABLE = "CIRCUITSPEX_REPOSITORY"
"""The environment variable that names it as OWNER/NAME; the workflow that builds the site sets it."""
_NOTEBOOK = re.compile(r"\[[^\]]+\]\((?:\.\./)*(notebooks/[\w.-]+\.ipynb)\)")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def with_colab(markdown: str, repository: str | None = None) -> str:
    """The page with '(Colab)' behind each link to a notebook; as it is where no repository is named.

    Raises:
        ValueError: what names the repository is not OWNER/NAME.
    """
    repository = os.environ.get(VARIABLE, "") if repository is None else repository
    if not repository:
        return markdown
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"{VARIABLE} must be OWNER/NAME of a GitHub repository, not '{repository}'")
    start = f"https://colab.research.google.com/github/{repository}/blob/main"
    return _NOTEBOOK.sub(lambda found: f"{found[0]} ([Colab]({start}/{found[1]}))", markdown)
