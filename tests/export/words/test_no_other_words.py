"""Templates and scripts have no words of their own: everything that a person reads is said by key."""

from __future__ import annotations

import re

import pytest
from literals import of_module, of_script, of_template
from words_in_use import MODULES, SCRIPTS, TEMPLATES

_WORD = r"[^\W\d_]{2,}"
_TWO_WORDS = re.compile(rf"{_WORD}[,;:.]? {_WORD}")
_CAPITAL = re.compile(r"[A-Z][a-z]+\b")

EXCEPTIONS = {
    "circuitspex describe circuit.json": "a command, which is not translated",
    '<html data-frame data-theme="': "markup",
}
NOT_SHOWN = {
    'class"?[:,] $': "a class of a style sheet",
    r"(querySelector|querySelectorAll|closest|matches|byIndex|choosing)\([^()]*$": "a selector of elements",
    r"remove\(\)|matchMedia\($": "a query of the screen",
    r'"font-family": $': "fonts",
    r"^\s*$": "the mode of the language",
}
"""What may hold a space without being words, by what stands before it."""
KEYS = {"Enter", "Escape"}
SPOKEN = re.compile(r'(textContent = |"?(aria-label|title|placeholder|alt)"?: )$')

DRAWN = {name: text for name, text in MODULES.items() if name.split("/")[0] in ("figures", "drawing", "pages")}
IN_MODULES = {
    "upper left": "a place, for matplotlib",
    "offset points": "a unit, for matplotlib",
    "axes fraction": "a unit, for matplotlib",
    "an UpSet plot": "of an error",
    "a heat map": "of an error",
    "it has no interactions": "of an error",
    "its largest have ": "of an error",
    " draws them": "of an error",
    "it has no heads": "of an error",
    "there are ": "of an error",
    "it is of kind ": "of an error",
    "it has no measured pairs": "of an error",
    "its measured pairs are ": "of an error",
}
MARKUP = re.compile(r"<|circle cx=|polygon points=|sans-serif|DejaVu Sans")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_no_words_of_its_own(name):
    own = [text for text in of_template(TEMPLATES[name]) if _is_words(text) and text not in EXCEPTIONS]
    assert not own


def _is_words(text: str) -> bool:
    return bool(_TWO_WORDS.search(text) or _CAPITAL.match(text.strip()))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_words_of_its_own(name):
    own = []
    for text, before in of_script(SCRIPTS[name]):
        if SPOKEN.search(before) and re.search(_WORD, text):
            own.append(text)
        elif (
            _is_words(text)
            and text not in KEYS | set(EXCEPTIONS)
            and not any(re.search(each, before) for each in NOT_SHOWN)
        ):
            own.append((text, before))
    assert not own


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_a_module_that_draws_has_no_words_of_its_own(name):
    own = [text for text in of_module(DRAWN[name]) if _TWO_WORDS.search(text) and not MARKUP.search(text)]
    assert not [text for text in own if text not in IN_MODULES] or name == "pages/again.py"  # it writes Python


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("<p>Some words</p>", ["Some words"]),
        ('<p title="Hint {{ x }}">{{ say("page.q") }}</p>', ["page.q", "Hint "]),
        ("{% if x %}yes {{ x }} it is{% endif %}", ["yes ", " it is"]),
        ("{{ 'A text' if x else y }}", ["A text"]),
    ],
)
def test_words_of_a_template_are_found(template, words):
    assert list(of_template(template)) == words


def test_words_of_a_script_are_found():
    script = """
      /* a comment "with words" */
      const a = "one two", b = `there are ${n > 1 ? `no ${m} more` : 'none left'} of them`; // "and another"
      x.replace(/"not a string" ['"]/g, "");
    """
    found = [text for text, _ in of_script(script)]
    assert [text for text in found if text] == ["one two", "no ", " more", "none left", "there are ", " of them"]


def test_every_exception_is_needed():
    literals = [each for text in SCRIPTS.values() for each in of_script(text)]
    words = [(text, before) for text, before in literals if _is_words(text)]
    assert all(any(re.search(each, before) for _, before in words) for each in NOT_SHOWN)
    shown = {text for text, _ in literals} | {one for text in TEMPLATES.values() for one in of_template(text)}
    assert KEYS | set(EXCEPTIONS) <= shown
    assert set(IN_MODULES) <= {text for module in DRAWN.values() for text in of_module(module)}
