"""The cells of the course's later notebooks: edges and MIB, comparing checkpoints, several machines."""

from __future__ import annotations

EDGES_AND_MIB = [
    (
        "markdown",
        """# Edges, and MIB's scores

To most people of this field a circuit is a set of **edges**: what one part writes into the residual stream *as one
later part reads it*. `L5H1->L9H3.q` is head L5H1 as the query of L9H3 sees it. SmolLM2-135M has 70,651 of them.
Each gets a gate; a closed edge carries what its source writes on the *counterfactual* prompt, and everything
downstream is computed anew.""",
    ),
    (
        "code",
        """import circuitspex as cx

model = cx.load_model("smollm2-135m")
task = cx.tasks.ioi(model, n_prompts=4, seed=0)
game = cx.EdgeGame(model, task, "edges")
print(f"{game.n_players:,} edges, for example {game.names[0]} and {game.names[-1]}")""",
    ),
    (
        "markdown",
        """## Circuits of every size

Slopes of the metric in all gates come from one backward pass. They are taken on the way from all closed to all
open, then near the circuits that they choose. `chosen` has most of the behaviour, `matched` is most like the model.
They differ: what works against the behaviour is left out of the first. (Ten passes are few; the default is 40.)""",
    ),
    (
        "code",
        """edges = cx.circuits.find_edges(model, task, budget=10, seed=0)
edges""",
    ),
    (
        "markdown",
        """## By the benchmark's protocol

The Mechanistic Interpretability Benchmark scores circuits of 0.1 to 100 % of the edges. CPR is the area under the
share of the behaviour that they keep (higher is better), CMD the area between that and the whole model (0 is best).
Three prompts that the search has not seen, and the field's own rankings beside ours:""",
    ),
    (
        "code",
        """heldout = task.fresh(3, seed=1)
ways = {
    "found": edges,  # gives 'chosen' and 'matched'
    "EAP": cx.attribution_scores(game, method="eap"),
    "EAP-IG": cx.attribution_scores(game, method="eap-ig-inputs", steps=5),
}
report = cx.mib_scores(game, ways, heldout)
print(report)""",
    ),
    (
        "code",
        """from pathlib import Path
from tempfile import mkdtemp

from IPython.display import Image

folder = Path(mkdtemp())
Image(report.plot(folder / "mib.png"))""",
    ),
    (
        "markdown",
        """## Put to use

The model writes without the five edges by which heads raise the answer's logit most; they carry the same vector at
every position, what their heads write on average over the task's prompts. (The other way round, with only the edges
of a circuit, such means are too crude a stand-in for the counterfactual prompt's values: the model writes no
sentence.)""",
    ),
    (
        "code",
        """import numpy as np

to_logits = [i for i in np.argsort(-edges.scores) if "H" in edges.names[i] and edges.names[i].endswith("->logits")]
five = cx.circuits.EdgeCircuit(np.array(to_logits[:5]), tuple(edges.names[i] for i in to_logits[:5]), budget=5)
prompt = "When Anna and Peter went to the park, Peter gave a ball to"


def likely(model):
    chances = model(model.to_tokens(prompt))[0, -1].softmax(-1)
    best = chances.topk(3)
    return ", ".join(f"{model.to_string(i)!r} {p:.0%}" for p, i in zip(best.values, best.indices))


print("whole model:", likely(model))
with five.applied(model, keep=False, prompts=task):
    print("without:    ", likely(model), "-", ", ".join(five.names))""",
    ),
    (
        "markdown",
        """## Which edges interact?

`cx.find_circuit(model, task, "edges")` goes on from here: the strongest edges become the players of a small game,
and pairs of them are measured in random contexts, as pairs of heads are. Here are the ten edges with the largest
effects, and what pairs of them do to each other, decoded from 40 ablations of these edges alone.""",
    ),
    (
        "code",
        """strongest = [edges.names[i] for i in np.argsort(-np.abs(edges.scores))[:10]]
found = cx.explain(cx.EdgeGame(model, task, strongest), budget=40, n_heldout=16, n_contexts=3)
found.circuit""",
    ),
    (
        "code",
        """print(edges.save(folder / "edges.json").stat().st_size, "bytes: all circuits, and a score for each edge")""",
    ),
]


COMPARE = [
    (
        "markdown",
        """# What did training change?

Two checkpoints run **the same** masks on the same prompts, so what is hard for both cancels, and each change comes
with an interval. Here one model is SmolLM2-135M, the other a copy in which we changed one thing on purpose: the
output of head L23H3 is halved. The comparison should find that head, and what hangs on it.""",
    ),
    (
        "code",
        """import torch

import circuitspex as cx

before = cx.load_model("smollm2-135m")
after = cx.load_model("smollm2-135m")
width = after.cfg.d_head
with torch.no_grad():
    after.original_model.model.layers[23].self_attn.o_proj.weight[:, 3 * width : 4 * width] *= 0.5
task = cx.tasks.ioi(before, n_prompts=4, seed=0)
print(task.report(before))
print(task.report(after))""",
    ),
    (
        "markdown",
        """Both still do the task: accuracy alone would say that nothing happened. The question is which heads do
something else than before, and which *pairs* do.""",
    ),
    (
        "code",
        """diff = cx.compare(before, after, task, components="layers[20:].heads", budget=30, n_heldout=30, n_contexts=8)
diff""",
    ),
    (
        "code",
        """for change in diff.found:  # those that pass the false discovery rate
    print(f"{' x '.join(change.components):16} {change.kind:10} {change.difference}")""",
    ),
    (
        "markdown",
        """*Unchanged* means that no change was shown, not that there is none: `min_effect` says how small a change you
care about. A head whose own output is halved is *weaker*; heads after it that read its output may change too, although
nobody touched them.

`cx.compare_series` does the same along a training, and LoRA adapters are compared as `cx.compare("path/to/base",
"path/to/adapter", task)`.""",
    ),
    (
        "code",
        """from pathlib import Path
from tempfile import mkdtemp

folder = Path(mkdtemp())
diff.to_html(folder / "diff.html")  # both circuits and the difference, every component in the same place
diff.save(folder / "diff.json")
sorted(path.name for path in folder.iterdir())""",
    ),
]


SEVERAL_MACHINES = [
    (
        "markdown",
        """# Several machines

A sweep over a large model, many checkpoints or a thousand retrainings outgrows one process.
[Ray](https://docs.ray.io) starts workers on this machine or on a cluster; each loads the model itself and runs
chunks of masks. Any number of workers gives the same numbers, and a worker that dies costs one chunk.

This notebook needs `pip install 'circuitspex[ray]'`. It starts two workers here; for a cluster the address is
`"ray://HOST:10001"` and nothing else changes.""",
    ),
    (
        "code",
        """import circuitspex as cx

model = cx.load_model("smollm2-135m")
task = cx.tasks.ioi(model, n_prompts=2, seed=0)
print(cx.plan(model, task, components="heads", budget=30))  # what a search will cost, before it runs""",
    ),
    (
        "code",
        """workers = cx.RayWorkers("local:2")
found = cx.find_circuit(
    model, task, "heads", budget=30, n_heldout=30, n_contexts=4, max_nodes=6, n_random=2, workers=workers
)
found.circuit""",
    ),
    ("code", """for worker, count in workers.done.items():\n    print(f"{worker}: {count} ablations")"""),
    (
        "markdown",
        """## One of them is killed

Half-way through a game we end a worker as `kill -9` does. Its chunk is run by the other one, a new worker takes its
place, and the values are those of this process.""",
    ),
    (
        "code",
        """import os
import signal
import threading
import time

import numpy as np

far = cx.ComponentGame(model, task, "heads", workers=workers)
masks = cx.sample_masks(far.n_players, 64, seed=7)
before = sum(workers.done.values())


def kill_one() -> None:
    while sum(workers.done.values()) < before + 16:
        time.sleep(0.01)
    busiest = max(workers.rates, key=workers.done.get)
    os.kill(int(busiest.rpartition(" ")[2].rstrip(")")), signal.SIGKILL)


killer = threading.Thread(target=kill_one)
killer.start()
values = far(masks)
killer.join()
here = cx.ComponentGame(model, task, "heads")(masks)
print(f"largest difference: {np.abs(values - here).max():.1e}; workers so far: {len(workers.done)}")""",
    ),
    (
        "markdown",
        """## A sweep of retrainings

Any function of a mask and a seed can be a training. Trainings go out one at a time, and one that kills its process
fails alone.""",
    ),
    (
        "code",
        """from circuitspex.games import TrainFunction


def train(mask, seed):
    \"\"\"How wrong ridge regression is (log10) on the groups of examples that the mask keeps, and one more.\"\"\"
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(9, 20, 5)), rng.normal(size=(9, 20))
    y = x @ np.array([1.0, -2.0, 0.5, 0.0, 3.0]) + noise
    kept = np.append(np.asarray(mask, bool), True)
    x, y = x[kept].reshape(-1, 5), y[kept].reshape(-1)
    weights = np.linalg.solve(x.T @ x + np.eye(5), x.T @ y)
    return float(np.log10(((weights - [1.0, -2.0, 0.5, 0.0, 3.0]) ** 2).sum()))


game = cx.TrainingGame(TrainFunction(train, workers=0, name="ridge"), 8, seeds=2, workers=workers)
sweep = cx.explain(game, budget=40, n_heldout=16, n_contexts=3)
print(sweep.interactions.top(5))""",
    ),
    ("code", """workers.close()  # ends the processes, and Ray where it was started here"""),
]
