"""Pages of the documentation site that no file in docs/ has: made from the code when the site is built."""
