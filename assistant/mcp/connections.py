"""The connections of a worker process to MCP servers: kept open on its loop, made anew when they break.

A server that is away costs its tools and nothing else. One that takes long to start goes on starting while answers are
written without it: whoever needs it waits a moment, and for a while after a failure nobody waits at all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError

from assistant import conf
from assistant.database import Database
from assistant.extras import MissingExtra
from assistant.mcp import content, names, problem_notes
from assistant.mcp.client import Words, client_of, load
from assistant.mcp.configured import Configured
from assistant.mcp.eliciting import Callers
from assistant.models.mcp_server import ApprovalRule, McpServer
from assistant.tools.declare import Context, Offered, Result, ToolError

logger = logging.getLogger(__name__)

START_SECONDS = 180.0  # for a server to say what tools it has: a first npx or uvx downloads it before
START_WAIT_SECONDS = 3.0  # of a start, for which an answer waits
CALL_START_WAIT_SECONDS = 60.0  # where a call waits to be run
LIST_SECONDS = 10.0  # for a server that is there to say again what tools it has
REST_SECONDS = 30.0  # after a failure, before it is tried again
LISTED_SECONDS = 300.0  # what tools it has is asked again after that, or when it says that they have changed
MOST_TOOLS = 128  # of one server

STARTING, AWAY, UNAUTHORIZED = "starting", "away", "unauthorized"

_SAID = {
    STARTING: "is still being started",
    AWAY: "can't be reached",
    UNAUTHORIZED: "has to be connected again by an administrator",
}

_connections: dict[str, _Connection] = {}


@dataclass(frozen=True, slots=True)
class Missing:
    """A server whose tools can't be had now, and why: STARTING, AWAY, or UNAUTHORIZED (somebody has to sign in with it)."""

    name: str
    title: str
    why: str

    @property
    def said(self) -> str:
        """What of it is so, behind its title."""
        return _SAID[self.why]


async def offered(
    wanted: Iterable[Configured],
    database: Database,
    taken: Collection[str] = (),
    called: Collection[str] = (),
) -> tuple[dict[str, Offered], list[Missing]]:
    """The tools of these servers by name, none of them in `taken`; and the servers whose tools can't be had now.

    For servers that are being started it waits until their start is START_WAIT_SECONDS old, for those of the tools that are
    `called` until it is CALL_START_WAIT_SECONDS old; for others LIST_SECONDS at most.
    """

    async def of_one(configured: Configured) -> list[Offered] | Missing:
        try:
            is_called = any(name.startswith(f"{configured.name}__") for name in called)
            patience = CALL_START_WAIT_SECONDS if is_called else START_WAIT_SECONDS
            return await _connection(configured, database).tools(patience)
        except Away as away:
            return Missing(configured.name, configured.title, away.why)

    found = await asyncio.gather(*(of_one(configured) for configured in wanted))
    tools = [tool for some in found if isinstance(some, list) for tool in some]
    return names.apart(tools, taken), [one for one in found if isinstance(one, Missing)]


def preload() -> None:
    """Loads what servers of tools need, if there are any: before the fork, else the first question waits for it."""
    with suppress(DatabaseError, MissingExtra):  # whoever needs a server tells of it
        if conf.settings.mcp or McpServer.objects.filter(is_enabled=True).exists():
            load()


async def connected(configured: Configured, database: Database) -> Any:
    """The `mcp.Client` of one server. Raises Away."""
    return await _connection(configured, database)._client(START_WAIT_SECONDS)


async def close() -> None:
    """Ends all connections, and with them the processes of servers that are commands."""
    open_ones = list(_connections.values())
    _connections.clear()
    await asyncio.gather(*(connection.close() for connection in open_ones), return_exceptions=True)


def _connection(configured: Configured, database: Database) -> _Connection:
    """The connection by name. One to a server that has been configured anew, or of a loop that is gone, is replaced."""
    held = _connections.get(configured.name)
    if held and held.configured == configured and held.loop is asyncio.get_running_loop():
        held.database = database
        return held
    if held and held.loop is asyncio.get_running_loop():
        held.retire()
    made = _connections[configured.name] = _Connection(configured, database)
    return made


class Away(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Connection:
    """One server. A task of its own holds the client: what was entered in a task has to be left in the same one."""

    def __init__(self, configured: Configured, database: Database) -> None:
        self.configured = configured
        self.loop = asyncio.get_running_loop()
        self.database = database
        self._tools: list[Offered] = []
        self._listed_at = float("-inf")
        self._began_at = self._failed_at = float("-inf")
        self._listing = asyncio.Lock()
        self._ready: asyncio.Future[Any] | None = None  # the client, or that it is being started
        self._holder: asyncio.Task[None] | None = None
        self._end = asyncio.Event()
        self._callers = Callers(configured.name)
        self._is_retired = False
        self._bearer = self._new_bearer()
        self._beside: set[asyncio.Task[None]] = set()

    async def tools(self, patience_seconds: float) -> list[Offered]:
        """What the server offers. Raises Away."""
        client = await self._client(patience_seconds)
        if time.monotonic() - self._listed_at > LISTED_SECONDS:
            try:
                async with asyncio.timeout(LIST_SECONDS):
                    await self._list(client)
            except TimeoutError:
                if not self._callers:  # else it is busy, and what it is busy with would end with the connection
                    self._broke(client, TimeoutError(f"it did not list its tools within {LIST_SECONDS:g} seconds"))
                    raise Away(self._why()) from None
            except Exception as error:
                self._broke(client, error)
                raise Away(self._why()) from None
        return self._tools

    async def call(self, name: str, context: Context, arguments: Mapping[str, Any]) -> Result:
        """Raises ToolError, with the server's words where it has some."""
        if self._callers and self._callers.is_alone_needed:
            return await self._call_alone(name, context, arguments)
        try:
            client = await self._client(START_WAIT_SECONDS)
        except Away as away:
            raise ToolError(f"{self.configured.title} {_SAID[away.why]}. The call was not made.") from None
        try:
            with self._callers.calling(context):
                answer = await client.call_tool(name, dict(arguments), progress_callback=_progress(context))
            result = content.result_of(answer)
        except Exception as error:
            if not await self._is_sound(client):
                self._broke(client, error)
                what = "broke" if self._why() == AWAY else _SAID[UNAUTHORIZED]
                raise ToolError(
                    f"The connection to {self.configured.title} {what}. It is not known whether the call took effect."
                ) from None
            raise ToolError(f"{self.configured.title} refused the call: {error}") from None
        finally:
            if self._is_retired and not self._callers:
                self._end.set()
        if answer.is_error:
            raise ToolError(result.text if answer.content else "The tool failed.")
        return result

    async def _call_alone(self, name: str, context: Context, arguments: Mapping[str, Any]) -> Result:
        """Over a connection of its own, so that it is clear for whom the server asks."""
        other = _Connection(self.configured, self.database)
        try:
            with suppress(Away):  # the call says what is wrong
                await other._client(START_SECONDS)
            return await other.call(name, context, arguments)
        finally:
            await other.close()

    def retire(self) -> None:
        """Ends it, once the calls that are being made have ended."""
        self._is_retired = True
        if not self._callers:
            self._end.set()

    async def close(self) -> None:
        self._is_retired = True
        self._end.set()
        if self._holder:
            if self._ready and not self._ready.done():
                self._holder.cancel()
            done, _ = await asyncio.wait({self._holder}, timeout=5)
            if not done:
                self._holder.cancel()
        for task in self._beside:
            task.cancel()

    # --- starting and ending ---

    async def _client(self, patience_seconds: float) -> Any:
        """The connected client. Who asks waits for a start until that is `patience_seconds` old. Raises Away."""
        if self._why() == UNAUTHORIZED:
            raise Away(UNAUTHORIZED)
        if self._ready is None:
            if self._is_retired or time.monotonic() - self._failed_at < REST_SECONDS:
                raise Away(self._why())
            self._start()
        ready = self._ready
        assert ready is not None
        if not ready.done():
            await asyncio.wait({ready}, timeout=max(0.0, self._began_at + patience_seconds - time.monotonic()))
        if not ready.done():
            raise Away(STARTING)
        if ready.cancelled():
            raise Away(self._why())
        return ready.result()

    def _start(self) -> None:
        self._ready, self._end = self.loop.create_future(), asyncio.Event()
        self._began_at = time.monotonic()
        self._holder = asyncio.create_task(self._hold(self._ready, self._end), name=f"mcp {self.configured.name}")

    async def _hold(self, ready: asyncio.Future[Any], end: asyncio.Event) -> None:
        """Starts the server, has the client while it is needed, and ends both."""
        words = Words(self.configured.name)
        listener: asyncio.Task[None] | None = None
        try:
            async with (
                asyncio.timeout(START_SECONDS) as limit,
                self._connecting(words) as client,
            ):
                await self._list(client)
                limit.reschedule(None)
                ready.set_result(client)
                self._note_problem("")
                listener = asyncio.create_task(self._listen(client))
                await end.wait()
        except (Exception, BaseExceptionGroup) as error:  # anyio's groups may hold a CancelledError
            if not ready.done():
                if isinstance(error, TimeoutError) or limit.expired():
                    error = TimeoutError(f"it was not ready within {START_SECONDS:g} seconds")
                self._rest(f"{_reason(error)}; its last words: {words.last}" if words.last else _reason(error))
            elif not end.is_set():
                logger.warning("The connection to the MCP server %s ended: %s", self.configured.name, _reason(error))
        finally:
            if listener:
                listener.cancel()
            ready.cancel()  # whoever still waits for it
            if self._ready is ready:
                self._ready = None

    def _connecting(self, words: Words) -> AbstractAsyncContextManager[Any]:
        return client_of(self.configured, words, self._hear, self._callers.elicit, self._bearer)

    def _new_bearer(self) -> Any:
        if self.configured.grant_id is None:
            return None
        from assistant.mcp.bearer import Bearer  # of the extra `mcp`: who has no server need not have it

        return Bearer(self.configured.grant_id, self.database)

    def _why(self) -> str:
        is_refused = self.configured.needs_sign_in or (self._bearer is not None and self._bearer.is_refused)
        return UNAUTHORIZED if is_refused else AWAY

    def _broke(self, client: Any, error: BaseException) -> None:
        """The connection that has this client is given up."""
        if self._ready and self._ready.done() and not self._ready.cancelled() and self._ready.result() is client:
            self._rest(_reason(error))
            self._end.set()
            self._ready = None

    def _rest(self, reason: str) -> None:
        """It is left alone for a while."""
        logger.warning("The MCP server %s is away for now: %s", self.configured.name, reason)
        self._failed_at = time.monotonic()
        self._note_problem(reason)

    def _note_problem(self, reason: str) -> None:
        """For operators; "" if there is none any more."""
        noting = asyncio.create_task(self.database.call(problem_notes.note, self.configured.name, reason))
        self._beside.add(noting)
        noting.add_done_callback(self._beside.discard)

    async def _is_sound(self, client: Any) -> bool:
        """Whether the server still answers, so that an error was about the call."""
        try:
            async with asyncio.timeout(2):
                await client.list_tools()
        except Exception:
            return False
        return True

    # --- what it offers ---

    async def _list(self, client: Any) -> None:
        async with self._listing:
            asked_at = time.monotonic()
            self._listed_at = asked_at  # a change that is told from now on makes this list old again
            found: list[Any] = []
            cursor = None
            try:
                while len(found) < MOST_TOOLS:
                    page = await client.list_tools(cursor=cursor)
                    found += page.tools
                    cursor = page.next_cursor
                    if not cursor:
                        break
            except BaseException:
                self._listed_at = float("-inf")
                raise
            unique: dict[str, Any] = {}
            for tool in found[:MOST_TOOLS]:
                unique.setdefault(tool.name, tool)
            self._tools = [self._offered(tool) for tool in unique.values()]

    async def _hear(self, message: Any) -> None:
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            self._listed_at = float("-inf")

    async def _listen(self, client: Any) -> None:
        """Since the protocol of 2026 servers tell changes only to who listens for them; `_hear` is called as well."""
        with suppress(
            Exception, BaseExceptionGroup
        ):  # it doesn't listen, or not any more: then the list is asked for now and then
            async with client.listen(tools_list_changed=True) as told:
                async for _ in told:
                    self._listed_at = float("-inf")

    def _offered(self, tool: Any) -> Offered:
        hints = tool.annotations
        reads = bool(hints and hints.read_only_hint)
        title = tool.title or (hints and hints.title) or tool.name

        async def run(context: Context, arguments: dict[str, Any]) -> Result:
            return await self.call(tool.name, context, arguments)

        return Offered(
            name=names.name_of(self.configured.name, tool.name),
            title=f"{self.configured.title}: {title}",
            doing=f"{self.configured.title}: {title}",
            description=tool.description or title,
            schema=dict(tool.input_schema),
            timeout_seconds=self.configured.timeout_seconds,
            is_idempotent=reads or bool(hints and hints.idempotent_hint),
            needs_approval=needs_approval(self.configured.approval, reads=reads),
            run=run,
            is_async=True,
        )


def _progress(context: Context) -> Any:
    """What a server says of its progress becomes the call's status line."""

    async def show(progress: float, total: float | None, message: str | None) -> None:
        share = f"{progress:g} of {total:g}" if total else ""
        if line := " · ".join(part for part in ((message or "").strip(), share) if part):
            context.status(line)

    return show


def needs_approval(rule: str, *, reads: bool) -> bool:
    """Whether a tool of a server with this rule waits for people: `reads` says that it only reads."""
    return rule == ApprovalRule.ALWAYS or (rule == ApprovalRule.WRITES and not reads)


def _reason(error: BaseException) -> str:
    """What happened, in a group of errors the first of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
