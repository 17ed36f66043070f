"""HTML pages that need no network, and the SVG in them."""
