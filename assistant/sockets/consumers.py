"""The sockets: of a session, for its people and for readers by its link, and of one person's list. They only tell."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

from assistant import access, conf
from assistant.delivery import valkey
from assistant.lifecycle.joining import shared_snapshot, snapshot
from assistant.models import ShareLink
from assistant.models.participant import WRITERS, display_name
from assistant.models.user_id import UserId, shown_id
from assistant.presentation import broadcast, public, wire
from assistant.presentation.sidebar import list_snapshot
from assistant.presentation.snapshot import session_exists
from assistant.sockets import fan_out, missed_changes, presence, revalidation
from assistant.sockets.presence import Online
from assistant.sockets.relay import NO_SUCH_SESSION, REMOVED, TRY_AGAIN, RelayConsumer
from assistant.sockets.revalidation import Seat

TYPING_TOLD_EVERY_SECONDS = 1.0
SYNC_EVERY_SECONDS = 1.0


class OneSessionConsumer(RelayConsumer):
    """One viewer of one session: a participant, or a reader by its link."""

    session_id: UUID
    seat: Seat | None = None  # None until the first snapshot, and after a refusal

    def group(self) -> str:
        return broadcast.group_of(self.session_id)

    @property
    def user_id(self) -> UserId:
        """None: a reader, who is counted and not named."""
        raise NotImplementedError

    async def state(self) -> tuple[dict[str, Any], Seat] | int:
        """The fields of the snapshot as of now and what its viewer is then, or the code to close with."""
        raise NotImplementedError

    async def send_snapshot(self) -> bool:
        state = await self.state()
        if isinstance(state, int):
            await self.end(state)
            return False
        fields, seat = state
        online = await self._presence(presence.enter)
        if not await self.may_stay(online):
            return False
        self._sit(seat)
        await self.send(wire.encode("session.snapshot", **self.shown(online), **fields))
        missed_changes.shown(self.channel_name, self.session_id, fields["session"]["version"], self.database)
        return True

    async def may_stay(self, online: Online) -> bool:
        return True

    def shown(self, online: Online) -> dict[str, Any]:
        """What this viewer may know of who is here."""
        return online.as_json()

    async def entered(self) -> None:
        await self._tell_presence(presence.enter)

    async def left(self) -> None:
        revalidation.discard(self.channel_name)
        if self.seat is not None:
            with contextlib.suppress(*valkey.Unavailable):
                await self._tell_presence(presence.leave)

    async def access_ended(self, event: dict[str, Any]) -> None:
        if event["user_id"] is None:
            await self.end(NO_SUCH_SESSION)
        elif event["user_id"] == shown_id(self.user_id):
            await self.end(REMOVED)

    async def role_changed(self, event: dict[str, Any]) -> None:
        if event["user_id"] == shown_id(self.user_id) and self.seat is not None:
            self._sit(replace(self.seat, role=event["role"]))

    async def share_ended(self, event: dict[str, Any]) -> None:
        """Readers by the link are meant."""

    def _sit(self, seat: Seat) -> None:
        self.seat = seat
        revalidation.take(self.channel_name, seat, self.database)

    async def _presence(self, change: Any) -> Online:
        online: Online = await self.database.call_once(change, self.session_id, self.user_id, self.channel_name)
        return online

    async def _tell_presence(self, change: Any) -> None:
        online = await self._presence(change)
        await broadcast.send_frame(self.session_id, wire.encode("presence", **online.as_json()))


class SessionConsumer(OneSessionConsumer):
    """A participant's."""

    hears = RelayConsumer.hears | {"typing"}
    typed_at = 0.0  # when others were last told that this one types; 0: they think that it doesn't

    @property
    def user_id(self) -> UserId:
        return self.user.pk

    async def authorise(self) -> int | None:
        self.session_id = self.scope["url_route"]["kwargs"]["session_id"]
        return await super().authorise()

    async def state(self) -> tuple[dict[str, Any], Seat] | int:
        fields = await self.database.call_once(snapshot, self.session_id, self.user)
        if fields is None:
            if not await self.database.call_once(access.open_accounts, {self.user.pk}):
                return TRY_AGAIN  # and hear that one is nobody
            exists = self.seat is not None and await self.database.call_once(session_exists, self.session_id)
            return REMOVED if exists else NO_SUCH_SESSION
        seat = Seat(self.session_id, self.user_id, role=fields["you"]["role"], credential=self.credential)
        return fields, seat

    async def left(self) -> None:
        if self.typed_at:
            await self._tell_typing(False)
        await super().left()

    async def heard(self, frame: dict[str, Any]) -> bool:
        match frame:
            case {"type": "typing", "active": bool()} if self.seat is None or self.seat.role not in WRITERS:
                await self.complain("forbidden", "Who only reads along does not type.")
            case {"type": "typing", "active": bool(active)}:
                await self._typing(active)
            case _:
                return False
        return True

    async def _typing(self, active: bool) -> None:
        """Others are told at most once in a while, whatever a client sends."""
        now = time.monotonic()
        if active and now - self.typed_at < TYPING_TOLD_EVERY_SECONDS:
            return
        if active or self.typed_at:
            self.typed_at = now if active else 0.0
            await self._tell_typing(active)

    async def _tell_typing(self, active: bool) -> None:
        user = {"id": shown_id(self.user.pk), "name": display_name(self.user)}
        await broadcast.send_frame(self.session_id, wire.encode("typing", user=user, active=active))


class ReaderConsumer(OneSessionConsumer):
    """Of somebody, signed in or not, who reads along by a session's link. Who has the link may; a cookie adds nothing."""

    user_id = None
    synced_at = 0.0
    late_sync: asyncio.TimerHandle | None = None

    async def authorise(self) -> int | None:
        self.token: str = self.scope["url_route"]["kwargs"]["token"]
        link = await self.database.call_once(ShareLink.find, self.token)
        if link is None:
            return NO_SUCH_SESSION
        self.link_id, self.session_id = link.pk, link.session_id
        return None

    async def state(self) -> tuple[dict[str, Any], Seat] | int:
        fields = await self.database.call_once(shared_snapshot, self.link_id, self.token)
        if fields is None:
            return NO_SUCH_SESSION if self.seat is None else REMOVED
        return fields, Seat(self.session_id, link_id=self.link_id)

    async def may_stay(self, online: Online) -> bool:
        if self.seat is not None or online.readers <= conf.settings.share_readers:
            return True
        await self._presence(presence.leave)
        await self.complain("too_many_readers", "Too many people read along just now. Try again in a while.")
        await self.end(TRY_AGAIN)
        return False

    def shown(self, online: Online) -> dict[str, Any]:
        return {"online": [], "readers": online.readers}

    async def left(self) -> None:
        if self.late_sync is not None:
            self.late_sync.cancel()
        await super().left()

    async def relay(self, event: dict[str, Any]) -> None:
        frame = public.frame(event["frame"], self.token)
        if frame is not None:
            await super().relay({"frame": frame})

    async def sync(self) -> None:
        """Anybody may ask for a snapshot, but not for one after the other: the last of many is answered later."""
        wait = self.synced_at + SYNC_EVERY_SECONDS - time.monotonic()
        if wait <= 0:
            self.synced_at = time.monotonic()
            await super().sync()
        elif self.late_sync is None:
            self.late_sync = asyncio.get_running_loop().call_later(wait, self._sync_late)

    def _sync_late(self) -> None:
        self.late_sync = None
        fan_out.tell(self.channel_name, {"type": "viewer.resync"})

    async def share_ended(self, event: dict[str, Any]) -> None:
        await self.end(REMOVED)


class NothingConsumer(RelayConsumer):
    """Of an address at which there is nothing: without it each stranger's try is an error with a traceback in the log."""

    async def authorise(self) -> int | None:
        return await super().authorise() or NO_SUCH_SESSION


class ListConsumer(RelayConsumer):
    """What changes in any of one's sessions, as it stands in one's list of them."""

    def group(self) -> str:
        return broadcast.group_of_user(self.user.pk)

    async def send_snapshot(self) -> bool:
        state = await self.database.call_once(list_snapshot, self.user)
        await self.send(wire.encode("list.snapshot", **state))
        revalidation.take(self.channel_name, Seat(None, self.user.pk, credential=self.credential), self.database)
        return True

    async def left(self) -> None:
        revalidation.discard(self.channel_name)
