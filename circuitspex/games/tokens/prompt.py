"""A prompt in players: which of its tokens each word, sentence or span owns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from circuitspex.errors import UserError
from circuitspex.games.tokens import spans
from circuitspex.games.tokens.spans import Range, Unit
from circuitspex.models.protocol import Model
from circuitspex.models.tokens import begins_with_bos, bos_of, tokenizer_of

Messages = Sequence[Mapping[str, str]]
First = Literal["auto", "bos", "protect", "ablate"]
"""What becomes of the first token of a prompt, to which attention goes that looks at nothing.

Ablating it changes every head that rests there, whatever the word says. 'bos' puts the tokenizer's BOS token before it,
so that all words are players; 'protect' never ablates it, and a word that is no other token is no player; 'ablate' does
neither. 'auto' is 'bos' where the tokenizer has a BOS token, else 'protect'. Where a prompt begins with a token of no
player (the model's own BOS, a chat template), nothing has to be done, and nothing is.
"""

_NAME_LENGTH = 48
_SENTINEL = "\u2063circuitspex\u2063"  # a text that no template has and none strips


@dataclass(frozen=True)
class Player:
    """One player: a unique ``name``, the characters ``start`` to ``end`` of the prompt, and its tokens' positions."""

    name: str
    start: int
    end: int
    positions: tuple[int, ...]


@dataclass(frozen=True)
class SplitPrompt:
    """A prompt and its players.

    ``text`` is what is split: the prompt, or under a chat template the user's message; ``rendered`` the whole text that
    the model reads, with the template; ``ids`` its tokens. Tokens that belong to no player are never ablated: the
    template's, special tokens, white space between words, and what lies outside ``part``. ``first`` is what was done
    about the first token: 'bos', 'protect', or 'ablate', where a player owns it; '' where nothing had to be.
    """

    text: str
    rendered: str
    ids: tuple[int, ...]
    players: tuple[Player, ...]
    first: str = ""

    @property
    def sink(self) -> Player | None:
        """The player that owns the first token, where one does."""
        return next((player for player in self.players if 0 in player.positions), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The players' names, in the order of the text."""
        return tuple(player.name for player in self.players)


def split_prompt(
    model: Model,
    prompt: str | Messages,
    unit: Unit | Sequence[Range] = "words",
    *,
    part: str | None = None,
    chat: bool = False,
    first: First = "ablate",
) -> SplitPrompt:
    """The prompt's tokens, and the players that own them.

    A token belongs to the player that has most of its characters other than white space.

    Args:
        model: a TransformerBridge with a tokenizer that knows its offsets.
        prompt: the text; with ``chat`` the user's message, or a list of messages whose last by the user is split.
        unit: 'words', 'tokens', 'sentences', or spans ``(start, end)`` of characters of the text.
        part: only what lies in this piece of the text is a player (the last place where it stands).
        chat: put the text into the model's chat template, up to where the model answers.
        first: what becomes of the first token: see ``First``.

    Raises:
        UserError: an empty prompt, spans outside it or overlapping, a span without a token of its own, no chat
            template, first='bos' without a BOS token, or nothing but the first token under 'protect'.
    """
    tokenizer = tokenizer_of(model)
    if first not in get_args(First):
        raise UserError(f"unknown way with the first token '{first}'; allowed: {', '.join(get_args(First))}")
    if chat:
        text, rendered, begin = _in_template(tokenizer, prompt)
    elif isinstance(prompt, str):
        text = rendered = prompt
        begin = 0
    else:
        raise UserError(f"the prompt is a text, not {type(prompt).__name__}; messages need chat=True")
    if not text.strip():
        raise UserError("the prompt is empty; it needs at least one word")
    ids, offsets = _encode(model, tokenizer, rendered, special=not chat)
    window = (0, len(text)) if part is None else spans.inside(text, part)
    template = [*range(begin), *range(begin + len(text), len(rendered))]
    if isinstance(unit, str) and spans.check_unit(unit) == "tokens":
        inner = [(start - begin, end - begin) for start, end in offsets]
        found = _token_ranges(text, inner, _movable(tokenizer, ids), window)
    else:
        found = _ranges(text, unit, window)
    if not found:
        raise UserError("there is nothing to ablate: the prompt has no word of its own besides special tokens")
    positions = _positions(
        rendered, [(start + begin, end + begin) for start, end in found], ids, offsets, template, tokenizer
    )
    names = _unique([_name(text[start:end]) for start, end in found])
    players = []
    for (start, end), name, owned in zip(found, names, positions, strict=True):
        if not owned:
            raise UserError(
                f"the span ({start}, {end}), {text[start:end]!r}, has no token of its own: the tokenizer joins it with "
                "what stands beside it; use longer spans"
            )
        players.append(Player(name, start, end, tuple(owned)))
    return _with_first(SplitPrompt(text, rendered, tuple(ids), tuple(players)), first, bos_of(tokenizer))


def _with_first(prompt: SplitPrompt, first: First, bos: int | None) -> SplitPrompt:
    """The prompt with what is to be done about its first token."""
    if prompt.sink is None:
        return prompt
    if first == "auto":
        first = "protect" if bos is None else "bos"
    if first == "ablate":
        return replace(prompt, first=first)
    if first == "bos":
        if bos is None:
            raise UserError("this tokenizer has no BOS token to put before the prompt; use first='protect'")
        moved = [replace(each, positions=tuple(at + 1 for at in each.positions)) for each in prompt.players]
        return replace(prompt, ids=(bos, *prompt.ids), players=tuple(moved), first=first)
    rest = [replace(each, positions=tuple(at for at in each.positions if at)) for each in prompt.players]
    players = tuple(each for each in rest if each.positions)
    if not players:
        raise UserError(
            "there is nothing to ablate besides the first token, which is protected because attention sinks there; "
            "use a longer prompt, or first='ablate'"
        )
    return replace(prompt, players=players, first=first)


def _ranges(text: str, unit: Unit | Sequence[Range], window: Range) -> list[Range]:
    low, high = window
    if not isinstance(unit, str):
        return [(s, e) for s, e in spans.check_spans(unit, text) if low <= s and e <= high]
    cut = spans.words if unit == "words" else spans.sentences
    return [(start + low, end + low) for start, end in cut(text[low:high])]


def _token_ranges(text: str, offsets: Sequence[Range], movable: Sequence[bool], window: Range) -> list[Range]:
    """The characters of each token, without the white space around them; tokens that share a character are one."""
    found: list[Range] = []
    for (start, end), free in zip(offsets, movable, strict=True):
        if not free or start < window[0] or end > window[1] or start == end:
            continue
        piece = text[start:end]
        if piece.strip():
            start, end = start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _positions(
    rendered: str,
    ranges: Sequence[Range],
    ids: Sequence[int],
    offsets: Sequence[Range],
    template: Sequence[int],
    tokenizer: Any,
) -> list[list[int]]:
    """The positions of the tokens that each range owns."""
    owner: list[int | None] = [None] * len(rendered)
    for index, (start, end) in enumerate(ranges):
        owner[start:end] = [index] * (end - start)
    fixed = set(template)
    found: list[list[int]] = [[] for _ in ranges]
    for position, ((start, end), free) in enumerate(zip(offsets, _movable(tokenizer, ids), strict=True)):
        inner = [i for i in range(start, end) if not rendered[i].isspace()] or list(range(start, end))
        if not free or not inner or not fixed.isdisjoint(inner):
            continue
        most = Counter(owner[i] for i in inner).most_common(1)[0][0]
        if most is not None:
            found[most].append(position)
    return found


def _movable(tokenizer: Any, ids: Sequence[int]) -> list[bool]:
    """Which tokens are not special. The unknown token stands for a word, so it may be ablated."""
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return [token not in special for token in ids]


def _encode(model: Model, tokenizer: Any, rendered: str, *, special: bool) -> tuple[list[int], list[Range]]:
    try:
        found = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    except NotImplementedError as error:
        raise UserError(
            f"{type(tokenizer).__name__} can't say which characters a token stands for; load the model with a "
            "fast tokenizer"
        ) from error
    ids = [int(i) for i in found["input_ids"]]
    offsets = [(int(start), int(end)) for start, end in found["offset_mapping"]]
    bos = bos_of(tokenizer) if special and begins_with_bos(model) else None
    return (ids, offsets) if bos is None else ([bos, *ids], [(0, 0), *offsets])


def _in_template(tokenizer: Any, prompt: str | Messages) -> tuple[str, str, int]:
    """The user's message, the whole conversation as the model reads it, and where the message begins in it."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
    last = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=None)
    if last is None:
        raise UserError("the conversation has no message by the user; one with role 'user' is needed")
    content = messages[last].get("content")
    if not isinstance(content, str) or not content.strip():
        raise UserError("the prompt is empty; it needs at least one word")
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("this model's tokenizer has no chat template; leave chat out")
    rendered, around = (
        str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True))
        for conversation in (messages, _with_content(messages, last, _SENTINEL))
    )
    before, found, after = around.partition(_SENTINEL)
    message = rendered[len(before) : len(rendered) - len(after)]
    if not found or rendered != before + message + after or message.strip() != content.strip():
        raise UserError("the chat template changes the user's message, so its words can't be told from the template")
    # A template may cut the white space around a message: what the model reads is what is split.
    return message, rendered, len(before)


def _with_content(messages: Sequence[dict[str, str]], index: int, content: str) -> list[dict[str, str]]:
    return [{**m, "content": content} if i == index else m for i, m in enumerate(messages)]


def _name(text: str) -> str:
    line = " ".join(text.split())
    if not line:
        return repr(text)[1:-1] if text != " " else "␣"
    return line if len(line) <= _NAME_LENGTH else line[: _NAME_LENGTH - 1].rstrip() + "…"


def _unique(names: Sequence[str]) -> list[str]:
    """The names, a second 'not' as 'not#2', a third as 'not#3'."""
    taken, counts = set(names), Counter[str]()
    found = []
    for name in names:
        counts[name] += 1
        unique = name
        if counts[name] > 1:
            unique = f"{name}#{counts[name]}"
            while unique in taken:
                counts[name] += 1
                unique = f"{name}#{counts[name]}"
            taken.add(unique)
        found.append(unique)
    return found
