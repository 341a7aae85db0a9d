"""Errands: what a web process has a worker do, since only workers talk to MCP servers. Some are programs that they run.

The web process tells a living worker and waits at a key in Valkey. What is lost on the way, with the worker or with Valkey,
costs this one request; what is large goes by the database, never by the key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from uuid import UUID, uuid4

import orjson
import redis.asyncio
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile

from assistant.database import Database
from assistant.delivery import mailbox, valkey
from assistant.lifecycle import attaching
from assistant.lifecycle.refusal import Refused
from assistant.mcp import configured, connections, resources
from assistant.mcp.configured import Configured
from assistant.models.session import ChatSession
from assistant.models.user_id import ShownId, shown_id
from assistant.models.worker import WorkerProcess
from assistant.toolbox import registry

logger = logging.getLogger(__name__)

WAITING_SECONDS = 20.0
WORKING_SECONDS = 18.0
MOST_AT_ONCE = 16  # of one worker
KEPT_SECONDS = 60


# --- in a web process ---


def resources_of(session: ChatSession) -> dict[str, Any]:
    """What there is to read: {resources: [as `resources.listed`, with server, server_title], missing: [{title, why}]}.

    Raises Refused: busy.
    """
    if not _servers_of(session):
        return {"resources": [], "missing": []}
    return _run("list", session=str(session.pk))


def attach_resource(session: ChatSession, by: Any, server: str, uri: str) -> UUID:
    """The id of the attachment that was made of it.

    Raises Refused: busy, not_found, no_such_resource, and what an upload is refused for.
    """
    if server not in {one.name for one in _servers_of(session)}:
        raise Refused("not_found", "This session uses no such server.", status=404)
    return UUID(_run("attach", session=str(session.pk), user=shown_id(by.pk), server=server, uri=uri)["attachment"])


def _run(kind: str, **what: Any) -> dict[str, Any]:
    """What the worker answers. Raises Refused: busy."""
    worker = WorkerProcess.objects.alive().order_by("load", "-heartbeat_at").first()
    until = time.monotonic() + WAITING_SECONDS
    key = f"{valkey.PREFIX}:errand:{uuid4().hex}"
    try:
        if worker is not None:
            mailbox.put(worker.mailbox, {"type": "errand", "kind": kind, "key": key, "what": what})
        while worker is not None and time.monotonic() < until:
            if found := valkey.client().blpop([key], timeout=2):
                answer: dict[str, Any] = orjson.loads(found[1])
                if refused := answer.get("refused"):
                    raise Refused(**refused)
                return answer
    except valkey.Unavailable as error:
        logger.warning("An errand could not be run: %s", error)
    raise Refused(
        "busy", "No worker could look into this just now. Try again in a moment.", status=503, retry_after=5
    )


# --- in a worker ---


class Errands:
    """Those of one worker, on its loop."""

    def __init__(self, database: Database, client: redis.asyncio.Redis) -> None:
        self._database, self._client = database, client
        self._running: set[asyncio.Task[None]] = set()

    def start(self, event: dict[str, Any]) -> None:
        task = asyncio.create_task(self._run(event), name=f"errand {event['kind']}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, event: dict[str, Any]) -> None:
        try:
            answer = await self._answer(event)
            await self._client.rpush(event["key"], orjson.dumps(answer))
            await self._client.expire(event["key"], KEPT_SECONDS)
        except valkey.Unavailable as error:
            logger.warning("The answer to an errand is lost: %s", error)

    async def _answer(self, event: dict[str, Any]) -> dict[str, Any]:
        if len(self._running) > MOST_AT_ONCE:
            return _refused("busy", "Too much is being looked into just now. Try again in a moment.", 503)
        try:
            async with asyncio.timeout(WORKING_SECONDS):
                return await (self._list if event["kind"] == "list" else self._attach)(**event["what"])
        except TimeoutError:
            return _refused("busy", "This took too long. Try again in a moment.", 503)
        except Refused as refusal:
            return _refused(refusal.code, refusal.detail, refusal.status, refusal.retry_after)
        except Exception:
            logger.exception("An errand failed.")
            return _refused("internal", "Something went wrong here. The operator's log has the details.", 500)

    async def _list(self, session: str) -> dict[str, Any]:
        servers = await self._database.call_once(_servers_by_id, session)
        found = await asyncio.gather(*(self._of_one(server) for server in servers))
        return {
            "resources": [one for some in found if isinstance(some, list) for one in some],
            "missing": [one for one in found if isinstance(one, dict)],
        }

    async def _of_one(self, server: Configured) -> list[dict[str, Any]] | dict[str, str]:
        """Its resources, or that it is missing."""
        try:
            listed = await resources.listed(server, self._database)
        except connections.Away as away:
            return {"title": server.title, "why": away.why}
        except Exception as error:
            logger.warning("The MCP server %s does not list its resources: %s", server.name, error)
            return {"title": server.title, "why": connections.AWAY}
        return [{"server": server.name, "server_title": server.title, **one} for one in listed]

    async def _attach(self, session: str, user: ShownId, server: str, uri: str) -> dict[str, Any]:
        servers = await self._database.call_once(_servers_by_id, session)
        chosen = next((one for one in servers if one.name == server), None)
        if chosen is None:
            raise Refused("not_found", "This session uses no such server.", status=404)
        try:
            name, content = await resources.read(chosen, self._database, uri)
        except connections.Away:
            raise Refused("no_such_resource", f"{chosen.title} can't be reached just now.", status=422) from None
        except resources.Unreadable as problem:
            raise Refused("no_such_resource", str(problem), status=422) from None
        return {"attachment": await self._database.call_once(_upload, session, user, name, content)}


def _upload(session_id: str, user_id: ShownId, name: str, content: bytes) -> str:
    """As if they had uploaded it themselves. Raises Refused."""
    user = get_user_model()._default_manager.filter(pk=user_id).first()
    session = ChatSession.objects.filter(pk=session_id).first()
    if user is None or session is None:
        raise Refused("not_found", "This session has been deleted.", status=404)
    return str(attaching.upload(user, name, ContentFile(content), session).pk)


def _servers_by_id(session_id: str) -> list[Configured]:
    session = ChatSession.objects.filter(pk=session_id).first()
    return _servers_of(session) if session else []


def _servers_of(session: ChatSession) -> list[Configured]:
    others = registry.undeclared(session.services)
    servers = configured.servers() if others else {}
    return [servers[name] for name in others if name in servers]


def _refused(code: str, detail: str, status: int, retry_after: int | None = None) -> dict[str, Any]:
    return {"refused": {"code": code, "detail": detail, "status": status, "retry_after": retry_after}}
