"""Plots of results: the numbers are those of the result, texts are inside and large enough, and what lacks says so."""

import itertools
from dataclasses import asdict, replace

import matplotlib
import numpy as np
import pytest
from drawn_circuits import described, empty, estimate, judged, realistic, with_evidence
from matplotlib.backends.backend_agg import FigureCanvasAgg

from circuitspex.circuits.circuit import Circuit, Combination, Faithfulness, Interaction, Node
from circuitspex.circuits.found import Found, Stage
from circuitspex.circuits.search.stages import likely_budget
from circuitspex.errors import UserError
from circuitspex.export.drawing.plot import SMALL, WIDTH
from circuitspex.export.figures import attention, breakdown, heatmap, learning_curve, sets, waterfall

CURVE = [
    {"n_ablations": 13, "r2": 0.42, "low": 0.2, "high": 0.55, "n_masks": 12},
    {"n_ablations": 25, "r2": 0.71, "low": 0.6, "high": 0.8, "n_masks": 25},
    {"n_ablations": 50, "r2": 0.88, "low": 0.82, "high": 0.92, "n_masks": 50},
]


def _full(n_nodes=14, seed=3, **options):
    made = described(judged(with_evidence(realistic(n_nodes, seed=seed, **options))))
    return replace(made, task={**made.task, "ablated": 0.12}, run={**made.run, "until": 0.98, "learning_curve": CURVE})


PLOTS = {
    "heatmap": lambda c, *path, **o: c.plot_heatmap(*path, **o),
    "waterfall": lambda c, *path, **o: c.plot_waterfall(*path, **o),
    "pair": lambda c, *path, **o: c.plot_pair(*_pair(c).components, *path, **o),
    "sets": lambda c, *path, **o: c.plot_sets(*path, **o),
    "attention": lambda c, *path, **o: c.plot_attention(_head(c), *path, **o),
    "breakdown": lambda c, *path, **o: c.plot_breakdown(*path, **o),
    "learning_curve": lambda c, *path, **o: c.plot_learning_curve(*path, **o),
}


def _pair(circuit):
    return next(edge for edge in circuit.interactions if edge.order == 2 and edge.table)


def _head(circuit):
    return next(node.name for node in circuit.nodes if node.kind == "head")


def _texts(figure):
    found = list(figure.texts)
    for axes in figure.axes:
        found += axes.texts
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            found += [label for at, label in ticks if low <= at <= high]  # others are not drawn
    return [text for text in found if text.get_text() and text.get_visible()]


def _said(figure):
    return " | ".join(text.get_text() for text in _texts(figure))


@pytest.mark.some(4)
@pytest.mark.parametrize("made", [_full(), _full(300, 1, n_layers=48, n_edges=200)], ids=["14", "300"])
@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_texts_are_inside_and_large_enough(plot, made):
    figure = plot(made, dark=True)
    renderer = FigureCanvasAgg(figure).get_renderer()
    assert figure.get_figwidth() * 72 == WIDTH
    assert figure.get_figheight() * 72 < 1400
    assert max(figure.get_facecolor()[:3]) < 0.2
    assert min(plot(made).get_facecolor()[:3]) > 0.9
    for text in _texts(figure):
        assert text.get_fontsize() >= SMALL
        box = text.get_window_extent(renderer)
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text.get_text()


@pytest.mark.some(3)
@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_files_do_not_depend_on_settings(plot, tmp_path):
    made = _full()
    plot(made, tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path", "text.usetex": True}):
        plot(made, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with pytest.raises(UserError, match="ending must be one of"):
        plot(made, tmp_path / "c.gif")


def test_a_figure_shows_itself_without_pyplot():
    assert _full().plot_breakdown()._repr_png_().startswith(b"\x89PNG")


def _decoded(members, effect):
    return Interaction(members, effect) if len(members) > 1 else Node(members[0], 0, "head", effect)


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.25])
def test_dividends_are_those_of_the_function_that_the_effects_are_of(keep):
    rng = np.random.default_rng(int(keep * 100))
    names = [f"L0H{i}" for i in range(5)]
    terms = [term for size in (1, 2, 3) for term in itertools.combinations(names, size)]
    values = {term: float(value) for term, value in zip(terms, rng.normal(size=len(terms)), strict=True)}
    parts = [_decoded(term, value) for term, value in values.items()]
    circuit = Circuit(tuple(parts[:5]), tuple(parts[5:]), Faithfulness(None, None, None, 0), run={"keep": keep})

    def at(kept):
        """The function around the masks that keep a share of all: by definition, mask by mask."""
        gate = {name: float(name in kept) - keep for name in names}
        return sum(value * np.prod([gate[name] for name in term]) for term, value in values.items())

    for masks in itertools.product((0, 1), repeat=5):  # mean differences over random masks give the effects back
        if sum(masks) != 2:
            continue
        pair = [name for name, on in zip(names, masks, strict=True) if on]
        others = [name for name in names if name not in pair]
        mean = 0.0
        for on in itertools.product((0, 1), repeat=3):
            base = {name for name, flag in zip(others, on, strict=True) if flag}
            weight = np.prod([keep if flag else 1 - keep for flag in on])
            mean += weight * (at(base | {*pair}) - at(base | {pair[0]}) - at(base | {pair[1]}) + at(base))
        assert mean == pytest.approx(values[tuple(pair)])
    found = waterfall.dividends(circuit)
    for size in range(6):
        for kept in itertools.combinations(names, size):
            added = sum(value for members, value in found.items() if set(members) <= set(kept))
            assert added == pytest.approx(at(kept) - at(()))


@pytest.mark.parametrize("made", [_full(), _full(300, 1, n_layers=48, n_edges=200)], ids=["14", "300"])
def test_a_waterfall_adds_up(made):
    ends = waterfall.ends_of(made)
    bars = waterfall.steps(made, ends)
    assert (bars[0].size, bars[-1].size) == (0.12, 3.1)
    at = bars[0].size
    for bar in bars[1:-1]:
        assert bar.start == at
        at += bar.size
    assert at == pytest.approx(3.1, abs=1e-12)
    assert len(bars) <= waterfall.MAX_NODES + waterfall.MAX_SETS + 5
    drawn = [patch for patch in made.plot_waterfall().axes[0].patches if patch.get_width()]
    assert [patch.get_width() for patch in drawn] == pytest.approx([bar.size for bar in bars if bar.size])
    assert "= +3.1" in _said(made.plot_waterfall())


def test_a_waterfall_begins_where_verification_did_if_the_search_did_not():
    made = replace(_full(), task={"metric": "logit_diff"})
    ends = waterfall.ends_of(made)
    assert (ends.empty, ends.full) == (made.verification.empty, made.verification.full)
    assert "16 held-out prompts" in _said(made.plot_waterfall())
    with pytest.raises(UserError, match="verify it"):
        replace(made, verification=None).plot_waterfall()


def test_a_heat_map_has_every_component_in_its_place():
    made = _full(40)
    grid = heatmap.grid_of(made, made.nodes)
    assert grid.n_layers == 30
    assert grid.others == ["MLP", "neurons"]
    for node in made.nodes:
        column = {"mlp": grid.n_heads, "neurons": grid.n_heads + 1}.get(node.kind)
        cell = grid.cells[node.layer, int(node.name.split("H")[1]) if column is None else column]
        assert cell.count > 1 or cell.effect == node.effect
    assert sum(cell.count for cell in grid.cells.values()) == 40
    uneven = replace(made, nodes=made.nodes[:2], model={"n_layers": 30, "heads": [4] * 29 + [2]})
    assert heatmap.grid_of(uneven, uneven.nodes).missing == {(29, 2), (29, 3)}


def test_a_heat_map_of_a_search_has_all_that_was_searched():
    class Decoded:
        names = tuple(f"L{layer}H{head}" for layer in range(30) for head in range(9))

        def effect(self, name):
            return 0.001 * self.names.index(name)

    made = replace(_full(7), model={"n_layers": 30, "n_heads": 9})
    found = Found(made, Decoded(), None)
    numbers = {text.get_text() for text in found.plot_heatmap().axes[0].texts}
    assert "+0.27" in numbers
    assert "+2.90" in numbers
    assert "grey: was not searched" in _said(found.plot_heatmap())
    # Where nothing replicated, all that was decoded is still there.
    nothing = replace(made, nodes=(), interactions=())
    numbers = {text.get_text() for text in Found(nothing, Decoded(), None).plot_heatmap().axes[0].texts}
    assert "+0.269" in numbers
    with pytest.raises(UserError, match="no components"):
        nothing.plot_heatmap()


def test_a_pair_has_its_table_as_bars():
    made = _full()
    edge = _pair(made)
    figure = made.plot_pair(*reversed(edge.components))
    for axes, table in zip(figure.axes, (edge.table, edge.unablated), strict=True):
        by_kept = {row.kept: row.value for row in table}
        wanted = [by_kept[row] for row in ((False, False), (True, False), (False, True), (True, True))]
        assert [patch.get_height() for patch in axes.patches[:4]] == pytest.approx(wanted)
        added = wanted[1] + wanted[2] - wanted[0]
        assert axes.lines[0].get_ydata() == pytest.approx([added, added])
    assert figure.texts[0].get_text() == edge.sentence
    first, second = edge.components
    with pytest.raises(UserError, match="'L0H99' is not in this circuit"):
        made.plot_pair(first, "L0H99")
    with pytest.raises(UserError, match=f"no interaction of {first} and {first}; its measured pairs are"):
        made.plot_pair(first, first)
    bare = replace(made, interactions=(Interaction((first, second), 1.0),))
    with pytest.raises(UserError, match="decoded and not measured"):
        bare.plot_pair(first, second)


@pytest.mark.parametrize("both", [3.2, 2.8, 3.0, -3.2, -2.8])
def test_the_dashed_line_runs_through_no_value(both):
    """If the two only added up, both would give 3, or -3: near the value that is written at the last bar."""
    made = _full()
    edge, sign = _pair(made), np.sign(both)
    values = {(False, False): 0.0, (True, False): 2.0 * sign, (False, True): 1.0 * sign, (True, True): both}
    rows = tuple(Combination(kept, value) for kept, value in values.items())
    drawn = replace(made, interactions=(replace(edge, table=rows, unablated=rows),)).plot_pair(*edge.components)
    drawn.canvas.draw()
    for axes in drawn.axes:
        line = axes.transData.transform((3, 3.0 * sign))[1]
        written = next(text for text in axes.texts if text.get_position()[0] == 3 and text.get_text())
        box = written.get_window_extent()
        assert not box.y0 < line < box.y1
        assert axes.bbox.y0 <= box.y0 <= box.y1 <= axes.bbox.y1


def test_sets_are_columns():
    made = _full(30, 5, n_edges=40)
    wanted = sorted((edge for edge in made.interactions if edge.order >= 3), key=lambda edge: -abs(edge.effect))
    assert len(wanted) > 2
    upper, matrix, _ = made.plot_sets().axes
    heights = [patch.get_height() for patch in upper.patches]
    assert heights == pytest.approx([edge.effect for edge in wanted[: len(heights)]])
    for x, edge in enumerate(wanted[: len(heights)]):
        dots = [line for line in matrix.lines if line.get_marker() == "o" and set(line.get_xdata()) == {x}]
        assert len(dots[-1].get_ydata()) == edge.order
    pairs = replace(made, interactions=tuple(edge for edge in made.interactions if edge.order == 2))
    with pytest.raises(UserError, match="no interaction of 3 or more components; its largest have 2: order=2"):
        pairs.plot_sets()
    assert len(pairs.plot_sets(order=2).axes[0].patches) <= sets.MAX_SETS
    with pytest.raises(UserError, match="it has no interactions"):
        replace(made, interactions=()).plot_sets()


def test_attention_is_that_of_the_prompt():
    made, name = _full(), _head(_full())
    looks = made.description[name].looks
    figure = made.plot_attention(name, prompt=2)
    said = [text.get_text() for text in figure.texts]
    for share in looks.per_prompt[2]:
        assert share < attention.WRITTEN or f"{share:.2f}" in said
    assert {"IO", "S1", "S2", "END", "Mary"} <= {text.strip() for text in said}
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    wanted = sorted((share.value.value for share in looks.positions), reverse=True)
    assert widths == pytest.approx([*wanted, looks.first.value])
    other = next(node.name for node in made.nodes if node.kind != "head")
    tokenless = replace(made, task={key: value for key, value in made.task.items() if key != "prompts"})
    for circuit, options, problem in (
        (replace(made, description=None), {}, "is not described"),
        (made, {"name": "L0H99"}, "'L0H99' is not described"),
        (made, {"name": other}, "an MLP attends to nothing"),
        (made, {"prompt": 16}, "no prompt 16: they count from 0 to 15"),
        (made, {"prompt": -1}, "prompt must be at least 0"),
        (tokenless, {}, "does not have the tokens"),
        (replace(made, task={**made.task, "prompts": [{"tokens": ["a"]}] * 16}), {}, "described on another task"),
    ):
        with pytest.raises(UserError, match=problem):
            circuit.plot_attention(**{"name": name, **options})


def test_long_prompts_flow_over_lines_and_stay_apart():
    placed = attention.flow([f" word{i}" * (1 + i % 3) for i in range(400)] + ["\n", "", "x" * 300])
    assert [token.index for token in placed] == list(range(403))
    for one, two in itertools.pairwise(placed):
        assert two.line == one.line + 1 or two.x >= one.x + one.width
        assert one.x + one.width <= WIDTH


def test_a_breakdown_shows_its_parts_and_that_they_add_up():
    made = _full(40)
    rows = breakdown.rows_of(made.description.breakdown)
    sizes = [getattr(size, "value", size) for _, size in rows]
    assert sum(sizes[:-1]) == pytest.approx(sizes[-1]) == 3.1
    figure = made.plot_breakdown()
    assert [patch.get_width() for patch in figure.axes[0].patches] == pytest.approx(sizes)
    assert made.description.plot_breakdown().axes[0].patches[0].get_width() == pytest.approx(sizes[0])
    with pytest.raises(UserError, match=r"circuit\.describe\(model, task\)"):
        replace(made, description=None).plot_breakdown()
    with pytest.raises(UserError, match="no breakdown of the metric"):
        replace(made.description, breakdown=None).plot_breakdown()


def test_a_learning_curve_says_how_many_ablations_are_needed():
    made = _full()
    stages = [Stage(**each) for each in CURVE] + [Stage(100, 0.961, 0.944, 0.973, 200)]
    needed = likely_budget(stages, 0.98, 100)
    figure = made.plot_learning_curve()
    assert f"about {needed:,} ablations; 100 were run" in _said(figure)
    line = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert line.get_xdata().tolist() == [13, 25, 50, 100]
    assert line.get_ydata() == pytest.approx([0.42, 0.71, 0.88, 0.961])
    found = Found(replace(made, run={"until": 0.8}), None, None, learning_curve=tuple(stages))
    assert "is reached with 50 ablations" in _said(found.plot_learning_curve())
    flat = Found(replace(made, run={}), None, None, learning_curve=tuple(replace(s, r2=0.1, low=0.0) for s in stages))
    assert "more than 1,000 ablations" in _said(flat.plot_learning_curve())
    with pytest.raises(UserError, match=r"until=0\.9"):
        replace(made, run={}).plot_learning_curve()
    undefined = tuple(replace(stage, r2=None, low=None, high=None) for stage in stages)
    with pytest.raises(UserError, match="one stage"):
        replace(found, learning_curve=undefined).plot_learning_curve()
    whole = replace(made, run={**made.run, "learning_curve": [asdict(stage) for stage in stages]})
    lines = learning_curve.draw(whole).axes[0].lines  # a record that has the last point has it once
    assert next(line for line in lines if line.get_marker() == "o").get_xdata().tolist() == [13, 25, 50, 100]


def test_what_has_nothing_to_draw_says_so():
    unsigned = Circuit((Node("L0H0", 0, "head", 1.0, signed=False),), (), Faithfulness(None, None, None, 0))
    words = replace(
        realistic(3), nodes=(Node("good", 0, "word", 1.0, estimate(1.0)),), interactions=(), run={"lens": "tokens"}
    )
    for plot in ("plot_heatmap", "plot_waterfall", "plot_sets"):
        with pytest.raises(UserError, match="no components"):
            getattr(empty(), plot)()
        with pytest.raises(UserError, match="sign='ablation'"):
            getattr(unsigned, plot)()
    with pytest.raises(UserError, match="lens 'tokens', in no layers"):
        words.plot_heatmap()
