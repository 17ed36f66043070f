"""Counterfactuals for prompts of one's own: a piece of each is swapped for another of equally many tokens.

pairs = cx.tasks.counterfactuals(model, ["The capital of France is", "The capital of Peru is"],
                                 ["France", "Peru"], words=["Italy", "Japan", "Egypt"], name="country")
print(pairs)
task = cx.Task.from_examples(model, pairs.examples([" Paris", " Lima"], [" Rome", " Tokyo"]))
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from circuitspex.errors import TaskError, UserError
from circuitspex.models.given import for_text
from circuitspex.models.protocol import Model
from circuitspex.scale import check_seed
from circuitspex.tasks.characters import Range, characters_of, place_of, tokens_of
from circuitspex.tasks.example import Example
from circuitspex.tasks.vocabulary import Vocabulary

_SHOWN = 5
"""So many words of each length are named where none fits."""


@dataclass(frozen=True)
class Swap:
    """A prompt, and the same with ``piece`` swapped for ``word``.

    ``positions`` are the tokens of the piece by index, with the BOS token counted; ``before`` and ``after`` are the
    texts of these tokens. All others are the same in both.
    """

    prompt: str
    counterfactual: str
    piece: str
    word: str
    positions: tuple[int, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        at = [str(place) for place in self.positions]
        old, new = ("+".join(map(repr, pieces)) for pieces in (self.before, self.after))
        return f"{self.prompt!r}: token{'s' if len(at) > 1 else ''} {', '.join(at)}: {old} -> {new}"


@dataclass(frozen=True)
class Swaps:
    """A counterfactual for each prompt, in their order; as text, what differs in each. ``name`` is what their positions
    are called."""

    swaps: tuple[Swap, ...]
    name: str

    def __len__(self) -> int:
        return len(self.swaps)

    def __iter__(self) -> Iterator[Swap]:
        return iter(self.swaps)

    def __getitem__(self, index: int) -> Swap:
        return self.swaps[index]

    def __str__(self) -> str:
        return "\n".join(str(swap) for swap in self.swaps)

    def examples(self, answers: str | Sequence[str], wrong_answers: str | Sequence[str]) -> list[Example]:
        """Examples with one answer and one wrong answer for each prompt, or the same for all; the piece is named.

        Raises:
            TaskError: another number of answers than prompts.
        """
        right, wrong = (
            _for_each(given, len(self), what)
            for given, what in ((answers, "answers"), (wrong_answers, "wrong answers"))
        )
        return [
            Example(s.prompt, s.counterfactual, a, w, {self.name: s.positions})
            for s, a, w in zip(self.swaps, right, wrong, strict=True)
        ]


def counterfactuals(
    model: Model,
    prompts: str | Iterable[str | Example],
    piece: str | Sequence[str],
    words: Sequence[str],
    *,
    name: str = "swapped",
    seed: int = 0,
    prepend_bos: bool | None = None,
) -> Swaps:
    """A counterfactual of each prompt, in which a piece of it is swapped for one of ``words``.

    Only words are taken that change no other token and no token's place: of as many tokens as the piece, and not
    joined with what stands beside them. Which of them is drawn with ``seed``, for each prompt.

    Args:
        model: whose tokenizer counts.
        prompts: as text, or as examples that name positions.
        piece: what is swapped, the last time it stands in the prompt: one for all prompts, or one for each; of an
            example also the name of a position.
        words: what may stand in its place.
        name: what the swapped tokens are called in ``examples()``.
        seed: of the choice.
        prepend_bos: whether prompts begin with a BOS token; by default the model's convention.

    Raises:
        TaskError: a prompt lacks the piece, or no word fits; then the lengths that there are are named.
    """
    vocabulary = Vocabulary.of(for_text(model), prepend_bos)
    given = [prompts] if isinstance(prompts, str) else list(prompts)
    if not given or isinstance(words, str) or not words:
        raise TaskError("counterfactuals need at least one prompt, and a list of at least one word")
    try:
        rng = random.Random(check_seed(seed))
    except UserError as error:
        raise TaskError(str(error)) from None
    pieces = _for_each(piece, len(given), "pieces")
    swaps = [
        _swap(vocabulary, one, what, words, rng, f"prompt {i}")
        for i, (one, what) in enumerate(zip(given, pieces, strict=True))
    ]
    return Swaps(tuple(swaps), name)


def _for_each(given: str | Sequence[str], n: int, what: str) -> Sequence[str]:
    found = [given] * n if isinstance(given, str) else list(given)
    if len(found) != n:
        raise TaskError(f"there are {len(found)} {what} for {n} prompt{'' if n == 1 else 's'}; give one for each")
    return found


def _swap(
    vocabulary: Vocabulary, given: str | Example, what: str, words: Sequence[str], rng: random.Random, where: str
) -> Swap:
    prompt = given.prompt if isinstance(given, Example) else given
    if not isinstance(prompt, str):
        raise TaskError(f"{where}: must be a text or an Example, not {type(prompt).__name__}")
    ids, characters = vocabulary.prompt_ids(prompt), characters_of(vocabulary, prompt)
    if characters is None:
        raise TaskError(f"{where}: this tokenizer does not say which characters its tokens stand for")
    start, end = _place(given, what, characters, len(ids), where)
    at = tokens_of(characters, prompt, (start, end))
    fitting: list[tuple[str, list[int]]] = []
    lengths: dict[int, list[str]] = {}
    for word in words:
        other = vocabulary.prompt_ids(prompt[:start] + word + prompt[end:])
        if other == ids:
            continue
        lengths.setdefault(len(at) + len(other) - len(ids), []).append(word)
        around = [(each[: at[0]], each[at[-1] + 1 :]) for each in (ids, other)]
        if len(other) == len(ids) and around[0] == around[1]:
            fitting.append((word, other))
    if not fitting:
        raise TaskError(f"{where}: {_none_fits(prompt[start:end], len(at), lengths)}")
    word, other = rng.choice(fitting)
    return Swap(
        prompt,
        prompt[:start] + word + prompt[end:],
        prompt[start:end],
        word,
        at,
        tuple(vocabulary.pieces(ids[i] for i in at)),
        tuple(vocabulary.pieces(other[i] for i in at)),
    )


def _place(given: str | Example, what: str, characters: Sequence[Range], n_tokens: int, where: str) -> Range:
    """The characters of the piece: of a named position those of its tokens, without white space around them."""
    if isinstance(given, str) or what not in given.positions:
        return place_of(given if isinstance(given, str) else given.prompt, what, where)
    span = given.span(what, n_tokens)
    start, end = characters[span[0]][0], characters[span[-1]][1]
    text = given.prompt[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())


def _none_fits(piece: str, n: int, lengths: dict[int, list[str]]) -> str:
    """Which lengths there are instead, in one line."""
    listed = "; ".join(
        f"{length} token{'' if length == 1 else 's'}: {', '.join(map(repr, found[:_SHOWN]))}"
        + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        for length, found in sorted(lengths.items())
    )
    own = f"{piece!r} is {n} token{'' if n == 1 else 's'} there, and no word takes its place alone"
    return f"{own}: {listed or 'all are the same as it'}"
