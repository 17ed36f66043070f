"""Ablations of edges: each destination reads the residual stream without what its closed edges would have carried."""
