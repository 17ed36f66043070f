"""Passes of few launches on a card: a plan made on the host, one upload, no waiting within a pass."""
