"""The texts that stand in a template or a script itself, outside of what is said by key."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser

from circuitspex.export.pages.rendering import environment

SPOKEN = ("title", "aria-label", "placeholder", "alt")
_VALUE = "\x00"


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in SPOKEN and value]

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def of_template(text: str) -> Iterator[str]:
    """What an HTML reader takes for words, and the strings in expressions."""
    written = ""
    for _, kind, value in environment().lex(text):
        if kind == "data":
            written += value
        elif kind.endswith("_begin"):
            written += _VALUE
        elif kind == "string":
            yield value[1:-1]
    parser = _Words()
    parser.feed(written)
    parser.close()
    for found in parser.found:
        yield from filter(str.strip, found.split(_VALUE))


def of_script(text: str) -> Iterator[tuple[str, str]]:
    """Each literal of a script with what stands before it; of a template literal what is not an expression."""
    yield from _literals(text)


_BEFORE_REGEX = "(,=:[!&|?{};"


def _literals(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        character = text[at]
        if text.startswith(("//", "/*"), at):
            at = text.index("\n" if text[at + 1] == "/" else "*/", at) + 1
        elif character == "/" and text[:at].rstrip()[-1:] in _BEFORE_REGEX:
            at += re.match(r"/(\[(\\.|[^\]\\])*\]|\\.|[^/\\\[])+/", text[at:]).end()
            continue
        elif character in "\"'":
            close = re.compile(rf"(\\.|[^{character}\\])*").match(text, at + 1).end()
            yield text[at + 1 : close], text[max(0, at - 60) : at]
            at = close
        elif character == "`":
            before, piece, at = text[max(0, at - 60) : at], "", at + 1
            while text[at] != "`":
                if text.startswith("${", at):
                    close = _end(text, at + 2)
                    yield from _literals(text[at + 2 : close])
                    yield piece, before
                    piece, at = "", close + 1
                else:
                    piece, at = piece + text[at], at + 1
            yield piece, before
        at += 1


def _end(text: str, at: int) -> int:
    """Where the brace of an expression in a template literal closes; strings in it may hold braces."""
    depth = 0
    while depth or text[at] != "}":
        if text[at] in "\"'":
            at = text.index(text[at], at + 1)
        elif text[at] == "`":
            at += 1
            while text[at] != "`":
                at = _end(text, at + 2) + 1 if text.startswith("${", at) else at + 1
        depth += (text[at] == "{") - (text[at] == "}")
        at += 1
    return at


def of_module(text: str) -> list[str]:
    """The strings of a module but for docstrings and what errors say."""
    tree = ast.parse(text)
    passed = {id(one) for raised in ast.walk(tree) if isinstance(raised, ast.Raise) for one in ast.walk(raised)}
    passed |= {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    found = [one for one in ast.walk(tree) if isinstance(one, ast.Constant) and id(one) not in passed]
    return [one.value for one in found if isinstance(one.value, str)]
