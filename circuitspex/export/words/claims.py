"""What a result says of its numbers and of its own doubt: intervals, R², budgets, directions."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    # Numbers
    "undefined": "undefined",
    "no_interval": "{share} (no interval: too few prompts to tell)",
    "sign_unknown": "{effect} est., sign unknown",
    "est": "{effect} est.",
    "others": "random masks that keep {share} of the others",
    "others_unknown": "random masks that keep a share of the others",
    "direction_more": "{share}, more than all of it: what arises elsewhere has the opposite sign",
    "direction_less": "{share}, below 0: what travels has the opposite sign of the whole",
    "unnamed": "unnamed model",
    # R² and the budget
    "r2_unmeasured": "R² not measured: no held-out masks",
    "r2_exact": "R² {r2}, exact over all {masks} masks",
    "r2_undefined": "R² undefined (the metric is constant on {masks} held-out masks)",
    "r2": "R² {r2} on {masks} held-out masks",
    "gradient_ablations": "gradient ablations",
    "plain_ablations": "plain ablations",
    "ablations": "ablations",
    # Prompts
    "prompts": Plural("{n} prompt", "{n} prompts"),
    "numbers": Plural("{n} number a mask", "{n} numbers a mask"),
    "few": ", few",
    "measured": "measured, 95 % interval",
    "measured_one": "measured, 95 % interval over contexts, one prompt",
    "measured_one_exact": "measured, exact over masks, one prompt",
    "measured_over": "measured, 95 % interval, {prompts}{few}",
    "measured_over_exact": "measured, exact over masks, 95 % over {prompts}{few}",
    # Intervals
    "exact_one_prompt": (
        "Exact over masks: all were run. "
        "One of the prompts shows nothing of how others differ, so there are no intervals."
    ),
    "exact_one_number": (
        "Exact over masks: all were run. "
        "One of the numbers a mask shows nothing of how others differ, so there are no intervals."
    ),
    "one_prompt": ("95 % intervals over contexts only: one of the prompts shows nothing of how others differ."),
    "one_number": ("95 % intervals over contexts only: one of the numbers a mask shows nothing of how others differ."),
    "intervals": "95 % intervals.",
    "intervals_exact": "Exact over masks: all were run. 95 % intervals over {prompts}.",
    "intervals_exact_few": (
        "Exact over masks: all were run. 95 % intervals over {prompts}, which are few: "
        "with fewer than {few}, intervals are wide and rough."
    ),
    "intervals_over": "95 % intervals over contexts and {prompts}.",
    "intervals_over_few": (
        "95 % intervals over contexts and {prompts}, which are few: "
        "with fewer than {few}, intervals are wide and rough."
    ),
    "adjusted": (
        "Those of the parts in the circuit are wider than 95 % each, because they were selected from {components} "
        "components and {interactions} interactions that were measured. Of all of them, 5 % are expected to miss."
    ),
    # Doubt
    "little_short": "explains little",
    "maybe_little_short": "may explain little",
    "little_exact": "explains little: what is left are interactions that were not decoded",
    "little": "explains little: try a larger budget, or keep a larger share",
    "little_budget": "explains little: try a budget of about {budget}, or keep a larger share",
    "maybe_little": "may explain little: {low} is within its interval; try a larger budget",
    "maybe_little_budget": "may explain little: {low} is within its interval; try a budget of about {budget}",
}
