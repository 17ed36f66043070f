"""Pages are written for GitHub; Python-Markdown, which makes the site, reads a few things otherwise."""

from __future__ import annotations

import re

_ITEM = re.compile(r"^( *)([-*+]|\d+[.)])( +)(?=\S)")


def for_the_site(text: str) -> str:
    """The same page as Python-Markdown has to have it.

    A list needs an empty line before it, and what belongs to an item is four columns further in than the item. Lists of
    one kind inside each other are read alike; a numbered one inside one of dashes right after a block of code is not.
    """
    written: list[str] = []
    open_items: list[tuple[int, int]] = []  # the column of each open item's mark, and of its text
    fence = ""
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        mark = re.match(r" *(```+|~~~+)", line)
        if fence or mark:
            opens = bool(mark) and not fence
            if mark and opens:
                fence = mark[1]
                _close(open_items, indent)
                if open_items and written[-1]:
                    written.append("")
            written.append(_shifted(line, open_items))
            if mark and not opens and mark[1] == fence and not line.strip(" `~"):
                fence = ""
                if open_items:
                    written.append("")
            continue
        if not line.strip():
            written.append("")
            continue
        item = _ITEM.match(line)
        in_code = not open_items and indent >= 4
        after = written[-1].strip() if written else ""
        if item and not in_code:
            _close(open_items, indent)
            if after and not open_items and not _ITEM.match(written[-1]) and not _in_item(written):
                written.append("")
            depth = len(open_items)
            open_items.append((indent, item.end()))
            written.append("    " * depth + line[indent:])
            continue
        if not after:  # a paragraph of its own belongs to the item that it is indented under
            _close(open_items, indent)
        written.append(_shifted(line, open_items))
    return "\n".join(written)


def _close(open_items: list[tuple[int, int]], indent: int) -> None:
    while open_items and indent < open_items[-1][1]:
        open_items.pop()


def _shifted(line: str, open_items: list[tuple[int, int]]) -> str:
    """The line, with what it is indented by for its item replaced by four columns a level."""
    if not open_items or not line.strip():
        return line
    column = open_items[-1][1]
    indent = len(line) - len(line.lstrip(" "))
    return "    " * len(open_items) + " " * max(indent - column, 0) + line.lstrip(" ")


def _in_item(written: list[str]) -> bool:
    """Whether the last lines, up to an empty one, begin with an item of a list."""
    for line in reversed(written):
        if not line.strip():
            return False
        if _ITEM.match(line):
            return True
    return False
