"""The positions of a task's prompts, as measurements by position go through them.

Where all prompts have one length and each named position is at the same tokens in all of them, every token is a place.
Else the named positions are, each at the tokens where the prompt at hand has it. In prompts of one length, so is every
token that no prompt names. All other tokens together are one more place, as the same index would mean different things
in different prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuitspex.tasks import Task

ELSEWHERE = "elsewhere"
"""The name of all tokens together that no name is given to, where they can't be told apart by their index."""

ANSWER_TOKENS = "answer tokens"
"""The name of the tokens of answers of several tokens, which are run after the prompt."""


@dataclass(frozen=True)
class Place:
    """A named part of each prompt: ``tokens`` are its positions in each, counted from 0, and may be none.

    ``index`` is the position where it is one token, the same in all prompts.
    """

    name: str
    tokens: tuple[tuple[int, ...], ...]
    index: int | None = None


def places_of(task: Task) -> tuple[Place, ...]:
    """The places of a task's prompts; together they are all tokens that are run.

    Of several names for the same tokens the first counts, and a name of one's own before ``END``.
    """
    return (*_in_prompts(task), *_after_prompts(task))


def _after_prompts(task: Task) -> tuple[Place, ...]:
    """The tokens of answers, where they have several."""
    after: dict[int, tuple[int, ...]] = {}
    for group in task.sequences:
        after |= dict.fromkeys(group.indices.tolist(), tuple(range(group.n_prompt_tokens, group.length)))
    return (Place(ANSWER_TOKENS, tuple(after[i] for i in range(task.n_prompts))),) if any(after.values()) else ()


def _in_prompts(task: Task) -> tuple[Place, ...]:
    spans = {name: task.spans(name) for name in task.position_names}
    length = int(task.lengths[0])
    if bool((task.lengths == length).all()) and all(len(set(span)) == 1 for span in spans.values()):
        return _by_token({name: span[0] for name, span in spans.items()}, length, task.n_prompts)
    found: dict[tuple[tuple[int, ...], ...], Place] = {}
    for name, span in spans.items():
        same = len(set(span)) == 1 and len(span[0]) == 1
        found.setdefault(span, Place(name, span, span[0][0] if same else None))
    named = [set().union(*(span[prompt] for span in spans.values())) for prompt in range(task.n_prompts)]
    anywhere = set().union(*named)
    alone = [at for at in range(length) if at not in anywhere] if bool((task.lengths == length).all()) else []
    found |= {span: Place(f"token {at}", span, at) for at in alone for span in [((at,),) * task.n_prompts]}
    rest = tuple(
        tuple(at for at in range(int(n)) if at not in of_prompt and at not in alone)
        for n, of_prompt in zip(task.lengths, named, strict=True)
    )
    others = [Place(ELSEWHERE, rest)] if any(rest) else []
    return (*sorted(found.values(), key=_begins), *others)


def _begins(place: Place) -> float:
    """Where it begins, on average."""
    return sum(min(tokens) for tokens in place.tokens) / len(place.tokens)


def _by_token(spans: dict[str, tuple[int, ...]], length: int, n_prompts: int) -> tuple[Place, ...]:
    """Each token by itself; those of a longer span are numbered: ``subject 1/2``, ``subject 2/2``."""
    names: dict[int, str] = {}
    for name, span in spans.items():
        for number, at in enumerate(span, 1):
            names.setdefault(at, name if len(span) == 1 else f"{name} {number}/{len(span)}")
    return tuple(Place(names.get(at, f"token {at}"), ((at,),) * n_prompts, at) for at in range(length))
