"""Which way an interaction goes: how much of it travels from the earlier component to the later one.

For a pair s, t with t in a later layer and a context, let ``f(a, b)`` be the metric with s and t kept (1) or ablated
(0), and ``f(1, t')`` the metric with s kept and t giving the output that it would have without s (path patching). The
interaction is

    I = f(1, 1) - f(1, 0) - f(0, 1) + f(0, 0)

and without what travels from s to t it would be ``I' = f(1, t') - f(1, 0) - f(0, 1) + f(0, 0)``, in which t's output no
longer depends on s. The share that travels is the mean of ``I - I' = f(1, 1) - f(1, t')`` over that of ``I``. The rest
arises later, where both have written to the residual stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from circuitspex.circuits.circuit import Direction, Estimate, Interaction
from circuitspex.circuits.evidence._measure import PerPromptGame
from circuitspex.games import ComponentGame
from circuitspex.statistics import ratio_of_means
from circuitspex.typing import Masks


def with_directions(
    game: ComponentGame,
    edges: Sequence[Interaction],
    contexts: Masks,
    *,
    evaluate: PerPromptGame | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> tuple[Interaction, ...]:
    """The same edges; the pairs in different layers carry how much of them travels.

    Args:
        game: the game that they were measured in.
        edges: interactions; those of three and more, those within a layer, and those that end at an expert or at
            latents, which are no activations that could be taken from another pass, stay as they are.
        contexts: bool ``(C, n)``, random masks of the other components.
        evaluate: the same game, where it remembers what was run; by default the game itself.
        seed: of the bootstrap over contexts and prompts.
        progress: progress bars.
    """
    layer = {name: component.layer for name, component in zip(game.names, game.components, strict=True)}
    ends_there = {name: component.is_activation for name, component in zip(game.names, game.components, strict=True)}
    out = []
    for edge in edges:
        if edge.order == 2 and layer[edge.components[0]] != layer[edge.components[1]]:
            source, target = sorted(edge.components, key=lambda name: layer[name])
            if not ends_there[target]:
                out.append(edge)
                continue
            ends = game.names.index(source), game.names.index(target)
            share = travelled(game, *ends, contexts, evaluate=evaluate, seed=seed, progress=progress)
            edge = replace(edge, direction=Direction(source, target, share))
        out.append(edge)
    return tuple(out)


def travelled(
    game: ComponentGame,
    source: int,
    target: int,
    contexts: Masks,
    *,
    evaluate: PerPromptGame | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Estimate:
    """The share of the interaction of two components that travels from the first to the second.

    Args:
        game: what is run.
        source: the index of the component in the earlier layer.
        target: the index of that in the later one.
        contexts: bool ``(C, n)``; what they say of the two does not matter.
        evaluate: the same game, where it remembers what was run; by default the game itself.
        seed: of the bootstrap over contexts and prompts, which gives the 95 % interval.
        progress: progress bars.

    Raises:
        UserError: the target is not in a later layer.
    """
    corners = np.repeat(np.asarray(contexts, dtype=bool)[:, None], 4, axis=1)
    for place, (one, two) in enumerate(((True, True), (True, False), (False, True), (False, False))):
        corners[:, place, source], corners[:, place, target] = one, two
    patched = game.patched(corners[:, 0], source, target, progress=progress)
    flat = corners.reshape(-1, game.n_players)
    if evaluate is None:
        rows = game.evaluate(flat, progress=progress, label="path patching").per_prompt
    else:
        rows = evaluate(flat)
    values = rows.reshape(len(contexts), 4, -1)
    whole = values[:, 0] - values[:, 1] - values[:, 2] + values[:, 3]
    return ratio_of_means(values[:, 0] - patched, whole, seed=seed)
