"""What is measured on the model itself: effects, replication, directions, verification, attribution."""
