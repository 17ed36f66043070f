"""Training examples as people see them: a small picture or a short text for each, and a few for each player."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.found import Found
from circuitspex.errors import UserError
from circuitspex.games import Training, TrainingGame
from circuitspex.text import printable

Pixels = NDArray[np.uint8]
_MOST_NUMBERS = 16
_SMALLEST_SIDE = 4


@dataclass(frozen=True)
class Shown:
    """Pictures ``(N, H, W)`` or ``(N, H, W, 3)`` and captions of the examples, and the examples of each player."""

    pictures: Pixels | None
    captions: tuple[str, ...]
    members: dict[str, tuple[int, ...]]

    def png(self, index: int) -> bytes:
        """An example's picture as a PNG file."""
        from PIL import Image

        assert self.pictures is not None
        buffer = io.BytesIO()
        Image.fromarray(self.pictures[index]).save(buffer, format="PNG", optimize=True)
        return buffer.getvalue()

    def data_url(self, index: int) -> str:
        """An example's picture as a ``data:`` address."""
        return "data:image/png;base64," + base64.b64encode(self.png(index)).decode("ascii")


def examples_of(found: Found | Circuit, game: TrainingGame, pictures: Any, captions: Sequence[Any] | None) -> Shown:
    """What to show for the players of a game.

    Args:
        found: the result; its circuit must be of this game.
        game: the game.
        pictures: one a training example (one a player where the game is a training function): ``(N, H, W)`` or
            ``(N, H, W, 3)``; by default the training inputs, where they have such a shape.
        captions: one text an example; by default the inputs, where they are a few whole numbers.

    Raises:
        UserError: another number of pictures or captions, another shape, or a circuit of another game.
    """
    circuit = circuit_of(found)
    unknown = [node.name for node in circuit.nodes if node.name not in game.names]
    if unknown:
        raise UserError(f"the circuit is not of this game, which has no player {unknown[0]}")
    training = game.training if isinstance(game.training, Training) else None
    count = game.n_players if training is None else training.n_examples
    members = game.members or tuple(np.array([i]) for i in range(count))
    inputs = None if training is None else training.x.detach().cpu().numpy()
    if pictures is None and inputs is not None:
        pictures = _as_pictures(inputs)
    if captions is None:
        captions = _as_texts(inputs) if inputs is not None and pictures is None else [""] * count
    if len(captions) != count:
        raise UserError(f"captions must be {count} texts, one an example, not {len(captions)}")
    return Shown(
        None if pictures is None else _pixels(pictures, count),
        tuple(printable(caption) for caption in captions),
        {name: tuple(int(i) for i in each) for name, each in zip(game.names, members, strict=True)},
    )


def circuit_of(found: Found | Circuit) -> Circuit:
    """The circuit of a result."""
    return found.circuit if isinstance(found, Found) else found


def _as_pictures(inputs: NDArray[Any]) -> NDArray[Any] | None:
    """Training inputs as pictures where their shape says so; channels may come first, as in PyTorch."""
    if inputs.ndim == 4 and inputs.shape[1] in (1, 3):
        inputs = inputs[:, 0] if inputs.shape[1] == 1 else inputs.transpose(0, 2, 3, 1)
    is_picture = inputs.ndim == 3 or (inputs.ndim == 4 and inputs.shape[3] == 3)
    return inputs if is_picture and min(inputs.shape[1:3]) >= _SMALLEST_SIDE else None


def _as_texts(inputs: NDArray[Any]) -> list[str]:
    rows = inputs.reshape(len(inputs), -1)
    if rows.dtype.kind not in "iu" or rows.shape[1] > _MOST_NUMBERS:
        return [""] * len(inputs)
    return [" ".join(map(str, row)) for row in rows.tolist()]


def _pixels(pictures: Any, count: int) -> Pixels:
    array = np.asarray(pictures)
    is_picture = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if not is_picture or len(array) != count or array.size == 0 or array.dtype.kind not in "buif":
        raise UserError(
            f"pictures must be {count} images, of shape ({count}, height, width) or ({count}, height, width, 3); not "
            f"{array.dtype} of shape {array.shape}"
        )
    if array.dtype == np.uint8:
        return array
    if not np.isfinite(array).all():
        raise UserError("pictures must be finite; there are NaN or infinities in them")
    low, high = float(array.min()), float(array.max())
    scaled = (array.astype(np.float64) - low) / ((high - low) or 1.0)
    return np.asarray(np.rint(255 * scaled), dtype=np.uint8)
