"""The driver's store of finished ablations, as whole games that run in workers reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitspex.ablation import Store


class Keeper:
    """A process beside the driver that opens its store; Ray makes an actor of it."""

    def __init__(self, path: str) -> None:
        self._store = Store(path)

    def call(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What a method of the store gives."""
        return getattr(self._store, method)(*arguments, **options)


class StoreElsewhere(Store):
    """A store whose file another process has open, the actor of a ``Keeper``."""

    def __init__(self, path: Path, actor: Any) -> None:
        self.path = path
        self._actor = actor

    def close(self) -> None:
        """Nothing: the file is the other process's."""

    def game(self, *arguments: Any) -> str:
        """As ``Store.game``."""
        return str(self._asked("game", arguments, {}))

    def find(self, *arguments: Any, gradients: bool) -> Any:
        """As ``Store.find``."""
        return self._asked("find", arguments, {"gradients": gradients})

    def keep(self, *arguments: Any) -> None:
        """As ``Store.keep``; comes back when it is kept."""
        self._asked("keep", arguments, {})

    def _asked(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        import ray

        return ray.get(self._actor.call.remote(method, arguments, options))


def store_for_workers(store: Store) -> StoreElsewhere:
    """This store, for games in workers: kept open by a process on this machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here).remote(str(store.path.resolve()))
    return StoreElsewhere(store.path, actor)
