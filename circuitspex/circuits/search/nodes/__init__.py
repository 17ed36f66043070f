"""Circuits of components at every size, by slopes at the circuits chosen so far."""
