"""Circuits of edges: which edges at every size, by gradients at the circuits chosen so far."""
