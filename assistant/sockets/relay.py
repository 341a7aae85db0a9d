"""What all sockets have in common: authorise, subscribe, then read the snapshot, then relay frames as they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from typing import Any, ClassVar

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from assistant import access, outage
from assistant.database import Database
from assistant.delivery import valkey
from assistant.presentation import wire
from assistant.sockets import fan_out, missed_changes, resync, revalidation

logger = logging.getLogger(__name__)

NOT_SIGNED_IN, REMOVED, NO_SUCH_SESSION, TRY_AGAIN = 4401, 4403, 4404, 1013
LONGEST_FRAME = 4096

_database: Database | None = None


def database_of_this_process() -> Database:
    global _database
    if _database is None:
        _database = Database("sockets", threads=4)
    return _database


class RelayConsumer(AsyncWebsocketConsumer):
    """One viewer's socket. A subclass says what is viewed: `group`, `send_snapshot`, and what it hears."""

    hears: ClassVar[frozenset[str]] = frozenset({"ping", "sync"})  # types of frames that a client may send
    user: Any = None
    credential: access.Credential | None = None
    is_subscribed = False
    is_told = False  # it has had its first snapshot, and was not refused since

    async def authorise(self) -> int | None:
        """Finds out who is there; returns the code to close with if nobody is."""
        self.credential = await self.database.call_once(access.socket_credential, self.scope)
        self.user = await self.database.call_once(access.socket_user, self.scope)
        return NOT_SIGNED_IN if self.user is None else None

    def group(self) -> str:
        """The channel group of what is viewed. Called once the user is known."""
        raise NotImplementedError

    async def send_snapshot(self) -> bool:
        """Sends the state as of now; False, after a close, if it is not for this user."""
        raise NotImplementedError

    async def entered(self) -> None:
        """After the first snapshot."""

    async def left(self) -> None:
        """At the end, if the first snapshot was sent."""

    async def heard(self, frame: dict[str, Any]) -> bool:
        """Does what a frame of the client's asks for; False if it is none of this socket's."""
        return False

    async def connect(self) -> None:
        self.database = database_of_this_process()
        await self.accept()  # a refusal is told by the close code, which needs an accepted socket
        try:
            refused = await self.authorise()
            if refused is not None:
                await self.close(refused)
                return
            # Subscribe first, then read: what changes in between arrives afterwards, and the viewer knows it for old.
            self.is_subscribed = True  # or half: what fails may have begun
            await fan_out.join(self.group(), self.channel_name)
            if await self._tell():
                await self.entered()
                resync.add(self.channel_name)
        except (DatabaseError, *valkey.Unavailable) as error:
            await self._send_away(error)

    async def disconnect(self, code: int) -> None:
        if self.is_subscribed:
            await self._unsubscribe()
            await self.left()

    async def _unsubscribe(self) -> None:
        self.is_subscribed = False
        with contextlib.suppress(*valkey.Unavailable):
            await fan_out.leave(self.group(), self.channel_name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One thing after the other, from one inbox: what the client sends, and what its group or this socket is told.

        Channels' own loop makes two tasks for each event, and has the layer keep and decode it for each socket.
        """
        self.scope, self.base_send = scope, send
        self.channel_name = uuid.uuid4().hex
        inbox = fan_out.open_inbox(self.channel_name)
        reading = asyncio.create_task(_read(receive, inbox), name=f"reading {self.channel_name}")
        try:
            with contextlib.suppress(StopConsumer):
                while True:
                    event = await inbox.get()
                    if isinstance(event, Exception):
                        raise event
                    await self.dispatch(event)
        finally:
            reading.cancel()
            await self._forget()

    async def _forget(self) -> None:
        """Leaves nothing of this socket behind, in whatever way it ends.

        `disconnect` is not called after an error, nor if Daphne cuts short what was still at work when the client went.
        """
        fan_out.close_inbox(self.channel_name)
        for book in (missed_changes, resync, revalidation):
            book.discard(self.channel_name)
        if self.is_subscribed:
            await self._unsubscribe()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.is_told:  # refused; what was sent before that was heard is not answered
            return
        frame: Any
        try:
            frame = json.loads(text_data or "") if len(text_data or "") <= LONGEST_FRAME else None
        except (ValueError, RecursionError):
            frame = None
        match frame:
            case {"type": "ping"}:
                await self.send('{"type":"pong"}')
            case {"type": "sync"}:
                await self.sync()
            case {"type": str(type_)}:
                if not (frame and type_ in self.hears and await self.heard(frame)):
                    await self.complain(
                        "unknown_type", f"There is no frame of type {type_[:40]!r} with these fields."
                    )
            case _:
                await self.complain("bad_frame", "A frame is a JSON object with a type, of at most 4096 characters.")

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels first closes old database connections in a thread, for each frame; ours are not in that thread."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"No handler for message type {message['type']}")
        await handler(message)

    async def sync(self) -> None:
        """What a client asks for when it has missed something."""
        await self._resync()

    async def relay(self, event: dict[str, Any]) -> None:
        if self.is_told:
            await self.send(event["frame"])
            missed_changes.heard(self.channel_name, event["frame"])

    async def credential_ended(self, event: dict[str, Any]) -> None:
        """Signed out, or the token was revoked. A browser that has signed in anew meanwhile comes again, and in."""
        await self.end(TRY_AGAIN)

    async def end(self, code: int) -> None:
        """Sends the viewer away for good: what is still on its way to them is not sent any more."""
        self.is_told = False
        await self.close(code)

    async def viewer_resync(self, event: dict[str, Any]) -> None:
        if self.is_told:
            await self._resync()

    async def complain(self, code: str, detail: str) -> None:
        await self.send(wire.encode("error", code=code, detail=detail))

    async def _tell(self) -> bool:
        self.is_told = await self.send_snapshot()
        return self.is_told

    async def _resync(self) -> None:
        try:
            await self._tell()
        except (DatabaseError, *valkey.Unavailable) as error:
            await self._send_away(error)

    async def _send_away(self, error: Exception) -> None:
        if isinstance(error, DatabaseError):
            outage.note()
        logger.warning("A viewer of %s was sent away for now: %s", self.scope["path"], str(error).strip())
        await self.close(TRY_AGAIN)


async def _read(receive: Any, inbox: fan_out.Inbox) -> None:
    try:
        while True:
            inbox.put_nowait(await receive())
    except Exception as error:
        inbox.put_nowait(error)
