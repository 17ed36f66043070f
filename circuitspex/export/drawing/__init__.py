"""Where the marks of a diagram stand, and how they look; no file is written here."""
