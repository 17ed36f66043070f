"""Data frames of results: a row for each part, with its own numbers; without pandas one line says what to install."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from drawn_circuits import described, empty, judged, realistic, with_evidence
from drawn_comparisons import comparison, series

from circuitspex.circuits.circuit import Circuit, Faithfulness, Node
from circuitspex.errors import UserError
from circuitspex.recovery import Interactions
from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.scoring.r2 import Score

MADE = described(judged(with_evidence(realistic(20, seed=4))))


def _decoded(n_terms=40, seed=0):
    rng = np.random.default_rng(seed)
    terms = [(), *{tuple(sorted({*rng.integers(0, 12, 3).tolist()})) for _ in range(n_terms)}]
    function = Polynomial.of(dict(zip(terms, rng.normal(size=len(terms)), strict=True)))
    errors = rng.uniform(size=len(function.terms))
    names = tuple(f"L0H{i}" for i in range(12))
    return Interactions(function, errors, names, "linear", 0.5, 10, 0, Score(0.9, 0.8, 0.95, 10))


def test_decoded_sets_have_a_row_each():
    found = _decoded()
    table = found.to_dataframe()
    assert len(table) == len([term for term in found.terms if term])
    assert (table["coefficient"].abs().diff().dropna() <= 0).all()
    for row in table.itertuples():
        assert row.order == len(row.components)
        assert row.coefficient == found.coefficient(*row.components)
        assert row.effect == found.effect(*row.components)
    assert table.attrs["constant"] == found.coefficient()


def test_components_have_a_row_each():
    table = MADE.to_dataframe().set_index("component")
    assert len(table) == 20
    for node in MADE.nodes:
        row = table.loc[node.name]
        assert (row["effect"], row["decoded"], row["layer"], row["kind"]) == (
            node.effect,
            node.decoded,
            node.layer,
            node.kind,
        )
        assert row["measured"] == (node.measured is not None)
        assert row["low"] == node.measured.low if node.measured else np.isnan(row["low"])
        assert row["adjusted_high"] == node.adjusted.high if node.adjusted else np.isnan(row["adjusted_high"])
        assert row["role"] == MADE.description[node.name].role.word
    assert "role" not in realistic(5).to_dataframe()
    assert "signed" not in table
    unsigned = Circuit((Node("L0H0", 0, "head", 1.0, signed=False),), (), Faithfulness(None, None, None, 0))
    assert not unsigned.to_dataframe()["signed"].any()


def test_interactions_have_a_row_each_with_their_relation():
    table = MADE.to_dataframe("interactions")
    by_set = {frozenset(row.components): row for row in table.itertuples()}
    assert len(table) == len(by_set) == len(MADE.interactions)
    for edge in MADE.interactions:
        row = by_set[frozenset(edge.components)]
        assert (row.effect, row.order, row.relation) == (edge.effect, edge.order, edge.relation.word)
        if edge.q is not None:
            assert row.q == edge.q
    assert MADE.to_dataframe("edges").equals(table)
    with pytest.raises(UserError, match="no table 'heads'; there are nodes, interactions and prompts"):
        MADE.to_dataframe("heads")


def test_effects_on_prompts_are_in_long_form():
    table = MADE.to_dataframe("prompts")
    node = max(MADE.nodes, key=lambda node: node.effect)
    rows = table[table["components"] == (node.name,)]
    assert rows["effect"].tolist() == list(node.per_prompt)
    assert set(rows["text"]) == {MADE.task["prompts"][0]["prompt"]}


def test_changes_have_a_row_each():
    made = comparison(12)
    table = made.to_dataframe()
    assert table["kind"].tolist() == [change.kind for change in made.changes]
    assert table["difference_low"].tolist() == [change.difference.low for change in made.changes]
    assert table["components"].tolist() == [change.components for change in made.changes]


def test_a_series_is_in_long_form():
    made = series(5, 4)
    table = made.to_dataframe()
    assert len(table) == 5 * (1 + 4)
    effects = table[(table["checkpoint"] == made.points[2].name) & (table["what"] == "effect")]
    assert effects["value"].tolist() == [effect.value for effect in made.points[2].effects]


def test_a_description_has_a_row_for_each_component():
    table = MADE.description.to_dataframe().set_index("component")
    assert len(table) == len(MADE.description)
    for about in MADE.description.components:
        row = table.loc[about.name]
        assert row["role"] == about.role.word
        assert row["direct"] == about.writes.direct.value
        if about.looks is not None:
            assert row["looks_IO"] == about.looks.positions[0].value.value
            assert row["induction_high"] == about.patterns.induction.high
        if about.feeds:
            assert row["feeds_total"] == max((feed.total.value for feed in about.feeds), key=abs)
    assert table["effect_END"].tolist() == [0.2] * len(table)


def test_what_is_empty_has_columns():
    assert list(empty().to_dataframe().columns[:3]) == ["component", "layer", "kind"]
    assert not len(empty().to_dataframe("interactions"))


def test_without_pandas_one_line_says_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "pandas" else found(name, *more)
    )
    for made in (_decoded(), MADE, comparison(4), series(2, 2), replace(MADE.description)):
        with pytest.raises(UserError, match=r"data frames need pandas: pip install 'circuitspex\[pandas\]'"):
            made.to_dataframe()
