"""Too little memory, said in one line, whichever library found it out."""

from __future__ import annotations

import re

_SAID = re.compile(
    r"can't allocate memory|Cannot allocate memory|Unable to allocate|out of memory|bad_alloc|failed to map segment"
    r"|can't start new thread|Unable to mmap|mmap failed|os error 12\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r"(?:you tried to allocate|Tried to allocate|Unable to allocate) ([\d.]+ ?\w+)", re.IGNORECASE)


def out_of_memory(error: BaseException) -> str | None:
    """The line for an error that comes of too little memory, itself or by its causes; None for any other."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        text = str(each)
        if isinstance(each, MemoryError) or _SAID.search(text):
            asked = _ASKED.search(text)
            return (
                "not enough memory"
                + (f" ({_sized(asked[1])} more were asked for)" if asked else "")
                + _limit()
                + "; a smaller model or --dtype bfloat16, fewer prompts or a smaller budget need less"
            )
        each = each.__cause__ or each.__context__
    return None


def _sized(text: str) -> str:
    """As PyTorch and NumPy write it, in bytes or with a unit."""
    number, unit = re.match(r"([\d.]+) ?(\w*)", text).groups()  # type: ignore[union-attr]
    if unit.lower() not in ("", "bytes", "b"):
        return f"{number} {unit}"
    return f"{float(number) / 2**30:.2g} GiB" if float(number) >= 2**27 else f"{float(number) / 2**20:.2g} MiB"


def _limit() -> str:
    """What this process may have, where it has a limit of its own."""
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, OSError, ValueError):
        return ""
    if most == resource.RLIM_INFINITY:
        return ""
    return f": the limit of this process is {most / 2**30:.1f} GiB (ulimit -v)"
