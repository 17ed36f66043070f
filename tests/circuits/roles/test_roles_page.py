"""docs/roles.md says the rules that the code has."""

from __future__ import annotations

from pathlib import Path

from circuitspex.circuits.about import ROLES
from circuitspex.circuits.roles.measures import MEASURES
from circuitspex.circuits.roles.rules import RULES

PAGE = (Path(__file__).parents[3] / "docs" / "roles.md").read_text(encoding="utf-8")


def rows_of(heading):
    """The rows of the first table under a heading, without its head."""
    lines = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0].splitlines()
    return [line for line in lines if line.startswith("|")][2:]


def rule_row(rule):
    conditions = "; ".join(map(str, rule.conditions))
    gives_way_to = "all others" if len(rule.gives_way_to) == len(RULES) - 1 else ", ".join(rule.gives_way_to) or "none"
    return f"| *{rule.word}* | {ROLES[rule.word]} | {conditions} | {gives_way_to} |"


def measure_row(name):
    return f"| {name} | {MEASURES[name].meaning} |"


def test_the_words_are_those_of_the_code():
    assert rows_of("The words") == [rule_row(rule) for rule in RULES]


def test_the_measures_are_those_of_the_code():
    assert rows_of("The measures") == [measure_row(name) for name in MEASURES]
