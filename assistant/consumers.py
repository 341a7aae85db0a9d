"""The sockets: of one session, and of one person's list of sessions. They tell; commands go over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID

from assistant import events, presence, valkey
from assistant.models.participant import WRITERS, display_name
from assistant.sidebar import list_snapshot
from assistant.snapshot import session_exists, snapshot
from assistant.telling import NO_SUCH_SESSION, REMOVED, TellingConsumer


class SessionConsumer(TellingConsumer):
    hears = TellingConsumer.hears | {"typing"}
    role: str | None = None  # None until the first snapshot, and after a refusal
    renewal: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> UUID:
        found: UUID = self.scope["url_route"]["kwargs"]["session_id"]
        return found

    def group(self) -> str:
        return events.group_of(self.session_id)

    async def send_snapshot(self) -> bool:
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

    async def entered(self) -> None:
        await self._tell_presence(presence.enter)
        self.renewal = asyncio.create_task(self._renew_presence())

    async def left(self) -> None:
        if self.renewal is not None:
            self.renewal.cancel()
            with contextlib.suppress(*valkey.Unavailable):
                await self._tell_presence(presence.leave)

    async def heard(self, frame: dict[str, Any]) -> bool:
        match frame:
            case {"type": "typing", "active": bool()} if self.role not in WRITERS:
                await self.complain("forbidden", "Who only reads along does not type.")
            case {"type": "typing", "active": bool(active)}:
                await self._tell_typing(active)
            case _:
                return False
        return True

    async def access_ended(self, event: dict[str, Any]) -> None:
        if event["user_id"] is None:
            await self.end(NO_SUCH_SESSION)
        elif event["user_id"] == self.user.pk:
            await self.end(REMOVED)

    async def role_changed(self, event: dict[str, Any]) -> None:
        if event["user_id"] == self.user.pk:
            self.role = event["role"]

    async def share_ended(self, event: dict[str, Any]) -> None:
        """Readers by the link are meant."""

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


class ListConsumer(TellingConsumer):
    """What changes in any of one's sessions, as it stands in one's list of them."""

    def group(self) -> str:
        return events.group_of_user(self.user.pk)

    async def send_snapshot(self) -> bool:
        state = await self.database.call_once(list_snapshot, self.user)
        await self.send(events.encode("list.snapshot", **state))
        return True
