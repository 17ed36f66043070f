"""What a circuit's page says beside its diagram: how far to trust it, the story, the heat map, the Python behind it."""

from dataclasses import replace

import pytest
from drawn_circuits import described, edge, empty, estimate, node, realistic, with_evidence

import circuitspex as cx
from circuitspex.circuits.about import NO_ROLE, ROLES, Role
from circuitspex.circuits.circuit import Faithfulness
from circuitspex.export.pages.again import python
from circuitspex.export.pages.circuit import render_page
from circuitspex.export.pages.heat import heat
from circuitspex.export.pages.story import story
from circuitspex.export.pages.trust import checks

SOUND = with_evidence(realistic(15))


def test_a_sound_circuit_is_calm():
    found = checks(SOUND)
    assert [check.state for check in found] == ["good"] * 5
    assert not any(check.remedy for check in found)
    assert [check.value for check in found] == ["0.96", "16", found[2].value, "94%", "88%"]
    page = render_page(SOUND)
    assert "Sound" in page
    assert '<details class="card trust">' in page


def _removed(circuit):
    """Half of what was measured can't be told from 0."""
    return replace(circuit, dropped=tuple(edge((f"L{i}H0", f"L{i}H1"), 0.1) for i in range(40)))


def _by_chance(circuit):
    return replace(circuit, verification=replace(circuit.verification, random_kept=estimate(2.5, 0.4)))


def _little_kept(circuit):
    return replace(circuit, verification=replace(circuit.verification, circuit_kept=estimate(1.2)))


@pytest.mark.parametrize(
    ("spoil", "name", "state", "remedy"),
    [
        (lambda c: replace(c, faithfulness=Faithfulness(0.3, 0.2, 0.4, 90)), "R²", "poor", "a larger budget"),
        (lambda c: replace(c, faithfulness=Faithfulness(0.6, 0.4, 0.7, 90)), "R²", "poor", "may explain little"),
        (lambda c: replace(c, faithfulness=Faithfulness(None, None, None, 90)), "R²", "unknown", "another metric"),
        (lambda c: replace(c, faithfulness=Faithfulness(None, None, None, 0)), "R²", "unknown", "n_heldout"),
        (
            lambda c: with_evidence(replace(realistic(9), task={**c.task, "n_prompts": 4})),
            "Prompts",
            "poor",
            "--prompts 32",
        ),
        (_removed, "Parts not told", "poor", "n_contexts"),
        (lambda c: replace(c, task={**c.task, "accuracy": 0.6}), "Accuracy", "poor", "larger model"),
        (_by_chance, "Kept by the circuit", "poor", "random circuits"),
        (_little_kept, "Kept by the circuit", "poor", "max_nodes"),
        (lambda c: replace(c, verification=None), "Kept by the circuit", "unknown", "circuitspex verify"),
    ],
)
def test_each_doubt_has_its_remedy(spoil, name, state, remedy):
    spoiled = spoil(SOUND)
    poor = [check for check in checks(spoiled) if check.state != "good"]
    assert len(poor) == 1
    assert poor[0].name.startswith(name)
    assert poor[0].state == state
    assert remedy.lower() in poor[0].remedy.lower()
    page = render_page(spoiled)
    assert "With care" in page
    assert '<details class="card trust doubtful" open>' in page


def test_results_without_a_model_are_not_asked_for_its_accuracy():
    game = replace(SOUND, run={**SOUND.run, "lens": "game"}, verification=None)
    assert [check.name.split()[0] for check in checks(game)] == ["R²", "Numbers", "Parts"]


def test_the_story_goes_by_roles_and_within_them_by_size():
    circuit = described(with_evidence(realistic(7)))
    words = ["inhibition", "answer mover", NO_ROLE, "induction", "answer mover", NO_ROLE, "negative mover"]
    parts = tuple(
        replace(about, role=Role(word, 0.2, ("a reason",)))
        for about, word in zip(circuit.description.components, words, strict=True)
    )
    lines = story(circuit.described(replace(circuit.description, components=parts)), 2)
    assert [line.word for line in lines] == ["answer movers", "negative mover", "inhibition", "induction", NO_ROLE]
    assert [line.says for line in lines[:2]] == [ROLES["answer mover"], ROLES["negative mover"]]
    effect = {one.name: abs(one.effect) for one in circuit.nodes}
    first = [actor.name for actor in lines[0].actors]
    assert first == sorted(first, key=lambda name: -effect[name])
    names = [about.name for about in parts]
    assert sorted(actor.name for line in lines for actor in line.actors) == sorted(names)
    by_name = {actor.name: actor.says for line in lines for actor in line.actors}
    for about, word in zip(parts, words, strict=True):
        says = by_name[about.name]
        if word == NO_ROLE:
            assert says == ""
        elif word == "induction" and about.patterns is not None:
            assert says.startswith("20% of its attention on random tokens")
        elif about.writes.direct.excludes_zero and word != "inhibition":
            assert f"writes {about.writes.direct.value:+.2f}".replace("-", "−") in says
        else:
            assert says
    assert story(SOUND, 2) == []


def test_the_heat_map_has_every_component_once():
    nodes = (
        node("L0H1", 0.5),
        node("L2H0", -1.0),
        node("L2M", 0.3),
        node("L1N3:7@-1", 0.2),
        node("L1N9:11", 0.4),
        replace(node("L2H1", 0.2), name="L2H1.q", kind="query"),
        replace(node("L1M", 0.1), name="L1S4", kind="latents"),
    )
    run = {"main_effects": {"L0H0": 0.25, "L0H1": 9.0, "L2H0.k": 3.0, "L1M": -0.125, "odd name": 1.0}}
    circuit = replace(empty(), nodes=nodes, model={"n_layers": 4, "n_heads": 2}, run=run)
    found = heat(circuit, circuit.nodes)
    assert (found["layers"], found["heads"]) == (4, 2)
    assert found["columns"] == ["0", "1", "MLP", "latents"]
    cells = {(layer, column): inside for layer, column, inside in found["cells"]}
    assert cells == {(0, 1): [0], (2, 0): [1], (2, 2): [2], (1, 2): [3, 4], (2, 1): [5], (1, 3): [6]}
    assert found["others"] == [[0, 0, "L0H0", 0.25]]  # what stands in a cell of the circuit's is not drawn over it
    assert found["recorded"]
    assert heat(empty(), ()) is None
    assert heat(replace(circuit, run={"lens": "tokens"}), nodes) is None
    assert heat(replace(circuit, model={"n_layers": 10**9}), nodes) is None


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_the_python_repeats_the_search(tiny, monkeypatch, tmp_path):
    model = tiny.bridge("llama")
    task = tiny.task(model, (5,) * 4)
    asked = []
    monkeypatch.setattr(cx, "load_model", lambda name, **more: asked.append((name, more)) or model)
    monkeypatch.setattr(cx.Task, "from_jsonl", classmethod(lambda cls, path, given, **more: asked.append(path) or task))
    monkeypatch.chdir(tmp_path)
    few = {"budget": 12, "n_heldout": 8, "n_random": 2, "n_contexts": 2, "max_nodes": 3, "max_interactions": 2}
    first = cx.find_circuit(
        model, task, "heads", "zero", keep=(0.4, 0.9), refine=1, seed=5, directions=False, progress=False, **few
    ).circuit
    names = {}
    exec(compile(python(first), "again.py", "exec"), names)
    again = names["found"].circuit
    assert (again.nodes, again.interactions, again.dropped) == (first.nodes, first.interactions, first.dropped)
    assert (again.faithfulness, again.verification) == (first.faithfulness, first.verification)
    assert asked == [(first.model["name"], {"dtype": "float32"}), f"{task.name}.jsonl"]
    assert (tmp_path / "circuit.html").exists()


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"keep_chosen": {"reason": "x", "shares": []}}, "keep='auto',"),
        ({"until": 0.9}, "until=0.9,"),
        ({"levels": [{"components": "layers"}, {"components": "heads+mlps"}]}, "levels=['layers', 'heads+mlps'],"),
        ({"latents": [{"hook": "h"}]}, "# give find_circuit(latents=...)"),
    ],
)
def test_the_python_says_what_the_record_says(record, said):
    text = python(replace(SOUND, run={**SOUND.run, **record}))
    compile(text, "again.py", "exec")
    assert said in text


EVIL = 'x\'"\\\n"""\nimport os\u202e\ud83d\x1b'


def test_the_python_of_hostile_records_is_harmless():
    """Whatever the record holds, it is text or a comment, in ASCII."""
    names = ("components", "baseline", "method", "keep", "lens", "budget", "seed")
    for run in (
        dict.fromkeys(names[:4], EVIL),
        dict.fromkeys(names, EVIL),
        {"effects": EVIL},
        {"levels": [{"components": EVIL}], "options": {EVIL: 1, "seed=1); import os; f(x": 2, "max_nodes": EVIL}},
    ):
        task = {"name": EVIL, "metric": EVIL, "identity": EVIL, "n_prompts": 3}
        text = python(replace(empty(), run=run, task=task, model={"name": EVIL, "identity": EVIL, "dtype": EVIL}))
        assert text.isascii()
        compile(text, "again.py", "exec")
        assert not any(line.startswith("import os") for line in text.splitlines())


def test_the_python_of_built_in_tasks_names_them():
    text = python(SOUND)
    assert "cx.tasks.build('ioi', model, n_prompts=16)" in text
    assert "keep=0.9," in text
    assert "describe" not in text
    assert "describe(model, task, seed=0)" in python(described(SOUND))
    compile(text, "again.py", "exec")
    game = python(replace(SOUND, run={**SOUND.run, "lens": "game", "options": {"n_random": 3, "max_nodes": 5}}))
    assert "cx.explain(" in game
    assert "max_nodes=5," in game
    assert "n_random" not in game
