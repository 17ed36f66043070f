"""The decoders that are compared: what each is called, what it is given, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One decoder.

    ``side`` says which worker fits it; ``given`` whether it gets values under given masks, gradients as well, or the
    game itself, in order to choose its own masks. Colours are of Okabe and Ito's palette, which the colour-blind can
    tell apart; line styles and markers differ too. A wide line shows on both sides of a narrow
    one that lies over it.
    """

    key: str
    label: str
    side: Literal["ours", "peers"]
    given: Literal["values", "gradients", "game"]
    colour: str
    marker: str
    line: str = "-"
    width: float = 1.5


COLUMNS = {
    column.key: column
    for column in (
        Column("linear", "linear", "ours", "values", "#999999", "s"),
        Column("proxyspex", "proxyspex", "ours", "values", "#56B4E9", "^", width=3),
        Column("auto", "auto", "ours", "values", "#0072B2", "o"),
        Column("spex", "spex (own masks)", "ours", "game", "#009E73", "D"),
        Column("gradspex", "gradspex", "ours", "gradients", "#E69F00", "v", width=3),
        Column("auto+gradients", "auto with gradients", "ours", "gradients", "#000000", "P", "--"),
        Column("shapiq", "shapiq ProxySPEX", "peers", "values", "#D55E00", "x", ":"),
        Column("shapiq-search", "shapiq ProxySPEX, searched", "peers", "values", "#CC79A7", "+", ":"),
        Column("shapiq-spex", "shapiq SPEX (own masks)", "peers", "game", "#F0E442", "*", ":"),
    )
}
