"""What MkDocs calls while it builds the site: adds the pages that are made, and reads the others as GitHub does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
for _folder in (ROOT, ROOT / "tools"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from mkdocs.structure.files import File, Files  # noqa: E402

from site_pages import made  # noqa: E402
from site_pages.colab import with_colab  # noqa: E402
from site_pages.github_markdown import for_the_site  # noqa: E402
from site_pages.root_pages import linked  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made, and the files outside of docs/ that any page links to."""
    for path, text in made.pages(ROOT).items():
        files.append(File.generated(config, path, content=text))
    wanted: set[str] = set()
    for file in files.documentation_pages():
        wanted |= linked(file.content_string, file.src_uri, ROOT)[1]
    for path in sorted(wanted):
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page as Python-Markdown has to have it."""
    if page.file.src_uri.startswith("reference/api/"):
        return markdown
    return for_the_site(linked(with_colab(markdown), page.file.src_uri, ROOT)[0])
