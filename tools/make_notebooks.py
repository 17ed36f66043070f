"""Writes the notebooks from the cells below, so that their sources are reviewed as text; runs them with --execute.

python tools/make_notebooks.py --execute 03_training_data.ipynb
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from course_notebooks import COMPARE, EDGES_AND_MIB, SEVERAL_MACHINES
from head_notebook import WHAT_A_HEAD_DOES
from nbclient import NotebookClient
from training_notebook import TRAINING_DATA

# The files stay small: a picture of each circuit, without the page that a running notebook shows.
os.environ["CIRCUITSPEX_NOTEBOOK"] = "static"

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"

FIND_A_CIRCUIT = [
    (
        "markdown",
        """# Find a circuit

A language model completes *"When Mary and John went to the store, John gave a drink to"* with *" Mary"*.
Which attention heads do that, and which of them work **together**?

Removing one head at a time misleads: where two heads back each other up, removing either changes nothing. circuitspex
removes many random sets of heads at once and decodes from the results which heads matter and which interact.""",
    ),
    (
        "code",
        """import circuitspex as cx

model = cx.load_model("smollm2-135m")  # fetched once, then kept in your cache folder
task = cx.tasks.ioi(model, n_prompts=4, seed=0)
print(task.report(model))""",
    ),
    (
        "markdown",
        """The task comes with a *counterfactual* for each prompt, and a metric: the logit of the right name minus that of
the wrong one. The model does the task, so there is something to explain.""",
    ),
    ("code", """task.examples[0]"""),
    (
        "markdown",
        """## Find it

Each of the 50 ablations replaces a random half of the 270 heads by their mean output. One backward pass tells how the
metric depends on every single head at that mask. The result is a circuit whose nodes and edges were **measured again**
by paired ablations on the model, with 95 % intervals.""",
    ),
    (
        "code",
        """found = cx.find_circuit(model, task, components="heads", baseline="mean", budget=50, n_heldout=50, n_contexts=8)
found.circuit""",
    ),
    (
        "markdown",
        """Blue is positive, orange and dashed is negative. What two heads do to each other is read off their measured 2×2
table, as far as it is certain: they *back each other up* where each does less while the other is kept, they *need* or
*strengthen* each other where it does more, and one *opposes* the other where it works against it. The table below the
diagram says it of every pair.

## How far can it be trusted?

R² says how well the decoded function predicts ablations that it has never seen.""",
    ),
    ("code", """print(found.faithfulness)\nfound.interactions.top(10)"""),
    (
        "markdown",
        """The verification ran on other prompts: only the circuit kept, only the circuit removed, and the same for random
circuits of its size.""",
    ),
    ("code", """print(found.verification)"""),
    (
        "markdown",
        """## Ask your own question

The decoded function predicts any mask. What happens without the strongest head, and without the two strongest?""",
    ),
    (
        "code",
        """import numpy as np

first, second = found.interactions.top(2, order=1)
names = list(found.interactions.names)
masks = np.ones((3, len(names)), dtype=bool)
masks[1, names.index(first.components[0])] = False
masks[2, [names.index(first.components[0]), names.index(second.components[0])]] = False

game = cx.ComponentGame(model, task, components="heads", baseline="mean")
for label, decoded, real in zip(
    ["nothing removed", f"without {first.components[0]}", f"without {first.components[0]} and {second.components[0]}"],
    found.interactions.predict(masks),
    game(masks),
):
    print(f"{label:32} decoded {decoded:+.2f}   measured {real:+.2f}")""",
    ),
    (
        "markdown",
        """(The function was decoded from masks that keep half of the heads; full masks are far from those, so the decoded
numbers here are extrapolations.)

## Keep it""",
    ),
    (
        "code",
        """from pathlib import Path
from tempfile import mkdtemp

folder = Path(mkdtemp())
found.circuit.save(folder / "ioi.json")
found.circuit.to_html(folder / "ioi.html")  # one page, no network needed
found.circuit.to_svg(folder / "ioi.svg")
sorted(path.name for path in folder.iterdir())""",
    ),
]


NEURONS = [
    (
        "markdown",
        """# Down to single neurons

Which single MLP neurons does a model use, and which heads do they work with? SmolLM2-135M has 46,080 of them. Most do
nothing for a given behaviour, so we go **from coarse to fine**: explain whole layers first, expand the few through which
much of the behaviour goes into heads and MLPs, and of these expand the MLPs that matter into neurons. What is not expanded
stays one component, so that nothing is left out.""",
    ),
    (
        "code",
        """import circuitspex as cx

model = cx.load_model("smollm2-135m")
task = cx.tasks.greater_than(model, n_prompts=8, seed=0)
print(task.report(model))""",
    ),
    (
        "markdown",
        """## From layers to neurons

To keep this notebook short we look at the last eight layers only, and expand at most two components at a level. Each level
is a whole search: 40 ablations to decode from, new ones to score on, and paired ablations that measure again what was
found.""",
    ),
    (
        "code",
        """found = cx.coarse_to_fine(
    model,
    task,
    levels=["layers[22:]", "heads+mlps", "neurons"],
    budget=40,
    max_expanded=2,
    n_heldout=30,
    n_contexts=6,
    n_random=4,
    max_nodes=10,
    max_interactions=8,
)
for level in found.levels:
    print(level)""",
    ),
    (
        "markdown",
        """The first level has eight components, the last a few thousand: single neurons of the MLPs that matter, the heads
beside them, and everything else in large parts. This is what the coarsest level saw:""",
    ),
    ("code", """found.levels[0].found.circuit"""),
    ("markdown", """And the neurons, with the heads and layers that they work with:"""),
    ("code", """found.circuit"""),
    (
        "markdown",
        """## What it took

Gradients of many thousands of components are kept in half precision, and nothing with a number for each *pair* of
components is ever formed. A search that would need more memory than is free says so before it runs.""",
    ),
    (
        "code",
        """run = found.circuit.run
print(f"{run['n_components']} components, {found.n_run} ablations in all")
print(f"expected besides the model: {run['memory_estimate_bytes'] / 1e9:.2f} GB; "
      f"the whole process held at most {run['peak_memory_bytes'] / 1e9:.1f} GB")""",
    ),
    (
        "markdown",
        """## One neuron by itself

The strongest neuron of the circuit, kept and removed in contexts that were not used before:""",
    ),
    (
        "code",
        """import numpy as np

neurons = [node for node in found.circuit.nodes if node.kind == "neurons"]
strongest = max(neurons, key=lambda node: abs(node.effect))
layer = strongest.name.split("N")[0]
game = cx.ComponentGame(model, task, f"{layer}.neurons")
kept = cx.sample_masks(game.n_players, 20, keep=0.5, seed=99)
removed = kept.copy()
kept[:, game.names.index(strongest.name)] = True
removed[:, game.names.index(strongest.name)] = False
effect = game(kept) - game(removed)
print(f"{strongest.name}: {strongest.measured:.3f} in the circuit;")
print(f"with only the neurons of {layer} ablated at random: {effect.mean():+.3f} ± {effect.std(ddof=1) / 20**0.5:.3f}")""",
    ),
]


WHICH_WORDS = [
    (
        "markdown",
        """# Which words work together

*"The film was not boring."* The word *boring* alone makes a review negative, and *not* turns it round. Neither word
says what the review says: the two **together** do. circuitspex ablates many random sets of words and decodes which
words matter for an answer and which of them interact.""",
    ),
    (
        "code",
        """import circuitspex as cx

model = cx.load_model("smollm2-135m")  # fetched once, then kept in your cache folder

examples = \"\"\"Review: The acting was superb and I loved it.
Sentiment: positive
Review: A dull story with an awful ending.
Sentiment: negative
Review: The cast was not bad.
Sentiment: positive
Review: The songs were never good.
Sentiment: negative
\"\"\"
review = "The band was not poor."
game = cx.TokenGame(
    model,
    f"{examples}Review: {review}\\nSentiment:",
    answer=" positive",
    wrong_answer=" negative",
    part=review,  # only these words are players; what stands before them is computed once
    ablate="delete",
)
game.names""",
    ),
    (
        "markdown",
        """A mask says which words are kept; the value is the logit of *" positive"* minus that of *" negative"*.""",
    ),
    (
        "code",
        """import numpy as np

masks = np.ones((3, game.n_players), dtype=bool)
masks[1, game.names.index("not")] = False
masks[2, game.names.index("poor.")] = False
for label, value in zip(["the whole review", "without 'not'", "without 'poor.'"], game(masks)):
    print(f"{label:18} {value:+.2f}")""",
    ),
    (
        "markdown",
        """## Explain it

The same call explains any game: a model's components, training examples, or a function of your own.""",
    ),
    (
        "code",
        """found = cx.explain(game, budget=200)  # five words have 32 masks; each that is drawn is run once
cx.PromptMap.of(game, found)""",
    ),
    (
        "markdown",
        """The colour of a word is its main effect, averaged over what else is kept: blue makes the answer more likely,
orange with a dashed line less. An arc is an interaction that was **measured again** by paired ablations, with its 95 %
interval in the table below: *not* × *poor.* is positive, because *poor.* hurts only where *not* is missing.""",
    ),
    ("code", """print(cx.PromptMap.of(game, found).table())"""),
    (
        "markdown",
        """## What is an ablated word?

There is no neutral answer, so there are four; a finding that holds under several of them is about the model. Under
`delete` the word is left out and later words move up; under `attention` it stays, but nothing attends to it; under
`mean` and `token` another embedding takes its place.""",
    ),
    (
        "code",
        """pair = ("not", "poor.")
for way in ("delete", "attention", "mean"):
    other = cx.TokenGame(model, game.prompt.text, " positive", " negative", part=review, ablate=way)
    decoded = cx.explain(other, budget=200, max_nodes=2, max_interactions=2, n_contexts=4).interactions
    print(f"{way:10} {' × '.join(pair)}: {decoded.effect(*pair):+.2f}")""",
    ),
    ("markdown", """## Keep it"""),
    (
        "code",
        """from pathlib import Path
from tempfile import mkdtemp

folder = Path(mkdtemp())
shown = cx.PromptMap.of(game, found)
shown.save(folder / "prompt.json")
shown.to_html(folder / "prompt.html")  # one page, no network needed
shown.to_svg(folder / "prompt.svg")
sorted(path.name for path in folder.iterdir())""",
    ),
]


def of_the_machine(output: dict[str, Any]) -> bool:
    """Whether a library says it of the machine, which is no part of the result; Ray does so on standard output."""
    return output.get("name") == "stderr" or "(raylet)" in str(output.get("text", ""))


def write(name: str, cells: list[tuple[str, str]]) -> Path:
    notebook = nbformat.v4.new_notebook()
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook.cells = [make[kind](text, id=f"cell-{place}") for place, (kind, text) in enumerate(cells)]
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    if "--execute" in sys.argv:
        NotebookClient(notebook, timeout=900, kernel_name="python3", record_timing=False).execute()
        for cell in notebook.cells:
            if "outputs" in cell:
                cell["outputs"] = [output for output in cell["outputs"] if not of_the_machine(output)]
    path = FOLDER / name
    nbformat.write(notebook, path)
    return path


NOTEBOOKS = {
    "01_find_a_circuit.ipynb": FIND_A_CIRCUIT,
    "02_words.ipynb": WHICH_WORDS,
    "03_training_data.ipynb": TRAINING_DATA,
    "04_neurons.ipynb": NEURONS,
    "05_what_a_head_does.ipynb": WHAT_A_HEAD_DOES,
    "06_edges_and_mib.ipynb": EDGES_AND_MIB,
    "07_compare.ipynb": COMPARE,
    "08_several_machines.ipynb": SEVERAL_MACHINES,
}

if __name__ == "__main__":
    # All of them, or those that are named.
    for name in [argument for argument in sys.argv[1:] if argument != "--execute"] or NOTEBOOKS:
        print(write(name, NOTEBOOKS[name]))
