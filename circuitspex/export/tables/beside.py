"""What a model says of prompts with only a circuit and without it, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from circuitspex.circuits.use.beside import Beside
from circuitspex.text import printable


def render(found: Sequence[Beside], baseline: str) -> str:
    """Each prompt with what each way of running the model makes of it."""
    lines: list[str] = []
    for each in found:
        lines += [*([""] if lines else []), printable(each.prompt), f"  ablated components: baseline {baseline}"]
        for said in each.said:
            tokens = ", ".join(f"{printable(repr(text))} {share:.3f}" for text, share in said.next_tokens)
            lines += [f"  {said.way}", f"    next: {tokens}"]
            if said.text:
                lines.append(f"    text: {printable(repr(said.text))}")
    return "\n".join(lines) + "\n"
