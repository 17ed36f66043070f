"""The decoders: values in, a sparse function out."""
