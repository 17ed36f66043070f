"""The cells of the notebook that goes from one's own prompts to what a head does."""

WHAT_A_HEAD_DOES = [
    (
        "markdown",
        """# From your own prompts to what a head does

You have a few prompts of your own, and a question about them. This notebook finds the heads that answer it, and says of
each what it looks at, what it writes, and whom it feeds.

The prompts here ask to whom a letter went, after two people were named and one of them wrote it.""",
    ),
    (
        "code",
        """import circuitspex as cx

model = cx.load_model("smollm2-135m")  # fetched once, then kept in your cache folder

people = [("Anna", "Tom"), ("Peter", "Mary"), ("John", "Sarah"), ("David", "Emma"), ("Paul", "Anna"), ("Mary", "Peter")]
prompts = [f"Since {a} and {b} met, they write to each other. Today {b} sent a letter to" for a, b in people]
prompts[0]""",
    ),
    (
        "markdown",
        """## A counterfactual for each

The same prompt with another writer, so that nothing says to whom the letter goes: the last name is swapped for one of
as many tokens, and all other tokens stay where they are. What differs is printed.""",
    ),
    (
        "code",
        """names = ["James", "Alice", "Robert", "Laura"]
pairs = cx.tasks.counterfactuals(model, prompts, [b for _, b in people], words=names, name="writer", seed=0)
print(pairs)""",
    ),
    (
        "code",
        """examples = pairs.examples([f" {a}" for a, _ in people], [f" {b}" for _, b in people])
task = cx.Task.from_examples(model, examples, name="letters")
print(task.report(model))""",
    ),
    (
        "markdown",
        """The model can do it, so there is something to explain.

## Which heads

Each ablation replaces a random half of the 270 heads by what they give on the counterfactuals. The heat map has every
head of the model: what the metric loses without it.""",
    ),
    (
        "code",
        """found = cx.find_circuit(model, task, "heads", baseline="resample", budget=40, n_heldout=40, n_contexts=6)
print(found.faithfulness)
found.circuit.plot_heatmap()""",
    ),
    (
        "markdown",
        """## What each of them does

`describe` measures it on your prompts, with intervals over them: what a head attends to from the positions where it
matters, what it writes straight into the logit difference, how much of what it does passes through which later head,
and what it attends to on random repeated tokens. A word for a role stands only where written rules give it, by the
unfavourable ends of these intervals.""",
    ),
    (
        "code",
        """description = found.circuit.describe(model, task)
print(description)""",
    ),
    (
        "markdown",
        """Take the strongest head, and see what it attends to in the first prompt.""",
    ),
    (
        "code",
        """strongest = max(found.circuit.nodes, key=lambda node: abs(node.effect)).name
circuit = found.circuit.described(description)
circuit.plot_attention(strongest, prompt=0)""",
    ),
    (
        "code",
        """head = description[strongest]
print(head.role.word, *head.role.evidence, sep="\\n")
print(f"straight into the logit difference: {head.writes.direct:.2f}")
print("raises", [each.token for each in head.writes.promotes[:5]])
print("fed by", {feed.source: (feed.through, round(feed.total.value, 2)) for feed in head.reads})""",
    ),
    (
        "markdown",
        """All that is written adds up to the logit difference: the heads of the circuit, all other heads, the MLPs, the
embedding, the biases.""",
    ),
    ("code", """circuit.plot_breakdown()"""),
    (
        "markdown",
        """## All of it on one page

The circuit with its description is a page to work with: click a head for its card. It is also what
`circuit.to_html("letters.html")` writes.""",
    ),
    ("code", """circuit"""),
]
