"""What tools a turn may use: those declared here, and those of MCP servers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from assistant.database import Database
from assistant.mcp import configured, connections
from assistant.mcp.connections import Missing
from assistant.toolbox import registry
from assistant.tools.declare import Offered


@dataclass(frozen=True, slots=True)
class Offer:
    tools: Mapping[str, Offered] = field(default_factory=dict)  # by name
    missing: Sequence[Missing] = ()  # servers whose tools can't be had now: it costs these, not the turn


async def offered(names: Sequence[str], database: Database, called: Collection[str] = ()) -> Offer:
    """What these services offer. It waits a moment for servers that are being started, longer for those `called`."""
    ours = registry.offered(names)
    others = registry.undeclared(names)
    if not others:
        return Offer(ours)
    servers = await database.call(configured.servers)
    wanted = [servers[name] for name in others if name in servers]
    theirs, missing = await connections.offered(wanted, database, taken=ours, called=called)
    return Offer(theirs | ours, missing)
