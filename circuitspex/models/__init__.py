"""A name, a directory or a file in; a TransformerBridge and its identity out."""

from circuitspex.models.catalogue import CATALOGUE, CatalogueModel, fetch
from circuitspex.models.identity import model_identity
from circuitspex.models.load import load_model, model_name
from circuitspex.models.tokens import encode

__all__ = ["CATALOGUE", "CatalogueModel", "encode", "fetch", "load_model", "model_identity", "model_name"]
