"""The steps that every search has, whatever is ablated: run, decode, score on new masks, measure again."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from circuitspex.circuits.ablations import Ablations, unseen
from circuitspex.circuits.circuit import Circuit, Faithfulness, Interaction, Node, Verification
from circuitspex.circuits.evidence._strongest import MORE_CONTEXTS, Remembered, measured_parts
from circuitspex.circuits.evidence.curve import sizes_of
from circuitspex.circuits.found import Refined, Stage
from circuitspex.circuits.record import Clock, versions
from circuitspex.circuits.search._refine import refine as refine_choices
from circuitspex.circuits.search.footprint import check_memory, peak_memory
from circuitspex.circuits.search.stages import advice, check_until, explore
from circuitspex.errors import UserError
from circuitspex.games import LensGame, Run
from circuitspex.masks import Keep, Pilot, check_keep, every_mask, mean_keep, pilot, sample_masks
from circuitspex.recovery import DECODERS, Interactions, Method, decode
from circuitspex.recovery.decoders.exact import MOST_PLAYERS
from circuitspex.typing import Masks

EVERY_CONTEXT = 64
"""Where there are no more masks than this, or than were decoded, sets are measured in every context."""
LEAST_HELDOUT = 4
"""With fewer masks left that no fit has seen, R² is not measured."""


@dataclass(frozen=True)
class Plan:
    """What a search is asked for; see ``explain`` for each."""

    budget: int = 100
    keep: Keep | Literal["auto"] = 0.5
    method: Method = "auto"
    max_nodes: int = 16
    max_interactions: int = 12
    n_heldout: int = 200
    n_contexts: int = 16
    refine: int = 0
    until: float | None = None
    seed: int = 0
    progress: bool | None = None

    def check(self) -> Plan:
        """The plan with its share checked.

        Raises:
            UserError: an argument out of range.
        """
        keep = self.keep if self.keep == "auto" else _check_keep_or_auto(self.keep)
        check_until(self.until)
        for name, least in (
            ("budget", 2),
            ("max_nodes", 1),
            ("max_interactions", 0),
            ("n_heldout", 2),
            ("n_contexts", 2),
            ("refine", 0),
        ):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if DECODERS[self.method].makes_its_own_masks and (keep != 0.5 or self.until is not None):
            raise UserError(
                f"method '{self.method}' runs its own masks, which keep half of the components: no keep, no until"
            )
        return Plan(**{**self.__dict__, "keep": keep})

    def check_memory(self, n_players: int) -> int:
        """What the search will keep in memory, in bytes.

        Raises:
            UserError: more than is free.
        """
        n_measured = MORE_CONTEXTS * self.n_contexts * (self.max_nodes + 3 * self.max_interactions + 1)
        return check_memory(n_players, self.budget, self.n_heldout, n_measured)


@dataclass
class Search:
    """A search as far as it has come; ``circuit`` makes the graph of it."""

    game: LensGame
    plan: Plan
    run: Run
    interactions: Interactions
    keep: Keep
    seeds: list[int]
    clock: Clock
    counter: Remembered
    contexts: Masks
    nodes: tuple[Node, ...]
    edges: tuple[Interaction, ...]
    dropped: tuple[Interaction, ...]
    faithfulness: Faithfulness
    n_heldout: int
    gradients: bool
    curve: tuple[Stage, ...] = ()
    pilot: Pilot | None = None
    refined: Refined | None = None
    verification: Verification | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def circuit(self, task: dict[str, Any]) -> Circuit:
        """The graph with its record; ``task`` adds to what the game says of its task."""
        about, plan, peak = self.game.describe(), self.plan, peak_memory()
        return Circuit(
            nodes=self.nodes,
            interactions=self.edges,
            dropped=self.dropped,
            faithfulness=self.faithfulness,
            verification=self.verification,
            model=about.get("model", {}),
            task={**about.get("task", {}), **task},
            run={
                "lens": self.game.lens,
                "n_components": self.game.n_players,
                "keep": mean_keep(self.keep),
                "method": self.interactions.method,
                "seed": plan.seed,
                "budget": plan.budget,
                "gradient_ablations": len(self.run) if self.gradients else 0,
                "plain_ablations": 0 if self.gradients else len(self.run),
                "heldout_ablations": self.n_heldout,
                "measurement_ablations": self.counter.count,
                "executor": self.game.executor,
                "versions": versions(),
                "timings": self.clock.seconds,
                **about.get("run", {}),
                **({"keep_range": list(self.keep)} if isinstance(self.keep, tuple) else {}),
                **self.more,
                **({} if peak is None else {"peak_memory_bytes": peak}),
            },
        )


def search(game: LensGame, plan: Plan) -> Search:
    """Run the ablations, decode them, score the function on new masks, and measure its strongest parts again.

    Raises:
        UserError: it would take more memory than is free; said before anything runs.
    """
    estimate = plan.check_memory(game.n_players)
    decoder = DECODERS[plan.method]
    seeds = [int(s) for s in np.random.SeedSequence(plan.seed).generate_state(5)]
    clock = Clock()
    ablations = Ablations(
        game,
        gradients=decoder.uses_gradients != "no",
        required=decoder.uses_gradients == "needs",
        progress=plan.progress,
    )
    trial = None
    if plan.keep == "auto":
        # With the seed of the masks to decode, so that the pilot's masks of the chosen share are the first of them.
        trial = pilot(ablations, gradients=ablations.gradients, seed=seeds[0])
        share: Keep = trial.keep
        clock.mark("pilot")
    else:
        share = plan.keep

    def decode_run(run: Run) -> Interactions:
        clock.mark("ablate")
        decoded = decode(
            run.masks,
            run.values,
            gradients=run.gradients,
            method=plan.method,
            keep=mean_keep(share),
            seed=seeds[1],
            names=game.names,
        )
        clock.mark("decode")
        return decoded

    if decoder.own_masks is not None:
        masks = decoder.own_masks(game.n_players, plan.budget, seed=seeds[0])
    else:
        masks = _drawn(game.n_players, plan.budget, share, seeds[0])
    run, interactions, curve = explore(ablations, masks, decode_run, until=plan.until, seed=plan.seed)
    refined = None
    if plan.refine and not decoder.makes_its_own_masks:
        sizes = sizes_of(game.n_players)
        refined = refine_choices(game, run, decode_run, sizes, rounds=plan.refine, progress=plan.progress)
        run, interactions = refined.run, refined.interactions
        clock.mark("refine")

    more_drawn = len(run) if game.n_players <= MOST_PLAYERS else 0  # of few masks many have been seen
    drawn = _drawn(game.n_players, plan.n_heldout + more_drawn, share, seeds[2])
    fresh = unseen(drawn, run.masks)[: plan.n_heldout]
    faithfulness = Faithfulness(None, None, None, 0)
    if len(fresh) < min(max(2, plan.n_heldout // 2), LEAST_HELDOUT):
        fresh = fresh[:0]  # an R² of a few masks would say nothing
    else:
        seen = game.evaluate(fresh, progress=plan.progress, label="held-out ablations")
        score = interactions.score(fresh, seen.values, seed=plan.seed)
        faithfulness = Faithfulness(score.r2, score.low, score.high, score.n_masks)
        curve = (*curve, Stage(len(run), score.r2, score.low, score.high, score.n_masks))
        if plan.until is not None and not any(stage.reaches(plan.until) for stage in curve):
            warnings.warn(advice(curve, plan.until, plan.budget), stacklevel=3)
    clock.mark("held_out")

    counter = Remembered(game, plan.progress, "measuring again")
    # One share, also where the masks mix several: the measured effect is then the same quantity as the decoded one.
    uniform = mean_keep(share) == 0.5
    n_contexts = plan.n_contexts
    if uniform and game.n_players <= MOST_PLAYERS and 2**game.n_players <= max(len(run), EVERY_CONTEXT):
        contexts = every_mask(game.n_players, seed=seeds[3])
        n_contexts = len(contexts)  # what is measured in all of them is exact
    else:
        contexts = _drawn(game.n_players, MORE_CONTEXTS * n_contexts, mean_keep(share), seeds[3])
    nodes, edges, dropped = measured_parts(
        interactions, game, counter, contexts, n_contexts, plan.max_nodes, plan.max_interactions, uniform
    )
    clock.mark("measure")
    more: dict[str, Any] = {"memory_estimate_bytes": estimate}
    if trial is not None:
        more |= _pilot_fields(trial, ablations, run)
    if refined is not None:
        more["refined"] = {"rounds": len(refined.rounds), "agreed": refined.agreed}
    if plan.until is not None:
        more |= {"until": plan.until, "learning_curve": [asdict(stage) for stage in curve]}
    return Search(
        game=game,
        plan=plan,
        run=run,
        interactions=interactions,
        keep=share,
        seeds=seeds,
        clock=clock,
        counter=counter,
        contexts=contexts,
        nodes=nodes,
        edges=edges,
        dropped=dropped,
        faithfulness=faithfulness,
        n_heldout=len(fresh),
        gradients=ablations.gradients,
        curve=curve,
        pilot=trial,
        refined=refined,
        more=more,
    )


def _drawn(n_players: int, count: int, keep: Keep, seed: int) -> Masks:
    """Random masks; where there are few of them, without drawing any twice (and as many as there are at most)."""
    if keep == 0.5 and n_players <= MOST_PLAYERS and 2**n_players <= 2 * count:
        return every_mask(n_players, seed=seed)[:count]
    return sample_masks(n_players, count, keep=keep, seed=seed)


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
