"""What two components do to each other: the words, their conditions, and how sure one must be."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import RELATIONS, Relation
from circuitspex.circuits.circuit import Estimate, Interaction
from circuitspex.circuits.evidence._replicate import replicate
from circuitspex.circuits.relation import by_sign, relate
from circuitspex.masks import every_mask, sample_masks
from circuitspex.statistics import SMALLEST_SHARE, estimate, t_interval

sys.path.insert(0, str(Path(__file__).parents[1] / "ground_truth"))
import related

NAMES = ("L0H1", "L2H0")


def cells_of(a0: float, b0: float, both: float, spread: float = 0.0, shape: tuple[int, int] = (6, 5), seed: int = 0):
    """The metric with neither, only j, only i, both kept, ``(4, C, P)``, each cell a little off."""
    rng = np.random.default_rng(seed)
    means = np.array([0.3, 0.3 + b0, 0.3 + a0, 0.3 + a0 + b0 + both])
    return means[:, None, None] + spread * rng.normal(size=(4, *shape))


def exactly(numbers: np.ndarray) -> tuple[float, float, float]:
    """A mean of which everything is known."""
    return float(numbers.mean()), 0.0, 1.0


def by_definition(a0: float, b0: float, both: float) -> Relation:
    """The table of words, on numbers that are known, as one would write it down."""
    i, j = NAMES
    a1, b1 = a0 + both, b0 + both

    def none(small: float, large: float) -> bool:
        return abs(small) < SMALLEST_SHARE * abs(large)

    def turns(without: float, kept: float) -> bool:
        return without * kept < 0 and not none(without, kept) and not none(kept, without)

    if turns(a0, a1) or turns(b0, b1):
        if turns(a0, a1) and turns(b0, b1):
            return Relation("reverses")
        return Relation("reverses", j, i) if turns(a0, a1) else Relation("reverses", i, j)
    i_grows, j_grows = abs(a1) > abs(a0), abs(b1) > abs(b0)
    if i_grows != j_grows:
        assert max(a0, a1, key=abs) * max(b0, b1, key=abs) < 0
        return Relation("opposes", i, j) if i_grows else Relation("opposes", j, i)
    if not i_grows:
        return Relation("backs up")
    if none(a0, a1) and none(b0, b1):
        return Relation("needs")
    if none(a0, a1) or none(b0, b1):
        return Relation("needs", i, j) if none(a0, a1) else Relation("needs", j, i)
    return Relation("strengthens")


def test_without_doubt_it_is_the_table_of_words():
    rng, seen = np.random.default_rng(0), Counter()
    for _ in range(600):
        table = (*rng.normal(size=2) * rng.choice([0.0, 0.2, 1.0], size=2), rng.normal())
        found = relate(NAMES, cells_of(*table), exactly).relation
        assert found == by_definition(*table), table
        seen[found.word] += 1
    assert set(seen) == {"reverses", "opposes", "needs", "strengthens", "backs up"}
    assert min(seen.values()) > 10


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_the_two_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        a0, b0, both = rng.normal(size=3)
        cells = cells_of(a0, b0, both, spread=0.3, seed=int(rng.integers(1000)))
        one, other = relate(NAMES, cells), relate(NAMES[::-1], cells[[0, 2, 1, 3]])
        assert one.relation == other.relation
        assert one.conditional == other.conditional[::-1]


def test_the_sign_of_the_metric_does_not_matter_but_for_the_plain_words():
    rng, opposite = np.random.default_rng(1), {"positive interaction": "negative interaction"}
    opposite |= {other: one for one, other in opposite.items()}
    for seed in range(150):
        cells = cells_of(*rng.normal(size=3), spread=0.5, seed=seed)
        one, other = relate(NAMES, cells).relation, relate(NAMES, -cells).relation
        assert other.word == opposite.get(one.word, one.word)
        assert (one.source, one.target) == (other.source, other.target)


def test_the_demonstration_of_the_old_labels():
    """A head that works against another has a negative interaction with it, and two that lower the metric have too."""
    against = relate(("L23H3", "L29H0"), cells_of(3.0, -0.25, -0.85, spread=0.05))
    assert against.relation.sentence(("L23H3", "L29H0")) == "L29H0 opposes L23H3"
    worse = relate(NAMES, cells_of(-0.5, -0.5, -0.5, spread=0.02)).relation
    assert worse.sentence(NAMES) == "L0H1 and L2H0 strengthen each other"
    either = relate(NAMES, cells_of(-1.0, -1.0, 0.9, spread=0.02)).relation
    assert either.sentence(NAMES) == "L0H1 and L2H0 back each other up"


def test_conditional_effects_are_means_with_intervals_over_contexts_and_prompts():
    cells = cells_of(1.0, 0.5, -0.7, spread=0.4)
    first, second = relate(NAMES, cells).conditional
    assert (first.component, first.other, second.component, second.other) == (*NAMES, *NAMES[::-1])
    assert first.ablated == estimate(cells[2] - cells[0])
    assert first.kept == estimate(cells[3] - cells[1])
    assert second.ablated == estimate(cells[1] - cells[0])
    assert second.kept == estimate(cells[3] - cells[2])


def test_what_is_uncertain_is_said_more_plainly():
    words = {spread: Counter() for spread in (0.05, 0.8, 6.0)}
    for spread, count in words.items():
        for seed in range(40):
            count[relate(NAMES, cells_of(0.0, 0.0, 1.0, spread, seed=seed)).relation.word] += 1
    assert words[0.05]["needs"] == 40
    assert words[0.8]["positive interaction"] > 20
    assert words[6.0]["no interaction claimed"] > 30
    for count in words.values():
        assert set(count) <= {"needs", "strengthens", "positive interaction", "no interaction claimed"}


def test_rounding_has_no_sign():
    cells = cells_of(0.0, 0.0, 1e-9, spread=0.0)
    assert relate(NAMES, cells, exactly).relation.word == "needs"
    assert relate(NAMES, cells, exactly, least=1e-6).relation.word == "no interaction claimed"


def game(masks: np.ndarray) -> np.ndarray:
    """Five players on three prompts: 0 and 1 back each other up, and 4 does more with 2."""
    x = masks.astype(float)
    backup = 1 - (1 - x[:, 0]) * (1 - x[:, 1])
    return np.stack([s * backup + 0.1 * x[:, 3] + 0.2 * x[:, 2] * x[:, 4] for s in (0.9, 1.0, 1.2)], axis=1)


def test_all_contexts_leave_doubt_about_prompts_alone():
    found = replicate(game, [(0, 1)], every_mask(5, seed=0), uniform=True)[0, 1]
    assert found.exact
    first = found.relation(NAMES).conditional[0]
    numbers = np.array([0.9, 1.0, 1.2])
    expected = estimate(numbers[None, :])
    assert (first.ablated.value, first.ablated.low) == pytest.approx((expected.value, expected.low))
    assert found.relation(NAMES).relation.word == "backs up"


def test_all_contexts_and_one_prompt_are_exact():
    found = replicate(lambda m: game(m)[:, :1], [(0, 1), (2, 4)], every_mask(5, seed=0), uniform=True)
    first = found[0, 1].relation(NAMES).conditional[0]
    assert (first.ablated.low, first.ablated.high) == pytest.approx((0.9, 0.9))
    assert (first.kept.low, first.kept.high) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert found[2, 4].relation(NAMES).relation == Relation("needs")


def test_one_prompt_leaves_doubt_about_contexts_alone():
    contexts = sample_masks(5, 12, seed=1)
    found = replicate(lambda m: game(m)[:, :1] + 0.1 * (m[:, 3:4] & m[:, :1]), [(0, 1)], contexts)[0, 1]
    first, _ = found.relation(NAMES).conditional
    kept = contexts[:, 3]
    assert first.ablated == t_interval(*_moments(0.9 + 0.1 * kept))
    assert found.relation(NAMES).relation.word == "backs up"


def _moments(values):
    return float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5, len(values) - 1


def test_one_context_says_nothing():
    found = replicate(game, [(0, 1)], np.ones((3, 5), dtype=bool))[0, 1]
    assert found.relation(NAMES) is None
    assert replicate(game, [(0, 1, 2)], sample_masks(5, 6, seed=0))[0, 1, 2].relation(NAMES) is None


def test_planted_pairs_are_named_rightly_nine_times_in_ten_and_wrongly_at_most_twice_in_a_hundred():
    """The quick form of ``tools/bench/relations.py``."""
    found = Counter()
    for kind in related.KINDS:
        for seed in range(15):
            planted = related.planted(kind, seed)
            found[related.judged(related.measured(planted, seed).relation, planted)] += 1
    assert found["right"] >= 0.9 * found.total()
    assert found["wrong"] <= 0.02 * found.total()


def test_every_word_has_its_sentences():
    for word, definition in RELATIONS.items():
        assert definition.word == word
        assert definition.condition
        if definition.one:
            said = Relation(word, *NAMES[::-1])
            assert said.sentence(NAMES) == said.short
            assert said.short.startswith("L2H0")
            assert said.short.endswith("L0H1")
        if definition.both:
            assert all(name in Relation(word).sentence(NAMES) for name in NAMES)
            assert Relation(word).short == definition.short
        assert definition.one or definition.both
    assert Relation("negative interaction").sentence(("a", "b", "c")) == "negative interaction of a, b and c"
    assert Relation("needs", "{i}", "{0}").short == "{i} needs {0}"


def test_of_three_and_more_and_of_estimates_only_the_sign_is_said():
    assert Interaction(("a", "b"), -0.5).relation.word == "negative interaction"
    assert Interaction(("a", "b", "c"), 0.5, Estimate(0.4, 0.1, 0.7)).relation.word == "positive interaction"
    assert by_sign(0.5, Estimate(0.4, -0.1, 0.7)) == Relation("no interaction claimed")
    assert not by_sign(0.5, Estimate(0.4, -0.1, 0.7)).is_claimed


def test_the_old_labels_go_on_with_a_warning():
    with pytest.warns(FutureWarning, match=r"Interaction\.label is now Interaction\.relation"):
        assert Interaction(("a", "b"), -0.5).label == "redundant"
    with pytest.warns(FutureWarning):
        assert Interaction(("a", "b"), 0.5).label == "synergistic"


def test_a_search_says_it_of_every_pair_and_measures_the_unablated_context():
    names = [f"p{i}" for i in range(9)]

    def value(masks: np.ndarray) -> np.ndarray:
        x = masks.astype(float)
        rest = 0.05 * x[:, 6] * x[:, 7] * x[:, 8]
        return 2 * (1 - (1 - x[:, 0]) * (1 - x[:, 1])) + x[:, 2] * x[:, 3] + x[:, 4] * (1 - x[:, 5]) + rest

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".* is now .*; the old name will go", category=FutureWarning)
        found = cx.explain(cx.FunctionGame(value, 9, names=names), budget=120, max_interactions=4, seed=0)
        text = found.circuit.table()
    said = {edge.components: edge.sentence for edge in found.circuit.interactions}
    assert said["p0", "p1"] == "p0 and p1 back each other up"
    assert said["p2", "p3"] == "p2 and p3 need each other"
    assert said["p4", "p5"] == "p5 opposes p4"
    assert "p5 opposes p4" in text
    for edge in found.circuit.interactions:
        masks = np.ones((len(edge.unablated), 9), dtype=bool)
        for mask, row in zip(masks, edge.unablated, strict=True):
            mask[[names.index(name) for name in edge.components]] = row.kept
        assert [row.value for row in edge.unablated] == pytest.approx(list(value(masks)))
    assert "averaged over random masks that keep 50 % of the others" in " ".join(text.split())
    kept = found.circuit.interactions[0].unablated[-1]
    assert kept.kept == (True, True)
    assert kept.value == pytest.approx(3.05)


def test_the_documents_have_the_table_of_words():
    text = (Path(__file__).parents[2] / "docs" / "meaning.md").read_text(encoding="utf-8")
    rows = ["| word | as a sentence | when |", "| --- | --- | --- |"]
    for definition in RELATIONS.values():
        sentences = (definition.one, definition.both)
        said = "; ".join(each.format(i="i", j="j", all="i and j") for each in sentences if each)
        rows.append(f"| {definition.word} | {said} | {definition.condition} |")
    assert "\n".join(rows) in text
