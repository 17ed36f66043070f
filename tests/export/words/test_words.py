"""The tables of words: every text is used, with the values that it takes, and is plain English."""

from __future__ import annotations

import re
import string

import pytest
from words_in_use import SCRIPTS, all_uses

from circuitspex.errors import UserError
from circuitspex.export.words.saying import say, say_term, script_words, texts, translated
from circuitspex.export.words.text import Plural, forms, placeholders

USES = all_uses()
LONGEST_LABEL, LONGEST_SENTENCE, MOST_WORDS = 96, 320, 30
"""Characters of a label and of a text of whole sentences; words of one sentence."""
KNOWN = {"MLP", "R²", "AND", "SVG", "PNG", "BOS", "CPR", "CMD", "MIB", "MB"}
"""Short forms that readers of this field and of web pages know."""
RIDDLES = {
    "whence", "whereof", "thereof", "therein", "thereby", "wherein", "hereof", "hence", "thus", "aforementioned",
    "respectively", "utilize", "utilise", "leverage", "e.g.", "i.e.", "cf.", "viz.", "resp.", "etc.", "w.r.t.", "aka",
    "ctx", "attn", "cfg", "params", "coeff", "stderr", "ci", "std", "idx", "num", "val", "vs",
}  # fmt: skip


def test_every_text_that_is_said_exists() -> None:
    missing = {(use.place, use.key) for use in USES if not any(map(use.is_of, texts()))}
    assert not missing


def test_every_text_is_said() -> None:
    assert not [key for key in texts() if not any(use.is_of(key) for use in USES)]


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.place}-{use.key}")
def test_a_text_takes_the_values_that_it_is_given(use) -> None:
    for key in filter(use.is_of, texts()):
        taken = placeholders(texts()[key])
        assert taken <= use.values if use.key.endswith(".") else taken == use.values, key  # of a group some show less


def test_scripts_take_plain_values() -> None:
    """Their ``say`` knows names in braces, and no formats."""
    for use in USES:
        for form in forms(texts()[use.key]) if use.in_script else ():
            for _, name, spec, conversion in string.Formatter().parse(form):
                assert name is None or re.fullmatch(r"\w+", name)
                assert not spec
                assert conversion is None


@pytest.mark.parametrize("key", texts())
def test_it_is_plain_english(key) -> None:
    for text in forms(texts()[key]):
        shown = re.sub(r"\{\w+\}", "n", text)
        assert text == text.strip()
        assert not re.search(r"\s\s|\n| [,.;:]|\.\.", text)
        assert text
        is_sentence = bool(re.search(r"[.:;](\s|$)", shown))
        assert len(shown) <= (LONGEST_SENTENCE if is_sentence else LONGEST_LABEL), len(shown)
        for sentence in re.split(r"[.;](?:\s|$)", shown):
            assert len(re.findall(r"[\w²|/'-]+", sentence)) <= MOST_WORDS, sentence
        for word in re.findall(r"[\w²]+", re.sub(r"L\d+H\d+(\.q)?", "", shown)):
            assert word in KNOWN or not re.fullmatch(r"[A-Z][A-Z0-9²]+", word), word
        assert not RIDDLES & set(re.findall(r"[a-z.]+", shown.lower())), shown
        assert shown.count("(") == shown.count(")")


def test_a_plural_has_two_forms_that_differ() -> None:
    for key, text in texts().items():
        if isinstance(text, Plural):
            assert text.one != text.many, key


def test_a_value_goes_where_its_name_stands() -> None:
    assert say("edges.none_of", title="Edges into it") == "Edges into it: none"
    assert [say("claims.prompts", n=n) for n in (0, 1, 2)] == ["0 prompts", "1 prompt", "2 prompts"]
    with pytest.raises(KeyError):
        say("edges.none_of")
    with pytest.raises(KeyError):
        say("edges.nothing_like_it")
    assert say_term("role", "induction") == "induction"
    assert say_term("role", "a role of another package") == "a role of another package"


def test_scripts_get_the_texts_that_they_say_and_no_others() -> None:
    script = SCRIPTS["prompt.js"]
    assert script_words(script) == {"prompt.shown": texts()["prompt.shown"]}
    lists = script_words(SCRIPTS["prompt_words.js"])
    assert lists["card.outliers"] == list(forms(texts()["card.outliers"]))


def test_a_translation_holds_inside_and_is_checked() -> None:
    english = say("circuit.sound")
    with translated({"circuit.sound": "Solide", "claims.prompts": Plural("{n} invite", "{n} invites")}):
        assert say("circuit.sound") == "Solide"
        assert say("claims.prompts", n=1) == "1 invite"
        assert say("circuit.with_care") == "With care"
    assert say("circuit.sound") == english
    with pytest.raises(UserError, match=r"no text 'circuit\.nothing'"), translated({"circuit.nothing": ""}):
        pass
    with pytest.raises(UserError, match="placeholders of the English text: title"), translated({"edges.none_of": "x"}):
        pass
