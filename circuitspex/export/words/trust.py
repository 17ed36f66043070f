"""The checks that decide how far a circuit can be trusted, and what to do where one is poor."""

from circuitspex.export.words.text import Texts

TEXTS: Texts = {
    "r2_exact": "R², exact over all masks",
    "constant": (
        "The metric does not change when components are ablated: take a task that the model does, or another metric"
    ),
    "no_masks": "No mask was left to test the decoded function on: run the search anew with n_heldout masks",
    "numbers": "Numbers a mask",
    "few_prompts": (
        "With fewer than {few}, intervals are rough: take more (n_prompts=32, --prompts 32, or rows of your file)"
    ),
    "indistinct": "Parts not told from 0",
    "indistinct_value": "{share} of {count}",
    "too_coarse": "Much is too small to be measured so: take more prompts or more contexts (n_contexts=32)",
    "accuracy": "Accuracy of the model",
    "low_accuracy": (
        "The model hardly does this task, so there is little to explain: take a larger model or easier prompts"
    ),
    "kept": "Kept by the circuit alone",
    "not_verified": "not verified",
    "verify": "It was not run on held-out prompts: circuitspex verify does that",
    "by_chance": (
        "No better for certain than random circuits of its size: take more held-out prompts or a larger budget"
    ),
    "elsewhere": "Much of the behaviour is elsewhere: let it have more components (max_nodes=32)",
}
