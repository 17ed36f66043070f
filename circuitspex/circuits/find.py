"""``find_circuit``: from a model and a task to a verified circuit graph."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from circuitspex.ablation import Executor, Precision, Store, store_at
from circuitspex.circuits.ablations import Ablations, unseen
from circuitspex.circuits.adaptive import check_until, explore
from circuitspex.circuits.budget import Stage, advice
from circuitspex.circuits.circuit import Circuit, Faithfulness, Verification
from circuitspex.circuits.curve import sizes_of
from circuitspex.circuits.direction import with_directions
from circuitspex.circuits.parts import MORE_CONTEXTS, Remembered, measured_parts
from circuitspex.circuits.refine import Refined
from circuitspex.circuits.refine import refine as refine_choices
from circuitspex.circuits.verify import verify
from circuitspex.components import Selector
from circuitspex.errors import TaskError, UserError
from circuitspex.games import ComponentGame, Run
from circuitspex.masks import Keep, Pilot, check_keep, mean_keep, pilot, sample_masks
from circuitspex.masks.coded import CodedDesign
from circuitspex.recovery import Interactions, Method, decode
from circuitspex.tasks import Task, TaskReport

_PACKAGES = ("circuitspex", "torch", "transformer-lens", "transformers", "numpy", "scipy", "lightgbm")


@dataclass(frozen=True, repr=False)
class Found:
    """What ``find_circuit`` gives.

    ``circuit`` the graph; ``interactions`` the whole decoded function; ``faithfulness`` its R² on held-out masks;
    ``verification`` the circuit on held-out prompts; ``run`` the ablations that were decoded; ``report`` how well the
    model does the task; ``learning_curve`` the R² on new masks after each stage, and last on the held-out masks;
    ``pilot`` how the share kept was picked, where it was; ``refined`` the circuits that were chosen and run, where
    ``refine`` was asked for; ``n_stored`` how many ablations of the whole search came from
    the store, ``n_run`` how many were run.
    """

    circuit: Circuit
    interactions: Interactions
    run: Run
    report: TaskReport
    learning_curve: tuple[Stage, ...] = ()
    pilot: Pilot | None = None
    n_stored: int = 0
    n_run: int = 0
    refined: Refined | None = None

    @property
    def faithfulness(self) -> Faithfulness:
        """R² of the decoded function on masks that no fit has seen, with its interval."""
        return self.circuit.faithfulness

    @property
    def verification(self) -> Verification | None:
        """The circuit alone, and the model without it, on held-out prompts."""
        return self.circuit.verification

    def __repr__(self) -> str:
        return self.circuit.table()

    def _repr_html_(self) -> str:
        return self.circuit._repr_html_()


def find_circuit(
    model: Any,
    task: Task,
    components: Selector = "heads",
    baseline: str = "mean",
    budget: int = 100,
    *,
    keep: Keep | Literal["auto"] = 0.5,
    method: Method = "auto",
    max_nodes: int = 16,
    max_interactions: int = 12,
    n_heldout: int = 200,
    n_contexts: int = 16,
    n_random: int = 20,
    directions: bool = True,
    refine: int = 0,
    until: float | None = None,
    heldout: Task | None = None,
    executor: Executor = "auto",
    precision: Precision = "model",
    store: Store | str | Path | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Found:
    """Find which components a model uses for a task, and which of them interact.

    The components are ablated under ``budget`` random masks, the results decoded into a sparse function, the strongest
    components and interactions measured again by paired ablations on the model, and what replicates becomes the
    circuit. The decoded function is scored on ``n_heldout`` further masks, the circuit on held-out prompts.

    Args:
        model: a TransformerBridge, from ``load_model`` for example.
        task: prompts and metric.
        components: a selector such as 'heads' or 'heads+mlps', or a list of components.
        baseline: 'mean', 'resample' or 'zero'.
        budget: ablations to decode from; each with a backward pass where the method uses gradients.
        keep: the share of components that a random mask keeps; ``(low, high)`` lets each mask draw its own; 'auto'
            picks it by a pilot (see ``circuitspex.masks.pilot``), whose ablations come on top of the budget.
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
        until: stop early, once R² on new masks is at least this: the ablations are run in stages (an eighth, a quarter,
            a half and all of the budget, of 16 or more), and end when the lower end of the interval of R² reaches it.
        heldout: prompts for the verification. By default fresh prompts of a built-in task; of any other task a
            quarter of the prompts is set aside, and the circuit is found on the rest.
        executor: how the model is run; see ``ComponentGame``.
        precision: of its matrix products; see ``ComponentGame``.
        store: where finished ablations are kept and taken from; see ``ComponentGame``. With one, the same call after an
            interruption goes on where it stopped.
        seed: of every random choice; the same seed, model and machine give the same result.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: an argument out of range; ComponentError, TaskError: as in ``ComponentGame``.

    Warns:
        where the model can't do the task, where the decoded function explains little, and where ``until`` was not
        reached, with the budget that likely would.
    """
    if keep != "auto":
        keep = _check_keep_or_auto(keep)
    check_until(until)
    for name, value, least in (
        ("budget", budget, 2),
        ("max_nodes", max_nodes, 1),
        ("max_interactions", max_interactions, 0),
        ("n_heldout", n_heldout, 2),
        ("n_contexts", n_contexts, 2),
        ("n_random", n_random, 1),
        ("refine", refine, 0),
    ):
        if value < least:
            raise UserError(f"{name} must be at least {least}, not {value}")
    if heldout is None:
        task, heldout = _hold_out(task, seed)
    if method == "spex" and (keep != 0.5 or until is not None):
        raise UserError("method 'spex' runs its own masks, which keep half of the components: no keep, no until")
    report = task.report(model)
    kept = store_at(store)
    game = ComponentGame(model, task, components, baseline, executor=executor, precision=precision, store=kept)
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(5)]
    clock = _Clock()

    ablations = Ablations(
        game, gradients=method in ("auto", "gradspex"), required=method == "gradspex", progress=progress
    )
    trial = None
    if keep == "auto":
        # With the seed of the masks to decode, so that the pilot's masks of the chosen share are the first of them.
        trial = pilot(ablations, gradients=ablations.gradients, seed=seeds[0])
        keep = trial.keep
        clock.mark("pilot")
    share = keep

    def decode_run(run: Run) -> Interactions:
        clock.mark("ablate")
        decoded = decode(
            run.masks,
            run.values,
            gradients=run.gradients,
            method=method,
            keep=mean_keep(share),
            seed=seeds[1],
            names=game.names,
        )
        clock.mark("decode")
        return decoded

    if method == "spex":
        masks = CodedDesign.choose(game.n_players, budget, seed=seeds[0]).masks()
    else:
        masks = sample_masks(game.n_players, budget, keep=keep, seed=seeds[0])
    run, interactions, curve = explore(ablations, masks, decode_run, until=until, seed=seed)
    refined = None
    if refine and method != "spex":
        refined = refine_choices(game, run, decode_run, sizes_of(game.n_players), rounds=refine, progress=progress)
        run, interactions = refined.run, refined.interactions
        clock.mark("refine")

    fresh = unseen(sample_masks(game.n_players, n_heldout, keep=keep, seed=seeds[2]), run.masks)
    faithfulness = Faithfulness(None, None, None, 0)
    if len(fresh) > 1:
        seen = game.evaluate(fresh, progress=progress, label="held-out ablations")
        score = interactions.score(fresh, seen.values, seed=seed)
        faithfulness = Faithfulness(score.r2, score.low, score.high, score.n_masks)
        curve = (*curve, Stage(len(run), score.r2, score.low, score.high, score.n_masks))
        if until is not None and not any(stage.reaches(until) for stage in curve):
            warnings.warn(advice(curve, until, budget), stacklevel=2)
    clock.mark("held_out")

    counter = Remembered(game, progress, "measuring again")
    # One share, also where the masks mix several: the measured effect is then the same quantity as the decoded one.
    contexts = sample_masks(game.n_players, MORE_CONTEXTS * n_contexts, keep=mean_keep(keep), seed=seeds[3])
    nodes, edges, dropped = measured_parts(
        interactions, game, counter, contexts, n_contexts, max_nodes, max_interactions
    )
    clock.mark("measure")
    if directions:
        few = contexts[: max(2, n_contexts // 2)]
        edges = with_directions(game, edges, few, evaluate=counter, seed=seed, progress=progress)
        clock.mark("directions")

    verification = None
    games = [game]
    if heldout is not None and nodes:
        games.append(game.on(heldout))
        others = Remembered(games[-1], progress, "verifying")
        members = [game.names.index(node.name) for node in nodes]
        verification = verify(others, game.n_players, members, n_random=n_random, seed=seeds[4])
    clock.mark("verify")

    circuit = Circuit(
        nodes=nodes,
        edges=edges,
        dropped=dropped,
        faithfulness=faithfulness,
        verification=verification,
        model={
            "name": game.model_name,
            "identity": game.model_identity,
            "architecture": str(getattr(model.cfg, "architecture", None) or ""),
            "n_layers": game.structure.n_layers,
            "n_heads": max(layer.n_heads for layer in game.structure.layers),
            "d_model": int(model.cfg.d_model),
            "parallel_attn_mlp": bool(getattr(model.cfg, "parallel_attn_mlp", False)),
            "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        },
        task={
            "name": task.name,
            "identity": task.identity,
            "metric": task.metric.name,
            "n_prompts": task.n_prompts,
            "accuracy": report.accuracy,
            "unablated": report.mean_metric,
            "example": {
                "prompt": task.examples[0].prompt,
                "counterfactual": task.examples[0].counterfactual,
                "answer": task.examples[0].answer,
                "wrong_answer": task.examples[0].wrong_answer,
                "tokens": _pieces(model, task),
            },
        },
        run={
            "components": components if isinstance(components, str) else "+".join(game.names),
            "n_components": game.n_players,
            "baseline": game.baseline,
            "keep": mean_keep(keep),
            "method": interactions.method,
            "seed": seed,
            "budget": budget,
            "gradient_ablations": len(run) if ablations.gradients else 0,
            "plain_ablations": 0 if ablations.gradients else len(run),
            "heldout_ablations": len(fresh),
            "measurement_ablations": counter.count,
            "executor": game.executor,
            "versions": versions(),
            "timings": clock.seconds,
            **({"keep_range": list(keep)} if isinstance(keep, tuple) else {}),
            **({} if trial is None else _pilot_fields(trial, ablations, run)),
            **({} if refined is None else {"refined": {"rounds": len(refined.rounds), "agreed": refined.agreed}}),
            **({} if until is None else {"until": until, "learning_curve": [asdict(stage) for stage in curve]}),
        },
    )
    stored, ran = (sum(getattr(one, name) for one in games) for name in ("n_stored", "n_run"))
    return Found(circuit, interactions, run, report, curve, trial, stored, ran, refined)


def _pieces(model: Any, task: Task) -> list[str]:
    """The tokens of the first prompt as text; none where the model has no tokenizer."""
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        return []
    group = next(group for group in task.groups if 0 in group.indices.tolist())
    row = group.tokens[group.indices.tolist().index(0)]
    return [str(tokenizer.decode([int(token)])) for token in row]


def _check_keep_or_auto(keep: Keep) -> Keep:
    try:
        return check_keep(keep)
    except UserError as error:
        raise UserError(f"{error}; 'auto' picks it by a pilot") from None


def _pilot_fields(trial: Pilot, ablations: Ablations, run: Run) -> dict[str, Any]:
    """The pilot in the run's record; its cost without the masks that were then decoded."""
    return {
        "keep_chosen": {"reason": trial.reason, "shares": [asdict(row) for row in trial.rows]},
        "pilot_ablations": len(ablations) - len(np.unique(run.masks, axis=0)),
    }


def _hold_out(task: Task, seed: int) -> tuple[Task, Task | None]:
    """The task to find the circuit on, and prompts to verify it on; None where there is only one prompt."""
    try:
        return task, task.fresh(max(2, task.n_prompts), seed=seed + 1)
    except TaskError:
        pass
    try:
        return task.split(0.25, seed=seed)
    except TaskError:
        return task, None


class _Clock:
    """Seconds since the last mark, added up by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 3)
        self._last = now


def versions() -> dict[str, str]:
    """The versions of the packages that a result depends on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
