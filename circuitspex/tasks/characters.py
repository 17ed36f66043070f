"""Which characters of a prompt each token stands for, and so the tokens of a piece of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from circuitspex.errors import TaskError
from circuitspex.tasks.vocabulary import Vocabulary

Range = tuple[int, int]
"""Characters ``start`` to ``end``, the end not included."""

_PART = "\N{REPLACEMENT CHARACTER}"
"""What decoding gives for the first bytes of a character whose others are in the next token."""


@dataclass(frozen=True)
class Written:
    """A prompt, and the characters of its pieces that have a name."""

    text: str
    named: Mapping[str, Range]


def written(*pieces: str | tuple[str, str]) -> Written:
    """A prompt from pieces; a pair is a name and what it names: ``written("So ", ("name", "Mary"), " is")``."""
    text, named = "", {}
    for piece in pieces:
        name, said = ("", piece) if isinstance(piece, str) else piece
        if name:
            named[name] = (len(text), len(text) + len(said))
        text += said
    return Written(text, named)


def characters_of(vocabulary: Vocabulary, text: str) -> list[Range] | None:
    """The characters that each token of the prompt stands for, ``(0, 0)`` for the BOS token; None if that is not known.

    A fast tokenizer says it. Where it can't, or what it says leaves characters out, decoding ever more of the tokens
    tells how many of the characters they hold (white space not counted, which decoding may change).
    """
    ids = vocabulary.prompt_ids(text)
    found = _said(vocabulary, text) or _decoded(vocabulary, text)
    if found is None:
        return None
    before = len(ids) - len(found)
    return [(0, 0)] * before + found


def _said(vocabulary: Vocabulary, text: str) -> list[Range] | None:
    try:
        given = vocabulary.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    except (NotImplementedError, KeyError):
        return None
    found = [(int(start), int(end)) for start, end in given]
    held = {at for start, end in found for at in range(start, end)}
    whole = all(at in held for at, character in enumerate(text) if not character.isspace())
    return found if whole and [start for start, _ in found] == sorted(start for start, _ in found) else None


def _decoded(vocabulary: Vocabulary, text: str) -> list[Range] | None:
    ids = vocabulary.tokenizer(text, add_special_tokens=False)["input_ids"]
    places = [at for at, character in enumerate(text) if not character.isspace()]
    solid = "".join(text[at] for at in places)
    found, whole = [], 0
    for n in range(1, len(ids) + 1):
        decoded = vocabulary.tokenizer.decode(ids[:n], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        so_far = "".join(decoded.split())
        known = so_far.rstrip(_PART) if not solid.startswith(so_far) else so_far
        if not solid.casefold().startswith(known.casefold()):
            return None
        after = len(known)
        seen = min(after + (known != so_far), len(solid))
        # A token of white space alone stands for no character here.
        found.append((places[whole], places[seen - 1] + 1) if seen > whole else (0, 0))
        whole = after
    return found if whole == len(solid) else None


def tokens_of(characters: Sequence[Range], text: str, piece: Range) -> tuple[int, ...]:
    """The tokens, by index, that hold any of a piece's characters other than white space."""
    wanted = {at for at in range(*piece) if not text[at].isspace()}
    return tuple(i for i, (start, end) in enumerate(characters) if any(at in wanted for at in range(start, end)))


def positions_of(vocabulary: Vocabulary, prompt: Written) -> dict[str, int | tuple[int, ...]]:
    """The named pieces of a prompt as positions of its tokens; none where the tokenizer does not let them be known.

    A piece of one token is its index, one of several their indices.
    """
    characters = characters_of(vocabulary, prompt.text)
    if characters is None:
        return {}
    spans = {name: tokens_of(characters, prompt.text, piece) for name, piece in prompt.named.items()}
    return {name: span[0] if len(span) == 1 else span for name, span in spans.items() if span}


def place_of(text: str, part: str, where: str = "the prompt") -> Range:
    """Where ``part`` stands in the text, the last time it does.

    Raises:
        TaskError: it is empty, or not there.
    """
    start = text.rfind(part) if part.strip() else -1
    if start < 0:
        raise TaskError(f"{where} has no {part[:60]!r}")
    return start, start + len(part)
