"""The rules of roles on made-up descriptions, whose numbers are what each rule asks for, or are not."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from circuitspex.circuits.about import (
    NO_ROLE,
    ROLES,
    About,
    At,
    Attended,
    Breakdown,
    Feed,
    Looks,
    Patterns,
    Writes,
)
from circuitspex.circuits.roles import rules
from circuitspex.circuits.roles.measures import MEASURES, Reading
from circuitspex.circuits.roles.rules import RULES, Condition, role_of
from circuitspex.statistics import Estimate

EVEN = 0.1


def about(value, half=0.02):
    return Estimate(value, value - half, value + half)


def breakdown(total=4.0):
    return Breakdown(about(total, 0.1), (), about(0.0))


def head(kinds=(), first=0.1, direct=0.0, copying=0.0, random=(), random_copying=0.0, feeds=(), effect=1.0):
    """A head that does nothing, but for what is given: attention by kind and on random tokens, as names and shares."""
    listed = ("answer", "wrong answer", "previous token", "same token", "after the same token")
    on_random = {"previous_token": 0.05, "duplicate_token": 0.05, "induction": 0.05, "first": 0.1} | dict(random)
    return About(
        "L3H2",
        "head",
        looks=Looks(
            (), (), (), about(first), (), tuple(Attended(k, about(dict(kinds).get(k, EVEN)), EVEN) for k in listed)
        ),
        writes=Writes(about(direct), copying=about(copying, 0.5)),
        where=(At("END", about(0.1), about(effect)), At("S2", about(0.0))),
        patterns=Patterns(
            *(about(on_random[k]) for k in ("previous_token", "duplicate_token", "induction", "first")),
            0.04,
            about(random_copying, 0.3),
        ),
        feeds=tuple(feeds),
    )


def feed(query, total=1.0, target="L5H0"):
    return Feed("L3H2", target, about(total), about(query), about(0.0), about(0.1), about(0.0))


MADE = {
    "answer mover": head({"answer": 0.8}, direct=1.0, copying=5.0),
    "negative mover": head({"answer": 0.8}, direct=-1.0, copying=-5.0),
    "copy suppression": head({"wrong answer": 0.8}, direct=1.0, copying=-5.0, random_copying=-4.0),
    "inhibition": head({"wrong answer": 0.8}, feeds=[feed(0.8), feed(0.1, target="L6M")]),
    "induction": head({"after the same token": 0.7}, random={"induction": 0.8}),
    "duplicate token": head({"same token": 0.7}, random={"duplicate_token": 0.8}),
    "previous token": head({"previous token": 0.7}, random={"previous_token": 0.8}),
    "sink": head(first=0.9, random={"first": 0.9}),
}


def test_every_word_has_one_rule_of_known_measures_and_thresholds_that_are_not_0():
    assert [rule.word for rule in RULES] == sorted(ROLES, key=[rule.word for rule in RULES].index)
    assert set(MADE) == set(ROLES)
    for rule in RULES:
        assert set(rule.gives_way_to) <= set(ROLES) - {rule.word}
        assert all(condition.measure in MEASURES and condition.threshold != 0 for condition in rule.conditions)


@pytest.mark.parametrize("word", ROLES)
def test_each_word_is_given_to_what_it_says(word):
    role = role_of(MADE[word], breakdown())
    assert role.word == word
    assert role.margin > 0.3
    assert role.evidence
    assert role.is_clear


def test_a_head_that_does_nothing_has_no_role():
    role = role_of(head(), breakdown())
    assert (role.word, role.margin, role.evidence) == (NO_ROLE, 0.0, ())


@pytest.mark.parametrize("kind", ["mlp", "neuron", "latent"])
def test_components_that_are_no_heads_have_none(kind):
    assert role_of(replace(MADE["answer mover"], kind=kind), breakdown()).word == NO_ROLE


@pytest.mark.parametrize("word", ROLES)
def test_each_condition_is_needed_at_the_unfavourable_end(word):
    """Every number alone, moved until its interval's wrong end no longer passes, takes the word away."""
    rule = next(rule for rule in RULES if rule.word == word)
    for condition in rule.conditions:
        end = condition.threshold + (0.01 if condition.at_most else -0.01) * abs(condition.threshold)
        assert condition.margin(about(condition.threshold, 0.01)) < 0
        assert condition.margin(Estimate(condition.threshold, -inf, inf)) < 0
        just_not = Reading(Estimate(condition.threshold, end, end), "just not")
        changed = replace(MEASURES[condition.measure], read=lambda *_, reading=just_not: reading)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rules, "MEASURES", {**MEASURES, condition.measure: changed})
            assert role_of(MADE[word], breakdown()).word != word, condition


@pytest.mark.parametrize("word", ROLES)
@pytest.mark.parametrize("part", ["looks", "patterns", "writes"])
def test_what_was_not_measured_gives_no_word(word, part):
    """A word never rests on a part that is missing; where its rule does not ask for the part it stays."""
    asked = {
        "looks": ("attention",),
        "patterns": ("random",),
        "writes": ("direct share", "size of the direct share", "copying"),
    }[part]
    rule = next(rule for rule in RULES if rule.word == word)
    needs = any(condition.measure.startswith(asked) for condition in rule.conditions)
    assert (role_of(replace(MADE[word], **{part: None}), breakdown()).word == word) is not needs


def test_a_model_that_does_not_answer_has_no_part_that_writes_the_answer():
    assert role_of(MADE["answer mover"], breakdown(0.05)).word == NO_ROLE
    assert role_of(MADE["answer mover"], None).word == NO_ROLE


def test_margin_is_the_smallest_share_by_which_a_threshold_is_passed():
    role = role_of(MADE["answer mover"], breakdown())
    looks = ((0.78 - EVEN) / (1 - EVEN) - 0.3) / 0.3
    copies = (4.5 - 2) / 2
    writes = (0.98 / 4.0 - 0.05) / 0.05
    assert role.margin == pytest.approx(min(looks, copies, writes))


def test_margins_of_conditions_at_most():
    assert Condition("copying", -2.0, at_most=True).margin(about(-5.0, 1.0)) == pytest.approx(1.0)
    assert Condition("size of the direct share", 0.05, at_most=True).margin(Estimate(0.0, 0.0, 0.04)) == pytest.approx(
        0.2
    )


def test_more_specific_words_come_first():
    """An induction head moves the answer, one that suppresses copies is a negative mover: which word says more."""
    mover = head({"answer": 0.8, "after the same token": 0.8}, 0.1, 1.0, 5.0, {"induction": 0.9})
    assert role_of(mover, breakdown()).word == "induction"
    suppressing = head({"answer": 0.8}, direct=-1.0, copying=-5.0, random_copying=-4.0)
    assert role_of(suppressing, breakdown()).word == "copy suppression"
    against = head({"answer": 0.8, "after the same token": 0.8}, 0.1, -1.0, -5.0, {"induction": 0.9})
    assert role_of(against, breakdown()).word == "negative mover"
    at_first = head({"answer": 0.8}, first=0.8, direct=1.0, copying=5.0, random={"first": 0.9})
    assert role_of(at_first, breakdown()).word == "answer mover"


def test_two_words_that_fit_about_equally_are_none():
    both = head({"previous token": 0.5, "same token": 0.5}, random={"previous_token": 0.48, "duplicate_token": 0.46})
    role = role_of(both, breakdown())
    assert role.word == NO_ROLE
    assert role.margin == 0
    assert "fit about equally" in role.evidence[0]
    clearly = head({"previous token": 0.9, "same token": 0.45}, random={"previous_token": 0.9, "duplicate_token": 0.46})
    assert role_of(clearly, breakdown()).word == "previous token"


def test_the_nearest_rule_is_named_where_one_condition_lacks_little():
    role = role_of(head({"answer": 0.8}, direct=1.0, copying=2.2), breakdown())
    assert role.word == NO_ROLE
    assert role.evidence == (
        "nearest to answer mover, but copying +2.2 [+1.7, +2.7] (copying ≥ 2 is asked, and the end is 1.70)",
    )


def test_words_do_not_depend_on_the_size_of_logits():
    for word, made in MADE.items():
        for size in (0.01, 100.0):
            scaled = Estimate(*(size * each for each in vars(made.writes.direct).values()))
            total = breakdown().total
            sized = Breakdown(Estimate(*(size * each for each in vars(total).values())), (), about(0.0))
            role = role_of(replace(made, writes=replace(made.writes, direct=scaled)), sized)
            assert role.word == word
            assert role.margin == pytest.approx(role_of(made, breakdown()).margin)
