"""What a decoder returns: the few interactions that explain the values, as one sparse function of masks."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.checks import check_finite, check_masks
from circuitspex.errors import UserError
from circuitspex.frames import frame
from circuitspex.recovery.bases.indices import INDICES, fourier_to_index
from circuitspex.recovery.bases.polynomial import (
    Polynomial,
    fourier_to_biased,
    fourier_to_mobius,
    mean_differences,
    signs,
)
from circuitspex.recovery.bases.shapiq_bridge import from_shapiq, to_shapiq
from circuitspex.recovery.interactions_file import read_json, write_json
from circuitspex.recovery.interactions_table import InteractionTable, Row
from circuitspex.recovery.scoring.r2 import Score, score
from circuitspex.scale import MOST, whole
from circuitspex.typing import FloatArray, Masks, Term, Values

Basis = Literal["fourier", "mobius", "biased", "sv", "banzhaf", "sii", "k-sii", "stii", "fsii", "bii", "fbii"]


@by_value
@dataclass(frozen=True)
class Interactions:
    """A decoded function: ``f(m) = sum over S of c_S * prod over i in S of x_i``; ``x_i`` is +1 kept, -1 ablated.

    ``cross_validated`` is the R² of the decoder on masks left out of each fit in turn. It is free, and can flatter at
    small budgets; ``score`` on fresh masks is the measure of faithfulness.
    ``standard_errors`` come from the delete-one-fold jackknife over masks. ``likely_budget`` is how many ablations
    would likely explain half of the variance, where these explain less and the learning curve tells; no file has it.
    """

    function: Polynomial
    standard_errors: FloatArray
    names: tuple[str, ...]
    method: str
    keep: float
    n_ablations: int
    n_gradients: int
    cross_validated: Score
    seconds: float = field(compare=False, default=0.0)
    seed: int = 0
    likely_budget: int | None = field(compare=False, default=None)

    @property
    def n_players(self) -> int:
        """How many components there are."""
        return len(self.names)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The sets with a coefficient, as component indices; ``()`` is the constant."""
        return self.function.terms

    @property
    def coefficients(self) -> FloatArray:
        """The coefficient of each term."""
        return self.function.coefficients

    @cached_property
    def _table(self) -> dict[Term, float]:
        return self.function.table()

    @cached_property
    def _effects(self) -> dict[Term, float]:
        return mean_differences(self._table, self.keep)

    def predict(self, masks: Masks) -> Values:
        """The decoded value of each mask: bool ``(K, n)``, True = kept, in; float ``(K,)`` out."""
        return self.function.predict(signs(check_masks(masks, self.n_players)))

    def score(self, masks: Masks, values: Values, *, seed: int = 0) -> Score:
        """R² on masks that no fit has seen, with a 95 % interval over masks; ``seed`` has no effect any more."""
        masks = check_masks(masks, self.n_players)
        return score(check_finite(values, (len(masks),), "values"), self.predict(masks))

    def coefficient(self, *components: str | int) -> float:
        """The coefficient of one set of components, by name or index; 0 where it has none."""
        return self._table.get(self._term(components), 0.0)

    def effect(self, *components: str | int) -> float:
        """The |S|-fold difference between kept and ablated, averaged over masks that keep ``keep`` of the others.

        A set without a coefficient of its own can have one: that of larger sets which contain it, unless ``keep`` is
        0.5.
        """
        term = self._term(components)
        if term in self._effects:
            return self._effects[term]
        return mean_differences(self._table | {term: 0.0}, self.keep).get(term, 0.0)

    @property
    def main_effects(self) -> dict[str, float]:
        """The ``effect`` of each single component, by name."""
        alone = {(i,): 0.0 for i in range(self.n_players)}
        found = mean_differences(alone | self._table, self.keep)
        return {name: found[(i,)] for i, name in enumerate(self.names)}

    def top(self, count: int = 10, *, order: int | None = None) -> InteractionTable:
        """The interactions with the largest coefficients, as a table.

        Args:
            count: how many.
            order: only sets of this size; by default all sizes but the constant.
        """
        count = whole(count, "the number of interactions")
        order = None if order is None else whole(order, "order", 1)
        sized = [i for i, term in enumerate(self.terms) if term and (order is None or len(term) == order)]
        sized.sort(key=lambda i: (-abs(float(self.coefficients[i])), self.terms[i]))
        return InteractionTable(self._row(i) for i in sized[:count])

    def _row(self, index: int) -> Row:
        term = self.terms[index]
        return Row(
            tuple(self.names[i] for i in term),
            float(self.coefficients[index]),
            float(self.standard_errors[index]),
            self._effects.get(term, 0.0),
        )

    def _term(self, components: Sequence[str | int]) -> Term:
        places = []
        for component in components:
            if isinstance(component, str):
                if component not in self.names:
                    raise UserError(f"'{component}' is not among the {self.n_players} components of this result")
                places.append(self.names.index(component))
            elif 0 <= (place := whole(component, "the index of a component", -MOST)) < self.n_players:
                places.append(place)
            else:
                raise UserError(f"component {component}: indices go from 0 to {self.n_players - 1}")
        return tuple(sorted(set(places)))

    def to_basis(self, basis: Basis, *, order: int | None = None) -> Mapping[Term, float]:
        """The same function in another basis, or an index of it: numbers by term.

        The function itself, exactly: 'fourier' multiplies parities; 'mobius' multiplies ANDs of kept components;
        'biased' multiplies the orthonormal basis of masks that keep each component with probability ``keep``.
        Game-theoretic indices, computed exactly from the coefficients (definitions and the meaning of the constant:
        ``circuitspex.recovery.bases.indices``): 'sv', 'banzhaf', 'sii', 'k-sii', 'stii', 'fsii', 'bii', 'fbii'.

        Args:
            basis: one of these names, in any case.
            order: for indices only, the largest set that gets a value; by default 1 for 'sv' and 'banzhaf', else 2.

        Raises:
            UserError: another name, an order where there is none, or 'biased' where ``keep`` is 0 or 1.
        """
        name = str(basis).lower()
        if name in INDICES:
            order = (1 if name in ("sv", "banzhaf") else 2) if order is None else order
            return fourier_to_index(self._table, name, order, self.n_players)
        if name not in ("fourier", "mobius", "biased"):
            raise UserError(f"unknown basis '{basis}'; allowed: fourier, mobius, biased, {', '.join(INDICES)}")
        if order is not None:
            raise UserError(f"'{name}' is the whole function and takes no order; leave it out")
        if name == "mobius":
            return fourier_to_mobius(self._table)
        return fourier_to_biased(self._table, self.keep) if name == "biased" else dict(self._table)

    def to_shapiq(self, index: str = "k-SII", order: int | None = None) -> Any:
        """As ``shapiq.InteractionValues``, for its plots and tools; needs ``pip install 'circuitspex[shapiq]'``.

        Args:
            index: an index as in ``to_basis``, or 'mobius' or 'fourier' for the whole function.
            order: the largest set that gets a value; by default 1 for 'sv' and 'banzhaf', all for the whole
                function, else 2.

        Raises:
            UserError: shapiq is not installed, or has no such index or order.
        """
        return to_shapiq(self._table, self.n_players, index, order, budget=self.n_ablations)

    @classmethod
    def from_shapiq(cls, values: Any, *, names: Sequence[str] | None = None, keep: float = 0.5) -> Interactions:
        """From ``shapiq.InteractionValues`` that stand for a function (which: ``shapiq_bridge.from_shapiq``).

        shapiq gives no uncertainty and no held-out score: standard errors are 0, and ``cross_validated`` is undefined.

        Args:
            values: Möbius or Fourier coefficients, or 'SV', 'k-SII', 'STII', 'FSII', 'FBII' or 'kADD-SHAP' values,
                which are read as their additive surrogate.
            names: what the components are called; by default their indices.
            keep: the share of components that masks keep, for ``effect``.

        Raises:
            UserError: values of another kind, or names that do not fit.
        """
        function = Polynomial.of(from_shapiq(values))
        n_players = int(values.n_players)
        labels = tuple(map(str, range(n_players) if names is None else names))
        if len(labels) != n_players or len(set(labels)) != n_players:
            raise UserError(
                f"names must be {n_players} different ones, not {len(labels)} with {len(set(labels))} different"
            )
        if not 0 <= keep <= 1:
            raise UserError(f"keep must be a share from 0 to 1, not {keep}")
        return cls(
            function=function,
            standard_errors=np.zeros(len(function.terms)),
            names=labels,
            method=f"shapiq {values.index}",
            keep=float(keep),
            n_ablations=int(getattr(values, "estimation_budget", None) or 0),
            n_gradients=0,
            cross_validated=Score(None, None, None, 0),
        )

    def to_sparse(self, order: int) -> Any:
        """The coefficients of one order as a symmetric ``sparse.COO`` array with ``order`` axes of length n.

        Raises:
            UserError: the order is not from 1 to n, or the package sparse is not installed.
        """
        order = whole(order, "order", 1, self.n_players)
        if importlib.util.find_spec("sparse") is None:
            raise UserError("sparse arrays need the package sparse: pip install 'circuitspex[sparse]'")
        import sparse

        chosen = [i for i, term in enumerate(self.terms) if len(term) == order]
        members = np.array([self.terms[i] for i in chosen], dtype=np.int64).reshape(len(chosen), order)
        orders = list(permutations(range(order)))
        coordinates = np.concatenate([members[:, list(p)] for p in orders]).T
        data = np.tile(self.coefficients[chosen], len(orders))
        return sparse.COO(coordinates, data, shape=(self.n_players,) * order)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each set that has a coefficient, the largest first.

        The constant, which is no set, is ``.attrs["constant"]``.

        Raises:
            UserError: pandas is not installed.
        """
        rows = self.top(len(self.terms))
        columns = ("components", "order", "coefficient", "standard_error", "effect")
        made = frame(({**asdict(row), "order": len(row.components)} for row in rows), columns)
        made.attrs["constant"] = self._table.get((), 0.0)
        return made

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all; ``Interactions.load`` reads it back.

        Raises:
            UserError: the place can't be written to.
        """
        return write_json(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Interactions:
        """Read what ``save`` wrote.

        Raises:
            FileFormatError: the file is missing, damaged, or of a newer version.
        """
        return cls(**read_json(Path(path)))

    def __repr__(self) -> str:
        kinds = ", ".join(
            f"{sum(len(t) == order for t in self.terms)} of order {order}"
            for order in sorted({len(t) for t in self.terms} - {0})
        )
        cost = f"{self.n_ablations} ablations" + (f", {self.n_gradients} with gradients" if self.n_gradients else "")
        return (
            f"Interactions({self.method}: {kinds or 'no terms'}; {self.n_players} components, {cost}; "
            f"cross-validated {self.cross_validated})"
        )
