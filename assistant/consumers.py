"""The socket tells: it authorises, subscribes, then reads the snapshot, then relays frames as they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any
from uuid import UUID

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from assistant import access, events, interruption, outage, presence, valkey
from assistant.database import Database
from assistant.models.participant import display_name
from assistant.snapshot import session_exists, snapshot

logger = logging.getLogger(__name__)

NOT_SIGNED_IN, REMOVED, NO_SUCH_SESSION, TRY_AGAIN = 4401, 4403, 4404, 1013
LONGEST_FRAME = 4096

_database: Database | None = None


def _database_of_this_process() -> Database:
    global _database
    if _database is None:
        _database = Database("sockets", threads=4)
    return _database


class SessionConsumer(AsyncWebsocketConsumer):
    user: Any = None
    role: str | None = None  # None until the first snapshot, and after a refusal
    is_subscribed = False
    renewal: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self.session_id: UUID = self.scope["url_route"]["kwargs"]["session_id"]
        self.database = _database_of_this_process()
        await self.accept()  # a refusal is told by the close code, which needs an accepted socket
        try:
            self.user = await self.database.call_once(access.socket_user, self.scope)
            if self.user is None:
                await self.close(NOT_SIGNED_IN)
                return
            # Subscribe first, then read: what changes in between arrives afterwards and is dropped by its seq.
            await self.channel_layer.group_add(events.group_of(self.session_id), self.channel_name)
            self.is_subscribed = True
            if await self._send_snapshot():
                await self._tell_presence(presence.enter)
                self.renewal = asyncio.create_task(self._renew_presence())
                interruption.add(self.channel_name)
        except (DatabaseError, *valkey.Unavailable) as error:
            await self._send_away(error)

    async def disconnect(self, code: int) -> None:
        if self.renewal is not None:
            self.renewal.cancel()
        interruption.discard(self.channel_name)
        if not self.is_subscribed:
            return
        with contextlib.suppress(*valkey.Unavailable):
            await self.channel_layer.group_discard(events.group_of(self.session_id), self.channel_name)
            if self.renewal is not None:
                await self._tell_presence(presence.leave)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Channels asks the layer for a channel before `connect` has its say; without Valkey that says 1013 here."""
        try:
            await super().__call__(scope, receive, send)
        except valkey.Unavailable:
            if hasattr(self, "channel_receive"):  # it had begun: not the case that this is for
                raise
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TRY_AGAIN})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.role is None:  # refused; what was sent before that was heard is not answered
            return
        try:
            frame = json.loads(text_data or "") if len(text_data or "") <= LONGEST_FRAME else None
        except (ValueError, RecursionError):
            frame = None
        match frame:
            case {"type": "ping"}:
                await self.send('{"type":"pong"}')
            case {"type": "sync"}:
                await self._resync()
            case {"type": "typing", "active": bool(active)}:
                await self._tell_typing(active)
            case {"type": str(type_)}:
                await self._complain("unknown_type", f"There is no frame of type {type_[:40]!r} with these fields.")
            case _:
                await self._complain("bad_frame", "A frame is a JSON object with a type, of at most 4096 characters.")

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels first closes old database connections in a thread, for each frame; ours are not in that thread."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"No handler for message type {message['type']}")
        await handler(message)

    # --- events of the channel layer ---

    async def relay(self, event: dict[str, Any]) -> None:
        await self.send(event["frame"])

    async def viewer_resync(self, event: dict[str, Any]) -> None:
        await self._resync()

    async def access_ended(self, event: dict[str, Any]) -> None:
        if event["user_id"] is None:
            await self.close(NO_SUCH_SESSION)
        elif event["user_id"] == self.user.pk:
            await self.close(REMOVED)

    # --- what it sends by itself ---

    async def _send_snapshot(self) -> bool:
        state = await self.database.call_once(snapshot, self.session_id, self.user)
        if state is None:
            was_here, self.role = self.role is not None, None
            exists = was_here and await self.database.call_once(session_exists, self.session_id)
            await self.close(REMOVED if exists else NO_SUCH_SESSION)
            return False
        self.role = state["you"]["role"]
        online = await self.database.call_once(presence.enter, self.session_id, self.user.pk, self.channel_name)
        await self.send(events.encode("session.snapshot", online=online, **state))
        return True

    async def _resync(self) -> None:
        try:
            await self._send_snapshot()
        except (DatabaseError, *valkey.Unavailable) as error:
            await self._send_away(error)

    async def _send_away(self, error: Exception) -> None:
        if isinstance(error, DatabaseError):
            outage.note()
        logger.warning("A viewer of session %s was sent away for now: %s", self.session_id, str(error).strip())
        await self.close(TRY_AGAIN)

    async def _tell_presence(self, change: Any) -> None:
        online = await self.database.call_once(change, self.session_id, self.user.pk, self.channel_name)
        await events.send_frame(self.session_id, events.encode("presence", online=online))

    async def _renew_presence(self) -> None:
        while True:
            await asyncio.sleep(presence.RENEW_SECONDS)
            with contextlib.suppress(*valkey.Unavailable):
                await self.database.call_once(presence.enter, self.session_id, self.user.pk, self.channel_name)

    async def _tell_typing(self, active: bool) -> None:
        if self.user is not None:
            user = {"id": self.user.pk, "name": display_name(self.user)}
            await events.send_frame(self.session_id, events.encode("typing", user=user, active=active))

    async def _complain(self, code: str, detail: str) -> None:
        await self.send(events.encode("error", code=code, detail=detail))
