"""The bases in which a sparse function can be written, and the indices computed from them."""
