"""What passes the modules of a plain Hugging Face model on one prompt, for what heads and MLPs write."""

from __future__ import annotations

import contextlib

import torch

from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import model_structure, select


def subject_of(model, task, components):
    structure = model_structure(model)
    names = components if isinstance(components, (list, tuple)) else [components]
    chosen = [one for each in names for one in select(structure, each)]
    return Subject(model, task, tuple(chosen))


def capped(family):
    return family == "gemma2"


class Plain:
    """The Hugging Face model of a family, and what passed some of its modules on one prompt, at the last position."""

    def __init__(self, tiny, family, dtype=torch.float32):
        self.model = tiny.hf_model(family, dtype)
        self.layers = next(
            layers
            for path in ("model.layers", "transformer.h", "gpt_neox.layers")
            if (layers := self._at(path)) is not None
        )
        self.norm = next(
            m for p in ("model.norm", "transformer.ln_f", "gpt_neox.final_layer_norm") if (m := self._at(p))
        )
        self.head = self.model.get_output_embeddings()

    def _at(self, path):
        with contextlib.suppress(AttributeError):
            return self.model.get_submodule(path)
        return None

    def projection(self, layer):
        names = ("self_attn.o_proj", "attn.c_proj", "attention.dense")
        return next(m for name in names if (m := self._sub(layer, name)) is not None)

    def _sub(self, layer, name):
        with contextlib.suppress(AttributeError):
            return self.layers[layer].get_submodule(name)
        return None

    def run(self, tokens, modules, edit=None):
        """Logits ``[vocab]``, and the input and output ``[numbers]`` of each module."""
        seen, handles = {}, []

        def look(module, args, output):
            seen[module] = args[0][0, -1], (output[0] if isinstance(output, tuple) else output)[0, -1]

        for module in modules:
            handles.append(module.register_forward_hook(look))
        if edit is not None:
            handles.append(edit[0].register_forward_pre_hook(lambda module, args: (edit[1](args[0]), *args[1:])))
        try:
            with torch.no_grad():
                logits = self.model(input_ids=tokens[None], use_cache=False).logits[0, -1]
        finally:
            for handle in handles:
                handle.remove()
        return logits, seen
