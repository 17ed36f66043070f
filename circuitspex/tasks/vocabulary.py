"""What a tokenizer makes of words: which are one token, and which token continues a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from circuitspex.errors import TaskError
from circuitspex.models.protocol import HasTokenizer
from circuitspex.models.tokens import begins_with_bos, context_of, encode, tokenizer_of


def pieces_of(tokenizer: Any, ids: Iterable[int]) -> list[str]:
    """The text of each token id."""
    return [str(tokenizer.decode([i])) for i in ids]


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer together with the decision whether prompts begin with its BOS token.

    ``longest`` is how many tokens the model's context holds, where that is known.
    """

    tokenizer: Any
    prepend_bos: bool
    longest: int | None = None

    @classmethod
    def of(cls, model: HasTokenizer, prepend_bos: bool | None = None) -> Vocabulary:
        """The vocabulary of ``model``; ``prepend_bos`` None means the model's own convention."""
        return cls(tokenizer_of(model), begins_with_bos(model, prepend_bos), context_of(model))

    @property
    def pad_id(self) -> int:
        """The id that fills positions after the end of a shorter prompt; no model ever reads it."""
        for name in ("pad_token_id", "eos_token_id"):
            value = getattr(self.tokenizer, name, None)
            if value is not None:
                return int(value)
        return 0

    def prompt_ids(self, text: str) -> list[int]:
        """The token ids of a whole prompt."""
        return encode(self, text, prepend_bos=self.prepend_bos)

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The text of each token id."""
        return pieces_of(self.tokenizer, ids)

    def continuation_ids(self, prompt: str, answer: str) -> list[int]:
        """The tokens that ``answer`` adds after ``prompt``.

        Encoding the two together is right for every tokenizer, as some add a space to a text that is encoded alone;
        where the answer merges into the prompt's last token, it is encoded alone after all.
        """
        before = encode(self, prompt, prepend_bos=False)
        both = encode(self, prompt + answer, prepend_bos=False)
        if both[: len(before)] == before:
            return both[len(before) :]
        return encode(self, answer, prepend_bos=False)

    def answer_ids(self, prompt: str, answer: str, where: str, role: str = "answer") -> tuple[int, ...]:
        """The tokens of ``answer`` after ``prompt``; a :class:`TaskError` where there are none."""
        ids = self.continuation_ids(prompt, answer)
        if not ids:
            raise TaskError(f"{where}: the {role} {answer!r} has no tokens; it needs at least one")
        return tuple(ids)

    def single_words(self, words: Iterable[str], after: str) -> list[str]:
        """Those of ``words`` that are one known token of their own where they follow ``after`` and a space."""
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        seen: set[int] = set()
        kept: list[str] = []
        for word in words:
            ids = self.continuation_ids(after, " " + word)
            if len(ids) == 1 and ids[0] != unknown and ids[0] not in seen:
                seen.add(ids[0])
                kept.append(word)
        return kept

    def enough_words(self, words: Iterable[str], after: str, need: int, task: str, kind: str) -> list[str]:
        """:meth:`single_words`, or a :class:`TaskError` when fewer than ``need`` are left."""
        kept = self.single_words(words, after)
        if len(kept) < need:
            raise TaskError(
                f"task '{task}' needs at least {need} {kind} that are one token, and this tokenizer has {len(kept)}; "
                "use Task.from_examples with prompts of your own"
            )
        return kept
