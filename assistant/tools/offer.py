"""What tools a turn may use: those declared here, and those of MCP servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assistant.database import Database
from assistant.mcp import configured, connections
from assistant.mcp.connections import Missing
from assistant.tools import registry
from assistant.tools.declare import Offered


@dataclass(frozen=True, slots=True)
class Offer:
    tools: Mapping[str, Offered] = field(default_factory=dict)  # by name
    missing: Sequence[Missing] = ()  # servers whose tools can't be had now: it costs these, not the turn


async def offered(names: Sequence[str], database: Database, patience_seconds: float | None = None) -> Offer:
    """What these services offer. It waits a moment, or `patience_seconds` at most, for servers that are being started."""
    ours = registry.offered(names)
    others = registry.undeclared(names)
    if not others:
        return Offer(ours)
    servers = await database.call(configured.servers)
    wanted = [servers[name] for name in others if name in servers]
    theirs, missing = await connections.offered(wanted, database, taken=ours, patience_seconds=patience_seconds)
    return Offer(theirs | ours, missing)
