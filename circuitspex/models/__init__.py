"""A name, a directory or a file in; a TransformerBridge and its identity out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
