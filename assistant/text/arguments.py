"""The arguments of a tool call, as a model or a person has written them."""

from __future__ import annotations

import json
from typing import Any


def arguments_of(written: str) -> dict[str, Any] | None:
    """What a model wrote as the arguments of a call, or None if it is no JSON object. Nothing at all means none.

    Nor is it one with a name twice: of two values people might be shown one, and the tool be given the other.
    """
    if not written.strip():
        return {}
    try:
        found = json.loads(written, parse_constant=_no_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON.")
