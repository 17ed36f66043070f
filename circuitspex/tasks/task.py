"""A task: prompts, their counterfactuals, the answers to compare, and the metric.

Prompts may differ in length; they are stored right-padded, and everything that runs a model takes them from
:attr:`Task.groups`, where all prompts are of one length and none is padded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from circuitspex.errors import TaskError
from circuitspex.models.given import bridged, for_text
from circuitspex.models.protocol import Model
from circuitspex.models.tokens import decode_token
from circuitspex.scale import MOST, check_seed, number, whole
from circuitspex.tasks import jsonl
from circuitspex.tasks.arrays import encode_examples, encode_reference
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import TaskGenerator
from circuitspex.tasks.groups import TaskGroup
from circuitspex.tasks.metrics import ANSWERS, END, Metric, as_metric, taking_several
from circuitspex.tasks.places import places
from circuitspex.tasks.report import ACCURACY_WARNING, TaskReport, cost_of, run_plain, same_run
from circuitspex.tasks.sequences import ToFollow, sequences_of
from circuitspex.tasks.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """``P`` prompts with paired counterfactuals, one answer and one wrong answer each, and a metric.

    ``tokens`` and ``counterfactual_tokens`` are ``(P, positions)``, right-padded where ``lengths (P,)`` differ;
    ``answers`` and ``wrong_answers`` are token ids ``(P,)``. ``reference`` are the prompts over which the mean
    baseline is taken, position by position; ``reference_tokens`` ``(R, positions)`` and ``reference_lengths (R,)``
    are theirs.

    Where any answer has several tokens, ``answers`` and ``wrong_answers`` are ``(P, longest)``, right-padded;
    ``answer_lengths (P,)`` and ``wrong_answer_lengths (P,)``, else None, say how many tokens each has, and
    ``reference_answers`` which tokens follow each reference prompt, in as many sequences.

    Make one with a built-in task such as :func:`circuitspex.tasks._ioi`, :meth:`from_examples` or :meth:`from_jsonl`.
    All tensors are on the CPU and are not to be changed.
    """

    name: str
    examples: tuple[Example, ...]
    tokens: Int[Tensor, "prompts positions"]
    counterfactual_tokens: Int[Tensor, "prompts positions"]
    lengths: Int[Tensor, " prompts"]
    answers: Int[Tensor, "prompts ..."]
    wrong_answers: Int[Tensor, "prompts ..."]
    reference: tuple[str, ...]
    reference_tokens: Int[Tensor, "references reference_positions"]
    reference_lengths: Int[Tensor, " references"]
    metric: Metric
    generator: TaskGenerator | None = field(default=None)
    answer_lengths: Int[Tensor, " prompts"] | None = None
    wrong_answer_lengths: Int[Tensor, " prompts"] | None = None
    reference_answers: tuple[tuple[tuple[int, ...], ...], ...] = ()

    def __post_init__(self) -> None:
        if self.answer_lengths is not None and not self.metric.takes_several:
            raise TaskError(
                f"metric '{self.metric.name}' takes answers of one token, and this task has some of several; "
                f"{taking_several()}"
            )
        for name in self.metric.positions:
            lacking = next((i for i, e in enumerate(self.examples) if name != END and name not in e.positions), None)
            if lacking is not None:
                raise TaskError(
                    f"metric '{self.metric.name}' reads the position '{name}', which prompt {lacking} does not name; "
                    f"it has {', '.join([*self.examples[lacking].positions, END])}"
                )

    # Making tasks

    @classmethod
    def from_examples(
        cls,
        model: Model,
        examples: Iterable[Example],
        *,
        name: str = "custom",
        metric: str | Metric | Callable[..., Any] = "logit_diff",
        reference: Sequence[str] | None = None,
        prepend_bos: bool | None = None,
        group_by_length: bool = False,
    ) -> Task:
        """A task of one's own.

        ``reference`` None takes the prompts and counterfactuals themselves. ``prepend_bos`` None is the model's
        convention. Prompts of different token lengths need ``group_by_length=True``.

        Raises :class:`TaskError` for examples that can't be compared: answers of several tokens for a metric of the
        next token, a counterfactual of another length, and so on; the message names the prompt.
        """
        return cls.encode(
            Vocabulary.of(for_text(model), prepend_bos),
            tuple(examples),
            name=name,
            metric=metric,
            reference=reference,
            group_by_length=group_by_length,
        )

    @classmethod
    def from_jsonl(
        cls,
        path: str | Path,
        model: Model,
        *,
        name: str | None = None,
        metric: str | Metric | Callable[..., Any] = "logit_diff",
        reference: Sequence[str] | None = None,
        prepend_bos: bool | None = None,
        group_by_length: bool = False,
    ) -> Task:
        """A task from a file of one JSON object a line; see :mod:`circuitspex.tasks.jsonl` for the format.

        The options are those of :meth:`from_examples`; ``name`` None is the file's name without its ending.
        """
        lines = jsonl.read_lines(path)
        return cls.encode(
            Vocabulary.of(for_text(model), prepend_bos),
            tuple(example for _, example in lines),
            name=Path(path).stem if name is None else name,
            metric=metric,
            reference=reference,
            group_by_length=group_by_length,
            places=[place for place, _ in lines],
        )

    @classmethod
    def encode(
        cls,
        vocabulary: Vocabulary,
        examples: tuple[Example, ...],
        *,
        name: str,
        metric: str | Metric | Callable[..., Any],
        reference: Sequence[str] | None = None,
        group_by_length: bool = False,
        places: Sequence[str] | None = None,
        generator: TaskGenerator | None = None,
    ) -> Task:
        """What the other constructors share; ``places`` are the words by which errors name each example."""
        metric = as_metric(metric)
        arrays = encode_examples(examples, vocabulary, metric=metric, group_by_length=group_by_length, places=places)
        if reference is None:
            reference = [e.prompt for e in examples] + [e.counterfactual for e in examples]
        reference_tokens, reference_lengths = encode_reference(reference, vocabulary, arrays.lengths)
        return cls(
            name=name,
            examples=examples,
            **vars(arrays),
            reference=tuple(reference),
            reference_tokens=reference_tokens,
            reference_lengths=reference_lengths,
            metric=metric,
            generator=generator,
            reference_answers=arrays.follow(reference_lengths.tolist()),
        )

    def to_jsonl(self, path: str | Path) -> None:
        """Writes the examples as :meth:`from_jsonl` reads them (not the metric, nor the reference prompts)."""
        jsonl.write(path, self.examples)

    # Reading them

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts, as text."""
        return tuple(example.prompt for example in self.examples)

    @property
    def counterfactuals(self) -> tuple[str, ...]:
        """The counterfactual of each prompt, as text."""
        return tuple(example.counterfactual for example in self.examples)

    @property
    def n_prompts(self) -> int:
        """How many prompts there are, ``P``."""
        return len(self.examples)

    def __len__(self) -> int:
        return len(self.examples)

    def __repr__(self) -> str:
        low, high = int(self.lengths.min()), int(self.lengths.max())
        size = f"{low}" if low == high else f"{low} to {high}"
        return f"Task({self.name!r}, {self.n_prompts} prompts of {size} tokens, metric {self.metric.name!r})"

    def position(self, name: str) -> Int[Tensor, " prompts"]:
        """Where the named position is in each prompt, counted from 0; ``END`` is the last.

        Raises :class:`TaskError` where a prompt does not name it.
        """
        if name == END:
            return self.lengths - 1
        if any(name not in example.positions for example in self.examples):
            raise TaskError(f"not every prompt of task '{self.name}' names the position '{name}'")
        spans = self.spans(name)
        for prompt, span in enumerate(spans):
            if len(span) > 1:
                raise TaskError(f"the position '{name}' of prompt {prompt} is {len(span)} tokens; it must be one here")
        return torch.tensor([span[0] for span in spans])

    @property
    def position_names(self) -> tuple[str, ...]:
        """The names of positions that every prompt has; ``END``, the last token, comes last."""
        named = [name for name in self.examples[0].positions if all(name in each.positions for each in self.examples)]
        return (*named, END)

    def spans(self, name: str) -> tuple[tuple[int, ...], ...]:
        """The tokens of the named position in each prompt, counted from 0.

        Raises:
            TaskError: a prompt does not name it.
        """
        if name not in self.position_names:
            raise TaskError(f"not every prompt of task '{self.name}' names the position '{name}'")
        return tuple(each.span(name, int(n)) for each, n in zip(self.examples, self.lengths, strict=True))

    @cached_property
    def groups(self) -> tuple[TaskGroup, ...]:
        """The prompts by length, shortest first, without their answers; every prompt is in exactly one group."""
        groups = []
        for length in sorted(set(self.lengths.tolist())):
            rows = (self.lengths == length).nonzero()[:, 0]
            groups.append(
                TaskGroup(
                    indices=rows,
                    tokens=self.tokens[rows, :length],
                    counterfactual_tokens=self.counterfactual_tokens[rows, :length],
                    reference_tokens=self.reference_tokens[self.reference_lengths == length, :length],
                    answers=self.answers[rows],
                    wrong_answers=self.wrong_answers[rows],
                    reads=torch.stack([self.position(name)[rows] for name in self.metric.positions], dim=1),
                    all_references=self.all_references,
                )
            )
        return tuple(groups)

    @cached_property
    def all_references(self) -> tuple[Int[Tensor, "references length"], ...]:
        """The tokens of the reference prompts by length, shortest first; without answers."""
        lengths = self.reference_lengths
        return tuple(self.reference_tokens[lengths == n, :n] for n in sorted(set(lengths.tolist())))

    @cached_property
    def sequences(self) -> tuple[TaskGroup, ...]:
        """What is run for the metric: the groups, or where answers have several tokens the prompts followed by them."""
        return self.followed_by(self.metric.continuations)

    def followed_by(self, answers: Sequence[str]) -> tuple[TaskGroup, ...]:
        """The prompts in groups that run together, followed by these of their answers (``'answer'``,
        ``'wrong_answer'``) where any has several tokens; see ``circuitspex.tasks.sequences``."""
        if self.answer_lengths is None or self.wrong_answer_lengths is None:
            return self.groups
        found = sequences_of(ToFollow.of(self), answers)
        return tuple(dataclasses.replace(group, all_references=self.all_references) for group in found)

    @cached_property
    def identity(self) -> str:
        """A sha256 (hex) over all tokens, the answers, the reference tokens and the metric.

        Tasks of the same identity give the same values on the same model, whatever they are called.
        """
        digest = hashlib.sha256(self.metric.identity.encode())
        for group in self.sequences:
            names = ["indices", "tokens", "counterfactual_tokens", "reference_tokens", "answers", "wrong_answers"]
            if self.metric.positions != (END,) or self.answer_lengths is not None:
                names.append("reads")
            if self.answer_lengths is not None:
                names += ["answer_lengths", "wrong_answer_lengths", "reference_lengths"]
            for name in names:
                array = getattr(group, name).to(torch.int64).contiguous().numpy()
                digest.update(f"{name}{array.shape}".encode())
                digest.update(array.astype("<i8").tobytes())
        return digest.hexdigest()

    # Tasks from tasks

    def subset(self, indices: Iterable[int]) -> Task:
        """The prompts at ``indices`` (in that order), with the same reference prompts and metric.

        ``indices`` may be a mask, a bool for each prompt.

        Raises:
            TaskError: there is no such prompt, or none is chosen.
            UserError: an index that is no whole number.
        """
        chosen = places(indices, self.n_prompts)
        if not chosen:
            raise TaskError("a task needs at least one prompt; the subset has none")
        for i in chosen:
            if not 0 <= i < self.n_prompts:
                raise TaskError(f"there is no prompt {i}; this task has prompts 0 to {self.n_prompts - 1}")
        rows = torch.tensor(chosen)
        longest = int(self.lengths[rows].max())
        return dataclasses.replace(
            self,
            examples=tuple(self.examples[i] for i in chosen),
            tokens=self.tokens[rows, :longest],
            counterfactual_tokens=self.counterfactual_tokens[rows, :longest],
            lengths=self.lengths[rows],
            answers=self.answers[rows],
            wrong_answers=self.wrong_answers[rows],
            answer_lengths=None if self.answer_lengths is None else self.answer_lengths[rows],
            wrong_answer_lengths=None if self.wrong_answer_lengths is None else self.wrong_answer_lengths[rows],
        )

    def split(self, holdout: float = 0.25, seed: int = 0) -> tuple[Task, Task]:
        """The task in two by prompts: the larger part to search on, and a ``holdout`` share to verify on.

        Each part has at least one prompt, in the order they have here.

        Raises:
            TaskError: a task of one prompt, or a share that is none.
            UserError: a seed that is none.
        """
        seed = check_seed(seed)
        if not 0 < number(holdout, "holdout") < 1:
            raise TaskError(f"holdout is a share of the prompts between 0 and 1, not {holdout}")
        if self.n_prompts < 2:
            raise TaskError("a task of 1 prompt can't be split; it needs at least 2")
        n_held = min(max(round(holdout * self.n_prompts), 1), self.n_prompts - 1)
        held = set(random.Random(seed).sample(range(self.n_prompts), n_held))
        kept = [i for i in range(self.n_prompts) if i not in held]
        return self.subset(kept), self.subset(sorted(held))

    def with_metric(self, metric: str | Metric | Callable[..., Any]) -> Task:
        """The same prompts under another metric."""
        return dataclasses.replace(self, metric=as_metric(metric))

    def fresh(self, n: int, seed: int) -> Task:
        """``n`` new prompts of a built-in task, none of them among this task's, for verification.

        The reference prompts and the metric stay, so that an ablation means the same on both.
        """
        if self.generator is None:
            raise TaskError(f"task '{self.name}' can't make new prompts; hold some of its own out with split()")
        n, seed = whole(n, "the number of prompts", -MOST, MOST), check_seed(seed)
        # Prompts over which the mean baseline is taken are avoided too, as far as there are others.
        rng = random.Random(seed)
        examples = self.generator.at_most(n, rng, {*self.prompts, *self.reference})
        if len(examples) < n:
            examples = self.generator.examples(n, random.Random(seed), set(self.prompts))
        return Task.encode(
            self.generator.vocabulary,
            tuple(examples),
            name=self.name,
            metric=self.metric,
            reference=self.reference,
            generator=self.generator,
        )

    # Running the model

    def accuracy(self, model: Model, batch_size: int = 64) -> float:
        """The share of prompts whose answer has a larger log-probability than the wrong answer."""
        return float(run_plain(bridged(model), self.followed_by(ANSWERS), None, batch_size).right.double().mean())

    def report(self, model: Model, batch_size: int = 64) -> TaskReport:
        """How the unablated model does on this task; warns where it does badly."""
        model = bridged(model)
        run = same_run(model, self, lambda: run_plain(model, self.followed_by(ANSWERS), self.metric, batch_size))
        accuracy = float(run.right.double().mean())
        if accuracy < ACCURACY_WARNING:
            warnings.warn(
                f"the model answers only {accuracy:.0%} of task '{self.name}' correctly, so a circuit for it means "
                "little; use a model that can do the task, or prompts that this one gets right",
                UserWarning,
                stacklevel=2,
            )
        return TaskReport(
            task=self.name,
            n_prompts=self.n_prompts,
            accuracy=accuracy,
            metric=self.metric.name,
            mean_metric=float(run.values.mean()),
            prompt=self.examples[0].prompt,
            answer=self.examples[0].answer,
            wrong_answer=self.examples[0].wrong_answer,
            top_predictions=tuple((decode_token(model, token), share) for token, share in run.top),
            cost=cost_of(self.sequences) if self.answer_lengths is not None else "",
        )
