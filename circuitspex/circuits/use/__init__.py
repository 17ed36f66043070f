"""What a found circuit is used for: a model that runs with only it, without it, or without all else for good."""
