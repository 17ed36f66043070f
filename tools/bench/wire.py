"""Messages between the benchmark and its workers: a JSON header and named arrays, through a pipe.

No pickles, since the two ends can be different versions of Python and numpy.
"""

from __future__ import annotations

import io
import json
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
_LENGTH = 8


def send(stream: BinaryIO, header: dict[str, Any], arrays: Arrays | None = None) -> None:
    body = io.BytesIO()
    np.savez(body, header=np.array(json.dumps(header)), **(arrays or {}))
    data = body.getvalue()
    stream.write(len(data).to_bytes(_LENGTH, "big") + data)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], Arrays]:
    """The next message.

    Raises:
        EOFError: the other end is gone.
    """
    length = int.from_bytes(_exactly(stream, _LENGTH), "big")
    with np.load(io.BytesIO(_exactly(stream, length)), allow_pickle=False) as stored:
        arrays = dict(stored)
    return json.loads(str(arrays.pop("header"))), arrays


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError("the other end of the pipe is gone")
    return data
