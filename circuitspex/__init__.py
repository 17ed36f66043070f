"""circuitspex: find which components of a language model work together."""

from __future__ import annotations

__version__ = "0.1.0"
