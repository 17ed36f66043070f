"""What is done at one checkpoint of a series, wherever it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from circuitspex.circuits.comparison import Point
from circuitspex.circuits.comparison_circuits import whole
from circuitspex.circuits.evidence._replicate import replicate
from circuitspex.circuits.search.options import Options
from circuitspex.games import RememberingGame
from circuitspex.masks import Keep, sample_masks
from circuitspex.models import model_of
from circuitspex.models.given import GivenModel
from circuitspex.models.protocol import Model
from circuitspex.recovery import Interactions, decode
from circuitspex.silence import no_warnings
from circuitspex.statistics import over_prompts
from circuitspex.tasks import Task
from circuitspex.typing import Masks, Term


def loaded(model: GivenModel | Callable[[], Model]) -> Model:
    """The model itself, or what its loader gives."""
    loads = callable(model) and not isinstance(model, type) and not hasattr(model, "parameters")
    return model_of(cast(Callable[[], GivenModel], model)() if loads else cast(GivenModel, model))


def game_at(model: Model, prompts: Task, components: Any, baseline: str, options: Options) -> RememberingGame:
    """The game of a checkpoint."""
    return RememberingGame(options.game(model, prompts, components, baseline), options.progress)


def decoded_at(game: RememberingGame, options: Options, keep: Keep, seeds: Sequence[int]) -> Interactions:
    """The function that is decoded from the budget."""
    masks = sample_masks(game.n_players, options.budget, keep=keep, seed=seeds[0])
    run = game.evaluate(masks, gradients=None, stage="ablations to decode")
    with no_warnings():  # before a model has learnt the task there is nothing to explain
        return decode(
            run.masks, run.values, gradients=run.gradients, keep=options.share, seed=seeds[1], names=game.names
        )


def point_at(name: str, identity: str, game: RememberingGame, wanted: Sequence[Term], contexts: Masks) -> Point:
    """The effects of these sets, and the metric with nothing ablated."""
    found = replicate(game.stage(f"measuring {name}"), wanted, contexts) if wanted else {}
    metric = over_prompts(whole(game), one_prompt=0.0)
    return Point(name, identity, metric, tuple(found[members].estimate() for members in wanted))
