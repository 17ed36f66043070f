"""``decode``: values (and gradients) under masks in, interactions out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from threadpoolctl import threadpool_limits

from circuitspex.errors import UserError
from circuitspex.recovery.data import Fitted, Samples
from circuitspex.recovery.gradspex import fit_gradspex
from circuitspex.recovery.interactions import Interactions
from circuitspex.recovery.linear import fit_linear
from circuitspex.recovery.polynomial import Polynomial
from circuitspex.recovery.proxyspex import fit_proxyspex
from circuitspex.recovery.score import is_constant, score
from circuitspex.recovery.stack import clearly_better, stack
from circuitspex.typing import FloatArray

Method = Literal["auto", "linear", "proxyspex", "gradspex"]

# Below this cross-validated R² the caller is warned that the result explains too little.
LOW_R2 = 0.5


def decode(
    masks: Any,
    values: Any,
    *,
    gradients: Any = None,
    method: Method = "auto",
    max_order: int | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Interactions:
    """Recover from ablations which components matter, and which interact.

    Args:
        masks: bool ``(K, n)``, True = kept.
        values: float ``(K,)``, the value under each mask.
        gradients: float ``(K, n)``, d value / d gate at each mask, in units of the value; optional.
        method: 'linear' (LASSO, main effects only), 'proxyspex' (boosted trees read out as parities), 'gradspex'
            (values and gradients together, stacked with the two others), or 'auto': gradspex with gradients,
            proxyspex without.
        max_order: the largest interaction that is looked for; by default 3 for gradspex's own part and 5 for trees.
        seed: for the folds and the trees; the same seed gives the same result, bit for bit.
        names: what the components are called; by default their indices.

    Returns:
        ``Interactions``, whose ``predict`` gives the decoded value of any mask.

    Raises:
        UserError: wrong shapes, NaN or infinities, fewer than two distinct masks, an unknown method, or 'gradspex'
            without gradients.

    Warns:
        where the values do not vary, where components are never ablated or never kept in the masks, and where little
        of the values is explained.
    """
    if method not in get_args(Method):
        raise UserError(f"unknown method '{method}'; allowed: {', '.join(get_args(Method))}")
    if max_order is not None and max_order < 1:
        raise UserError(f"max_order must be at least 1, not {max_order}")
    if method == "gradspex" and gradients is None:
        raise UserError("method 'gradspex' needs gradients (d value / d gate, one row a mask); 'auto' does without")
    samples = Samples.check(masks, values, gradients, seed)
    labels = _names(names, samples.n_players)
    chosen = method if method != "auto" else "proxyspex" if gradients is None else "gradspex"
    _warn_of_fixed_components(samples.x, labels)
    started = time.perf_counter()
    # The matrices are small: threads of the linear algebra fight each other for longer than they compute.
    with threadpool_limits(limits=1):
        fitted = _constant(samples) if is_constant(samples.values) else _fit(samples, chosen, max_order)
    result = Interactions(
        function=fitted.function,
        standard_errors=_standard_errors(fitted),
        names=labels,
        method=chosen,
        keep=samples.keep,
        n_ablations=len(samples.values),
        n_gradients=0 if samples.slopes is None or chosen != "gradspex" else len(samples.values),
        cross_validated=score(samples.values, fitted.out_of_fold, seed=seed),
        seconds=time.perf_counter() - started,
        seed=seed,
    )
    r2 = result.cross_validated.r2
    if r2 is not None and chosen == "gradspex" and samples.slopes is not None and not samples.slopes.any():
        warnings.warn("all gradients are zero although the values vary: they were left out of account", stacklevel=2)
    if r2 is None:
        warnings.warn("the values are the same under every mask: there is nothing to explain", stacklevel=2)
    elif r2 < LOW_R2:
        warnings.warn(
            f"the decoded function explains little: cross-validated R² {r2:.2f} from {len(samples.values)} ablations; "
            f"run more (try {4 * len(samples.values)}), or keep a larger share of the components",
            stacklevel=2,
        )
    return result


def _fit(samples: Samples, method: str, max_order: int | None) -> Fitted:
    if method == "linear" or (max_order == 1 and method == "proxyspex"):
        return fit_linear(samples)
    if method == "proxyspex":
        return fit_proxyspex(samples, max_order=max_order)
    plain = [fit_linear(samples)]
    if max_order != 1:
        plain.append(fit_proxyspex(samples, max_order=max_order))
    if samples.slopes is None or not samples.slopes.any():
        return stack(plain, samples.values)
    with_gradients = stack([fit_gradspex(samples, max_order=max_order), *plain], samples.values)
    without = stack(plain, samples.values)
    return with_gradients if clearly_better(with_gradients, without, samples.values) else without


def _constant(samples: Samples) -> Fitted:
    function = Polynomial.of({(): float(samples.values.mean())})
    return Fitted(function, tuple(function for _ in samples.folds), np.full_like(samples.values, samples.values.mean()))


def _standard_errors(fitted: Fitted) -> FloatArray:
    """Delete-one-fold jackknife: ``se² = (F - 1)/F sum_f (c_f - mean c)²``."""
    tables = [function.table() for function in fitted.without_fold]
    draws = np.array([[table.get(term, 0.0) for term in fitted.function.terms] for table in tables])
    n_folds = len(draws)
    return np.asarray(np.sqrt((n_folds - 1) / n_folds * ((draws - draws.mean(0)) ** 2).sum(0)))


def _names(names: Sequence[str] | None, n_players: int) -> tuple[str, ...]:
    labels = tuple(str(i) for i in range(n_players)) if names is None else tuple(str(name) for name in names)
    if len(labels) != n_players:
        raise UserError(f"{len(labels)} names for {n_players} components")
    if len(set(labels)) != n_players:
        double = next(name for name in labels if labels.count(name) > 1)
        raise UserError(f"names must differ; '{double}' occurs more than once")
    return labels


def _warn_of_fixed_components(x: FloatArray, names: tuple[str, ...]) -> None:
    for sign, what in ((1.0, "never ablated"), (-1.0, "never kept")):
        fixed = np.flatnonzero((x == sign).all(0))
        if len(fixed):
            some = ", ".join(names[i] for i in fixed[:5]) + (", …" if len(fixed) > 5 else "")
            warnings.warn(
                f"{len(fixed)} of {len(names)} components are {what} in these masks ({some}): "
                "nothing can be said of their effects from the values",
                stacklevel=3,
            )
