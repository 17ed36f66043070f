"""What the names of components promise, proved on each model before anything is offered.

``proofs`` runs the trials, ``claims`` says what each kind promises, ``proposals`` what it could be in a layer, and
``trial`` is the pass: changes at TransformerLens's hooks, judged by plain PyTorch hooks on the Hugging Face modules.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
