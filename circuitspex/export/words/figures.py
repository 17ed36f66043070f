"""What pictures say: titles, axes, legends and notes of the figures."""

from circuitspex.export.words.text import Texts

TEXTS: Texts = {}
