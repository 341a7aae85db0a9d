"""What tools a turn may use: those declared here, and those of MCP servers."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.database import Database
from assistant.mcp import configured, connections
from assistant.tools import registry
from assistant.tools.declare import Offered


async def offered(names: Sequence[str], database: Database) -> dict[str, Offered]:
    """The tools of these services by name. What can't be had now is left out: it costs its tools, not the turn."""
    ours = registry.offered(names)
    others = registry.undeclared(names)
    if not others:
        return ours
    servers = await database.call(configured.servers)
    theirs = await connections.offered([servers[name] for name in others if name in servers])
    return theirs | ours
