"""One of each thing that can be added to circuitspex, as another package adds it."""

from __future__ import annotations

import numpy as np

from circuitspex.ablation import Baseline
from circuitspex.circuits.formats import Format
from circuitspex.components import Kind
from circuitspex.recovery import Decoder
from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.samples import Fitted, cross_fit
from circuitspex.tasks import Example, Metric, NamedTask, Task


def mean_effects(samples, *, max_order=None):
    """Main effects: half of how much the mean value differs between masks that keep a component and others."""

    def fit(part, fold):
        return Polynomial.affine(float(part.values.mean()), part.values @ part.x / len(part.values))

    function, without_fold = cross_fit(samples, fit)
    out_of_fold = np.empty_like(samples.values)
    for fold, each in zip(samples.folds, without_fold, strict=True):
        out = samples.fold == fold
        out_of_fold[out] = each.predict(samples.x[out])
    return Fitted(function, tuple(without_fold), out_of_fold)


def subject_and_end(logits, rows):
    """Logit of the answer at the end, minus what it was at the subject."""
    answer = rows.answers[:, 0]
    end, subject = (logits[:, rows.positions[name]].gather(-1, answer[:, None])[:, 0] for name in ("END", "subject"))
    return end - subject


def words(model, n_prompts=4, seed=0, metric="logit_diff"):
    """Prompts of three words, the first of which changes."""
    examples = [
        Example(f"w{i} w3 w4", f"w{i + 9} w5 w6", " w50", " w51", {"subject": 0}) for i in range(seed, seed + n_prompts)
    ]
    return Task.from_examples(model, examples, name="words", metric=metric)


def write_names(circuit, path):
    """The components, one a line."""
    path.write_text("\n".join(node.name for node in circuit.nodes))
    return path


NORM = Kind(
    letter="Ln",
    word="norms",
    form="whole",
    singular="norm before the MLP",
    plural="norms before the MLP",
    order=65,
    hook="ln2.hook_out",
    shape="square",
)
NOTHING = Baseline("zeros, by another name", "", lambda model, sites, group: {})
MEAN_EFFECTS = Decoder(mean_effects, "differences of means")
SUBJECT_AND_END = Metric("subject_and_end", subject_and_end, reads=("subject", "END"))
WORDS = NamedTask(words, "nothing in particular")
NAMES = Format(write_names, ending="names.txt", about="the components, one a line")
