"""To and from the interaction values of shapiq, which is only needed here, and only to make its objects.

shapiq keeps two numbers for the empty set. ``interactions[()]`` is the index there, and means what
``circuitspex.recovery.bases.indices`` says; for Möbius it is the value where nothing is kept, for Fourier the mean.
``baseline_value`` is the value where nothing is kept; for FBII and Fourier it is the constant, which shapiq puts at
``interactions[()]`` of these.
shapiq's Fourier basis has the sign ``(-1)^|S & kept|``, so its coefficients are ours times ``(-1)^|S|``.
At order 1 shapiq names every Shapley index 'SV' and every Banzhaf index 'BV'.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from math import isfinite
from operator import index as as_integer
from typing import Any

import numpy as np

from circuitspex.errors import UserError
from circuitspex.recovery.bases.indices import bernoulli, check_order, check_terms, fourier_to_index
from circuitspex.recovery.bases.polynomial import fourier_to_mobius, mobius_to_fourier, spread
from circuitspex.typing import Term

_NAMES = {
    "sv": "SV",
    "banzhaf": "BV",
    "sii": "SII",
    "k-sii": "k-SII",
    "stii": "STII",
    "fsii": "FSII",
    "bii": "BII",
    "fbii": "FBII",
    "mobius": "Moebius",
    "fourier": "Fourier",
}
_ALIASES = {"bv": "banzhaf", "moebius": "mobius"}
_SHAPLEY = ("sii", "k-sii", "stii", "fsii")
_FUNCTIONS = ("Moebius", "Fourier", "SV", "k-SII", "STII", "FSII", "FBII", "kADD-SHAP")


def to_shapiq(
    table: Mapping[Term, float],
    n_players: int,
    index: str = "k-SII",
    order: int | None = None,
    *,
    budget: int | None = None,
) -> Any:
    """A function of masks as ``shapiq.InteractionValues``.

    Args:
        table: the function as coefficients of parities, by term.
        n_players: how many components there are.
        index: one of ``circuitspex.recovery.bases.indices.INDICES``, 'mobius' or 'fourier', in any case; shapiq's own
            spellings 'BV' and 'Moebius' too.
        order: the largest set that gets a value. By default 1 for 'sv' and 'banzhaf', all for 'mobius' and
            'fourier', else 2.
        budget: how many masks it came from, where that is known.

    Returns:
        ``shapiq.InteractionValues``; sets whose value is 0 are left out.

    Raises:
        UserError: shapiq is not installed, or what ``fourier_to_index`` refuses.
    """
    name = _ALIASES.get(str(index).lower(), str(index).lower())
    if name not in _NAMES:
        raise UserError(f"unknown index '{index}'; allowed: {', '.join(_NAMES)}")
    check_terms(table, n_players)
    at_nothing = sum((-1) ** len(term) * value for term, value in table.items())
    order = None if order is None else check_order(order)
    if name in ("mobius", "fourier"):
        largest = max([1, *(len(term) for term, value in table.items() if value != 0)])
        if order is not None and order < largest:
            raise UserError(f"'{name}' is the whole function, with terms of {largest}; leave order out, or take fbii")
        signed = {term: (-1) ** len(term) * value for term, value in table.items()}
        out, order = fourier_to_mobius(table) if name == "mobius" else signed, order or largest
    else:
        if order is None:
            order = 1 if name in ("sv", "banzhaf") else 2
        if order == 1 and name in _SHAPLEY:
            name = "sv"
        out = fourier_to_index(table, name, order, n_players)
    try:
        shapiq = import_module("shapiq")
    except ImportError as error:
        raise UserError(f"shapiq can't be imported ({error}); pip install 'circuitspex[shapiq]'") from error
    kept = [(), *sorted((t for t, value in out.items() if t and value != 0), key=lambda t: (len(t), t))]
    return shapiq.InteractionValues(
        values=np.array([out.get(term, 0.0) for term in kept]),
        index=_NAMES[name],
        max_order=order,
        n_players=n_players,
        min_order=0,
        interaction_lookup={term: place for place, term in enumerate(kept)},
        estimated=True,  # the function came from fewer than all masks
        estimation_budget=budget,
        baseline_value=float(out.get((), 0.0) if name in ("fbii", "fourier") else at_nothing),
    )


def _read(values: Any) -> tuple[str, int, float, dict[Term, float]]:
    """Index, number of players, baseline value and interactions of a shapiq object of any layout."""
    try:
        index, n_players = str(values.index), as_integer(values.n_players)
        baseline = float(values.baseline_value)
        if isinstance(getattr(values, "interactions", None), Mapping):
            pairs = list(values.interactions.items())
        else:
            pairs = [(term, values.values[place]) for term, place in values.interaction_lookup.items()]
        table = {tuple(sorted(as_integer(i) for i in term)): float(value) for term, value in pairs}
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise UserError(f"{type(values).__name__} can't be read as shapiq interaction values: {error}") from error
    if len(table) != len(pairs):
        raise UserError("the interaction values name a set twice")
    if not isfinite(baseline):
        raise UserError(f"the baseline value is {baseline}; it must be finite")
    check_terms(table, n_players)
    return index, n_players, baseline, table


def from_shapiq(values: Any) -> dict[Term, float]:
    """The function that ``shapiq.InteractionValues`` stand for, as coefficients of parities.

    'Moebius' and 'Fourier' are the function itself. 'SV', 'k-SII', 'STII', 'FSII' and 'FBII' are read as the
    additive surrogate ``f(kept) = sum of values over the sets inside kept``, which is the function itself only where
    it has no larger interactions. 'kADD-SHAP' (Pelegrina et al. 2023) holds the Shapley interaction index of its
    surrogate, whose Möbius coefficients are ``sum over T >= S of B_(|T|-|S|) value(T)``.

    The value where nothing is kept is ``baseline_value``. FBII and Fourier have a constant of their own, ``()``, which
    goes before it.

    Args:
        values: an object with ``index``, ``n_players``, ``baseline_value``, and either a dict ``interactions`` or
            ``values`` with an ``interaction_lookup``.

    Raises:
        UserError: another object, or an index that is no function: SII and BII need all orders for that (aggregate
            SII to k-SII), and the constant of 'BV' differs from one shapiq method to another.
    """
    index, _, baseline, table = _read(values)
    name = {known.lower(): known for known in _FUNCTIONS}.get(index.lower())
    if name is None:
        raise UserError(f"shapiq's '{index}' does not define a function of masks; allowed: {', '.join(_FUNCTIONS)}")
    if name == "Fourier":
        # Where nothing is kept, all of shapiq's parities are 1.
        table.setdefault((), baseline - sum(table.values()))
        return {term: (-1) ** len(term) * value for term, value in table.items()}
    constant = table.get((), baseline) if name == "FBII" else baseline
    if name == "kADD-SHAP":
        table = _unfold(table)
    return mobius_to_fourier({**table, (): constant})


def _unfold(sii: Mapping[Term, float]) -> dict[Term, float]:
    """Möbius coefficients, but the constant, of the function that has this Shapley interaction index."""
    return spread(sii, lambda t, s: float(bernoulli(t - s)) if s else 0.0)
