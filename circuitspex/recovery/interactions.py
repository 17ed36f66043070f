"""What a decoder returns: the few interactions that explain the values, as one sparse function of masks."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from circuitspex.checks import check_finite, check_masks
from circuitspex.errors import FileFormatError, UserError
from circuitspex.files import write_atomically
from circuitspex.recovery.bases.biased import fourier_to_biased
from circuitspex.recovery.bases.indices import INDICES, fourier_to_index
from circuitspex.recovery.bases.polynomial import Polynomial, fourier_to_mobius, mean_differences, signs
from circuitspex.recovery.bases.shapiq_bridge import from_shapiq, to_shapiq
from circuitspex.recovery.scoring.r2 import Score, score
from circuitspex.typing import FloatArray, Masks, Term, Values

FORMAT = "circuitspex.interactions"
VERSION = 1
Basis = Literal["fourier", "mobius", "biased", "sv", "banzhaf", "sii", "k-sii", "stii", "fsii", "bii", "fbii"]


@dataclass(frozen=True)
class Row:
    """One interaction in a table.

    ``coefficient`` multiplies the parity of the components' signs; ``standard_error`` is its uncertainty over masks;
    ``effect`` is in units of the value: the |S|-fold difference between kept and ablated, averaged over masks.
    """

    components: tuple[str, ...]
    coefficient: float
    standard_error: float
    effect: float


def _printable(name: str) -> str:
    """Control characters as escapes: a token can be a line feed, and must not break the table."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


class InteractionTable(tuple[Row, ...]):
    """Rows that print as a table, in a terminal and in a notebook."""

    __slots__ = ()
    _HEAD = ("interaction", "order", "coefficient", "std. error", "effect")

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for row in self:
            numbers = (f"{row.coefficient:+.4f}", f"{row.standard_error:.4f}", f"{row.effect:+.3f}")
            yield (" × ".join(map(_printable, row.components)), str(len(row.components)), *numbers)

    def __repr__(self) -> str:
        lines = [self._HEAD, *self._cells()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self._HEAD))]
        return "\n".join(
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in self._HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>" for cells in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class Interactions:
    """A decoded function: ``f(m) = sum over S of c_S * prod over i in S of x_i``; ``x_i`` is +1 kept, -1 ablated.

    ``cross_validated`` is the R² of the decoder on masks left out of each fit in turn. It is free, and can flatter at
    small budgets; ``score`` on fresh masks is the measure of faithfulness.
    ``standard_errors`` come from the delete-one-fold jackknife over masks.
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
        """R² on masks that no fit has seen, with a bootstrap interval over masks."""
        masks = check_masks(masks, self.n_players)
        return score(check_finite(values, (len(masks),), "values"), self.predict(masks), seed=seed)

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

    def top(self, count: int = 10, *, order: int | None = None) -> InteractionTable:
        """The interactions with the largest coefficients, as a table.

        Args:
            count: how many.
            order: only sets of this size; by default all sizes but the constant.
        """
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
            elif 0 <= component < self.n_players:
                places.append(int(component))
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
        """As ``shapiq.InteractionValues``, for its plots and tools; needs ``pip install shapiq``.

        Args:
            index: an index as in ``to_basis``, or 'mobius' or 'fourier' for the whole function.
            order: the largest set that gets a value; by default 1 for 'sv' and 'banzhaf', all for the whole
                function, else 2.

        Raises:
            UserError: shapiq is not installed, or has no such index or order.
        """
        return to_shapiq(self._table, self.n_players, index, order, basis="fourier", budget=self.n_ablations)

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
        """The coefficients of one order as a symmetric ``sparse.COO`` array with ``order`` axes of length n."""
        import sparse

        if order < 1:
            raise UserError(f"order must be at least 1, not {order}")
        chosen = [i for i, term in enumerate(self.terms) if len(term) == order]
        members = np.array([self.terms[i] for i in chosen], dtype=np.int64).reshape(len(chosen), order)
        orders = list(permutations(range(order)))
        coordinates = np.concatenate([members[:, list(p)] for p in orders]).T
        data = np.tile(self.coefficients[chosen], len(orders))
        return sparse.COO(coordinates, data, shape=(self.n_players,) * order)

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all; ``Interactions.load`` reads it back.

        Raises:
            UserError: the place can't be written to.
        """
        measured = self.cross_validated
        content = {
            "format": FORMAT,
            "version": VERSION,
            "method": self.method,
            "keep": self.keep,
            "seed": self.seed,
            "n_ablations": self.n_ablations,
            "n_gradients": self.n_gradients,
            "seconds": self.seconds,
            "cross_validated": [measured.r2, measured.low, measured.high, measured.n_masks],
            "names": list(self.names),
            "terms": [list(term) for term in self.terms],
            "coefficients": self.coefficients.tolist(),
            "standard_errors": self.standard_errors.tolist(),
        }
        return write_atomically(Path(path), json.dumps(content, allow_nan=False).encode())

    @classmethod
    def load(cls, path: str | Path) -> Interactions:
        """Read what ``save`` wrote.

        Raises:
            FileFormatError: the file is missing, damaged, or of a newer version.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise FileFormatError(f"can't read {path}: {error.strerror}") from error
        except ValueError as error:
            raise FileFormatError(f"{path} is damaged: it is not whole JSON ({error})") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise FileFormatError(f"{path} holds no interactions (its 'format' is not '{FORMAT}')")
        if content.get("version") != VERSION:
            raise FileFormatError(f"{path} has version {content.get('version')!r}; this circuitspex reads {VERSION}")
        try:
            return _from_content(cls, content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FileFormatError(f"{path} is damaged: {type(error).__name__}: {error}") from error

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


def _from_content(cls: type[Interactions], content: dict[str, Any]) -> Interactions:
    names = tuple(str(name) for name in content["names"])
    terms = tuple(tuple(int(i) for i in term) for term in content["terms"])
    coefficients = np.array(content["coefficients"], dtype=np.float64)
    errors = np.array(content["standard_errors"], dtype=np.float64)
    if not coefficients.shape == errors.shape == (len(terms),):
        raise ValueError("terms, coefficients and standard errors differ in number")
    if not (np.isfinite(coefficients).all() and np.isfinite(errors).all()):
        raise ValueError("a coefficient is not finite")
    if any(not 0 <= i < len(names) for term in terms for i in term):
        raise ValueError("a term names a component that does not exist")
    if any(term != tuple(sorted(set(term))) for term in terms) or len(set(terms)) != len(terms):
        raise ValueError("terms must be increasing component indices, each once")
    if len(set(names)) != len(names):
        raise ValueError("two components have the same name")
    if not 0 <= content["keep"] <= 1:
        raise ValueError("'keep' is not a share")
    *interval, n_masks = content["cross_validated"]
    r2, low, high = (None if number is None else float(number) for number in interval)
    return cls(
        function=Polynomial(terms, coefficients),
        standard_errors=errors,
        names=names,
        method=str(content["method"]),
        keep=float(content["keep"]),
        n_ablations=int(content["n_ablations"]),
        n_gradients=int(content["n_gradients"]),
        cross_validated=Score(r2, low, high, int(n_masks)),
        seconds=float(content["seconds"]),
        seed=int(content["seed"]),
    )
