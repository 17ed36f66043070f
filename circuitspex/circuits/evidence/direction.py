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
from circuitspex.games import ComponentGame, RememberingGame
from circuitspex.statistics import ratio_of_means
from circuitspex.typing import Masks


def with_directions(
    game: ComponentGame | RememberingGame,
    interactions: Sequence[Interaction],
    contexts: Masks,
    *,
    stage: str = "path patching",
    seed: int = 0,
    progress: bool | None = None,
) -> tuple[Interaction, ...]:
    """The same interactions; the pairs in different layers carry how much of them travels.

    Args:
        game: the game that they were measured in; where it remembers, what it knows is not run again.
        interactions: those of three and more, those within a layer, and those that end at an expert or at
            latents, which are no activations that could be taken from another pass, stay as they are.
        contexts: bool ``(C, n)``, random masks of the other components.
        stage: under which the game counts what is run.
        seed: of the bootstrap over contexts and prompts.
        progress: progress bars, where the game does not remember and has none of its own.
    """
    asked = RememberingGame.of(game, progress)
    components = dict(zip(asked.names, asked.game.components, strict=True))
    out = []
    for one in interactions:
        if one.order == 2:
            source, target = sorted(one.components, key=lambda name: components[name].layer)
            if components[source].layer < components[target].layer and components[target].is_activation:
                ends = asked.names.index(source), asked.names.index(target)
                share = travelled(asked, *ends, contexts, stage=stage, seed=seed)
                one = replace(one, direction=Direction(source, target, share))
        out.append(one)
    return tuple(out)


def travelled(
    game: ComponentGame | RememberingGame,
    source: int,
    target: int,
    contexts: Masks,
    *,
    stage: str = "path patching",
    seed: int = 0,
    progress: bool | None = None,
) -> Estimate:
    """The share of the interaction of two components that travels from the first to the second.

    Args:
        game: what is run.
        source: the index of the component in the earlier layer.
        target: the index of that in the later one.
        contexts: bool ``(C, n)``; what they say of the two does not matter.
        stage: under which a game that remembers counts what is run.
        seed: of the bootstrap over contexts and prompts, which gives the 95 % interval.
        progress: progress bars, where the game does not remember and has none of its own.

    Raises:
        UserError: the target is not in a later layer.
    """
    corners = np.repeat(np.asarray(contexts, dtype=bool)[:, None], 4, axis=1)
    for place, (one, two) in enumerate(((True, True), (True, False), (False, True), (False, False))):
        corners[:, place, source], corners[:, place, target] = one, two
    asked = RememberingGame.of(game, progress)
    patched = asked.patched(corners[:, 0], source, target)
    rows = asked.evaluate(corners.reshape(-1, asked.n_players), stage=stage).per_prompt
    values = rows.reshape(len(contexts), 4, -1)
    whole = values[:, 0] - values[:, 1] - values[:, 2] + values[:, 3]
    return ratio_of_means(values[:, 0] - patched, whole, seed=seed)
