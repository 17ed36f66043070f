"""``find_circuit``, from a model and a task to a verified circuit graph; ``explain``, the same from any game."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from circuitspex.ablation import Executor, Precision, Store
from circuitspex.circuits.found import Found
from circuitspex.circuits.search._coarse_to_fine import search_levels
from circuitspex.circuits.search._search import MEASURING, search
from circuitspex.circuits.search.edges._search_edges import check_edge_options, search_of_edges
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.search.prompts import hold_out, prepared
from circuitspex.components import Latents, Selector, model_structure, select
from circuitspex.components.edges import EdgeSelector, is_of_edges
from circuitspex.errors import UserError
from circuitspex.games import LensGame, as_game
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.masks import Keep
from circuitspex.masks.members import masks_keeping
from circuitspex.models.given import GivenModel
from circuitspex.recovery import Method
from circuitspex.renamed import warn_renamed
from circuitspex.tasks import Task
from circuitspex.typing import Game, Masks

BUDGET, EDGE_BUDGET = 100, 40


def find_circuit(
    model: GivenModel,
    task: Task | str | Path,
    components: Selector | EdgeSelector = "heads",
    baseline: str | None = None,
    budget: int | None = None,
    *,
    latents: Latents | Sequence[Latents] | None = None,
    keep: Keep | Literal["auto"] = 0.5,
    method: Method = "auto",
    max_nodes: int = 16,
    max_interactions: int = 12,
    n_heldout: int = 200,
    n_contexts: int = 16,
    n_random: int = 20,
    directions: bool = True,
    refine: int | Sequence[str] = 0,
    levels: Sequence[str] | None = None,
    until: float | None = None,
    heldout: Task | str | Path | None = None,
    executor: Executor = "auto",
    precision: Precision = "model",
    store: Store | str | Path | None = None,
    workers: RayWorkers | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Found:
    """Find which components a model uses for a task, and which of them interact.

    The components are ablated under ``budget`` random masks, the results decoded into a sparse function, the strongest
    components and interactions measured again by paired ablations on the model, and what replicates becomes the
    circuit. The decoded function is scored on ``n_heldout`` further masks, the circuit on held-out prompts.

    Args:
        model: a TransformerBridge, from ``load_model`` for example; a Hugging Face model, or the name of one.
        task: prompts and metric; or the name of a built-in task, or a ``.jsonl`` file.
        components: a selector such as 'heads' or 'heads+mlps', or a list of components; or of edges, such as 'edges',
            'edges:ungrouped' or 'edges->logits': then ``find_edges`` chooses circuits of every size (``found.edges``),
            and the graph is of the strongest edges, measured while all others are open.
        baseline: 'mean', 'mean_vector', 'resample' or 'zero'; by default 'mean', of edges 'resample'.
        latents: sparse autoencoders whose latents are among the components; see ``ComponentGame``.
        budget: ablations to decode from; each with a backward pass where the method uses gradients. By default 100, of
            edges 40, and as many again for their interactions.
        keep: the share of components that a random mask keeps; ``(low, high)`` lets each mask draw its own; 'auto'
            picks it by a pilot (see ``circuitspex.masks._pilot``), whose ablations come on top of the budget.
        method: as in ``decode``: 'auto' uses gradients where the metric has them; 'spex' runs the masks of its own
            design, which keep half of the components and can't stop early.
        max_nodes: the components with the largest main effects that are measured again.
        max_interactions: the sets of two or more that are measured again.
        n_heldout: plain ablations for the R².
        n_contexts: random contexts in which each set is measured; twice as many where its interval is wide.
        n_random: random circuits that the circuit is compared with.
        directions: say for each pair how much of it travels from the earlier component to the later (path patching).
        refine: rounds in which the circuits that the decoded function chooses are run for real, added to the data, and
            decoded again, until it is right about them; about a dozen gradient ablations each, on top of the budget.
        levels: selectors from coarse to fine, such as ['layers', 'heads+mlps', 'neurons'], which take the place of
            ``components``: see ``coarse_to_fine``.
        until: stop early, once R² on new masks is at least this: the ablations are run in stages (an eighth, a quarter,
            a half and all of the budget, of 16 or more), and end when the lower end of the interval of R² reaches it.
        heldout: prompts for the verification: a task, or the name of one, or a ``.jsonl`` file. Those that are also
            prompts of ``task`` are left out, with a warning. By default fresh prompts of a built-in task; of any other
            task a quarter of the prompts is set aside, and the circuit is found on the rest.
        executor: how the model is run; see ``ComponentGame``.
        precision: of its matrix products; see ``ComponentGame``.
        store: where finished ablations are kept and taken from; see ``ComponentGame``. With one, the same call after an
            interruption goes on where it stopped.
        workers: processes on this machine or several that run the ablations; see ``RayWorkers``.
        seed: of every random choice; the same seed, model and machine give the same result.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: an argument out of range; all held-out prompts are those that the circuit would be found on;
            ComponentError, TaskError: as in ``ComponentGame``.

    Warns:
        UserWarning: where the model can't do the task, where the decoded function explains little, and where
            ``until`` was not reached, with the budget that likely would.
    """
    if isinstance(refine, Sequence):
        warn_renamed("find_circuit(refine=[levels])", "levels=[levels]")
        levels, refine = refine, 0
    edges = levels is None and is_of_edges(components)
    baseline = baseline or ("resample" if edges else "mean")
    budget = budget if budget is not None else EDGE_BUDGET if edges else BUDGET
    options = Options.of(locals())
    if edges:
        check_edge_options(options, baseline)
    if levels is not None and refine:
        raise UserError("refine (rounds) and levels can't be combined; give one of the two")
    model, task, heldout = prepared(model, task, baseline, heldout, components, levels)
    if levels is not None:
        return search_levels(model, task, levels, baseline, options, heldout)
    if edges:
        return search_of_edges(model, task, cast("EdgeSelector", components), baseline, options, heldout)
    selector = cast("Selector", components)
    options.check_memory(len(select(model_structure(model, latents), selector)))
    if heldout is None:
        task, heldout = hold_out(task, options.seed)
    report = task.report(model)
    done = search(options.game(model, task, selector, baseline), options, heldout=heldout)
    return done.found(report=report)


def explain(
    game: Game | LensGame | Callable[[Masks], Any],
    budget: int = 100,
    *,
    n_players: int | None = None,
    names: Sequence[str] | None = None,
    keep: Keep | Literal["auto"] = 0.5,
    method: Method = "auto",
    max_nodes: int = 16,
    max_interactions: int = 12,
    n_heldout: int = 200,
    n_contexts: int = 16,
    refine: int = 0,
    until: float | None = None,
    workers: RayWorkers | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Found:
    """Find which players of a game matter, and which of them interact.

    The game is played under ``budget`` random masks and the results are decoded into a sparse function, which is scored
    on ``n_heldout`` further masks. Its strongest players and interactions are then measured again by paired ablations,
    and what replicates becomes the graph. This is what ``find_circuit`` does for the components of a model; it works
    for every lens, and for any callable from masks bool ``(K, n)``, True = kept, to numbers ``(K,)`` or ``(K, P)``.

    Args:
        game: a ``ComponentGame``, ``TokenGame`` or ``TrainingGame``, or a callable with ``n_players`` (and, where they
            are there, ``names`` and ``gradients(masks)``; see ``FunctionGame``), or a plain function of masks.
        n_players: how many players a plain function has; by default as many as there are names.
        names: what they are called; by default their numbers.
        budget: ablations to decode from; each with a backward pass where the method uses gradients and the game has
            them. Where so many cover every mask of a few players (``keep`` 0.5), each mask is run once.
        keep: the share of players that a random mask keeps; ``(low, high)`` lets each mask draw its own; 'auto' picks
            it by a pilot (see ``circuitspex.masks._pilot``), whose ablations come on top of the budget.
        method: as in ``decode``: 'auto' uses gradients where the game has them; 'spex' runs the masks of its own
            design, which keep half of the players and can't stop early.
        max_nodes: the players with the largest main effects that are measured again.
        max_interactions: the sets of two or more that are measured again.
        n_heldout: plain ablations for the R².
        n_contexts: random contexts in which each set is measured; twice as many where its interval is wide.
        refine: rounds in which the sets that the decoded function chooses are run for real, added to the data, and
            decoded again.
        until: stop early, once R² on new masks is at least this.
        workers: processes that play the game, of which each has a copy (of a model, one that it loads); by default
            those that the game was made with. See ``RayWorkers``.
        seed: of every random choice; the same seed and game give the same result.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: an argument out of range, not a game, or a game that gives NaN, infinities or another shape.

    Warns:
        UserWarning: where the decoded function explains little, and where ``until`` was not reached, with the budget
            that likely would.
    """
    lens = as_game(game, n_players, names)
    if workers is not None:
        lens = lens.played_by(workers)
    options = Options.of(locals(), directions=False)
    done = search(lens, options)
    ends = [range(lens.n_players)]
    if lens.lens in ("components", "tokens"):  # of a model; a training without examples, say, may not be possible
        ends.append(range(0))
    whole = done.asked.evaluate(masks_keeping(ends, lens.n_players), stage=MEASURING)
    return done.found({"n_prompts": whole.per_prompt.shape[1], "unablated": float(whole.values[0])})
