"""The changelog of one version: ``python tools/release_notes.py v0.2.0`` prints it.

Exits with 1 where the tag is no version, the changelog has no section for it, the section does not say what to do on an
upgrade, or ``CITATION.cff`` has another version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UPGRADE = "### Upgrading"


def notes(tag: str, changelog: str, citation: str) -> str:
    """The section of the version that the tag names.

    Raises:
        ValueError: something does not fit the tag; the message says what.
    """
    version = re.fullmatch(r"v(\d+\.\d+\.\d+)", tag)
    if version is None:
        raise ValueError(f"'{tag}' is no tag of a release; they are like v0.2.0")
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    found = [section for section in sections if re.match(rf"{re.escape(version[1])}(?!\S)", section)]
    if len(found) != 1:
        raise ValueError(f"CHANGELOG.md has {len(found)} sections '## {version[1]}', not one")
    if UPGRADE not in found[0]:
        raise ValueError(f"the section {version[1]} of CHANGELOG.md has no '{UPGRADE}'")
    cited = re.search(r"^version: *[\"']?([^\"'\s]+)", citation, re.MULTILINE)
    if cited is None or cited[1] != version[1]:
        raise ValueError(f"CITATION.cff is of version {cited[1] if cited else 'none'}, not {version[1]}")
    return found[0].partition("\n")[2].strip() + "\n"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/release_notes.py v0.2.0")
    changelog, citation = ((ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff"))
    try:
        print(notes(sys.argv[1], changelog, citation), end="")
    except ValueError as error:
        sys.exit(f"release_notes: {error}")


if __name__ == "__main__":
    main()
