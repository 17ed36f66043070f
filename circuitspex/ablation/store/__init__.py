"""Finished ablations, kept in one SQLite file and found again."""

from circuitspex.ablation.store.store import Store, StoredGame, store_at

__all__ = ["Store", "StoredGame", "store_at"]
