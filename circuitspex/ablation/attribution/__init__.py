"""Slopes of the metric in passes that are no ablations: on the way between two prompts, and by relevance rules."""
