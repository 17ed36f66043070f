"""All pages that are made when the site is built."""

from __future__ import annotations

from pathlib import Path

import circuitspex.cli.main
from site_pages import command_line, faces, messages, root_pages, schemas


def pages(root: Path) -> dict[str, str]:
    """Markdown by the page's path in the site."""
    return {
        **faces.pages(root),
        **schemas.pages(root),
        **root_pages.pages(root),
        "reference/messages.md": messages.page(root),
        "reference/command_line.md": command_line.page(circuitspex.cli.main.build_parser()),
    }
