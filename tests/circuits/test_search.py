"""A search as a whole: no mask runs twice, and every stage is in the record."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.ablation import AblationEngine
from circuitspex.circuits import examine
from circuitspex.games import ComponentGame

FEW = {"n_heldout": 24, "n_contexts": 4, "max_nodes": 6, "max_interactions": 4, "progress": False}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, bool, bytes]]:
    """How often the model is run: by prompts, with or without a backward pass, and mask."""
    seen: Counter[tuple[str, bool, bytes]] = Counter()
    evaluate, patched = AblationEngine.evaluate, ComponentGame.patched

    def counted(engine, gates, *, gradients=False, **options):
        who = f"{engine.model_name} {engine.task.identity}" if hasattr(engine, "model_name") else str(id(engine))
        seen.update((who, gradients, row.tobytes()) for row in np.asarray(gates, dtype=np.float64))
        return evaluate(engine, gates, gradients=gradients, **options)

    def counted_patch(game, masks, source, target, **options):
        seen.update((f"{source}>{target}", False, row.tobytes()) for row in np.asarray(masks))
        return patched(game, masks, source, target, **options)

    monkeypatch.setattr(AblationEngine, "evaluate", counted)
    monkeypatch.setattr(ComponentGame, "patched", counted_patch)
    return seen


@pytest.fixture
def made(tiny):
    model = tiny.bridge("llama")
    return model, *tiny.task(model, (5,) * 12).split(0.5)


@pytest.mark.some(2)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        {"components": "heads", "budget": 40, "refine": 2},
        {"components": "heads+mlps", "budget": 48, "keep": "auto", "until": 0.999},
        {"components": "heads", "budget": 40, "method": "linear", "keep": (0.3, 0.9), "refine": 1},
        {"components": "mlps", "budget": 16},
    ],
)
def test_no_mask_runs_twice(made, calls, options) -> None:
    model, task, heldout = made
    found = cx.find_circuit(model, task, heldout=heldout, **{**FEW, **options})
    assert calls
    twice = [key for key, count in calls.items() if count > 1]
    assert not twice
    stages = found.circuit.run["stages"]
    if found.refined is None:
        decoded = len(np.unique(found.run.masks, axis=0))
        pilot = found.circuit.run.get("pilot_ablations", 0)
        assert stages["ablations to decode"]["asked"] == decoded + pilot
    n_run = sum(stage["run"] for stage in stages.values())
    own = {key for key in calls if ">" not in key[0]}
    assert n_run <= len(own)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_no_mask_runs_twice_from_coarse_to_fine_and_in_comparisons(made, tiny, calls) -> None:
    model, task, heldout = made
    cx.coarse_to_fine(model, task, ("layers", "heads+mlps"), budget=24, heldout=heldout, **FEW)
    cx.compare(model, tiny.fresh_bridge("llama", seed=1), task, "heads", budget=24, **FEW)
    assert calls
    assert max(calls.values()) == 1


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_examining_runs_no_mask_twice(tiny, calls) -> None:
    model = tiny.bridge("llama")
    task, heldout = tiny.task(model, (5,) * 24), tiny.task(model, (5,) * 48).subset(range(24, 48))
    found = cx.find_circuit(model, task, budget=40, heldout=heldout, **{**FEW, "n_contexts": 16})
    if not found.circuit.nodes:
        pytest.fail("this model's circuit must not be empty")
    game = ComponentGame(model, task, "heads")
    calls.clear()
    examine(game, found.circuit, found.interactions, heldout, n_random=3, steps=4, progress=False)
    assert max(calls.values()) == 1


def test_options_are_checked_once_for_all(made) -> None:
    model, task, _ = made
    for wrong, said in (
        ({"budget": 1}, "budget must be at least 2, not 1"),
        ({"n_random": 0}, "n_random must be at least 1, not 0"),
        ({"refine": -1}, "refine must be at least 0, not -1"),
        ({"refine": 1, "levels": ["layers", "heads"]}, "refine .rounds. and levels can't be combined"),
    ):
        with pytest.raises(cx.UserError, match=said):
            cx.find_circuit(model, task, **wrong)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:the model")
def test_old_names_go_on_with_a_warning(made, tiny) -> None:
    model, task, heldout = made
    with pytest.warns(FutureWarning, match="is now levels="):
        found = cx.find_circuit(model, task, refine=["layers", "heads+mlps"], budget=16, heldout=heldout, **FEW)
    assert [level.selector for level in found.levels] == ["layers", "heads+mlps"]
    with pytest.warns(FutureWarning, match="is now Level.expanded"):
        assert found.levels[0].opened == found.levels[0].expanded
    with pytest.warns(FutureWarning, match="is now threshold="):
        cx.coarse_to_fine(model, task, ("layers", "heads"), budget=16, share=0.2, heldout=heldout, **FEW)
    with pytest.warns(FutureWarning, match="is now Circuit.interactions"):
        assert found.circuit.edges == found.circuit.interactions
    with pytest.warns(FutureWarning, match="is now Interaction"):
        from circuitspex.circuits import Edge
    assert Edge is cx.circuits.Interaction
    with pytest.warns(FutureWarning, match=r"Circuit.__init__\(edges=…\) is now interactions="):
        assert cx.Circuit(nodes=(), edges=(), faithfulness=found.faithfulness).interactions == ()
    with pytest.raises(TypeError, match="threshold and also share"):
        cx.coarse_to_fine(model, task, ("layers", "heads"), share=0.2, threshold=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("keep", [0.5, 0.7])
def test_the_record_has_the_main_effects_and_the_options(made, keep) -> None:
    model, task, heldout = made
    found = cx.find_circuit(model, task, heldout=heldout, budget=24, keep=keep, **FEW)
    run, decoded = found.circuit.run, found.interactions
    for name in decoded.names:
        assert run["main_effects"].get(name, 0.0) == pytest.approx(decoded.effect(name), rel=1e-5, abs=1e-12)
    assert all(run["main_effects"].values())
    for node in found.circuit.nodes:
        assert run["main_effects"].get(node.name, 0.0) == pytest.approx(node.decoded, rel=1e-5, abs=1e-12)
    assert run["options"] == {
        "max_nodes": 6,
        "max_interactions": 4,
        "n_contexts": 4,
        "n_random": 20,
        "directions": True,
    }
