"""Selectors of edges: short texts that name many of them.

    edges    edges:ungrouped                      all edges; with keys and values for each query head
    layers[20:30].edges    L5.edges               edges between parts of these layers
    edges->logits    L23H3->*    *->L9M           all edges to a part, or from it
    heads->mlps    layers[:4].heads->heads.q      from parts of a kind to parts of a kind
    L5H1->L9H3    L5H1->L9H3.q                    into the query, key and value of a head; into one of them
    edges@-1    L5H1->L9H3.q@-1                   at one token position

Parts are joined by ``+``. In a shell selectors with ``->`` need quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from circuitspex.components.edges import HOW_WRITTEN, Edge, EdgeGraph, EdgeSelection, EdgeSelector, layer_of
from circuitspex.errors import ComponentError
from circuitspex.typing import IntArray

_SCOPE = r"(?:layers\[(?P<slice>(?:-?\d+)?:(?:-?\d+)?(?::-?\d+)?|-?\d+)\]\.|L(?P<layer>\d+)\.)?"
_END = re.compile(_SCOPE + r"(?P<word>\*|edges|heads(?:\.[qkv])?|mlps|emb|logits)", re.ASCII)
_PART = re.compile(r"(?P<text>.+?)(?P<ungrouped>:ungrouped)?(?:@(?P<position>-?\d+))?", re.ASCII)
_LONGEST = 200
HOW_SELECTED = (
    "'edges', 'edges:ungrouped', 'layers[20:30].edges', 'edges->logits', 'L23H3->*', 'heads->mlps', 'edges@-1', "
    f"or one edge: {HOW_WRITTEN}"
)
"""The forms of selectors of edges, for messages."""


def wants_ungrouped(selector: EdgeSelector) -> bool:
    """Whether a selector says that each query head has keys and values of its own, or names such a one."""
    texts = [str(item) for item in ([selector] if isinstance(selector, str | Edge) else selector)]
    return any(":ungrouped" in text or re.search(r"->\s*L\d+H\d+\.[kv]", text) for text in texts)


def check_edge_selector(selector: EdgeSelector) -> None:
    """Refuse a selector that is spelled as none is, before a model is loaded.

    Raises:
        ComponentError: it says what is allowed.
    """
    for part in _parts(selector):
        if isinstance(part, Edge):
            continue
        text = _split(part)[0]
        for end in text.split("->") if "->" in text else [text]:
            _check_end(end, part)


def select_edges(graph: EdgeGraph, selector: EdgeSelector) -> EdgeSelection:
    """The edges that a selector names, in its order, each once.

    Raises:
        ComponentError: no such edge, nothing selected, or an edge both at every token and at one.
    """
    numbers: list[IntArray] = []
    positions: list[int | None] = []
    for part in _parts(selector):
        if isinstance(part, Edge):
            found, at = np.array([graph.number(part)]), part.position
        else:
            text, at = _split(part)
            found = _selected(graph, text, part)
        numbers.append(found)
        positions += [at] * len(found)
    chosen = np.concatenate(numbers) if numbers else np.zeros(0, dtype=np.int64)
    if not len(chosen):
        raise ComponentError(f"the selector {selector!r} selects no edges of {graph.name}")
    if any(at is not None for at in positions):
        unique = list(dict.fromkeys(zip(chosen.tolist(), positions, strict=True)))
        _refuse_overlaps(graph, unique)
        return EdgeSelection(graph, np.array([number for number, _ in unique]), tuple(at for _, at in unique))
    _, places = np.unique(chosen, return_index=True)
    chosen = chosen[np.sort(places)]
    return EdgeSelection(graph, chosen, (None,) * len(chosen))


def _parts(selector: EdgeSelector) -> list[str | Edge]:
    if not isinstance(selector, str | Edge | Sequence):
        raise ComponentError(f"{selector!r} is not a selector of edges; these are {HOW_SELECTED}, or a list of edges")
    items = [selector] if isinstance(selector, str | Edge) else list(selector)
    found: list[str | Edge] = []
    for item in items:
        if isinstance(item, Edge):
            found.append(item)
        elif isinstance(item, str):
            found += [part.strip() for part in item.split("+")]
        else:
            raise ComponentError(f"{item!r} is not an edge or a selector of edges; these are {HOW_SELECTED}")
    return found


def _split(part: str) -> tuple[str, int | None]:
    """A part without 'ungrouped' and the position, and the position."""
    if part.endswith("-"):
        raise ComponentError(
            f"'{part}' ends in the middle of an arrow: a shell takes '>' for itself; put the selector into quotes, "
            f"'{part}>…'"
        )
    match = _PART.fullmatch(part) if len(part) <= _LONGEST else None
    if match is None:
        raise ComponentError(_unknown(part))
    return match["text"], None if match["position"] is None else int(match["position"])


def _unknown(part: str) -> str:
    return f"{part[:60]!r} is no selector of edges; these are {HOW_SELECTED}"


def _check_end(end: str, part: str) -> None:
    single = re.fullmatch(r"emb|logits|L\d+(?:H\d+(?:\.[qkv])?|KV\d+(?:\.[kv])?|M)", end)
    if single is None and _END.fullmatch(end) is None:
        kind = re.fullmatch(r"L\d+(?:E\d+)?(?P<letter>[A-Z]+)\d*(?::\d+)?", end) or re.search(
            r"(?P<letter>experts|neurons|latents|attns|residuals)", end
        )
        if kind is not None:
            raise ComponentError(f"'{part}': edges are between the embeddings, heads, MLPs and the logits, not '{end}'")
        raise ComponentError(_unknown(part))


def _selected(graph: EdgeGraph, text: str, part: str) -> IntArray:
    if "->" not in text:
        match = _END.fullmatch(text)
        if match is None or match["word"] != "edges":
            raise ComponentError(_unknown(part))
        if match["slice"] is None and match["layer"] is None:
            return np.arange(len(graph))
        layers = _layers(graph, match, part)
        sources = np.array([layer_of(name) in layers for name in graph.sources])
        targets = np.array([layer_of(name) in layers for name in graph.targets])
        return np.flatnonzero(sources[graph.source] & targets[graph.target])
    if text.count("->") != 1:
        raise ComponentError(_unknown(part))
    source, target = text.split("->")
    from_these, to_these = _of_end(graph, source, part, target=False), _of_end(graph, target, part, target=True)
    if len(from_these) == len(to_these) == 1:
        return np.array([graph.number(Edge(graph.sources[from_these[0]], graph.targets[to_these[0]]))])
    wanted = np.isin(graph.source, from_these) & np.isin(graph.target, to_these)
    if not wanted.any():
        raise ComponentError(
            f"'{part}' selects no edge of {graph.name}: an edge goes from a part to one that is computed after it"
        )
    return np.flatnonzero(wanted)


def _of_end(graph: EdgeGraph, end: str, part: str, *, target: bool) -> list[int]:
    """The places of the sources, or of the destinations, that one side of an arrow names."""
    _check_end(end, part)
    names = graph.targets if target else graph.sources
    match = _END.fullmatch(end)
    if match is None or match["word"] in ("emb", "logits"):
        return _named(graph, end, part, target=target)
    layers = None if match["slice"] is None and match["layer"] is None else _layers(graph, match, part)
    word = match["word"]
    if word.startswith("heads."):
        if not target:
            raise ComponentError(f"'{part}': queries, keys and values are destinations of edges, not sources")
        pattern = rf"L\d+(?:H|KV)\d+\.{word[-1]}"
    else:
        pattern = {"*": ".*", "edges": ".*", "heads": r"L\d+(?:H|KV)\d+.*", "mlps": r"L\d+M"}[word]
    return [
        place
        for place, name in enumerate(names)
        if re.fullmatch(pattern, name) and (layers is None or layer_of(name) in layers)
    ]


def _named(graph: EdgeGraph, end: str, part: str, *, target: bool) -> list[int]:
    if not target:
        if "." in end or "KV" in end:
            raise ComponentError(f"'{part}': queries, keys and values are destinations of edges, not sources")
        return [graph.place_of_source(end)]
    whole = re.fullmatch(r"L(\d+)(H|KV)(\d+)", end)
    if whole is None:
        return [graph.place_of_target(end)]
    layer, head = int(whole[1]), int(whole[3])
    if whole[2] == "KV":
        return [graph.place_of_target(f"{end}.{kind}") for kind in "kv"]
    found = [graph.place_of_target(f"{end}.q")]
    if graph.of_heads:
        return found + [graph.place_of_target(f"{end}.{kind}") for kind in "kv"]
    about = graph.layers[layer]
    shared = head * about.n_kv // about.n_heads
    return found + [graph.place_of_target(f"L{layer}KV{shared}.{kind}") for kind in "kv"]


def _layers(graph: EdgeGraph, match: re.Match[str], part: str) -> set[int]:
    n = len(graph.layers)
    text = match["slice"] if match["slice"] is not None else match["layer"]
    if ":" not in text:
        if not -n <= int(text) < n:
            raise ComponentError(f"'{part}': {graph.name} has {n} layers, 0 to {n - 1}")
        return {int(text) % n}
    bounds = [int(bound) if bound else None for bound in text.split(":")]
    if len(bounds) == 3 and bounds[2] == 0:
        raise ComponentError(f"'{part}': the step of a slice can't be 0")
    return set(range(n)[slice(*bounds)])


def _refuse_overlaps(graph: EdgeGraph, chosen: Sequence[tuple[int, int | None]]) -> None:
    everywhere = {number for number, at in chosen if at is None}
    signs: dict[int, int] = {}
    for number, at in chosen:
        if at is None:
            continue
        if number in everywhere:
            raise ComponentError(
                f"{graph.edge(number)} is selected at every position and at single ones; choose one of the two"
            )
        if (signs.setdefault(number, at) >= 0) != (at >= 0):
            raise ComponentError(
                f"{graph.edge(number)}: positions counted from the start and from the end are mixed; use one of the two"
            )
