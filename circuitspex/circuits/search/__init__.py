"""The stages of a search: ablate, decode, refine, score on new masks, measure."""
