"""Text for a terminal, and the wording that tables and pictures share."""
