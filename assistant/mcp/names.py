"""The names under which models are offered the tools of servers. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from assistant.tools.declare import Offered

LONGEST = 64  # what providers take
_MARK = 8
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def name_of(server: str, tool: str) -> str:
    """`server__tool`; with a mark of both at its end where that is no name for a provider, or may be that of another pair.

    It depends on nothing but the two, for a call is stored under it and may be run much later.
    """
    plain = f"{server}__{tool}"
    is_unmistakable = "__" not in server and not server.endswith("_")
    if is_unmistakable and len(plain) <= LONGEST and not _NOT_IN_A_NAME.search(plain):
        return plain
    mark = hashlib.sha256(f"{server}\n{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    return f"{_NOT_IN_A_NAME.sub('_', plain)[: LONGEST - _MARK - 1]}_{mark}"


def apart(tools: Iterable[Offered], taken: Collection[str]) -> dict[str, Offered]:
    """By name. One whose name is `taken`, or that of a tool before it, gets a number: no tool hides another."""
    found: dict[str, Offered] = {}
    for tool in tools:
        name, number = tool.name, 1
        while name in taken or name in found:
            number += 1
            name = f"{tool.name[: LONGEST - 4]}_{number}"
        found[name] = tool if name == tool.name else replace(tool, name=name)
    return found
