"""SPEX: sparse parities from coded masks.

Kang et al., 'SPEX: scaling feature interaction explanations for LLMs', ICML 2025, arXiv 2502.13870: the transform of
each repetition puts the parities into bins; the signs of a bin that one parity dominates are the parity bits of its
set; what is found is subtracted, which uncovers others (peeling). Three things differ from the paper.

- *Evidence.* A set is accepted if so few others fit its signs that it can't be chance, or if its parity also correlates
  with the residual on the masks outside its own repetition, more than by chance. Neither needs the noise's size.
- *Coefficients.* All found coefficients are fitted together to all masks after each round, so that errors do not
  spread from bin to bin.
- *Refit.* The found parities, their subsets and main effects are candidates of a cross-validated fit to all masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, log, log2, sqrt

import numpy as np

from circuitspex.errors import UserError
from circuitspex.masks.bch import Decoded
from circuitspex.masks.coded import CodedDesign
from circuitspex.recovery.bases.polynomial import Polynomial, n_terms, products
from circuitspex.recovery.bases.walsh import walsh_hadamard
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.decoders.stack import clearly_better
from circuitspex.recovery.samples import N_FOLDS, Fitted, Samples
from circuitspex.recovery.scoring.r2 import is_constant
from circuitspex.silence import no_warnings
from circuitspex.typing import FloatArray, IntArray, Masks, Term, Values
from circuitspex.unmoved import unmoved

with unmoved():
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lasso_path

_ROUNDS = 100
_FLIPS = 6
# A set is accepted on its bin alone if a random bin would look like it with a chance of at most 2^-7.
_SURE_BITS = 7.0
# … and only if it leaves less than this share of the bin's energy.
_RESIDUAL = 0.9
_RIDGE = np.geomspace(1e-8, 1.0, 9)  # relative to the number of masks
_LASSO = np.geomspace(1.0, 2e-3, 18)  # relative to the penalty that leaves nothing
# With more columns than this, ridge is left out; columns are screened down to this many; entries in memory at once.
_MOST_RIDGE = 300
_MOST_COLUMNS = 700
_MOST_ENTRIES = 10_000_000


@dataclass(frozen=True)
class _Candidates:
    """Sets that a bin's signs decode to: the sets, their repetition, and how unlikely they are by chance, in bits."""

    terms: list[Term]
    repetition: IntArray
    bits: FloatArray
    residual: FloatArray


class _Peeling:
    """Found parities and what is left of the values, on the masks of some repetitions and random ones."""

    def __init__(self, samples: Samples, design: CodedDesign, left_in: IntArray, rows: IntArray) -> None:
        self.design = design
        self.code = design.code
        self.left_in = left_in
        self.x = samples.x[rows]
        self.y = samples.values[rows]
        size = design.masks_per_repetition
        self.owner = np.where(rows < design.n_coded, rows // max(1, size), -1)  # -1: a random mask
        weights = 2 ** np.arange(design.b)
        indices = (design.matrices @ weights)[left_in]  # (C, n): the bin of each component alone
        self.indices = np.hstack([indices, np.zeros((len(left_in), 1), dtype=np.int64)])
        self.terms: list[Term] = [()]
        self.columns = np.ones((len(rows), 1))
        self._refit()

    def run(self) -> list[Term]:
        """Peel until nothing new is found; the sets without the empty one, strongest first."""
        most = len(self.y) // 3
        for _ in range(_ROUNDS):
            new = self._accepted(self._candidates(0))
            if not new:
                new = self._accepted(self._candidates(_FLIPS))
            if not new or len(self.terms) + len(new) > most:
                break
            self.terms += new
            self.columns = np.hstack([self.columns, products(self.x, new)])
            self._refit()
            if is_constant(np.append(self.residual, self.y)) or (self.residual**2).sum() <= 1e-20 * (self.y**2).sum():
                break
        order = np.argsort(-np.abs(self.coefficients[1:]), kind="stable") + 1
        return [self.terms[i] for i in order]

    def _refit(self) -> None:
        self.coefficients = np.linalg.lstsq(self.columns, self.y, rcond=None)[0]
        self.residual = self.y - self.columns @ self.coefficients

    def _bins(self) -> FloatArray:
        """The transform of what is left, ``(C, 2^b, 1 + P)``."""
        shape = (len(self.left_in), 1 + self.code.n_parity, 2**self.design.b)
        left = np.stack([self.residual[self.owner == c] for c in self.left_in]).reshape(shape)
        return np.asarray(walsh_hadamard(left).transpose(0, 2, 1) / 2**self.design.b)

    def _candidates(self, n_flips: int) -> _Candidates:
        """What the signs of each bin decode to, where the set also belongs into that bin."""
        n_bins = 2**self.design.b
        bins = self._bins().reshape(-1, 1 + self.code.n_parity)
        energy = (bins**2).mean(1)
        live = np.flatnonzero(energy > 1e-20 * (self.y**2).mean())
        # A parity's coefficient may have either sign: both readings of the bin's signs are tried.
        soft = np.concatenate([bins[live], -bins[live]])
        word = np.concatenate([live, live])
        found = self.code.sparse_near(soft[:, 1:], n_flips=n_flips) if n_flips else self.code.sparse_of(soft[:, 1:] < 0)
        owner, index = np.divmod(word[found.word], n_bins)
        fits = np.bitwise_xor.reduce(self.indices[owner[:, None], found.members], axis=1) == index
        fits &= (found.members >= 0).any(1)
        found = Decoded(found.word[fits], found.members[fits], found.n_errors[fits])
        signs = 1.0 - 2.0 * self.code.parity_of_sets(found.members)
        estimate = (soft[found.word, 0] + (soft[found.word, 1:] * signs).sum(1)) / (1 + self.code.n_parity)
        residual = 1 - estimate**2 / energy[word[found.word]]
        # Of several sets for one bin, the nearest in the soft metric.
        order = np.lexsort((found.n_errors, -estimate, word[found.word]))
        order = order[estimate[order] > 0]
        order = order[np.unique(word[found.word[order]], return_index=True)[1]]
        space = self.design.n_players + self.code.n_parity
        patterns = np.array([log2(sum(comb(space, i) for i in range(e + 1))) for e in range(self.design.t + 1)])
        chance = patterns[found.n_errors[order]] - self.code.n_parity - self.design.b
        tried = log2(max(1, len(soft))) + n_flips
        terms = [tuple(int(i) for i in row if i >= 0) for row in found.members[order]]
        owners = self.left_in[word[found.word[order]] // n_bins]
        return _Candidates(terms, owners, -(chance + tried), residual[order])

    def _accepted(self, candidates: _Candidates) -> list[Term]:
        """The candidates for which there is evidence, each once."""
        known = set(self.terms)
        keep = [
            i for i, term in enumerate(candidates.terms) if term not in known and candidates.residual[i] < _RESIDUAL
        ]
        if not keep:
            return []
        terms = [candidates.terms[i] for i in keep]
        column = products(self.x, terms)
        outside = self.owner[:, None] != candidates.repetition[keep]
        inside = ~outside
        mean_inside = (column * inside * self.residual[:, None]).sum(0)
        total_outside = (column * outside * self.residual[:, None]).sum(0) * np.sign(mean_inside)
        z = total_outside / np.sqrt(np.maximum(1, outside.sum(0)) * (self.residual**2).mean())
        least = sqrt(2 * log(10 * len(terms)))
        strong = (z > least) | (candidates.bits[keep] > _SURE_BITS)
        return list(dict.fromkeys(term for term, yes in zip(terms, strong, strict=True) if yes))


def _find(samples: Samples, design: CodedDesign, rows: IntArray) -> list[Term]:
    """The parities found from these masks: whole repetitions, and random masks."""
    owners = np.unique(rows[rows < design.n_coded] // max(1, design.masks_per_repetition))
    if not len(owners) or is_constant(samples.values[rows]):
        return []
    return _Peeling(samples, design, owners, rows).run()


@dataclass(frozen=True)
class _Moments:
    """Sums over masks from which every fit is computed: ``count``, means, and centred products."""

    count: int
    mean_x: FloatArray
    mean_y: float
    xx: FloatArray
    xy: FloatArray

    @classmethod
    def of(cls, columns: FloatArray, y: Values) -> _Moments:
        mean_x, mean_y = columns.mean(0), float(y.mean())
        centred = columns - mean_x
        return cls(len(y), mean_x, mean_y, centred.T @ centred, centred.T @ (y - mean_y))


def _ridge(moments: _Moments) -> FloatArray:
    """Weights ``(columns, penalties)``."""
    values, vectors = np.linalg.eigh(moments.xx)
    along = vectors.T @ moments.xy
    return np.asarray(vectors @ (along[:, None] / (np.maximum(values, 0)[:, None] + moments.count * _RIDGE)))


def _lasso(moments: _Moments) -> tuple[FloatArray, FloatArray]:
    """Weights by LASSO, and by least squares on the columns it keeps: ``(columns, penalties)`` each.

    The second is the relaxed LASSO (Meinshausen 2007) at its far end.
    """
    size = len(moments.xy)
    jitter = 1e-9 * max(float(np.trace(moments.xx)), 1e-300) / size
    root = np.linalg.cholesky(moments.xx + jitter * np.eye(size))
    target = np.linalg.solve(root, moments.xy)  # the same problem with as many rows as columns
    largest = float(np.abs(moments.xy).max()) / size
    if largest == 0:
        return np.zeros((size, len(_LASSO))), np.zeros((size, len(_LASSO)))
    with no_warnings(ConvergenceWarning):
        _, shrunk, _ = lasso_path(
            np.asfortranarray(root.T), target, alphas=largest * _LASSO, max_iter=150, random_state=0
        )
    relaxed = np.zeros_like(shrunk)
    for column, weights in enumerate(shrunk.T):
        kept = np.flatnonzero(weights)
        if len(kept) > moments.count // 3:  # no longer a least-squares problem worth solving
            relaxed[:, column:] = shrunk[:, column:]
            break
        if len(kept):
            inner = moments.xx[np.ix_(kept, kept)] + jitter * np.eye(len(kept))
            relaxed[kept, column] = np.linalg.solve(inner, moments.xy[kept])
    return shrunk, relaxed


def _paths(moments: _Moments) -> FloatArray:
    """All fits of one support: ``(columns, fits)``."""
    parts = [*_lasso(moments)]
    if len(moments.xy) <= _MOST_RIDGE:
        parts.append(_ridge(moments))
    return np.hstack(parts)


def _refit(x: FloatArray, y: Values, supports: Iterable[Sequence[Term]], fold: IntArray) -> Polynomial:
    """The best fit on the first support that none after it clearly beats, by cross-validation over folds ``(K,)``.

    Clearly: by more than one standard error of the gain, since many weak terms can always look a little useful.
    """
    mean = Polynomial.of({(): float(y.mean())})
    if len(y) < 2 * N_FOLDS or len(np.unique(fold)) < 2 or is_constant(y):
        return mean
    least = (y - y.mean()) ** 2
    enough = 1e-6 * least.mean()
    chosen: tuple[list[Term], int] | None = None
    for support in supports:
        if not support or least.mean() < enough:
            continue
        terms = list(support)
        columns = products(x, terms)
        parts = []
        for part in np.unique(fold):
            inside = fold != part
            moments = _Moments.of(columns[inside], y[inside])
            predicted = moments.mean_y + (columns[~inside] - moments.mean_x) @ _paths(moments)
            parts.append((~inside, (y[~inside, None] - predicted) ** 2))
        fit = int(np.argmin(sum(squares.sum(0) for _, squares in parts)))
        errors = np.empty_like(least)
        for out, squares in parts:
            errors[out] = squares[:, fit]
        gain = least - errors
        if gain.mean() > gain.std() / np.sqrt(len(y)):
            least, chosen = errors, (terms, fit)
    if chosen is None:
        return mean
    terms, fit = chosen
    moments = _Moments.of(products(x, terms), y)
    weights = _paths(moments)[:, fit]
    constant = moments.mean_y - float(moments.mean_x @ weights)
    return Polynomial.of({**dict(zip(terms, weights.tolist(), strict=True)), (): constant})


def _supports(x: FloatArray, y: Values, found: list[Term]) -> Iterable[list[Term]]:
    """What was found; with its subsets; with main effects too. Screened to a size that can be fitted quickly."""
    most = max(200, min(_MOST_COLUMNS, len(y) // 2, _MOST_ENTRIES // len(y)))
    yield found[:most]
    known = set(found)
    inside = sorted({s for term in found for k in range(1, len(term)) for s in combinations(term, k)} - known)
    if inside:
        yield found[:most] + _screened(x, y, found, inside, most)
    mains = [(i,) for i in range(x.shape[1])]
    rest = sorted({*inside, *mains} - known, key=lambda term: (len(term), term))
    yield found[:most] + _screened(x, y, found, rest, most)


def _screened(x: FloatArray, y: Values, found: list[Term], more: list[Term], most: int) -> list[Term]:
    """As many of ``more`` as there is room for: those that correlate best with what ``found`` leaves."""
    room = most - len(found)
    if len(more) <= room:
        return more
    if room <= 0:
        return []
    base = np.hstack([np.ones((len(y), 1)), products(x, found[: len(y) // 3])])
    left = y - base @ np.linalg.lstsq(base, y, rcond=None)[0]
    step = max(1, _MOST_ENTRIES // len(y))
    size = np.concatenate([np.abs(left @ products(x, more[i : i + step])) for i in range(0, len(more), step)])
    return [more[i] for i in np.sort(np.argsort(-size, kind="stable")[:room])]


def coded_masks(n_players: int, n_masks: int, *, seed: int = 0) -> Masks:
    """The masks that this decoder needs: those of its design for so many components and masks."""
    return CodedDesign.choose(n_players, n_masks, seed=seed).masks()


def design_of(samples: Samples) -> CodedDesign:
    """The design that the masks follow.

    Raises:
        UserError: they follow none.
    """
    design = CodedDesign.recognise(samples.x > 0)
    if design is None:
        n_masks, n = samples.x.shape
        raise UserError(
            f"method 'spex' needs the {n_masks} masks of its own design for {n} components, in their order: "
            f"CodedDesign.choose({n}, {n_masks}).masks(), or call circuitspex.spex(game, budget={n_masks}); "
            "'auto' takes any masks"
        )
    return design


def fit_spex(samples: Samples, design: CodedDesign | None = None, *, max_order: int | None = None) -> Fitted:
    """The sum of parities that coded masks show, fitted to all masks.

    Folds are whole repetitions, with the random masks spread over them: the support is decoded from the other
    repetitions alone, the refit sees the other masks alone. What is predicted out of fold therefore comes from one
    repetition less than the function itself, and errs on the low side. With a single repetition nothing can be decoded
    once part of it is left out, so folds are of delay rows, and the functions without a fold have main effects only.
    Without a coded part: LASSO on main effects (``fit_linear``), or on all small sets if there are few of them and that
    is clearly better.

    Args:
        samples: the masks of ``design`` in its order, and their values.
        design: which of them are coded, and how; by default the one that they follow.
        max_order: changes nothing: parities of every order are read off the same masks.

    Returns:
        the function, the functions without each fold, and the predictions for every mask out of its fold ``(K,)``.

    Raises:
        UserError: the samples are not those of the design.
    """
    design = design_of(samples) if design is None else design
    _check(samples, design)
    y = samples.values
    if not design.repetitions:
        return _without_code(samples)
    everything = np.arange(len(y))
    fold = _folds(design, everything, samples.seed)
    if design.repetitions > 1:
        rng = np.random.default_rng(samples.seed)
        spread = rng.permutation(design.n_random) % design.repetitions
        fold = np.concatenate([np.repeat(np.arange(design.repetitions), design.masks_per_repetition), spread])
    functions = []
    held_out = np.empty_like(y)
    for part in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold != part)
        found = _find(samples, design, rows) if design.repetitions > 1 else []
        function = _function(samples, design, rows, found)
        out = fold == part
        held_out[out] = function.predict(samples.x[out])
        functions.append(function)
    function = _function(samples, design, everything, _find(samples, design, everything))
    return Fitted(function, tuple(functions), held_out)


def _function(samples: Samples, design: CodedDesign, rows: IntArray, found: list[Term]) -> Polynomial:
    x, y = samples.x[rows], samples.values[rows]
    return _refit(x, y, _supports(x, y, found), _folds(design, rows, samples.seed))


def _folds(design: CodedDesign, rows: IntArray, seed: int) -> IntArray:
    """Folds of some masks that keep the 2^b masks of one delay row together.

    All the parities of a bin are the same over these masks, up to a sign. Were they torn apart, a wrong parity would be
    learnt in one part and would predict the other: R² -1 on fresh masks was seen where cross-validation said 0.5.
    """
    block = np.where(rows < design.n_coded, rows // 2**design.b, rows)
    number = np.unique(block, return_inverse=True)[1].reshape(-1)
    return np.asarray(np.random.default_rng(seed).permutation(int(number.max()) + 1) % N_FOLDS)[number]


def _without_code(samples: Samples) -> Fitted:
    linear = fit_linear(samples)
    n = samples.n_players
    most = min(_MOST_COLUMNS, _MOST_ENTRIES // len(samples.values))
    order = max((k for k in range(1, 6) if n_terms(n, k) - 1 <= most), default=1)
    if order == 1 or n == 1:
        return linear
    pool = [term for k in range(1, order + 1) for term in combinations(range(n), k)]
    function, *without = (
        _refit(part.x, part.values, [pool], part.fold)
        for part in (samples, *(samples.without(fold) for fold in samples.folds))
    )
    fitted = Fitted(function, tuple(without), samples.out_of_fold(each.predict for each in without))
    return fitted if clearly_better(fitted, linear, samples.values) else linear


def _check(samples: Samples, design: CodedDesign) -> None:
    if samples.x.shape != (design.n_masks, design.n_players):
        raise UserError(
            f"the samples have {samples.x.shape[0]} masks of {samples.x.shape[1]} components, but the design has "
            f"{design.n_masks} of {design.n_players}"
        )
    if not design.gives(samples.x > 0):
        raise UserError("the samples' masks are not those of the design, in its order")
