"""A real MCP server: `python -m tests.mcp_server` speaks over stdio, with a port over streamable HTTP.

With DEPOT_OPENS it waits for that file before it says a word, as one does that is being downloaded.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import sys
import time
from typing import Annotated

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from PIL import Image
from pydantic import BaseModel, Field

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


@server.tool()
def look(color: str = "red") -> CallToolResult:
    """Takes a picture."""
    drawn = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(drawn, "PNG")
    picture = base64.b64encode(drawn.getvalue()).decode()
    broken = base64.b64encode(b"no image").decode()
    return CallToolResult(
        content=[
            TextContent(type="text", text="The yard:"),
            ImageContent(type="image", data=picture, mime_type="image/png"),
            ImageContent(type="image", data=broken, mime_type="image/png"),
        ]
    )


@server.tool()
def papers() -> CallToolResult:
    """Everything that is neither text nor image."""
    pdf = base64.b64encode(b"%PDF-1.4 " + b"x" * 991).decode()
    return CallToolResult(
        content=[
            ResourceLink(type="resource_link", name="list", uri="depot://list", description="What there is."),
            EmbeddedResource(
                type="resource", resource=TextResourceContents(uri="depot://notes/today.txt", text="Two crates.")
            ),
            EmbeddedResource(
                type="resource",
                resource=BlobResourceContents(uri="depot://bill.pdf", blob=pdf, mime_type="application/pdf"),
            ),
            AudioContent(type="audio", data="AAAA", mime_type="audio/wav"),
        ]
    )


@server.tool()
def weigh() -> CallToolResult:
    """Answers with data and no words."""
    return CallToolResult(content=[], structured_content={"kilograms": 12})


@server.tool()
async def fetch(ctx: Context) -> str:
    """Says how far it is."""
    await ctx.report_progress(1, 2, "On my way")
    await ctx.report_progress(2, 2)
    await ctx.report_progress(3, None, "  ")
    return "Here it is."


@server.tool()
async def hire(ctx: Context) -> str:
    """From now on there is one more tool."""

    def lift() -> str:
        """Lifts something."""
        return "Up."

    server.add_tool(lift)
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "Hired."


@server.resource("depot://list", title="The list", description="What there is.", mime_type="text/plain")
def what_there_is() -> str:
    return "Two crates."


@server.resource("depot://yard.png", mime_type="image/png")
def yard() -> bytes:
    drawn = io.BytesIO()
    Image.new("RGB", (40, 30)).save(drawn, "PNG")
    return drawn.getvalue()


@server.resource("depot://broken")
def broken() -> str:
    raise RuntimeError("lost")


class Wish(BaseModel):
    seats: int = Field(ge=1, le=9, title="Seats", description="Side by side.")
    window: bool = Field(False, title="At the window")


def ask() -> Elicit[Wish]:
    return Elicit("Where would you like to sit?", Wish)


@server.tool()
def book(train: str, wish: Annotated[ElicitationResult[Wish], Resolve(ask)]) -> str:
    """Books seats, and asks how many."""
    if isinstance(wish, AcceptedElicitation):
        return f"{train}: {wish.data.seats} seats{' at the window' if wish.data.window else ''}."
    return f"{train}: {wish.action}."


@server.tool()
async def sign(ctx: Context) -> str:
    """Sends people to a page."""
    outcome = await ctx.elicit_url("Sign there.", "https://sign.example/form?id=7", "7")
    return f"They said: {outcome.action}."


if __name__ == "__main__":
    print("The depot opens.", file=sys.stderr, flush=True)
    while (opens := os.environ.get("DEPOT_OPENS")) and not os.path.exists(opens):
        time.sleep(0.02)
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
