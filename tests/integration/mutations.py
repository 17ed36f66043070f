"""Damage to files, from a seeded generator: bytes, structure, types, sizes; and changes that leave a file valid."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Change = Callable[[random.Random, str], bytes]

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3.0, 0.5, -0.0, 1e-300, 1e150, 1e300, -1e308, 2**31, 2**53, 2**63, 2**70, 10**300,
    10**307, 10**399, "", " ", "a", "L0H0", "L1H1", "L99999H9", "L0N0:64@-1", "L05H1", "L٥H١", "a\nb", "\0",
    "\x1b[31mred\x1b[0m", "\ud800", "\ufeff", "\u00a0", "＝1+1", "=1+1", "</script><b>", "&amp;\"'",
    "\u202e", "x" * 5000,
    [], {}, [[]], [{}], [0], [None], ["L0H0"], ["L0H0", "L0H0"], {"value": 1, "low": 2, "high": 3}, {"": {}},
]  # fmt: skip
"""Values to put in a place where something else was."""
WORDS = ["NaN", "Infinity", "-Infinity", "1e999", "0" * 400 + "1", "1" * 5000, "0x10", "tru", "'a'", "", ",", "//"]
"""Texts that are no JSON value, or none that is allowed."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


def _encoded(data: Any) -> bytes:
    return json.dumps(data).encode()


def _pick(rng: random.Random, text: str) -> tuple[Any, Any, Any]:
    """The file's data, and a place in it: its holder and its key there."""
    data = copy.deepcopy(_parsed(text))
    path = rng.choice(list(places(data)) or [()])
    if not path:
        data = {"only": data}
        path = ("only",)
    return data, _at(data, path[:-1]), path[-1]


_KNOWN: dict[str, Any] = {}


def _parsed(text: str) -> Any:
    if text not in _KNOWN:
        _KNOWN[text] = json.loads(text)
    return _KNOWN[text]


# Bytes


def flip_bytes(rng: random.Random, text: str) -> bytes:
    """A few bits turned round."""
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice([1, 1, 2, 8])):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return bytes(raw)


def cut(rng: random.Random, text: str) -> bytes:
    """Only the beginning, or a piece left out."""
    raw = text.encode()
    start = rng.randrange(len(raw))
    return raw[:start] + (raw[start + rng.randrange(1, 200) :] if rng.random() < 0.5 else b"")


def insert_bytes(rng: random.Random, text: str) -> bytes:
    """Bytes that were not there."""
    raw, at = text.encode(), rng.randrange(len(text))
    more = rng.choice([b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"[" * 3000, b'"', b"{", b"}", b",", b"\n\n", b"1"])
    return raw[:at] + more + raw[at:]


def other_word(rng: random.Random, text: str) -> bytes:
    """Something that is no JSON value, or no allowed one, in place of a value."""
    data, holder, key = _pick(rng, text)
    holder[key] = "@here@"
    return json.dumps(data).replace('"@here@"', rng.choice(WORDS)).encode()


def repeated_key(rng: random.Random, text: str) -> bytes:
    """A key twice in one object."""
    data = copy.deepcopy(_parsed(text))
    objects = [path for path in [(), *places(data)] if isinstance(_at(data, path), dict) and _at(data, path)]
    holder = _at(data, rng.choice(objects))
    key = rng.choice(list(holder))
    holder["@again@"] = holder[key]
    return json.dumps(data).replace('"@again@"', json.dumps(key)).encode()


# Structure


def other_value(rng: random.Random, text: str) -> bytes:
    """Another value in some place."""
    data, holder, key = _pick(rng, text)
    holder[key] = copy.deepcopy(rng.choice(STRANGE))
    return _encoded(data)


def left_out(rng: random.Random, text: str) -> bytes:
    """Something left out."""
    data, holder, key = _pick(rng, text)
    del holder[key]
    return _encoded(data)


def there_twice(rng: random.Random, text: str) -> bytes:
    """An entry of a list, or a value under a new key, once more."""
    data, holder, key = _pick(rng, text)
    if isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    else:
        holder[f"{key}{rng.choice(['', ' ', '2'])}"] = copy.deepcopy(holder[key])
        holder[rng.choice(["more", "", key.upper() if isinstance(key, str) else "x"])] = 1
    return _encoded(data)


def exchanged(rng: random.Random, text: str) -> bytes:
    """Two values that have changed places."""
    data, one, key = _pick(rng, text)
    paths = list(places(data))
    path = rng.choice(paths)
    other, place = _at(data, path[:-1]), path[-1]
    try:
        one[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(one[key])
        return _encoded(data)
    except (KeyError, IndexError, TypeError, ValueError, RecursionError):
        return _encoded(_parsed(text))


def other_number(rng: random.Random, text: str) -> bytes:
    """A number that is larger, smaller, of the other sign or of the other type."""
    data = copy.deepcopy(_parsed(text))
    paths = [path for path in places(data) if type(_at(data, path)) in (int, float)]
    if not paths:
        return other_value(rng, text)
    path = rng.choice(paths)
    value = _at(data, path)
    found = rng.choice(
        [-value, value + 1, value * 1e6, value / 3, value * 1e150, str(value), float(value), bool(value)]
    )
    _at(data, path[:-1])[path[-1]] = found
    return _encoded(data)


def other_text(rng: random.Random, text: str) -> bytes:
    """A text with something strange in it."""
    data = copy.deepcopy(_parsed(text))
    paths = [path for path in places(data) if isinstance(_at(data, path), str)]
    if not paths:
        return other_value(rng, text)
    path = rng.choice(paths)
    value, strange = _at(data, path), rng.choice([each for each in STRANGE if isinstance(each, str)])
    at = rng.randrange(len(value) + 1)
    _at(data, path[:-1])[path[-1]] = value[:at] + strange + value[at:]
    return _encoded(data)


def nested(rng: random.Random, text: str) -> bytes:
    """A value that stands deep inside lists or objects."""
    data, holder, key = _pick(rng, text)
    depth, inner = rng.choice([3, 90, 120, 900, 20_000]), "@here@"
    holder[key] = inner
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    return json.dumps(data).replace('"@here@"', opening * depth + "1" + closing * depth).encode()


def many(rng: random.Random, text: str) -> bytes:
    """A list of very many entries."""
    data = copy.deepcopy(_parsed(text))
    lists = [path for path in places(data) if isinstance(_at(data, path), list) and _at(data, path)]
    if not lists:
        return nested(rng, text)
    holder = _at(data, rng.choice(lists))
    holder.extend(holder[:1] * rng.choice([3, 60, 300]))
    return _encoded(data)


# Changes after which the file says the same


def keys_in_another_order(rng: random.Random, text: str) -> bytes:
    """The keys of all objects in another order."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = [(key, shuffled(inner)) for key, inner in value.items()]
            rng.shuffle(items)
            return dict(items)
        return [shuffled(inner) for inner in value] if isinstance(value, list) else value

    return _encoded(shuffled(_parsed(text)))


def other_white_space(rng: random.Random, text: str) -> bytes:
    """Another indentation, a byte order mark before, empty lines after."""
    made = json.dumps(_parsed(text), indent=rng.choice([None, 1, 4]), ensure_ascii=rng.random() < 0.5)
    return rng.choice([b"", b"\xef\xbb\xbf"]) + made.encode("utf-8", "surrogatepass") + b"\n" * rng.randrange(3)


DAMAGE: list[Change] = [
    flip_bytes, cut, insert_bytes, other_word, repeated_key, other_value, other_value, left_out, there_twice, exchanged,
    other_number, other_number, other_text, other_text, nested, many,
]  # fmt: skip
NEVER_VALID: list[Change] = [repeated_key]
SAME: list[Change] = [keys_in_another_order, other_white_space]
