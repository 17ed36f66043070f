"""Our own JSON files: written whole, and checked when they are read."""
