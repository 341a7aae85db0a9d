"""A real MCP server: `python -m tests.mcp_server` speaks over stdio, with a port over streamable HTTP."""

from __future__ import annotations

import asyncio
import os
import sys

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("Depot")


@server.tool(title="Add up", annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"{a + b}"


@server.tool(title="Store")
def store(what: str) -> str:
    """Stores something."""
    return f"Stored {what} for {os.environ.get('DEPOT_OWNER', 'nobody')}."


@server.tool()
def fail() -> str:
    """Fails."""
    raise ToolError("The depot is on fire.")


@server.tool()
def die() -> str:
    """Ends the server in the middle of the call."""
    os._exit(1)


@server.tool()
async def dawdle() -> str:
    """Takes long."""
    await asyncio.sleep(60)
    return "at last"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
