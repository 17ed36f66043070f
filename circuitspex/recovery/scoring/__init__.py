"""How well a function predicts: R², learning curves, bootstrap."""
