"""What is done with a circuit once it is found: its model runs with only it, or without it, for a while or for good."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.registry import Later

if TYPE_CHECKING:
    from circuitspex.circuits.pruned import Pruned

_applied = Later("circuitspex.circuits.use._applied:applied")
_prune = Later("circuitspex.circuits.use._prune:prune")


class CircuitUses:
    """The methods of a circuit that change its model."""

    def applied(
        self,
        model: Any,
        *,
        keep: bool | None = None,
        scale: float | None = None,
        baseline: str | None = None,
        prompts: Any = None,
        among: Any = None,
        latents: Any = None,
    ) -> AbstractContextManager[Any]:
        """Within ``with circuit.applied(model):`` the model runs with only this circuit, on any prompt.

        Every pass counts, those of ``generate`` too, with a cache or without; the block gives the model, and afterwards
        it is as before, also after an exception. Other threads that run it through this package wait for the end.
        Of a circuit of edges its own edges are meant, and an ablated edge is a closed one; circuits of other sizes of
        the same search have a method of this name too (``found.edges.chosen(700).applied``).

        Args:
            model: a TransformerBridge; of a Hugging Face model, or the name of one, a bridge is made and given.
            keep: True (the default without ``scale``): all other components that the search was among are ablated;
                False: the circuit's are.
            scale: the circuit's components have this gate, ``z' = b + scale (z - b)``; the others are ablated too with
                ``keep=True`` and stay as they are without.
            baseline: what ablated components output: 'zero', or 'mean_vector', one vector each; by default the
                circuit's own, if it is one of these.
            prompts: what means are taken over, by default the reference prompts of the circuit's task: a task, a list
                of texts, or rows of tokens.
            among: a selector of what others there are; by default what the search was among.
            latents: sparse autoencoders, where the circuit has latents.

        Raises:
            UserError: a baseline that holds for some prompts only, no circuit of components of a model, one that is
                applied already, or a wrong ``keep`` or ``scale``.
            ComponentError: components that the model lacks, or that act at one token position.

        Warns:
            UserWarning: where the model has other weights than the circuit was found in.
        """
        found: AbstractContextManager[Any] = _applied(
            self, model, keep=keep, scale=scale, baseline=baseline, prompts=prompts, among=among, latents=latents
        )
        return found

    def prune(
        self,
        model: Any,
        path: str | Path,
        *,
        keep: bool = True,
        baseline: str | None = None,
        prompts: Any = None,
        among: Any = None,
        overwrite: bool = False,
    ) -> Pruned:
        """Write the model without the other components as a Hugging Face checkpoint, which needs no circuitspex.

        Its logits are those of the model with these components ablated under ``baseline``; a mean is folded into the
        biases after heads and neurons. Heads, key/value groups, neurons and whole layers that nothing needs are cut out
        as far as the plain configuration of the architecture allows: it has one number of each for all layers, so a
        layer has as many as the one that needs most, the rest zero. Before it is put in place the checkpoint is read
        again in plain transformers and its logits are compared with those of the ablated model.

        Args:
            model: a TransformerBridge, a Hugging Face model, or the name of one.
            path: the folder to write, which must not exist.
            keep: False takes the circuit's components out instead, and leaves the others.
            baseline: 'zero' or 'mean_vector'; by default the circuit's own, if it is one of these.
            prompts: see ``applied``, as ``among``.
            overwrite: a folder of a model at that path is replaced.

        Raises:
            UserError: what ``applied`` raises; a path that exists; a mean where the architecture has no bias to fold it
                into; or an architecture that can't be pruned exactly. Nothing is written then.
            ComponentError: components other than heads, attention layers, MLP layers and neurons.
        """
        found: Pruned = _prune(
            self, model, path, keep=keep, baseline=baseline, prompts=prompts, among=among, overwrite=overwrite
        )
        return found
