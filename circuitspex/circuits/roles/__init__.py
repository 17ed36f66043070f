"""What components do: what they look at, write, read and feed, where they matter, and a word for it."""
