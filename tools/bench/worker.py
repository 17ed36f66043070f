"""A process that fits decoders on request, so that a fit can be stopped and can have an interpreter of its own.

    python tools/bench/worker.py ours|peers

It first says what it can fit, and then answers each message on its input with predictions and seconds. Not for people:
`decoding.py` starts it.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import warnings

# Before any numerical library is loaded: one thread each, or LightGBM's and the linear algebra's fight each other.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import wire  # noqa: E402
from synthetic import NoisyGame, SyntheticGame  # noqa: E402


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    warnings.simplefilter("ignore")
    side = importlib.import_module(sys.argv[1])  # ours.py or peers.py
    keys, about = side.available()
    wire.send(answers, {"keys": keys, "about": about})
    while True:
        try:
            header, arrays = wire.receive(sys.stdin.buffer)
        except EOFError:
            return
        fresh = arrays.pop("fresh")
        if "members" in arrays:
            game = SyntheticGame(arrays["members"], arrays["weights"], fresh.shape[1], header["of_signs"])
            arrays = {"game": NoisyGame(game, header["spread"], header["seed"])}
        started, busy = time.perf_counter(), time.process_time()
        try:
            fit = side.fit(header["key"], header["budget"], header["seed"], **arrays)
            seconds, cpu = time.perf_counter() - started, time.process_time() - busy
            used = arrays["game"].asked if "game" in arrays else header["budget"]
            answer = {"seconds": seconds, "cpu": cpu, "used": used, "estimate": fit.estimate}
            wire.send(answers, answer, {"predicted": fit.predict(fresh)})
        except Exception as error:  # one failed fit is a cell that says so, and not the end of the run
            wire.send(answers, {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]})


if __name__ == "__main__":
    main()
