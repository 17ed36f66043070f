"""Circuits of every size by rounds: slopes at the circuits chosen so far choose the next ones."""
