"""The connections of a worker process to MCP servers: kept open on its loop, made anew when they break.

A server that is away costs its tools and nothing else: who needs them waits a moment, and for a while after a failure
nobody waits at all.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from assistant.mcp.configured import Configured
from assistant.models.mcp_server import ApprovalRule
from assistant.tools.declare import Context, Offered, Result, ToolError, first_line

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0  # for a server to say what tools it has
REST_SECONDS = 30.0  # after a failure, before it is tried again
LISTED_SECONDS = 300.0  # what tools it has is asked again after that
MOST_TOOLS = 128  # of one server

_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")

_connections: dict[str, _Connection] = {}


async def offered(wanted: Iterable[Configured]) -> dict[str, Offered]:
    """The tools of these servers by name, of those that can be had now."""
    lists = await asyncio.gather(*(_connection(configured).tools() for configured in wanted))
    return {tool.name: tool for tools in lists for tool in tools}


async def close() -> None:
    """Ends all connections, and with them the processes of servers that are commands."""
    open_ones = list(_connections.values())
    _connections.clear()
    await asyncio.gather(*(connection.close() for connection in open_ones), return_exceptions=True)


def _connection(configured: Configured) -> _Connection:
    """The connection by name. One to a server that has been configured anew, or of a loop that is gone, is replaced."""
    held = _connections.get(configured.name)
    if held and held.configured == configured and held.loop is asyncio.get_running_loop():
        return held
    if held and held.loop is asyncio.get_running_loop():
        held.retire()
    made = _connections[configured.name] = _Connection(configured)
    return made


class _Connection:
    """One server. A task of its own holds the client: what was entered in a task has to be left in the same one."""

    def __init__(self, configured: Configured) -> None:
        self.configured = configured
        self.loop = asyncio.get_running_loop()
        self._client: Any = None
        self._tools: list[Offered] = []
        self._listed_at = float("-inf")
        self._failed_at = float("-inf")
        self._opening = asyncio.Lock()
        self._holder: asyncio.Task[None] | None = None
        self._end = asyncio.Event()

    async def tools(self) -> list[Offered]:
        """What the server offers; nothing, with a line in the log, if it is away."""
        if time.monotonic() - self._failed_at < REST_SECONDS:
            return []
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                client = await self._open()
                if time.monotonic() - self._listed_at > LISTED_SECONDS:
                    await self._list(client)
        except Exception as error:
            self._failed(error)
            return []
        return self._tools

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Raises ToolError, with the server's words where it has some."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                client = await self._open()
        except Exception as error:
            self._failed(error)
            raise ToolError(f"{self.configured.title} can't be reached.") from None
        try:
            answer = await client.call_tool(name, dict(arguments))
        except Exception as error:
            if not await self._is_sound(client):
                self._failed(error)
                raise ToolError(
                    f"The connection to {self.configured.title} broke. It is not known whether the call took effect."
                ) from None
            raise ToolError(f"{self.configured.title} refused the call: {error}") from None
        text = _text(answer)
        if answer.is_error:
            raise ToolError(text or "The tool failed.")
        return Result(text or "Done.", first_line(text) or "Done")

    def retire(self) -> None:
        self._end.set()

    async def close(self) -> None:
        self._end.set()
        if self._holder:
            done, _ = await asyncio.wait({self._holder}, timeout=5)
            if not done:
                self._holder.cancel()

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                ready: asyncio.Future[Any] = self.loop.create_future()
                self._end = asyncio.Event()
                self._holder = asyncio.create_task(self._hold(ready, self._end), name=f"mcp {self.configured.name}")
                try:
                    self._client = await ready
                except BaseException:
                    self._end.set()
                    self._holder.cancel()
                    raise
            return self._client

    async def _hold(self, ready: asyncio.Future[Any], end: asyncio.Event) -> None:
        client: Any = None
        try:
            async with _client_of(self.configured) as client:
                if not ready.done():
                    ready.set_result(client)
                await end.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error if isinstance(error, Exception) else ConnectionError(repr(error)))
            elif not end.is_set():
                logger.warning("The connection to the MCP server %s ended: %r", self.configured.name, error)
            if not isinstance(error, Exception):
                raise
        finally:
            if self._client is client:
                self._client, self._listed_at = None, float("-inf")

    async def _list(self, client: Any) -> None:
        found: list[Any] = []
        cursor = None
        while len(found) < MOST_TOOLS:
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                break
        self._tools = [self._offered(tool) for tool in found[:MOST_TOOLS]]
        self._listed_at = time.monotonic()

    def _offered(self, tool: Any) -> Offered:
        hints = tool.annotations
        reads = bool(hints and hints.read_only_hint)
        title = tool.title or (hints and hints.title) or tool.name

        async def run(context: Context, arguments: dict[str, Any]) -> Result:
            return await self.call(tool.name, arguments)

        return Offered(
            name=_NOT_IN_A_NAME.sub("_", f"{self.configured.name}__{tool.name}")[:64],
            title=f"{self.configured.title}: {title}",
            doing=f"{self.configured.title}: {title}",
            description=tool.description or title,
            schema=dict(tool.input_schema),
            timeout_seconds=self.configured.timeout_seconds,
            is_idempotent=reads or bool(hints and hints.idempotent_hint),
            needs_approval=_needs_approval(self.configured.approval, reads=reads),
            run=run,
            is_async=True,
        )

    async def _is_sound(self, client: Any) -> bool:
        """Whether the server still answers, so that an error was about the call."""
        try:
            async with asyncio.timeout(2):
                await client.list_tools()
        except Exception:
            return False
        return self._client is client

    def _failed(self, error: BaseException) -> None:
        logger.warning("The MCP server %s is away for now: %s", self.configured.name, _reason(error))
        self._failed_at = time.monotonic()
        self._end.set()
        self._client, self._listed_at = None, float("-inf")


def _needs_approval(rule: str, *, reads: bool) -> bool:
    return rule == ApprovalRule.ALWAYS or (rule == ApprovalRule.WRITES and not reads)


def _reason(error: BaseException) -> str:
    """What happened, in a group of errors the first of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]


def _client_of(configured: Configured) -> Any:
    """A client that isn't connected yet. The package is imported here: who has no server need not load it."""
    import mcp
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    if configured.url:
        transport = streamable_http_client(
            configured.url, http_client=create_mcp_http_client(headers=dict(configured.headers))
        )
    else:
        program, *arguments = configured.command
        transport = stdio_client(mcp.StdioServerParameters(command=program, args=arguments, env=dict(configured.env)))
    return mcp.Client(transport, cache=None)


def _text(answer: Any) -> str:
    """What a server answered, as text; what isn't text is named."""
    parts = []
    for block in answer.content:
        if block.type == "text":
            parts.append(block.text)
        elif block.type == "resource" and getattr(block.resource, "text", None):
            parts.append(block.resource.text)
        else:
            parts.append(f"[{block.type}]")
    if not parts and answer.structured_content is not None:
        import orjson

        parts.append(orjson.dumps(answer.structured_content, default=str).decode())
    return "\n".join(parts)
