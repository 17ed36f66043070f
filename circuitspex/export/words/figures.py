"""What pictures say: titles, axes, legends and notes of the figures; diagrams are in ``diagram.py``."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    # Several of them
    "remainder": "remainder",
    "total": "total",
    "first_token": "first token",
    "weaker_parts": Plural("{n} weaker part", "{n} weaker parts"),
    "effect": "effect",
    "metric": "metric",
    "none": "none",
    # What a head attends to
    "attends": "What {name} attends to",
    "attends_shares": "prompt {prompt} of {n}: share of its attention from {positions} to each token",
    "attends_more": (
        "prompt {prompt} of {n}: share of its attention from {positions} to each token; "
        "the tokens after these are not shown"
    ),
    "attends_positions": Plural("named positions, over {n} prompt", "named positions, over {n} prompts"),
    "answer": "answer {token}",
    "wrong_answer": "wrong answer {token}",
    # What writes the answer
    "breakdown": "What writes the answer",
    "breakdown_sum": "parts {parts}, remainder {remainder}, total {total} {metric}",
    "breakdown_about": Plural(
        "direct effect on the right minus the wrong answer, 95 % intervals over {n} prompt",
        "direct effect on the right minus the wrong answer, 95 % intervals over {n} prompts",
    ),
    "logit_difference": "logit difference",
    # Edges
    "edges_count": "{edges} edges, {interactions} interactions",
    # Training examples
    "leaving_in": "effect of leaving it in",
    "interactions": "interactions",
    # The heat map
    "heat": "Effects by layer and head",
    "heat_about": "how much {metric} falls when a component is ablated; {r2}",
    "heat_circuit": "framed: measured and told from 0; grey: not in the circuit",
    "heat_found": "framed: measured and told from 0; the others: decoded, or not told from 0; grey: was not searched",
    "heat_several": Plural(
        "{n} cell sums the effects of several components", "{n} cells sum the effects of several components"
    ),
    "layer": "layer",
    # The learning curve
    "curve": "How many ablations are needed",
    "curve_reached": "R² of {target} is reached with {ablations} ablations",
    "curve_likely": "R² of {target} would likely take about {ablations} ablations; {spent} were run",
    "curve_beyond": "R² of {target} would likely take more than {ablations} ablations; {spent} were run",
    "curve_about": (
        "R² on new masks, with its 95 % interval; a target counts as reached when the lower end is above it"
    ),
    "curve_law": "power law fitted to 1 − R²",
    "curve_target": "target {target}",
    "curve_x": "ablations",
    "curve_y": "R² on new masks",
    # Mechanisms
    "mechanisms": Plural("one mechanism on {prompts} prompts", "{n} mechanisms on {prompts} prompts"),
    "mechanisms_p": "p {p} that prompts of one kind look like this",
    # Reports
    "mib_title": "{about} · MIB's protocol, {n} prompts",
    "mib_cpr": "CPR, 95 % over prompts",
    "mib_cmd": "CMD, 95 % over prompts",
    "mib_x": "{parts} in the circuit",
    "mib_y": "faithfulness (1 = the whole model, 0 = the counterfactual's run)",
    "report_title": "{about} · {n} held-out prompts",
    "report_curve": "{name} (CPR {cpr}, CMD {cmd})",
    "report_removed": "left when the chosen circuit is removed",
    "report_x": "components in the circuit",
    "report_y": "faithfulness (1 = the whole model, 0 = everything ablated)",
    "report_cpr": "CPR with its interval over prompts",
    "report_parts": "what the circuit loses without one component",
    # Two components
    "pair_effects": "{name}: {without} without {other}, {kept} with it",
    "pair_interaction": "interaction {effect} {metric}",
    "pair_over": "over {others}",
    "pair_kept": "all others kept",
    "pair_neither": "both ablated",
    "pair_only": "only {name} kept",
    "pair_both": "both kept",
    "pair_about": "dashed: if they added up, {sum}; arrow: the interaction, {both}",
    # A prompt
    "prompt_raises": "raises the metric; arc: positive interaction",
    "prompt_lowers": "lowers it; arc: negative interaction",
    "prompt_depth": "depth and width: |effect|; grey: never ablated",
    # A series of checkpoints
    "series": "Timeline",
    "series_of": "Timeline · {title}",
    "series_about": "{n} checkpoints, {sets} components and interactions, 95 % intervals",
    "series_weaker": Plural(
        "the {named} strongest are named, {n} weaker is grey", "the {named} strongest are named, {n} weaker are grey"
    ),
    # Sets
    "sets": "Interactions of {order} and more",
    "sets_some": "the strongest {n} of {all} sets",
    "sets_all": Plural("{n} set", "{n} sets"),
    "sets_about": "{count}; effects in {metric}, solid is measured with its 95 % interval, hollow is estimated",
    "sets_alone": "alone",
    "sets_together": "together",
    # The waterfall
    "waterfall": "From nothing kept to everything kept",
    "waterfall_prompts": "the prompts of the search",
    "waterfall_heldout": Plural("{n} held-out prompt", "{n} held-out prompts"),
    "waterfall_nothing": "nothing kept",
    "waterfall_everything": "everything kept",
    "waterfall_rest": "remainder: everything else",
    "waterfall_components": Plural("{n} weaker component", "{n} weaker components"),
    "waterfall_interactions": Plural("{n} weaker interaction", "{n} weaker interactions"),
    "waterfall_sum": "{empty} {known} of the circuit {rest} remainder = {full}; {metric} on {prompts}",
    "waterfall_about": "a component: what it adds alone to nothing; a set: what its members kept together add to that",
}
