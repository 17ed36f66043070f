"""The lens of training data: the players are training examples or groups of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch

from circuitspex.ablation import Store
from circuitspex.ablation.batch_size import in_parts
from circuitspex.errors import NoGradientError, TrainingError, UserError
from circuitspex.games.chunks import Done
from circuitspex.games.lens import LensGame, unit_roundoff
from circuitspex.games.run import Run
from circuitspex.games.training.batch_size import runs_that_fit
from circuitspex.games.training.players import Players, players_of
from circuitspex.games.training.pool import TrainFunction, train_each
from circuitspex.games.training.recipe import Training
from circuitspex.games.training.stacked import slopes_and_scores, train_stacked
from circuitspex.games.workers.ray_workers import RayWorkers, check_workers
from circuitspex.half_precision import HalfMatrix
from circuitspex.processes import Workers
from circuitspex.scale import MOST, check_seed, whole
from circuitspex.typing import FloatArray, Gradients, Masks, PerPrompt

Columns = Literal["seeds", "tests"]


class TrainingGame(LensGame):
    """Training examples, or groups of them, as players; the value of a mask is what training without the others gives.

    One ablation is a training run for each seed. The value is the mean of the metric over test examples and seeds.

    Args:
        training: a ``Training``, many of which run at once; or a function ``train(mask) -> number``, which is run in
            processes (``TrainFunction`` says how many, and more).
        players: for a ``Training``: None for each example, a mapping from names to the indices of examples, a sequence
            of index lists, or one group number an example (-1 for no player). Examples of no player are always kept.
            For a function: the names of the players, or how many there are.
        seeds: how many seeds, or which. A seed is the initial parameters and the order of the batches; every mask is
            trained with the same seeds, so that what differs between masks is not their luck.
        columns: what the columns of ``per_prompt`` are, over which intervals count: 'seeds' (the mean over the test
            examples, by seed) or 'tests' (the mean over the seeds, by test example). By default seeds where there are
            several, else test examples.
        gradients: offer d value / d weight of each player, through the unrolled training. The memory of a run is then
            that of all its steps, and the metric must be differentiable.
        runs_at_once: how many trainings are stacked; None chooses by the free memory.
        store: see ``LensGame``. What a user's own code computes can't be read, so that such a training needs a
            ``name``, which must change whenever the code does.
        workers: processes that train in this one's place, here or on other machines; see ``RayWorkers``.

    Raises:
        UserError: groups that overlap, are empty or name examples that are not there; seeds that make no difference; a
            store for a training without a name. When it is run: more than the memory allows, with the estimate.
        TrainingError: runs that failed, after all others have finished, which are in its ``finished`` and in the store.
    """

    lens: ClassVar[str] = "training"
    doing: ClassVar[str] = "training"

    def __init__(
        self,
        training: Training | TrainFunction | Callable[..., Any],
        players: Any = None,
        *,
        seeds: int | Sequence[int] = 1,
        columns: Columns | None = None,
        gradients: bool = False,
        runs_at_once: int | None = None,
        store: Store | str | Path | None = None,
        workers: RayWorkers | None = None,
    ) -> None:
        super().__init__(store)
        self.workers = check_workers(workers)
        if not isinstance(training, Training | TrainFunction):
            training = TrainFunction(training, workers=None if workers is None else 0)
        self.training = training
        self.seeds = _seeds(seeds)
        self.players: Players | None = None
        if isinstance(training, Training):
            self.players = players_of(players, training.n_examples)
            self.names = self.players.names
            self._n_tests = training.n_tests
            self.unit_roundoff = unit_roundoff(training.dtype)
            if gradients and training.metric_name in ("accuracy", "exact_match"):
                raise UserError(
                    f"{training.metric_name} has no gradient; gradients=True needs a metric such as 'log_likelihood'"
                )
            if training.same_start and training.batch_size is None and len(self.seeds) > 1:
                raise UserError(
                    "seeds make no difference to a module trained on all examples at once; give a function that makes "
                    "the module, or a batch_size"
                )
        else:
            if gradients:
                raise UserError("a training function gives no gradients; a Training does")
            self.names = _names(players)
            self._workers = Workers(training.train, training.n_workers)
            self._n_tests = training.n_values
        if columns not in (None, "seeds", "tests"):
            raise UserError(f"columns must be 'seeds' or 'tests', not {columns!r}")
        runs_at_once = None if runs_at_once is None else whole(runs_at_once, "runs_at_once", 1, MOST)
        self.columns: Columns = columns or ("seeds" if len(self.seeds) > 1 else "tests")
        self.runs_at_once = runs_at_once
        self.has_gradients = gradients
        self._failed: dict[bytes, str] = {}
        if self.store is not None and self._training_facts() is None:
            raise UserError(
                "a store needs to know what is trained, and code of your own can't be read: name it, with "
                "Training(..., name=...) or TrainFunction(..., name=...), and change the name when the code changes"
            )

    @property
    def n_samples(self) -> int:
        """How many numbers a mask gives: seeds, or test examples."""
        return len(self.seeds) if self.columns == "seeds" else self._n_tests

    @property
    def members(self) -> tuple[np.ndarray[Any, np.dtype[np.int64]], ...]:
        """The indices of the examples that each player stands for; empty for a training function."""
        return () if self.players is None else self.players.members

    def part(self, index: int) -> tuple[int, str]:
        """Players are examples or groups, and in no layer."""
        return 0, "group" if self.players is None else self.players.kind

    def describe(self) -> dict[str, Any]:
        """What is trained, on what, and what is measured."""
        seeds = {"seeds": list(self.seeds), "columns": self.columns}
        if isinstance(self.training, TrainFunction):
            return {"model": {"name": self._title}, "task": {"name": "training data"}, "run": seeds}
        about = {
            "n_examples": self.training.n_examples,
            "n_tests": self.training.n_tests,
            "steps": self.training.steps,
            "batch_size": self.training.batch_size,
            "optimizer": repr(self.training.optimizer),
        }
        return {
            "model": {"name": self._title},
            "task": {"name": "training data", "metric": self.training.metric_name},
            "run": seeds | about,
        }

    @property
    def _title(self) -> str:
        named = self.training.name
        if named is None:
            named = "training" if isinstance(self.training, Training) else _called(self.training.train)
        return named

    def _chunk(self, gradients: bool) -> int:
        if isinstance(self.training, TrainFunction):
            return 8 * max(1, self.training.n_workers)
        return self._at_once(1, gradients)

    def _size_elsewhere(self, workers: RayWorkers, own: int) -> int:
        """One training at a time, where that is a function: its process may die, and others go on meanwhile."""
        return (workers.chunk or 1) if isinstance(self.training, TrainFunction) else workers.size(own)

    def _copy(self) -> Self:
        other = super()._copy()
        if isinstance(self.training, TrainFunction):
            other.training = replace(self.training, workers=0)
            other._workers = Workers(self.training.train, 0)
        return other

    def _notes(self) -> dict[bytes, str]:
        """What went wrong, by mask."""
        notes, self._failed = self._failed, {}
        return notes

    def _arrived(self, played: PerPrompt, notes: dict[bytes, str]) -> None:
        self._failed |= notes

    def _lost(self, gates: FloatArray, why: str) -> PerPrompt:
        self._failed |= {row.tobytes(): why for row in gates}
        return np.full((len(gates), self.n_samples), np.nan)

    def _at_once(self, n_masks: int, gradients: bool) -> int:
        assert isinstance(self.training, Training)
        fit = runs_that_fit(self.training, n_masks, self.n_players, gradients=gradients)
        return fit if self.runs_at_once is None else self.runs_at_once

    def _in_chunks(
        self, gates: FloatArray | Masks, gradients: bool, done: Done
    ) -> tuple[PerPrompt, Gradients | HalfMatrix | None]:
        gates = np.asarray(gates, dtype=np.float64)
        if gradients and not self.has_gradients:
            raise NoGradientError("this game has no gradients; TrainingGame(..., gradients=True) offers them")
        if isinstance(self.training, Training):
            self._at_once(len(gates), gradients)
        elif not np.isin(gates, (0, 1)).all():
            raise UserError("a training function is run with masks, True or False; gates between were given")
        self._failed = {}
        per_prompt, slopes = super()._in_chunks(gates, gradients, done)
        works = np.isfinite(per_prompt).all(1)
        if not works.all():
            kept = None if slopes is None else np.asarray(slopes, dtype=np.float64)[works]
            finished = Run(gates[works] == 1, per_prompt[works], kept)
            failed = np.asarray(gates[~works], dtype=np.float64)
            raise TrainingError(self._complaint(failed, len(gates)), failed == 1, finished)
        return per_prompt, slopes

    def _play(self, gates: FloatArray, gradients: bool, done: Done) -> tuple[PerPrompt, Gradients | None]:
        if isinstance(self.training, TrainFunction):
            values, failures = train_each(self.training, self._workers, gates == 1, self.seeds, done)
            self._failed |= {gates[row].tobytes(): error for row, error in failures.items()}
            return self._columns(values), None
        return self._stacked(self.training, gates, gradients, done)

    def _stacked(
        self, training: Training, gates: FloatArray, gradients: bool, done: Done
    ) -> tuple[PerPrompt, Gradients | None]:
        assert self.players is not None
        weights = self.players.weights(gates)
        size = self._at_once(len(gates), gradients)
        scores, slopes = [], np.zeros_like(weights)

        for seed in self.seeds:

            def some(part: slice, seed: int = seed) -> FloatArray:
                rows = torch.as_tensor(weights[part], dtype=training.dtype, device=training.device)
                if gradients:
                    found, slope = slopes_and_scores(training, rows, seed)
                    slopes[part] += slope.cpu().numpy() / len(self.seeds)
                else:
                    found = train_stacked(training, rows, seed)
                done(len(rows) / len(self.seeds))
                return np.asarray(found.detach().cpu().double().numpy())

            scores.append(np.concatenate(in_parts(len(weights), size, some)))
        values = np.stack(scores, axis=1)
        for row in np.flatnonzero(~np.isfinite(values).all((1, 2))):
            place = int(np.flatnonzero(~np.isfinite(values[row]).all(1))[0])
            self._failed[gates[row].tobytes()] = f"it diverged to NaN or infinity (seed {self.seeds[place]})"
        per_player = np.stack([slopes[:, members].sum(1) for members in self.players.members], axis=1)
        return self._columns(values), per_player if gradients else None

    def _columns(self, values: FloatArray) -> PerPrompt:
        """Seeds and test examples ``(K, S, T)`` as the columns of ``per_prompt``; NaN stays NaN."""
        return np.asarray(values.mean(2 if self.columns == "seeds" else 1))

    def _complaint(self, gates: FloatArray, n_all: int) -> str:
        tries = self.training.retries + 1 if isinstance(self.training, TrainFunction) else 1
        after = f" after {tries} attempts" if tries > 1 else ""
        shown = [f"{self._mask_text(row)}: {self._failed.get(row.tobytes(), 'not finite')}" for row in gates[:3]]
        more = f"; and {len(gates) - 3} more" if len(gates) > 3 else ""
        others = " (the others are kept)" if self.store is not None else " (the others are in the error's .finished)"
        others = others if len(gates) < n_all else ""
        return f"{len(gates)} of {n_all} trainings failed{after}{others}. {'; '.join(shown)}{more}"

    def _mask_text(self, row: FloatArray) -> str:
        out = [self.names[i] for i in np.flatnonzero(row < 1)]
        kept = [self.names[i] for i in np.flatnonzero(row == 1)]
        if len(out) in (0, self.n_players):
            return "with nothing" if out else "with everything"
        word, some = ("without", out) if len(out) <= max(3, len(kept)) else ("with only", kept)
        return f"{word} {', '.join(some[:8])}{f' and {len(some) - 8} more' if len(some) > 8 else ''}"

    def _training_facts(self) -> dict[str, Any] | None:
        train = self.training
        if isinstance(train, Training):
            return train.facts(self.seeds)
        given = {"function": train.name, "n_values": train.n_values, "seeded": train.seeded}
        return None if train.name is None else given

    def _facts(self) -> dict[str, Any]:
        return {
            "lens": self.lens,
            "training": self._training_facts(),
            "players": list(self.names),
            "members": [members.tolist() for members in self.members],
            "seeds": list(self.seeds),
            "columns": self.columns,
        }

    def _about(self) -> dict[str, Any]:
        metric = self.training.metric_name if isinstance(self.training, Training) else ""
        return {
            "model": self._title,
            "task_name": "training data",
            "metric": metric,
            "selector": f"{self.n_players} {self.part(0)[1]}s",
        }


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, Sequence | np.ndarray):
        found = tuple(check_seed(seed) for seed in seeds)
    else:
        found = tuple(range(whole(seeds, "seeds", 1, MOST)))
    if not found or len(set(found)) < len(found):
        raise UserError(f"seeds must be at least one and all different; not {seeds}")
    return found


def _names(players: Any) -> tuple[str, ...]:
    if isinstance(players, int | np.integer) and players > 0:
        return tuple(f"g{i}" for i in range(players))
    if isinstance(players, Sequence) and not isinstance(players, str) and len(players):
        found = tuple(str(name) for name in players)
        if len(set(found)) == len(found):
            return found
    raise UserError(f"players of a training function are different names, or how many there are; not {players!r}")


def _called(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
