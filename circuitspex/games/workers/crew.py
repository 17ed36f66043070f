"""Ray's side of the workers: actors that are started, given jobs, lost and replaced."""

from __future__ import annotations

import itertools
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pickle import PicklingError
from typing import Any

from circuitspex.errors import UserError
from circuitspex.games.workers.losses import got, root
from circuitspex.games.workers.recipe import Recipe
from circuitspex.games.workers.schedule import Schedule
from circuitspex.games.workers.worker import Outcome, Worker, running_code

MOST_STARTS = 8
"""So many workers in a row that end before they have finished a job mean that none ever will."""

MOST_SENT = 64
"""Recipes and facts that Ray keeps for workers that have not seen them."""


class LostError(UserError):
    """Jobs that were given up, once all others are finished; ``failed`` says by place how the last worker was lost."""

    def __init__(self, message: str, failed: Mapping[int, str]) -> None:
        super().__init__(message)
        self.failed = dict(failed)


@dataclass(frozen=True)
class Job:
    """A method of what a recipe makes, to be called by any worker; ``n`` is the number of ablations in it."""

    recipe: Recipe
    facts: Mapping[str, Any] | None
    method: str
    arguments: tuple[Any, ...] = ()
    n: int = 1


@dataclass(eq=False)
class _Member:
    """A worker: Ray's actor, where it is, and what it has done."""

    number: int
    actor: Any
    name: str = "a worker that did not start"
    ablations: int = 0
    seconds: float = 0.0
    refused: dict[str, str] = field(default_factory=dict)
    """Why it may not play some games, by their recipes' keys."""


class Crew:
    """Workers of one size.

    Args:
        n: how many.
        cpus: cores of each.
        gpus: GPUs of each.
        device_map: how a model is spread over several.
        retries: how often a job whose worker was lost is tried again.
        patience: seconds to wait for a worker where there is none.
        path: where else they look for modules.
    """

    def __init__(
        self,
        n: int,
        cpus: float,
        gpus: float,
        device_map: Any,
        *,
        retries: int,
        patience: float,
        path: Sequence[str] = (),
    ) -> None:
        import ray

        self._retries, self._patience = retries, patience
        self._actor = ray.remote(Worker).options(
            num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        self._arguments = (cpus, gpus, device_map, tuple(path))
        self._numbers = itertools.count(1)
        self._starting: dict[Any, _Member] = {}
        self._ready: list[_Member] = []
        self._sent: dict[tuple[str, int], Any] = {}
        self._ended: list[str] = []
        self._aside: list[_Member] = []
        self._fruitless = 0
        self._lock = threading.Lock()
        self._members: list[_Member] = []
        for _ in range(n):
            self._start()

    def close(self) -> None:
        """End all of them."""
        import ray

        members = [*self._starting.values(), *self._ready]
        self._starting, self._ready, self._sent = {}, [], {}
        if ray.is_initialized():
            for member in members:
                ray.kill(member.actor)

    @property
    def rates(self) -> dict[str, float]:
        """Ablations a second of each worker that has run any."""
        return {member.name: member.ablations / member.seconds for member in self._members if member.seconds > 0}

    @property
    def done(self) -> dict[str, int]:
        """The ablations of each worker that has started."""
        return {member.name: member.ablations for member in self._members if "process" in member.name}

    @property
    def said(self) -> str:
        """The rates in a few words."""
        found = sorted(self.rates.values())
        if not found:
            return ""
        if len(found) <= 4:
            return "a worker: " + ", ".join(f"{rate:.3g}/s" for rate in found)
        middle = found[len(found) // 2]
        return f"{len(found)} workers: {found[0]:.3g} to {found[-1]:.3g}/s, median {middle:.3g}/s"

    def facts(self, recipe: Recipe, differs: Callable[[Any], str | None]) -> Any:
        """The facts of the game of the first worker that may play it."""
        (found,) = (value for _, value in self._run([Job(recipe, None, "facts", n=0)], differs))
        return found

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """The place of each job and what it gave, in the order in which they finish."""
        return self._run(jobs, lambda _: None)

    def _run(self, jobs: Sequence[Job], differs: Callable[[Any], str | None]) -> Iterator[tuple[int, Any]]:
        with self._lock:
            schedule = Schedule(len(jobs), self._retries)
            keys = {job.recipe.key for job in jobs}
            self._aside = [member for member in self._ready if keys & member.refused.keys()]
            for member in self._ready:
                if member not in self._aside:
                    schedule.joined(member)
            running: dict[Any, _Member] = {}
            try:
                yield from self._loop(jobs, differs, schedule, running)
            finally:  # also where the caller stops listening: what still runs is waited for before it is given more
                self._ready = [*schedule.idle, *self._aside]
                self._starting |= running
        if schedule.failed:
            first = min(schedule.failed)
            n_lost = sum(jobs[place].n for place in schedule.failed)
            raise LostError(
                f"{n_lost} of {sum(job.n for job in jobs)} ablations were given up: their workers were lost "
                f"{self._retries + 1} times, at last {schedule.failed[first]}; give workers more memory, or smaller "
                "chunks (chunk=…)",
                schedule.failed,
            )

    def _loop(
        self,
        jobs: Sequence[Job],
        differs: Callable[[Any], str | None],
        schedule: Schedule,
        running: dict[Any, _Member],
    ) -> Iterator[tuple[int, Any]]:
        import ray

        waiting_since = time.monotonic()
        while not schedule.over:
            for member, place in schedule.assigned():
                try:
                    running[self._begun(member, jobs[place])] = member
                except UserError:
                    schedule.finished(member)
                    raise
            if running:
                waiting_since = time.monotonic()
            elif not self._starting:
                refusals = [reason for member in self._aside for reason in member.refused.values()]
                said = "; ".join(refusals[-2:] or self._ended[-2:]) or "all were closed"
                raise UserError(f"no worker is left: {said}")
            elif time.monotonic() - waiting_since > self._patience:
                raise UserError(
                    f"no worker has started within {self._patience:.0f} s: other work holds the cluster's room"
                )
            finished, _ = ray.wait([*running, *self._starting], num_returns=1, timeout=1.0)
            for ref in finished:
                if ref in self._starting:
                    self._arrived(ref, schedule)
                    continue
                member = running.pop(ref)
                try:
                    outcome, why = got(ref)
                except Exception:
                    schedule.finished(member)
                    raise
                if outcome is None:
                    self._lost(member, schedule, why)
                    continue
                if outcome.kind == "wrong":
                    schedule.finished(member)
                    raise outcome.value
                refusal = str(outcome.value) if outcome.kind == "refused" else None
                if outcome.kind == "done":
                    refusal = differs(outcome.value)
                if refusal is not None:
                    self._refuse(member, jobs[schedule.running[member]].recipe.key, schedule, refusal)
                elif outcome.kind == "memory":
                    schedule.lost(member, f"{member.name}: {outcome.value}", gone=False)
                else:
                    place = schedule.finished(member)
                    self._fruitless = 0
                    member.ablations += jobs[place].n
                    member.seconds += outcome.seconds if jobs[place].n else 0.0
                    yield place, outcome.value

    def _begun(self, member: _Member, job: Job) -> Any:
        """The reference to what the job will give."""
        import ray

        if len(self._sent) > MOST_SENT:
            self._sent.clear()
        key, given = job.recipe.key, [job.recipe] if job.facts is None else [job.recipe, job.facts]
        for number, what in enumerate(given):
            if (key, number) not in self._sent:
                try:
                    self._sent[key, number] = ray.put(what)
                except (TypeError, AttributeError, PicklingError) as error:
                    raise UserError(f"{job.recipe.name} can't be sent to workers: {root(error)}") from error
        # In a list, Ray sends references, and a worker fetches what is behind them once.
        held = [self._sent[key, number] for number in range(len(given))]
        if job.method == "facts":
            return member.actor.facts.remote(key, held)
        return member.actor.call.remote(key, held, job.method, job.arguments)

    def _start(self) -> None:
        member = _Member(next(self._numbers), self._actor.remote(*self._arguments))
        self._members.append(member)
        self._starting[member.actor.about.remote()] = member

    def _arrived(self, ref: Any, schedule: Schedule) -> None:
        """A worker has started, or is free of what an earlier caller no longer waits for; or it has ended before."""
        import ray

        member = self._starting.pop(ref)
        try:
            found, why = got(ref)
        except Exception:  # of a job that no one waits for any more
            found, why = Outcome("done"), ""
        if found is None:
            self._lost(member, schedule, why)
            return
        if isinstance(found, dict):
            member.name = f"worker {member.number} ({found['node']}, process {found['pid']})"
            here = running_code()
            if found["version"] != here["version"] or found["code"] != here["code"]:
                theirs, ours = (f"{each['version']} (files {each['code']})" for each in (found, here))
                said = f"{member.name} runs circuitspex {theirs}, this is {ours}: install the same there"
                self._ended.append(said)
                warnings.warn(f"{said}; it is not used", stacklevel=2)
                ray.kill(member.actor)
                return
        schedule.joined(member)

    def _lost(self, member: _Member, schedule: Schedule, why: str) -> None:
        """A worker has ended: its job goes elsewhere, and another is started in its place."""
        import ray

        ray.kill(member.actor)
        schedule.lost(member, f"{member.name}: {why}")
        self._fruitless += 1
        if "No module named" in why:
            self._ended.append(f"a machine of the cluster can't import this package ({why}): install it there")
        elif self._fruitless > MOST_STARTS + self._retries:
            self._ended.append(f"{self._fruitless} workers ended one after another, at last {member.name}: {why}")
        else:
            self._start()

    def _refuse(self, member: _Member, key: str, schedule: Schedule, why: str) -> None:
        """The worker may not play this game; the others go on."""
        said = f"{member.name} was refused: {why}"
        member.refused[key] = said
        self._aside.append(member)
        schedule.refused(member)
        if schedule.idle or schedule.running or self._starting:
            warnings.warn(f"{said}; the others go on", stacklevel=2)
