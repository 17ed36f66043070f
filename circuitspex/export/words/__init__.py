"""All words that pages and pictures show, in tables of text: one file for each kind of page or picture."""
