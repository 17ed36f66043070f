"""One model in several threads: the right numbers, and nothing left on the model."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import circuitspex as cx
from circuitspex.models.state import model_state


def together(run: Any, count: int = 2) -> list[Any]:
    """What ``run`` gives in each of several threads that begin together."""
    found: list[Any] = [None] * count
    ready = threading.Barrier(count)

    def work(place: int) -> None:
        ready.wait(20)
        try:
            found[place] = run()
        except BaseException as error:
            found[place] = error

    threads = [threading.Thread(target=work, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.long
def test_two_searches_at_once_give_what_one_gives(tiny):
    model = tiny.fresh_bridge("llama")
    task = tiny.task(model)
    before = model_state(model)
    for executor in ("batched", "auto"):

        def run(executor: str = executor) -> list[Any]:
            found = cx.find_circuit(
                model, task, "heads", budget=24, n_heldout=8, n_contexts=4, executor=executor, progress=False
            )
            return (
                [*sorted(found.interactions.to_dict().items())]
                if hasattr(found.interactions, "to_dict")
                else [found.circuit.nodes, found.faithfulness, found.run.values.tolist()]
            )

        alone = run()
        assert together(run) == [alone, alone]
    assert model_state(model) == before


def test_a_search_and_a_prompt_at_once(tiny):
    model = tiny.fresh_bridge("gpt2")
    task = tiny.task(model)

    def heads() -> Any:
        game = cx.ComponentGame(model, task, "heads")
        return game(cx.sample_masks(game.n_players, 12, seed=0)).tolist()

    def words() -> Any:
        game = cx.TokenGame(model, "w1 w2 w3 w4 w5", " w9", " w10")
        return game(cx.sample_masks(game.n_players, 12, seed=0)).tolist()

    expected = [heads(), words()]
    turns = iter([heads, words, heads, words])
    lock = threading.Lock()

    def one() -> Any:
        with lock:
            mine = next(turns)
        return mine is heads, mine()

    found = together(one, 4)
    assert all(values == expected[0 if of_heads else 1] for of_heads, values in found)
