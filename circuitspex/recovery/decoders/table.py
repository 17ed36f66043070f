"""The decoders by name: what ``decode``, the searches and the command line choose from.

Nothing is imported until a decoder is used. Another package adds one through the entry points of
``circuitspex.decoders``, each of which names a ``Decoder``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from circuitspex.registry import Later, Table

Method = str
"""The name of a decoder in ``DECODERS``."""


@dataclass(frozen=True)
class Decoder:
    """A way from values under masks to interactions.

    Attributes:
        fit: ``fit(samples, max_order=…)`` takes ``Samples`` in their standard form (values of mean 0 and variance 1)
            and the largest order to look for (None: its own choice), and gives a ``Fitted``.
        about: what it does, in a line.
        uses_gradients: whether it uses gradients: 'no', 'if there are', or it 'needs' them.
        own_masks: for a decoder of masks of its own design: ``own_masks(n_players, n_masks, seed=…)`` gives them, bool
            ``(n_masks, n_players)``, True = kept. ``fit`` then sees components and masks in the order that they have.
        check: called with the samples before anything is computed; raises ``UserError`` where they can't be decoded.
    """

    fit: Callable[..., Any]
    about: str
    uses_gradients: Literal["no", "if there are", "needs"] = "no"
    own_masks: Callable[..., Any] | None = None
    check: Callable[..., Any] | None = None

    @property
    def makes_its_own_masks(self) -> bool:
        """Whether it decodes masks of its own design only, which a search then runs."""
        return self.own_masks is not None


def _in(place: str) -> Later:
    return Later(f"circuitspex.recovery.decoders.{place}")


DECODERS: Table[Decoder] = Table(
    "method",
    Decoder,
    "circuitspex.decoders",
    {
        "auto": Decoder(
            _in("stack:fit_auto"),
            "'gradspex' with gradients, else the stack of 'linear', 'proxyspex', 'gp' and 'pursuit'; where all masks "
            "of up to 12 components are there without noise, the exact transform",
            "if there are",
        ),
        "gradspex": Decoder(
            _in("stack:fit_with_gradients"),
            "values and gradients together: a Gaussian process on both, stacked with decoders that saw no gradient",
            "needs",
        ),
        "gp": Decoder(
            _in("gp_relevance:fit_gp"),
            "a Gaussian process over interactions of order 1 to 3, its relevances learned from the values",
        ),
        "proxyspex": Decoder(
            _in("proxyspex:fit_proxyspex"), "boosted trees read out as parities (arXiv 2505.17495), fitted again"
        ),
        "pursuit": Decoder(_in("pursuit:fit_pursuit"), "conjunctions and parities, one after another"),
        "spex": Decoder(
            _in("spex:fit_spex"),
            "sparse Fourier transform (arXiv 2502.13870) of masks of its own design, then a refit",
            own_masks=_in("spex:coded_masks"),
            check=_in("spex:design_of"),
        ),
        "linear": Decoder(_in("linear:fit_linear"), "main effects only: LASSO, its penalty by cross-validation"),
    },
)
"""All decoders, by the name that ``method`` takes."""
