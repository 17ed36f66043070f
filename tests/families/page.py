"""docs/models.md, from what was found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from architectures import architectures, tried

COLUMNS = {
    "heads": ("head",),
    "q, k, v": ("query", "key", "value"),
    "attention": ("attention",),
    "MLP": ("mlp",),
    "neurons": ("neurons",),
    "residual": ("residual",),
    "experts": ("expert",),
    "their neurons": ("expert_neurons",),
}

HEAD = """# Which models work

Every architecture that transformers {transformers} calls a causal language model, as `load_model` takes it with
TransformerLens {transformer-lens} and PyTorch {torch}. `make families` writes this page: it makes a tiny random model
of each, loads it from a directory, and compares ablations with those of plain PyTorch hooks on the plain Hugging Face
model: every kind of component, under every baseline, with gates of 0, 1 and between, in every executor. They agree
within {tolerance:g} of the largest effect (and the rounding of float32) where the table says ✓. What can't be right is
refused, in one line that says why, when the model is loaded or the component is asked for; `make families` fails where
anything is neither.

Your own model is checked in the same spirit when it is loaded: it is run once before and once after TransformerLens
wraps it, the two must agree, no later token may change an earlier position's logits (so BERT and its kin are named as
bidirectional), and its files must hold the tensors that its configuration asks for. Code that comes with a model is
never run.

## Tried

A number is the reason, below the table, why components of that kind are refused, – says that there are none, and
`✓ in layers 1, 2` that the other layers of the three have none of them, or that they are refused there.

"""


def write_page(
    path: Path,
    families: Mapping[str, Mapping[str, Mapping[str, str]]],
    classes: Mapping[str, tuple[str, str]],
    versions: Mapping[str, str],
) -> None:
    """Write the page.

    Args:
        path: of the page.
        families: the outcomes of each family, by kind.
        classes: of ``outcomes_of_architectures``.
        versions: of the libraries.
    """
    from conform import TOLERANCE

    reasons: dict[str, int] = {}
    lines = [HEAD.format(tolerance=TOLERANCE, **versions)]
    lines += [f"| architecture | tried as | {' | '.join(COLUMNS)} |\n", f"|---|---|{'---|' * len(COLUMNS)}\n"]
    refused: list[tuple[str, str, str]] = []
    for name in sorted(tried(), key=str.lower):
        for variant in tried()[name]:
            found = families[variant]
            if found["load"]["status"] == "refused":
                refused.append((name, variant, found["load"]["detail"]))
                continue
            cells = [_cell([found[kind] for kind in kinds], reasons) for kinds in COLUMNS.values()]
            lines.append(f"| {name} | {variant} | {' | '.join(cells)} |\n")
    lines += ["\n", *(f"{number}. {_sentence(reason)}\n" for reason, number in reasons.items())]
    lines += ["\n## Refused when they are loaded\n\n| architecture | tried as | reason |\n|---|---|---|\n"]
    lines += [f"| {name} | {variant} | {_cleaned(reason)} |\n" for name, variant, reason in refused]
    unknown = [name for name, (what, why) in classes.items() if what == "refused" and "TransformerLens" in why]
    lines += [
        f"| {name} | its configuration | {_cleaned(why)} |\n"
        for name, (what, why) in classes.items()
        if what == "refused" and name not in unknown
    ]
    lines += [f"\nTransformerLens {versions['transformer-lens']} does not know these {len(unknown)}, and they are "]
    lines += ["refused before their weights are read: ", ", ".join(unknown), ".\n"]
    untried = {name: why for name, (what, why) in classes.items() if what == "not tried"}
    lines += ["\n## Not tried\n\n", *(f"- {name}: {why}\n" for name, why in untried.items())]
    lines += [f"\n{len(architectures())} architectures in all.\n"]
    path.write_text("".join(lines), encoding="utf-8")


def _cell(found: list[Mapping[str, str]], reasons: dict[str, int]) -> str:
    cells = []
    for one in found:
        if one["status"] == "right":
            _, _, layers = one["detail"].partition(", layers ")
            cells.append(f"✓ in layers {layers.strip('[]')}" if layers else "✓")
        elif one["detail"] == "has no experts: its MLP is dense":
            cells.append("–")
        else:
            cells.append(str(reasons.setdefault(_general(one["detail"]), len(reasons) + 1)))
    return " / ".join(dict.fromkeys(cells))


def _general(reason: str) -> str:
    """Without the numbers of layers, and once where all layers have the same."""
    import re

    parts = re.split(r"; (?=has |is )", reason)
    return "; ".join(dict.fromkeys(re.sub(r"\bL\d+(?=[A-Z])", "L5", part) for part in parts))


def _sentence(reason: str) -> str:
    return _cleaned(reason if reason.startswith(("it ", "L")) else f"the layer {reason}")


def _cleaned(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
