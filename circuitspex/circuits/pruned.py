"""What pruning saved: sizes and times of the model before and after."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from circuitspex.text import printable


@dataclass(frozen=True)
class Size:
    """A model's size: layers, and of each layer heads, key/value heads and neurons (0 where it is not known).

    ``ms`` is how long the plain Hugging Face model takes for one prompt of ``n_tokens`` tokens, the median of passes.
    """

    layers: int
    heads: int
    key_value_heads: int
    neurons: int
    parameters: int
    megabytes: float
    ms: float


@dataclass(frozen=True)
class Pruned:
    """A checkpoint that was written, beside the whole model.

    ``n_ablated`` components are gone from it under ``baseline``; ``difference`` is the largest one between its logits,
    in plain transformers, and those of the model with these components ablated, on prompts of random tokens.
    ``layers`` are those of the whole model that it still has. ``device`` and ``n_tokens`` are what was timed.
    """

    path: Path
    baseline: str
    n_kept: int
    n_ablated: int
    before: Size
    after: Size
    layers: tuple[int, ...]
    difference: float
    n_tokens: int
    device: str

    def to_json(self) -> dict[str, object]:
        """All of it as plain JSON."""
        found: dict[str, object] = json.loads(json.dumps({**asdict(self), "path": str(self.path)}))
        return found

    def __str__(self) -> str:
        rows = [
            ("", "whole", "pruned"),
            *(
                (word, str(getattr(self.before, field)), str(getattr(self.after, field)))
                for word, field in (
                    ("layers", "layers"),
                    ("heads a layer", "heads"),
                    ("key/value heads a layer", "key_value_heads"),
                    ("neurons a layer", "neurons"),
                )
                if getattr(self.before, field)
            ),
            ("parameters", f"{self.before.parameters:,}", f"{self.after.parameters:,}"),
            ("megabytes", f"{self.before.megabytes:.1f}", f"{self.after.megabytes:.1f}"),
            (f"ms for {self.n_tokens} tokens", f"{self.before.ms:.1f}", f"{self.after.ms:.1f}"),
        ]
        lines = [
            f"{printable(str(self.path))}: {self.n_kept} components kept, {self.n_ablated} gone "
            f"(baseline {self.baseline})",
            *(f"  {word:24}{whole:>14}{pruned:>14}" for word, whole, pruned in rows),
            f"its logits differ from those of the ablated model by {self.difference:.1e} at most",
        ]
        return "\n".join(lines) + "\n"
