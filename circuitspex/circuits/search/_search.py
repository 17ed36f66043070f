"""The stages that every search has, whatever is ablated.

Run the masks and decode them, refine, score the function on new masks, measure its strongest parts again, say which way
they go, and verify the circuit on held-out prompts. All of them ask one ``RememberingGame``.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from circuitspex.circuits.circuit import Circuit, Faithfulness, Interaction, Node, Verification
from circuitspex.circuits.evidence._strongest import Measurements, measured_parts
from circuitspex.circuits.evidence._verify import verify
from circuitspex.circuits.evidence.curve import sizes_of
from circuitspex.circuits.evidence.direction import with_directions
from circuitspex.circuits.evidence.resolution import Resolution
from circuitspex.circuits.found import Found, Refined, Stage
from circuitspex.circuits.record import Clock, recorded_main_effects, versions
from circuitspex.circuits.search._refine import refine
from circuitspex.circuits.search.doubt import warn_of_doubt
from circuitspex.circuits.search.draws import contexts_of, drawn, score_on_new_masks
from circuitspex.circuits.search.footprint import peak_memory
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.search.stages import advice, explore
from circuitspex.games import ComponentGame, LensGame, RememberingGame, Run
from circuitspex.masks import Keep, Pilot, mean_keep, pilot
from circuitspex.recovery import DECODERS, Interactions, decode
from circuitspex.recovery.decoders.exact import MOST_PLAYERS
from circuitspex.recovery.result import LittleExplained
from circuitspex.tasks import Task, TaskReport
from circuitspex.typing import Masks

MEASURING = "measuring again"

_RECORDED = ("max_nodes", "max_interactions", "n_contexts", "n_random", "directions")


@dataclass(frozen=True)
class Decoded:
    """What was run to decode, and what it gave."""

    run: Run
    interactions: Interactions
    keep: Keep
    curve: tuple[Stage, ...]
    pilot: Pilot | None = None
    n_pilot: int = 0
    """Masks that only the pilot needed."""
    refined: Refined | None = None


@dataclass(frozen=True)
class Evidence:
    """What was measured on the model: parts that replicate, those that do not, and the check on held-out prompts."""

    nodes: tuple[Node, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    dropped: tuple[Interaction, ...] = ()
    dropped_nodes: tuple[Node, ...] = ()
    verification: Verification | None = None
    exact: bool = False
    """Whether everything was measured in every context that there is."""
    measurements: Measurements | None = None


@dataclass(frozen=True)
class Search:
    """A finished search: what was decoded, how well it predicts, what was measured, and what it cost."""

    options: Options
    decoded: Decoded
    faithfulness: Faithfulness
    evidence: Evidence
    asked: RememberingGame
    others: RememberingGame | None
    """The same components on held-out prompts, where there were any to verify on."""
    record: dict[str, Any]

    def circuit(self, task: dict[str, Any]) -> Circuit:
        """The graph with its record; ``task`` adds to what the game says of its task."""
        game: LensGame = self.asked.game
        about, keep, peak = game.describe(), self.decoded.keep, peak_memory()
        n_decoded, with_gradients = len(self.decoded.run), self.decoded.run.gradients is not None
        return Circuit(
            nodes=self.evidence.nodes,
            interactions=self.evidence.interactions,
            dropped=self.evidence.dropped,
            dropped_nodes=self.evidence.dropped_nodes,
            faithfulness=self.faithfulness,
            verification=self.evidence.verification,
            model=about.get("model", {}),
            task={**about.get("task", {}), **task, **self._ablated()},
            run={
                "lens": game.lens,
                "n_components": game.n_players,
                "keep": mean_keep(keep),
                "method": self.decoded.interactions.method,
                "seed": self.options.seed,
                "budget": self.options.budget,
                "gradient_ablations": n_decoded if with_gradients else 0,
                "plain_ablations": 0 if with_gradients else n_decoded,
                "heldout_ablations": self.faithfulness.n_masks,
                "measurement_ablations": self.asked.counts[MEASURING].asked if MEASURING in self.asked.counts else 0,
                "executor": game.executor,
                "versions": versions(),
                **about.get("run", {}),
                **({"keep_range": list(keep)} if isinstance(keep, tuple) else {}),
                **self.record,
                **({} if peak is None else {"peak_memory_bytes": peak}),
            },
        )

    def _ablated(self) -> dict[str, float]:
        """The mean metric with everything ablated, where that was run."""
        value = self.asked.known(np.zeros(self.asked.n_players, dtype=np.bool_))
        return {} if value is None else {"ablated": value}

    def found(self, task: dict[str, Any] | None = None, report: TaskReport | None = None) -> Found:
        """What the public functions give; by default the record of the task says how well the model does it."""
        if report is not None:
            task = {"accuracy": report.accuracy, "unablated": report.mean_metric}
        one, games = self.decoded, [each.game for each in (self.asked, self.others) if each is not None]
        return Found(
            self.circuit(task or {}),
            one.interactions,
            one.run,
            report,
            one.curve,
            one.pilot,
            sum(game.n_stored for game in games),
            sum(game.n_run for game in games),
            one.refined,
            measurements=self.evidence.measurements,
        )


class _Seeds(NamedTuple):
    """A seed for each random choice of a search."""

    masks: int
    decoding: int
    heldout: int
    contexts: int
    verification: int

    @classmethod
    def of(cls, seed: int) -> _Seeds:
        return cls(*(int(s) for s in np.random.SeedSequence(seed).generate_state(5)))


def search(
    game: LensGame, options: Options, *, heldout: Task | None = None, record: dict[str, Any] | None = None
) -> Search:
    """The whole search in a game.

    Args:
        game: what is ablated; directions are measured only between components of a model.
        options: what is asked for.
        heldout: prompts to verify the circuit on, if there are any.
        record: further fields of the run's record.

    Raises:
        UserError: it would take more memory than is free; said before anything runs.
    """
    estimate = options.check_memory(game.n_players)
    seeds, clock = _Seeds.of(options.seed), Clock()
    asked = RememberingGame(game, options.progress)
    decoded = _decoded(asked, options, seeds, clock)
    faithfulness, curve = _scored(asked, options, decoded, seeds)
    decoded = replace(decoded, curve=curve)
    warn_of_doubt(faithfulness, decoded.interactions)
    clock.mark("held_out")
    evidence, contexts = _measured(asked, options, decoded, seeds)
    clock.mark("measure")
    interactions = evidence.interactions
    if options.directions and isinstance(game, ComponentGame):
        few = contexts[: max(2, options.n_contexts // 2)]
        interactions = with_directions(asked, interactions, few, stage=MEASURING, seed=options.seed)
        clock.mark("directions")
    others, verification = None, None
    if heldout is not None and evidence.nodes:
        others = asked.on(heldout)
        place = {name: index for index, name in enumerate(game.names)}
        members = [place[node.name] for node in evidence.nodes]
        verification = verify(
            others.stage("verifying"), game.n_players, members, n_random=options.n_random, seed=seeds.verification
        )
    clock.mark("verify")
    return Search(
        options=options,
        decoded=decoded,
        faithfulness=faithfulness,
        evidence=replace(evidence, interactions=interactions, verification=verification),
        asked=asked,
        others=others,
        record={
            "timings": clock.seconds,
            "stages": {name: asdict(count) for name, count in asked.counts.items()},
            "memory_estimate_bytes": estimate,
            **_record(options, decoded),
            **({"exact_over_masks": True} if evidence.exact else {}),
            **({} if heldout is None else {"heldout": _about_heldout(heldout)}),
            **(record or {}),
        },
    )


def _decoded(asked: RememberingGame, options: Options, seeds: _Seeds, clock: Clock) -> Decoded:
    """Run the budget, in stages where it may stop early, and decode it; then refine."""
    wanted, trial = options.gradients, None

    def ablate(masks: Masks) -> Run:
        return asked.evaluate(masks, gradients=wanted, stage="ablations to decode")

    share: Keep
    if options.keep == "auto":
        # With the seed of the masks to decode, so that the pilot's masks of the chosen share are the first of them.
        trial = pilot(asked, gradients=wanted, seed=seeds.masks)
        share = trial.keep
        clock.mark("pilot")
    else:
        share = options.keep

    def fit(run: Run) -> Interactions:
        clock.mark("ablate")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LittleExplained)  # said of the held-out masks, once they are run
            fitted = decode(
                run.masks,
                run.values,
                gradients=run.gradients,
                method=options.method,
                keep=mean_keep(share),
                seed=seeds.decoding,
                names=asked.names,
            )
        clock.mark("decode")
        return fitted

    own_masks = DECODERS[options.method].own_masks
    if own_masks is not None:
        masks = own_masks(asked.n_players, options.budget, seed=seeds.masks)
    else:
        masks = drawn(asked.n_players, options.budget, share, seeds.masks)
    run, interactions, curve = explore(ablate, masks, fit, until=options.until)
    n_pilot = len(asked) - len(np.unique(run.masks, axis=0)) if trial is not None else 0
    if not options.refine or own_masks is not None:
        return Decoded(run, interactions, share, curve, trial, n_pilot)
    refined = refine(asked, run, fit, sizes_of(asked.n_players), rounds=options.refine)
    clock.mark("refine")
    return Decoded(refined.run, refined.interactions, share, curve, trial, n_pilot, refined)


def _scored(
    asked: RememberingGame, options: Options, decoded: Decoded, seeds: _Seeds
) -> tuple[Faithfulness, tuple[Stage, ...]]:
    """R² on masks that no fit has seen, or on all masks where they are few; and the learning curve with it."""
    run, curve = decoded.run, decoded.curve
    found = score_on_new_masks(
        decoded.interactions,
        run.masks,
        lambda masks: asked.evaluate(masks, stage="held-out ablations").values,
        n_heldout=options.n_heldout,
        keep=decoded.keep,
        seed=seeds.heldout,
    )
    if not found.n_masks:
        return found, curve
    ends = (found.r2, found.r2) if found.exact else (found.low, found.high)
    last = Stage(len(run), found.r2, *ends, found.n_masks)
    curve = (*curve, last)
    reached = any(options.until is None or stage.reaches(options.until) for stage in curve)
    if not reached and not found.exact:  # where every mask was run, no larger budget would help
        warnings.warn(advice(curve, options.until or 0.0, options.budget), stacklevel=4)
    return found, curve


def _measured(asked: RememberingGame, options: Options, decoded: Decoded, seeds: _Seeds) -> tuple[Evidence, Masks]:
    """The strongest parts, measured again by paired ablations; and the contexts in which they were."""
    n, run = asked.n_players, decoded.run
    # One share, also where the masks mix several: the measured effect is then the same quantity as the decoded one.
    share = mean_keep(decoded.keep)
    contexts, n_contexts = contexts_of(n, options.n_contexts, share, len(asked), seeds.contexts)
    parts = measured_parts(
        decoded.interactions,
        asked.game,
        asked.stage(MEASURING),
        contexts,
        n_contexts,
        options.max_nodes,
        options.max_interactions,
        Resolution.of(run.per_prompt, asked.game.unit_roundoff),
        uniform=share == 0.5,
    )
    found = Evidence(
        parts.nodes, parts.interactions, parts.dropped, parts.dropped_nodes, measurements=parts.measurements
    )
    return replace(found, exact=share == 0.5 and n <= MOST_PLAYERS and len(contexts) == 2**n), contexts


def _about_heldout(heldout: Task) -> dict[str, Any]:
    return {"name": heldout.name, "identity": heldout.identity, "n_prompts": heldout.n_prompts}


def _record(options: Options, decoded: Decoded) -> dict[str, Any]:
    """What the record says of the optional stages."""
    out: dict[str, Any] = {"options": {name: getattr(options, name) for name in _RECORDED}}
    trial, refined, found = decoded.pilot, decoded.refined, decoded.interactions
    out |= recorded_main_effects(found)
    if decoded.interactions.likely_budget is not None:
        out["likely_budget"] = decoded.interactions.likely_budget
    if trial is not None:
        shares = [asdict(row) for row in trial.rows]
        out["keep_chosen"] = {"reason": trial.reason, "shares": shares}
        out["pilot_ablations"] = decoded.n_pilot
    if refined is not None:
        out["refined"] = {"rounds": len(refined.rounds), "agreed": refined.agreed}
    if options.until is not None:
        out |= {"until": options.until, "learning_curve": [asdict(stage) for stage in decoded.curve]}
    return out
