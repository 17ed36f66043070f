"""What a head attends to on one prompt: its tokens, shaded by attention; and named positions over all prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.circuits.about import Looks
from circuitspex.circuits.circuit import Circuit
from circuitspex.errors import UserError
from circuitspex.export.drawing.pen import blended
from circuitspex.export.drawing.plot import MARGIN, SMALL, TEXT_SIZE, WIDTH, Paper, finished, paper
from circuitspex.export.drawing.style import number, shorten, text_width, title_of
from circuitspex.export.words.saying import say
from circuitspex.scale import whole
from circuitspex.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOKEN_SIZE = 11.0
TOP, LINE, ROW, LEFT = 84.0, 50.0, 17.0, 130.0
WRITTEN = 0.02
"""Attention below this is shaded, and no number stands below it."""
MAX_LINES = 24
MAX_TOKEN = 180.0


@dataclass(frozen=True)
class Placed:
    """A token: where it begins and how wide it is, in points, and in which line it stands."""

    index: int
    text: str
    x: float
    width: float
    line: int


def draw(circuit: Circuit, name: str, path: str | Path | None = None, *, prompt: int = 0, dark: bool = False) -> Figure:
    """The attention of one head on one prompt, outside pyplot.

    Raises:
        UserError: the circuit is not described, has no such head or prompt, or its file lacks the prompts' tokens.
    """
    looks = looks_of(circuit, name)
    tokens, spans = _prompt(circuit, looks, prompt)
    attention = looks.per_prompt[prompt]
    placed = flow(tokens)
    more = placed[-1].line >= MAX_LINES
    placed = [token for token in placed if token.line < MAX_LINES]
    lines = placed[-1].line + 1
    rows = sorted(looks.positions, key=lambda share: -share.value.value)
    below = TOP + LINE * lines + 34
    where = ", ".join(share.name for share in looks.where)
    title = " · ".join(part for part in (say("figures.attends", name=name), title_of(circuit)) if part)
    n_prompts = len(looks.per_prompt)
    facts = [
        say("figures.attends_more", prompt=prompt + 1, n=n_prompts, positions=where)
        if more
        else say("figures.attends_shares", prompt=prompt + 1, n=n_prompts, positions=where),
        _example(circuit, prompt),
    ]
    with paper(below + ROW * (len(rows) + 1) + 30, title, [fact for fact in facts if fact], dark) as made:
        _tokens(made, placed, attention, spans)
        shares = [(share.name, share.value) for share in rows] + [(say("figures.first_token"), looks.first)]
        made.text(MARGIN, below - 14, say("figures.attends_positions", n=n_prompts), TEXT_SIZE, made.palette.muted)
        _positions(made, shares, below)
    return finished(made, path, title)


def looks_of(circuit: Circuit, name: str) -> Looks:
    """What that head of a described circuit looks at.

    Raises:
        UserError: it is not described, is in it no head, or its attention was not measured.
    """
    if circuit.description is None:
        raise UserError(
            "this circuit is not described, so what its heads attend to is not known: "
            "circuit = circuit.described(circuit.describe(model, task))"
        )
    if name not in circuit.description:
        heads = [each.name for each in circuit.description.components if each.looks is not None]
        known = f"there are {', '.join(heads)}" if heads else "it has no heads"
        raise UserError(f"'{name}' is not described in this circuit; of heads {known}")
    about = circuit.description[name]
    if about.looks is None or not about.looks.per_prompt:
        lack = next(
            (line for line in about.lacks if "look" in line or "attention" in line), f"it is of kind {about.kind}"
        )
        raise UserError(f"there is no attention of {name}: {lack}")
    return about.looks


def _prompt(circuit: Circuit, looks: Looks, prompt: int) -> tuple[list[str], Mapping[str, Sequence[int]]]:
    """The tokens of a prompt and its named positions."""
    prompt = whole(prompt, "prompt")
    if prompt >= len(looks.per_prompt):
        raise UserError(f"there is no prompt {prompt}: they count from 0 to {len(looks.per_prompt) - 1}")
    prompts = circuit.described_prompts
    record: Any = prompts[prompt] if prompt < len(prompts) else None
    if not isinstance(record, Mapping) or not record.get("tokens"):
        raise UserError(
            "this circuit does not have the tokens of its prompts (its file is of an earlier version): find it again, "
            "or describe it on its task"
        )
    tokens = [str(token) for token in record["tokens"]]
    if len(tokens) != len(looks.per_prompt[prompt]):
        raise UserError(
            f"prompt {prompt} has {len(tokens)} tokens and attention to {len(looks.per_prompt[prompt])}: the circuit "
            "was described on another task"
        )
    spans = record.get("positions")
    return tokens, spans if isinstance(spans, Mapping) else {}


def _example(circuit: Circuit, prompt: int) -> str:
    record = circuit.described_prompts[prompt]
    right, wrong = record.get("answer"), record.get("wrong_answer")
    said = [say("figures.answer", token=f"'{printable(right)}'")] if isinstance(right, str) and right else []
    if isinstance(wrong, str) and wrong:
        said.append(say("figures.wrong_answer", token=f"'{printable(wrong)}'"))
    return "; ".join(said)


def flow(tokens: Sequence[str]) -> list[Placed]:
    """The tokens as running text, in lines as wide as the plot."""
    x, line, found = MARGIN, 0, []
    for index, token in enumerate(tokens):
        text = shorten(token.replace("\n", "↵").replace("\t", "⇥") or "∅", TOKEN_SIZE, MAX_TOKEN)
        width = max(text_width(text.replace(" ", "n"), TOKEN_SIZE) + 8, 27.0)
        if x + width > WIDTH - MARGIN and x > MARGIN:
            x, line = MARGIN, line + 1
        found.append(Placed(index, text, x, width, line))
        x += width + 2
        if token.endswith("\n"):
            x, line = MARGIN, line + 1
    return found


def _tokens(
    made: Paper, placed: Sequence[Placed], attention: Sequence[float], spans: Mapping[str, Sequence[int]]
) -> None:
    from matplotlib.patches import Rectangle

    ink, largest = made.palette, max(attention) or 1.0
    named: dict[int, list[str]] = {}
    for name, indices in spans.items():
        for index in indices:
            named.setdefault(index, []).append(name)
    for token in placed:
        y = TOP + LINE * token.line + 12
        share = attention[token.index]
        box = (token.x / WIDTH, 1 - (y + 18) / made.height)
        face = blended(ink.positive, ink.background, 0.75 * share / largest)
        look: dict[str, Any] = {
            "facecolor": face,
            "edgecolor": ink.line,
            "linewidth": 0.6,
            "transform": made.figure.transFigure,
        }
        made.figure.add_artist(Rectangle(box, token.width / WIDTH, 18 / made.height, **look))
        middle = token.x + token.width / 2
        made.text(middle, y + 9, token.text.strip() or "␣", TOKEN_SIZE, ha="center")
        if share >= WRITTEN:
            made.text(middle, y + 25, number(share, 2, sign=False), SMALL, ink.muted, ha="center")
        if token.index in named:
            said = shorten(", ".join(named[token.index]), SMALL, max(token.width, 44.0))
            made.text(middle, y - 7, said, SMALL, bold=True, ha="center")


def _positions(made: Paper, shares: Sequence[tuple[str, Any]], top: float) -> None:
    ink = made.palette
    texts = [f"{s.value:z.2f} [{s.low:z.2f}, {s.high:z.2f}]".replace("-", "−") for _, s in shares]
    right = max(text_width(text, SMALL) for text in texts) + MARGIN + 6
    axes = made.axes(LEFT, top, WIDTH - LEFT - right, ROW * len(shares))
    for y, ((_, share), text) in enumerate(zip(shares, texts, strict=True)):
        made.bars(axes, [y], [share.value], [0.0], **({"color": ink.muted} if y == len(shares) - 1 else {}))
        made.interval(axes, y, share)
        made.text(WIDTH - right + 8, top + ROW * (y + 0.5), text, SMALL, ink.muted)
    axes.set_xlim(0, max(1e-9, *(share.high for _, share in shares)) * 1.02)
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_yticks(range(len(shares)), [shorten(name, SMALL, LEFT - 24) for name, _ in shares])
    axes.tick_params("y", length=0)
    axes.grid(axis="x", color=ink.line, linewidth=0.6)
