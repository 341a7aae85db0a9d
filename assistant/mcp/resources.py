"""What servers have to read: listed for people, who attach it to what they ask."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

from assistant.database import Database
from assistant.mcp import connections
from assistant.mcp.configured import Configured
from assistant.text.storable import clean

MOST = 200  # of one server
READ_SECONDS = 12.0
LONGEST_WORDS = 300


class Unreadable(Exception):
    """The message is a sentence for people."""


async def listed(configured: Configured, database: Database) -> list[dict[str, Any]]:
    """What the server lists: [{uri, name, description, type, size}]. Raises connections.Away."""
    client = await connections.connected(configured, database)
    if client.server_capabilities.resources is None:
        return []
    found: list[Any] = []
    cursor = None
    async with asyncio.timeout(connections.LIST_SECONDS):
        while len(found) < MOST:
            page = await client.list_resources(cursor=cursor)
            found += page.resources
            cursor = page.next_cursor
            if not cursor:
                break
    return [
        {
            "uri": clean(one.uri),
            "name": clean(one.title or one.name)[:LONGEST_WORDS],
            "description": clean(one.description or "")[:LONGEST_WORDS],
            "type": clean(one.mime_type or "")[:LONGEST_WORDS],
            "size": one.size,
        }
        for one in found[:MOST]
    ]


async def read(configured: Configured, database: Database, uri: str) -> tuple[str, bytes]:
    """Name and content of one that the server lists, for people attach what they have seen.

    Raises Unreadable, connections.Away.
    """
    chosen = next((one for one in await listed(configured, database) if one["uri"] == uri), None)
    if chosen is None:
        raise Unreadable(f"{configured.title} does not list this any more.")
    client = await connections.connected(configured, database)
    try:
        async with asyncio.timeout(READ_SECONDS):
            result = await client.read_resource(uri)
        return chosen["name"], b"\n".join(map(_content, result.contents))
    except TimeoutError:
        raise Unreadable(f"{configured.title} took too long to read this.") from None
    except binascii.Error:
        raise Unreadable(f"What {configured.title} sent can't be read.") from None
    except Exception as error:
        words = " ".join(clean(str(error)).split())[:LONGEST_WORDS]
        raise Unreadable(f"{configured.title} could not read this: {words}.") from None


def _content(part: Any) -> bytes:
    text = getattr(part, "text", None)
    return base64.b64decode(part.blob) if text is None else text.encode("utf-8", "replace")
